"""The head: what it holds for each system, and that the scripts in it run."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path

import pytest

from tests.environments.test_layers import full_wheel
from tests.environments.workshop import WINDOWS, Workshop, members, run
from tests.support.wheels import make_wheel
from venvery.environments import HeadOptions, make_head
from venvery.environments.layers import EntryPoint
from venvery.environments.scripts import nt_script, posix_script, script_code
from venvery.errors import BadPrefix
from venvery.model.targets import Target, short_target


def head(
    workshop: Workshop, target: Target, prefix: str = "/srv/env", **options: object
) -> dict[str, tuple[int, bytes]]:
    manifest, layers = workshop.environment([full_wheel()], target)
    data = make_head(manifest, layers, HeadOptions(prefix, **options))  # type: ignore[arg-type]
    found = members(data)
    assert list(found)[:3] == [".venvery/manifest.json", ".venvery/head.json", ".venvery/parts.json"]
    assert "sha256:" + hashlib.sha256(found.pop(".venvery/parts.json")[1]).hexdigest() == manifest.parts
    assert list(found)[2] == "pyvenv.cfg"
    about = json.loads(found[".venvery/head.json"][1])
    assert about["head_size"] == len(data)
    assert found[".venvery/manifest.json"][1] == manifest.encoded
    return found


def test_a_posix_head_with_an_interpreter(workshop: Workshop) -> None:
    found = head(
        workshop, short_target("3.11", "linux-x86_64"), python="/opt/py/bin/python3.11", python_version="3.11.9"
    )
    assert list(found)[3:] == [
        "bin/python", "bin/python3", "bin/python3.11", "lib64",
        "bin/full", "bin/full-b", "bin/full-gui", "bin/old", "bin/win",
        "bin/Activate.ps1", "bin/activate", "bin/activate.csh", "bin/activate.fish",
    ]  # fmt: skip
    assert found["pyvenv.cfg"][1].decode() == (
        "home = /opt/py/bin\ninclude-system-site-packages = false\nversion = 3.11.9\n"
    )
    assert found["bin/python"] == (0o777, b"/opt/py/bin/python3.11")
    assert found["bin/python3.11"] == (0o777, b"python")
    assert found["lib64"] == (0o777, b"lib")
    assert found["bin/old"] == (0o755, b"#!/srv/env/bin/python\nprint('old')\n")
    assert found["bin/full-b"][1].decode() == (
        "#!/srv/env/bin/python\nimport sys\n\nfrom full_project.sub import Cls\n\n"
        'if __name__ == "__main__":\n    sys.exit(Cls.main())\n'
    )
    about = json.loads(found[".venvery/head.json"][1])
    del about["head_size"]
    assert about == {
        "venvery_head": 1,
        "prefix": "/srv/env",
        "python": "/opt/py/bin/python3.11",
        "python_version": "3.11.9",
        "prompt": None,
        "relocatable": False,
        "encoding": "zstd",
        "skipped": [],
    }


def test_without_an_interpreter_it_is_found_at_first_use(workshop: Workshop) -> None:
    found = head(workshop, short_target("3.13t", "linux-aarch64"))
    mode, finder = found["bin/python"]
    assert (mode, finder[:10]) == (0o755, b"#!/bin/sh\n")
    assert b'"3.13t"' in finder
    assert b"@" not in finder.replace(b'"$@"', b"")
    assert found["pyvenv.cfg"][1] == b"include-system-site-packages = false\n"
    assert found["bin/python3.13"] == found["bin/python3.13t"] == (0o777, b"python")
    assert found["bin/old"][1].startswith(b"#!/srv/env/bin/python\n")


def test_on_macos_a_script_is_no_scripts_interpreter(workshop: Workshop) -> None:
    found = head(workshop, short_target("3.11", "macos-arm64"))
    assert "lib64" not in found
    assert found["bin/old"][1].startswith(b"#!/bin/sh\n")
    found = head(workshop, short_target("3.11", "macos-arm64"), python="/usr/local/bin/python3.11")
    assert found["bin/old"][1].startswith(b"#!/srv/env/bin/python\n")


def test_a_windows_head(workshop: Workshop) -> None:
    found = head(workshop, WINDOWS, "C:\\env", python="C:\\Python311\\python.exe")
    assert list(found)[3:] == [
        *(f"Scripts/{name}.exe" for name in ("full-b", "full-gui", "full", "old", "win")),
        "Scripts/Activate.ps1", "Scripts/activate", "Scripts/activate.bat", "Scripts/deactivate.bat",
    ]  # fmt: skip
    assert found["pyvenv.cfg"][1].decode() == (
        "home = C:\\Python311\ninclude-system-site-packages = false\nversion = 3.11\n"
    )
    for name, interpreter, code in (
        ("full", b"python.exe", script_code(EntryPoint("console", "full", "full_project", "main"))),
        ("full-gui", b"pythonw.exe", script_code(EntryPoint("gui", "full", "full_project", "gui"))),
        ("old", b"python.exe", b"print('old')\n"),
        ("win", b"pythonw.exe", b"print(2)\n"),
    ):
        exe = found[f"Scripts/{name}.exe"][1]
        assert exe.startswith(b"MZ")
        launcher = exe[: exe.rindex(b"#!C:\\env\\Scripts\\" + interpreter + b"\n")]
        # The end of a PE file's sections: nothing of the launcher is cut off, nothing is left behind it.
        assert len(launcher) > 90_000
        with zipfile.ZipFile(io.BytesIO(exe)) as archive:
            assert archive.read("__main__.py") == code
    assert b"\r\n" in found["Scripts/activate.bat"][1]


def test_windows_launchers_quote_a_path_with_spaces_and_touch_no_other_part_of_it() -> None:
    _name, exe = nt_script("C:\\python env\\Scripts\\python.exe", "run.py", "gui", b"pass\n")
    assert b'#!"C:\\python env\\Scripts\\pythonw.exe"\n' in exe
    assert _name == "run.exe"
    assert exe == nt_script("C:\\python env\\Scripts\\python.exe", "run", "gui", b"pass\n")[1]


@pytest.mark.parametrize("prefix", ["env", "/srv/../env", "/srv/e\nnv", "C:\\env"])
def test_a_bad_place_is_refused(workshop: Workshop, prefix: str) -> None:
    manifest, layers = workshop.environment([make_wheel("tiny", "1.0")])
    with pytest.raises(BadPrefix):
        make_head(manifest, layers, HeadOptions(prefix))
    with pytest.raises(BadPrefix):
        make_head(manifest, layers, HeadOptions("/srv/env", python=prefix))


def test_a_prompt_is_one_line(workshop: Workshop) -> None:
    manifest, layers = workshop.environment([make_wheel("tiny", "1.0")])
    with pytest.raises(BadPrefix, match="prompt"):
        make_head(manifest, layers, HeadOptions("/srv/env", prompt="a\nb"))
    found = members(make_head(manifest, layers, HeadOptions("/srv/env", prompt="it's mine")))
    assert found["pyvenv.cfg"][1].decode().splitlines()[-1] == 'prompt = "it\'s mine"'


@pytest.mark.parametrize(
    "folder",
    [
        "plain", "with space", "it's", 'say "hi"', "$HOME", "back\\slash", "back\\Nslash\\", "`id`", "a&b;c",
        "''''", "\\''", "x" * 120, "Größe", "#hash", "!bang", "%percent", "tab%20", "(x)",
    ],
)  # fmt: skip
@pytest.mark.parametrize("shell", ["kernel", "dash", "bash", "busybox"])
def test_scripts_run_in_any_folder(tmp_path: Path, folder: str, shell: str) -> None:
    python = tmp_path / folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    script = tmp_path / "script"
    body = b'"""Doc."""\nimport sys\nprint(sys.argv[1:], __name__)\n'
    script.write_bytes(posix_script(str(python), body))
    script.chmod(0o755)
    commands: dict[str, list[str]] = {
        "kernel": [],
        "dash": ["dash"],
        "bash": ["bash"],
        "busybox": ["busybox", "sh"],
    }
    if script.read_bytes().startswith(b"#!/bin/sh") or shell == "kernel":
        done = run([*commands[shell], script, "one", "t w o"])
        assert done.stdout == "['one', 't w o'] __main__\n"
    done = run([sys.executable, "-W", "error", script, "direct"])
    assert done.stdout == "['direct'] __main__\n"
