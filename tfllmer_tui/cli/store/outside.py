"""tfllmer import ranks, tfllmer import scores: what another program made, on the same boards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import typer

from tfllmer_tui.cli.options import Db, Json
from tfllmer_tui.view.printing import put, say

SystemName: TypeAlias = Annotated[str, typer.Option("--system", metavar="NAME", help="What boards call it.")]
SplitFolder: TypeAlias = Annotated[
    Path, typer.Option("--split", metavar="FOLDER", help="The split that it was made on (tfllmer export split).")
]
Seen: TypeAlias = Annotated[
    Literal["masked", "kept"],
    typer.Option("--seen", help="Whether items of the user's history were left out of the ranking (the target never)."),
]
Seed: TypeAlias = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="The seed that it was made with.")]
DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Check it and say what was understood.")]


def add_to(group: typer.Typer) -> None:
    group.command("ranks")(ranks)
    group.command("scores")(scores)


def ranks(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A table with the columns user and rank.")],
    system: SystemName,
    split: SplitFolder,
    seen: Seen,
    seed: Seed = 0,
    dry_run: DryRun = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Bring in the ranks of another program as a finished run of NAME, backbone imported.

    FILE is CSV, TSV, JSONL or Parquet: user, rank (1 = best), and where there are any item
    (the target, which is compared) and split (valid or test; test when left out). Every test
    user needs one rank. A second time changes nothing.

    \b
    tfllmer import ranks ranks.csv --system recbole-sasrec --split ml-100k-split --seen masked
    """
    _bring("ranks", file, system, split, seen, seed, dry_run=dry_run, db=db, json=json)


def scores(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A matrix .npy, or a table with user, item and score.")],
    system: SystemName,
    split: SplitFolder,
    seen: Seen,
    seed: Seed = 0,
    dry_run: DryRun = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Bring in the scores of another program: they are ranked as ours are.

    FILE is a matrix of numpy.save, rows as in users.csv (or its test users alone), columns
    as in items.csv; or a table of user, item and score. Items without a score stand behind
    all others. With --seen masked those of the history are left out here.

    \b
    tfllmer import scores scores.npy --system implicit-als --split ml-100k-split --seen masked
    """
    _bring("scores", file, system, split, seen, seed, dry_run=dry_run, db=db, json=json)


def _bring(
    what: Literal["ranks", "scores"],
    file: Path,
    system: str,
    split: Path,
    seen: str,
    seed: int,
    *,
    dry_run: bool,
    db: str | None,
    json: bool,
) -> None:
    import sys
    import tempfile

    from engine.files import make_folder, path_of, store_address
    from engine.spec import to_json
    from engine.store import open_store
    from engine.store.archives.outside import OutsideRun, bring_outside, known_run
    from engine.store.core.database import store_exists
    from engine.views.outside import outside_experiment
    from tfllmer_tui.cli.child import run_child
    from tfllmer_tui.cli.output import print_json

    source, folder = path_of(file).resolve(), path_of(split).resolve()
    experiment, overrides = outside_experiment(source, folder, system=system, masked=seen == "masked", seed=seed)
    outside_run = OutsideRun(experiment, source, overrides, ["tfllmer", *sys.argv[1:]])
    summary: dict[str, Any] = {}

    def make(place: Path) -> dict[str, Any]:
        request = {"source": str(source), "what": what, "split": str(folder), "experiment": to_json(experiment)}
        summary.update(
            run_child("import-ranks", {**request, "folder": str(place)}, lambda record: None, failed="not read")
        )
        return summary

    store = open_store(db, read_only=dry_run) if store_exists(store_address(db)) else None
    known = None if store is None else known_run(store, outside_run)
    problems: list[str] = []
    run_id = known
    if known is None:
        if dry_run or store is None:  # no store is made for a file that does not fit
            with tempfile.TemporaryDirectory() as scratch:
                make(make_folder(Path(scratch, "run")))
        if not dry_run:
            run_id, problems = bring_outside(store or open_store(db), outside_run, make)
    if json:
        print_json({"run": run_id, "new": known is None, "written": known is None and not dry_run, **summary})
    else:
        _tell(outside_run.system.system, run_id, summary, is_new=known is None, dry_run=dry_run)
    for problem in problems:
        say(f"problem: {problem}")
    if problems:
        raise typer.Exit(1)


def _tell(system: str, run_id: str | None, told: dict[str, Any], *, is_new: bool, dry_run: bool) -> None:
    if not is_new:
        put(f"{system}: is here already as {run_id}; nothing has changed")
        return
    verb = "would be brought in" if dry_run else f"brought in as {run_id}"
    put(f"{system}: {told['what']} of {told['users']:,} test users over {told['items']:,} items {verb}")
    put(f"Seen items {told['seen']}: {told['seen_checked']}")
    if told["listed"] is not None:
        put(f"Exact up to cut-off {told['listed']}: some users have scores for no more items")
    put(" · ".join(f"{name} {told['test'][name]:.4f}" for name in ("ndcg@10", "hr@10", "mrr")))
    if not dry_run:
        put("Next: tfllmer leaderboard")
