"""Data that could be read in two ways: read in the right one, or refused in one line that says what to do."""

import csv
import gzip
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine import spec
from engine.data import load_dataset, split_dataset, statistics
from engine.data.atomic import read_log
from engine.errors import UserError
from engine.places import list_datasets
from engine.presets import find_dataset, resolve
from tests.engine.data.files import INTER, ITEM, lines, write

PAIR = "user_id:token\titem_id:token"
HOUR = 3600


def orders(data: spec.Data) -> dict[str, str]:
    """The items of every user in their order, as one word."""
    dataset = load_dataset(data)
    words = dict.fromkeys(dataset.user_ids, "")
    for user, item in zip(dataset.users, dataset.items, strict=True):
        words[dataset.user_ids[user]] += dataset.item_ids[item]
    return words


def with_columns(data: spec.Data, **fields: str | None) -> spec.Data:
    return data.model_copy(update={"columns": spec.FieldNames.model_validate(fields)})


# ------------------------------------------------------------------------------------ times


@pytest.mark.parametrize(
    ("field", "times"),
    [
        ("t_dat", ["2020-09-03", "2020-09-01", "2020-09-02"]),
        ("date", ["2020/9/3 7:05", "2020/9/1 8:00", "2020/9/2 0:00"]),
        ("created_at", ["2020-09-03T00:00:00Z", "2020-09-03T01:00:00+02:00", "2020-09-02T23:30:00.5Z"]),
        ("time", ["3", "1", "2"]),
        ("unixReviewTime", ["1600000300", "1600000100", "1600000200"]),
        ("event_time", ["1600000300123", "1600000100123", "1600000200123"]),
        ("ts", ["1.6000003e18", "1600000100000000000.0", "1600000200000000000"]),
        ("datetime", ["1600000300.25", "1600000300.125", "1600000300.2"]),
    ],
)
def test_a_time_under_another_name_is_asked_for_and_found(tmp_path: Path, field: str, times: list[str]) -> None:
    rows = [("u", item, time) for item, time in zip("cab", times, strict=True)]
    data = write(tmp_path, f"{PAIR}\t{field}:token\n" + lines(rows))
    with pytest.raises(UserError, match=rf"no field timestamp, but {field} .*--set data\.columns\.timestamp={field} "):
        load_dataset(data)
    assert orders(with_columns(data, timestamp=field)) == {"u": "abc"}
    assert orders(with_columns(data, timestamp=None)) == {"u": "cab"}
    assert load_dataset(with_columns(data, timestamp=field)).order == f"field {field}"
    assert load_dataset(with_columns(data, timestamp=None)).order == "the order of the file"


@pytest.mark.parametrize(
    ("field", "cells", "match"),
    [
        ("Timestamp", ["3", "1", "2"], "but Timestamp looks like one and would change the order"),
        ("createdAt", ["1600000300", "1600000100", "1600000200"], "but createdAt looks like one and would"),
        ("reviewTime", ["09 13, 2009", "01 1, 2008", "12 3, 2009"], r"a form that is not read here \('09 13, 2009'\)"),
        ("date", ["31.12.2020", "01.01.2020", "02.01.2020"], "a form that is not read here .*write ISO dates"),
        ("date", ["Sep 13, 2009", "Jan 1, 2008", "Dec 3, 2009"], "a form that is not read here"),
        ("t_dat", ["2020-09-03", "", "2020-09-02"], "looks like one and is empty in line 3; fill it in, or"),
        ("position", ["3", "1", "2"], "looks like a place in the order and would change the order"),
        ("order_id", ["2", "0", "1"], "looks like a place in the order"),
        ("seq", ["30", "10", "20"], "looks like a place in the order"),
    ],
)
def test_no_field_that_may_give_the_order_is_passed_over(
    tmp_path: Path, field: str, cells: list[str], match: str
) -> None:
    data = write(
        tmp_path, f"{PAIR}\t{field}:token\n" + lines([("u", *pair) for pair in zip("cab", cells, strict=True)])
    )
    with pytest.raises(UserError, match=rf"{match}.*--set data\.columns\.timestamp=none goes by the file's lines"):
        load_dataset(data)
    assert orders(with_columns(data, timestamp=None)) == {"u": "cab"}


