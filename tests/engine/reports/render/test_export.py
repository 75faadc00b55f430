import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from engine.errors import UserError
from engine.files import replacing, write_text
from engine.reports.boards.leaderboard import Leaderboard, leaderboards
from engine.reports.render.export import export_ranks, guarded, to_csv, to_json, to_markdown
from engine.reports.render.latex import escape, to_latex
from engine.reports.render.layouts import grids
from tests.engine.reports.records import record
from tests.engine.reports.render.tex import compile_tex

NASTY = [
    r"\input{/etc/passwd}",
    "50% & $x_1^2$ #{~}",
    "[a] -- b --- ``c'' ?` !` <<d>>",
    "*star",
    "naïve Łódź ß ø 😀 ∀",
    "tab\there\nline",
    '"quoted" | <tag>',
    "",
    "\x00\x07\ud800\u202e\u0301",
    "=cmd|' /C calc'!A0",
]


def boards(names: list[str]) -> list[Leaderboard]:
    runs = [
        record(f"R{i}{j}", name, None, value=0.1 + 0.01 * i, backbone=b, dataset=names[0])
        for i, name in enumerate(names)
        for j, b in enumerate(("sasrec", names[-1]))
    ]
    runs += [record("X", names[0], None, value=0.2, seed=1, dataset=names[0])]
    return leaderboards(runs, ["ndcg@10", "train_ce@20"])


def test_latex_compiles_as_it_is_with_any_name(tmp_path: Path) -> None:
    compile_tex(tmp_path, to_latex(grids(boards(NASTY) * 15)))


def test_latex_compiles_with_every_kind_of_character(tmp_path: Path) -> None:
    codes = [*range(0x250), *range(0x2000, 0x2100), *range(0x300, 0x310), 0x2200, 0x1F600, 0xD800, 0xFFFF]
    text = "\n".join(f"{escape(chr(c))}{escape(chr(c) * 3)}--{{\\bfseries {escape(chr(c) + 'a')}}}\\\\" for c in codes)
    compile_tex(tmp_path, f"\\documentclass{{article}}\\begin{{document}}\n{text}x\n\\end{{document}}\n")


def test_latex_without_boards_compiles_too(tmp_path: Path) -> None:
    compile_tex(tmp_path, to_latex([]))


@given(st.text())
@example("a--b")
@example("图 书_{b}")
@example("\\\\[1em]")
def test_escaped_text_holds_no_live_character(text: str) -> None:
    escaped = escape(text)
    foreign = r"\\tfllmer[A-Z][a-z]+\{([^{}]*)\}"  # letters that another engine sets
    assert not any(char.isascii() and char != " " for run in re.findall(foreign, escaped) for char in run)
    escaped = re.sub(foreign, "", escaped)
    assert escaped.isascii()
    assert "\n" not in escaped
    if not set(text) & set('–—"'):
        assert not re.search(r"--|''|``|,,|[?!]`", escaped)
    bare = re.sub(r"\\[a-zA-Z]+|\\[^a-zA-Z]|\$\^?\\[a-z]+\$", "", escaped)
    assert not set(bare) & set('\\#%&_~^$<>|"')
    assert bare.count("{") == bare.count("}")


def test_latex_marks_and_caption() -> None:
    runs = [
        record("A", value=0.2),
        record("B", value=0.3, seed=1),
        record("C", "id", None, value=0.1),
        record("D", "id", None, value=0.1, seed=1),
        record("E", "llm_pca", None, value=0.05),
        record("F", "llm_pca", None, value=0.05, seed=1),
    ]
    text = to_latex(grids(leaderboards(runs)), fragment=True)
    assert r"tf-llmer/full & \textbf{0.2500}{\scriptsize\,$\pm$\,0.0707} \\" in text
    assert r"id & \underline{0.1000}{\scriptsize\,$\pm$\,0.0000} \\" in text
    assert r"llm\_pca & 0.0500" in text
    assert r"over 2 seeds" in text
    assert "earlier items left out" in text
    assert "ml-100k: test NDCG@10" in text
    assert r"\documentclass" not in text
    single = to_latex(grids(leaderboards(runs[:1])))
    assert "One seed, hence no spread" in single
    assert r"tf-llmer/full & 0.2000 \\" in single  # the best of one is nothing
    assert "in bold" not in single
    uneven = to_latex(grids(leaderboards(runs[:3])))
    assert "(2)" in uneven
    assert "(1)" in uneven


