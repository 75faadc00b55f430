"""Interactions from other files: forms that people have, each to the right interactions or one line."""

import gzip
import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engine import spec
from engine.data import load_dataset, split_dataset
from engine.data.imports import Import, import_data
from engine.errors import UserError
from engine.presets import find_dataset
from tests.engine.parts import files_at

WANTED = ["u\ta", "u\tb", "u\tc", "v\tb", "v\ta"]
PAIRS = "user_id:token\titem_id:token"
LISTS = "user_id:token\titem_id_list:token_seq\titem_id:token\n"


def imported(folder: Path, name: str, **settings: Any) -> tuple[list[str], dict[str, Any]]:
    """Header and lines of what was written, and what was said."""
    said = import_data(Import(source=str(folder / name), folder=str(folder / "x"), name="x", **settings))
    return (folder / "x" / "x.inter").read_text().splitlines(), said


def refused(folder: Path, name: str, **settings: Any) -> str:
    """The one line of a refusal, that leaves nothing behind."""
    with pytest.raises(UserError) as caught:
        imported(folder, name, **settings)
    assert not (folder / "x").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def zipped(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, content)
    return packed.getvalue()


def text(content: str) -> Callable[[Path], object]:
    return lambda file: file.write_text(content)


PACKED = b"\xef\xbb\xbfuid;iid\nu;a\nu;b\nu;c\nv;b\nv;a\n"
JSON = '{"user": "u", "items": ["a", "b", "c"]}\n{"user": "v", "items": ["b", "a"]}\n'
TABLE = {"user": [*"uuuvv"], "item": [*"abcba"], "t": [1, 2, 3, 4, 5]}


@pytest.mark.parametrize(
    ("name", "write", "settings"),
    [
        ("s.txt", text("u a b c\nv b a\n"), {}),
        ("s.txt", text("u a b\nu c\nv b a\n"), {"shape": "sequences"}),
        ("p.txt", text("u a\nu b\nu c\nv b\nv a\n"), {}),
        ("p.tsv", text("user\titem\nu\ta\nu\tb\nu\tc\nv\tb\nv\ta\n"), {}),
        ("q.csv", text('"who","what"\n"u","a"\nu,b\nu,c\nv,"b"\nv,a\n'), {"columns": {"user": "who", "item": "what"}}),
        ("l.jsonl", text('{"user": "u", "items": ["a", "b", "c"]}\n{"user": "v", "items": ["b", "a"]}\n'), {}),
        ("p.parquet", lambda file: pl.DataFrame(TABLE).write_parquet(file), {}),
        ("p.csv.gz", lambda file: file.write_bytes(gzip.compress(PACKED)), {}),
        ("p.zip", lambda file: file.write_bytes(zipped("p.csv", PACKED)), {}),
        ("p.zip", lambda file: file.write_bytes(zipped("l.jsonl", JSON.encode())), {}),
        ("q.csv", text("sep=;\r\nuser;item\r\nu;a\r\nu;b\r\nu;c\r\nv;b\r\nv;a\r\n"), {}),
        ("q.csv", text(",,user,item,x,x\n0,,u,a,,\n1,,u,b,,\n2,,u,c,,\n3,,v,b,,\n4,,v,a,,\n"), {}),  # unnamed, twice
        ("q.csv", text('user,items\nu,"[\'a\', \'b\', \'c\']"\nv,"[\'b\', \'a\']"\n'), {}),
        ("q.csv", text("user,item_seq\nu,a b c\nv,b a\n"), {}),
        ("p.dat", text("u::a\nu::b\nu::c\nv::b\nv::a\n"), {"header": ["user", "item"]}),
        ("p.csv", text("a,x,u\nb,x,u\nc,x,u\nb,x,v\na,x,v\n"), {"header": ["item", "x", "user"]}),
        ("q.txt", lambda file: file.write_text("user\titem\nu\ta\nu\tb\nu\tc\nv\tb\nv\ta\n", "utf-16"), {}),
        ("q.csv", text("user,item\ru,a\ru,b\ru,c\rv,b\rv,a\r"), {}),
        ("l.jsonl", text(JSON.replace("}", ', "score": NaN}')), {"columns": {"rating": "none"}}),
        ("a.inter", text("uid:token\tiid:token\nu\ta\nu\tb\nu\tc\nv\tb\nv\ta\n"), {}),
    ],
)  # fmt: skip
def test_forms_without_times(
    tmp_path: Path, name: str, write: Callable[[Path], object], settings: Mapping[str, Any]
) -> None:
    write(tmp_path / name)
    lines, said = imported(tmp_path, name, **settings)
    assert lines == [PAIRS, *WANTED]
    assert said["order"] == "the order of the file"
    assert (said["users"], said["items"], said["interactions"], said["split"]) == (2, 3, 5, None)


