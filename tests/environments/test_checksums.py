"""The CRC-32 of joined data against zlib's."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venvery.environments.checksums import crc32_combine


@given(st.binary(max_size=2000), st.binary(max_size=2000))
def test_the_checksum_of_two_parts_is_that_of_the_whole(first: bytes, second: bytes) -> None:
    assert crc32_combine(zlib.crc32(first), zlib.crc32(second), len(second)) == zlib.crc32(first + second)


@pytest.mark.parametrize("length", [0, 1, 255, 256, 257, 65535, 65536, 1 << 24, (1 << 24) + 1])
def test_long_second_parts(length: int) -> None:
    first, second = b"what came before", b"\xa5" * length
    assert crc32_combine(zlib.crc32(first), zlib.crc32(second), length) == zlib.crc32(second, zlib.crc32(first))


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**45), st.integers(0, 2**45))
def test_joining_is_associative_for_any_length(crc: int, other: int, first: int, second: int) -> None:
    zeros_then = crc32_combine(crc32_combine(crc, 0, first), other, second)
    assert zeros_then == crc32_combine(crc, crc32_combine(0, other, second), first + second)
