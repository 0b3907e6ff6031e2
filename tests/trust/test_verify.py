"""Verification: whatever is done to an environment, its documents or its signature shows."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.environments.workshop import Workshop, unpack
from tests.support.machine import find_python
from tests.support.wheels import make_wheel
from venvery.client.state import write_state
from venvery.environments import Manifest, compile_layers
from venvery.environments.checking import Checked
from venvery.environments.dsse import sign
from venvery.environments.installed import Installed, open_installed
from venvery.environments.provenance import PAYLOAD_TYPE, statement
from venvery.errors import BadConfiguration, BadInput, VerificationFailed
from venvery.services.attesting import Attester
from venvery.services.keys import ServerKeys
from venvery.services.known_keys import KnownKeys
from venvery.services.verifying import Signature, check_files, check_signature, server_of

SITE = "lib/python3.11/site-packages"
SERVER = "http://server.example"


def python() -> str:
    found = find_python("3.11")
    assert found is not None
    return str(found)


class Place:
    """A signed environment, and short ways to check it."""

    def __init__(self, workshop: Workshop, folder: Path) -> None:
        self.workshop = workshop
        self.folder = folder
        self.root = folder / "env"
        self.keys = ServerKeys(folder / "server-keys")
        self.known = KnownKeys(folder / "config" / "known-keys.json")
        self.own = ServerKeys(folder / "own-keys")

    def make(self, **options: object) -> Place:
        """Make it, with bytecode."""
        wheels = [
            make_wheel(
                "program", "1.0",
                files={"program/__init__.py": "", "program/main.py": "def main(): print('hello')\n"},
                entry_points={"console_scripts": {"hello": "program.main:main"}},
                scripts={"old": "#!python\nprint(1)\n", "tool": "#!/bin/sh\necho tool\n"},
                data={"data/share/jupyter/kernels/python3/kernel.json": '{"argv": ["python"]}', "data/etc/x": "x"},
            ),
            make_wheel("library", "2.0", files={"library.py": "x = 1\n" * 2000, "broken.py": "def\n"}),
        ]  # fmt: skip
        layers = [self.workshop.layer(wheel) for wheel in wheels]
        bytecode = compile_layers(layers, layers_family(), python(), self.workshop.blobs)
        self.install(*self.workshop.environment(wheels, bytecode=bytecode), bytecode, **options)
        return self

    def install(self, manifest: Manifest, layers: list, bytecode: list, **options: object) -> None:  # type: ignore[type-arg]
        from venvery.environments import Archive, HeadOptions, make_head

        options = {"python": python(), "python_version": "3.11.0", "encoding": "gzip"} | options
        head = make_head(
            manifest,
            layers,
            HeadOptions(str(self.root), **options),
            Attester(self.keys).documents(manifest),  # type: ignore[arg-type]
        )
        archive = Archive(manifest, head, self.workshop.blobs, "gzip")
        unpack(b"".join(archive.chunks()), self.root, "gzip", "gnu-tar")
        write_state(str(self.root), {"server": SERVER})

    @property
    def installed(self) -> Installed:
        return open_installed(self.root)

    def check(self) -> Checked:
        return check_files(self.installed, None)

    def found(self) -> set[tuple[str, str]]:
        return {(finding.kind, finding.path) for finding in self.check().findings}

    def signature(self, *pinned: str) -> Signature:
        return check_signature(server_of(self.root), self.installed, pinned, self.known, self.own)


def layers_family():  # type: ignore[no-untyped-def]
    from tests.environments.workshop import POSIX

    return POSIX


@pytest.fixture
def place(workshop: Workshop, tmp_path: Path) -> Place:
    return Place(workshop, tmp_path).make()


def test_nothing_was_done(place: Place) -> None:
    checked = place.check()
    assert checked.findings == []
    assert checked.layers == len(place.installed.manifest.layers) == 4
    files = sum(1 for path in place.root.rglob("*") if path.is_symlink() or path.is_file())
    documents = len(list((place.root / ".venvery").iterdir()))
    assert checked.files == files - documents
    assert any("rests on" in note for note in checked.notes)
    subprocess.run([place.root / "bin/hello"], check=True, capture_output=True)
    assert place.check().findings == []


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def write(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


def relink(path: Path) -> None:
    path.unlink()
    path.symlink_to("/bin/true")


def to_folder_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


PYC = f"{SITE}/__pycache__/library.cpython-311.pyc"
KERNEL = "share/jupyter/kernels/python3/kernel.json"
INFO = f"{SITE}/library-2.0.dist-info"

DEEDS: list[tuple[str, Callable[[Path], object], set[tuple[str, str]]]] = [
    (f"{SITE}/library.py", flip, {("differs", f"{SITE}/library.py")}),
    (f"{SITE}/library.py", Path.unlink, {("missing", f"{SITE}/library.py")}),
    (f"{SITE}/library.py", lambda path: path.chmod(0o755), {("mode", f"{SITE}/library.py")}),
    (f"{SITE}/library.py", relink, {("missing", f"{SITE}/library.py")}),
    ("bin/tool", lambda path: path.chmod(0o644), {("mode", "bin/tool")}),
    ("bin/tool", lambda path: path.chmod(0o4755), {("mode", "bin/tool")}),
    ("bin/tool", write("#!/bin/sh\necho evil\n"), {("differs", "bin/tool")}),
    ("etc/x", write("y"), {("differs", "etc/x")}),
    (PYC, flip, {("differs", PYC)}),
    (PYC, Path.unlink, {("missing", PYC)}),
    (f"{INFO}/METADATA", write("Name: other\n"), {("differs", f"{INFO}/METADATA")}),
    (f"{SITE}/evil.pth", write("import os\n"), {("extra", f"{SITE}/evil.pth")}),
    (f"{SITE}/sitecustomize.py", write(""), {("extra", f"{SITE}/sitecustomize.py")}),
    ("bin/evil", write(""), {("extra", "bin/evil")}),
    (".venvery/evil.json", write(""), {("extra", ".venvery/evil.json")}),
    ("bin/hello", write("#!/bin/sh\n"), {("differs", "bin/hello")}),
    ("bin/hello", lambda path: path.chmod(0o644), {("mode", "bin/hello")}),
    ("bin/hello", Path.unlink, {("missing", "bin/hello")}),
    ("bin/old", flip, {("differs", "bin/old")}),
    ("bin/activate", write("evil\n"), {("differs", "bin/activate")}),
    ("bin/python", relink, {("differs", "bin/python")}),
    ("bin/python3", relink, {("differs", "bin/python3")}),
    ("lib64", relink, {("differs", "lib64")}),
    (KERNEL, write("{}"), {("differs", KERNEL)}),
    ("pyvenv.cfg", lambda at: at.write_text(at.read_text().replace("false", "true")), {("differs", "pyvenv.cfg")}),
    ("pyvenv.cfg", lambda at: at.write_text(at.read_text() + "home = /evil\n"), {("differs", "pyvenv.cfg")}),
    ("pyvenv.cfg", lambda at: at.write_text("home = /evil\n" + at.read_text()), {("differs", "pyvenv.cfg")}),
    (PYC, lambda path: path.chmod(0o755), {("mode", PYC)}),
    (".venvery/sbom.json", write("{}"), {("differs", ".venvery/sbom.json")}),
    (".venvery/sbom.json", relink, {("differs", ".venvery/sbom.json")}),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(DEEDS)))
def test_what_is_done_to_one_file_shows(place: Place, number: int) -> None:
    path, deed, expected = DEEDS[number]
    deed(place.root / path)
    found = place.found()
    if ("missing", f"{SITE}/library.py") in expected:  # and what was in its place, or beside it
        assert expected <= found
        assert {entry[1] for entry in found} <= {f"{SITE}/library.py", PYC}
    else:
        assert found == expected


def test_a_package_folder_that_became_a_link(place: Place) -> None:
    to_folder_link(place.root / SITE / "program")
    found = place.found()
    assert ("missing", f"{SITE}/program/main.py") in found
    assert ("extra", f"{SITE}/program") in found


def test_a_record_that_lies(place: Place) -> None:
    record = place.root / INFO / "RECORD"
    lines = record.read_text().splitlines(keepends=True)
    (place.root / SITE / "library.py").write_text("evil\n")
    # Without the line, with another hash, and with a file of one's own in it.
    for text in (
        [line for line in lines if not line.startswith("library.py")],
        [line if not line.startswith("library.py") else "library.py,sha256=AAAA,5\n" for line in lines],
        [*lines, "evil.py,sha256=AAAA,5\n"],
        [],
        ["\0"],
    ):
        record.write_text("".join(text))
        assert ("differs", f"{INFO}/RECORD") in place.found()
    record.unlink()
    assert ("missing", f"{INFO}/RECORD") in place.found()


def test_what_an_installer_adds_is_told(place: Place) -> None:
    wheel = make_wheel("library", "3.0", files={"library.py": "print(3)\n"}).write_to(place.folder / "wheels")
    command = [
        python(),
        "-m",
        "pip",
        "--isolated",
        "--python",
        str(place.root / "bin/python"),
        "install",
        "--no-index",
    ]
    subprocess.run([*command, "--no-deps", "--no-compile", str(wheel)], check=True, capture_output=True)
    found = place.found()
    assert ("extra", f"{SITE}/library-3.0.dist-info/METADATA") in found
    assert any(kind == "missing" for kind, _ in found)


def test_bytecode_that_an_import_has_written(workshop: Workshop, tmp_path: Path) -> None:
    place = Place(workshop, tmp_path)
    manifest, layers = workshop.environment([make_wheel("library", "2.0", files={"library.py": "x = 1\n"})])
    place.install(manifest, layers, [])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([place.root / "bin/python", "-c", "import library"], check=True, env=environment)
    assert place.found() == {("compiled", PYC)}
    # One that is never checked against its source is none that an import writes.
    content = (place.root / PYC).read_bytes()
    (place.root / PYC).write_bytes(content[:4] + b"\1\0\0\0" + content[8:])
    assert place.found() == {("extra", PYC)}


def test_files_that_a_later_layer_replaces(workshop: Workshop, tmp_path: Path) -> None:
    place = Place(workshop, tmp_path)
    wheels = [
        make_wheel("large", "1", files={"shared.py": "one = 1\n", "large.py": "x = 1\n" * 3000}),
        make_wheel("small", "1", files={"shared.py": "two = 2\n", "small.py": "y = 1\n"}),
    ]
    layers = [workshop.layer(wheel) for wheel in wheels]
    bytecode = compile_layers(layers, layers_family(), python(), workshop.blobs)
    place.install(*workshop.environment(wheels, bytecode=bytecode), bytecode)
    checked = place.check()
    assert checked.findings == []
    assert any("replaced" in note for note in checked.notes)
    for name in ("large.py", "shared.py"):
        path = place.root / SITE / name
        content = path.read_bytes()
        flip(path)
        assert ("differs", f"{SITE}/{name}") in place.found()
        path.write_bytes(content)
    flip(place.root / SITE / "__pycache__/large.cpython-311.pyc")
    assert place.found() == {("differs", f"{SITE}/__pycache__/large.cpython-311.pyc")}


def test_one_that_was_moved_or_not_used_yet(workshop: Workshop, tmp_path: Path) -> None:
    place = Place(workshop, tmp_path).make(python=None, python_version=None)
    assert place.found() == set()
    path = f"{Path(python()).parent}:/usr/bin:/bin"
    subprocess.run([place.root / "bin/python", "-c", ""], check=True, env={"PATH": path})
    assert (place.root / "bin/python").is_symlink()
    assert place.found() == set()
    shutil.move(place.root, tmp_path / "moved")
    place.root = tmp_path / "moved"
    assert place.found() == {("differs", ".venvery/head.json")}
    assert check_files(place.installed, str(tmp_path / "env")).findings == []


def test_after_relocate_all_is_proven_again(place: Place) -> None:
    from venvery.services.relocating import relocate

    shutil.move(place.root, place.folder / "moved")
    place.root = place.folder / "moved"
    relocate(place.root)
    assert place.found() == set()
    assert place.signature().trust == "first use"


# Signatures and keys


def test_a_key_is_believed_at_first_and_then_held_to(place: Place) -> None:
    key = place.keys.current.key
    assert place.signature() == Signature(key, "first use", SERVER)
    assert place.signature() == Signature(key, "known", SERVER)
    assert place.signature(key) == Signature(key, "pinned", SERVER)
    resign(place, ServerKeys(place.folder / "attacker"))
    with pytest.raises(VerificationFailed, match="not the key that is known of"):
        place.signature()
    with pytest.raises(VerificationFailed, match="not the key that was given"):
        place.signature(key)


def resign(place: Place, keys: ServerKeys) -> None:
    """Sign the environment with other keys, as an attacker would."""
    for name, content in Attester(keys).documents(place.installed.manifest).items():
        (place.root / ".venvery" / name).write_bytes(content)


def test_a_new_key_comes_by_endorsement(place: Place) -> None:
    first = place.keys.current.key
    place.signature()
    second = place.keys.rotate()
    resign(place, place.keys)
    assert place.signature(first) == Signature(second, "endorsed", SERVER)
    assert place.signature() == Signature(second, "endorsed", SERVER)
    assert place.signature() == Signature(second, "known", SERVER)
    (place.root / ".venvery/keys.json").unlink()
    with pytest.raises(VerificationFailed):
        place.signature(first)


def test_an_attacker_who_copies_the_list_of_keys(place: Place) -> None:
    place.signature()
    attacker = ServerKeys(place.folder / "attacker")
    resign(place, attacker)
    listed = json.loads(place.keys.document)["keys"] + json.loads(attacker.document)["keys"]
    (place.root / ".venvery/keys.json").write_text(json.dumps({"venvery_keys": 1, "keys": listed}))
    with pytest.raises(VerificationFailed, match="not the key that is known"):
        place.signature()


def test_one_that_tar_has_unpacked_may_be_any_servers(place: Place) -> None:
    (place.root / ".venvery/sync.json").unlink()
    key = place.keys.current.key
    assert place.signature() == Signature(key, "first use", "an unknown server")
    assert place.signature().trust == "known"
    resign(place, ServerKeys(place.folder / "another"))
    assert place.signature().trust == "first use"
    resign(place, place.keys)
    assert place.signature().trust == "known"
    place.keys.rotate()
    resign(place, place.keys)
    assert place.signature().trust == "endorsed"


def test_known_keys_that_are_damaged_are_said(place: Place) -> None:
    place.signature()
    for content in ("", "[]", '{"servers": 1}', '{"servers": {"x": {"keys": ["y"]}}}'):
        place.known.path.write_text(content)
        with pytest.raises(BadConfiguration, match="is damaged"):
            place.signature()
        assert place.known.path.read_text() == content


def test_this_machines_own_key_needs_no_belief(place: Place) -> None:
    write_state(str(place.root), {"server": "this machine"})
    place.own = place.keys
    assert place.signature().trust == "own"
    assert not place.known.path.exists()
    resign(place, ServerKeys(place.folder / "attacker"))
    assert place.signature().trust == "first use"


def test_the_signature_is_on_the_manifest(place: Place) -> None:
    manifest = place.installed.manifest
    other = Manifest(manifest.key, manifest.target, manifest.pins[:1], manifest.layers, manifest.parts)
    envelope = sign(statement(other, place.keys.current.key), PAYLOAD_TYPE, place.keys.current)
    (place.root / ".venvery/provenance.json").write_bytes(envelope)
    with pytest.raises(VerificationFailed, match="not the one that was signed"):
        place.signature()


def test_every_change_of_the_manifest_shows(place: Place) -> None:
    path = place.root / ".venvery/manifest.json"
    document = json.loads(path.read_bytes())
    for change in ({"key": "sha256:" + "0" * 64}, {"layers": document["layers"][1:]}, {"recipe": 1}):
        changed = document | change
        path.write_bytes(json.dumps(changed, sort_keys=True, separators=(",", ":")).encode())
        with pytest.raises(VerificationFailed, match="not the one that was signed"):
            place.signature()
    path.write_bytes(json.dumps(document).encode())
    with pytest.raises(VerificationFailed, match="not one that venvery writes"):
        place.signature()


def test_every_change_of_the_signature_shows(place: Place) -> None:
    path = place.root / ".venvery/provenance.json"
    good = json.loads(path.read_bytes())
    signature = good["signatures"][0]
    raw = bytearray(base64.b64decode(signature["sig"]))
    raw[5] ^= 1
    statement_ = base64.b64decode(good["payload"]).replace(b'"recipe":2', b'"recipe":3')
    for change in (
        {"signatures": [signature | {"sig": base64.b64encode(raw).decode()}]},
        {"signatures": [signature | {"keyid": ServerKeys(place.folder / "attacker").current.key}]},
        {"payload": base64.b64encode(statement_).decode()},
        {"signatures": []},
        {"payloadType": "text/plain"},
    ):
        path.write_text(json.dumps(good | change))
        with pytest.raises(VerificationFailed):
            place.signature()
    path.unlink()
    with pytest.raises(VerificationFailed, match="not signed"):
        place.signature()
    assert not place.known.path.exists()


HOSTILE: list[dict[str, object]] = [
    {"target": {"python": "../..", "os": "posix", "platform": "x", "threads": "", "implementation": "cpython"}},
    {"target": {"python": "3.11", "os": "vms", "platform": "x", "threads": "", "implementation": "cpython"}},
    {
        "pins": [
            {"project": "../x", "version": "1", "wheel": {"filename": "", "sha256": "", "size": 0, "source": ""}}
        ]
    },
    {"pins": 5},
    {"layers": [None]},
    {"key": 1},
    {"parts": "sha256:x"},
    {"venvery_manifest": 2},
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_manifests(place: Place, number: int) -> None:
    path = place.root / ".venvery/manifest.json"
    document = json.loads(path.read_bytes()) | HOSTILE[number]
    path.write_bytes(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
    with pytest.raises(VerificationFailed):
        open_installed(place.root)


def test_parts_that_would_write_elsewhere(place: Place) -> None:
    parts = place.root / ".venvery/parts.json"
    manifest = place.root / ".venvery/manifest.json"
    for change in (
        {"scripts": [["../../evil", "console", ""]]},
        {"scripts": [["a/b", "console", ""]]},
        {"kernels": [["../../evil", ""]]},
        {"kernels": [["/etc/evil", ""]]},
        {"kernels": [["etc/x", "e30="]]},
        {"entry_points": [["console", "..", "a", "b"]]},
        {"entry_points": 1},
    ):
        from venvery.model.digests import canonical_json, sha256

        document = canonical_json(json.loads(parts.read_bytes()) | change)
        parts.write_bytes(document)
        said = json.loads(manifest.read_bytes()) | {"parts": sha256(document)}
        manifest.write_bytes(canonical_json(said))
        with pytest.raises(VerificationFailed):
            open_installed(place.root)


def test_what_is_no_environment(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(BadInput):
            open_installed(folder)


def test_a_folder_may_be_named_in_any_way(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from venvery.services.relocating import relocate

    link = place.folder / "link"
    link.symlink_to(place.root)
    monkeypatch.chdir(place.folder)
    for path in (link, Path("env"), Path("config/../env"), place.folder / "env/../env"):
        assert check_files(open_installed(path), None).findings == []
    for path in (link, Path("env"), place.folder / "env/../env"):
        assert not set(relocate(path).changed) - {
            "bin/python",
            "pyvenv.cfg",
            ".venvery/head.json",
            ".venvery/sync.json",
        }
    assert place.found() == set()


def test_an_interpreter_in_the_environment_is_not_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = place.folder / "ran"
    (place.root / "bin/python3.11").unlink()
    (place.root / "bin/python3.11").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (place.root / "bin/python3.11").chmod(0o755)
    flip(place.root / PYC)
    monkeypatch.setenv("PATH", f"{place.root}/bin:{os.environ['PATH']}")
    assert ("differs", PYC) in place.found()
    assert not ran.exists()


def test_one_for_another_system(workshop: Workshop, tmp_path: Path) -> None:
    from tests.environments.workshop import WINDOWS

    wheel = make_wheel("program", "1.0", entry_points={"console_scripts": {"hello": "program:main"}})
    manifest, layers = workshop.environment([wheel], WINDOWS)
    data = b"".join(workshop.archive(manifest, layers, "C:\\env", "gzip").chunks())
    unpack(data, tmp_path / "env", "gzip", "gnu-tar")
    installed = open_installed(tmp_path / "env")
    assert check_files(installed, "C:\\env").findings == []
    flip(tmp_path / "env/Scripts/hello.exe")
    assert [finding.path for finding in check_files(installed, "C:\\env").findings] == ["Scripts/hello.exe"]
