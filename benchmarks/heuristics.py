"""Counts what each of the solver's heuristics is worth: all recorded inputs, with one of them left out at a time.

    python benchmarks/heuristics.py

Decisions and conflicts are the same on every machine. Writes a table to stdout and to results/heuristics.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from timing import machine  # noqa: E402

from resolve import HARD, WORLD, collect_as_a_server, request_of  # noqa: E402
from venvery.errors import Unsatisfiable, VenveryError  # noqa: E402
from venvery.model.requests import ResolveRequest  # noqa: E402
from venvery.resolve import MemoryShelf, choosing, packages, solving  # noqa: E402
from venvery.services.worlds import World, replay  # noqa: E402

NEVER = 10**9
COLUMNS = ("variant", "decisions", "conflicts", "of walk-backs", "conflicts", "time", "slowest", "left the world")
ABOUT = """All {inputs} inputs of the recorded world, hot, with one heuristic changed at a time; {hard} of them
are hard walk-backs, and counted once more by themselves. {machine}.

*Time* is that of a processor, summed over the inputs. *Left the world*: inputs whose search asked for metadata
that was not recorded, and ended there; what they took up to that point is in the sums. That conflicts change
the order costs a few decisions here, and is kept for the answers: without it a project that newer ones push
aside goes back to a release from before it knew of them, as in the scenario *wrong-backtracking-basic*.
"""


@dataclass(frozen=True, slots=True)
class Count:
    """What one input took."""

    name: str
    decisions: int
    conflicts: int
    seconds: float
    """Of a processor."""
    unknown: bool
    """True when the search went where the recorded world does not reach."""


@contextmanager
def changed(holder: Any, name: str, value: Any) -> Iterator[None]:
    """Have another value for a while."""
    before = getattr(holder, name)
    setattr(holder, name, value)
    try:
        yield
    finally:
        setattr(holder, name, before)


def without_singles(next_one: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let the chooser not know which packages have one version left."""

    def next_blindly(chooser: Any) -> Any:
        chooser._engine.single = 0
        return next_one(chooser)

    return next_blindly


VARIANTS: Sequence[tuple[str, Callable[[], Any]]] = (
    ("as it is", lambda: changed(packages, "_TRIES", packages._TRIES)),
    ("clauses speak of all versions from the first try", lambda: changed(packages, "_TRIES", 0)),
    ("clauses speak of all versions only after ten tries", lambda: changed(packages, "_TRIES", 10)),
    ("clauses speak of one version only", lambda: changed(packages, "_TRIES", NEVER)),
    ("whoever suffers or causes conflicts keeps its turn", lambda: changed(choosing, "_CONFLICTS", NEVER)),
    (
        "projects with one version left have to wait their turn",
        lambda: changed(choosing.Chooser, "next", without_singles(choosing.Chooser.next)),
    ),
)


def count(name: str, request: ResolveRequest, shelf: MemoryShelf) -> Count:
    """Resolve, and count; with the search's own numbers where there is no answer."""
    solvers: list[Any] = []

    class Noted(solving.TargetSolver):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            solvers.append(self)

    unknown, seconds = False, float("inf")
    with changed(solving, "TargetSolver", Noted):
        for _ in range(3):
            solvers.clear()
            began = time.process_time()
            try:
                replay(request, shelf)
            except Unsatisfiable:
                pass
            except VenveryError:
                unknown = True
            seconds = min(seconds, time.process_time() - began)
    decisions = sum(solver.decisions for solver in solvers)
    conflicts = sum(solver.engine.conflicts for solver in solvers)
    return Count(name, decisions, conflicts, seconds, unknown)


def row(variant: str, counts: Sequence[Count]) -> str:
    """Write what all inputs took."""
    hard = [one for one in counts if one.name in HARD]
    slowest = max(counts, key=lambda one: one.seconds)
    cells = [
        variant,
        f"{sum(one.decisions for one in counts):,}",
        f"{sum(one.conflicts for one in counts):,}",
        f"{sum(one.decisions for one in hard):,}",
        f"{sum(one.conflicts for one in hard):,}",
        f"{sum(one.seconds for one in counts) * 1e3:,.0f} ms",
        f"{slowest.seconds * 1e3:,.1f} ms ({slowest.name})",
        str(sum(one.unknown for one in counts)),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    world = World.unpack(WORLD.read_bytes())
    shelf = world.shelf()
    requests = {body["prompt"]: request_of(body) for body in world.requests}
    for name, request in requests.items():  # what is made once is made before anything is timed
        count(name, request, shelf)
    collect_as_a_server()
    lines = [
        "# What the solver's heuristics are worth\n",
        ABOUT.format(inputs=len(requests), hard=len(HARD), machine=machine()),
        f"| {' | '.join(COLUMNS)} |",
        "| --- |" + " ---: |" * (len(COLUMNS) - 1),
    ]
    for variant, change in VARIANTS:
        with change():
            lines.append(row(variant, [count(name, request, shelf) for name, request in requests.items()]))
        print(lines[-1], flush=True)
    (HERE / "results" / "heuristics.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