@pytest.mark.parametrize(
    "times", [["2020-01-02", "2020-01-01"], ["1577923200", "1577836800"], ["1577923200.0", "1577836800"]]
)
def test_times_come_along(tmp_path: Path, times: list[str]) -> None:
    (tmp_path / "r.csv").write_text(f"customer_id,article_id,t_dat,stars\nu,a,{times[0]},5\nu,b,{times[1]},4\n")
    lines, said = imported(tmp_path, "r.csv")
    assert lines == [PAIRS + "\trating:float\ttimestamp:float", "u\ta\t5\t1577923200", "u\tb\t4\t1577836800"]
    assert said["order"] == "column t_dat"


def test_times_of_lists_and_of_parquet(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"user": "u", "items": ["a", "b"], "timestamp": [5, 4]}\n')
    assert imported(tmp_path, "r.jsonl")[0][1:] == ["u\ta\t5", "u\tb\t4"]
    (tmp_path / "r.csv").write_text("user,items,timestamps\nu,\"['a', 'b']\",\"[5, 4]\"\n")
    said = import_data(Import(source=str(tmp_path / "r.csv"), folder=str(tmp_path / "z"), name="z"))
    assert said["order"] == "column timestamps"
    table = pl.DataFrame({"user": ["u", "u"], "item": [1, 2], "date": ["2020-01-02", "2020-01-01"]})
    as_time = table.with_columns(pl.col("date").str.to_datetime(time_zone="America/New_York"))
    as_time.write_parquet(tmp_path / "r.parquet")
    said = import_data(Import(source=str(tmp_path / "r.parquet"), folder=str(tmp_path / "y"), name="y"))
    assert said["order"] == "column date"
    assert (tmp_path / "y" / "y.inter").read_text().splitlines()[1:] == ["u\t1\t1577941200", "u\t2\t1577854800"]


@pytest.mark.parametrize(
    "rows",
    [
        "u\ta\tb\nu\ta b\tc\nv\tb\ta\n",
        "u\ta b\tc\nu\ta\tb\nv\tb\ta\n",  # the longest first
        "u\ta\tb\nu\tb\tc\nv\tb\ta\n",  # histories cut off at one item
    ],
)
def test_histories_become_interactions(tmp_path: Path, rows: str) -> None:
    (tmp_path / "h.inter").write_text(LISTS + rows)
    lines, said = imported(tmp_path, "h.inter")
    assert lines == [PAIRS, *WANTED]
    assert said["order"] == "the histories"


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("h.csv", "user_id,item_id_list,item_id\nu,a,b\nu,a b,c\nv,b,a\n", {}),
        ("h.csv", "user,history,item\nu,\"['a']\",b\nu,\"['a', 'b']\",c\nv,\"['b']\",a\n", {}),
        ("h.jsonl", '{"user":"u","hist":["a","b"],"item":"c"}\n{"user":"v","hist":["b"],"item":"a"}\n', {}),
        ("h.inter", "uid:token\tiid_list:token_seq\tiid:token\nu\ta b\tc\nv\tb\ta\n", {}),
        ("h.inter", LISTS.replace("item_id_list", "seen") + "u\ta b\tc\nv\tb\ta\n", {"history": "seen"}),
    ],
)
def test_histories_of_other_tables(tmp_path: Path, name: str, content: str, columns: dict[str, str]) -> None:
    (tmp_path / name).write_text(content)
    lines, said = imported(tmp_path, name, columns=columns)
    assert lines == [PAIRS, *WANTED]
    assert (said["order"], said["split"]) == ("the histories", None)


