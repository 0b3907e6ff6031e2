"""Pip's settings, read from its files and variables as pip does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from venvery.catalog.pip_settings import (
    DEFAULT_INDEX_URL,
    Machine,
    SourceWords,
    configuration_files,
    read_pip_settings,
    sources_of,
)
from venvery.errors import BadConfiguration

MakeMachine = Callable[..., Machine]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def relative(machine: Machine) -> list[str]:
    root = machine.home.parent
    return [path.relative_to(root).as_posix() for path in configuration_files(machine)]


def test_nothing_said_is_nothing(make_machine: MakeMachine) -> None:
    settings = read_pip_settings(make_machine())
    assert not settings.words
    assert (settings.cert, settings.timeout, settings.trusted_hosts) == (None, None, ())


def test_files_are_looked_for_where_pip_looks(make_machine: MakeMachine) -> None:
    machine = make_machine()
    assert relative(machine) == [
        "root/etc/xdg/pip/pip.conf",
        "root/etc/pip.conf",
        "home/.pip/pip.conf",
        "home/.config/pip/pip.conf",
        "prefix/pip.conf",
    ]
    base = machine.home.parent
    moved = make_machine(XDG_CONFIG_HOME=str(base / "x"), XDG_CONFIG_DIRS=f"{base / 'a'}{os.pathsep}{base / 'b'}")
    assert relative(moved) == [
        "a/pip/pip.conf",
        "b/pip/pip.conf",
        "root/etc/pip.conf",
        "home/.pip/pip.conf",
        "x/pip/pip.conf",
        "prefix/pip.conf",
    ]
    assert relative(make_machine("darwin"))[0] == "root/Library/Application Support/pip/pip.conf"
    assert relative(make_machine("darwin"))[2] == "home/.config/pip/pip.conf"
    windows = make_machine("win32", APPDATA=str(base / "roaming"), PROGRAMDATA=str(base / "shared"))
    assert relative(windows) == ["shared/pip/pip.ini", "home/pip/pip.ini", "roaming/pip/pip.ini", "prefix/pip.ini"]


def test_the_closer_file_wins_key_by_key(make_machine: MakeMachine) -> None:
    machine = make_machine()
    write(machine.system / "etc/pip.conf", "[global]\nindex-url = https://a.example\ncert = a.pem\ntimeout = 5\n")
    write(machine.home / ".pip/pip.conf", "[global]\nindex_url = https://b.example\n")
    write(machine.home / ".config/pip/pip.conf", "[global]\ntrusted-host =\n  one\n  two:8080\n")
    write(machine.prefix / "pip.conf", "[install]\nfind-links = /w1 /w2\nretries: 2\n[download]\nno-index = yes\n")
    settings = read_pip_settings(machine)
    assert settings.words == SourceWords(index_url="https://b.example", find_links=("/w1", "/w2"))
    assert (settings.cert, settings.timeout, settings.retries) == ("a.pem", 5.0, 2)
    assert settings.trusted_hosts == ("one", "two:8080")


def test_install_wins_over_global_and_the_environment_over_both(make_machine: MakeMachine) -> None:
    machine = make_machine(PIP_EXTRA_INDEX_URL="https://d.example https://e.example", PIP_NO_INDEX="")
    write(machine.prefix / "pip.conf", "[global]\nindex-url = https://a.example\nno-index = 1\n")
    write(
        machine.home / ".config/pip/pip.conf",
        "[install]\nindex-url = https://b.example\nextra-index-url = https://c.example\n",
    )
    assert read_pip_settings(machine).words == SourceWords(
        "https://b.example", ("https://d.example", "https://e.example"), no_index=True
    )


def test_a_named_file_stands_in_for_the_users_own(make_machine: MakeMachine, tmp_path: Path) -> None:
    write(tmp_path / "my.conf", "[global]\nindex-url = https://mine.example\n")
    machine = make_machine(PIP_CONFIG_FILE=str(tmp_path / "my.conf"))
    write(machine.home / ".pip/pip.conf", "[global]\nfind-links = /home-wheels\n")
    write(machine.prefix / "pip.conf", "[global]\nindex-url = https://prefix.example\ntimeout = 7\n")
    settings = read_pip_settings(machine)
    assert settings.words == SourceWords("https://mine.example")
    assert settings.timeout == 7
    missing = make_machine(PIP_CONFIG_FILE=str(tmp_path / "missing.conf"))
    assert read_pip_settings(missing).words.find_links == ("/home-wheels",)
    assert read_pip_settings(make_machine(PIP_CONFIG_FILE=os.devnull)).timeout is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[global]\nno-index = maybe\n", "no-index must be yes or no"),
        ("[global]\ntimeout = soon\n", "timeout must be a number"),
        ("[global]\nretries = -1\n", "retries must be a number"),
        ("index-url = x\n", "pip.conf cannot be read"),
        ("[global]\na = 1\na = 2\n", "pip.conf cannot be read"),
    ],
)
def test_what_pip_could_not_read_is_refused(make_machine: MakeMachine, text: str, message: str) -> None:
    machine = make_machine()
    write(machine.home / ".config/pip/pip.conf", text)
    with pytest.raises(BadConfiguration, match=message) as caught:
        read_pip_settings(machine)
    assert "\n" not in str(caught.value)


def test_latin_1_is_refused(make_machine: MakeMachine) -> None:
    machine = make_machine()
    (machine.prefix / "pip.conf").write_bytes(b"[global]\nproxy = \xfc\n")
    with pytest.raises(BadConfiguration, match="not UTF-8"):
        read_pip_settings(machine)


def test_the_real_pip_says_the_same(make_machine: MakeMachine, tmp_path: Path) -> None:
    """Ask the pip of this interpreter, in a home of its own, what it was told."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        pytest.skip("this interpreter has no pip")
    machine = make_machine(PIP_EXTRA_INDEX_URL="https://e.example/simple")
    write(
        machine.home / ".config/pip/pip.conf",
        "[global]\nindex_url = https://g.example\nfind-links =\n    /w1\n    /w2\n[install]\nretries = 3\n",
    )
    write(machine.home / ".pip/pip.conf", "[global]\nindex-url = https://old.example\ntrusted-host = h.example\n")
    environ = {
        "HOME": str(machine.home),
        "PATH": os.environ["PATH"],
        **machine.environ,
        "XDG_CONFIG_DIRS": "/none",
    }
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], env=environ, capture_output=True, text=True, check=True
    ).stdout
    settings = read_pip_settings(machine)
    assert f"global.index-url='{settings.words.index_url}'" in listed
    assert "global.find-links='\\n/w1\\n/w2'" in listed
    assert settings.words.find_links == ("/w1", "/w2")
    assert f":env:.extra-index-url='{settings.words.extra_index_urls[0]}'" in listed
    assert f"install.retries='{settings.retries}'" in listed
    assert f"global.trusted-host='{settings.trusted_hosts[0]}'" in listed


