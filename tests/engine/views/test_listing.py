"""Lists with chosen columns, folded: the same numbers as the table of runs on screen folds from its rows."""

import pytest

from engine.errors import UserError
from engine.store import Store
from engine.store.queries.feed import Feed
from engine.store.queries.filters import field_named, parse
from engine.views.folds import Spread
from engine.views.listing import ListedFold, folded_runs
from engine.views.runs import RunGroup, RunView, arrange
from tests.tui.app.bench import fill, id_of

COLUMNS = ("train_ce", "valid.ndcg@10", "test.ndcg@10", "backbone.width")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Read only by every test here."""
    return fill(tmp_path_factory.mktemp("listing") / "experiments.db")


def folded(store: Store, *columns: str, sort: str = "", where: str = "") -> list[ListedFold]:
    fields = [field_named(name, "--columns") for name in columns or COLUMNS]
    return folded_runs(store, fields, sort, where=parse(where).clause() if where else None)


def test_a_configuration_is_named_counted_and_measured(store: Store) -> None:
    full = next(f for f in folded(store) if (f.about["arm"], f.about["backbone"]) == ("tf-llmer/full", "sasrec"))
    assert (full.seeds, full.runs) == ((0, 1, 2), (id_of(0), id_of(1), id_of(2)))
    assert full.about["overrides"] == {"train.epochs": 12}
    assert full.statuses == {"finished": 3}
    assert isinstance(full.values["train_ce"], Spread) and full.values["train_ce"].n == 3
    assert full.values["backbone.width"] == 64


def test_folds_are_sorted_by_their_means_and_what_has_none_comes_last(store: Store) -> None:
    for sort, sign in (("train_ce", 1), ("-train_ce", -1)):
        folds = folded(store, sort=sort)
        means = [fold.values["train_ce"].mean for fold in folds if fold.values["train_ce"] is not None]
        assert means == sorted(means, key=lambda mean: sign * mean) and len(means) == 3
        assert [fold.values["train_ce"] is None for fold in folds] == [False] * 3 + [True] * 2
    with pytest.raises(UserError, match="--sort"):
        folded(store, sort="no-such-field")


def test_a_filter_leaves_runs_out_before_they_are_folded(store: Store) -> None:
    assert [fold.seeds for fold in folded(store, where="arm~full backbone=sasrec seed=0,1")] == [(0, 1)]


def test_the_table_on_screen_folds_to_the_same_numbers(store: Store) -> None:
    feed = Feed(store)
    table = arrange(feed.read().rows, RunView(grouped=True))
    feed.close()
    groups = {row.key: row for row in table if isinstance(row, RunGroup)}
    listed = {fold.about["config_hash"]: fold for fold in folded(store)}
    assert len(groups) == 3
    for key, group in groups.items():
        values = listed[key].values
        assert (group.train_ce, group.valid, group.test) == (
            values["train_ce"],
            values["valid.ndcg@10"],
            values["test.ndcg@10"],
        )
