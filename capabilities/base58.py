"""base58btc, the alphabet of peer ids and did:key. Digits go in tens, which machine integers hold."""

from __future__ import annotations

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {char: value for value, char in enumerate(_ALPHABET)}
_TEN = 58**10
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
# The work grows with the square of the length, and no key is longer.
_TEXT_MAX = 512


def b58encode(data: bytes) -> str:
    """Return `data` in base58btc."""
    number = int.from_bytes(data, "big")
    pairs: list[str] = []
    while number:
        number, ten = divmod(number, _TEN)
        for _ in range(5):
            ten, pair = divmod(ten, 3364)
            pairs.append(_PAIRS[pair])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(pairs)).lstrip("1")


def b58decode(text: str) -> bytes:
    """Return the bytes of `text`; ValueError for another character or more than 512 of them."""
    if len(text) > _TEXT_MAX:
        raise ValueError(f"{len(text)} characters of base58, {_TEXT_MAX} are allowed")
    number = 0
    values = _VALUES
    try:
        for start in range(0, len(text), 10):
            chunk = text[start : start + 10]
            ten = 0
            for char in chunk:
                ten = ten * 58 + values[char]
            number = number * (_TEN if len(chunk) == 10 else 58 ** len(chunk)) + ten
    except KeyError as error:
        raise ValueError(f"{error.args[0]!r} is no character of base58") from None
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