def test_words_become_sources(make_machine: MakeMachine, tmp_path: Path) -> None:
    machine = make_machine()
    for folder in ("tree", "my wheels"):
        (tmp_path / folder).mkdir()
    (tmp_path / "links.html").write_text("")
    (machine.home / "wheels").mkdir()
    words = SourceWords(
        index_url="https://me:secret@a.example/simple/",
        extra_index_urls=((tmp_path / "tree").as_uri(), "https://you:other@a.example/simple", "http://b.example"),
        find_links=("my wheels", "~/wheels", "links.html", "https://c.example/links/", "missing", "my wheels"),
    )
    sources, warnings = sources_of(words, machine)
    assert [(source.name, source.kind, source.location) for source in sources] == [
        (str(tmp_path / "my wheels"), "flat", str(tmp_path / "my wheels")),
        (str(machine.home / "wheels"), "flat", str(machine.home / "wheels")),
        (str(tmp_path / "links.html"), "links", (tmp_path / "links.html").as_uri()),
        ("https://c.example/links/", "links", "https://c.example/links/"),
        ("https://a.example/simple", "index", "https://me:secret@a.example/simple"),
        (str(tmp_path / "tree"), "tree", str(tmp_path / "tree")),
        ("https://a.example/simple (2)", "index", "https://you:other@a.example/simple"),
        ("http://b.example", "index", "http://b.example"),
    ]
    assert warnings == ("missing is left out: there is no such file or folder",)
    assert "secret" not in f"{sources} {[str(source) for source in sources]} {words!r}"


def test_without_words_it_is_the_public_index(make_machine: MakeMachine) -> None:
    assert [source.location for source in sources_of(SourceWords(), make_machine())[0]] == [DEFAULT_INDEX_URL]
    assert sources_of(SourceWords(no_index=True), make_machine()) == ((), ())


@pytest.mark.parametrize(
    "url", ["ftp://a.example", "https://", "https://a.example/a b", "http://a:port/", "x\n://y"]
)
def test_a_url_that_cannot_be_opened_is_refused(make_machine: MakeMachine, url: str) -> None:
    with pytest.raises(BadConfiguration, match="is not a URL that packages could come from"):
        sources_of(SourceWords(index_url=url), make_machine())
