"""tfllmer runs, tfllmer show: what happened."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfllmer_tui.cli.options import Dataset, Db, Json, RunId

STATUSES = ("queued", "running", "finished", "failed", "cancelled", "lost")


def add_to(app: typer.Typer) -> None:
    app.command()(runs)
    app.command()(show)


def runs(
    dataset: Dataset = None,
    status: Annotated[
        str | None, typer.Option("--status", metavar="STATUS", help=f"Only these: {', '.join(STATUSES)}.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the newest so many.")] = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """List the runs, newest first.

    A run whose process is gone without a last word is shown as lost; tfllmer resume goes on with it.

    \b
    tfllmer runs --status running
    tfllmer runs --dataset ml-100k --limit 20 --json
    """
    from engine.spec import UserError, nearest
    from engine.store import list_runs, record
    from tfllmer_tui.cli.output import print_json, print_rich, say, settled_store

    if status is not None and status not in STATUSES:
        raise UserError(f"--status {status}: no such status{nearest(status, STATUSES)}")
    store = settled_store(db)
    records = [record(store, run) for run in list_runs(store, dataset=dataset, status=status, limit=limit)]
    if json:
        print_json(records)
    elif not records:
        say(f"No such run in {store.path}; tfllmer run makes one.")
    else:
        from tfllmer_tui.render import run_table

        print_rich(run_table(records))


def show(
    run: RunId,
    config: Annotated[bool, typer.Option("--config", help="Print the complete specification as YAML.")] = False,
    facts: Annotated[
        bool, typer.Option("--facts", help="Print sizes, diagnostics of the vectors, and provenance.")
    ] = False,
    log: Annotated[bool, typer.Option("--log", help="Print the log.")] = False,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Write the picture of the run as SVG.")
    ] = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Show a run: its curve, its result, why it ended.

    \b
    tfllmer show 01JD
    tfllmer show 01JD --svg run.svg
    tfllmer show 01JD --config
    tfllmer show 01JD --facts --json
    """
    import sys

    from engine.store import find_run, record
    from tfllmer_tui.cli.output import pairs, print_json, print_rich, settled_store

    store = settled_store(db)
    found = find_run(store, run)
    if facts:
        known = found.facts | {"command": found.command}
        if json:
            print_json(known)
        else:
            print_rich(pairs(known))
    elif json:
        print_json(record(store, found))
    elif config:
        from tfllmer_tui.cli.config import config_yaml

        print(config_yaml(found.spec, dict.fromkeys(found.overrides, "--set")), end="")
    elif log:
        file = store.folder(found.id).log
        sys.stdout.write(file.read_text("utf-8", errors="replace") if file.exists() else "")
    elif svg is not None:
        from tfllmer_tui.cli.view import WIDTH, picture
        from tfllmer_tui.render import save_svg

        save_svg(picture(store, found), svg, WIDTH, title=f"tfllmer show {found.id}")
    else:
        from tfllmer_tui.cli.view import picture

        print_rich(picture(store, found))
