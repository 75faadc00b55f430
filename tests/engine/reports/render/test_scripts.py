"""Names in any script: a preamble that xelatex and lualatex compile, and one line where another engine is used."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.reports.boards.leaderboard import leaderboards
from engine.reports.render.latex import escape, to_latex
from engine.reports.render.layouts import Grid, grids
from engine.reports.render.scripts import SCRIPTS, needed, preamble, runs_of, scripts_in
from tests.engine.reports.records import record
from tests.engine.reports.render.tex import compile_tex, need_engine, need_tex, pdflatex

SAMPLES = {
    "Han": ("图书 推荐", "レビュー", "電影評論"),
    "Hangul": ("한국어", "영화 평점", "도서"),
    "Cyrillic": ("Кинопоиск", "фильмы и книги", "Ёлка"),
    "Greek": ("βιβλία", "Ωμέγα", "λ και μ"),
    "Arabic": ("كتب", "كتب عربية", "فیلم"),
    "Hebrew": ("ספרים", "ספר טוב", "שלום"),
    "Devanagari": ("हिन्दी", "फ़िल्म समीक्षा", "क्षत्रिय"),
    "Thai": ("หนังสือ", "ภาพยนตร์", "ที่นี่"),
}


def table_of(*names: str) -> list[Grid]:
    runs = [
        record(f"R{i}{s}", name, None, value=0.1 + 0.01 * i + s / 1000, seed=s, dataset=names[0])
        for i, name in enumerate(names)
        for s in (0, 1)
    ]
    return grids(leaderboards(runs, ["ndcg@10"]))


@pytest.mark.parametrize("script", SAMPLES)
def test_every_script_is_known_and_asks_for_an_engine_that_has_it(script: str) -> None:
    for name in SAMPLES[script]:
        assert [s.name for s in scripts_in(escape(f"a {name} b"))] == [script]
        assert rf"\tfllmer{script}{{{name}}}" in escape(f"a {name}, b")  # words of one script are one run
    text = to_latex(table_of(*SAMPLES[script]))
    assert text.startswith("% !TeX program = xelatex\n% Compile with xelatex or lualatex, for its ")
    fragment = to_latex(table_of(*SAMPLES[script]), fragment=True)
    assert (
        fragment.startswith("% !TeX program = xelatex\n")
        and rf"% needs \DeclareRobustCommand\tfllmer{script}" in fragment
    )


def test_latin_names_stay_with_pdflatex(tmp_path: Path) -> None:
    names = ("Tiếng Việt", "Ğüneş", "Łódź ő ž", "Ṣalāḥ", "Ãÿñ", "crème brûlée")
    assert all(not needed(escape(name)) and "U+" not in escape(name) for name in names)
    assert preamble(escape("plain")) == []
    text = to_latex(table_of(*names))
    assert r"\documentclass" in text.splitlines()[0]
    compile_tex(tmp_path, text)


def test_what_has_no_script_is_written_by_its_number() -> None:
    assert escape("a😀b") == r"a\{U+1F600\}b"
    assert "".join(run for _, run in runs_of("a 图 书 b كتب c")) == "a 图 书 b كتب c"
    assert [script and script.name for script, _ in runs_of("图书abc한")] == ["Han", None, "Hangul"]
    assert escape("图_书") == r"\tfllmerHan{图}\_\tfllmerHan{书}"


def installed(script: str) -> bool:
    """Whether one of the script's fonts is there, as the engines find it."""
    fonts = next(s.fonts for s in SCRIPTS if s.name == script)
    for font in fonts:
        find = ["kpsewhich", font] if "." in font else ["fc-list", font]
        if shutil.which(find[0]) and subprocess.run(find, capture_output=True, check=False).stdout.strip():
            return True
    return False


@pytest.mark.parametrize("siunitx", [False, True])
@pytest.mark.parametrize("engine", ["xelatex", "lualatex"])
def test_all_scripts_compile_with_both_engines(tmp_path: Path, engine: str, siunitx: bool) -> None:
    need_engine(engine)
    need_tex("booktabs.sty", *(["siunitx.sty"] if siunitx else []))
    names = [name for script, names in SAMPLES.items() if installed(script) for name in names]
    assert not os.environ.get("CI") or {"Han", "Hangul"} <= set(filter(installed, SAMPLES)), "fonts-wqy-microhei"
    (tmp_path / "table.tex").write_text(to_latex(table_of(*names, "Latin ü"), siunitx=siunitx), "utf-8")
    log = pdflatex(tmp_path / "table.tex", engine)
    assert "Missing character" not in log
    text = subprocess.run(
        ["pdftotext", "table.pdf", "-"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert "Кинопоиск" in text if installed("Cyrillic") else True


def test_pdflatex_says_which_engine_it_is_not(tmp_path: Path) -> None:
    need_tex("booktabs.sty", "iftex.sty")
    (tmp_path / "table.tex").write_text(to_latex(table_of("图书", "Книги")), "utf-8")
    with pytest.raises(AssertionError, match="compile this with xelatex or lualatex, for its Chinese"):
        pdflatex(tmp_path / "table.tex")


def test_a_font_that_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_engine("xelatex")
    text = to_latex(table_of("图书"))
    for font in next(s.fonts for s in SCRIPTS if s.name == "Han"):
        text = text.replace(f"{{{font}}}", "{No Such Font}")
    (tmp_path / "table.tex").write_text(text, "utf-8")
    with pytest.raises(
        AssertionError, match=r"no font for Chinese or Japanese: install one \(Debian: fonts-noto-cjk\)"
    ):
        pdflatex(tmp_path / "table.tex", "xelatex")
