import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.reports.stats.ranks import load_ranks, per_user, user_groups
from tests.engine.reports.trials import ranks_of


@given(st.lists(st.integers(1, 60) | st.just(-1), min_size=1, max_size=30), st.integers(1, 50))
def test_metrics_per_user_are_those_of_a_slow_reference(ranks: list[int], k: int) -> None:
    array = np.array(ranks, np.int32)
    for i, rank in enumerate(ranks):
        found = [float(per_user(array, name)[i]) for name in (f"hr@{k}", f"ndcg@{k}", "mrr")]
        if rank == -1:
            assert all(map(math.isnan, found))
        else:
            hit = float(rank <= k)
            assert found == pytest.approx([hit, hit / math.log2(rank + 1), 1 / rank])


def test_unknown_measures_and_damaged_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no measure"):
        per_user(np.ones(2, np.int32), "ndcg")
    (tmp_path / "ranks.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="no ranks can be read"):
        load_ranks(tmp_path / "ranks.safetensors")
    with pytest.raises(UserError, match="no split can be read"):
        user_groups(tmp_path / "none", tmp_path / "none", "test")


def test_head_and_tail_part_the_users_that_have_a_target(tmp_path: Path) -> None:
    import polars as pl

    files = ranks_of(tmp_path, "a", [1] * 10)
    groups = user_groups(files["split"], files["items"], "test")
    assert groups["head"].tolist() == [True] * 5 + [False] * 5  # i0 is among the two most popular of ten
    assert groups["tail"].tolist() == [False] * 5 + [True] * 5
    assert groups["short"].tolist() == [True, False] * 5 and groups["long"].tolist() == [False, True] * 5
    table = pl.read_parquet(files["split"]).with_columns(
        pl.when(pl.col("user_id") == "u0").then(None).otherwise(pl.col("test_item_id")).alias("test_item_id")
    )
    table.write_parquet(files["split"])
    groups = user_groups(files["split"], files["items"], "test")
    assert not any(group[0] for group in groups.values())
    assert groups["short"].tolist() == [False] + [True] * 9  # the median is now the longest, and none is longer
