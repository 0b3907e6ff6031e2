"""Masks say what `packaging` says, whatever the order of the listing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tests.resolve.worlds import LINUX, Release, universe
from venvery.model.files import CoreMetadata, NoMetadata
from venvery.model.names import normalize
from venvery.model.policy import parse_rule
from venvery.model.targets import short_target
from venvery.model.versions import parse_version
from venvery.resolve.dependencies import Dependency, facts_of, parse_dependency
from venvery.resolve.views import FileRules, lens_of

NUMBERS = st.integers(0, 3)
SUFFIXES = st.sampled_from(
    ["", "", "", "a1", "b2", "rc1", ".dev1", ".post1", ".post1.dev2", "a1.dev1", "+local", "+1", ".post1+x"]
)
VERSIONS = st.builds(
    lambda epoch, release, suffix: epoch + ".".join(map(str, release)) + suffix,
    st.sampled_from(["", "", "", "1!"]),
    st.lists(NUMBERS, min_size=1, max_size=3),
    SUFFIXES,
)
PUBLIC = VERSIONS.map(lambda text: text.split("+")[0])


@st.composite
def _specifiers(draw: st.DrawFn) -> str:
    clauses = []
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["plain", "exact", "wildcard", "compatible", "arbitrary"]))
        if kind == "plain":
            clauses.append(draw(st.sampled_from(["<", "<=", ">", ">="])) + draw(PUBLIC))
        elif kind == "exact":
            clauses.append(draw(st.sampled_from(["==", "!="])) + draw(VERSIONS))
        elif kind == "wildcard":
            release = ".".join(map(str, draw(st.lists(NUMBERS, min_size=1, max_size=2))))
            clauses.append(draw(st.sampled_from(["==", "!="])) + release + ".*")
        elif kind == "compatible":
            clauses.append("~=" + ".".join(map(str, draw(st.lists(NUMBERS, min_size=2, max_size=3)))))
        else:
            clauses.append("===" + draw(VERSIONS))
    return ",".join(clauses)


@given(st.lists(VERSIONS, min_size=1, max_size=12), st.lists(_specifiers(), min_size=1, max_size=4))
@settings(max_examples=120, deadline=None)
def test_a_mask_holds_what_the_specifier_contains(texts: list[str], specifiers: list[str]) -> None:
    made = universe("a", {text: Release() for text in texts})
    assert made.versions == tuple(sorted({Version(text) for text in texts}))
    for specifier in specifiers:
        mask = made.mask(specifier)
        held = [version for i, version in enumerate(made.versions) if mask >> (i + 1) & 1]
        wanted = SpecifierSet(specifier)
        assert held == [v for v in made.versions if wanted.contains(v, prereleases=True)]
        assert held == list(wanted.filter(made.versions, prereleases=True))
        assert not mask & 1
        assert made.mask(specifier) == mask


@given(st.lists(VERSIONS, min_size=1, max_size=12), _specifiers())
@settings(max_examples=60, deadline=None)
def test_stable_first_is_the_default_of_packaging(texts: list[str], specifier: str) -> None:
    made = universe("a", {text: Release() for text in texts})
    mask, wanted = made.mask(specifier), SpecifierSet(specifier)
    final = mask & ~made.prerelease_mask()
    allowed = mask if wanted.prereleases else final or mask
    held = [version for i, version in enumerate(made.versions) if allowed >> (i + 1) & 1]
    assert held == list(wanted.filter(made.versions))


def test_the_prerelease_mask_counts_development_releases() -> None:
    made = universe("a", {text: Release() for text in ("1.dev1", "1a1", "1rc1", "1", "1.post1", "1.post1.dev2")})
    found = [str(v) for i, v in enumerate(made.versions) if made.prerelease_mask() >> (i + 1) & 1]
    assert found == ["1.dev1", "1a1", "1rc1", "1.post1.dev2"]


def test_a_view_by_groups_equals_a_view_file_by_file() -> None:
    made = universe(
        "a",
        {
            "1": Release(tags=["cp312-cp312-manylinux_2_17_x86_64"], requires_python=">=3.8"),
            "2": Release(tags=["cp312-cp312-win_amd64"], sdist=True),
            "3": Release(requires_python=">=3.13"),
            "4": Release(yanked="bad"),
            "5": Release(tags=[], sdist=True, yanked=""),
            "6": Release(tags=["cp311-cp311-win_amd64"]),
        },
    )
    for target in (LINUX, short_target("3.13", "windows-x86_64"), short_target("3.7", "macos-arm64")):
        for wheels in (True, False):
            for sdists in (True, False):
                rules = FileRules(wheels=wheels, sdists=sdists)
                view = lens_of(facts_of(target), rules).view(made)
                plain = usable = 0
                for i, files in enumerate(made.by_version):
                    fine = [file for file in files if view.why_not_file(file) is None]
                    usable |= (2 << i) if fine else 0
                    plain |= (2 << i) if any(file.yanked is None for file in fine) else 0
                assert (view.plain, view.usable) == (plain, usable)
                assert lens_of(facts_of(target), rules).view(made) is view


def test_blocked_versions_are_not_there() -> None:
    made = universe("a", {"1": Release(), "2": Release(), "3": Release()})
    view = lens_of(facts_of(LINUX), FileRules(blocked=(parse_rule("a==2"), parse_rule("a>2.5")))).view(made)
    assert view.usable == made.mask("==1")


def test_metadata_is_added_and_never_taken_back() -> None:
    made = universe("a", {"1": Release(metadata=NoMetadata("later"))})
    file = made.listing.files[0]
    real = CoreMetadata(normalize("a"), parse_version("1"), requires_dist=("b",))
    view = lens_of(facts_of(LINUX), FileRules()).view(made)
    assert view.dependencies(0) == view.dependencies(0)
    made.set_metadata(file, real)
    assert made.metadata(file) is real
    made.set_metadata(file, NoMetadata("never mind"))
    assert made.metadata(file) is real
    told = view.dependencies(0)
    assert [dependency.text for dependency in getattr(told, "base", ())] == ["b"]


def test_a_marker_is_evaluated_for_each_extra() -> None:
    facts = facts_of(LINUX)
    dependency = parse_dependency("b ; extra == 'X_y' and sys_platform == 'linux'")
    assert isinstance(dependency, Dependency)
    assert not facts.holds(dependency)
    assert facts.holds(dependency, "x-y")
    assert not facts.holds(dependency, "z")


def test_requires_python_is_held_against_the_release_without_its_prerelease_part() -> None:
    facts = facts_of(short_target("3.15.0b1", "linux-x86_64"))
    assert facts.runs(">=3.15")
    assert not facts.runs(">=3.16")
    assert facts.runs("this is no specifier")
    assert not facts.runs("<3.15")
    assert facts.runs("<3.15", upper_bounds=False)
    assert facts.runs("==3.14.*", upper_bounds=False)
    assert not facts.runs("~=3.16", upper_bounds=False)
