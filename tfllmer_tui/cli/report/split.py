"""tfllmer export split: the split as files, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfllmer_tui.cli.options import DatasetName, Json, Sets
from tfllmer_tui.view.printing import put


def split(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to make.")],
    dataset: DatasetName = None,
    sets: Sets = None,
    json: Json = False,
) -> None:
    """Write a data set and its split as CSV that any program reads, with checksums.

    training.csv is to train on; users.csv has each user's validation and test item, items.csv
    the catalogue. What is made of it comes back by tfllmer import ranks or scores.

    \b
    tfllmer export split --dataset ml-100k -o ml-100k-split
    tfllmer export split --dataset ml-1m --set data.k_core=5 -o ml-1m-5-core
    """
    from engine.errors import UserError
    from engine.files import path_of
    from engine.presets import resolve
    from engine.spec import to_json
    from engine.text import shell_line
    from tfllmer_tui.cli.child import run_child
    from tfllmer_tui.cli.output import print_json

    resolved = resolve(method="id", dataset=dataset, sets=sets or ())
    if other := [name for name in resolved.overrides if not name.startswith("data.")]:
        raise UserError(f"--set {other[0]}: only settings of data change a split; leave it out")
    folder = path_of(output)
    request = {
        "experiment": to_json(resolved.experiment),
        "overrides": resolved.overrides,
        "folder": str(folder.resolve()),
    }
    result = run_child("export-split", request, lambda record: None, failed="not written")
    if json:
        print_json(result)
        return
    put(
        f"{output}: {result['users']:,} users, {result['tests']:,} of them with a test item, {result['items']:,} "
        f"items; split {result['split_checksum']}"
    )
    next_ = ["tfllmer", "import", "ranks", "FILE", "--system", "NAME", "--split", str(output), "--seen", "masked"]
    put(f"Next: {shell_line(next_)}")