# ------------------------------------------------------------------------------------ a given split


@pytest.mark.parametrize("given", ["s", "s/s.train.inter", "s/s.test.inter"])
@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("valid", ["valid", "dev"])
def test_a_given_split_is_kept(tmp_path: Path, given: str, listed: bool, valid: str) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "s.item").write_text("item_id:token\ttitle:token\na\tA\nb\tB\nc\tC\nd\tD\n")
    content = {
        "train": (LISTS + "u\ta\tb\nv\td\tc\n") if listed else f"{PAIRS}\nu\ta\nu\tb\nv\td\nv\tc\n",
        valid: (LISTS + "u\ta b\tc\nv\td c\tb\n") if listed else f"{PAIRS}\nu\tc\nv\tb\n",
        "test": (LISTS + "u\ta b c\td\nv\td c b\ta\n") if listed else f"{PAIRS}\nu\td\nv\ta\n",
    }
    for part, lines in content.items():
        (tmp_path / "s" / f"s.{part}.inter").write_text(lines)
    with pytest.raises(UserError, match="split already"):
        find_dataset(str(tmp_path / "s"))
    written, said = imported(tmp_path, given)
    assert written[0] == PAIRS + "\tsplit:token"
    wanted = ["a train", "b train", "c valid", "d test"]
    assert [line.split("\t", 1)[1].replace("\t", " ") for line in written if line.startswith("u\t")] == wanted
    assert said["split"] == {"train": 4, "valid": 2, "test": 2}
    assert said["text"] == "of s.item"
    data = files_at("x", tmp_path / "x")
    with pytest.raises(UserError, match=r"--set data\.split=given"):
        split_dataset(load_dataset(data), data)
    data = data.model_copy(update={"split": spec.Given()})
    dataset = load_dataset(data)
    assert dataset.item_text[0] == "title: A"
    assert int((split_dataset(dataset, data).test >= 0).sum()) == 2


@pytest.mark.parametrize("ending", ["csv", "txt", "jsonl", "inter.gz"])
@pytest.mark.parametrize("given", ["d", "d/train."])
def test_a_split_of_any_files_is_kept(tmp_path: Path, ending: str, given: str) -> None:
    line = {"csv": "user,item\nu,{}\n", "txt": "u {}\n", "jsonl": '{{"user": "u", "item": "{}"}}\n'}
    (tmp_path / "d").mkdir()
    for part, item in zip(("train", "valid", "test"), "abc", strict=True):
        text = line.get(ending, PAIRS + "\nu\t{}\n").format(item)
        (tmp_path / "d" / f"{part}.{ending}").write_bytes(
            gzip.compress(text.encode()) if ".gz" in ending else text.encode()
        )
    lines, said = imported(tmp_path, given + (ending if given.endswith(".") else ""))
    assert lines[1:] == ["u\ta\ttrain", "u\tb\tvalid", "u\tc\ttest"]
    assert said["order"] == "the order of the files"


@pytest.mark.parametrize("column", ["split", "subset", "fold"])
def test_a_split_in_a_column_is_kept(tmp_path: Path, column: str) -> None:
    (tmp_path / "r.csv").write_text(f"user,item,{column}\nu,a,train\nu,b,Dev\nu,c,test\n")
    lines, said = imported(tmp_path, "r.csv")
    assert lines == [PAIRS + "\tsplit:token", "u\ta\ttrain", "u\tb\tvalid", "u\tc\ttest"]
    assert f"split = {column}" in said["read_as"]
    again = Import(source=str(tmp_path / "r.csv"), folder=str(tmp_path / "y"), name="y", columns={"split": "none"})
    assert import_data(again)["split"] is None


