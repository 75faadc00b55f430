"""Atomic files: what is read from good ones, what is said of bad ones."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.data.atomic import read_log
from engine.data.ids import MISSING
from engine.data.text import BLANKS
from engine.errors import UserError
from tests.engine.data.files import INTER, ITEM, lines, write

GOOD_INTER = INTER + "u\ta\t5\t1\n"
GOOD_ITEM = ITEM + "a\tAlpha\nb\tBeta\n"

BAD = {
    "zero bytes": ("", None, "x.inter:1: the file is empty; it needs a header such as user_id:token<TAB>item_id:token"),
    "blank": (
        "\n\r\n",
        None,
        "x.inter:1: the file is empty; it needs a header such as user_id:token<TAB>item_id:token",
    ),
    "no rows": (INTER + "\n", None, "x.inter:2: the file ends behind its header; add one line for each row"),
    "no header": (
        "u\ta\t5\t1\n",
        GOOD_ITEM,
        "x.inter:1: field 'u': no type in the header; the first line must name fields and types, such as "
        "user_id:token<TAB>item_id:token",
    ),
    "header without types": (
        "user_id\titem_id\nu\ta\n",
        GOOD_ITEM,
        "x.inter:1: field 'user_id': no type in the header; the first line must name fields and types, such as "
        "user_id:token<TAB>item_id:token",
    ),
    "unknown type": (
        "user_id:token\titem_id:tokn\nu\ta\n",
        GOOD_ITEM,
        "x.inter:1: field 'item_id': no type 'tokn' (did you mean token?); the first line must name fields and "
        "types, such as user_id:token<TAB>item_id:token",
    ),
    "a title as header": (
        "Trek: Voyager\tb\nu\ta\n",
        None,
        "x.inter:1: field 'Trek': no type ' Voyager' (there are token, token_seq, float, float_seq); the first line "
        "must name fields and types, such as user_id:token<TAB>item_id:token",
    ),
    "missing column": (
        "user:token\titem_id:token\nu\ta\n",
        GOOD_ITEM,
        "x.inter:1: field user_id: not in the header, which has user, item_id; the first line must name fields and "
        "types, such as user_id:token<TAB>item_id:token; --set data.columns.user_id=FIELD takes another field for it",
    ),
    "missing item column": (
        GOOD_INTER,
        "id:token\ttitle:token_seq\na\tAlpha\n",
        "x.item:1: field item_id: not in the header, which has id, title; the first line must name fields and types, "
        "such as item_id:token",
    ),
    "column twice": (
        "user_id:token\titem_id:token\tuser_id:token\nu\ta\tu\n",
        GOOD_ITEM,
        "x.inter:1: field user_id: named twice in the header; rename or remove one",
    ),
    "id as number": (
        "user_id:float\titem_id:token\n1\ta\n",
        GOOD_ITEM,
        "x.inter:1: field user_id: ids are text, not float; write user_id:token in the header",
    ),
    "text in a float": (
        GOOD_INTER + "u\tb\tgood\t2\n",
        GOOD_ITEM,
        "x.inter:3: field rating: 'good' is not a number; its header says float",
    ),
    "rating not finite": (
        GOOD_INTER + "u\tb\tnan\t2\n",
        GOOD_ITEM,
        "x.inter:3: field rating: 'nan' is not a rating; fill it in; without ratings leave the column out",
    ),
    "text as time": (
        GOOD_INTER + "u\tb\t3\tyesterday\n",
        GOOD_ITEM,
        "x.inter:3: field timestamp: 'yesterday' is not a time; write seconds as a number, or an ISO date; "
        "without clock times leave the column out",
    ),
    "no time": (
        GOOD_INTER + "u\tb\t3\t\n",
        GOOD_ITEM,
        "x.inter:3: field timestamp: '' is not a time; write seconds as a number, or an ISO date; "
        "without clock times leave the column out",
    ),
    "too few fields": (
        GOOD_INTER + "u\tb\t3\n",
        GOOD_ITEM,
        "x.inter:3: field timestamp: missing: the line has 3 of 4 fields; separate fields by tabs",
    ),
    "too many fields": (
        GOOD_INTER + "u\tb\t3\t4\t5\n",
        GOOD_ITEM,
        "x.inter:3: field 5: the line has 5 fields, the header names 4; remove the tabs inside a field",
    ),
    "one too many, one too few": (
        GOOD_INTER + "u\tb\t3\nu\tb\t3\t4\t5\n",
        GOOD_ITEM,
        "x.inter:3: field timestamp: missing: the line has 3 of 4 fields; separate fields by tabs",
    ),
    "blank line": (
        GOOD_INTER + "\nu\tb\t3\t4\n",
        GOOD_ITEM,
        "x.inter:3: field user_id: the line is blank; separate fields by tabs",
    ),
    "blank line of a single field": (
        GOOD_INTER,
        "item_id:token\na\n\nb\n",
        "x.item:3: field item_id: empty; every line needs an id",
    ),
    "empty id": (INTER + "\ta\t5\t1\n", GOOD_ITEM, "x.inter:2: field user_id: empty; every line needs an id"),
    "unknown item": (
        GOOD_INTER + "u\tz\t5\t2\nu\ty\t5\t3\nu\tz\t5\t4\n",
        GOOD_ITEM,
        "x.inter:3: field item_id: item 'z' is not in x.item (and 1 more such items); add it to x.item, or remove its "
        "lines here",
    ),
    "duplicate ids": (
        GOOD_INTER,
        GOOD_ITEM + "a\tAgain\n",
        "x.item:4: field item_id: item 'a' is on line 2 already; keep one line",
    ),
    "wrong encoding": (
        GOOD_INTER,
        ITEM.encode() + b"a\tAlpha\nb\tCaf\xe9\n",
        "x.item:3: field title: byte 0xe9 is not UTF-8 text; save the file as UTF-8",
    ),
    "utf-16": (
        GOOD_INTER.encode("utf-16-le"),
        GOOD_ITEM,
        "x.inter: UTF-16 text without its mark; save the file as UTF-8",
    ),
}


@pytest.mark.parametrize(("inter", "item", "message"), BAD.values(), ids=BAD.keys())
def test_bad_files_are_named_with_line_and_field(
    tmp_path: Path, inter: str | bytes, item: str | bytes | None, message: str
) -> None:
    write(tmp_path, inter, item)
    with pytest.raises(UserError) as caught:
        read_log(tmp_path, "x")
    assert str(caught.value) == f"{tmp_path}/{message}"


def test_a_bad_cell_cannot_break_the_line_of_the_message(tmp_path: Path) -> None:
    write(tmp_path, INTER + "u\ta\t" + "very\rlong" * 20 + "\t1\n")
    with pytest.raises(UserError) as caught:
        read_log(tmp_path, "x")
    assert len(str(caught.value).splitlines()) == 1
    assert "..." in str(caught.value)


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, GOOD_INTER, name="beauty")
    with pytest.raises(UserError) as caught:
        read_log(tmp_path, "beaty")
    assert str(caught.value) == (
        f"{tmp_path}/beaty.inter: no such file (did you mean beauty.inter?); put it there, or set --dataset to the "
        "folder that has it"
    )


def test_quotes_windows_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    inter = INTER.replace("\n", "\r\n") + '"u"\ta\t5\t1\r\n"\tb\t4\t2\r\n\r\n'
    write(tmp_path, inter, b"\xef\xbb\xbf" + ITEM.encode() + b'a\t"Alpha\nb\t7" single\n')
    log = read_log(tmp_path, "x")
    assert log.user_ids == ['"u"', '"']
    assert log.item_text == ['title: "Alpha', 'title: 7" single']


def test_text_of_an_item(tmp_path: Path) -> None:
    header = "item_id:token\ttitle:token_seq\trelease_year:token\tprice:float\tgenres:token_seq\n"
    write(tmp_path, GOOD_INTER, header + "a\tToy\t1995\t3\tFun, Family\nb\t\t\t2\tFun\nc\t\t\t\t\n")
    assert read_log(tmp_path, "x").item_text == [
        "title: Toy. release year: 1995. genres: Fun, Family",
        "genres: Fun",
        "unknown",
    ]


def test_without_item_file_the_catalogue_is_in_order_of_appearance(tmp_path: Path) -> None:
    write(tmp_path, "item_id:token\tuser_id:token\n007\tv\n7\tu\n007\tu\n")
    log = read_log(tmp_path, "x")
    assert log.item_ids == log.item_text == ["007", "7"]
    assert log.user_ids == ["v", "u"]
    assert log.users.tolist() == [0, 1, 1]
    assert log.items.tolist() == [0, 1, 0]
    assert log.times is None
    assert log.ratings is None


letters = st.characters(exclude_characters='\t\n\r"', exclude_categories=["Cs"])  # all but what ends or quotes a cell
cells = st.text(letters, min_size=1, max_size=8).filter(lambda word: word.strip(BLANKS) and word not in MISSING)
numbers = st.from_regex(r"[+-]?[0-9]{1,7}(\.[0-9]{0,4})?([eE][+-]?[0-1])?", fullmatch=True)  # all in one unit


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    catalogue = data.draw(st.dictionaries(cells, st.text(letters, max_size=8), min_size=1, max_size=6))
    item = st.sampled_from(list(catalogue))
    rows = data.draw(st.lists(st.tuples(cells, item, st.integers(0, 5), numbers), min_size=1, max_size=12))
    for ids in (set(catalogue), {row[0] for row in rows}):
        assume(len({word.strip(BLANKS).removesuffix(".0") for word in ids}) == len(ids))
    folder = tmp_path_factory.mktemp("atomic")
    write(folder, INTER + lines(rows), ITEM + lines(list(catalogue.items())))
    log = read_log(folder, "x")

    assert log.item_ids == list(catalogue)
    assert log.item_text == [f"title: {title}" if title else "unknown" for title in catalogue.values()]
    assert log.user_ids == list(dict.fromkeys(row[0] for row in rows))
    assert [log.user_ids[u] for u in log.users] == [row[0] for row in rows]
    assert [log.item_ids[i] for i in log.items] == [row[1] for row in rows]
    assert log.ratings is not None
    assert log.ratings.tolist() == [row[2] for row in rows]
    assert log.times is not None
    assert log.times.dtype == np.int64
    exact = [Decimal(row[3]) for row in rows]
    scale = next(10**k for k in range(20) if all(value * 10**k % 1 == 0 for value in exact))
    assert log.times.tolist() == [int(value * scale) for value in exact]


@pytest.mark.parametrize(
    ("texts", "times"),
    [
        (["874965478", "874965478.0", "8.74965478e8", "8.7E8"], [874965478, 874965478, 874965478, 870000000]),
        (["874965478.25", "874965478", "-0.5"], [87496547825, 87496547800, -50]),
        (["1700000000.123456", "1700000000.123457"], [1700000000123456, 1700000000123457]),
        (["16777217", "16777216"], [16777217, 16777216]),  # one number in float32
        (["1600000000123456789", "1600000000123456790"], [1600000000123456789, 1600000000123456790]),  # and in float64
        (["0.000", "1e2"], [0, 100]),
        (["+5", "05.50"], [50, 55]),
    ],
)
def test_times_are_exact(tmp_path: Path, texts: list[str], times: list[int]) -> None:
    write(tmp_path, INTER + lines([("u", "a", 5, text) for text in texts]))
    read = read_log(tmp_path, "x").times
    assert read is not None
    assert read.tolist() == times


@pytest.mark.parametrize("text", [".", "e5", "inf", "nan", "1e30", "1_000", "0x10", "1.5e", "--1", "1 000"])
def test_what_is_no_time(tmp_path: Path, text: str) -> None:
    write(tmp_path, INTER + lines([("u", "a", 5, "1.5"), ("u", "a", 5, text)]))
    with pytest.raises(UserError, match=r"x\.inter:3: field timestamp: "):
        read_log(tmp_path, "x")


def test_ids_of_amazon_stay_text(real_data: Callable[[str], Path]) -> None:
    folder = real_data("amazon-beauty")
    log = read_log(folder, "amazon-beauty")
    text = (folder / "amazon-beauty.item").read_text("utf-8").splitlines()[1:]
    assert log.item_ids == [line.split("\t")[0] for line in text]
    assert sum(item.isdigit() for item in log.item_ids) == 5


@pytest.mark.parametrize("encode", [lambda t: t.encode("utf-16"), lambda t: t.replace("\n", "\r").encode()])
def test_text_as_old_and_foreign_programs_save_it(tmp_path: Path, encode: Callable[[str], bytes]) -> None:
    write(tmp_path, GOOD_INTER, GOOD_ITEM)
    plain = read_log(tmp_path, "x")
    write(tmp_path, encode(GOOD_INTER), encode(GOOD_ITEM))
    other = read_log(tmp_path, "x")
    assert (other.user_ids, other.item_ids, other.item_text) == (plain.user_ids, plain.item_ids, plain.item_text)
