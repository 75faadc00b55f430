"""tfllmer presets, tfllmer ablations: what can be named in a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfllmer_tui.cli.options import Json

if TYPE_CHECKING:
    from engine.presets import Preset


def add_to(app: typer.Typer) -> None:
    app.command()(ablations)
    app.command()(presets)


def presets(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="dataset, backbone, method, ablation (all when left out), or cluster."),
    ] = None,
    json: Json = False,
) -> None:
    """List the presets with what each means.

    A configs/KIND/NAME.yaml in the working folder replaces the shipped preset of that name.

    \b
    tfllmer presets
    tfllmer presets method
    """
    from engine.errors import UserError, nearest
    from engine.presets import KINDS, list_presets
    from tfllmer_tui.cli.output import print_json, print_rich, table

    if kind == "cluster":
        _clusters(json=json)
        return
    if kind is not None and kind not in KINDS:
        raise UserError(f"presets {kind}: no such kind{nearest(kind, (*KINDS, 'cluster'))}")
    matches = [preset for each in KINDS if kind in (None, each) for preset in list_presets(each)]
    if json:
        print_json([_as_json(preset) for preset in matches])
    else:
        print_rich(table(("kind", "name", "meaning"), [(p.kind, p.name, p.meaning) for p in matches]))


def _clusters(*, json: bool) -> None:
    """What jobs of a cluster can ask for."""
    from engine.queue.executors.slurm.cluster import list_clusters
    from tfllmer_tui.cli.output import print_json, print_rich, table

    clusters = list_clusters()
    if json:
        print_json([{"kind": "cluster", "name": name, **each.model_dump()} for name, each in clusters.items()])
        return
    rows = [
        (name, each.partition or "", str(each.time), str(each.cpus), str(each.gpus), each.mem or "", each.meaning)
        for name, each in clusters.items()
    ]
    print_rich(table(("name", "partition", "minutes", "cpus", "gpus", "mem", "meaning"), rows))


def ablations(
    method: Annotated[
        str | None,
        typer.Option("--method", metavar="NAME", help="Only ablations of this method."),
    ] = None,
    json: Json = False,
) -> None:
    """List the ablations: what each takes away, and the question that it answers.

    \b
    tfllmer ablations
    tfllmer run --ablation no-norm
    """
    from engine.presets import find_preset, list_presets
    from tfllmer_tui.cli.output import print_json, print_rich, table

    if method is not None:
        find_preset("method", method)
    matches = [preset for preset in list_presets("ablation") if method is None or method in preset.methods]
    if json:
        print_json([_as_json(preset) for preset in matches])
        return
    rows = [
        row
        for p in matches
        for row in [(f"{method or p.methods[0]}/{p.name}", p.meaning)] + ([("", p.question)] if p.question else [])
    ]
    print_rich(table(("arm", "meaning, and the question it answers"), rows))


def _as_json(preset: Preset) -> dict[str, Any]:
    return {
        "kind": preset.kind,
        "name": preset.name,
        "meaning": preset.meaning,
        "question": preset.question,
        "applies_to": preset.applies_to,
        "file": str(preset.file),
        "settings": {path: setting.value for path, setting in preset.settings.items()},
    }
