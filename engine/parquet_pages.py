"""What the pages of a Parquet file declare, read before a library unpacks them.

A page says in a few bytes how many values it holds and to how many bytes it unpacks; a library reserves memory for
what it says. Only headers are read here, in the compact protocol of Thrift
(https://parquet.apache.org/docs/file-format/).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

_LEVELS = 12
"""Structures within one another; the format has six."""
_HEADER = 1 << 16
"""Bytes that are read of a page's header; it holds no more than the least and greatest value."""


@dataclass(frozen=True)
class PageSizes:
    """Of one page, as it declares them; `values` counts those of lists too."""

    values: int
    unpacked: int


def page_sizes(file: IO[bytes], size: int) -> Iterator[PageSizes]:
    """Every page of a file of `size` bytes. Raises ValueError where it is no Parquet file or a header is damaged."""
    file.seek(max(0, size - 8))
    end = file.read(8)
    length = int.from_bytes(end[:4], "little")
    if end[4:] != b"PAR1" or length > size - 12:
        raise ValueError("does not end as a Parquet file does")
    file.seek(size - 8 - length)
    footer = _Thrift(file.read(length)).structure()
    for group in _list(footer.get(4)):
        for column in _list(_fields(group).get(1)):
            about = _fields(_fields(column).get(3))
            yield from _pages_of_column(file, size, about)


def _pages_of_column(file: IO[bytes], size: int, about: dict[int, Any]) -> Iterator[PageSizes]:
    declared, at = _number(about.get(5)), _number(about.get(9))
    dictionary = _number(about.get(11)) if 11 in about else 0
    at = dictionary if 0 < dictionary < at else at
    end, values = at + _number(about.get(7)), 0
    while at < min(end, size):
        file.seek(at)
        try:
            reader = _Thrift(file.read(_HEADER))
            page = reader.structure()
            packed = _number(page.get(3))
            held = next((_number(_fields(page[kind]).get(1)) for kind in (5, 8) if kind in page), None)
            counted = _number(_fields(page.get(7)).get(1)) if held is None else held
        except ValueError:
            if values >= declared:  # some writers count more bytes to a column than its pages have
                return
            raise
        yield PageSizes(counted, _number(page.get(2)))
        values += held or 0
        at += reader.at + packed


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("a header lacks a list")
    return value


def _fields(value: Any) -> dict[int, Any]:
    if not isinstance(value, dict):
        raise ValueError("a header lacks a structure")
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("a header lacks a number")
    return value


class _Thrift:
    """Structures of the compact protocol, as dictionaries by the numbers of their fields."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def structure(self, level: int = 0) -> dict[int, Any]:
        if level > _LEVELS:
            raise ValueError("a header is nested too deep")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            fields[number] = self._value(head & 15, level)
        return fields

    def _byte(self) -> int:
        return self._take(1)[0]

    def _take(self, count: int) -> bytes:
        taken = self._data[self.at : self.at + count]
        if len(taken) < count:
            raise ValueError("a header is cut off")
        self.at += count
        return taken

    def _unsigned(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise ValueError("a number of a header does not end")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)

    def _value(self, kind: int, level: int) -> Any:  # noqa: PLR0911 - one way out for each kind
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._signed()
        if kind == 7:
            return struct.unpack("<d", self._take(8))[0]
        if kind == 8:
            return self._take(self._unsigned())
        if kind in (9, 10):
            return self._sequence(level)
        if kind == 12:
            return self.structure(level + 1)
        raise ValueError(f"a header holds a field of the unknown kind {kind}")

    def _sequence(self, level: int) -> list[Any]:
        head = self._byte()
        count, kind = head >> 4, head & 15
        count = self._unsigned() if count == 15 else count
        if count > len(self._data) - self.at:  # every entry has a byte at least
            raise ValueError("a list of a header is cut off")
        if kind in (1, 2):
            return [self._byte() == 1 for _ in range(count)]
        return [self._value(kind, level + 1) for _ in range(count)]
