"""PubGrub over masks: unit propagation, conflict analysis, backjumping. Knows nothing of packages but numbers.

A *package* is a small number with a *domain*, a mask of what it may be (bit 0: not selected). A *clause* is
an incompatibility: a few terms `package in mask` that cannot all hold. With masks, every step is an `int`
operation:

- a term `(p, mask)` holds when `now[p] & ~mask == 0`, and cannot hold when `now[p] & mask == 0`;
- when all terms of a clause but one hold, the one is negated: `now[p] &= ~mask`;
- two clauses are resolved over a package by the union of its masks, and the intersection of all others.

What a decided package brings along is no clause at first. It is drawn at once (`imply`), and whoever knows the
facts behind it is asked for a clause only when a conflict comes to rest on it: then it is asked for the widest
one, that speaks of every value of the package that would have led to the same.

Invariants: `now[p]` is never empty; it only shrinks along the trail; after `propagate` no clause is unit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["Because", "Derived", "Engine"]

Term = tuple[int, int, int]
"""Package, mask, and the rest of its domain."""

Because = Callable[[int, int, int], tuple[Iterable[tuple[int, int]], Any]]
"""`(holder, package, apart)`: the terms of a clause that is true of the problem, and why it is.

It must hold now but for its term on the package, and its conclusion must leave the package nothing of `apart`.
"""

_DECIDED = -1
"""Why a step was made: the clause's number; `_DECIDED`; or, below that, the holder that implied it."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A clause that follows from two others."""

    first: int
    second: int
    package: int
    """The package that was resolved away."""


