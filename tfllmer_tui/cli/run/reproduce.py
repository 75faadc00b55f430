"""tfllmer reproduce: rebuild a stored run, and see whether it comes out the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfllmer_tui.cli.options import Db, Json, RunId
from tfllmer_tui.view.printing import put

if TYPE_CHECKING:
    from pathlib import Path

    from engine.records import Provenance
    from engine.reports.verdict.reproduction import Recipe
    from engine.store import Run, Store


def add_to(app: typer.Typer) -> None:
    app.command()(reproduce)


def reproduce(
    run: RunId,
    start: Annotated[
        bool, typer.Option("--run", help="Train it again here, from its stored specification, and compare.")
    ] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Print the steps that rebuild a run; check data and vectors.

    It warns of what has changed since. With --run it is trained again in the foreground; exit code 1 where the numbers
    differ.

    \b
    tfllmer reproduce 01JD
    tfllmer reproduce 01JD --run
    """
    from dataclasses import asdict

    from engine.records import RunStatus
    from engine.reports.verdict.reproduction import recipe, steps
    from engine.spec import Distillation
    from engine.store import find_run
    from engine.store.teachers import teacher_of
    from tfllmer_tui.cli.output import print_json, settled_store

    store = settled_store(db)
    stored = find_run(store, run)
    diff = store.folder(stored.id).root / "code.diff"
    provenance, same_diff = _here(diff)
    rebuild = recipe(stored, provenance, same_diff=same_diff)
    lines = steps(stored, diff, rebuild)
    distil = rebuild.experiment.train.distil
    teacher = teacher_of(store, rebuild.experiment)
    document: dict[str, Any] = {
        "run": stored.id,
        "command": list(rebuild.command),
        "steps": lines,
        "changes": [asdict(change) for change in rebuild.changes],
    }
    if isinstance(distil, Distillation):
        known = None if teacher is None else teacher.id
        document["teacher"] = {"run": distil.teacher, "spec_hash": distil.teacher_hash, "here": known}
    if not json:
        _print(stored, lines, rebuild, teacher)
    if start:
        again, differing = _again(store, stored, rebuild, quiet=json)
        document |= {"again": again.id, "status": again.status, "differences": differing}
        if not json:
            _compare(stored, again, differing)
    if json:
        print_json(document)
    if start and (again.status != RunStatus.FINISHED or differing):
        raise typer.Exit(1)


def _here(diff: Path) -> tuple[Provenance, bool]:
    """The provenance that a run would store now, and whether changes that are not committed are those in `diff`."""
    import json
    import subprocess
    import sys
    import tempfile
    from pathlib import Path

    from engine.records import Provenance

    with tempfile.TemporaryDirectory() as folder:
        # the science wing's code, asked in a process of its own
        process = subprocess.run([sys.executable, "-P", "-c", _ASK, folder], capture_output=True, text=True, check=True)
        ours = Path(folder, "code.diff")
        comparable = ours.exists() and diff.exists()
        provenance = Provenance.decode(json.loads(process.stdout))
        assert provenance is not None  # what the line below prints
        return provenance, not comparable or ours.read_bytes() == diff.read_bytes()


_ASK = """
import json, sys
from pathlib import Path
from engine.provenance import provenance
print(json.dumps(provenance(Path(sys.argv[1]))))
"""


def _print(run: Run, lines: Any, rebuild: Recipe, teacher: Run | None) -> None:
    from engine.spec import Distillation
    from engine.text import printable
    from tfllmer_tui.cli.output import print_rich, table

    put(printable(f"# run {run.id} of {run.created:%Y-%m-%d %H:%M} UTC, {run.arm} on {run.dataset}"))
    distil = rebuild.experiment.train.distil
    if teacher is not None:
        what = f"{teacher.arm}, {teacher.backbone} on {teacher.dataset}"
        put(printable(f"# learns from run {teacher.id} ({what}): tfllmer reproduce {teacher.id}"))
    elif isinstance(distil, Distillation):
        told = f"# learns from run {distil.teacher} (spec hash {distil.teacher_hash}), which is not here"
        put(printable(f"{told}: import an archive of it, or train it, before"))
    for line in lines:
        put(line)
    put(f"# or, from its stored specification: tfllmer reproduce {run.id} --run")
    if rebuild.changes:
        rows = [
            (change.what, change.then, change.now, "other numbers" if change.decisive else "maybe")
            for change in rebuild.changes
        ]
        print_rich(table(("changed since", "then", "now", "matters"), rows))
    else:
        put("# code, packages, data and vectors are as they were")


def _again(store: Store, run: Run, rebuild: Recipe, *, quiet: bool) -> tuple[Run, list[tuple[str, Any, Any]]]:
    """Train it once more. Raises UserError where the data has changed, since it would be another run."""
    import sys

    from engine import queue
    from engine.errors import UserError
    from engine.records import RunStatus
    from engine.reports.verdict.reproduction import differences
    from engine.store import create_run, result_of
    from tfllmer_tui.cli.run import follow

    for change in rebuild.changes:
        if change.decisive:
            raise UserError(f"{run.id}: cannot be reproduced here: {change.what} was {change.then}, is {change.now}")
    before = result_of(run)
    if before is None:
        raise UserError(f"{run.id}: is {run.status} and has no numbers to compare with")
    command = ["tfllmer", *sys.argv[1:]]
    again = create_run(store, rebuild.experiment, overrides=run.overrides, command=command, status=RunStatus.RUNNING)
    queue.start(store, again)
    following = follow.nothing() if quiet else follow.lines(store, again)
    with following as on_update:
        again = queue.supervise(store, again, on_update)
    after = result_of(again)
    return again, [] if after is None else differences(before, after)


def _compare(run: Run, again: Run, differing: list[tuple[str, Any, Any]]) -> None:
    from tfllmer_tui.cli.output import print_rich, say, table

    if again.status != "finished":
        say(f"tfllmer: run {again.id} {again.status}: {again.reason}")
    elif differing:
        print_rich(table(("number", "then", "now"), differing))
        put(f"{len(differing)} numbers differ between {run.id} and {again.id}.")
    else:
        put(f"The same numbers to the last bit: {again.id}.")
