"""Words for "no": the derivation of a failure, told in sentences about the person's own requirements."""

from __future__ import annotations

from venvery.errors import Unsatisfiable
from venvery.resolve.engine import Derived
from venvery.resolve.solver import NoAnswer

__all__ = ["unsatisfiable"]


def unsatisfiable(failure: NoAnswer, *, several: bool = False) -> Unsatisfiable:
    """Make the error that tells why there is no answer."""
    engine = failure.solver.engine
    facts = []
    seen = set()
    stack = [failure.clause]
    while stack:
        c = stack.pop()
        if c in seen or c < 0:
            continue
        seen.add(c)
        cause = engine.causes[c]
        if isinstance(cause, Derived):
            stack += [cause.second, cause.first]
        else:
            facts.append(str(cause))
    return Unsatisfiable("the requirements cannot all be satisfied", explanation={"says": "no", "because": facts})
