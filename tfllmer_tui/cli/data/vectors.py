"""tfllmer vectors import: vectors as people have them -> a file that runs read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfllmer_tui.cli.options import Json
from tfllmer_tui.view.printing import put

group = typer.Typer(no_args_is_help=True)

_CONVERT_PICKLE = """  import gzip, pickle, numpy as np
  x = pickle.load({open}({file!r}, "rb"))  # an array, or {{id: vector}}; this runs the code in it
  np.savez("NAME.SOURCE.npz", **({{"ids": [*map(str, x)], "vectors": [*x.values()]}} if hasattr(x, "keys") else {{"vectors": x}}))"""  # noqa: E501
_CONVERT_TORCH = """  import torch
  x = torch.load({file!r}, weights_only=False)  # this runs the code in it
  torch.save(x.state_dict() if hasattr(x, "state_dict") else {{"vectors": torch.as_tensor(x)}}, "tensors.pt")"""


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="vectors")


@group.callback()
def vectors() -> None:
    """Item vectors: from other files."""


@group.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE", help=".pt .pth .bin .txt .vec .csv .json(l), raw float32.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="NAME.SOURCE.safetensors, beside the data set.")
    ],
    ids: Annotated[Path | None, typer.Option("--ids", metavar="FILE", help="Ids of the rows, one a line.")] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="NAME", help="Which tensor of several.")] = None,
    width: Annotated[
        int | None, typer.Option("--width", metavar="D", min=1, help="The file is raw float32, D a vector.")
    ] = None,
    json: Json = False,
) -> None:
    """Make vectors that come in another form readable, and say what was understood.

    Tensors of torch are read with weights_only; a pickle is never read, since
    reading one runs the code in it. .npy, .npz, .parquet and .safetensors need
    no import.

    \b
    tfllmer vectors import items.pt --ids ids.txt -o ml-100k/ml-100k.llm.safetensors
    tfllmer vectors import item2vec.txt -o ml-100k/ml-100k.item2vec.safetensors
    tfllmer vectors import items.f32 --width 768 -o ml-100k/ml-100k.raw.safetensors
    """
    from engine.errors import UserError
    from engine.files import path_of
    from tfllmer_tui.cli.child import run_child
    from tfllmer_tui.cli.output import print_json, say

    if output.suffix != ".safetensors":
        raise UserError(f"-o {output}: vectors are written as .safetensors; end the name so")
    request = {
        "source": str(path_of(source).resolve()),
        "out": str(path_of(output).resolve()),
        "ids": None if ids is None else str(path_of(ids).resolve()),
        "key": key,
        "width": width,
    }
    try:
        result = run_child("import-vectors", request, lambda record: None, failed="not imported")
    except UserError as error:
        if "a pickle, which" in str(error):
            say(_conversion(source))
        raise
    if json:
        print_json(result)
        return
    put(f"{result['file']}: {result['items']:,} x {result['dimensions']} float32")
    put(f"Read as {result['read_as']}; {'with ids' if result['ids'] else 'without ids: rows are those of .item'}")
    from engine.text import shell_line

    words = ["tfllmer", "run", "--dataset", str(output.parent), "--embedding", str(output)]
    put(f"Next: {shell_line(words)}")


def _conversion(source: Path) -> str:
    """Three lines of Python for those who trust the file."""
    from engine.files import path_of

    with open(path_of(source), "rb") as file:
        start = file.read(4)
    if start.startswith(b"PK"):  # an archive of torch
        return _CONVERT_TORCH.format(file=str(source))
    return _CONVERT_PICKLE.format(file=str(source), open="gzip.open" if start.startswith(b"\x1f\x8b") else "open")
