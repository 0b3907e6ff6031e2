"""Every error that venvery raises has one status and one type, and the same exit code everywhere."""

from __future__ import annotations

import pytest

from venvery import errors
from venvery.cli.exits import exit_code
from venvery.server.problems import problem_of


def every(kind: type[errors.VenveryError]) -> list[type[errors.VenveryError]]:
    return [kind, *(child for direct in kind.__subclasses__() for child in every(direct))]


KINDS = [kind for kind in every(errors.VenveryError) if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_status_and_exit_code_say_the_same(kind: type[errors.VenveryError]) -> None:
    error = kind("It went wrong.")
    status, document = problem_of(error)
    assert document["detail"] == "It went wrong."
    assert document["status"] == status
    assert document["type"].startswith("urn:venvery:problem:")
    assert {400: 2, 401: 3, 403: 3, 413: 2, 404: 1, 503: 3, 422: 1, 502: 3, 507: 3, 500: 3}[status] == exit_code(
        error
    )


def test_types_are_stable() -> None:
    assert problem_of(errors.BadRequirement("x", line=3, column=7))[1] == {
        "type": "urn:venvery:problem:bad-requirement",
        "title": "A requirement that does not parse (PEP 508)",
        "status": 400,
        "detail": "x",
        "line": 3,
        "column": 7,
    }


def test_the_derivation_comes_as_tree_and_as_text() -> None:
    tree = {"says": "a and b cannot both be", "because": [{"says": "you ask for a"}, {"says": "you ask for b"}]}
    _status, document = problem_of(errors.Unsatisfiable("a and b cannot both be", explanation=tree, hint="drop b"))
    assert document["explanation"] == tree
    assert document["story"] == "a and b cannot both be\n  - you ask for a\n  - you ask for b"
    assert document["hint"] == "drop b"
