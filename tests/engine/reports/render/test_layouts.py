from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from engine.reports.boards.evidence import Evidence
from engine.reports.boards.leaderboard import Leaderboard, leaderboards
from engine.reports.boards.marks import marked, name_of
from engine.reports.boards.row_names import row_names, shortened
from engine.reports.render.export import to_csv, to_json, to_markdown
from engine.reports.render.latex import to_latex
from engine.reports.render.layouts import Entry, Grid, grids
from tests.engine.reports.records import record
from tests.engine.reports.render.test_export import NASTY
from tests.engine.reports.render.tex import compile_tex, overfull
from tests.engine.reports.trials import ranks_of, trials

GOLDEN = Path(__file__).with_name("golden.tex")


def with_marks(over: str = "seeds", tmp_path: Path | None = None) -> list[Leaderboard]:
    """Three arms with three seeds: one clearly better than id, one clearly worse, id-norm the same."""
    runs = []
    for arm, ce in (("id", 5.0), ("id-norm", 5.001), ("both", 4.5), ("neither", 5.5)):
        made = trials(arm, [ce, ce + 0.01, ce - 0.012 if arm == "id" else ce - 0.01], ndcg=(6 - ce) / 10)
        runs += made
    boards = leaderboards([run.record for run in runs], ["train_ce", "ndcg@10"])
    return marked(boards, {run.run: run for run in runs}, "id", over)  # type: ignore[arg-type]


def row(grid: Grid, label: str) -> list[str]:
    cells = dict(grid.rows)[label]
    return ["–" if c is None else f"{c.place}:{c.text}{c.sign}" for c in cells]


# ------------------------------------------------------------------------------------ marks


def test_marks_say_better_and_worse_whatever_the_direction() -> None:
    ce = grids(with_marks())[0]
    assert row(ce, "tf-llmer/full") == ["best:4.5000*"]
    assert row(ce, "tf-llmer/no-both") == [":5.5000°"]
    assert row(ce, "id") == ["second:4.9993"]
    assert (
        "* better, ° worse than id (paired t-test over seeds, Holm over the arms and backbones of a metric, p < 0.05)"
        in " ".join(ce.caption)
    )


def test_marks_are_corrected_by_holm_over_the_board() -> None:
    board = with_marks()[0]
    ps = {r.label: c.versus for r in board.rows for c in r.cells if c is not None and c.versus is not None}
    raw = sorted(v.p for v in ps.values() if v.p is not None)
    adjusted = sorted(v.p_holm for v in ps.values() if v.p_holm is not None)
    assert len(raw) == 3
    assert adjusted[0] == pytest.approx(3 * raw[0])


def test_no_spread_and_one_seed_are_told_and_not_marked() -> None:
    equal = with_marks()[1]  # NDCG does not vary over seeds
    assert all(c.versus is None or c.versus.mark == "" for c in equal.cells)
    assert equal.compared == "Not tested against id: differences do not vary over seeds"
    runs = [*trials("id", [5.0]), *trials("both", [4.0])]
    (board,) = marked(leaderboards([r.record for r in runs], ["train_ce"]), {r.run: r for r in runs}, "id")
    assert board.compared == "Not tested against id: there is one seed only"
    assert row(grids([board], "difference")[0], "tf-llmer/full") == [":-1.0000"]


def test_marks_over_users_read_the_ranks(tmp_path: Path) -> None:
    good = ranks_of(tmp_path, "good", [1, 2] * 20)
    bad = ranks_of(tmp_path, "bad", [30, 2] * 20)
    runs = [*trials("id", [5.0, 5.1], files=bad), *trials("both", [4.0, 4.1], files=good)]
    boards = leaderboards([r.record for r in runs], ["ndcg@10", "train_ce"])
    for over in ("users", "both"):
        ndcg, ce = marked(boards, {r.run: r for r in runs}, "id", over)
        (versus,) = [c.versus for c in ndcg.cells if c.versus is not None]
        assert versus.mark == "better"
        assert versus.difference == pytest.approx(0.5)
        assert f"test over {'users' if over == 'users' else 'seeds and users'}" in ndcg.compared
        assert ce.compared == "Not tested against id: differences do not vary over seeds"


