"""Descriptions that others wrote, as HTML that does nothing: rendered and cleaned by readme_renderer (PEP 566)."""

from __future__ import annotations

import io
from functools import lru_cache

from markupsafe import Markup

__all__ = ["render_description"]


@lru_cache(maxsize=512)
def render_description(text: str, content_type: str) -> Markup:
    """Render a description; one that cannot be rendered as what it says it is is shown as it was written.

    `content_type` is the field Description-Content-Type, `text/markdown; charset=UTF-8; variant=GFM`.
    """
    from readme_renderer import markdown, rst, txt  # with docutils and Pygments: loaded when first needed

    kind, *rest = (part.strip() for part in content_type.lower().split(";"))
    html = None
    if kind == "text/markdown":
        html = markdown.render(text, variant="CommonMark" if "variant=commonmark" in rest else "GFM")
    elif kind in ("", "text/x-rst"):
        html = rst.render(text, stream=io.StringIO())
    if html is None:
        html = txt.render(text) or ""
    return Markup(html)
