"""Content negotiation (RFC 9110, section 12): which of the forms that we have a client wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.exceptions import HTTPException

__all__ = ["choose"]


def choose(accept: str | None, forms: Sequence[str], aliases: Mapping[str, str] | None = None) -> str:
    """Choose the form with the highest quality; among equals the one that we list first.

    `aliases` maps further media types to a form of ours. Raises 406 when nothing fits.
    """
    if not accept or accept.strip() == "":
        return forms[0]
    ranges = [_range(part) for part in accept.split(",")]
    names = {form: form for form in forms}
    best = max(
        # What a form is called itself counts before what else it may be called.
        (_quality(media_type, ranges), media_type in names, -list(forms).index(form), form)
        for media_type, form in {**names, **(aliases or {})}.items()
    )
    if best[0] <= 0:
        raise HTTPException(406, f"this can be had as {', '.join(forms)}; the request accepts {accept[:200]}")
    return best[3]


def _range(part: str) -> tuple[str, float]:
    media_type, *parameters = part.strip().lower().split(";")
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name == "q":
            try:
                quality = float(value)
            except ValueError:
                quality = 0.0
    return media_type.strip(), quality


def _quality(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Give the quality that the most special matching range says."""
    main = media_type.split("/")[0] + "/*"
    for candidate in (media_type, main, "*/*"):
        found = [quality for asked, quality in ranges if asked == candidate]
        if found:
            return max(found)
    return 0.0