def test_what_cannot_change_the_order_is_not_asked_about(tmp_path: Path) -> None:
    for number, (field, cells) in enumerate(
        [
            ("date", ["2020-01-01", "2020-01-02", "2020-01-03"]),  # the order of the file already
            ("watch_time", ["310", "5", "20"]),  # a duration
            ("update", ["weekly", "daily", ""]),
            ("position", ["2", "2", "1"]),  # of a shelf, say: no order of the user's
            ("order", ["1", "2", "3"]),
            ("date_label", ["soon", "2 of 3", "now"]),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        rows = [("u", item, cell) for item, cell in zip("cab", cells, strict=True)]
        data = write(folder, f"{PAIR}\t{field}:token\n" + lines(rows))
        assert orders(data) == {"u": "cab"}
        assert load_dataset(data).order == "the order of the file"


@pytest.mark.parametrize(
    ("cells", "match"),
    [
        (["2020-13-01", "2020-01-01"], r"x\.inter:2: field timestamp: '2020-13-01' is not a time; .* ISO date"),
        (["2020-01-01", "1600000000"], r"x\.inter:3: field timestamp: '1600000000' is not a time"),
        (["12/31/2020", "01/01/2021"], r"x\.inter:2: field timestamp: '12/31/2020' is not a time"),
        (
            ["1600000000", "1600000000000"],
            r"and '1600000000000' \(line 3\) are not times of one kind; write all in seconds",
        ),
        (["1600000000.5", "1600000000000000000"], "not a time|one kind"),
        (["2020-01-01 10:00", "2020-01-01"], r"x\.inter:3: .*'2020-01-01' and .* \(line 2\) are not times of one kind"),
        (["2020-01-01 10:00Z", "2020-01-01 10:00"], r"x\.inter:3: .* are not times of one kind"),
        (["2020-01-01 10:00", "2020-01-01 10:00+01:00"], r"x\.inter:3: .* are not times of one kind"),
    ],
)
def test_times_that_are_none_are_refused(tmp_path: Path, cells: list[str], match: str) -> None:
    data = write(tmp_path, f"{PAIR}\ttimestamp:token\n" + lines([("u", "a", cell) for cell in cells]))
    with pytest.raises(UserError, match=match):
        load_dataset(data)


def test_iso_times_are_seconds_in_utc(tmp_path: Path) -> None:
    for cells, seconds in (
        (["1970-01-02", "1970/1/3"], [24 * HOUR, 48 * HOUR]),
        (["1970-01-01T02:00:00+01:00", "1969-12-31 23:59:59 UTC", "1970-01-01 05:00-0130"], [HOUR, -1, 6.5 * HOUR]),
        (["1970-01-01 00:30", "1970-01-01T01:00:00"], [HOUR // 2, HOUR]),
    ):
        write(tmp_path, f"{PAIR}\ttimestamp:token\n" + lines([("u", "a", cell) for cell in cells]))
        times = read_log(tmp_path, "x").times
        assert times is not None
        assert times.tolist() == seconds


def test_all_fields_can_have_other_names(tmp_path: Path) -> None:
    rows = [("u", "a", 9, 3), ("u", "b", 8, 1), ("u", "c", 1, 2)]
    data = write(tmp_path, "who:token\twhat:token\tstars:float\twhen:float\n" + lines(rows))
    named = with_columns(data, user_id="who", item_id="what", rating="stars", timestamp="when")
    assert orders(named.model_copy(update={"rating_min": 5})) == {"u": "ba"}
    with pytest.raises(UserError, match=r"data\.columns\.timestamp=wenn: no such field .*did you mean when"):
        load_dataset(with_columns(named, user_id="who", item_id="what", timestamp="wenn"))


# ------------------------------------------------------------------------------------ other shapes


@pytest.mark.parametrize("header", ["item_id_list:token_seq\titem_id:token", "item_id:token\titem_id_list:token_seq"])
def test_histories_are_no_interactions(tmp_path: Path, header: str) -> None:
    cells = ("a b", "c") if header.startswith("item_id_list") else ("c", "a b")
    write(tmp_path, f"user_id:token\t{header}\nu\t" + "\t".join(cells) + "\n")
    with pytest.raises(UserError, match=r"field item_id_list: rows of a history .*`tfllmer data import .*x\.inter`"):
        read_log(tmp_path, "x")


@pytest.mark.parametrize(
    ("field", "cells"),
    [
        ("history:token_seq", ["a", "a b"]),
        ("item_seq:token", ["a", "a b"]),
        ("hist_items:token_seq", ["a b", "a"]),  # longest first
        ("past:token_seq", ["a", "b"]),  # cut off at one item
    ],
)
def test_histories_of_another_name_are_found(tmp_path: Path, field: str, cells: list[str]) -> None:
    items = "cb" if cells[0] == "a b" else "bc"
    rows = [("u", item, cell) for item, cell in zip(items, cells, strict=True)]
    data = write(tmp_path, f"{PAIR}\t{field}\n" + lines([*rows, ("v", "a", "c")]))
    name = field.partition(":")[0]
    with pytest.raises(UserError, match=rf"field {name}: rows of a history .*`tfllmer data import .*--history {name}`"):
        load_dataset(data)


def test_other_lists_are_left_alone(tmp_path: Path) -> None:
    data = write(tmp_path, f"{PAIR}\ttag_list:token_seq\n" + lines([("u", "a", "x y"), ("u", "b", "")]))
    assert orders(data) == {"u": "ab"}
    shelves = [("u", "a", "a b"), ("u", "b", "a b"), ("v", "b", "a b")]  # items, and no history
    data = write(tmp_path, f"{PAIR}\twish_list:token_seq\n" + lines(shelves))
    assert orders(data) == {"u": "ab", "v": "b"}


PARTS = [
    ("u", "a", "train"), ("u", "b", "train"), ("u", "c", "valid"), ("u", "d", "test"),
    ("v", "d", "test"), ("v", "c", "test"), ("v", "b", "train"), ("v", "a", "train"),
    ("w", "a", "valid"), ("w", "b", "valid"),
]  # fmt: skip


def test_a_given_split_is_kept_and_never_made_again(tmp_path: Path) -> None:
    data = write(tmp_path, f"{PAIR}\tsplit:token\n" + lines(PARTS))
    for rule in (spec.LeaveOneOut(), spec.Temporal()):
        with pytest.raises(UserError, match=r"x\.inter is split already .*--set data\.split=given keeps that"):
            split_dataset(load_dataset(data), data.model_copy(update={"split": rule}))
    data = data.model_copy(update={"split": spec.Given()})
    dataset = load_dataset(data)
    assert dataset.order == "field split, then the order of the file"
    split = split_dataset(dataset, data)

    def items(indices: object) -> str:
        return "".join("-" if i < 0 else dataset.item_ids[i] for i in indices)  # type: ignore[attr-defined]

    assert [items(split.train[user]) for user in range(3)] == ["ab", "ba", ""]
    assert items(split.valid) == "c-b"
    assert items(split.test) == "dc-"
    assert [items(split.valid_history[user]) for user in range(3)] == ["ab", "", "a"]
    assert [items(split.test_history[user]) for user in range(3)] == ["abc", "bad", ""]
    assert statistics(dataset, split)["train_interactions"] == 4


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([row for row in PARTS if row[2] != "train"], "nothing to train on: its split"),
        ([row for row in PARTS if row[2] != "valid"], "has no interaction in valid"),
        ([row for row in PARTS if row[2] != "test"], "has no interaction in test"),
        ([*PARTS, ("z", "a", "extra")], r"x\.inter:12: field split: 'extra' is none of train, valid, test, others are"),
        ([(u, i, "fold1") for u, i, _ in PARTS], "has no field split:token that says"),
    ],
)
def test_a_given_split_that_says_too_little_is_refused(
    tmp_path: Path, rows: list[tuple[str, str, str]], match: str
) -> None:
    data = write(tmp_path, f"{PAIR}\tsplit:token\n" + lines(rows)).model_copy(update={"split": spec.Given()})
    with pytest.raises(UserError, match=match):
        split_dataset(load_dataset(data), data)


@pytest.mark.parametrize(
    ("field", "valid"), [("split", "VALID"), ("subset", "dev"), ("fold", "val"), ("set", "validation")]
)
def test_a_given_split_has_many_names(tmp_path: Path, field: str, valid: str) -> None:
    rows = [(user, item, valid if part == "valid" else part) for user, item, part in PARTS]
    data = write(tmp_path, f"{PAIR}\t{field}:token\n" + lines(rows))
    with pytest.raises(UserError, match=rf"is split already \(its field {field} says .*data\.split=given keeps that"):
        split_dataset(load_dataset(data), data)
    data = data.model_copy(update={"split": spec.Given()})
    dataset = load_dataset(data)
    assert dataset.order == f"field {field}, then the order of the file"
    assert statistics(dataset, split_dataset(dataset, data))["train_interactions"] == 4


def test_two_fields_that_split_are_refused(tmp_path: Path) -> None:
    rows = [(*row, row[2]) for row in PARTS]
    with pytest.raises(UserError, match="split and set each say which part of a split a line is of; keep one"):
        load_dataset(write(tmp_path, f"{PAIR}\tsplit:token\tset:token\n" + lines(rows)))


# ------------------------------------------------------------------------------------ as others write it

TITLES = ['He said "hi"', '7" single', "plain", 'Fun, "Family"']
TEXT = [f"title: {title}" for title in TITLES]


def spreadsheet(
    file: Path, rows: Sequence[Sequence[object]], separator: str = "\t", quoting: int = 0, encoding: str = "utf-8"
) -> None:
    """A table as pandas' `to_csv` writes it, which takes this writer."""
    with open(file, "w", encoding=encoding, newline="") as out:
        csv.writer(out, delimiter=separator, quoting=quoting).writerows(rows)  # type: ignore[arg-type]


@pytest.mark.parametrize("separator", ["\t", ",", ";", "|"])
@pytest.mark.parametrize("quoting", [0, 1, 2], ids=["minimal", "all", "nonnumeric"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_tables_as_pandas_writes_them(tmp_path: Path, separator: str, quoting: int, encoding: str) -> None:
    items = [("item_id:token", "title:token_seq"), *zip("abcd", TITLES, strict=True)]
    rows = [("user_id:token", "item_id:token", "timestamp:float"), ("u", "c", 3), ("u", "a", 1), ("u", "b", 2)]
    spreadsheet(tmp_path / "x.item", items, separator, quoting, encoding)
    spreadsheet(tmp_path / "x.inter", rows, separator, quoting, encoding)
    log = read_log(tmp_path, "x")
    assert log.item_text == TEXT
    assert [log.item_ids[i] for i in log.items] == list("cab")
    assert log.times is not None
    assert log.times.tolist() == [3, 1, 2]


def test_tabs_and_line_ends_in_quotes(tmp_path: Path) -> None:
    spreadsheet(tmp_path / "x.item", [("item_id:token", "title:token_seq"), ("a", "a\tb"), ("b", "c\nd")])
    write(tmp_path, INTER + lines([("u", "a", 5, 1)]))
    assert read_log(tmp_path, "x").item_text == ["title: a\tb", "title: c\nd"]


def test_quotes_that_are_text_stay(tmp_path: Path) -> None:
    titles = ['"Great"', 'the "best" one', '12" vinyl']
    write(tmp_path, INTER + lines([("u", "a", 5, 1)]), ITEM + lines(list(zip("abc", titles, strict=True))))
    assert read_log(tmp_path, "x").item_text == [f"title: {title}" for title in titles]


@pytest.mark.parametrize("ending", ["", ".gz", ".zip"])
def test_packed_files_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    for kind, text in (("inter", INTER + lines([("u", "a", 5, 1)])), ("item", ITEM + lines([("a", "Alpha")]))):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(f"x.{kind}", text)
        content = {"": text.encode(), ".gz": gzip.compress(text.encode()), ".zip": packed.getvalue()}[ending]
        (folder / f"x.{kind}{ending}").write_bytes(content)
    monkeypatch.setenv("TFLLMER_DATA", str(tmp_path))
    assert list_datasets() == [("x", folder)]
    for name in ("x", str(folder), str(folder / f"x.inter{ending}")):
        assert find_dataset(name) == folder
        experiment = resolve(method="id", dataset=name).experiment
        assert load_dataset(experiment.data).item_text == ["title: Alpha"]


def test_two_packings_of_one_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.inter").write_text(INTER)
    (tmp_path / "x.inter.gz").write_bytes(gzip.compress(INTER.encode()))
    with pytest.raises(UserError, match=r"x\.inter: x\.inter\.gz lies beside it, and either could be meant; keep one"):
        find_dataset(str(tmp_path))


@pytest.mark.parametrize("ending", ["gzip", "zip", "plain"])
def test_packed_files_are_unpacked(tmp_path: Path, ending: str) -> None:
    text = (INTER + lines([("u", "a", 5, 1)])).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x.inter", text)
        archive.writestr("__MACOSX/._x.inter", b"")
    write(tmp_path, {"gzip": gzip.compress(text), "zip": packed.getvalue(), "plain": text}[ending])
    assert read_log(tmp_path, "x").item_ids == ["a"]


def test_what_cannot_be_unpacked_is_said(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.inter", b"")
        archive.writestr("b.inter", b"")
    good = gzip.compress(INTER.encode())
    for data, match in (
        (packed.getvalue(), r"a zip archive of 2 files \(a\.inter, b\.inter\); unpack it"),
        (good[:-9], "cannot be unpacked"),
        (packed.getvalue()[:-9], "cannot be unpacked"),
    ):
        write(tmp_path, data)
        with pytest.raises(UserError, match=match):
            read_log(tmp_path, "x")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            PAIR.replace("\t", ",") + "\nu,a,b\n",
            r"x\.inter:2: the line has 3 fields, the header names 2; quote",
        ),
        (PAIR.replace("\t", ",") + '\nu,"a\n', r"x\.inter:2: .*; close the quotes"),
        (PAIR.replace("\t", ";") + "\nu\n", r"x\.inter:2: the line has 1 fields"),
    ],
)
def test_bad_lines_of_such_tables_are_named(tmp_path: Path, text: str, match: str) -> None:
    write(tmp_path, text)
    with pytest.raises(UserError, match=match):
        read_log(tmp_path, "x")


def test_unused_columns_never_stop_a_run(tmp_path: Path) -> None:
    header = f"{PAIR}\tprice:float\trating:float\ttags:float_seq\n"
    data = write(
        tmp_path,
        header + lines([("u", "a", "cheap", "", "x"), ("u", "b", "", "good", "")]),
        "item_id:token\tprice:float\na\tcheap\nb\t\n",
    )
    assert orders(data) == {"u": "ab"}
    with pytest.raises(UserError, match="field rating"):
        load_dataset(data.model_copy(update={"rating_min": 3}))


@pytest.mark.parametrize(
    "header",
    [
        f"{PAIR}\tprice:int\tx:string",
        f"{PAIR}\tprice\tx",
        f"{PAIR}\tx:token\tx:float",
        "x:a:b\tx:\t" + PAIR,
        PAIR.replace("\t", ",") + ",price:int,x:string",
    ],
)
def test_headers_of_unused_columns_never_stop_a_run(tmp_path: Path, header: str) -> None:
    cells = {"item_id:token": ["a", "b"], "user_id:token": ["u", "u"]}
    separator = "," if "," in header else "\t"
    names = header.split(separator)
    rows = [separator.join(cells.get(name, ["7", ""])[row] for name in names) for row in range(2)]
    assert orders(write(tmp_path, "\n".join([header, *rows, ""]))) == {"u": "ab"}


def test_a_column_that_is_used_needs_its_type_and_stands_once(tmp_path: Path) -> None:
    for header, match in (
        (f"{PAIR}\ttimestamp", "field 'timestamp': no type in the header"),
        (f"{PAIR}\ttimestamp:time", "field 'timestamp': no type 'time'"),
        (f"{PAIR}\ttimestamp:float\ttimestamp:float", "field timestamp: named twice"),
    ):
        data = write(tmp_path, header + "\nu\ta" + "\t1" * header.count("\t", 16) + "\n")
        with pytest.raises(UserError, match=match):
            load_dataset(data)


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ((("u", "a"), ("u", "a ")), "item_id"),
        ((("u ", "a"), ("u", "b")), "user_id"),
        ((("u", "a"), ("u", "\ufeffa")), "item_id"),  # files joined by cat
        ((("u\u200b", "a"), ("u", "b")), "user_id"),
    ],
)
def test_ids_that_differ_by_blanks_alone_are_refused(tmp_path: Path, cells: tuple[tuple[str, str]], field: str) -> None:
    with pytest.raises(
        UserError, match=rf"x\.inter:3: field {field}: .* differ only by blanks; write an id in one way"
    ):
        load_dataset(write(tmp_path, f"{PAIR}\n" + lines(cells)))


