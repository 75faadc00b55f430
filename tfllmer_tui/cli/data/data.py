"""tfllmer data: the data sets there are, and what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfllmer_tui.cli.data.imports import import_
from tfllmer_tui.cli.options import Json, Sets

if TYPE_CHECKING:
    from engine.spec import Experiment

group = typer.Typer(no_args_is_help=True, help="Data sets: which there are, and what is in them.")


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="data")


@group.command("list")
def list_(json: Json = False) -> None:
    """List the data sets under $TFLLMER_DATA, and the generated one.

    A data set NAME is a folder with NAME.inter and NAME.item (RecBole atomic files); vectors of its items
    lie beside them as NAME.SOURCE.npy or NAME.SOURCE.safetensors.

    \b
    TFLLMER_DATA=~/data tfllmer data list
    """
    from engine.presets import data_roots, list_datasets, list_presets, list_vectors
    from tfllmer_tui.cli.output import print_json, print_rich, say, table

    meanings = {preset.name: preset.meaning for preset in list_presets("dataset")}
    datasets: list[dict[str, Any]] = [
        {"name": "demo", "folder": None, "embeddings": ["demo"], "meaning": meanings.get("demo", "")}
    ]
    datasets += [
        {
            "name": name,
            "folder": str(folder),
            "embeddings": list(list_vectors(folder, name)),
            "meaning": meanings.get(name, ""),
        }
        for name, folder in list_datasets()
    ]
    if json:
        print_json(datasets)
        return
    rows = [(d["name"], ", ".join(d["embeddings"]), d["folder"] or "(generated)", d["meaning"]) for d in datasets]
    print_rich(table(("name", "embeddings", "folder", "meaning"), rows))
    if not data_roots():
        say("TFLLMER_DATA is not set; export TFLLMER_DATA=/path/to/data to add the data sets in that folder.")


@group.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="demo, a name under $TFLLMER_DATA, or a folder.")],
    sets: Sets = None,
    json: Json = False,
) -> None:
    """Show a data set's statistics as a run would see it: filtered and split.

    \b
    tfllmer data show demo
    tfllmer data show ml-100k --set data.k_core=5
    tfllmer data show ./mine --json
    """
    from engine.presets import resolve
    from tfllmer_tui.cli.output import pairs, print_json, print_rich

    statistics = _inspect(resolve(method="id", dataset=name, sets=sets or []).experiment)
    if json:
        print_json(statistics)
    else:
        print_rich(pairs(statistics))


def _inspect(experiment: Experiment) -> dict[str, Any]:
    """Reading data belongs to the science wing, so it is done by its process."""
    import json
    import subprocess
    import sys
    import tempfile
    from pathlib import Path

    from engine.errors import UserError
    from engine.spec import to_json

    with tempfile.TemporaryDirectory() as folder:
        spec, out = Path(folder) / "spec.json", Path(folder) / "statistics.json"
        spec.write_text(to_json(experiment), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "engine.job", "--inspect", str(spec), str(out)]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode == 2:
            raise UserError(process.stderr.strip().splitlines()[-1])
        if process.returncode != 0:
            raise RuntimeError(process.stderr.strip() or f"inspection ended with exit code {process.returncode}")
        statistics: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return statistics


group.command("import")(import_)
