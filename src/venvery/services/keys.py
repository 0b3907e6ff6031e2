"""The server's signing keys, in a folder of its data.

    keys/keys.json        every key there was, oldest first; the last one signs. Public: GET /v1/keys
    keys/HEX.key          the private key that signs now (PEM, PKCS #8), for the owner alone; HEX begins the
                          SHA-256 of the public key

Each key but the first is endorsed by the one before it, in a signed envelope, so that a client which knows an old
key comes to the new one by itself. A retired private key is removed: what it signed stays valid, and nobody can
sign with it again.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from venvery.client.locks import FolderLock
from venvery.environments.dsse import open_envelope, sign, signed_by
from venvery.errors import StorageFailed, VerificationFailed
from venvery.model.digests import canonical_json, sha256
from venvery.model.keys import is_key, raw_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["ENDORSEMENT", "KnownKey", "ServerKeys", "SigningKey", "reachable", "read_keys"]

ENDORSEMENT = "application/vnd.venvery.key+json"
MOST_KEYS = 1000


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A public key, and the envelope in which the one before it says that it follows."""

    key: str
    created: str
    """RFC 3339."""
    endorsement: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Write as in keys.json."""
        value = {"key": self.key, "created": self.created}
        return value | ({} if self.endorsement is None else {"endorsement": self.endorsement})


def read_keys(encoded: bytes) -> tuple[KnownKey, ...]:
    """Read a keys.json, which may come from anyone. Raises `VerificationFailed`."""
    try:
        document = json.loads(encoded)
        keys = tuple(
            KnownKey(entry["key"], str(entry["created"]), entry.get("endorsement")) for entry in document["keys"]
        )
        sound = document["venvery_keys"] == 1 and all(is_key(key.key) for key in keys)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise VerificationFailed("the list of keys cannot be read") from error
    if not sound or not 0 < len(keys) <= MOST_KEYS:
        raise VerificationFailed("the list of keys is not one that venvery writes")
    return keys


def reachable(keys: Sequence[KnownKey], trusted: frozenset[str]) -> frozenset[str]:
    """Give the keys that may be trusted when `trusted` are: each that a trusted one before it endorses."""
    found = set(trusted)
    for known in keys:
        if known.key not in found and isinstance(known.endorsement, str) and _endorsed(known, frozenset(found)):
            found.add(known.key)
    return frozenset(found)


def _endorsed(known: KnownKey, by: frozenset[str]) -> bool:
    try:
        envelope = open_envelope((known.endorsement or "").encode(), ENDORSEMENT)
        about = json.loads(envelope.payload)
    except (VerificationFailed, ValueError, RecursionError):
        return False
    return about == {"key": known.key} and signed_by(envelope, by) is not None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair."""

    key: str
    private: Ed25519PrivateKey

    def sign(self, data: bytes) -> bytes:
        """Give the signature."""
        return self.private.sign(data)


class ServerKeys:
    """The keys of one data folder; other processes may rotate them at any time."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._read: tuple[tuple[int, int], bytes] | None = None
        self._private: SigningKey | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a key already; asking makes none."""
        return (self._folder / "keys.json").is_file()

    @property
    def document(self) -> bytes:
        """The bytes of keys.json. The first key is made when there is none. Raises `StorageFailed`."""
        path = self._folder / "keys.json"
        with _storage_errors("read"):
            try:
                status = path.stat()
            except FileNotFoundError:
                self._make_first()
                status = path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if self._read is None or self._read[0] != stamp:
                self._read = (stamp, path.read_bytes())
        return self._read[1]

    @property
    def known(self) -> tuple[KnownKey, ...]:
        """All keys, oldest first. Raises `StorageFailed`."""
        try:
            return read_keys(self.document)
        except VerificationFailed as error:
            raise StorageFailed(f"{self._folder / 'keys.json'} is damaged") from error

    @property
    def current(self) -> SigningKey:
        """The key that signs now. Raises `StorageFailed`."""
        key = self.known[-1].key
        if self._private is None or self._private.key != key:
            self._private = SigningKey(key, self._load(key))
        return self._private

    def rotate(self) -> str:
        """Make a new key, endorsed by the present one, and let it sign from now on; give it."""
        private = _generate()
        key = _public(private)
        with _storage_errors("write"):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FolderLock(str(self._folder / ".lock")):
                before = self.known
                endorsement = sign(canonical_json({"key": key}), ENDORSEMENT, self.current).decode()
                self._write_private(private)
                self._write_list((*before, KnownKey(key, self._now(), endorsement)))
                self._private_path(before[-1].key).unlink(missing_ok=True)
        return key

    def _make_first(self) -> None:
        """Make the first key; when another process is quicker, its key counts and ours is dropped."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        private = _generate()
        key = _public(private)
        self._write_private(private)
        if not self._write_list((KnownKey(key, self._now()),), first=True):
            self._private_path(key).unlink()

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

    def _private_path(self, key: str) -> Path:
        return self._folder / f"{sha256(raw_key(key))[7:23]}.key"

    def _write_private(self, private: Ed25519PrivateKey) -> None:
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write(self._private_path(_public(private)), pem, mode=0o600)

    def _write_list(self, keys: Sequence[KnownKey], *, first: bool = False) -> bool:
        document = {"venvery_keys": 1, "keys": [known.to_json() for known in keys]}
        return _write(self._folder / "keys.json", json.dumps(document, indent=1).encode() + b"\n", only_new=first)

    def _load(self, key: str) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        path = self._private_path(key)
        try:
            private = load_pem_private_key(path.read_bytes(), None)
        except (OSError, ValueError) as error:
            raise StorageFailed(
                f"the server's private key {path} cannot be read",
                hint="take it from a backup; or remove the keys folder, and all clients will see a new key",
            ) from error
        if not isinstance(private, Ed25519PrivateKey) or _public(private) != key:
            raise StorageFailed(f"{path} is not the private key of {key}")
        return private


def _generate() -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate()


def _public(private: Ed25519PrivateKey) -> str:
    raw = private.public_key().public_bytes_raw()
    return "ed25519:" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _write(path: Path, content: bytes, *, mode: int = 0o644, only_new: bool = False) -> bool:
    """Write a file in one step; with `only_new` tell whether it was not there before."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if not only_new:
            temporary.replace(path)
            return True
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return False
        return True
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


@contextmanager
def _storage_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageFailed(f"cannot {what} the keys of the server: {error}") from error