def test_the_baseline_goes_by_its_short_name_and_unknown_ones_are_refused() -> None:
    runs = [*trials("id", [5.0, 5.2]), *trials("both", [4.0, 4.1])]
    boards = leaderboards([r.record for r in runs], ["train_ce"])
    evidence = {r.run: r for r in runs}
    assert marked(boards, evidence, "full") == marked(boards, evidence, "tf-llmer/full")
    with pytest.raises(UserError, match="did you mean full"):
        marked(boards, evidence, "ful")


def tuned(*sets: str, valid: float, ce: float, backbone: str = "sasrec") -> list[Evidence]:
    return trials({"method": "id", "backbone": backbone}, [ce, ce + 0.1], valid=valid, sets=sets)


def against(name: str, runs: list[Evidence], *, exactly: bool = False) -> Leaderboard:
    boards = leaderboards([r.record for r in runs], ["train_ce"])
    (board,) = marked(boards, {r.run: r for r in runs}, name, tuned=not exactly)
    return board


def references(board: Leaderboard) -> list[str]:
    """The rows that others are compared with, by backbone."""
    held = [
        [row.label for row in board.rows if (c := row.cells[i]) and not c.versus] for i in range(len(board.backbones))
    ]
    return [label for labels in held for label in labels]


def test_of_a_tuned_baseline_the_settings_count_that_validation_chose_per_backbone() -> None:
    runs = [
        *tuned(valid=0.1, ce=5.0),  # the better on training: that is not what chooses
        *tuned("train.lr=0.003", valid=0.2, ce=5.5),
        *tuned(valid=0.2, ce=5.0, backbone="gru4rec"),
        *tuned("train.lr=0.003", valid=0.1, ce=5.5, backbone="gru4rec"),
        *trials("both", [4.0, 4.2]),
        *trials({"ablation": "full", "backbone": "gru4rec"}, [4.0, 4.2]),
    ]
    board = against("id", runs)
    assert references(board) == ["id [train.lr=0.003]", "id"]
    assert "worse than id [train.lr=0.003] or id, chosen on validation (" in board.compared
    (grid,) = grids([board], "difference")
    assert row(grid, "tf-llmer/full") == [":-1.4500*", ":-0.9500*"]
    assert row(grid, "id [train.lr=0.003]") == [":0", ":+0.5000"]


def test_a_row_of_its_own_is_named_by_its_label_or_its_hash() -> None:
    fixed, better = tuned(valid=0.1, ce=5.0), tuned("train.lr=0.003", valid=0.2, ce=5.5)
    runs = [*fixed, *better, *trials("both", [4.0, 4.2])]
    for name in ("id", "id [train.lr=0.003]", f"id#{better[0].config_hash[:7]}"):
        assert references(against(name, runs)) == ["id [train.lr=0.003]"]
    assert references(against(f"id#{fixed[0].config_hash[:7]}", runs)) == ["id"]
    assert references(against("id", runs, exactly=True)) == ["id"]
    board = against("id", runs)
    for label in (each.label for each in board.rows):  # and what names it is found
        assert references(against(name_of(board, label), runs)) == [label]
    assert name_of(board, "tf-llmer/full") == "tf-llmer/full" and name_of(board, "id").startswith("id#")
    with pytest.raises(UserError, match="no row of that name"):
        against("id#" + "0" * 12, runs)


def test_what_all_rows_share_need_not_be_named() -> None:
    everywhere = ["train.epochs=4"]
    runs = [run for lr in ("0.003", "0.01") for run in tuned(*everywhere, f"train.lr={lr}", valid=0.1, ce=5.0)]
    runs += trials("both", [4.0, 4.2], sets=everywhere)
    assert references(against("id [train.lr=0.01]", runs)) == ["id [train.epochs=4, train.lr=0.01]"]


