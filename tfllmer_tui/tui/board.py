"""What a person has chosen of a leaderboard: which numbers, tested how, laid out and written how. The same choice as a
command line, as a file and as a board read from the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.metrics import parse_metric
from engine.text import shell_line

if TYPE_CHECKING:
    from engine.reports.boards.leaderboard import Leaderboard
    from engine.reports.render.layouts import Grid, Layout
    from engine.reports.stats.statistics import Over
    from engine.store import Store
    from engine.views.boards import Form

METRICS = ("test.ndcg@10", "test.hr@10", "test.mrr", "valid.ndcg@10", "train_ce", "test.coverage@10", "test.novelty@10")
"""What one key goes through; any other can be named."""
OVER: tuple[Over, ...] = ("seeds", "users", "both")
LAYOUTS: tuple[Layout, ...] = ("backbones", "metrics", "difference")
FORMS: tuple[Form, ...] = ("latex", "markdown", "csv")
_SUFFIX: dict[Form, str] = {"latex": ".tex", "markdown": ".md", "csv": ".csv", "json": ".json"}


@dataclass(frozen=True)
class BoardChoice:
    """A board's numbers and looks, as `tfllmer leaderboard` and `tfllmer export` take them; `baseline` is the label
    of a row of the board."""

    metric: str = METRICS[0]
    study: str | None = None
    baseline: str | None = None
    over: Over = OVER[0]
    layout: Layout = LAYOUTS[0]
    form: Form = FORMS[0]
    fragment: bool = False
    siunitx: bool = False

    @property
    def next_over(self) -> Over:
        return OVER[(OVER.index(self.over) + 1) % len(OVER)]

    @property
    def next_layout(self) -> Layout:
        return LAYOUTS[(LAYOUTS.index(self.layout) + 1) % len(LAYOUTS)]

    @property
    def next_form(self) -> Form:
        return FORMS[(FORMS.index(self.form) + 1) % len(FORMS)]

    @property
    def next_metric(self) -> str:
        at = METRICS.index(self.metric) + 1 if self.metric in METRICS else 0
        return METRICS[at % len(METRICS)]

    @property
    def is_laid_out(self) -> bool:
        """Whether the board is something other than arms against backbones."""
        return self.layout != LAYOUTS[0]

    # -------------------------------------------------------------------------------- remembered

    def remembered(self) -> dict[str, Any]:
        """What the next session begins with: all but the study, and the baseline, which is kept by data set."""
        return {name: value for name, value in asdict(self).items() if name not in ("study", "baseline")}

    # -------------------------------------------------------------------------------- commands

    def board_command(self, board: Leaderboard) -> str:
        """The board on the command line."""
        layout = ["--layout", self.layout] if self.is_laid_out else []
        return shell_line(["tfllmer", "leaderboard", *self._options(board), *layout])

    def export_command(self, board: Leaderboard) -> str:
        """The file of the board on the command line."""
        words = self._options(board)
        if self.form != "csv" and self.is_laid_out:
            words += ["--layout", self.layout]
        if self.form == "latex":
            words += [*(["--fragment"] if self.fragment else []), *(["--siunitx"] if self.siunitx else [])]
        return shell_line(["tfllmer", "export", self.form, *words, "--output", str(self.file(board))])

    def file(self, board: Leaderboard) -> Path:
        """What the board is written to."""
        name = "".join(c if c.isalnum() else "-" for c in f"{board.dataset}-{self.metric}")
        return Path(f"leaderboard-{name}{_SUFFIX[self.form]}")

    def _options(self, board: Leaderboard) -> list[str]:
        from engine.views.boards import RANKED

        metrics = RANKED if self.layout == "metrics" else (self.metric,)
        words = ["--dataset", board.dataset, *(word for metric in metrics for word in ("--metric", metric))]
        words += ["--study", self.study] if self.study is not None else []
        if self.baseline is None:
            return words
        from engine.reports.boards.marks import name_of  # it is there already: the marks on screen were made with it

        return [*words, "--baseline", name_of(board, self.baseline), "--test", self.over]


def remembered_choice(kept: Mapping[str, Any]) -> BoardChoice:
    """The choice that was kept, as far as it makes sense."""
    default = BoardChoice()
    return BoardChoice(
        metric=_known_metric(kept.get("metric")) or default.metric,
        over=next((name for name in OVER if name == kept.get("over")), default.over),
        layout=next((name for name in LAYOUTS if name == kept.get("layout")), default.layout),
        form=next((name for name in FORMS if name == kept.get("form")), default.form),
        fragment=bool(kept.get("fragment")),
        siunitx=bool(kept.get("siunitx")),
    )


def _known_metric(name: object) -> str | None:
    try:
        return str(parse_metric(name)) if isinstance(name, str) else None
    except UserError:  # of a package that is gone
        return None


# ------------------------------------------------------------------------------------ for threads


def read(store: Store, choice: BoardChoice) -> list[Leaderboard]:
    """The boards of all data sets, untested."""
    from engine.views.boards import BoardQuery, read_boards

    return read_boards(store, BoardQuery((choice.metric,), choice.study))


def marked(store: Store, board: Leaderboard, choice: BoardChoice) -> tuple[Leaderboard | None, str]:
    """The board tested against the baseline, or why it cannot be."""
    from engine.views.boards import mark_boards

    assert choice.baseline is not None
    try:
        return mark_boards(store, [board], choice.baseline, choice.over, tuned=False)[0], ""
    except UserError as error:
        return None, str(error).removeprefix("--baseline ")


@dataclass(frozen=True)
class LaidOut:
    """A board as its file holds it, and as the tables of its layout; or why there is neither."""

    text: str = ""
    grids: Sequence[Grid] = ()
    refusal: str = ""


def laid_out(store: Store, board: Leaderboard, choice: BoardChoice) -> LaidOut:
    """The board in its layout. That of metrics has the default ones beside one another."""
    from engine.views import boards as views

    if choice.layout == "difference" and choice.baseline is None:
        return LaidOut(refusal="the layout difference needs a baseline: b makes it the arm under the cursor")

    boards = [board]
    if choice.layout == "metrics":
        boards = views.beside(store, board, views.RANKED, choice.study)
    try:
        if choice.layout == "metrics" and choice.baseline is not None:
            boards = views.mark_boards(store, boards, choice.baseline, choice.over, tuned=False)
        text = views.file_text(boards, choice.form, choice.layout, fragment=choice.fragment, siunitx=choice.siunitx)
        return LaidOut(text, views.laid_out(boards, choice.layout))
    except UserError as error:
        return LaidOut(refusal=str(error))
