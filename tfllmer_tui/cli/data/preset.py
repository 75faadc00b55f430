"""tfllmer presets, tfllmer ablations: what can be named in a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfllmer_tui.cli.options import Json
from tfllmer_tui.view.printing import put

if TYPE_CHECKING:
    from engine.presets import Preset


def add_to(app: typer.Typer) -> None:
    app.command()(ablations)
    app.command()(presets)


def presets(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND", help="dataset, backbone, method, ablation (all when left out), cluster, or tuned."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the presets with what each means.

    A configs/KIND/NAME.yaml in the working folder replaces the shipped preset of that name.

    \b
    tfllmer presets
    tfllmer presets method
    tfllmer presets tuned      # settings that a tuning chose, with their evidence
    """
    from engine.errors import UserError, nearest
    from engine.presets import KINDS, list_presets
    from tfllmer_tui.cli.output import print_json, print_rich, table

    if kind == "cluster":
        _clusters(json=json)
        return
    if kind == "tuned":
        _tuned(json=json)
        return
    if kind is not None and kind not in KINDS:
        raise UserError(f"presets {kind}: no such kind{nearest(kind, (*KINDS, 'cluster', 'tuned'))}")
    matches = [preset for each in KINDS if kind in (None, each) for preset in list_presets(each)]
    if json:
        print_json([_as_json(preset) for preset in matches])
    else:
        print_rich(table(("kind", "name", "meaning"), [(p.kind, p.name, p.meaning) for p in matches]))


def _clusters(*, json: bool) -> None:
    """What jobs of a cluster can ask for."""
    from engine.queue.executors.clusters import list_clusters
    from tfllmer_tui.cli.output import print_json, print_rich, table

    clusters = list_clusters()
    if json:
        print_json([{"kind": "cluster", "name": name, **each.model_dump()} for name, each in clusters.items()])
        return
    dumped = [(name, each, each.model_dump()) for name, each in clusters.items()]
    rows = [
        (
            *(name, each.executor, d.get("partition") or "", str(d.get("time", ""))),
            *(f"{each.cpus:g}", f"{each.gpus:g}", each.mem or "", each.meaning),
        )
        for name, each, d in dumped
    ]
    print_rich(table(("name", "executor", "partition", "minutes", "cpus", "gpus", "mem", "meaning"), rows))


def _tuned(*, json: bool) -> None:
    """What `--tuned` takes: for which data, backbone and arms, and what speaks for it."""
    from engine.presets.tuned import list_tuned
    from engine.text import shell_line
    from tfllmer_tui.cli.output import print_json, print_rich, table

    tuned = list_tuned()
    if json:
        heads = [{"kind": "tuned", "name": each.name, "file": each.label} for each in tuned]
        print_json([head | each.document.model_dump() for head, each in zip(heads, tuned, strict=True)])
        return
    if not tuned:
        put("There is no tuned preset; tfllmer tune --help tells how one is made.")
        return
    rows = []
    for each in tuned:
        own = each.document
        place: tuple[str, ...] = (each.name, own.dataset, own.backbone, own.by, str(own.trials))
        for arm in each.arms:
            evidence = own.evidence.get(arm, {})
            values = [evidence.get(name) for name in ("preset", "value")]
            rows.append((*place, arm, *("" if value is None else f"{value:.4f}" for value in values)))
            place = ("",) * len(place)
    print_rich(table(("name", "dataset", "backbone", "chosen by", "trials", "arm", "preset", "tuned"), rows))
    put(
        "preset, tuned: what chose, as the preset stands and with the settings chosen; --json has these and the trials."
    )
    first = tuned[0]
    method, _, ablation = next(iter(first.arms)).partition("/")
    flags = ["--dataset", first.document.dataset, "--backbone", first.document.backbone, "--method", method]
    flags += ["--ablation", ablation] if ablation else []
    put(f"Next: {shell_line(['tfllmer', 'run', *flags, '--tuned', first.name])}")


def ablations(
    method: Annotated[
        str | None,
        typer.Option("--method", metavar="NAME", help="Only ablations of this method."),
    ] = None,
    json: Json = False,
) -> None:
    """List the ablations: what each takes away, what it answers.

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