def test_of_several_arms_of_one_name_the_plain_one_counts_or_one_must_be_named() -> None:
    wide, narrow = (tuned(f"backbone.width={n}", valid=0.1, ce=5.0) for n in (128, 32))
    others = trials("both", [4.0, 4.2])
    with pytest.raises(UserError, match=r"name one in full, as --baseline 'id \[backbone.width=(128|32)\]'$") as error:
        against("id", [*wide, *narrow, *others])
    assert "\n" not in str(error.value)
    assert references(against("id [backbone.width=32]", [*wide, *narrow, *others])) == ["id [backbone.width=32]"]
    plain = tuned(valid=0.1, ce=5.0)
    assert references(against("id", [*wide, *plain, *others])) == ["id"]


# ------------------------------------------------------------------------------------ layouts


def test_many_data_sets_are_several_tables_and_what_they_share_is_told_once() -> None:
    runs = [
        run.record
        for dose in (0, 0.3, 1, 1.5)
        for run in trials("id", [5.0, 5.1], sets=["data.source.users=99", f"data.source.norm_sd={dose}"])
    ]
    first, second = grids(leaderboards(runs, ["ndcg@10", "hr@10", "train_ce"]), "metrics")
    assert [head for head, _ in first.heads] == [f"demo, data.source.norm_sd={dose}" for dose in ("0.0", "0.3")]
    assert (len(first.columns), len(second.columns)) == (6, 6)
    assert first.columns[:3] == ("test NDCG@10 ↑", "test HR@10 ↑", "train CE ↓")
    assert first.label != second.label
    assert first.caption[0].startswith("sasrec, data.source.users=99: ")


def test_data_sets_of_other_arms_do_not_stand_side_by_side() -> None:
    runs = [record(f"R{m}", m, None, value=0.1, dataset="a") for m in ("id", "tf", "ace", "llm_pca")]
    runs += [record("R", "id", None, value=0.1, dataset="b")]
    first, second = grids(leaderboards(runs, ["ndcg@10", "train_ce", "train_ce@0"]), "metrics")
    assert (first.heads, second.heads) == ((("a", 3),), (("b", 3),))
    assert first.columns[1:] == ("train CE at the last epoch ↓", "train CE at epoch 0 ↓")


def test_changes_that_all_rows_share_are_told_once() -> None:
    labels = ["id [a.b=1, train.lr=0.1]", "full [a.b=1, c.d=[1, 2], train.lr=0.1]", "ace [a.b=1, train.lr=0.2]"]
    assert shortened(labels) == (
        ["id [train.lr=0.1]", "full [c.d=[1, 2], train.lr=0.1]", "ace [train.lr=0.2]"],
        "a.b=1",
    )
    assert shortened(["id", "full [a.b=1]"]) == (["id", "full [a.b=1]"], "")
    assert shortened(["id [a.b=1]"]) == (["id [a.b=1]"], "")
    assert shortened(["id [a.b=1]", "full [a.b=1]"]) == (["id", "full"], "a.b=1")


def test_what_few_rows_have_comes_first_in_a_name() -> None:
    labels = ["id", "full [a.b=1]", "full [a.b=1, c.d=2, e.f=3]", "ace [a.b=1, c.d=2]"]
    assert shortened(labels)[0] == ["id", "full [a.b=1]", "full [e.f=3, c.d=2, a.b=1]", "ace [c.d=2, a.b=1]"]
    trials = ["id [train.lr=0.1, train.reg=2]", "id [train.lr=0.2, train.reg=1]", "id [train.lr=0.1, train.reg=1]"]
    assert shortened(trials)[0] == trials  # one order in all


