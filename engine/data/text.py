"""Text files as they are read everywhere: UTF-8, with or without byte-order mark, plain or packed."""

from __future__ import annotations

import gzip
import io
import zipfile
from contextlib import suppress
from pathlib import Path

from engine.bounds import RATIO, SMALL, one_line, require_honest
from engine.errors import UserError


def text_bytes(path: Path) -> bytes:
    """The file's text with unix line ends, no byte-order mark and no blank lines at its end; its encoding is not
    checked. A gzip file and a zip archive of one file are unpacked. Raises UserError where that fails."""
    data = unpacked(path).removeprefix(b"\xef\xbb\xbf")
    if b"\r\n" in data:
        data = data.replace(b"\r\n", b"\n")
    if data.endswith(b"\n\n"):
        data = data.rstrip(b"\n") + b"\n"
    return data


def packed_name(path: Path) -> str:
    """The name of the file inside where it is gzip or a zip archive of one file, else its own."""
    name = path.name
    if name.lower().endswith(".gz"):
        return name[:-3]
    if name.lower().endswith(".zip"):
        with suppress(Exception), zipfile.ZipFile(path) as archive:
            return next(iter(_members(archive)), name)
    return name


def _members(archive: zipfile.ZipFile) -> list[str]:
    names = [info.filename for info in archive.infolist() if not info.is_dir()]
    return [name for name in names if not name.startswith("__MACOSX/")]


def unpacked(path: Path) -> bytes:
    """The file's bytes; those of the file inside where it is gzip or a zip archive of one file."""
    data = path.read_bytes()
    with one_line(f"{path}: cannot be unpacked; pack it again"):
        if data.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
                text = file.read(max(SMALL, RATIO * len(data)) + 1)
            require_honest(data, len(text))
            return text
        if data.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                names = _members(archive)
                if len(names) != 1:
                    raise UserError(f"{path}: a zip archive of {len(names)} files ({', '.join(names[:4])}); unpack it")
                require_honest(data, archive.getinfo(names[0]).file_size)
                return archive.read(names[0])
    return data


def not_utf8(data: bytes) -> tuple[int, str] | None:
    """Place and description of the first byte that is not UTF-8 text; None where all is."""
    if data.isascii():
        return None
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start, f"byte 0x{data[error.start]:02x} is not UTF-8 text; save the file as UTF-8"
    return None


def read_lines(path: Path) -> list[str]:
    """The lines of a text file. Raises UserError with the line of a byte that is not UTF-8."""
    data = text_bytes(path)
    if (bad := not_utf8(data)) is not None:
        line = data.count(b"\n", 0, bad[0]) + 1
        raise UserError(f"{path}:{line}: {bad[1]}")
    lines = data.decode("utf-8").split("\n")
    return lines[:-1] if lines[-1] == "" else lines