@pytest.mark.parametrize(
    ("files", "match"),
    [
        (("train.txt", "test.txt"), "train.txt, test.txt are parts of one split, and the one for valid is missing"),
        (("s.train.txt", "s.val.txt"), "and the one for test is missing"),
        (("train.txt", "valid.txt", "dev.txt", "test.txt"), "dev.txt and valid.txt could each be the part for valid"),
        (("s.txt", "s.train.txt", "s.valid.txt", "s.test.txt"), "holds s.txt and, split already, s.train.txt, s.valid"),
        (("a.txt", "b.txt"), "holds 2 files that could be meant (a.txt, b.txt); name one"),
        (("a.md",), "holds no file of interactions; name one"),
    ],
)
def test_files_that_could_be_several_things(tmp_path: Path, files: tuple[str, ...], match: str) -> None:
    (tmp_path / "d").mkdir()
    for number, file in enumerate(files):
        (tmp_path / "d" / file).write_text(f"u {number}\n")
    assert match in refused(tmp_path, "d")
    if "parts of one split" in match:
        assert match in refused(tmp_path, f"d/{files[0]}")  # one part is not taken for the whole


def test_parts_that_repeat_one_another_are_refused(tmp_path: Path) -> None:
    for part, items in (("train", "ab"), ("valid", "abc"), ("test", "abcd")):
        (tmp_path / f"s.{part}.inter").write_text(PAIRS + "".join(f"\nu\t{item}" for item in items) + "\n")
    assert "s.valid.inter: holds every row of s.train.inter again; leave them out" in refused(tmp_path, "s.train.inter")
    (tmp_path / "s.valid.inter").write_text(PAIRS + "\ttimestamp:float\nu\tc\t1\n")
    assert "has other columns than s.train.inter (timestamp)" in refused(tmp_path, "s.train.inter")


def test_nothing_is_written_beside_parts_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("u a\nv b\n")
    (tmp_path / "x.train.inter").write_text(PAIRS)
    with pytest.raises(
        UserError, match=r"x\.train\.inter lies beside it, and either could be meant; choose another --out"
    ):
        import_data(Import(source=str(tmp_path / "p.txt"), folder=str(tmp_path), name="x"))
    assert not (tmp_path / "x.inter").exists()


# ------------------------------------------------------------------------------------ text of the items


def items_of(folder: Path) -> list[str] | None:
    file = folder / "x" / "x.item"
    return file.read_text().splitlines() if file.exists() else None


@pytest.mark.parametrize(
    ("header", "texts", "wanted", "said"),
    [
        ("title", [], ["title:token_seq", "Alpha", "Beta, the", ""], "of column title"),
        ("movie_title", [], ["movie_title:token_seq", "Alpha", "Beta, the", ""], "of column movie_title"),
        ("x", [], None, None),
        ("x", ["x"], ["x:token_seq", "Alpha", "Beta, the", ""], "of column x"),
        ("title", ["none"], None, None),
    ],
)
def test_titles_come_along(
    tmp_path: Path, header: str, texts: list[str], wanted: list[str] | None, said: str | None
) -> None:
    (tmp_path / "r.csv").write_text(f'user,item,{header}\nu,a,\nu,b,"Beta,\n\tthe"\nv,a,Alpha\nv,c,\n')
    assert imported(tmp_path, "r.csv", texts=texts)[1]["text"] == said
    lines = (
        None
        if wanted is None
        else [f"item_id:token\t{wanted[0]}", *(f"{i}\t{t}" for i, t in zip("abc", wanted[1:], strict=True))]
    )
    assert items_of(tmp_path) == lines
    assert load_dataset(files_at("x", tmp_path / "x")).has_item_file == (wanted is not None)


