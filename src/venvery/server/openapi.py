"""`/openapi.json`: what FastAPI knows of its own routes, and what it does not know of the index's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from venvery.server.schemas import PROBLEM

__all__ = ["describing"]

_DIGEST = "^sha256:[0-9a-f]{64}$"
_NAME = "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
_NORMALISED = "^[a-z0-9]+(-[a-z0-9]+)*$"
_LABEL = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_VERSION = "^[0-9]+([.][0-9]+)*$"
_FORMS = (
    *("application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.v1+html", "text/html"),
    *("application/vnd.pypi.simple.latest+json", "application/vnd.pypi.simple.latest+html"),
)
_PATTERNS = {
    "/v1/environments/{key}": ("key", "^sha256:[0-9a-f]{64}([.]tar[.](zst|gz))?$"),
    "/v1/environments/{key}/provenance": ("key", _DIGEST),
    "/v1/environments/{key}/sbom": ("key", _DIGEST),
    "/v1/layers/{digest}": ("digest", _DIGEST),
}
"""What a part of a path has to look like. Told here only: what looks otherwise gets a problem of ours."""

_ANY = (401, 403, 404, 507)
"""What any request may be told: who are you, that is not yours, there is no such view, the disk is full."""


def describing(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Give what makes the description of an application, once."""
    theirs = app.openapi

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = theirs()
            for path, (name, pattern) in _PATTERNS.items():
                for parameter in schema["paths"].get(path, {}).get("get", {}).get("parameters", ()):
                    if parameter["name"] == name:
                        parameter["schema"]["pattern"] = pattern
            for operations in schema["paths"].values():
                for operation in operations.values():
                    for status in _ANY:
                        operation["responses"].setdefault(str(status), PROBLEM)
            schema["paths"] |= _index_paths()
        assert app.openapi_schema is not None
        return app.openapi_schema

    return describe


def _index_paths() -> dict[str, Any]:
    paths = {}
    for prefix, parameters in (("", []), ("/views/{view}", [_path("view", _LABEL)])):
        for path, summary, own, answers in _ROUTES:
            about = {
                "summary": summary,
                "parameters": [*parameters, *own],
                "responses": answers,
                "tags": ["index"],
            }
            paths[prefix + path] = {"get": about}
    return paths


def _path(name: str, pattern: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": pattern}}


def _answers(content: tuple[str, ...], *others: int, redirects: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {"200": {"description": "It", "content": {kind: {} for kind in content}}}
    found["304"] = {"description": "The client has it"}
    if redirects:
        found["301"] = {"description": "To the normalised name, relative"}
    return found | {str(status): PROBLEM for status in (401, 403, 404, 502, 507, *others)}


_FORMAT = {"name": "format", "in": "query", "required": False, "schema": {"enum": list(_FORMS)}}
_PAGES = _answers(_FORMS[:3], 406, redirects=True)
_FILES = _answers(("application/octet-stream", "application/vnd.pypi.integrity.v1+json")) | {
    "206": {"description": "A part of it", "content": {"application/octet-stream": {}}},
    "416": {"description": "It has no such part"},
}
_FILE_URL = [_path("project", _NORMALISED), _path("hash", "^(at-)?[0-9a-f]{64}$")]
_ROUTES: list[tuple[str, str, list[dict[str, Any]], dict[str, Any]]] = [
    ("/simple/", "The list of projects (PEP 691)", [_FORMAT], _PAGES),
    ("/simple/{project}/", "A project's page (PEP 691)", [_path("project", _NAME), _FORMAT], _PAGES),
    (
        "/files/{project}/{hash}/{filename}",
        "A file; with .metadata or .provenance behind its name what belongs to it",
        [*_FILE_URL, _path("filename", "^[A-Za-z0-9._+!-]+$")],
        _FILES,
    ),
    (
        "/pypi/{project}/json",
        "A project in the older JSON API",
        [_path("project", _NAME)],
        _answers(("application/json",), redirects=True),
    ),
    (
        "/pypi/{project}/{version}/json",
        "A release in the older JSON API",
        [_path("project", _NAME), _path("version", _VERSION)],
        _answers(("application/json",), redirects=True),
    ),
]
