"""Many texts as one: all that goes in comes out again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venvery.model.texts import Texts, join

plain = st.text(st.characters(exclude_characters="\n\t", exclude_categories=["Cs"]), max_size=8)
columns = st.lists(st.none() | plain | st.sampled_from(["", "a", "aa", "a-1.whl"]), min_size=1, max_size=30)


@given(columns)
def test_each_comes_out_as_it_went_in(column: list[str | None]) -> None:
    joined = join(column)
    assert joined is not None
    texts = Texts(joined)
    assert len(texts) == len(column)
    assert list(texts) == column
    assert [texts[place] for place in range(len(column))] == column
    assert [texts[place] for place in range(-len(column), 0)] == column
    assert texts[1:3] == column[1:3]
    for outside in (len(column), -len(column) - 1):
        with pytest.raises(IndexError):
            texts[outside]


@given(st.lists(st.sampled_from(["a", "aa", "ba", "ab", "b"]), min_size=1, max_size=20), st.integers(0, 20))
def test_a_text_is_found_where_it_stands_whole(column: list[str], start: int) -> None:
    texts = Texts(join(column) or "")
    for text in ("a", "aa", "b", "bb", "a\nb", ""):
        wanted = column.index(text, start) if text in column[start:] else None
        if wanted is None:
            with pytest.raises(ValueError, match="not there"):
                texts.index(text, start)
        else:
            assert texts.index(text, start) == wanted


@pytest.mark.parametrize("column", [[], ["a\nb"], ["a", "\n"], ["\t"], [None, "\t"]])
def test_what_would_not_come_out_again_is_not_joined(column: list[str | None]) -> None:
    assert join(column) is None
