"""The form in which a person asks for an answer, in a URL that can be shared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from venvery.services.documents import Asked
from venvery.services.house import House
from venvery.services.locks import LockFormat

__all__ = ["FORMS", "Form", "read_form"]

FORMS: dict[str, tuple[LockFormat, str]] = {
    "requirements.txt": ("requirements", "text/plain; charset=utf-8"),
    "pylock.toml": ("pylock", "application/toml"),
    "lock.json": ("json", "application/json"),
}
"""File names under which an answer can be had, each with the form that it is written in and its type."""


@dataclass(frozen=True, slots=True)
class Form:
    """What the form holds, as it was typed."""

    text: str
    """The requirements, as in a requirements.txt."""
    python: str
    """One version or several, with blanks or commas between them."""
    platforms: tuple[str, ...]
    prereleases: bool = False

    @classmethod
    def empty(cls, house: House) -> Form:
        """Give the form with which a person begins: the server's own target."""
        return cls("", house.defaults.python, (house.defaults.platform,))

    @classmethod
    def of(cls, request: Request, house: House, fields: Mapping[str, str] | None = None) -> Form:
        """Read the form from a request's query, or from the fields that were posted."""
        begin, query = cls.empty(house), request.query_params
        said: Mapping[str, str] = query if fields is None else fields
        platforms = query.getlist("platform") if fields is None else said.get("platform", "").split()
        return cls(
            text=said.get("requirements", ""),
            python=said.get("python", "").strip() or begin.python,
            platforms=tuple(platforms) or begin.platforms,
            prereleases=bool(said.get("pre")),
        )

    def query(self) -> list[tuple[str, str]]:
        """Give the query that leads to this form."""
        pre = [("pre", "1")] if self.prereleases else []
        platforms = [("platform", platform) for platform in self.platforms]
        return [("requirements", self.text), ("python", self.python), *platforms, *pre]


def read_form(form: Form, house: House) -> Asked:
    """Read a form as the body of a request would be read. Raises `BadInput`, `LimitExceeded`."""
    pythons = form.python.replace(",", " ").split()
    options = {"prereleases": "allow"} if form.prereleases else {}
    return house.read(
        {
            "text": form.text.replace("\r\n", "\n"),
            "targets": [
                {"python": python, "platform": platform} for python in pythons for platform in form.platforms
            ],
            "options": options,
        }
    )
