"""Further forms of what could be read in two ways: times, ids, lists, parts of a split as other programs spell them."""

from pathlib import Path
from typing import Any

import pytest

from engine import spec
from engine.data import load_dataset
from engine.data.atomic import read_log
from engine.errors import UserError
from tests.engine.data.files import lines, write
from tests.engine.data.test_imports import LISTS, PAIRS, imported, refused

HOUR = 3600


def of_one_user(folder: Path, field: str, cells: list[str]) -> spec.Data:
    return write(
        folder, f"{PAIRS}\t{field}\n" + lines([("u", item, cell) for item, cell in zip("cabd", cells, strict=False)])
    )


# ------------------------------------------------------------------------------------ times


@pytest.mark.parametrize(
    ("cells", "seconds"),
    [
        (["1970-01-01 02:00:00+01", "1970-01-01 02:00:00-01"], [HOUR, 3 * HOUR]),  # as PostgreSQL writes it
        (["1970-01-01 01:00:00 GMT", "1970-01-01 00:00:00 UTC"], [HOUR, 0]),
        (["1970-01-01t01:00:00z", "1970-01-01t00:00:00z"], [HOUR, 0]),
        (["1970-01-02+0000", "1970-01-02+0100"], [24 * HOUR, 23 * HOUR]),
    ],
)
def test_zones_of_many_programs(tmp_path: Path, cells: list[str], seconds: list[int]) -> None:
    of_one_user(tmp_path, "timestamp:token", cells)
    times = read_log(tmp_path, "x").times
    assert times is not None
    assert times.tolist() == seconds


@pytest.mark.parametrize("missing", ["0", "-1", "0.0"])
def test_a_filler_among_clock_times_is_refused(tmp_path: Path, missing: str) -> None:
    with pytest.raises(UserError, match=rf"x\.inter:3: field timestamp: '{missing}' and .* are not times of one kind"):
        load_dataset(of_one_user(tmp_path, "timestamp:float", ["1600000000", missing, "1600000002"]))
    for cells in (["0", "1", "2"], ["0", "0", "1600000000"], ["-100000", "1600000000", "1600000001"]):
        load_dataset(of_one_user(tmp_path, "timestamp:float", cells))


@pytest.mark.parametrize(
    ("field", "cells", "what"),
    [
        ("played:token", ["2020-01-03", "2020-01-01", "2020-01-02"], "holds dates"),
        ("c3:token", ["2020-01-03 10:00:00", "2020-01-01 10:00:00", "2020-01-02 10:00:00"], "holds dates"),
        ("c3:float", ["1600000300", "1600000100", "1600000200"], "holds clock times"),
        ("stamp:float", ["1600000300123", "1600000100123.5", "1600000200123"], "holds clock times"),
        ("time:token", ["10:00:00", "9:00", "11:30 pm"], "a form that is not read here"),
        ("month:token", ["2020-03", "2020-01", "2020-02"], "a form that is not read here"),
    ],
)
def test_a_time_is_known_by_what_it_holds(tmp_path: Path, field: str, cells: list[str], what: str) -> None:
    name = field.partition(":")[0]
    with pytest.raises(UserError, match=rf"no field timestamp, but {name} .*{what}.*none goes by the file's lines"):
        load_dataset(of_one_user(tmp_path, field, cells))


@pytest.mark.parametrize(
    ("field", "cells"),
    [
        ("released", ["2020-01-03", "2020-01-01", "2020-01-02", "2020-01-03"]),  # of the item: c a b c
        ("session_id", ["1600000300", "1600000100", "1600000200", "1600000000"]),
        ("price", ["300", "100", "200", "50"]),
        ("joined", ["2020-01-03"] * 4),
    ],
)
def test_what_is_no_time_of_the_interaction_is_not_asked_about(tmp_path: Path, field: str, cells: list[str]) -> None:
    rows = [(user, item, cell) for user, item, cell in zip("uuuv", "cabc", cells, strict=True)]
    data = write(tmp_path, f"{PAIRS}\t{field}:token\n" + lines(rows))
    assert load_dataset(data).order == "the order of the file"


# ------------------------------------------------------------------------------------ ids


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1", "1.0"], "'1.0' and '1' differ only by a decimal point; write an id in one way"),
        (["a", "nan"], "'nan' stands for a missing id; every line needs an id"),
        (["a", "<NA>"], "'<NA>' stands for a missing id"),
        (["a", " \u3000"], "field item_id: empty; every line needs an id"),
    ],
)
def test_ids_that_are_none_or_two_are_refused(tmp_path: Path, cells: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        load_dataset(write(tmp_path, f"{PAIRS}\n" + lines([("u", cell) for cell in cells])))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'x.inter'}:3: ")


@pytest.mark.parametrize(
    ("wanted", "listed"), [("7.0", "7"), ("07", "7"), ("a", "a "), ("A1", "a1"), ("b'a'", "a"), ('"a"', "a")]
)
def test_another_spelling_of_an_id_is_named(tmp_path: Path, wanted: str, listed: str) -> None:
    data = write(tmp_path, f"{PAIRS}\nu\t{wanted}\nu\tz\n", f"item_id:token\nz\n{listed}\n")
    with pytest.raises(UserError, match=rf"is not in x\.item \(there is '{listed}': write an id in one way\)"):
        load_dataset(data)


