"""Keys and envelopes: made once, kept private, rotated with an endorsement, and not to be talked around."""

from __future__ import annotations

import base64
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from venvery.environments.dsse import open_envelope, sign, signed_by
from venvery.errors import BadInput, StorageFailed, VerificationFailed
from venvery.model.keys import is_key, parse_key
from venvery.services.keys import ServerKeys, reachable, read_keys


def keys(tmp_path: Path, name: str = "keys") -> ServerKeys:
    return ServerKeys(tmp_path / name, clock=lambda: 1_800_000_000.0)


def test_the_first_start_makes_a_key_for_the_owner_alone(tmp_path: Path) -> None:
    key = keys(tmp_path).current.key
    assert is_key(key)
    assert keys(tmp_path).current.key == key
    (private,) = (tmp_path / "keys").glob("*.key")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    document = json.loads(keys(tmp_path).document)
    assert document == {"venvery_keys": 1, "keys": [{"key": key, "created": "2027-01-15T08:00:00Z"}]}


def test_many_first_starts_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: keys(tmp_path).current.key, range(16)))
    assert len(set(found)) == 1
    assert len(list((tmp_path / "keys").glob("*.key"))) == 1
    assert len(list((tmp_path / "keys").iterdir())) == 2


def test_an_envelope_is_verified_with_the_right_key_only(tmp_path: Path) -> None:
    ours, other = keys(tmp_path).current, keys(tmp_path, "other").current
    encoded = sign(b"payload", "text/x", ours)
    assert sign(b"payload", "text/x", ours) == encoded
    envelope = open_envelope(encoded, "text/x")
    assert envelope.payload == b"payload"
    assert signed_by(envelope, {ours.key, other.key}) == ours.key
    assert signed_by(envelope, {other.key}) is None
    assert signed_by(envelope, set()) is None


def test_the_encoding_is_that_of_dsse(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    signer = keys(tmp_path).current
    document = json.loads(sign(b"hello world", "http://example.com/HelloWorld", signer))
    raw = base64.urlsafe_b64decode(signer.key[8:] + "=")
    # The example of the DSSE specification ("protocol.md").
    said = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    Ed25519PublicKey.from_public_bytes(raw).verify(base64.b64decode(document["signatures"][0]["sig"]), said)


def test_nothing_in_an_envelope_can_be_changed(tmp_path: Path) -> None:
    signer, other = keys(tmp_path).current, keys(tmp_path, "other").current
    encoded = sign(b"payload", "text/x", signer)
    for change in (
        {"payload": base64.b64encode(b"other").decode()},
        {"payloadType": "text/y"},
        {"signatures": [{"keyid": signer.key, "sig": base64.b64encode(bytes(64)).decode()}]},
        {"signatures": [{"keyid": signer.key, "sig": ""}]},
        {"signatures": [{"keyid": other.key, "sig": json.loads(encoded)["signatures"][0]["sig"]}]},
    ):
        changed = json.dumps(json.loads(encoded) | change).encode()
        kind = str(change.get("payloadType", "text/x"))
        assert signed_by(open_envelope(changed, kind), {signer.key, other.key}) is None
    with pytest.raises(VerificationFailed, match="something else"):
        open_envelope(encoded, "text/y")


@pytest.mark.parametrize(
    "encoded",
    [
        b"", b"[]", b"{}", b"null", b"[" * 100_000, b"\xff",
        b'{"payload": "!", "payloadType": "t", "signatures": []}',
        b'{"payload": "", "payloadType": "t", "signatures": []}',
        b'{"payload": "", "payloadType": "t", "signatures": [{"keyid": "x", "sig": ""}]}',
        b'{"payload": "", "payloadType": "t", "signatures": [{"keyid": 1, "sig": 1}]}',
        b'{"payload": 1, "payloadType": "t", "signatures": {}}',
        b'{"payload": "", "payloadType": "t", "signatures": [%b1]}' % (b'{"keyid": "x", "sig": ""},' * 10_000),
    ],
)  # fmt: skip
def test_hostile_envelopes(encoded: bytes) -> None:
    with pytest.raises(VerificationFailed):
        open_envelope(encoded, "t")


@pytest.mark.parametrize("text", ["", "ed25519:", "ed25519:" + "A" * 42, "rsa:" + "A" * 43, "ed25519:" + "!" * 43])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(BadInput, match="public key"):
        parse_key(text)


def test_a_new_key_is_endorsed_by_the_old_one(tmp_path: Path) -> None:
    server = keys(tmp_path)
    first = server.current.key
    running = keys(tmp_path)
    assert running.current.key == first
    second = server.rotate()
    third = server.rotate()
    assert running.current.key == third
    assert [known.key for known in running.known] == [first, second, third]
    assert len(list((tmp_path / "keys").glob("*.key"))) == 1
    assert reachable(running.known, frozenset({first})) == {first, second, third}
    assert reachable(running.known, frozenset({second})) == {second, third}
    assert reachable(running.known, frozenset({keys(tmp_path, "other").current.key})) == {
        keys(tmp_path, "other").current.key
    }


def test_a_key_that_nobody_endorsed_is_not_reached(tmp_path: Path) -> None:
    server, attacker = keys(tmp_path), keys(tmp_path, "attacker")
    first = server.current.key
    attacker.current  # noqa: B018 - made
    evil = attacker.rotate()
    ours, theirs = json.loads(server.document)["keys"], json.loads(attacker.document)["keys"]
    for listed in (
        [*ours, {"key": evil, "created": "now"}],
        [*ours, {"key": evil, "created": "now", "endorsement": theirs[1]["endorsement"]}],
        [*theirs, *ours],
        [{"key": evil, "created": "now", "endorsement": 5}, *ours],
    ):
        known = read_keys(json.dumps({"venvery_keys": 1, "keys": listed}).encode())
        assert reachable(known, frozenset({first})) == {first}


def test_an_endorsement_is_for_one_key(tmp_path: Path) -> None:
    server, attacker = keys(tmp_path), keys(tmp_path, "attacker")
    first = server.current.key
    server.rotate()
    listed = json.loads(server.document)["keys"]
    listed[1]["key"] = attacker.current.key
    known = read_keys(json.dumps({"venvery_keys": 1, "keys": listed}).encode())
    assert reachable(known, frozenset({first})) == {first}


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"venvery_keys": 1, "keys": []}', b'{"venvery_keys": 1, "keys": [{}]}']
)
def test_a_damaged_list_is_said(tmp_path: Path, content: bytes) -> None:
    keys(tmp_path).current  # noqa: B018 - made
    (tmp_path / "keys/keys.json").write_bytes(content)
    with pytest.raises(StorageFailed, match="damaged"):
        keys(tmp_path).current  # noqa: B018 - read
    with pytest.raises(VerificationFailed):
        read_keys(content)


def test_a_lost_or_swapped_private_key_is_said(tmp_path: Path) -> None:
    keys(tmp_path).current  # noqa: B018 - made
    keys(tmp_path, "other").current  # noqa: B018 - made
    (private,) = (tmp_path / "keys").glob("*.key")
    (another,) = (tmp_path / "other").glob("*.key")
    private.write_bytes(another.read_bytes())
    with pytest.raises(StorageFailed, match="is not the private key"):
        keys(tmp_path).current  # noqa: B018 - read
    private.unlink()
    with pytest.raises(StorageFailed, match="cannot be read"):
        keys(tmp_path).current  # noqa: B018 - read


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed):
        ServerKeys(tmp_path / "file/keys").current  # noqa: B018 - made