def test_csv_holds_every_cell_in_full_precision() -> None:
    runs = [record("A", value=0.1), record("B", value=1 / 3, seed=1), record("C", "id", None, value=0.2)]
    rows = list(csv.DictReader(io.StringIO(to_csv(leaderboards(runs)))))
    full, single = rows
    assert (full["arm"], full["n"], full["seeds"], full["runs"], full["best"]) == (
        "tf-llmer/full", "2", "0 1", "A B", "best",
    )  # fmt: skip
    assert float(full["mean"]) == (0.1 + 1 / 3) / 2
    assert (single["arm"], single["sd"], single["best"]) == ("id", "", "second")


def test_no_spreadsheet_takes_a_cell_for_a_formula() -> None:
    names = ["=1+1", "+x", "-x", "@SUM(A1)", "\t=1", " =1", "＝1", "\r=1"]
    rows = list(csv.reader(io.StringIO(to_csv(boards(names)), newline="")))
    cells = [cell for row in rows for cell in row]
    assert sum(cell.startswith("'") for cell in cells) > len(names)
    assert not [cell for cell in cells if cell.strip()[:1] in tuple("=+-@＝＋－＠") and cell]


@given(st.text())
def test_guarding_changes_formulas_only(text: str) -> None:
    kept = guarded(text)
    assert kept in (text, f"'{text}")
    assert text[:1].isalnum() <= (kept == text)


def test_plain_numbers_stay_numbers() -> None:
    assert [guarded(text) for text in ("-1", "+3.5", "-1+1", "-")] == ["-1", "+3.5", "'-1+1", "'-"]


def test_markdown_keeps_its_table_whatever_the_names() -> None:
    text = to_markdown(grids(boards(["a|b", "**c**", "<script>", "d\ne", "`f`"])))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert "<script>" not in text
    assert r"\*\*c\*\*" in text
    assert re.search(r"\| \*\*0\.\d{4}\*\* \(1\) \|", text)


def test_json_has_what_the_board_has() -> None:
    (made,) = json.loads(to_json(leaderboards([record("A", value=0.2), record("B", value=float("nan"), seed=1)])))
    assert made["metric"] == "test.ndcg@10"
    cell = made["rows"][0]["cells"]["sasrec"]
    assert (cell["mean"], cell["n"], cell["runs"]) == (None, 2, ["A", "B"])


# ------------------------------------------------------------------------------------ ranks


def split_and_ranks(folder: Path) -> tuple[Path, Path]:
    split, ranks = folder / "split.parquet", folder / "ranks.safetensors"
    pl.DataFrame(
        {
            "user_id": ["u1", "=u2", "-3"],
            "valid_item_id": ["i1", None, "@i3"],
            "test_item_id": ["i4", None, "i5"],
            "history": [3, 1, 4],
        }
    ).write_parquet(split)
    save_file({"valid": np.array([2, -1, 7], np.int32), "test": np.array([1, -1, -1], np.int32)}, ranks)
    return split, ranks


def test_ranks_are_written_with_their_ids(tmp_path: Path) -> None:
    split, ranks = split_and_ranks(tmp_path)
    assert export_ranks(ranks, split, tmp_path / "out.csv") == 3
    assert (tmp_path / "out.csv").read_text() == (
        "user_id,item_id,split,rank\nu1,i1,valid,2\n-3,'@i3,valid,7\nu1,i4,test,1\n"
    )


def test_files_that_do_not_fit_are_one_line_errors(tmp_path: Path) -> None:
    split, ranks = split_and_ranks(tmp_path)
    out = tmp_path / "out.csv"
    other = tmp_path / "other.safetensors"
    for tensors in (
        {"valid": np.ones(2, np.int32), "test": np.ones(2, np.int32)},
        {"valid": np.ones(3, np.int32), "test": np.ones(3, np.int32)},
        {"valid": np.full(3, -1, np.int32)},
    ):
        save_file(tensors, other)
        with pytest.raises(UserError, match=re.escape(str(other))) as error:
            export_ranks(other, split, out)
        assert "\n" not in str(error.value)
    other.write_bytes(b"not a matrix")
    for bad in (other, tmp_path / "missing"):
        with pytest.raises(UserError, match="no ranks can be read"):
            export_ranks(bad, split, out)
        with pytest.raises(UserError, match="no split can be read"):
            export_ranks(ranks, bad, out)
    assert not out.exists()


def test_a_file_is_there_completely_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "table.tex"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as beside:
        beside.write_text("half")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["table.tex"]
    assert path.read_text() == "old"
    link = tmp_path / "link.tex"
    link.symlink_to(path)
    write_text(link, "new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    write_text(Path("/dev/null"), "gone")
    assert not Path("/dev/null").is_file()
    with pytest.raises(UserError, match="cannot be written: no such file"):
        write_text(tmp_path / "none" / "x", "")
    with pytest.raises(UserError, match="is a folder"):
        write_text(tmp_path, "")