def test_utf32_is_named(tmp_path: Path) -> None:
    write(tmp_path, f"{PAIRS}\nu\ta\n".encode("utf-32"))
    with pytest.raises(UserError, match="UTF-32 text; save the file as UTF-8"):
        read_log(tmp_path, "x")


def test_a_decimal_comma_is_named(tmp_path: Path) -> None:
    data = write(tmp_path, "user_id:token;item_id:token;rating:float\nu;a;3,5\n")
    with pytest.raises(UserError, match="field rating: '3,5' is not a number; write decimals with a point"):
        load_dataset(data.model_copy(update={"rating_min": 1.0}))


# ------------------------------------------------------------------------------------ histories


@pytest.mark.parametrize("separator", [" ", ",", ", ", ";", "|"])
def test_words_of_a_history_are_parted_in_many_ways(tmp_path: Path, separator: str) -> None:
    rows = f"u\ta\tb\nu\ta{separator}b\tc\nv\tb\ta\n"
    (tmp_path / "h.inter").write_text(LISTS + rows)
    assert imported(tmp_path, "h.inter")[0][1:] == ["u\ta", "u\tb", "u\tc", "v\tb", "v\ta"]
    write(tmp_path, LISTS.replace("item_id_list:token_seq", "history:token") + rows)
    with pytest.raises(UserError, match="field history: rows of a history and the item that follows it"):
        read_log(tmp_path, "x", spec.FieldNames())


@pytest.mark.parametrize(
    ("name", "content", "settings"),
    [
        ("h.csv", 'user,history,item\nu,"[0, 0, 1]",2\nu,"[0, 1, 2]",3\nv,"[0, 0, 2]",1\n', {}),
        ("h.csv", 'user,history,item\nu,"[1, 0, 0]",2\nu,"[1, 2, 0]",3\nv,"[2, 0, 0]",1\n', {}),
        ("s.jsonl", '{"user": "u", "items": [0, 0, 1, 2, 3]}\n{"user": "v", "items": [0, 0, 0, 2, 1]}\n', {}),
        ("s.txt", "u 1 2 3 -1 -1\nv 2 1 -1 -1 -1\n", {"shape": "sequences"}),
    ],
)
def test_what_fills_lists_up_is_no_item(tmp_path: Path, name: str, content: str, settings: dict[str, Any]) -> None:
    (tmp_path / name).write_text(content)
    written, summary = imported(tmp_path, name, **settings)
    assert written[1:] == ["u\t1", "u\t2", "u\t3", "v\t2", "v\t1"]
    assert "filled up with" in summary["read_as"]


@pytest.mark.parametrize(
    "lists", [((0, 0, 2, 0), (3, 1, 2, 0)), ((0, 1), (0, 2)), ((0, 0, 1), (0, 2)), ((7, 7, 1), (2, 3, 4))]
)
def test_an_item_that_is_only_like_a_filler_stays(tmp_path: Path, lists: tuple[tuple[int, ...], ...]) -> None:
    rows = [*zip("uv", lists, strict=True)]
    (tmp_path / "s.jsonl").write_text("".join(f'{{"user": "{user}", "items": {[*row]}}}\n' for user, row in rows))
    assert imported(tmp_path, "s.jsonl")[0][1:] == [f"{user}\t{item}" for user, row in rows for item in row]


def test_histories_that_do_not_go_on_are_shown(tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("user,history,item\nu,a,b\nu,b a,c\nu,c b a,d\n")  # the newest first
    assert "(a and then b; b a and then c; c b a and then d); give every session" in refused(tmp_path, "h.csv")


def test_users_without_items_are_no_fault_of_a_line(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("u a b\nw\nv b\n")
    assert imported(tmp_path, "s.txt")[0][1:] == ["u\ta", "u\tb", "v\tb"]
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "t.txt").write_text("u\nv\n")
    assert "t.txt: no line has a user and an item" in refused(tmp_path / "t", "t.txt", shape="sequences")


# ------------------------------------------------------------------------------------ splits


@pytest.mark.parametrize(
    ("field", "cells"),
    [("split", ["0", "1", "2"]), ("is_test", ["False", "False", "True"]), ("train_mask", ["1", "1", "0"])],
)
def test_flags_that_may_split_are_asked_about(tmp_path: Path, field: str, cells: list[str]) -> None:
    with pytest.raises(UserError, match=rf"field {field}: may say which part of a split a line is of, .*train"):
        load_dataset(of_one_user(tmp_path, f"{field}:token", cells))
    load_dataset(of_one_user(tmp_path, "is_member:token", cells))


def test_numbered_parts_are_told_what_parts_are_called(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for number in (1, 2, 3):
        (tmp_path / "d" / f"m.part{number}.inter").write_text(f"{PAIRS}\nu\t{number}\n")
    message = refused(tmp_path, "d")
    assert "name one; parts of a split are called m.train.inter, m.valid.inter, m.test.inter" in message
