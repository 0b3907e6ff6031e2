"""Our own document: a lock as plain values and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from tests.locks.building import locks, two_target_lock
from venvery.errors import BadInput, BadLock, LimitExceeded
from venvery.model.lock import Lock
from venvery.resolve.readers import document as reader
from venvery.resolve.readers import lock_from_document, read_json
from venvery.resolve.writers import lock_to_document, write_json, write_yaml


def told(lock: Lock) -> tuple[Any, ...]:
    """Everything in a lock, the fields too that its equality does not look at."""
    asked = tuple(
        (r.text, r.project, r.extras, r.specifier, str(r.marker), r.url, r.origin, r.hashes)
        for r in lock.requirements
    )
    return lock, asked, tuple(target.short for target in lock.targets)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(locks())
def test_a_lock_comes_back_from_its_document_as_it_was(lock: Lock) -> None:
    document = lock_to_document(lock)
    assert told(lock_from_document(document)) == told(lock)
    assert json.loads(write_json(lock)) == document
    assert yaml.load(write_yaml(lock), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) == document
    assert told(read_json(write_json(lock))) == told(lock)


def test_the_document_has_the_whole_graph() -> None:
    document = lock_to_document(two_target_lock())
    assert document["venvery"] == 1
    assert document["targets"] == [
        {"python": "3.11", "platform": "linux-x86_64"},
        {"python": "3.12", "platform": "windows-x86_64"},
    ]
    web = document["pins"][-1]
    assert web["dependencies"] == [
        {"project": "colours", "requirement": 'colours ; sys_platform == "win32"', "targets": [1]},
        {"project": "numbers", "requirement": 'numbers>=1 ; extra == "fast"', "targets": [0, 1]},
    ]
    assert web["files"][0] == {
        "filename": "web-2.1-py3-none-any.whl",
        "url": "https://files.example/web-2.1-py3-none-any.whl",
        "sha256": "0810" * 16,
        "size": 1234,
        "yanked": "",
        "upload_time": "2026-01-31T12:00:00Z",
        "source": "main",
        "core_metadata": "",
    }
    assert document["warnings"] == ["web 2.1 is yanked"]


def changed(path: str, value: Any) -> dict[str, Any]:
    """Give the document of a good lock with one value replaced; `...` removes it."""
    document: Any = lock_to_document(two_target_lock())
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place = document
    for part in way:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return document  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("venvery", 2, "has format 2"),
        ("venvery", ..., "venvery is missing"),
        ("venvery", True, "must be a whole number"),
        ("targets", "all", "targets must be a list, not str"),
        ("targets.0", {"python": "3.11"}, r"targets\[0\]"),
        ("targets.0", None, r"targets\[0\]"),
        ("pins", {}, "pins must be a list"),
        ("pins.0", [], r"pins\[0\] must be an object"),
        ("pins.0.project", "../x", r"pins\[0\].project is not a valid project name"),
        ("pins.0.version", "one", r"pins\[0\].version is not a version"),
        ("pins.0.targets", [2], r"pins\[0\].targets must be a list of indexes into the lock's 2 targets"),
        ("pins.0.targets", [True], r"pins\[0\].targets must be a list of indexes"),
        ("pins.0.targets", [-1], r"pins\[0\].targets must be a list of indexes"),
        ("pins.0.requires_python", "new", r"pins\[0\].requires_python is not a version specifier"),
        ("pins.0.hashes", ["md5:0"], r"pins\[0\].hashes must be a list of sha256"),
        ("pins.0.files.0.filename", "../colours-1.0-py3-none-any.whl", r"files\[0\].filename is not the name"),
        ("pins.0.files.0.filename", "colours-2.0-py3-none-any.whl", r"filename is not of colours 1.0"),
        ("pins.0.files.0.url", "ftp://x/y.whl", r"files\[0\].url is not an http"),
        ("pins.0.files.0.url", "https://x/y\n.whl", r"files\[0\].url is not an http"),
        ("pins.0.files.0.sha256", "AB" * 32, r"files\[0\].sha256 is not 64 lower-case hex digits"),
        ("pins.0.files.0.sha256", "ab" * 31, r"files\[0\].sha256 is not 64 lower-case hex digits"),
        ("pins.0.files.0.size", -1, r"files\[0\].size is no number of bytes"),
        ("pins.0.files.0.size", 2**63, r"files\[0\].size is no number of bytes"),
        ("pins.0.files.0.size", "10", r"files\[0\].size must be a whole number, not str"),
        ("pins.0.files.0.upload_time", "yesterday", r"upload_time is not a time"),
        ("pins.0.files.0.upload_time", "2026-01-01T00:00:00", r"upload_time has no time zone"),
        ("pins.0.files.0.hashes", {"sha512": 7}, r"hashes must give hex digits"),
        ("pins.3.dependencies.0.project", 7, r"pins\[3\].dependencies\[0\].project must be a text"),
        ("pins.2.targets", [0, 1], "numbers is pinned more than once for Python 3.11.0 on linux-x86_64"),
        ("warnings", [1], "warnings must be a list of texts"),
        ("requirements.0.requirement", "web>>2", "is not a requirement"),
    ],
)
def test_a_broken_document_is_refused_with_its_place(path: str, value: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        lock_from_document(changed(path, value))


@pytest.mark.parametrize("document", [None, [], "lock", 7])
def test_a_lock_is_an_object(document: object) -> None:
    with pytest.raises(BadLock, match="a lock is an object"):
        lock_from_document(document)


def test_too_many_pins_are_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_PINS", 3)
    with pytest.raises(LimitExceeded, match="pins has more than 3 entries"):
        lock_from_document(lock_to_document(two_target_lock()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"venvery": 1,\n  ]', "lock, line 2, column 3: not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_text_that_is_not_json_is_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(BadLock, match=message):
        read_json(text)
