"""tfllmer view: ways of looking at the table of runs, under names that `tfllmer runs --view` and the screen take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from tfllmer_tui.cli.options import Db, Json

if TYPE_CHECKING:
    from engine.files import StoreAddress
    from engine.views.saved import SavedView

Name: TypeAlias = Annotated[str, typer.Argument(metavar="VIEW", help="Name of the view.")]

group = typer.Typer(no_args_is_help=True, help="Saved views of the runs: list, save, rename, remove.")


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="view")


@group.command("list")
def list_views(db: Db = None, json: Json = False) -> None:
    """List the saved views of a store; tfllmer runs --view VIEW uses one.

    \b
    tfllmer view list
    """
    from engine.views.saved import saved_views
    from tfllmer_tui.cli.output import print_json, put, say

    views = saved_views(_path(db))
    if json:
        print_json([{"name": name, **view.to_json()} for name, view in views.items()])
    elif not views:
        say("No view yet; tfllmer view save NAME --filter ... makes one, and V on the screen of runs.")
    else:
        width = max(map(len, views))
        for name, view in views.items():
            put(f"{name:<{width}}  {view.told()}")


@group.command()
def save(
    name: Name,
    filter_: Annotated[
        str, typer.Option("--filter", "-f", metavar="FILTER", help="Only the runs that fit, as of tfllmer runs.")
    ] = "",
    sort: Annotated[
        str, typer.Option("--sort", metavar="FIELD", help="Sort by this field, - for descending; newest first.")
    ] = "-created",
    fold: Annotated[
        str | None, typer.Option("--group", metavar="seed", help="Fold the seeds of a configuration: mean ± sd.")
    ] = None,
    metric: Annotated[str, typer.Option("--metric", metavar="METRIC", help="What runs are measured by.")] = "ndcg@10",
    hide: Annotated[str, typer.Option("--hide", metavar="FIELDS", help="Columns to leave out.")] = "",
    db: Db = None,
    json: Json = False,
) -> None:
    """Keep a way of listing the runs under a name, in place of one that has it.

    \b
    tfllmer view save paper --filter "tag:paper status:finished" --sort -ndcg@10 --group seed
    tfllmer runs --view paper
    """
    from engine.errors import UserError
    from engine.store.queries.filters import parse
    from engine.views.saved import save_view, view_of

    if fold not in (None, "seed"):
        raise UserError(f"--group {fold}: runs are grouped by seed only; write --group seed")
    parse(filter_)
    hidden = [word.strip() for word in hide.split(",") if word.strip()]
    view = view_of(name, filter_, sort, grouped=fold is not None, metric=metric, hidden=hidden)
    before = save_view(_path(db), view)
    _print(view, "kept" if before is None else f"kept in place of: {before.told()}", json)


@group.command()
def rename(
    name: Name,
    new: Annotated[str, typer.Argument(metavar="NAME", help="The name that it gets.")],
    db: Db = None,
    json: Json = False,
) -> None:
    """Give a view another name.

    \b
    tfllmer view rename paper camera-ready
    """
    from engine.views.saved import find_view, rename_view

    rename_view(_path(db), name, new)
    _print(find_view(_path(db), new), f"was {name}", json)


@group.command()
def remove(name: Name, db: Db = None, json: Json = False) -> None:
    """Forget a view; its runs stay.

    \b
    tfllmer view remove paper
    """
    from engine.views.saved import remove_view

    view = remove_view(_path(db), name)
    _print(view, f"removed; it was: {view.told()}", json)


def _path(db: str | None) -> StoreAddress:
    from engine.files import store_address

    return store_address(db)


def _print(view: SavedView, said: str, json: bool) -> None:
    from tfllmer_tui.cli.output import print_json, put

    if json:
        print_json({"name": view.name, **view.to_json()})
    else:
        put(f"{view.name}: {said}")
