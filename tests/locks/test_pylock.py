"""Locks written as pylock.toml, and pylock.toml files read."""

# ruff: noqa: E501 (the written files have long lines)

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import PurePosixPath
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot
from packaging.markers import Environment
from packaging.pylock import PackageWheel, Pylock
from packaging.tags import Tag

from tests.locks.building import LINUX, MAC, WINDOWS, dist_file, edge, files, locks, pin, two_target_lock
from venvery.errors import BadLock
from venvery.model.files import DistFile
from venvery.model.lock import Lock
from venvery.model.requirements import parse_requirement
from venvery.resolve.readers import pylock as reader
from venvery.resolve.readers import read_pylock
from venvery.resolve.writers import write_pylock


def test_a_lock_of_two_targets() -> None:
    written = write_pylock(two_target_lock(), indexes={"main": "https://me:secret@index.example/simple"})
    assert "secret" not in written
    assert written == snapshot("""\
lock-version = "1.0"
environments = [
    "python_version == \\"3.11\\" and sys_platform == \\"linux\\" and platform_machine == \\"x86_64\\" and implementation_name == \\"cpython\\"",
    "python_version == \\"3.12\\" and sys_platform == \\"win32\\" and platform_machine == \\"AMD64\\" and implementation_name == \\"cpython\\"",
]
requires-python = ">=3.11"
created-by = "venvery"

[[packages]]
name = "colours"
version = "1.0"
marker = "python_version >= \\"3.12\\""
requires-python = ">=3.8"
index = "https://index.example/simple"
wheels = [
    { name = "colours-1.0-py3-none-any.whl", url = "https://files.example/colours-1.0-py3-none-any.whl", hashes = { sha256 = "09d709d709d709d709d709d709d709d709d709d709d709d709d709d709d709d7" } },
]

[[packages]]
name = "numbers"
version = "1.5"
marker = "python_version < \\"3.12\\""
index = "https://index.example/simple"
wheels = [
    { name = "numbers-1.5-cp311-cp311-manylinux_2_17_x86_64.whl", url = "https://files.example/numbers-1.5-cp311-cp311-manylinux_2_17_x86_64.whl", hashes = { sha256 = "0fd80fd80fd80fd80fd80fd80fd80fd80fd80fd80fd80fd80fd80fd80fd80fd8" } },
]

[[packages]]
name = "numbers"
version = "2.0"
marker = "python_version >= \\"3.12\\""
index = "https://index.example/simple"
wheels = [
    { name = "numbers-2.0-cp312-cp312-win_amd64.whl", url = "https://files.example/numbers-2.0-cp312-cp312-win_amd64.whl", hashes = { sha256 = "0bd40bd40bd40bd40bd40bd40bd40bd40bd40bd40bd40bd40bd40bd40bd40bd4" } },
]

[[packages]]
name = "web"
version = "2.1"
dependencies = [
    { name = "colours" },
    { name = "numbers", version = "1.5" },
    { name = "numbers", version = "2.0" },
]
index = "https://index.example/simple"
sdist = { name = "web-2.1.tar.gz", url = "https://files.example/web-2.1.tar.gz", hashes = { sha512 = "abababababababababababababababababababababababababababababababababababababababababababababababababababababababababababababababab" } }
wheels = [
    { name = "web-2.1-py3-none-any.whl", upload-time = 2026-01-31 12:00:00+00:00, url = "https://files.example/web-2.1-py3-none-any.whl", size = 1234, hashes = { sha256 = "0810081008100810081008100810081008100810081008100810081008100810" } },
]

[tool.venvery]
targets = [
    { python = "3.11", platform = "linux-x86_64" },
    { python = "3.12", platform = "windows-x86_64" },
]
requirements = [
    "Web[fast]>=2",
    "numbers",
]
requested = [
    "numbers",
    "web",
]
""")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(locks())
def test_what_is_written_is_valid_and_selects_the_pins_of_every_target(lock: Lock) -> None:
    usable = tuple(
        replace(pin, files=(dist_file(f"{pin.project}-{pin.version}-py3-none-any.whl"),), hashes=())
        for pin in lock.pins
    )
    lock = replace(lock, pins=usable, requirements=())
    try:
        written = write_pylock(lock)
    except BadLock as error:
        assert "no environment marker tells" in str(error)
        return
    document = tomllib.loads(written)
    pylock = Pylock.from_dict(document)
    pylock.validate()
    assert pylock.to_dict() == document, "the reference would write the same"
    for index, target in enumerate(lock.targets):
        if any(package.requires_python for package in pylock.packages) and "rc" in target.python:
            continue  # a pre-release of Python is outside `>=3.8,<4` for packaging, and so for pip
        selected = pylock.select(
            environment=cast("Environment", target.marker_environment),
            tags=[Tag(*tag.split("-")) for tag in target.tags],
        )
        assert {(package.name, package.version) for package, _file in selected} == {
            (pin.project, pin.version) for pin in lock.pins_for(index)
        }


