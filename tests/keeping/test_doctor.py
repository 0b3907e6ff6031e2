"""The doctor names what is wrong, and nothing else as wrong."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.index_server import IndexServer, closed_port
from tests.support.running import Venvery


def states(venvery: Venvery, *args: str | Path, code: int) -> dict[str, tuple[str, str]]:
    found = json.loads(venvery("doctor", "--json", *args).check(code).stdout)
    return {one["subject"]: (one["state"], one["says"]) for one in found}


def test_a_healthy_machine(venvery: Venvery, index: IndexServer, tmp_path: Path) -> None:
    (tmp_path / "venvery.toml").write_text(f'max-size = "1 GB"\n[[sources]]\nname = "here"\nurl = "{index.url}"\n')
    config = ("--config", tmp_path / "venvery.toml")
    before = states(venvery, *config, code=0)
    assert "is not there yet" in before["data folder"][1]
    assert not venvery.data.exists(), "it only looks"
    venvery("sync", *config, "idna<3", tmp_path / "env").check()
    with venvery.serve() as server:
        found = states(venvery, *config, "--server", server.url, code=0)
    groups = found.pop("sandbox, control groups", ("ok", ""))  # who may make them, differs
    assert groups[0] in ("ok", "warning")
    assert {state for state, _says in found.values()} == {"ok"}
    assert "the limit is 1.0 GB" in found["data folder"][1]
    assert found[f"source here ({index.url.rstrip('/')})"][1].startswith("index answers")
    assert "bytecode can be compiled for 3." in found["interpreters"][1]
    assert str(venvery.cache) in found["layer store"][1]
    assert found["server"][1] == f"{server.url} is ready"


def test_everything_wrong(venvery: Venvery, tmp_path: Path) -> None:
    venvery.data.mkdir()
    (venvery.data / "venvery.sqlite").write_text("this is no database, and long enough to be taken for one" * 20)
    nowhere = f"http://127.0.0.1:{closed_port()}"
    found = states(venvery, "--server", nowhere, code=1)
    assert found["data folder"][0] == "problem"
    assert "damaged" in found["data folder"][1]
    assert found["server"][0] == "problem"


def test_a_source_that_is_down_is_named(venvery: Venvery) -> None:
    url = f"http://user:secret@127.0.0.1:{closed_port()}/simple"
    done = venvery("doctor", "--index-url", url).check(1)
    assert "PROBLEM  source " in done.stdout
    assert "secret" not in done.stdout + done.stderr


def test_a_configuration_that_cannot_be_read(venvery: Venvery, tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("max-size = [")
    done = venvery("doctor", "--config", tmp_path / "broken.toml").check(1)
    assert "PROBLEM  configuration: " in done.stdout
    assert "ok       interpreters: " in done.stdout
