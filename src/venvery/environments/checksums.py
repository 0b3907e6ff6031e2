"""CRC-32 of joined data from the CRC-32s of its parts, without the data (gzip's checksum, RFC 1952).

A CRC-32 is a remainder modulo the polynomial P over GF(2), bits reflected: the highest bit of the word is
x^0. Appending n bytes multiplies what went before by x^(8n), so

    crc(a + b) = crc(a) · x^(8·len(b))  xor  crc(b)      (mod P)

x^(8n) is the product of one power for every byte of n that is not zero, and those powers are tabled.
"""

from __future__ import annotations

from functools import lru_cache

__all__ = ["crc32_combine"]

_POLYNOMIAL = 0xEDB88320
_ONE = 0x80000000


def crc32_combine(first: int, second: int, length: int) -> int:
    """Give the CRC-32 of two parts from theirs; `length` is the second part's size in bytes."""
    return _times(first, _shift(length)) ^ second


def _times(a: int, b: int) -> int:
    """Multiply two remainders."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = (b >> 1) ^ (_POLYNOMIAL if b & 1 else 0)
    return product


@lru_cache(maxsize=65536)
def _shift(length: int) -> int:
    """Give x^(8·length)."""
    shift, place = _ONE, 0
    while length:
        if length & 0xFF:
            shift = _times(_power(place, length & 0xFF), shift)
        length >>= 8
        place += 1
    return shift


@lru_cache(maxsize=4096)
def _power(place: int, digit: int) -> int:
    """Give x^(8 · digit · 256^place)."""
    if digit > 1:
        return _times(_power(place, digit - 1), _power(place, 1))
    if place:
        return _times(_power(place - 1, 255), _power(place - 1, 1))
    return _ONE >> 8