def test_notes_go_by_letters_where_a_row_has_a_long_name() -> None:
    long = "id [backbone.layers=2, backbone.reg=0.001, train.lr=0.01]"
    names = row_names(["id", long, "full"])
    assert names.rows == ("(a) id", f"(b) {long}", "(c) full")
    assert [names.of(label) for label in ("id", long, "full")] == ["(a)", "(b)", "(c)"]
    assert names.sentence(f"worse than {long} or id (paired t)") == "worse than (b) or id (paired t)"
    assert row_names(["id", "full [train.lr=0.01]"]).rows == ("id", "full [train.lr=0.01]")
    assert row_names([]).rows == () and row_names([long]).rows == (long,)
    many = row_names([f"id [note={'x' * 40}{i}]" for i in range(30)])
    assert [row.split(" ")[0] for row in many.rows[24:28]] == ["(y)", "(z)", "(aa)", "(ab)"]


def test_a_caption_says_by_letter_which_arm_had_another_budget() -> None:
    long = "id [backbone.dropout=0.5, train.epochs=40, train.lr=0.01]"
    sets = ("backbone.dropout=0.5", "train.epochs=40", "train.lr=0.01")
    runs = [*trials("id", [5.0, 5.2, 5.1], sets=sets), *trials("both", [4.5, 4.3, 4.4])]
    boards = leaderboards([run.record for run in runs], ["train_ce"])
    boards = marked(boards, {run.run: run for run in runs}, long)
    for (grid,) in (grids(boards), grids(boards, "metrics")):
        caption = " ".join(grid.caption)
        assert [label for label, _ in grid.rows] == ["(a) tf-llmer/full", f"(b) {long}"]
        assert "train.epochs 20 for (a), 40 for (b)" in caption
        assert "worse than (b) (" in caption and long not in caption


def test_metrics_stand_beside_each_other_under_their_data_set() -> None:
    runs = [
        record(f"R{d}{m}{s}", m, None, value=0.1 + i / 100 + s / 1000, seed=s, dataset=d)
        for d in ("a", "b")
        for i, m in enumerate(("id", "tf"))
        for s in (0, 1)
        if (d, m) != ("b", "tf")
    ]
    (grid,) = grids(leaderboards(runs, ["ndcg@10", "hr@10"]), "metrics")
    assert grid.heads == (("a", 2), ("b", 2))
    assert grid.columns == ("test NDCG@10 ↑", "test HR@10 ↑") * 2
    assert row(grid, "tf")[2:] == ["–", "–"]
    assert row(grid, "id") == ["second:0.1005", "second:0.2010", ":0.1005", ":0.2010"]  # alone on b
    latex = to_latex([grid], fragment=True)
    assert r"\cmidrule(lr){2-3} \cmidrule(lr){4-5}" in latex
    assert r"\multicolumn{2}{c}{a} & \multicolumn{2}{c}{b}" in latex
    assert "| arm | a · test NDCG@10 ↑ |" in to_markdown([grid])


def test_differences_need_a_baseline_and_show_their_interval() -> None:
    with pytest.raises(UserError, match="needs --baseline"):
        grids(leaderboards([record("A")]), "difference")
    grid = grids(with_marks(), "difference")[0]
    (cell,) = dict(grid.rows)["tf-llmer/full"]
    assert cell is not None
    assert (cell.text, cell.mark) == ("-0.4993", "better")
    assert cell.interval.startswith("[-0.")
    assert row(grid, "id") == [":0"]


@pytest.mark.parametrize("layout", ["backbones", "metrics", "difference"])
def test_captions_name_arms_as_the_rows_do(layout: Any) -> None:
    runs = [
        *tuned("train.epochs=4", valid=0.2, ce=5.0),
        *tuned("train.epochs=4", "train.lr=0.003", valid=0.1, ce=5.5),
        *trials("both", [4.0, 4.1], sets=("train.epochs=4",)),
    ]
    (grid,) = grids([against("id", runs)], layout)
    assert [label for label, _ in grid.rows] == ["tf-llmer/full", "id", "id [train.lr=0.003]"]
    caption = " ".join(grid.caption)
    assert "Budgets are not equal: settings tried: 1 for tf-llmer/full, 2 for id." in caption
    assert "against id, chosen on validation" in caption
    assert caption.count("train.epochs=4") == 1


