"""Requirements (PEP 508 / dependency specifiers), parsed once into frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as _Requirement
from packaging.specifiers import SpecifierSet

from venvery.errors import BadRequirement
from venvery.model.names import NormalizedName, normalize

__all__ = ["Requirement", "parse_requirement"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement. Equality is that of the text it was written as."""

    text: str
    project: NormalizedName = field(compare=False)
    extras: frozenset[NormalizedName] = field(compare=False)
    specifier: SpecifierSet = field(compare=False)
    marker: Marker | None = field(compare=False)
    url: str | None = field(compare=False)
    origin: str | None = field(default=None, compare=False)
    """Where it was written, for a person: `requirements.txt:3`. None: in the request itself."""
    hashes: tuple[str, ...] = field(default=(), compare=False)
    """`sha256:…` digests that the file must be one of, from `--hash` options; empty: any."""

    def __str__(self) -> str:
        return self.text


def parse_requirement(
    text: str,
    *,
    origin: str | None = None,
    line: int | None = None,
    column: int = 1,
    hashes: tuple[str, ...] = (),
) -> Requirement:
    """Parse one requirement.

    `origin`, `line` and `column` (both from 1, of the first character of `text`) say where it was written.
    Raises `BadRequirement`, which names the line and the column of the mistake.
    """
    try:
        parsed = _Requirement(text)
    except RecursionError:
        raise BadRequirement(
            f"{origin or 'requirement'}: a marker that is nested too deeply",
            text=text,
            origin=origin,
            line=line,
            column=column,
        ) from None
    except InvalidRequirement as error:
        cause = error.__cause__
        span = getattr(cause, "span", None)
        said = getattr(cause, "message", None) or str(error).splitlines()[0]
        at = column + (span[0] if span else 0)
        where = f"{origin or 'requirement'}"
        if line is not None:
            where += f", line {line}"
        raise BadRequirement(
            f"{where}, column {at}: {text[:200]!r} is not a requirement: {said[:1].lower()}{said[1:]}",
            text=text,
            origin=origin,
            line=line,
            column=at,
        ) from None
    return Requirement(
        text=str(parsed),
        project=normalize(parsed.name),
        extras=frozenset(normalize(extra) for extra in parsed.extras),
        specifier=parsed.specifier,
        marker=parsed.marker,
        url=parsed.url,
        origin=origin if line is None else f"{origin or 'requirements'}:{line}",
        hashes=hashes,
    )
