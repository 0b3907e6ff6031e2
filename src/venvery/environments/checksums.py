"""CRC-32 of joined data from the CRC-32s of its parts, without the data (gzip's checksum, RFC 1952).

A CRC-32 is a remainder modulo the polynomial P over GF(2), bits reflected: the highest bit of the word is
x^0. Appending n bytes multiplies what went before by x^(8n), so

    crc(a + b) = crc(a) · x^(8·len(b))  xor  crc(b)      (mod P)

x^(8n) is the product of x^(8·2^k) for every bit k of n that is set, and those powers are tabled.
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


def _squares() -> tuple[int, ...]:
    """Give x^(8·2^k) for every bit k of a 64-bit length."""
    powers = [_ONE >> 8]
    while len(powers) < 64:
        powers.append(_times(powers[-1], powers[-1]))
    return tuple(powers)


_SQUARES = _squares()


@lru_cache(maxsize=65536)
def _shift(length: int) -> int:
    """Give x^(8·length)."""
    shift = _ONE
    for bit, power in enumerate(_SQUARES[: length.bit_length()]):
        if length >> bit & 1:
            shift = _times(power, shift)
    return shift
