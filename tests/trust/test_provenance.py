"""What is said of an environment: signed provenance, and the bill of materials."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.environments.workshop import LINUX, Workshop, make_lock
from tests.support.running import ServerProcess, Venvery
from tests.support.wheels import make_wheel
from venvery.environments import Manifest, make_manifest
from venvery.environments.dsse import open_envelope, signed_by
from venvery.environments.provenance import PAYLOAD_TYPE, check_statement, statement
from venvery.environments.sbom import write_sbom
from venvery.errors import VerificationFailed
from venvery.model.lock import Edge
from venvery.services.attesting import Attester
from venvery.services.keys import ServerKeys

KEY = "ed25519:" + "A" * 43


def core_metadata(name: str, version: str, *fields: str) -> bytes:
    return "\n".join(["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *fields, ""]).encode()


def environment(workshop: Workshop) -> Manifest:
    wheels = [
        make_wheel(
            "web-app", "2.0", metadata=core_metadata("web-app", "2.0", "License-Expression: mit OR Apache-2.0")
        ),
        make_wheel("tool", "1.0+local", metadata=core_metadata("tool", "1.0+local", "License: My own licence")),
    ]
    layers = [workshop.layer(wheel) for wheel in wheels]
    lock = make_lock(wheels, LINUX)
    edge = Edge("tool", "tool>=1", (0,))  # type: ignore[arg-type]
    pins = tuple(
        replace(pin, requested=True, edges=(edge,)) if str(pin.project) == "web-app" else pin for pin in lock.pins
    )
    return make_manifest(replace(lock, pins=pins), 0, layers)


def test_the_statement_names_the_manifest_and_every_wheel(workshop: Workshop) -> None:
    manifest = environment(workshop)
    document = json.loads(statement(manifest, KEY))
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["predicateType"] == "https://slsa.dev/provenance/v1"
    digest = hashlib.sha256(manifest.encoded).hexdigest()
    assert document["subject"] == [{"name": ".venvery/manifest.json", "digest": {"sha256": digest}}]
    materials = document["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert [(entry["uri"], entry["digest"]["sha256"]) for entry in materials] == [
        ("pkg:pypi/tool@1.0+local", manifest.pins[0].sha256),
        ("pkg:pypi/web-app@2.0", manifest.pins[1].sha256),
    ]
    assert {entry["annotations"]["source"] for entry in materials} == {"tiny"}
    assert document["predicate"]["runDetails"]["builder"]["id"].endswith(KEY)
    check_statement(statement(manifest, KEY), manifest.encoded)


def test_a_statement_about_something_else_is_none(workshop: Workshop) -> None:
    manifest = environment(workshop)
    good = json.loads(statement(manifest, KEY))
    for change in (
        {"subject": []},
        {"subject": [{"name": "other", "digest": good["subject"][0]["digest"]}]},
        {"subject": [{"name": ".venvery/manifest.json", "digest": {"sha256": "0" * 64}}]},
        {"subject": [{"name": ".venvery/manifest.json", "digest": {}}]},
        {"subject": None},
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"predicateType": "https://example.org/nothing"},
    ):
        with pytest.raises(VerificationFailed):
            check_statement(json.dumps(good | change).encode(), manifest.encoded)
    for payload in (b"", b"[]", b"null", b"[" * 100_000):
        with pytest.raises(VerificationFailed):
            check_statement(payload, manifest.encoded)
    with pytest.raises(VerificationFailed):
        check_statement(statement(manifest, KEY), manifest.encoded + b" ")


def test_the_documents_are_the_same_whenever_they_are_asked_for(workshop: Workshop, tmp_path: Path) -> None:
    manifest = environment(workshop)
    first = Attester(ServerKeys(tmp_path / "keys")).documents(manifest)
    assert Attester(ServerKeys(tmp_path / "keys")).documents(manifest) == first
    assert set(first) == {"provenance.json", "keys.json", "sbom.json"}
    keys = ServerKeys(tmp_path / "keys")
    attester = Attester(keys)
    assert attester.documents(manifest) is attester.documents(manifest)
    key = ServerKeys(tmp_path / "keys").rotate()
    envelope = open_envelope(attester.documents(manifest)["provenance.json"], PAYLOAD_TYPE)
    assert signed_by(envelope, {key}) == key


def test_the_bill_of_materials(workshop: Workshop) -> None:
    manifest = environment(workshop)
    document = json.loads(write_sbom(manifest))
    assert (document["bomFormat"], document["specVersion"], document["version"]) == ("CycloneDX", "1.6", 1)
    assert document["serialNumber"].startswith("urn:uuid:")
    assert [(entry["name"], entry["version"], entry["licenses"]) for entry in document["components"]] == [
        ("tool", "1.0+local", [{"license": {"name": "My own licence"}}]),
        ("web-app", "2.0", [{"expression": "MIT OR Apache-2.0"}]),
    ]
    assert document["components"][1]["hashes"] == [{"alg": "SHA-256", "content": manifest.pins[1].sha256}]
    assert document["dependencies"] == [
        {"ref": "environment", "dependsOn": ["pkg:pypi/web-app@2.0"]},
        {"ref": "pkg:pypi/tool@1.0+local", "dependsOn": []},
        {"ref": "pkg:pypi/web-app@2.0", "dependsOn": ["pkg:pypi/tool@1.0+local"]},
    ]
    assert write_sbom(manifest) == write_sbom(manifest)


def test_a_licence_text_is_no_licence_name(workshop: Workshop) -> None:
    manifest, _ = workshop.environment(
        [make_wheel("a", "1", metadata=core_metadata("a", "1", "License: " + "x" * 300))]
    )
    assert manifest.pins[0].license is None
    assert "licenses" not in json.loads(write_sbom(manifest))["components"][0]


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.headers, answer.read()


def test_a_server_gives_them(server: ServerProcess, venvery: Venvery) -> None:
    request = urllib.request.Request(
        f"{server.url}/v1/environments?prefix=/srv/env",
        data=b"django>=1.8",
        headers={"Accept": "application/x-tar+gzip"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        key, data = answer.headers["Venvery-Environment"], answer.read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        inside = {
            name: archive.extractfile(f".venvery/{name}").read()  # type: ignore[union-attr]
            for name in ("manifest.json", "provenance.json", "keys.json", "sbom.json")
        }
    _, listed = get(f"{server.url}/v1/keys")
    assert listed == inside["keys.json"]
    (known,) = json.loads(listed)["keys"]
    headers, envelope = get(f"{server.url}/v1/environments/{key}/provenance")
    assert headers["Content-Type"] == "application/vnd.dsse.envelope.v1+json"
    assert envelope == inside["provenance.json"]
    opened = open_envelope(envelope, PAYLOAD_TYPE)
    assert signed_by(opened, {known["key"]})
    check_statement(opened.payload, inside["manifest.json"])
    headers, bill = get(f"{server.url}/v1/environments/{key}/sbom")
    assert headers["Content-Type"] == "application/vnd.cyclonedx+json; version=1.6"
    assert bill == inside["sbom.json"]
    # Rotated beside the running server, which takes the new key at once.
    said = venvery("key", "rotate", "--json").check()
    second = json.loads(said.stdout)["keys"][1]["key"]
    _, listed = get(f"{server.url}/v1/keys")
    assert json.loads(listed) == json.loads(said.stdout)
    _, envelope = get(f"{server.url}/v1/environments/{key}/provenance")
    assert base64.b64decode(json.loads(envelope)["payload"]).decode().count(second) == 1
    shown = venvery("key").check().stdout.splitlines()
    assert [line.split()[0] for line in shown] == [known["key"], second]
