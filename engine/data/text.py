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
    checked, but for UTF-16 with its mark, which becomes UTF-8. A gzip file and a zip archive of one file are unpacked.
    Raises UserError where that fails, and for what is no text but another kind of file."""
    data = _utf8(path, unpacked(path)).removeprefix(b"\xef\xbb\xbf")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n") if b"\n" in data else data.replace(b"\r", b"\n")
    if data.endswith(b"\n\n"):
        data = data.rstrip(b"\n") + b"\n"
    return data


BLANKS = " \t\n\r\x0b\x0c\x85\xa0\u2003\u200b\u3000\ufeff"
"""What does not count at the ends of an id: blanks, those of no width and a byte-order mark too."""
_MARKS_OF_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_MARKS_OF_UTF32 = (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")
_OTHER_KINDS = (
    (0, b"\x1f\x8b", "packed twice; unpack it"),
    (0, b"PK\x03\x04", "packed twice; unpack it"),
    (0, b"PK\x05\x06", "an empty archive"),
    (0, b"BZh", "a bzip2 archive; unpack it"),
    (0, b"\xfd7zXZ", "an xz archive; unpack it"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive; unpack it"),
    (0, b"7z\xbc\xaf", "a 7z archive; unpack it"),
    (0, b"Rar!", "a rar archive; unpack it"),
    (257, b"ustar", "a tar archive; unpack it"),
    (0, b"PAR1", "a Parquet file; let its name end in .parquet"),
    (0, b"\xd0\xcf\x11\xe0", "a spreadsheet; save the table as CSV"),
    (0, b"SQLite format 3", "a database; save the table as CSV"),
    (0, b"\x89HDF", "an HDF5 file; save the table as CSV or Parquet"),
    (0, b"\x93NUMPY", "a file of numpy; save the table as CSV"),
)
"""Where the bytes stand that tell a kind of file, and what to do about it."""


def _utf8(path: Path, data: bytes) -> bytes:
    if data.startswith(_MARKS_OF_UTF32):
        raise UserError(f"{path}: UTF-32 text; save the file as UTF-8")
    if data.startswith(_MARKS_OF_UTF16):  # as spreadsheets save "Unicode text"
        try:
            return data.decode("utf-16").encode()
        except UnicodeError:
            raise UserError(f"{path}: begins as UTF-16 text but does not go on so; save the file as UTF-8") from None
    if data[:2].count(0) == 1:
        raise UserError(f"{path}: UTF-16 text without its mark; save the file as UTF-8")
    for at, mark, kind in _OTHER_KINDS:
        if data.startswith(mark, at):
            raise UserError(f"{path}: {kind}")
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
    return [name for name in names if not name.startswith("__MACOSX/") and not Path(name).name.startswith(".")]


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
                if "[Content_Types].xml" in names:
                    raise UserError(f"{path}: a spreadsheet; save the table as CSV")
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
