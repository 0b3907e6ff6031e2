"""PubGrub over masks: unit propagation, conflict analysis, backjumping. Knows nothing of packages but numbers.

A *package* is a small number with a *domain*, a mask of what it may be (bit 0: not selected). A *clause* is
an incompatibility: a few terms `package in mask` that cannot all hold. With masks, every step is an `int`
operation:

- a term `(p, mask)` holds when `now[p] & ~mask == 0`, and cannot hold when `now[p] & mask == 0`;
- when all terms of a clause but one hold, the one is negated: `now[p] &= ~mask`;
- two clauses are resolved over a package by the union of its masks, and the intersection of all others.

Invariants: `now[p]` is never empty; it only shrinks along the trail; after `propagate` no clause is unit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["Derived", "Engine"]

Term = tuple[int, int, int]
"""Package, mask, and the rest of its domain."""


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
        self.terms: list[tuple[Term, ...]] = []
        self.causes: list[Any] = []
        """Why each clause is true: `Derived`, or whatever `add` was given."""
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
        self._decided = 0
        self._watching: list[list[int]] = []
        self._history: list[list[tuple[int, int]]] = []
        self._trail: list[tuple[int, int, int]] = []
        self._starts: list[int] = []
        self._changed = 0
        self._fresh: list[int] = []
        self._newborn: list[tuple[int, int]] = []

    def add_package(self, domain: int) -> int:
        """Add a package; its domain holds bit 0."""
        package = len(self.domain)
        self.domain.append(domain)
        self.now.append(domain)
        self._watching.append([])
        self._history.append([])
        if domain & (domain - 1) == 0:
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

    def decided(self, package: int) -> bool:
        """Tell whether a package has been decided."""
        return bool(self._decided >> package & 1)

    def holds(self, package: int, mask: int) -> bool:
        """Tell whether the package is now known to be in the mask."""
        return not self.now[package] & ~mask

    def decide(self, package: int, value: int) -> None:
        """Set a package to one value (a mask of one bit) on a new level."""
        self.level += 1
        self._starts.append(len(self._trail))
        self._decided |= 1 << package
        self._assign(package, value, -1)
        self.open &= ~(1 << package)

    def _assign(self, package: int, mask: int, clause: int) -> None:
        before = self.now[package]
        self._history[package].append((len(self._trail), mask))
        self._trail.append((package, before, clause))
        self.now[package] = mask
        bit = 1 << package
        self._changed |= bit
        if before & 1 and not mask & 1:
            self.open |= bit
        if not mask & (mask - 1):
            self.single |= bit

    def solve_units(self) -> bool:
        """Propagate, and resolve conflicts until none is left. False: there is no solution."""
        while True:
            clause = self._propagate()
            if clause < 0:
                return True
            self.conflicts += 1
            if not self._resolve(clause):
                return False

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

    def _resolve(self, clause: int) -> bool:
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
            clause = self._resolvent(clause, top_term)
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
        return next(step for step, after in self._history[package] if not after & rest)

    def _resolvent(self, clause: int, term: Term) -> int:
        package, mask, _rest = term
        cause = self._trail[self._satisfied_at(term)][2]
        merged = {p: m for p, m, _ in self.terms[clause]}
        for p, m, _rest in self.terms[cause]:
            merged[p] = mask | m if p == package else merged.get(p, -1) & m
        return self._store(merged, Derived(clause, cause, package))

    def certain(self, package: int) -> int:
        """Give what a package may be whatever is decided."""
        start = self._starts[0] if self._starts else len(self._trail)
        value = self.domain[package]
        for step, after in self._history[package]:
            if step >= start:
                break
            value = after
        return value

    def reason(self, package: int) -> int:
        """Give the clause that bound a package last; -1 when it was decided or never bound."""
        history = self._history[package]
        return self._trail[history[-1][0]][2] if history else -1

    def reconsider(self, package: int) -> None:
        """Go back to before a package was decided."""
        step = next(s for s, _mask in self._history[package] if self._trail[s][2] < 0)
        self._jump(bisect_right(self._starts, step) - 1)

    def _jump(self, level: int) -> None:
        """Undo everything above a level."""
        start = self._starts[level]
        while len(self._trail) > start:
            package, before, clause = self._trail.pop()
            self._history[package].pop()
            bit = 1 << package
            if clause < 0:
                self._decided &= ~bit
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
