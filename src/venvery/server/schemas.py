"""What `/openapi.json` says of the bodies. They are read by `services/documents.py`, which has the last word."""

from __future__ import annotations

from typing import Any

__all__ = [
    "ANSWER_HEADERS",
    "ARCHIVES",
    "LOCKS",
    "OUTDATED",
    "PROBLEM",
    "TARGET_PARAMETERS",
    "environment_body",
    "outdated_body",
    "resolve_body",
]

_NAMES: dict[str, Any] = {"oneOf": [{"const": ":all:"}, {"type": "array", "items": {"type": "string"}}]}

_REQUIREMENTS: dict[str, Any] = {
    "type": "array",
    "items": {
        "oneOf": [
            {"type": "string", "examples": ["django>=1.8"]},
            {
                "type": "object",
                "required": ["requirement"],
                "properties": {"requirement": {"type": "string"}, "origin": {"type": "string"}},
            },
        ]
    },
}

_TARGET: dict[str, Any] = {
    "oneOf": [
        {
            "type": "object",
            "properties": {
                "python": {"type": "string", "examples": ["3.11", "3.13t"]},
                "platform": {"type": "string", "examples": ["linux-x86_64", "manylinux_2_28_x86_64"]},
            },
        },
        {
            "type": "object",
            "required": ["marker_environment", "tags"],
            "properties": {
                "marker_environment": {"type": "object", "additionalProperties": {"type": "string"}},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
        },
    ]
}

_RESOLVE: dict[str, Any] = {
    "view": {"type": "string", "description": "the view whose sources are asked; the default one when absent"},
    "requirements": _REQUIREMENTS,
    "text": {"type": "string", "description": "requirements.txt, instead of or beside `requirements`"},
    "constraints": _REQUIREMENTS,
    "target": _TARGET,
    "targets": {"type": "array", "items": _TARGET},
    "options": {
        "type": "object",
        "properties": {
            "preset": {"enum": ["pip", "uv"]},
            "strategy": {"enum": ["highest", "lowest", "lowest-direct"]},
            "prereleases": {"enum": ["if-necessary-or-explicit", "allow", "disallow"]},
            "prerelease_projects": _NAMES,
            "only_binary": _NAMES,
            "no_binary": _NAMES,
            "exclude_newer": {"type": "string", "format": "date-time"},
            "overrides": _REQUIREMENTS,
            "excludes": {"type": "array", "items": {"type": "string"}},
            "preferences": {"type": "object", "additionalProperties": {"type": "string"}},
            "upgrade": _NAMES,
            "sources": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    },
}

_ENVIRONMENT: dict[str, Any] = _RESOLVE | {
    "lock": {
        "type": "object",
        "description": "a lock as `/v1/resolve` gives it in JSON; nothing is resolved then",
    },
    "pylock": {"type": "string", "description": "a pylock.toml (PEP 751); nothing is resolved then"},
    "prefix": {"type": "string", "description": "where the environment will live; absolute"},
    "python": {
        "type": "string",
        "description": "the base interpreter there; absolute. Else found at first use",
    },
    "have": {"type": "array", "items": {"type": "string"}, "description": "layers to leave out"},
    "bytecode": {"type": "boolean", "default": True},
    "prompt": {"type": "string"},
    "relocatable": {
        "type": "boolean",
        "default": False,
        "description": "scripts and activation find the environment by where they are themselves",
    },
}

_OUTDATED: dict[str, Any] = _RESOLVE | {
    "lock": {"type": "object", "description": "a lock as `/v1/resolve` gives it in JSON"},
    "pylock": {"type": "string", "description": "a pylock.toml (PEP 751)"},
    "pins": {"type": "string", "description": "a requirements.txt whose every line is a pin, or a pylock.toml"},
}

_RELEASE = {"type": "object", "properties": {"project": {"type": "string"}, "version": {"type": "string"}}}

OUTDATED: dict[str, Any] = {
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["outdated", "updates", "added"],
            "properties": {
                "outdated": {"type": "boolean", "description": "whether resolving anew gives another lock"},
                "updates": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["project", "version", "taken", "newest", "held_by"],
                        "properties": {
                            "project": {"type": "string"},
                            "version": {"type": "string", "description": "as the lock has it"},
                            "taken": {
                                "type": ["string", "null"],
                                "description": "what resolving anew gives; null: needed no more",
                            },
                            "newest": {"type": "string"},
                            "held_by": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["requirement"],
                                    "properties": {
                                        name: {"type": "string"}
                                        for name in ("requirement", "project", "version", "origin")
                                    },
                                },
                            },
                            "reason": {"type": "string", "description": "where no one requirement forbids it"},
                        },
                    },
                },
                "added": {"type": "array", "items": _RELEASE},
            },
        }
    }
}

PROBLEM: dict[str, Any] = {
    "description": "What went wrong, as a sentence, and what to do next (RFC 9457)",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                    "hint": {"type": "string"},
                    "explanation": {"description": "the derivation of an unsatisfiable request, as a tree"},
                    "story": {"type": "string", "description": "the same as text"},
                },
            }
        }
    },
}

ANSWER_HEADERS: dict[str, Any] = {
    "Venvery-Answer": {
        "schema": {"enum": ["remembered", "computed"]},
        "description": "whether the answer was computed for this request; a remembered one is given only while "
        "every listing that it rests on is unchanged",
    },
    "Venvery-Listings-Age": {
        "schema": {"type": "integer"},
        "description": "seconds since the least recently checked of these listings was checked",
    },
}

_BINARY = {"schema": {"type": "string", "format": "binary"}}

LOCKS: dict[str, Any] = {
    "application/json": {"schema": {"type": "object"}},
    "application/yaml": {"schema": {"type": "string"}},
    "application/toml": {"schema": {"type": "string"}},
    "text/plain": {"schema": {"type": "string"}},
}
ARCHIVES: dict[str, Any] = {
    "application/json": {"schema": {"type": "object"}},
    "application/x-tar+zstd": _BINARY,
    "application/x-tar+gzip": _BINARY,
}

TARGET_PARAMETERS: list[dict[str, Any]] = [
    {"name": name, "in": "query", "required": False, "schema": {"type": "string"}, "description": text}
    for name, text in (
        (
            "python",
            "the target's Python, `3.11`; for an environment also the base interpreter's absolute path",
        ),
        ("platform", "the target's platform, `linux-x86_64`"),
    )
]


def _body(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": properties, "additionalProperties": False}
            },
            "text/plain": {"schema": {"type": "string", "examples": ["django>=1.8\nrequests>=2.7\n"]}},
        },
    }


def resolve_body() -> dict[str, Any]:
    """Describe the body of `POST /v1/resolve`."""
    return _body(_RESOLVE)


def environment_body() -> dict[str, Any]:
    """Describe the body of `POST /v1/environments`."""
    return _body(_ENVIRONMENT)


def outdated_body() -> dict[str, Any]:
    """Describe the body of `POST /v1/outdated`."""
    return _body(_OUTDATED)