@pytest.mark.parametrize(("copies", "told"), [(0, 0), (1, 1), (3, 3)])
def test_copied_lines_are_counted(tmp_path: Path, copies: int, told: int) -> None:
    rows = [("u", "a", 5, 1), ("u", "a", 5, 2), ("u", "b", 5, 1), *[("u", "a", 5, 1)] * copies]
    write(tmp_path, INTER + lines(rows))
    assert read_log(tmp_path, "x").n_copies == told


@pytest.mark.parametrize("given", [".", "x.train.inter", "x.{valid}.inter"])
@pytest.mark.parametrize("valid", ["valid", "dev", "val"])
def test_one_part_is_not_taken_for_the_whole(tmp_path: Path, given: str, valid: str) -> None:
    for part in ("train", valid, "test"):
        write(tmp_path, INTER + lines([("u", "a", 5, 1)]), name=f"x.{part}")
    with pytest.raises(UserError, match=r"x is split already \(x\.train\.inter, .*`tfllmer data import "):
        find_dataset(str(tmp_path / given.format(valid=valid)))


def test_a_split_with_a_part_missing_is_not_to_be_imported(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write(tmp_path, INTER + lines([("u", "a", 5, 1)]), name=f"x.{part}")
    with pytest.raises(UserError, match=r"x is split already .*; one of train, valid and test is missing: make it of"):
        find_dataset(str(tmp_path))


@pytest.mark.parametrize("parts", [("train", "valid", "test"), ("train", "test"), ("test",)])
def test_a_whole_beside_its_parts_is_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: tuple[str, ...]
) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    for name in ("x", *(f"x.{part}" for part in parts)):
        write(folder, INTER + lines([("u", "a", 5, 1)]), name=name)
    monkeypatch.setenv("TFLLMER_DATA", str(tmp_path))
    for given in ("x", str(folder)):
        with pytest.raises(
            UserError, match=rf"holds x\.inter and, split already, x\.{parts[0]}\.inter.*--dataset .*x\.inter"
        ):
            find_dataset(given)
    assert find_dataset(str(folder / "x.inter")) == folder
    assert resolve(method="id", dataset=str(folder / "x.inter")).experiment.data.path == str(folder)