@settings(deadline=None, max_examples=60)
@given(files("web", "1.0"), st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_said_of_a_file_is_what_the_reference_reads(file: DistFile, said: str) -> None:
    """Whatever stands in its texts: quotes, line ends, control characters."""
    requirement = replace(parse_requirement("web"), text=said)
    lock = Lock((LINUX,), (replace(pin("web-1.0-py3-none-any.whl"), files=(file,)),), (requirement,))
    if not file.sha256 and not file.hashes:
        with pytest.raises(BadLock, match="no hash"):
            write_pylock(lock)
        return
    document = tomllib.loads(write_pylock(lock))
    (package,) = Pylock.from_dict(document).packages
    (read,) = package.wheels or [package.sdist]
    assert read is not None
    assert (read.name, read.url, read.size) == (file.filename, file.url, file.size)
    assert read.upload_time == file.upload_time
    known = {"sha256": file.sha256} if file.sha256 else dict(file.hashes)
    assert read.hashes
    assert read.hashes.items() <= known.items()
    assert document["tool"]["venvery"]["requirements"] == [said]


def test_what_we_wrote_reads_back_as_the_same_environments() -> None:
    lock = two_target_lock()
    read = read_pylock(write_pylock(lock), origin="pylock.toml", targets=lock.targets)
    assert read.targets == lock.targets
    assert read.requirements == lock.requirements
    for before, after in zip(lock.pins, read.pins, strict=True):
        assert (after.project, after.version, after.targets, after.requested, after.requires_python) == (
            before.project,
            before.version,
            before.targets,
            before.requested,
            before.requires_python,
        )
        assert [(f.filename, f.url, f.sha256, f.size, f.upload_time) for f in after.files] == [
            (f.filename, f.url, f.sha256, f.size, f.upload_time) for f in before.files
        ]
    assert [e.project for e in read.pins[-1].edges] == ["colours", "numbers"]


def test_only_what_serves_the_targets_is_read() -> None:
    lock = two_target_lock()
    read = read_pylock(write_pylock(lock), origin="pylock.toml", targets=(LINUX,))
    assert [(pin.project, str(pin.version)) for pin in read.pins] == [("numbers", "1.5"), ("web", "2.1")]
    numbers = replace(
        pin("numbers-1.5-cp311-cp311-manylinux_2_17_x86_64.whl"),
        files=tuple(
            map(
                dist_file,
                (
                    "numbers-1.5-py3-none-any.whl",
                    "numbers-1.5-cp311-cp311-win_amd64.whl",
                    "numbers-1.5-cp311-cp311-manylinux_2_17_x86_64.whl",
                ),
            )
        ),
    )
    read = read_pylock(write_pylock(Lock((LINUX,), (numbers,), ())), origin="pylock.toml", targets=(LINUX,))
    assert [file.filename for file in read.pins[0].files] == [
        "numbers-1.5-cp311-cp311-manylinux_2_17_x86_64.whl",
        "numbers-1.5-py3-none-any.whl",
    ]


def test_a_target_that_the_file_is_not_made_for_is_refused() -> None:
    with pytest.raises(BadLock, match=r"pylock\.toml cannot be used for Python 3\.11\.0 on macos-arm64"):
        read_pylock(write_pylock(two_target_lock()), origin="pylock.toml", targets=(MAC,))


def test_a_direct_reference_is_an_archive_and_comes_back() -> None:
    asked = parse_requirement("web @ https://files.example/web-2.1-py3-none-any.whl")
    lock = Lock((LINUX,), (pin("web-2.1-py3-none-any.whl", requested=True),), (asked,))
    package = Pylock.from_dict(tomllib.loads(write_pylock(lock))).packages[0]
    assert package.archive is not None
    assert package.archive.url == asked.url
    read = read_pylock(write_pylock(lock), origin="pylock.toml", targets=(LINUX,))
    assert read.requirements == (asked,)
    assert read.pins[0].files == (replace(lock.pins[0].files[0], source=""),)


def test_a_local_direct_reference_is_an_archive_by_its_path() -> None:
    asked = parse_requirement("web @ file:///srv/my%20wheels/web-2.1-py3-none-any.whl")
    file = dist_file("web-2.1-py3-none-any.whl", url=asked.url, source="")
    lock = Lock((LINUX,), (replace(pin(file.filename, requested=True), files=(file,)),), (asked,))
    package = Pylock.from_dict(tomllib.loads(write_pylock(lock))).packages[0]
    assert package.archive is not None
    assert (package.archive.url, package.archive.path) == (None, "/srv/my wheels/web-2.1-py3-none-any.whl")
    assert read_pylock(write_pylock(lock), origin="pylock.toml", targets=(LINUX,)) == lock


def test_an_archive_of_another_tool_becomes_a_direct_reference() -> None:
    text = HEAD + f'[[packages]]\nname = "a"\narchive = {{url = "https://x/a-1-py3-none-any.whl", {HASHES}}}'
    read = read_pylock(text, origin="pylock.toml", targets=(LINUX,))
    assert [requirement.text for requirement in read.requirements] == ["a @ https://x/a-1-py3-none-any.whl"]


def test_files_of_a_directory_keep_their_file_url() -> None:
    file = dist_file("web-2.1-py3-none-any.whl", url="file:///srv/wheels/web-2.1-py3-none-any.whl")
    written = write_pylock(Lock((LINUX,), (replace(pin(file.filename), files=(file,)),), ()))
    wheels = Pylock.from_dict(tomllib.loads(written)).packages[0].wheels
    assert wheels is not None
    assert wheels[0].url == file.url


def test_other_hashes_do_where_there_is_no_sha256() -> None:
    file = dist_file("web-2.1-py3-none-any.whl", sha256=None, hashes=(("md5", "0" * 32), ("sha512", "ab" * 64)))
    written = write_pylock(Lock((LINUX,), (replace(pin(file.filename), files=(file,)),), ()))
    wheel = cast("list[PackageWheel]", Pylock.from_dict(tomllib.loads(written)).packages[0].wheels)[0]
    assert wheel.hashes == {"sha512": "ab" * 64}
    read = read_pylock(written, origin="pylock.toml", targets=(LINUX,)).pins[0].files[0]
    assert (read.sha256, read.hashes) == (None, (("sha512", "ab" * 64),))


def test_a_file_without_any_hash_is_named() -> None:
    file = dist_file("web-2.1-py3-none-any.whl", sha256=None)
    with pytest.raises(BadLock, match=r"web-2\.1-py3-none-any\.whl has no hash"):
        write_pylock(Lock((LINUX,), (replace(pin(file.filename), files=(file,)),), ()))


def test_a_dependency_with_several_versions_is_named_with_its_version() -> None:
    lock = Lock(
        (LINUX, WINDOWS),
        (
            pin("a-1-py3-none-any.whl", targets=(0, 1), edges=(edge("b", "b", 0, 1), edge("a", "a[x]", 0))),
            pin("b-1-py3-none-any.whl", targets=(0,)),
            pin("b-2-py3-none-any.whl", targets=(1,)),
        ),
        (),
    )
    packages = Pylock.from_dict(tomllib.loads(write_pylock(lock))).packages
    assert packages[0].dependencies == [{"name": "b", "version": "1"}, {"name": "b", "version": "2"}]
    assert packages[1].dependencies is None


HEAD = 'lock-version = "1.0"\ncreated-by = "x"\n'
HASHES = 'hashes = {sha256 = "' + "ab" * 32 + '"}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lock-version = ", "pylock.toml is not TOML"),
        ('lock-version = "2.0"\ncreated-by = "x"\npackages = []', "version 2.0 is not supported"),
        ('lock-version = "1.0"\npackages = []', "created-by"),
        (HEAD + '[[packages]]\nname = "A"', "not normalized"),
        (
            HEAD + '[[packages]]\nname = "a"\nvcs = {type = "git", url = "https://x/y", commit-id = "0"}',
            "a comes from version control",
        ),
        (HEAD + '[[packages]]\nname = "a"\ndirectory = {path = "."}', "a is a local directory"),
        (
            HEAD + f'[[packages]]\nname = "a"\narchive = {{url = "https://x/a-1.tar.gz", {HASHES}}}',
            "an archive that has to be built",
        ),
        (
            HEAD + f'[[packages]]\nname = "a"\nwheels = [{{path = "a-1-py3-none-any.whl", {HASHES}}}]',
            "names a file by its path",
        ),
        (
            HEAD + f'[[packages]]\nname = "a"\nwheels = [{{url = "ftp://x/a-1-py3-none-any.whl", {HASHES}}}]',
            "not http, https or file",
        ),
        (
            HEAD + '[[packages]]\nname = "a"\n'
            'wheels = [{url = "https://x/a-1-py3-none-any.whl", hashes = {sha256 = "00"}}]',
            "sha256 of a-1-py3-none-any.whl is not 64 hex digits",
        ),
        (
            HEAD + f'[[packages]]\nname = "a"\nwheels = [{{url = "https://x/a-1-cp39-cp39-win32.whl", {HASHES}}}]',
            "no wheel found matching",
        ),
        (
            HEAD + '[[packages]]\nname = "a"\ndependencies = [{name = "b"}]\n'
            f'wheels = [{{url = "https://x/a-1-py3-none-any.whl", {HASHES}}}]',
            "depends on 'b'",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(text: str, message: str) -> None:
    with pytest.raises(BadLock, match=message) as caught:
        read_pylock(text, origin="pylock.toml", targets=(LINUX,))
    assert str(caught.value).startswith("pylock.toml")
    assert "\n" not in str(caught.value)


def test_a_file_beside_the_lock_is_found_from_its_folder() -> None:
    text = HEAD + f'[[packages]]\nname = "a"\nwheels = [{{path = "w/a-1-py3-none-any.whl", {HASHES}}}]'
    read = read_pylock(text, origin="pylock.toml", targets=(LINUX,), directory=PurePosixPath("/srv/my project"))
    assert read.pins[0].files[0].url == "file:///srv/my%20project/w/a-1-py3-none-any.whl"
    assert read.pins[0].requested


def test_groups_and_extras_choose_packages() -> None:
    text = (
        HEAD + 'extras = ["fast"]\ndependency-groups = ["dev", "docs"]\ndefault-groups = ["dev"]\n'
        f'[[packages]]\nname = "a"\nmarker = "\'fast\' in extras"\n'
        f'wheels = [{{url = "https://x/a-1-py3-none-any.whl", {HASHES}}}]\n'
        f'[[packages]]\nname = "b"\nmarker = "\'dev\' in dependency_groups"\n'
        f'wheels = [{{url = "https://x/b-1-py3-none-any.whl", {HASHES}}}]\n'
    )

    def names(**choice: tuple[str, ...]) -> list[str]:
        lock = read_pylock(text, origin="pylock.toml", targets=(LINUX,), **choice)
        return [pin.project for pin in lock.pins]

    assert names() == ["b"]
    assert names(extras=("fast",)) == ["a", "b"]
    assert names(extras=("fast",), groups=()) == ["a"]


def test_a_file_too_large_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_CHARACTERS", 10)
    with pytest.raises(Exception, match="larger than 10 characters"):
        read_pylock(HEAD, origin="pylock.toml", targets=(LINUX,))