def test_a_table_of_one_backbone_says_nothing_of_the_arms_of_another() -> None:
    runs = [
        *tuned(valid=0.2, ce=5.0),
        *tuned("train.lr=0.003", valid=0.1, ce=5.5),
        *trials("both", [4.0, 4.1], sets=("train.epochs=4",)),
        *tuned(valid=0.2, ce=5.0, backbone="gru4rec"),
    ]
    sasrec, gru4rec = grids(leaderboards([run.record for run in runs], ["train_ce"]), "metrics")
    assert "Budgets are not equal: train.epochs 4 for tf-llmer/full" in " ".join(sasrec.caption)
    assert "not equal" not in " ".join(gru4rec.caption)


def test_a_change_that_all_rows_share_goes_to_the_caption() -> None:
    runs = [record("A", overrides={"train.epochs": 4}), record("B", "id", None, overrides={"train.epochs": 4})]
    (grid,) = grids(leaderboards(runs))
    assert [label for label, _ in grid.rows] == ["id", "tf-llmer/full"]
    assert "All arms with train.epochs=4." in grid.caption
    (single,) = grids(leaderboards(runs[:1]))
    assert [label for label, _ in single.rows] == ["tf-llmer/full [train.epochs=4]"]


def test_every_format_has_the_same_cells() -> None:
    import csv
    import io
    import json

    boards = with_marks()
    (cell,) = [c for r in boards[0].rows if r.label == "tf-llmer/full" for c in r.cells]
    assert cell is not None
    assert cell.versus is not None
    line = next(r for r in csv.DictReader(io.StringIO(to_csv(boards))) if r["arm"] == "tf-llmer/full")
    told = next(r for r in json.loads(to_json(boards))[0]["rows"] if r["arm"] == "tf-llmer/full")["cells"]["sasrec"]
    assert float(line["difference"]) == told["versus"]["difference"] == cell.versus.difference
    assert float(line["p_holm"]) == told["versus"]["p_holm"] == cell.versus.p_holm
    assert r"**4.5000**\* ± 0.0100" in to_markdown(grids(boards))
    assert r"\textbf{4.5000}$^{*}${\scriptsize\,$\pm$\,0.0100}" in to_latex(grids(boards))


# ------------------------------------------------------------------------------------ LaTeX


def all_layouts(boards: list[Leaderboard]) -> list[Grid]:
    return [*grids(boards), *grids(boards, "metrics"), *grids(boards, "difference")]


def test_latex_is_the_golden_file() -> None:
    """Look at the difference, and write the file anew where it is meant: to_latex(all_layouts(with_marks()))."""
    assert to_latex(all_layouts(with_marks())) == GOLDEN.read_text("utf-8")


def test_the_golden_file_compiles(tmp_path: Path) -> None:
    assert not overfull(compile_tex(tmp_path, GOLDEN.read_text("utf-8")))


def hostile() -> list[Grid]:
    names = [*NASTY, "_ % & # $ { } \\ ~ ^ <", "x" * 300, "very long " * 40]
    runs = [
        record(f"R{i}{s}", name, None, value=0.1 + 0.01 * i + s / 1000, seed=s, dataset=d)
        for i, name in enumerate(names)
        for s in (0, 1)
        for d in (names[0], names[-1], "")
    ]
    boards = leaderboards(runs, ["ndcg@10", "train_ce@20"])
    return [*grids(boards), *grids(boards, "metrics")]


