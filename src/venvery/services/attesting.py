"""Signed provenance and bills of materials of environments: what travels in archives and what is asked for."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from venvery.environments.dsse import sign
from venvery.environments.manifest import Manifest
from venvery.environments.provenance import PAYLOAD_TYPE, statement
from venvery.environments.sbom import write_sbom
from venvery.services.keys import ServerKeys

__all__ = ["Attester"]

REMEMBERED = 256
"""Environments whose documents are kept in memory: a few tens of kilobytes each."""


class Attester:
    """Writes and signs the documents of environments, each once for as long as it is asked for."""

    def __init__(self, keys: ServerKeys) -> None:
        self.keys = keys
        self._documents: OrderedDict[tuple[bytes, bytes], dict[str, bytes]] = OrderedDict()
        self._lock = Lock()

    def documents(self, manifest: Manifest) -> dict[str, bytes]:
        """Give `provenance.json`, `keys.json` and `sbom.json` of an environment. Raises `StorageFailed`."""
        named = (manifest.encoded, self.keys.document)
        with self._lock:
            found = self._documents.get(named)
            if found is not None:
                self._documents.move_to_end(named)
                return found
        signer = self.keys.current
        made = {
            "provenance.json": sign(statement(manifest, signer.key), PAYLOAD_TYPE, signer),
            "keys.json": self.keys.document,
            "sbom.json": write_sbom(manifest),
        }
        with self._lock:
            self._documents[named] = made
            if len(self._documents) > REMEMBERED:
                self._documents.popitem(last=False)
        return made
