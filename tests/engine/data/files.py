"""Writes small atomic files."""

from collections.abc import Sequence
from pathlib import Path

from engine import spec
from tests.engine.parts import files_at

INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
ITEM = "item_id:token\ttitle:token_seq\n"


def write(folder: Path, inter: str | bytes, item: str | bytes | None = None, name: str = "x") -> spec.Data:
    """The files NAME.inter and NAME.item, and the specification that reads them."""
    for ending, content in (("inter", inter), ("item", item)):
        if content is not None:
            data = content.encode() if isinstance(content, str) else content
            (folder / f"{name}.{ending}").write_bytes(data)
    return files_at(name, folder)


def lines(rows: Sequence[Sequence[object]]) -> str:
    return "".join("\t".join(str(cell) for cell in row) + "\n" for row in rows)
