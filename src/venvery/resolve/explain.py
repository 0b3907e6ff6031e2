"""Words for "no": the derivation of a failure, told in sentences about the person's own requirements.

The tree's nodes are `{"says": sentence, "because": [nodes]}`; leaves carry the `fact` of the input that they
state. What is derived from a handful of facts is told by these facts alone; longer derivations get a
conclusion in between, each told once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from venvery.errors import Unsatisfiable
from venvery.model.names import NormalizedName, normalize
from venvery.model.requirements import Requirement
from venvery.resolve.dependencies import Dependency, from_requirement
from venvery.resolve.engine import Derived
from venvery.resolve.facts import Bounded, Fact, Guarded, Out, Requested, Requires
from venvery.resolve.helping import Holder, Wanted, advice, from_project, from_request
from venvery.resolve.packages import Package
from venvery.resolve.solver import NoAnswer, TargetSolver
from venvery.resolve.wording import (
    joined,
    no_such_version,
    plural,
    reasons_out,
    versions_of,
    versions_text,
    wheels_words,
)

__all__ = ["story", "unsatisfiable"]

Node = dict[str, Any]
_HANDFUL = 8
_MOST_NOTES = 3
_MOST_FACTS = 12
_DEEPEST = 3
"""At this depth facts are told without further conclusions."""
_MOST_NODES = 40
"""A tree with more sentences is told with fewer conclusions in between."""


def unsatisfiable(failure: NoAnswer, *, several: bool = False) -> Unsatisfiable:
    """Make the error that tells why there is no answer; `several` names the target in the first sentence."""
    return _Explanation(failure.solver, failure.clause).error(several)


def story(explanation: Node) -> str:
    """Write an explanation as indented lines, one sentence each."""
    lines: list[str] = []
    stack = [(explanation, 0)]
    while stack:
        node, depth = stack.pop()
        lines.append("  " * depth + ("- " if depth else "") + node["says"])
        stack += [(child, depth + 1) for child in reversed(node.get("because", []))]
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Depends:
    """Some versions of a project, or an extra of them, depend on another in one way."""

    package: int
    extra: NormalizedName | None
    dependency: Dependency
    versions: int


class _Explanation:
    def __init__(self, solver: TargetSolver, clause: int) -> None:
        self._solver = solver
        self._engine = solver.engine
        self._packages = solver.packages
        self._root = clause
        self._leaves: dict[int, int] = {}
        """By clause, the facts that it rests on: a set of places in `_facts_found`."""
        self._facts_found: list[int] = []
        self._told: set[int] = set()
        self._deepest = _DEEPEST
        self._hints: list[str] = []
        self._hints_at_last: list[str] = []
        """Those that are told where there are no others."""
        self._unknown: dict[str, None] = {}
        self._wanted = Wanted(self._packages, self._engine, ())

    # ------------------------------------------------------------------ the error

    def error(self, several: bool) -> Unsatisfiable:
        self._count_leaves()
        facts: list[Fact] = [self._cause(leaf) for leaf in self._leaves_of(self._root)]
        self._wanted = Wanted(self._packages, self._engine, facts)
        because = self._because(self._root)
        while _count(because) > _MOST_NODES and self._deepest:
            self._deepest -= 1
            self._told.clear()
            because = self._because(self._root)
        headline = self._headline(facts)
        if several:
            headline = f"{self._solver.question.target}: {headline}"
        _tell_notes_once(because, set())
        tree: Node = {"says": headline, "because": because}
        if self._unknown:
            tree["unknown_projects"] = list(self._unknown)
        hints = self._hints or self._hints_at_last
        return Unsatisfiable(headline, explanation=tree, hint="; ".join(dict.fromkeys(hints)) or None)

    def _headline(self, facts: Iterable[Fact]) -> str:
        facts = list(facts)
        asked = list(
            dict.fromkeys(_own(fact.requirement) for fact in facts if isinstance(fact, Requested | Bounded))
        )
        if self._unknown and (len(asked) == 1 or self._asked_for_unknown(facts)):
            names = list(self._unknown)
            return f"no source has a project named {joined(names, 'or')}"
        if len(asked) == 1:
            return f"{asked[0]} cannot be satisfied"
        if len(asked) <= _HANDFUL:
            return f"{joined(asked)} cannot be satisfied together"
        return f"{len(asked)} of the requirements cannot be satisfied together, {asked[0]} among them"

    def _asked_for_unknown(self, facts: Iterable[Fact]) -> bool:
        """Tell whether the person names a project that no source has: then nothing else matters."""
        return any(isinstance(fact, Requested) and fact.dependency.project in self._unknown for fact in facts)

    # ------------------------------------------------------------------ the tree

    def _cause(self, clause: int) -> Any:
        return self._engine.causes[clause]

    def _count_leaves(self) -> None:
        """Find the facts under each derived clause, children first: derivations may be deep and wide."""
        stack = [self._root]
        while stack:
            clause = stack[-1]
            if clause in self._leaves:
                stack.pop()
                continue
            cause = self._cause(clause)
            if not isinstance(cause, Derived):
                self._leaves[clause] = 1 << len(self._facts_found)
                self._facts_found.append(clause)
                continue
            missing = [part for part in (cause.first, cause.second) if part not in self._leaves]
            if missing:
                stack += missing
            else:
                self._leaves[clause] = self._leaves[cause.first] | self._leaves[cause.second]

    def _leaves_of(self, clause: int) -> list[int]:
        """Give the facts under a clause, in the order in which they became known."""
        mask = self._leaves[clause]
        return sorted(fact for i, fact in enumerate(self._facts_found) if mask >> i & 1)

    def _because(self, clause: int, depth: int = 0) -> list[Node]:
        """Tell what a clause rests on."""
        told = self._facts(self._leaves_of(clause))
        cause = self._cause(clause)
        if len(told) <= _HANDFUL or not isinstance(cause, Derived) or depth == self._deepest:
            return told
        # A long chain: walk down while one side is a single fact, and tell conclusions where it branches.
        parts: list[int] = []
        leaves: set[int] = set()
        walk = clause
        while True:
            step = self._cause(walk)
            if not isinstance(step, Derived):
                leaves.add(walk)
                break
            first, second = step.first, step.second
            if self._leaves[second].bit_count() > self._leaves[first].bit_count():
                first, second = second, first
            if self._leaves[second].bit_count() > 1:
                parts += [first, second]
                break
            leaves.update(self._leaves_of(second))
            walk = first
        nodes = self._facts(leaves)
        for part in parts:
            if part in self._told:
                nodes.append({"says": f"{self._sentence(part)} (as told above)"})
            else:
                self._told.add(part)
                nodes.append({"says": self._sentence(part), "because": self._because(part, depth + 1)})
        return nodes

    def _facts(self, leaves: Iterable[int]) -> list[Node]:
        """Tell facts, the person's own requirements first; equal dependencies of many versions as one."""
        own: list[Node] = []
        out: dict[tuple[Any, ...], tuple[int, Out | Guarded]] = {}
        merged: dict[tuple[Any, ...], _Depends] = {}
        for leaf in sorted(leaves):
            fact: Fact = self._cause(leaf)
            if isinstance(fact, Requires):
                for having, _allowed, dependency in fact.ways:
                    key = (fact.package, fact.extra, dependency.shown)
                    held = merged.get(key)
                    versions = having & fact.versions | (held.versions if held else 0)
                    merged[key] = _Depends(fact.package, fact.extra, dependency, versions)
            elif isinstance(fact, Requested | Bounded):
                node = self._own(fact)
                if node not in own:
                    own.append(node)
            else:
                reason = fact.why if isinstance(fact, Out) else fact.kind
                versions = out.get((fact.package, reason), (0, fact))[0] | fact.versions
                out[fact.package, reason] = versions, fact
        numbers = self._packages.numbers  # from the request down, in the order in which projects turned up
        facts = sorted(merged.values(), key=lambda fact: (fact.package, numbers[fact.dependency.project]))
        chain = self._chain(facts)
        chain += [self._out(fact, versions) for versions, fact in out.values()]
        if len(chain) > _MOST_FACTS:
            more = len(chain) - _MOST_FACTS
            chain[_MOST_FACTS:] = [{"says": f"… and {more} further facts of this kind"}]
        if len(own) > _MOST_FACTS:
            own[_MOST_FACTS:] = [{"says": f"… and {len(own) - _MOST_FACTS} further requirements"}]
        return own + chain

    def _own(self, fact: Requested | Bounded) -> Node:
        requirement = fact.requirement
        if isinstance(fact, Requested):
            says = f"you ask for {_own(requirement)}"
            specifier = fact.dependency.specifier
            if fact.dependency.text != from_requirement(requirement).text:
                says += f", which is overridden by {fact.dependency.text}"
            kind, project = "requested", fact.dependency.project
        else:
            says = f"you allow only {_own(requirement)} as a constraint"
            specifier = from_requirement(requirement).specifier
            kind, project = "constraint", requirement.project
        node: Node = {"says": says, "fact": {"kind": kind, "requirement": requirement.text}}
        if requirement.origin:
            node["fact"]["origin"] = requirement.origin
        return self._with_notes(node, project, specifier, from_request(fact))

    def _chain(self, facts: list[_Depends]) -> list[Node]:
        """Tell dependencies; where each version has its own specifier for the same project, in one sentence."""
        alike: dict[tuple[Any, ...], list[_Depends]] = {}
        for fact in facts:
            alike.setdefault((fact.package, fact.extra, fact.dependency.project), []).append(fact)
        nodes = []
        for group in alike.values():
            if len(group) > _MOST_NOTES:
                nodes.append(self._requires_each(group))
            else:
                nodes += [self._requires(fact) for fact in group]
        return nodes

    def _who(self, fact: _Depends, versions: int) -> tuple[str, str]:
        package = self._package(fact.package)
        who = versions_text(package, versions, self._engine.domain[fact.package], self._declared(package))
        if fact.extra is not None:
            return f"the extra {fact.extra} of {who}", "depends"
        return who, "depend" if plural(who, versions) else "depends"

    def _requires_each(self, group: list[_Depends]) -> Node:
        """Tell of versions that depend on one project in many ways, from the newest version down."""
        group = sorted(group, key=lambda fact: (-fact.versions, fact.dependency.shown))
        fact = group[0]
        versions = 0
        for told in group:
            versions |= told.versions
        package = self._package(fact.package)
        who, verb = self._who(fact, versions)
        shown = [told.dependency.shown for told in group]
        node: Node = {
            "says": f"{who} {verb} on {fact.dependency.project}, each in its own way: "
            f"{shown[-1]} (the oldest) to {shown[0]} (the newest)",
            "fact": {
                "kind": "requires-each",
                "project": str(package.project),
                "requirements": [
                    {"versions": versions_of(package.universe, told.versions), "requirement": told.dependency.text}
                    for told in group
                ],
            },
        }
        if fact.extra is not None:
            node["fact"]["extra"] = str(fact.extra)
        return node

    def _requires(self, fact: _Depends) -> Node:
        package = self._package(fact.package)
        who, verb = self._who(fact, fact.versions)
        shown = fact.dependency.shown
        if self._solver.question.is_override(fact.dependency):
            shown = f"{fact.dependency.project}, which is overridden by {shown}"
        node: Node = {
            "says": f"{who} {verb} on {shown}",
            "fact": {
                "kind": "requires",
                "project": str(package.project),
                "versions": versions_of(package.universe, fact.versions),
                "requirement": fact.dependency.text,
            },
        }
        if fact.extra is not None:
            node["fact"]["extra"] = str(fact.extra)
        holder = from_project(fact.package, fact.extra)
        return self._with_notes(node, fact.dependency.project, fact.dependency.specifier, holder)

    def _out(self, fact: Out | Guarded, mask: int) -> Node:
        package = self._package(fact.package)
        who = versions_text(package, mask, self._engine.domain[fact.package], self._declared(package))
        versions = versions_of(package.universe, mask)
        many = plural(who, mask)
        if isinstance(fact, Out):
            says, kind = f"{who} cannot be used: {fact.why.reason}", f"unusable-{fact.why.kind}"
        elif fact.kind == "yanked":
            says, kind = (
                f"{who} {'are' if many else 'is'} yanked, and nobody asks for {'them' if many else 'it'} with ==",
                "yanked",
            )
            self._hints.append(f"pin {package.project} with == to take a yanked release")
        else:
            says, kind = (
                f"{who} {'are pre-releases' if many else 'is a pre-release'}, and final releases match",
                "prerelease",
            )
            if self._wanted.may_help(fact.package, mask):
                self._hints_at_last.append(f"allow pre-releases of {package.project}")
        return {"says": says, "fact": {"kind": kind, "project": str(package.project), "versions": versions}}

    def _with_notes(self, node: Node, project: str, specifier: str, holder: Holder) -> Node:
        """Add what is special about the versions that a requirement matches and that would help if it were not."""
        number = self._packages.numbers.get(normalize(project))
        if number is None:
            return node
        package = self._package(number)
        if not package.universe.listing.known:
            self._unknown[project] = None
            node["because"] = [
                {
                    "says": f"no source has a project named {project}",
                    "fact": {"kind": "unknown", "project": project},
                }
            ]
            return node
        matching = package.universe.mask(specifier)
        missing = matching & ~self._engine.domain[number] & self._wanted.by_others(number, holder)
        notes = []
        if not matching:
            notes.append(self._nothing_matches(package, specifier))
        for kind, versions, words in reasons_out(package, missing, yanked_out=True) if missing else ():
            who = versions_text(package, versions, package.universe.full)
            more = f" ({wheels})" if (wheels := wheels_words(package.view, versions)) and kind == "tag" else ""
            says = f"{who} {'are' if plural(who, versions) else 'is'} {words}{more}"
            notes.append(
                {
                    "says": says,
                    "fact": {
                        "kind": f"out-{kind}",
                        "project": project,
                        "versions": versions_of(package.universe, versions),
                    },
                }
            )
            hint = None if matching & self._engine.domain[number] else advice(kind, package, versions)
            if hint is not None:
                self._hints.append(hint)
        if notes:
            node["because"] = notes[:_MOST_NOTES]
        return node

    def _nothing_matches(self, package: Package, specifier: str) -> Node:
        return {
            "says": no_such_version(package, specifier),
            "fact": {"kind": "no-such-version", "project": str(package.project), "specifier": specifier},
        }

    # ------------------------------------------------------------------ conclusions

    def _package(self, number: int) -> Package:
        return self._packages[number]

    def _declared(self, package: Package) -> list[str]:
        return [dependency.specifier for _terms, dependency, _mask in package.wishes]

    def _name(self, number: int, mask: int) -> str:
        """Name what a term allows of a package or an extra."""
        if number in self._packages.owners:
            owner, extra = self._packages.owners[number]
            return f"{self._package(owner).project}[{extra}]"
        package = self._package(number)
        domain = self._engine.domain[number]
        text = versions_text(package, mask, domain, self._declared(package))
        return str(package.project) if text.startswith("every version of ") else text

    def _sentence(self, clause: int) -> str:
        """Say what a derived clause means."""
        have, need = [], []
        for number, mask, rest in self._engine.terms[clause]:
            if mask & 1:
                need.append(self._name(number, rest))
            else:
                have.append(self._name(number, mask))
        if not need:
            if not have:
                return "the requirements contradict one another"
            return f"{joined(have)} cannot be used" + (" together" if len(have) > 1 else "")
        wanted = joined(need, "or")
        return f"{joined(have)} {'need' if len(have) > 1 else 'needs'} {wanted}" if have else f"{wanted} is needed"


def _tell_notes_once(nodes: Iterable[Node], told: set[str]) -> None:
    """Leave out what was told already of versions that are out: several requirements match the same ones."""
    for node in nodes:
        below: list[Node] = node.pop("because", [])
        fresh = [one for one in below if one["says"] not in told or not _is_note(one)]
        told.update(one["says"] for one in fresh if _is_note(one))
        _tell_notes_once(fresh, told)
        if fresh:
            node["because"] = fresh


def _is_note(node: Node) -> bool:
    return str(node.get("fact", {}).get("kind", "")).startswith("out-")


def _count(nodes: list[Node]) -> int:
    return sum(1 + _count(node.get("because", [])) for node in nodes)


def _own(requirement: Requirement) -> str:
    """Quote a requirement of the person, with the place where it is written."""
    return f"{requirement.text} ({requirement.origin})" if requirement.origin else requirement.text
