"""Bytes made wrong, the same ones for the same seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

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


VALUES: list[object] = [
    *(None, True, False, 0, -1, 3, 1e308, float("nan"), 10**30, "", "x", "\ud800", "../x", "\x1b[2J", "nan"),
    *([], {}, [[]], {"a": 1}, ["a", 1, None], {"": {}}, [{}], "1" * 400, -0.5, ["mean"], {"type": "x"}),
]
"""What stands where something else is expected."""


def _value(data: bytes, random: Random, samples: Sequence[bytes]) -> bytes:
    """One value of a document replaced by one of another type, or its name by another: what bytes alone rarely hit."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return _yaml_value(data, random)
    places = list(_places(document))
    if not places:
        return json.dumps(random.choice(VALUES)).encode()
    owner, key = random.choice(places)
    if isinstance(owner, dict) and random.random() < 0.2:
        owner[random.choice(("", "x", *(name for place, name in places if isinstance(place, dict))))] = owner.pop(key)
    elif random.random() < 0.1:
        del owner[key]
    else:
        owner[key] = random.choice(VALUES)
    return json.dumps(document).encode()


def _places(document: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    if depth > 20 or not isinstance(document, dict | list):
        return
    keys = list(document) if isinstance(document, dict) else list(range(len(document)))
    for key in keys:
        yield document, key
        yield from _places(document[key], depth + 1)


def _yaml_value(data: bytes, random: Random) -> bytes:
    """What stands behind the colon of a line, in the flow style, which is that of JSON."""
    lines = data.split(b"\n")
    named = [n for n, line in enumerate(lines) if b": " in line]
    if named:
        n = random.choice(named)
        name = lines[n].partition(b": ")[0]
        lines[n] = name + b": " + random.choice((json.dumps(random.choice(VALUES)).encode(), random.choice(TOKENS)))
    return b"\n".join(lines)


_WAYS: list[Callable[[bytes, Random, Sequence[bytes]], bytes]] = [
    *(_value, _value, _flip, _flip, _put, _put, _cut, _drop, _repeat, _splice, _number, _word, _line, _nothing)
]
