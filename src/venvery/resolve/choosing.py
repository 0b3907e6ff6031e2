"""What to decide next, and for which version: the search's heuristics and the policies of leave."""

from __future__ import annotations

from venvery.resolve.dependencies import from_requirement
from venvery.resolve.facts import Guarded
from venvery.resolve.packages import Package, Packages

__all__ = ["Chooser"]

_CONFLICTS = 3
"""After so many conflicts the package that suffers is decided before others, the one that causes them after."""


class Chooser:
    """Chooses packages and versions.

    Packages are taken in the order in which they turned up, those with one version left first. Whoever loses
    versions to others again and again comes before these; whoever makes others lose them comes last.
    """

    def __init__(self, packages: Packages, *, lenient: bool) -> None:
        self._packages = packages
        self._engine = packages.engine
        self._question = packages.question
        self._policies = packages.question.policies
        self._lenient = lenient
        self._early = 0
        self._late = 0
        self.guarded = False
        """True once versions were ruled out because nobody gives leave for them."""

    # ------------------------------------------------------------------ which package

    def next(self) -> tuple[int, int | None] | None:
        """Choose the package to decide next, and its version; None when all is decided.

        An extra comes as soon as its project is decided, with the version that was decided. Projects whose every
        version needs leave wait for the others, who might give it; None for the version says that they did not.
        """
        engine = self._engine
        switches = engine.open & self._packages.switches
        while switches:
            low = switches & -switches
            number = low.bit_length() - 1
            owner = self._packages.owners[number][0]
            if engine.decided >> owner & 1:
                return number, engine.now[owner].bit_length() - 2
            switches ^= low
        left = engine.open & ~self._packages.switches
        shy = None
        while left:
            ready = left & engine.single or left & self._early or left & ~self._late or left
            low = ready & -ready
            number = low.bit_length() - 1
            rank = self.version(number)
            if rank is not None:
                return number, rank
            shy = number if shy is None else shy
            left ^= low
        return None if shy is None else (shy, None)

    def blame(self, package: int, clause: int, lost: int = 1) -> None:
        """Count a conflict that bound a package or cost it versions; when it is one of many, change the order."""
        victim = self._packages.find(package)
        if victim is None or clause < 0:
            return
        before, victim.suffered = victim.suffered, victim.suffered + lost
        if before < _CONFLICTS <= victim.suffered:
            self._early |= 1 << package
            self._late &= ~(1 << package)
        for other, _mask, _rest in self._engine.terms[clause]:
            cause = self._packages.find(other)
            if other == package or cause is None or not self._engine.decided >> other & 1:
                continue
            before, cause.caused = cause.caused, cause.caused + lost
            if before < _CONFLICTS <= cause.caused and not self._early >> other & 1:
                self._late |= 1 << other
                self._engine.reconsider(other)

    # ------------------------------------------------------------------ which version

    def version(self, number: int) -> int | None:
        """Choose a version of a project; None when each that is left needs leave that nobody gives."""
        package = self._packages[number]
        left = self._engine.now[number] & ~1
        if left & package.held:
            return package.held.bit_length() - 2
        pool = left & package.fine
        if package.prerelease_named and self._newest_of_any_kind(package):
            pool = left & package.view.plain
        if not pool:
            pool = left if self._lenient else self.with_leave(package, left)
            if not pool:
                return None
        if pool & package.shared:
            return package.shared.bit_length() - 2
        pool = pool & self._question.everywhere(package.view) or pool
        strategy = self._question.options.strategy
        if strategy == "lowest" or (strategy == "lowest-direct" and package.direct):
            pool &= -pool
        return pool.bit_length() - 2

    def _newest_of_any_kind(self, package: Package) -> bool:
        return self._policies.named_prereleases == "newest" and self._names_prerelease(package)

    def _names_prerelease(self, package: Package) -> bool:
        counts = self._packages.counts
        return any(counts(terms) for terms, dependency, _ in package.wishes if dependency.names_prerelease)

    # ------------------------------------------------------------------ leave

    def with_leave(self, package: Package, left: int) -> int:
        """Give those of the versions that need leave which have it."""
        view = package.view
        prereleases = left & view.plain
        if prereleases and (
            self._policies.prereleases == "when-nothing-else-works" or self._nothing_else_matches(package)
        ):
            return prereleases
        yanked = left & ~view.plain
        if yanked and self._policies.yanked == "any-pin":
            pinned = 0
            for _, dependency, mask in self._packages.active(package):
                if dependency.pins:
                    pinned |= mask
            yanked &= pinned
        return yanked

    def _nothing_else_matches(self, package: Package) -> bool:
        if self._names_prerelease(package):
            return True
        matching = package.view.usable & ~package.universe.prerelease_mask()
        for _, _dependency, mask in self._packages.active(package):
            matching &= mask
        for bound in self._question.bounds(package.project):
            matching &= package.universe.mask(from_requirement(bound).specifier)
        return not matching

    def guard(self, number: int, left: int) -> None:
        """Rule out versions for which leave is needed and nobody who is in the answer gives it.

        The clause names those who are in the answer in another version and could give leave in that one. Who
        is not in the answer at all cannot be named; so it may rule out too much, and `guarded` tells of it.
        """
        package = self._packages[number]
        yanked = left & ~package.view.plain
        terms = {number: left}
        for holders, dependency, allowed in package.wishes:
            opens = left != yanked and dependency.names_prerelease
            if opens or (dependency.pins and allowed & yanked):
                for holder, mask in holders:
                    others = self._engine.domain[holder] & ~mask
                    if self._engine.holds(holder, others):
                        terms[holder] = terms.get(holder, -1) & others
                        break
        self.guarded = True
        self._engine.add(terms.items(), Guarded(number, left, "yanked" if left == yanked else "prerelease"))

    def without_leave(self) -> tuple[int, int] | None:
        """Find a decided version that needs leave and has none: a lenient search takes such versions."""
        if not self._lenient:
            return None
        for number in self._packages.numbers.values():
            if self._engine.decided >> number & 1:
                package, version = self._packages[number], self._engine.now[number]
                if not version & (package.fine | package.held) and not self.with_leave(package, version):
                    return number, version
        return None
