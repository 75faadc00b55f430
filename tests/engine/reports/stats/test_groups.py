from pathlib import Path

import pytest

from engine.errors import UserError
from engine.reports.stats.groups import user_groups
from tests.engine.reports.trials import ranks_of


def test_damaged_files_are_errors(tmp_path: Path) -> None:
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
