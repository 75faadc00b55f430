"""Templates: what they make of an item, and refusals that name the place."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data import load_dataset
from engine.data.atomic import read_items
from engine.embeddings.encode.embed import item_texts
from engine.embeddings.encode.template import parse
from engine.errors import UserError
from tests.engine.parts import files_at

FULL = {"title": "Heat", "genres": "Crime", "year": "1995", "*": "title: Heat. genres: Crime"}
BARE = {"title": "Heat", "genres": " ", "year": "", "*": "title: Heat"}


@pytest.mark.parametrize(
    ("template", "full", "bare"),
    [
        ("{title}", "Heat", "Heat"),
        ("{genres}", "Crime", "unknown"),
        ("{genres|none} film", "Crime film", "none film"),
        ("{title}[. genres: {genres}][ ({year})]", "Heat. genres: Crime (1995)", "Heat"),
        ("{title}[ in {genres}, {year|no year}]", "Heat in Crime, 1995", "Heat"),
        ("{title}[ made {year|some time}]", "Heat made 1995", "Heat made some time"),
        ("query: {*}", "query: title: Heat. genres: Crime", "query: title: Heat"),
        ("{{{ title }}} [[x]]", "{Heat} [x]", "{Heat} [x]"),
        ("{title|a|b}[ {genres|}]", "Heat Crime", "Heat"),
    ],
)
def test_what_a_template_makes_of_an_item(template: str, full: str, bare: str) -> None:
    parsed = parse(template, ["title", "genres", "year"])
    assert (parsed.render(FULL), parsed.render(BARE)) == (full, bare)


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{titel}", r"column 1: no field 'titel' in the items \(did you mean title\?\)"),
        ("{title.__class__}", "column 1: no field 'title.__class__'"),
        ("a {title", "column 3: { without its partner"),
        ("a } {title}", "column 3: } without its partner"),
        ("{title} [x {genres}", "a section is not closed"),
        ("{title}]", "column 8: ] closes nothing"),
        ("[a [b {title}]]", "column 4: a section inside a section"),
        ("{title}[.]", "column 10: the section holds no field"),
        ("a film", "names no field"),
        ("", "names no field"),
    ],
)
def test_a_bad_template_is_refused_with_the_place(template: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        parse(template, ["title", "genres"])
    assert "\n" not in str(caught.value)


@given(st.text(max_size=40), st.text(max_size=20))
def test_a_value_is_never_read_as_a_template(prefix: str, value: str) -> None:
    escaped = "".join(c * 2 if c in "{}[]" else c for c in prefix)
    made = parse(escaped + "{title}", ["title"]).render({"title": value})
    assert made == ((prefix + value.strip()).strip() or "unknown")


def test_the_default_is_the_text_that_the_data_set_shows(tmp_path: Path) -> None:
    (tmp_path / "t.item").write_text(
        "item_id:token\trelease_year:token\tprice:float\ttitle:token_seq\n1\t1995\t2\tHeat\n2\t\t\tBig {x}\n3\t\t1\t\n"
    )
    (tmp_path / "t.inter").write_text("user_id:token\titem_id:token\nu\t1\nu\t2\nu\t3\n")
    items = read_items(tmp_path, "t")
    assert item_texts(items, "{*}") == ["release year: 1995. title: Heat", "title: Big {x}", "unknown"]
    assert item_texts(items, "{item_id}[ costs {price}]") == ["1 costs 2", "2", "3 costs 1"]
    (tmp_path / "t.item").unlink()
    with pytest.raises(UserError, match=r"t\.item: no such file"):
        read_items(tmp_path, "t")


def test_the_default_on_real_items(real_data: Callable[[str], Path]) -> None:
    folder = real_data("ml-100k")
    items = read_items(folder, "ml-100k")
    data = load_dataset(files_at("ml-100k", folder, cold_items="include"))
    assert items.ids == data.item_ids
    assert item_texts(items, "{*}") == data.item_text
    written_out = "[title: {title}][. release year: {release_year}][. genres: {genres}]"
    assert sum(a != b for a, b in zip(item_texts(items, written_out), data.item_text, strict=True)) == 0
