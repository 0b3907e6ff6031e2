"""The text that orders versions in any database, held against `packaging`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from venvery.model.versions import Version, parse_version, sort_key

_numbers = st.integers(0, 12) | st.integers(0, 10**30) | st.sampled_from([20261121, 10**25 - 1, 10**25])


@st.composite
def versions(draw: st.DrawFn) -> Version:
    """Make any version that PEP 440 allows, with small parts more often, so that many nearly meet."""
    text = f"{draw(st.sampled_from([0, 0, 0, 1, 2]))}!" + ".".join(
        str(part) for part in draw(st.lists(_numbers, min_size=1, max_size=4))
    )
    if draw(st.booleans()):
        text += f"{draw(st.sampled_from(['a', 'b', 'rc']))}{draw(_numbers)}"
    if draw(st.booleans()):
        text += f".post{draw(_numbers)}"
    if draw(st.booleans()):
        text += f".dev{draw(_numbers)}"
    if draw(st.booleans()):
        part = st.text("ab01", min_size=1, max_size=3) | _numbers.map(str)
        text += "+" + ".".join(draw(st.lists(part, min_size=1, max_size=3)))
    return parse_version(text)


@given(versions(), versions())
@settings(max_examples=1500)
def test_keys_are_ordered_as_versions_are(one: Version, other: Version) -> None:
    assert (sort_key(one) < sort_key(other)) == (one < other)
    assert (sort_key(one) == sort_key(other)) == (one == other)


@given(versions())
def test_keys_are_plain_ascii(version: Version) -> None:
    key = sort_key(version)
    assert key.isascii() and key.isprintable()
