"""Bytes made wrong, the same ones for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

TOKENS = [
    *(
        b"",
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\t",
        b'"',
        b"'",
        b"\x1b[31m",
    ),
    *(b"nan", b"NaN", b"inf", b"-Infinity", b"1e999", b"-1", b"0", b"9" * 30, b"9" * 5000, b"1.5", b"true", b"null"),
    *(
        b"[" * 3000,
        b"{" * 10,
        b'{"a":' * 3000,
        b"]",
        b"}",
        b"[]",
        b"{}",
        b"&a *a",
        b"<<: *a",
        b"!!python/object:os.system x",
    ),
    *(b"../../etc/passwd", b"/etc/passwd", b"%s%n", b"$(id)", b"=cmd|x", b"\\u0000", b'"\\ud800"', "\u202e".encode()),
    *(
        b"a=",
        b",,",
        b"..",
        b"@",
        b"@0",
        b"@99999999999999999999",
        b"(",
        b")" * 50,
        b"not ",
        b" or ",
        b"~" * 99,
        b"-" * 400,
    ),
    *(
        b"\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xff" * 8,
        b"\x80\x04cos\nsystem\n.",
        b"PK\x03\x04",
        b"\x93NUMPY",
        b"2020-13-45",
    ),
]
"""What parsers stumble over."""


def mutated(seed: int, samples: Sequence[bytes]) -> bytes:
    """One of the samples, changed in one to four places."""
    random = Random(seed)
    data = random.choice(samples)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data = random.choice(_WAYS)(data, random, samples)
    return data[: 1 << 20]


def _flip(data: bytes, random: Random, samples: Sequence[bytes]) -> bytes:
    block = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8))):
        if block:
            block[random.randrange(len(block))] ^= 1 << random.randrange(8)
    return bytes(block)


def _put(data: bytes, random: Random, samples: Sequence[bytes]) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.choice(TOKENS) + data[at + random.choice((0, 0, 1, 4)) :]


def _cut(data: bytes, random: Random, samples: Sequence[bytes]) -> bytes:
    return data[: random.randint(0, len(data))]


def _drop(data: bytes, random: Random, samples: Sequence[bytes]) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + data[at + random.randint(1, 40) :]


def _repeat(data: bytes, random: Random, samples: Sequence[bytes]) -> bytes:
    first, last = sorted((random.randint(0, len(data)), random.randint(0, len(data))))
    return data[:last] + data[first:last] * random.choice((1, 2, 50)) + data[last:]


def _splice(data: bytes, random: Random, samples: Sequence[bytes]) -> bytes:
    other = random.choice(samples)
    return data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]


def _number(data: bytes, random: Random, samples: Sequence[bytes]) -> bytes:
    """Four or eight bytes as a length might be."""
    at, size = random.randint(0, len(data)), random.choice((2, 4, 8))
    value = random.choice((0, 1, 255, 1 << 15, (1 << 31) - 1, 1 << 31, (1 << 63) - 1)) % (1 << 8 * size)
    return data[:at] + value.to_bytes(size, random.choice(("little", "big"))) + data[at + size :]


def _word(data: bytes, random: Random, samples: Sequence[bytes]) -> bytes:
    """A word of the text replaced: by something wrong, or by another of its words."""
    words = data.split(b" ")
    at = random.randrange(len(words))
    words[at] = random.choice((random.choice(TOKENS), random.choice(words)))
    return b" ".join(words)


def _line(data: bytes, random: Random, samples: Sequence[bytes]) -> bytes:
    lines = data.split(b"\n")
    at, other = random.randrange(len(lines)), random.randrange(len(lines))
    lines[at], lines[other] = lines[other], random.choice((lines[at], b"", random.choice(TOKENS)))
    return b"\n".join(lines)


def _nothing(data: bytes, random: Random, samples: Sequence[bytes]) -> bytes:
    return random.randbytes(random.choice((0, 1, 8, 300)))


_WAYS: list[Callable[[bytes, Random, Sequence[bytes]], bytes]] = [
    *(_flip, _flip, _put, _put, _cut, _drop, _repeat, _splice, _number, _word, _line, _nothing)
]
