"""tfllmer runs, tfllmer show: what happened."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfllmer_tui.cli.options import Dataset, Db, Json, RunId
from tfllmer_tui.view.printing import put

if TYPE_CHECKING:
    from engine.store import Store
    from engine.views.listing import ListedFold

STATUSES = ("queued", "running", "finished", "failed", "cancelled", "lost")
PAGE = 50
"""Lines of a table where no limit is given; JSON is complete then."""
_FOLDED = ("train_ce", "valid.ndcg@10", "test.ndcg@10")


def add_to(app: typer.Typer) -> None:
    app.command()(runs)
    app.command()(show)


def runs(
    filter_: Annotated[
        str | None,
        typer.Option("--filter", "-f", metavar="FILTER", help="Only the runs that fit, for instance 'ndcg@10>0.1'."),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option("--sort", metavar="FIELDS", help="Sort by these fields, - for descending; newest first."),
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", metavar="seed", help="Fold the seeds of a configuration: mean ± sd.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="FIELDS", help="Show these fields, for instance seed,train.lr.")
    ] = None,
    view: Annotated[
        str | None,
        typer.Option("--view", metavar="VIEW", help="As a saved view has it; what else is given counts more."),
    ] = None,
    dataset: Dataset = None,
    status: Annotated[
        str | None, typer.Option("--status", metavar="STATUS", help=f"Only these: {', '.join(STATUSES)}.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=0, help=f"Only the first so many; 0 is all. A table has {PAGE}."),
    ] = None,
    trashed: Annotated[bool, typer.Option("--trashed", help="List the trash instead.")] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """List the runs, newest first.

    A run whose process is gone without a last word is shown as lost; tfllmer resume goes on with it.

    A filter is made of terms that must all hold: a field, an operator and a
    value, or several values with commas of which one must fit. Operators are
    = != < <= > >= and ~ !~ (contains); or, not, - and parentheses combine terms.
    Fields are status, arm, dataset, backbone, seed, study, tag, note, age,
    trashed (removed runs are listed only where the filter asks for them),
    metrics (ndcg@10, valid.hr@20, train_ce@20) and every setting (train.lr).
    Times are UTC; created>2d is within the last two days.

    \b
    tfllmer runs --status running
    tfllmer runs --filter "status=failed ablation~norm"
    tfllmer runs --filter "ndcg@10>0.1 seed=0,1 -tag:old" --sort -ndcg@10 --limit 10
    tfllmer runs --filter "created>2d (dataset=ml-1m or train.lr>=1e-3)" --group seed
    tfllmer runs --columns seed,train.lr,ndcg@10 --json
    tfllmer runs --view paper
    """
    from engine.errors import UserError, nearest
    from tfllmer_tui.cli.output import settled_store

    if status is not None and status not in STATUSES:
        raise UserError(f"--status {status}: no such status{nearest(status, STATUSES)}")
    if group is not None and group != "seed":
        raise UserError(f"--group {group}: runs are grouped by seed only; write --group seed")
    if view is not None:
        from engine.files import store_address
        from engine.views.saved import find_view

        saved = find_view(store_address(db), view)
        filter_ = " ".join(f"({text})" for text in (saved.filter, filter_) if text)
        sort, group = sort or saved.order, group or ("seed" if saved.grouped else None)
        shown_fields = saved.measured_fields if group else saved.fields
        columns = columns or (",".join(shown_fields) if shown_fields else None)
    query: dict[str, Any] = {"trashed": trashed, "dataset": dataset, "status": status}
    fields = []
    if filter_ or sort or columns:  # the fields there are cost a little to describe
        from engine.store.queries.filters import field_named, order_by, parse

        read = parse(filter_ or "")
        query |= {"where": read.clause(), "order": order_by(sort) if sort else ()}
        query["trashed"] = trashed or read.trashed
        fields = [field_named(name.strip(), "--columns") for name in columns.split(",")] if columns else []
    limit = limit if limit is not None else None if json else PAGE
    store = settled_store(db)
    if group:
        _list_folded(store, query, fields, sort, limit or None, json)
    elif fields:
        _list_values(store, query, fields, limit or None, json)
    else:
        _list(store, query, limit or None, json)


def _list(store: Store, query: dict[str, Any], limit: int | None, as_json: bool) -> None:
    from engine.store import list_records
    from tfllmer_tui.cli.output import print_json, print_rich

    records = list_records(store, limit=limit, **query)
    if as_json:
        print_json([each.to_json() for each in records])
    elif not records:
        _say_none(store, query)
    else:
        from tfllmer_tui.view.runs import run_table

        print_rich(run_table(records))
        _say_more(_total(store, query, len(records), limit), len(records))


def _list_values(store: Store, query: dict[str, Any], fields: list[Any], limit: int | None, as_json: bool) -> None:
    from engine.store import list_values
    from tfllmer_tui.cli.output import print_json, print_rich

    rows = list_values(store, fields, limit=limit, **query)
    names = [field.name for field in fields]
    if as_json:
        print_json([dict(zip(("run", *names), row, strict=True)) for row in rows])
    elif not rows:
        _say_none(store, query)
    else:
        from tfllmer_tui.view.tables import value_table

        spans = [field.name for field in fields if field.kind == "age" or field.name == "wall_s"]
        print_rich(value_table(names, rows, spans))
        _say_more(_total(store, query, len(rows), limit), len(rows))


def _list_folded(
    store: Store, query: dict[str, Any], fields: list[Any], sort: str | None, limit: int | None, as_json: bool
) -> None:
    """Seeds folded; in the order of the means where the first sort key is a number, else as the runs are."""
    from engine.store.queries.filters import field_named
    from engine.views.listing import folded_runs
    from tfllmer_tui.cli.output import print_json, print_rich

    columns = fields or [field_named(name, "--columns") for name in _FOLDED]
    folds = folded_runs(store, columns, sort or "", **query)
    groups = folds[:limit]
    if as_json:
        print_json([_fold_json(fold) for fold in groups])
    elif not groups:
        _say_none(store, query)
    else:
        from tfllmer_tui.view.tables import fold_table

        print_rich(fold_table(groups, [field.name for field in columns]))
        _say_more(len(folds), len(groups))


def _fold_json(fold: ListedFold) -> dict[str, Any]:
    from engine.views.folds import Spread

    values = {name: asdict(value) if isinstance(value, Spread) else value for name, value in fold.values.items()}
    return {
        **fold.about,
        "seeds": fold.seeds,
        "of_seeds": fold.of_seeds,
        "runs": fold.runs,
        "statuses": fold.statuses,
        "values": values,
    }


def _say_none(store: Store, query: dict[str, Any]) -> None:
    from engine.store import count_runs
    from tfllmer_tui.cli.output import say

    n_runs = count_runs(store, trashed=query["trashed"])
    if query["trashed"]:
        say("The trash is empty." if not n_runs else f"None of the {n_runs} runs in the trash fits.")
    elif n_runs:
        say(f"No such run among the {n_runs} in {store.name}.")
    else:
        say(f"No run in {store.name} yet; tfllmer run makes one.")


def _say_more(total: int, count: int) -> None:
    from tfllmer_tui.cli.output import say

    if total > count:
        say(f"{total - count} more; --limit 0 shows all, --filter fewer.")


def _total(store: Store, query: dict[str, Any], count: int, limit: int | None) -> int:
    """How many there are without the limit; counted only where there can be more."""
    from engine.store import count_runs

    if count != limit:
        return count
    return count_runs(store, **{name: value for name, value in query.items() if name != "order"})


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

    from engine.store.finding import find_id
    from engine.store.queries.documents import documents
    from tfllmer_tui.cli.output import pairs, print_json, print_rich, settled_store

    store = settled_store(db)
    run_id = find_id(store, run)
    if facts:
        stored = documents(store, run_id)
        document = stored.facts | {"command": stored.command}
        if json:
            print_json(document)
        else:
            print_rich(pairs(document))
    elif json:
        from engine.store import record
        from engine.store.queries.heads import run_head

        print_json(record(store, run_head(store, run_id)).to_json() | _elsewhere(store, run_id))
    elif config:
        from engine.views.settings import config_yaml

        stored = documents(store, run_id)
        put(config_yaml(stored.spec, dict.fromkeys(stored.overrides, "--set")), end="")
    elif log:
        file = store.folder(run_id).log
        put(file.read_text("utf-8", errors="replace") if file.exists() else "", end="")
    elif svg is not None:
        from tfllmer_tui.cli.run.picture import WIDTH, picture
        from tfllmer_tui.view.svg import save_svg

        save_svg(picture(store, run_id), svg, WIDTH, title=f"tfllmer show {run_id}")
    else:
        from tfllmer_tui.cli.run.picture import picture

        print_rich(picture(store, run_id))
        if elsewhere := _elsewhere(store, run_id):
            put("Carried out by {executor}, job {job}: {state}".format(**elsewhere))


def _elsewhere(store: Store, run_id: str) -> dict[str, str]:
    """What carries a run out that is no process of a worker's machine; nothing for one that is."""
    from engine.store.queries.heads import job_of

    job = job_of(store, run_id)
    return {} if job is None else {"executor": job[0], "job": job[1], "state": job[2] or "unknown"}