@pytest.mark.parametrize("siunitx", [False, True])
def test_hostile_names_compile_in_every_layout(tmp_path: Path, siunitx: bool) -> None:
    compile_tex(tmp_path, to_latex(hostile(), siunitx=siunitx))


def test_what_was_changed_stands_small_beside_or_below_its_arm_in_a_wide_table(tmp_path: Path) -> None:
    long = ", ".join(f"backbone.width={i}00" for i in range(1, 5))
    labels = ("tf-llmer/full [train.lr=0.003]", f"tf-llmer/full [{long}]")
    cells = (Entry("0.1234", spread="0.0123"), Entry("0.5678", spread="0.0123"))
    text = to_latex([Grid("t", (), "arm", (), ("sasrec", "gru4rec"), tuple((label, cells) for label in labels))])
    assert r"tf-llmer/full {\scriptsize {[}train.lr=0.003{]}} & 0.1234" in text
    assert text.count(r" \\[-2pt] \scriptsize ") == 2
    assert not overfull(compile_tex(tmp_path, text))
    narrow = to_latex([Grid("t", (), "arm", (), ("sasrec",), ((labels[0], cells[:1]),))])
    assert r"tf-llmer/full {[}train.lr=0.003{]} & 0.1234" in narrow


# ------------------------------------------------------------------------------------ siunitx


def test_siunitx_columns_have_room_for_all_that_stands_in_them(tmp_path: Path) -> None:
    text = to_latex(all_layouts(with_marks()), siunitx=True)
    assert r"{lS[mode=text, table-format=1.4{$^{*}$\mdseries{\scriptsize\,$\pm$\,0.0100}}]}" in text
    assert r"tf-llmer/full & \fontseries{b}\selectfont 4.5000{$^{*}$\mdseries{\scriptsize\,$\pm$\,0.0100}} \\" in text
    line = r"\llap{\underline{\phantom{4.9993}}}\phantom{$^{*}$}"
    assert rf"id & 4.9993{{{line}{{\scriptsize\,$\pm$\,0.0110}}}} \\" in text
    assert (
        r"0.1000{\llap{\underline{\phantom{0.1000}}}{\scriptsize\,$\pm$\,0.0000}}" in text
    )  # no marks, no room for them
    assert r"tf-llmer/no-both & +0.5007{$^{\circ}${\scriptsize\,$[+0.4978, +0.5035]$}} \\" in text
    assert "{sasrec}" in text
    assert not overfull(compile_tex(tmp_path, text))


def test_siunitx_columns_take_what_is_missing_or_no_number(tmp_path: Path) -> None:
    def of(text: str, **more: Any) -> Entry:
        return Entry(text, **more)

    rows = (
        ("a", (of("12.3000", spread="0.1234", count=3, place="second"), of("+0.1234", interval="[-0.1000, +0.3000]"))),
        ("b", (of("2.3000", count=1, place="best", mark="better"), of("0"))),
        ("c", (of("-2.3000", spread="0.0001", count=12, mark="worse"), None)),
        ("d", (of("nan", spread="nan", count=2), of("-10.1234", interval="[-20.1000, +0.3000]", mark="worse"))),
        ("e", (None, of("rises"))),
    )
    grid = Grid("t", ("A.",), "arm", (("demo", 2),), ("train CE at the last epoch ↓", "x"), rows)
    text = to_latex([grid], siunitx=True)
    assert "table-format=+2.4{" in text
    assert "e & {--} & {rises}" in text
    assert r"{nan{\scriptsize\,$\pm$\,nan~(2)}}" in text
    assert not overfull(compile_tex(tmp_path, text))
    words = Grid("t", (), "arm", (), ("x",), (("a", (of("rises"),)), ("b", (None,))))
    assert r"\begin{tabular}{lc}" in to_latex([words], siunitx=True)


def test_labels_are_plain() -> None:
    for grid in all_layouts(with_marks()):
        assert grid.label.startswith("tab:")
        assert set(grid.label[4:]) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
