"""What the layers of an environment leave to its head, put together: scripts and kernel specifications.

It travels as `.venvery/parts.json`, so that a head can be made anew where the environment is, without a server;
the manifest has its digest.

    {"venvery_parts": 1, "entry_points": [[kind, name, module, attr]], "scripts": [[name, kind, base64]],
     "kernels": [[path, base64]]}
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from venvery.environments.kernels import KernelSpec, starts_a_program
from venvery.environments.layers import EntryPoint, LayerInfo, ScriptBody
from venvery.environments.wheel import check_name
from venvery.errors import VerificationFailed
from venvery.model.digests import canonical_json, sha256

__all__ = ["HeadParts", "gather_parts"]


@dataclass(frozen=True)
class HeadParts:
    """Scripts by name and kernel specifications by path; each name and path stands once."""

    scripts: tuple[ScriptBody | EntryPoint, ...] = ()
    kernels: tuple[KernelSpec, ...] = ()

    @cached_property
    def encoded(self) -> bytes:
        """The bytes of `.venvery/parts.json`: canonical JSON."""
        points = [script for script in self.scripts if isinstance(script, EntryPoint)]
        bodies = [script for script in self.scripts if isinstance(script, ScriptBody)]
        return canonical_json({
            "venvery_parts": 1,
            "entry_points": [[point.kind, point.name, point.module, point.attr] for point in points],
            "scripts": [[body.name, body.kind, base64.b64encode(body.body).decode()] for body in bodies],
            "kernels": [[spec.path, base64.b64encode(spec.body).decode()] for spec in self.kernels],
        })  # fmt: skip

    @property
    def digest(self) -> str:
        """What the manifest says of them."""
        return sha256(self.encoded)

    @classmethod
    def from_json(cls, value: Any) -> HeadParts:
        """Read what `encoded` holds; it may come from a hostile environment. Raises `VerificationFailed`."""
        try:
            if value["venvery_parts"] != 1:
                raise ValueError("another version")
            points = [EntryPoint(*map(str, point)) for point in value["entry_points"]]  # type: ignore[arg-type]
            bodies = [ScriptBody(str(n), k, base64.b64decode(b)) for n, k, b in value["scripts"]]
            kernels = [KernelSpec(str(path), base64.b64decode(body)) for path, body in value["kernels"]]
        except (KeyError, TypeError, ValueError) as error:
            raise VerificationFailed("the environment's parts.json cannot be read") from error
        parts = cls(_sorted([*points, *bodies]), tuple(kernels))
        parts._check()
        return parts

    def _check(self) -> None:
        for script in self.scripts:
            if "/" in script.name or check_name(script.name, "posix"):
                raise VerificationFailed(f"the environment's parts.json has a script called {script.name[:80]!r}")
        for spec in self.kernels:
            if check_name(spec.path, "posix") or not starts_a_program(spec.body):
                raise VerificationFailed(f"the environment's parts.json has a kernel at {spec.path[:80]!r}")


def gather_parts(infos: Iterable[LayerInfo]) -> HeadParts:
    """Gather what wheels' layers leave to the head, in their order: of two with one name, the later counts."""
    scripts: dict[str, ScriptBody | EntryPoint] = {}
    kernels: dict[str, KernelSpec] = {}
    for info in infos:
        scripts |= {script.name: script for script in info.scripts}
        scripts |= {point.name: point for point in info.entry_points}
        kernels |= {spec.path: spec for spec in info.kernels}
    return HeadParts(_sorted(scripts.values()), tuple(kernels[path] for path in sorted(kernels)))


def _sorted(scripts: Iterable[ScriptBody | EntryPoint]) -> tuple[ScriptBody | EntryPoint, ...]:
    return tuple(sorted(scripts, key=lambda script: script.name))
