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
    json: Json = False,
) -> None:
    """Make a data set of interactions that come in another form, and say what was understood.

    Read are CSV, TSV, JSONL and Parquet (also .gz and .zip), text with a user and an
    item or a user and its items a line, histories with the next item
    (item_id_list:token_seq), and NAME.train/.valid/.test.inter, whose split is kept
    (--set data.split=given).

    \b
    tfllmer data import reviews.csv --user reviewer --item asin --time unixReviewTime
    tfllmer data import sequences.txt --name beauty
    tfllmer data import ./ml-100k-split --output ./ml-100k
    """
    from tfllmer_tui.cli.child import run_child
    from tfllmer_tui.cli.output import print_json

    chosen = name or (output.name if output is not None else source.resolve().name.split(".")[0])
    folder = output if output is not None else Path(chosen)
    columns = {"user": user, "item": item, "time": time, "rating": rating}
    request = {
        "source": str(source.expanduser().resolve()),
        "folder": str(folder.expanduser().resolve()),
        "name": chosen,
        "shape": shape,
        "columns": {role: column for role, column in columns.items() if column is not None},
    }
    result = run_child("import-data", request, lambda record: None, failed="not imported")
    if json:
        print_json(result)
        return
    _tell(result, folder)


def _tell(result: dict[str, Any], folder: Path) -> None:
    sizes = ", ".join(f"{result[what]:,} {what}" for what in ("interactions", "users", "items"))
    put(f"{result['file']}: {sizes}")
    put(f"Read as {result['read_as']}; ordered by {result['order']}")
    given = ""
    if result["split"] is not None:
        put("Split as given: " + ", ".join(f"{part} {n:,}" for part, n in result["split"].items()))
        given = " --set data.split=given"
    where = folder if folder.is_absolute() or str(folder).startswith(".") else f"./{folder}"
    put(f"Next: tfllmer data show {where}{given}")