def test_lists_of_words_are_text_and_whole_decimals_ids(tmp_path: Path) -> None:
    table = pl.DataFrame({"user": ["u", "v"], "item": ["1", "2"], "genres": [["Drama", "War"], None]})
    table.with_columns(pl.col("item").cast(pl.Decimal(20, 0))).write_parquet(tmp_path / "r.parquet")
    imported(tmp_path, "r.parquet", texts=["genres"])
    assert items_of(tmp_path) == ["item_id:token\tgenres:token_seq", "1\tDrama, War", "2\t"]


def test_a_title_that_is_none_of_the_item_is_left_out(tmp_path: Path) -> None:
    """Reviews have titles too."""
    (tmp_path / "r.csv").write_text("user,item,title,genres\nu,a,Great,x\nv,a,Bad,x\nv,b,Fine,y\n")
    assert imported(tmp_path, "r.csv")[1]["text"] == (
        "none: column title says several things of 1 item (--text takes the first)"
    )
    assert items_of(tmp_path) is None
    asked = Import(source=str(tmp_path / "r.csv"), folder=str(tmp_path / "y"), name="y", texts=["title", "genres"])
    assert import_data(asked)["text"] == "of column title, genres, the first of several for 1 item"
    assert (tmp_path / "y" / "y.item").read_text().splitlines()[1:] == ["a\tGreat\tx", "b\tFine\ty"]


