"""tfllmer data import: data as people have them -> an atomic file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tfllmer_tui.cli.options import Json
from tfllmer_tui.view.printing import put


def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="The file, or the folder of files that are split.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="./NAME when left out; made if need be.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Of the data set; the output's, or the file's.")
    ] = None,
    shape: Annotated[
        Literal["auto", "table", "pairs", "sequences"],
        typer.Option("--as", help="table: a header and columns; pairs: user item; sequences: user item item ..."),
    ] = "auto",
    user: Annotated[str | None, typer.Option("--user", metavar="COLUMN", help="Column of the user.")] = None,
    item: Annotated[str | None, typer.Option("--item", metavar="COLUMN", help="Column of the item.")] = None,
    time: Annotated[
        str | None,
        typer.Option("--time", metavar="COLUMN", help="Column that gives the order; none: the lines do."),
    ] = None,
    rating: Annotated[
        str | None, typer.Option("--rating", metavar="COLUMN", help="Column of the rating, or none.")
    ] = None,
    history: Annotated[
        str | None, typer.Option("--history", metavar="COLUMN", help="Column of the items before the item, or none.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="COLUMN", help="Column that says train, valid or test, or none."),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            "--text",
            metavar="COLUMNS",
            help="Columns of the item's text for NAME.item, with commas between them; none: no NAME.item. The title "
            "when left out.",
        ),
    ] = None,
    header: Annotated[
        str | None,
        typer.Option("--header", metavar="NAMES", help="Names of the columns where no line has them: user,item,time."),
    ] = None,
    json: Json = False,
) -> None:
    """Make a data set of interactions that come in another form, and say what was understood.

    Read are CSV, TSV, JSONL and Parquet (also .gz and .zip), text with a user and an
    item or a user and its items a line, and histories with the next item
    (item_id_list:token_seq). A split that is given, by files (train, valid or dev,
    test) or by a column, is kept (--set data.split=given).

    \b
    tfllmer data import reviews.csv --user reviewer --item asin --time unixReviewTime
    tfllmer data import ratings.dat --header user,item,rating,time --name ml-1m
    tfllmer data import sequences.txt --name beauty
    tfllmer data import ./ml-100k-split --output ./ml-100k
    """
    from engine.errors import UserError
    from engine.files import path_of
    from tfllmer_tui.cli.child import run_child
    from tfllmer_tui.cli.output import print_json

    if output is not None and output.suffix == ".inter":
        raise UserError(f"--output {output}: names the folder; the file in it is called NAME.inter")
    path = path_of(source).resolve()
    named = name if name is not None else _name_of(path) if output is None else path_of(output).resolve().name
    folder = output if output is not None else Path(named)
    columns = {"user": user, "item": item, "time": time, "rating": rating, "history": history, "split": split}
    request = {
        "source": str(path),
        "folder": str(path_of(folder).resolve()),
        "name": named,
        "shape": shape,
        "columns": {role: column for role, column in columns.items() if column is not None},
        "texts": _listed(text),
        "header": _listed(header),
    }
    result = run_child("import-data", request, lambda record: None, failed="not imported")
    if json:
        print_json(result)
        return
    _tell(result, folder)


def _name_of(source: Path) -> str:
    """The file's name, or its folder's for one called `train`; other than that of a folder that stands here already."""
    from engine.places import PART_NAMES

    stem = source.name.split(".")[0]
    name = source.parent.name if stem.lower() in PART_NAMES else stem
    return f"{name}-whole" if Path(name).is_dir() else name


def _listed(words: str | None) -> list[str]:
    return [] if words is None else [word.strip() for word in words.split(",")]


def _tell(result: dict[str, Any], folder: Path) -> None:
    sizes = ", ".join(
        f"{result[what]:,} {what if result[what] != 1 else what[:-1]}" for what in ("interactions", "users", "items")
    )
    put(f"{result['file']}: {sizes}")
    put(f"Read as {result['read_as']}; ordered by {result['order']}")
    if result["text"] is not None:
        put(f"Text of the items: {result['text']}")
    from engine.text import shell_line

    option: list[str] = []
    if result["split"] is not None:
        put("Split as given: " + ", ".join(f"{part} {n:,}" for part, n in result["split"].items()))
        option = ["--set", "data.split=given"]
    where = folder if folder.is_absolute() or str(folder).startswith(".") else f"./{folder}"
    put(f"Next: {shell_line(['tfllmer', 'data', 'show', str(where), *option])}")
