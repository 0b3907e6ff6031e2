"""Names of projects and extras (PEP 503 normalisation, PEP 508 grammar), taken from `packaging`."""

from __future__ import annotations

from functools import lru_cache

from packaging.utils import InvalidName, NormalizedName
from packaging.utils import canonicalize_name as _canonicalize

from venvery.errors import BadInput

__all__ = ["NormalizedName", "is_valid_name", "normalize", "parse_name"]


@lru_cache(maxsize=65536)
def normalize(name: str) -> NormalizedName:
    """Normalise a name that is known to be valid (PEP 503)."""
    return _canonicalize(name)


def parse_name(name: str) -> NormalizedName:
    """Check and normalise a name that came from outside.

    Raises `BadInput` when it is not a valid project name (PEP 508, "Names").
    """
    try:
        return _canonicalize(name, validate=True)
    except InvalidName:
        raise BadInput(f"{name!r} is not a valid project name") from None


def is_valid_name(name: str) -> bool:
    """Tell whether `name` follows the grammar of project names (PEP 508, "Names")."""
    try:
        _canonicalize(name, validate=True)
    except InvalidName:
        return False
    return True