# ------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("name", "content", "settings", "match"),
    [
        ("t.txt", "u a 5\nv b 4\n", {}, "every line has 3 words: a user and items (--as sequences), or a table"),
        ("p.txt", "u a\nu\n", {"shape": "pairs"}, "p.txt:2: one word; every line needs a user and an item"),
        ("r.csv", "uid,user,item\nu,u,a\n", {}, "uid and user could each be the user; choose with --user"),
        ("r.csv", "a,b\nu,x\n", {}, "which column is the user? name it with --user; there are a, b (--header NAMES"),
        ("r.dat", "1::2::3\n", {}, "which column is the user? name it with --user; there are 1, 2, 3 (--header NAMES"),
        ("r.csv", "user,item,item\nu,a,b\n", {}, "which column is the item? name it with --item; there are"),
        ("r.csv", "user,item\nu,a,b\n", {}, "r.csv:2: the line has 3 fields, the header names 2"),
        ("r.csv", "u,a,b\n", {"header": ["user", "item"]}, "r.csv:1: the line has 3 fields, --header names 2"),
        ("r.csv", "user,item,time\nu,a,soon\n", {}, "row 1: column time: 'soon' is not a time"),
        ("r.csv", "user,item,time\nu,a,1600000000\nu,b,1600000000000\n", {}, "row 1: column time: '1600000000' and"),
        ("r.csv", 'user,asin,reviewTime\nu,a,"09 13, 2009"\nu,b,"01 1, 2008"\n', {}, "seconds, or --time none"),
        ("r.csv", "user,item,createdAt\nu,a,1600000001\nu,b,1600000000\n", {}, "--time createdAt goes by it, --time"),
        ("r.csv", "user,item,rating\nu,a,good\n", {}, "row 1: column rating: 'good' is not a rating; --rating none"),
        ("r.csv", "user,item\nu,a\n", {"columns": {"user": "usr"}}, "--user usr: no such column"),
        ("r.csv", "user,item,time\nu,a,2020-01-01\nu,b,2020-01-01 10:00\n", {}, "(row 1) are not times of one kind"),
        ("r.csv", "user,item,time\nu,a,2020-01-01 10:00\nu,b,2020-01-01 10:00+01:00\n", {}, "not times of one kind"),
        ("r.txt", "u\na\n", {}, "every line has one word only; a line needs a user and an item"),
        ("r.csv", "user,item\nu,a\n", {"texts": ["titel"]}, "--text titel: no such column"),
        ("r.csv", "user,item,x\nu,a,b\n", {"columns": {"split": "x"}}, "--split x: does not say train, valid or test"),
        ("r.csv", "user,item,split\nu,a,train\nu,b,other\n", {}, "field split: 'other' is none of train, valid, test"),
        ("r.csv", "user,item\nu,\n", {}, "row 1: item_id is empty"),
        ("r.csv", "user,item\nu,a\nu ,b\n", {}, "'u ' and 'u' differ only by blanks"),
        ("r.csv", "user,item\n", {}, "holds no interactions"),
        ("r.csv", "user,item\nu,\"a\n", {}, "close the quotes"),
        ("r.pkl", "junk", {}, "a pickle runs code when it is read"),
        ("r.xlsx", "junk", {}, ".xlsx is not read; save the table as CSV or Parquet"),
        ("r.parquet", "junk", {}, "not a readable Parquet file"),
        ("r.jsonl", "[1, 2", {}, "not one JSON object a line"),
        ("r.jsonl", '{"user": 1.0, "item": "a"}\n', {}, "column user holds decimals"),
        ("r.jsonl", '{"user": true, "item": "a"}\n', {}, "column user holds values of type Boolean"),
        ("r.jsonl", '{"user": ["u"], "item": "a"}\n', {}, "column user holds values of type List(String)"),
        ("r.jsonl", '{"user": "u", "item": "a", "time": [3]}\n', {}, "column time holds lists, not one number"),
        ("r.jsonl", '{"user": "u", "item": "a", "rating": [3]}\n', {}, "column rating holds lists, not one number or"),
        ("r.jsonl", '{"user": "u", "items": ["a", "b"], "created_at": [1600000001, 1600000000]}\n', {}, "goes by it,"),
        ("r.csv", 'user,items,created_at\nu,"[a, b]","[1600000001, 1600000000]"\n', {}, "goes by it, --time none"),
        ("r.jsonl", '{"user": "u", "items": [{"id": 1}]}\n', {}, "column items holds values of type Struct"),
        ("r.jsonl", '{"user": "u", "items": ["a"], "time": 3}\n', {}, "holds lists, column time one value"),
        ("r.jsonl", '{"user": "u", "items": ["a"], "time": [3, 4]}\n', {}, "time and items have lists of"),
        ("h.inter", LISTS + "u\ta\tb\nu\tx y\tc\n", {}, "user u: its histories do not continue one another"),
        ("h.inter", f"{PAIRS}\nu\ta\n", {}, "is an atomic file of interactions already"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_one_line_and_nothing_is_written(
    tmp_path: Path, name: str, content: str, settings: Mapping[str, Any], match: str
) -> None:
    (tmp_path / name).write_text(content)
    assert match in refused(tmp_path, name, **settings)


@pytest.mark.parametrize(
    ("start", "match"),
    [
        (b"BZh91AY", "a bzip2 archive; unpack it"),
        (b"\xfd7zXZ\x00", "an xz archive; unpack it"),
        (b"\x28\xb5\x2f\xfd", "a Zstandard archive; unpack it"),
        (b"r.csv".ljust(257, b"\x00") + b"ustar", "a tar archive; unpack it"),
        (b"PAR1", "a Parquet file; let its name end in .parquet"),
        (b"PK\x05\x06" + bytes(18), "an empty archive"),
        (zipped("r.zip", zipped("r.csv", PACKED)), "packed twice; unpack it"),
        (zipped("r.csv.gz", gzip.compress(PACKED)), "packed twice; unpack it"),
        (zipped("[Content_Types].xml", b"junk"), "a spreadsheet; save the table as CSV"),
        ("user,item\n".encode("utf-16-le"), "UTF-16 text without its mark; save the file as UTF-8"),
        (b"\xff\xfeu", "begins as UTF-16 text but does not go on so; save the file as UTF-8"),
    ],
)
def test_another_kind_of_file_is_named(tmp_path: Path, start: bytes, match: str) -> None:
    (tmp_path / "r.csv").write_bytes(start)
    assert match in refused(tmp_path, "r.csv")


@pytest.mark.parametrize("name", ["../x", "", ".", "demo"])
def test_a_name_that_no_data_set_can_have(tmp_path: Path, name: str) -> None:
    (tmp_path / "p.txt").write_text("u a\nv b\n")
    with pytest.raises(UserError, match="name of"):
        import_data(Import(source=str(tmp_path / "p.txt"), folder=str(tmp_path / "x"), name=name))
    assert [file.name for file in tmp_path.iterdir()] == ["p.txt"]


def test_items_that_are_there_stay_and_must_fit(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("user,item,title\nu,a,A\nu,b,B\n")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "x.item").write_text("item_id:token\tname:token\na\tmine\n")
    with pytest.raises(UserError, match=r"item 'b' is not in x\.item"):
        imported(tmp_path, "r.csv")
    (tmp_path / "x" / "x.item").write_text("item_id:token\tname:token\na\tmine\nb\tmine too\n")
    assert imported(tmp_path, "r.csv")[1]["text"] == "of x.item, which is there already"
    assert items_of(tmp_path) == ["item_id:token\tname:token", "a\tmine", "b\tmine too"]


def test_what_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("u a\nv b\n")
    imported(tmp_path, "p.txt")
    with pytest.raises(UserError, match="choose another with --name or --output"):
        imported(tmp_path, "p.txt")


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.csv", "user_id,item_id,t"), ("x.txt", "user_id,item_id,time\n"), ("x.tsv", "user\titem\tsplit\n")],
)
def test_a_header_alone_is_one_line(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert "holds no interactions" in refused(tmp_path, name)


@pytest.mark.parametrize(
    "lists",
    [
        ("a", "a b", "a b c"),  # they grow
        ("a b c", "a b", "a"),  # the longest first
        ("a b c", "b c d", "c d e"),  # the last three
    ],
)
def test_histories_without_their_next_item_are_not_whole_sequences(tmp_path: Path, lists: tuple[str, ...]) -> None:
    rows = "".join(f"{user},{items},{items[-1]}\n" for user in "uv" for items in lists)
    (tmp_path / "s.csv").write_text(f"user,history,label\n{rows}")
    message = refused(tmp_path, "s.csv")
    assert "repeat one another" in message and "--item; there are label" in message
    (tmp_path / "t.csv").write_text("user,history,label\nu,a b,1\nu,c d,2\nv,b a,3\n")  # sessions, one behind another
    assert imported(tmp_path, "t.csv")[0][1:] == ["u\ta", "u\tb", "u\tc", "u\td", "v\tb", "v\ta"]


def test_a_part_within_an_earlier_one_is_refused(tmp_path: Path) -> None:
    for part, items in (("train", "abc"), ("valid", "c"), ("test", "d")):
        rows = "".join(f"\nu\t{item}\t{ord(item)}" for item in items)
        (tmp_path / f"s.{part}.inter").write_text(f"{PAIRS}\ttimestamp:float{rows}\n")
    assert "s.train.inter: holds every row of s.valid.inter again" in refused(tmp_path, "s.train.inter")


@pytest.mark.parametrize("names", [("train", "eval"), ("training", "testing"), ("Train", "val"), ("train", "dev")])
def test_a_column_with_two_of_the_three_parts_is_not_overlooked(tmp_path: Path, names: tuple[str, str]) -> None:
    rows = "".join(f"{user}\t{item}\t{names[item == 'd']}\n" for user in "uv" for item in "abcd")
    (tmp_path / "x.inter").write_text(f"user_id:token\titem_id:token\tphase:token\n{rows}")
    data = files_at("x", tmp_path)
    with pytest.raises(UserError, match="its field phase says train, valid or test"):
        split_dataset(load_dataset(data), data)