class Engine:
    """The state of one search."""

    def __init__(self) -> None:
        self.domain: list[int] = []
        self.now: list[int] = []
        self.certain: list[int] = []
        """What each package may be whatever is decided."""
        self.terms: list[tuple[Term, ...]] = []
        self.causes: list[Any] = []
        """Why each clause is true: `Derived`, or whatever came with it."""
        self.conflicts = 0
        self.blamed: list[tuple[int, int]] = []
        """Whom each conflict cost something: the package and the clause that bound it; for the user to empty."""
        self.failure: int | None = None
        """The empty clause, once there is no solution."""
        self.level = 0
        self.open = 0
        """The packages, one bit each, that must be selected and are not decided."""
        self.single = 0
        """The packages that have one value left."""
        self.decided = 0
        """The packages that are decided."""
        self._watching: list[list[int]] = []
        self._trail: list[tuple[int, int, int, int]] = []
        """Each step: the package, what it was before, why it changed, and the last step that changed it before."""
        self._last: list[int] = []
        """The last step of each package; -1 for none."""
        self._starts: list[int] = []
        self._changed = 0
        self._fresh: list[int] = []
        self._newborn: list[tuple[int, int]] = []

    # ------------------------------------------------------------------ the problem

    def add_package(self, domain: int) -> int:
        """Add a package; its domain holds bit 0."""
        package = len(self.domain)
        self.domain.append(domain)
        self.now.append(domain)
        self.certain.append(domain)
        self._watching.append([])
        self._last.append(-1)
        if domain == 1:
            self.single |= 1 << package
        return package

    def add(self, terms: Iterable[tuple[int, int]], cause: Any) -> int:
        """Add a clause that is true of the problem; masks may go beyond domains. Gives its number, or -1.

        -1 stands for a clause that says nothing, because one of its terms can never hold.
        """
        cut: dict[int, int] = {}
        for package, mask in terms:
            mask &= cut.get(package, self.domain[package])
            if not mask:
                return -1
            cut[package] = mask
        clause = self._store(cut, cause)
        self._attach(clause)
        return clause

    def _store(self, cut: dict[int, int], cause: Any) -> int:
        domain = self.domain
        self.terms.append(tuple((p, mask, domain[p] ^ mask) for p, mask in cut.items() if mask != domain[p]))
        self.causes.append(cause)
        return len(self.terms) - 1

    def _attach(self, clause: int) -> None:
        for package, _mask, _rest in self.terms[clause]:
            self._watching[package].append(clause)
        self._fresh.append(clause)
        if self.level:
            self._newborn.append((self.level, clause))

    # ------------------------------------------------------------------ decisions and conclusions

    def holds(self, package: int, mask: int) -> bool:
        """Tell whether the package is now known to be in the mask."""
        return not self.now[package] & ~mask

    def decide(self, package: int, value: int) -> None:
        """Set a package to one value (a mask of one bit) on a new level."""
        self.level += 1
        self._starts.append(len(self._trail))
        self.decided |= 1 << package
        self._assign(package, value, _DECIDED)
        self.open &= ~(1 << package)

    def imply(self, holder: int, implied: Iterable[tuple[int, int]], because: Because) -> None:
        """Draw what a decided package brings along: pairs of a package and a mask that it must be in."""
        why = _DECIDED - 1 - holder
        now = self.now
        for package, mask in implied:
            before = now[package]
            after = before & mask
            if not after:
                self.add(*because(holder, package, before))
                return
            if after != before:
                self._assign(package, after, why)

    def _assign(self, package: int, mask: int, why: int) -> None:
        before = self.now[package]
        self._trail.append((package, before, why, self._last[package]))
        self._last[package] = len(self._trail) - 1
        self.now[package] = mask
        bit = 1 << package
        if self._watching[package]:
            self._changed |= bit
        if before & 1 and not mask & 1:
            self.open |= bit
        if not mask & (mask - 1):
            self.single |= bit
        if not self.level:
            self.certain[package] = mask

    def solve_units(self, because: Because) -> bool:
        """Propagate, and resolve conflicts until none is left. False: there is no solution."""
        while self._fresh or self._changed:
            clause = self._propagate()
            if clause >= 0:
                self.conflicts += 1
                if not self._resolve(clause, because):
                    return False
        return True

    def _propagate(self) -> int:
        """Draw all conclusions; gives a clause whose terms all hold, or -1."""
        now, all_terms, watching, fresh = self.now, self.terms, self._watching, self._fresh
        while True:
            if fresh:
                clauses = [fresh.pop()]
            elif self._changed:
                low = self._changed & -self._changed
                self._changed ^= low
                clauses = watching[low.bit_length() - 1]
            else:
                return -1
            for clause in reversed(clauses):
                unit = -1
                unit_mask = 0
                for package, mask, rest in all_terms[clause]:
                    value = now[package]
                    if value & rest:
                        if unit >= 0 or not value & mask:
                            break
                        unit = package
                        unit_mask = rest
                else:
                    if unit < 0:
                        return clause
                    self._assign(unit, now[unit] & unit_mask, clause)

    # ------------------------------------------------------------------ conflicts

    def _resolve(self, clause: int, because: Because) -> bool:
        """Learn from a conflict and jump back to where the learned clause is unit."""
        learned = False
        while True:
            terms = self.terms[clause]
            if not terms:
                self.failure = clause
                return False
            top, top_term, others = self._satisfiers(terms)
            level = bisect_right(self._starts, top)
            below = bisect_right(self._starts, others) if others >= 0 else 0
            if below < level:
                self._jump(below)
                self.blamed.append((top_term[0], clause))
                if learned:
                    self._attach(clause)
                else:
                    self._fresh.append(clause)
                return True
            clause = self._resolvent(clause, top, top_term, because)
            learned = True

    def _satisfiers(self, terms: tuple[Term, ...]) -> tuple[int, Term, int]:
        """Find the last step that made a term hold, the term, and the last such step among the other terms."""
        top = others = -1
        top_term = terms[0]
        for term in terms:
            step = self._satisfied_at(term)
            if step > top:
                top, others, top_term = step, top, term
            elif step > others:
                others = step
        return top, top_term, others

    def _satisfied_at(self, term: Term) -> int:
        """Find the step from which on a term holds, which it does now."""
        package, _mask, rest = term
        step = self._last[package]
        while not self._trail[step][1] & rest:
            step = self._trail[step][3]
        return step

    def _resolvent(self, clause: int, step: int, term: Term, because: Because) -> int:
        package, mask, rest = term
        _package, before, why, _earlier = self._trail[step]
        if why >= 0:
            cause = why
        else:
            told, fact = because(_DECIDED - 1 - why, package, before & rest)
            cause = self._store({p: m & self.domain[p] for p, m in told}, fact)
        merged = {p: m for p, m, _ in self.terms[clause]}
        for p, m, _rest in self.terms[cause]:
            merged[p] = mask | m if p == package else merged.get(p, -1) & m
        return self._store(merged, Derived(clause, cause, package))

    def reconsider(self, package: int) -> None:
        """Go back to before a package was decided."""
        step = self._last[package]
        while self._trail[step][2] != _DECIDED:
            step = self._trail[step][3]
        self._jump(bisect_right(self._starts, step) - 1)

    def _jump(self, level: int) -> None:
        """Undo everything above a level."""
        start = self._starts[level]
        while len(self._trail) > start:
            package, before, why, earlier = self._trail.pop()
            self._last[package] = earlier
            bit = 1 << package
            if why == _DECIDED:
                self.decided &= ~bit
            self.now[package] = before
            self.open = self.open & ~bit if before & 1 else self.open | bit
            self.single = self.single & ~bit if before & (before - 1) else self.single | bit
        del self._starts[level:]
        self.level = level
        self._changed = 0
        # Clauses that came in above the level have not yet been looked at on it.
        newborn, again = self._newborn, []
        while newborn and newborn[-1][0] > level:
            again.append(newborn.pop()[1])
        self._fresh.extend(again)
        if level:
            newborn.extend((level, clause) for clause in again)
