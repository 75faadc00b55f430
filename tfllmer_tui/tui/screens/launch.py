"""Launch: choose presets, change settings, see what it makes, queue it."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.suggester import Suggester
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static

from tfllmer_tui.render import STATUS
from tfllmer_tui.tui import actions
from tfllmer_tui.tui.palette import Inks, inks
from tfllmer_tui.tui.screens.base import Page
from tfllmer_tui.tui.text import clean, span
from tfllmer_tui.tui.watch import Snapshot
from tfllmer_tui.tui.widgets.table import Cell, Column, Table

if TYPE_CHECKING:
    from engine.presets import Resolved
    from engine.store import Store
    from engine.store.feed import RunRow

MOST = 200
"""Runs that one form may make."""


@dataclass(frozen=True)
class Box:
    """A line of the form. `flag` is the option of `tfllmer run` that it stands for."""

    name: str
    flag: str
    hint: str


FORM = (
    Box("method", "--method", "tf-llmer; several with commas"),
    Box("ablation", "--ablation", "full, no-norm, no-both"),
    Box("dataset", "--dataset", "demo"),
    Box("backbone", "--backbone", "sasrec, gru4rec, bert4rec"),
    Box("embedding", "--embedding", "the data set's own"),
    Box("seeds", "--seeds", "how many, from 0; or 3,4,5"),
    Box("set", "--set", "train.epochs=20 backbone.width=32"),
)
AXES = ("method", "ablation", "dataset", "backbone", "embedding")


@dataclass(frozen=True)
class Planned:
    """One run that the form stands for."""

    resolved: Resolved
    command: tuple[str, ...]
    spec_hash: str
    known: str
    """Status of a run that computes the same; empty where there is none."""

    @property
    def id(self) -> str:
        return shlex.join(self.command)


@dataclass(frozen=True)
class Plan:
    """What the form makes, or what is wrong with it, and the time that it may take."""

    runs: tuple[Planned, ...] = ()
    error: str = ""
    seconds: float | None = None


class _Presets(Suggester):
    """The next word of a list with commas."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self.words = tuple(words)

    async def get_suggestion(self, value: str) -> str | None:
        start = re.search(r"[^,\s]*$", value)
        typed = start[0] if start else ""
        found = next((word for word in self.words if word.startswith(typed)), None) if typed else None
        return None if found is None else value[: len(value) - len(typed)] + found


class _Field(Input):
    """A line that Tab completes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", show=False, id="form.complete"),
        Binding("down", "app.focus_next", "Next line", show=False, id="form.next"),
        Binding("up", "app.focus_previous", "Line before", show=False, id="form.previous"),
    ]

    def action_complete(self) -> None:
        if self._suggestion and self.cursor_at_end and self._suggestion != self.value:
            self.value = self._suggestion
            self.cursor_position = len(self.value)
        else:
            self.screen.focus_next()


class LaunchScreen(Page):
    """The form and what it makes."""

    CSS_PATH = "launch.tcss"
    HEADING = "Launch"
    ABOUT = "Several values with commas make a grid. Nothing starts before ctrl+r."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "launch", "Launch", id="launch.go"),
        Binding("ctrl+y", "copy", "Copy the command", id="launch.copy"),
        Binding("escape", "leave", "Back", id="launch.back"),
    ]

    def __init__(self, run_id: str | None = None) -> None:
        super().__init__()
        self._from = run_id
        self._plan = Plan()
        self._planned: Mapping[str, str] | None = None
        """What the form held when the plan was made."""
        self._launching = False
        """Whether it is launched as soon as it is planned."""
        self._known: Mapping[str, str] = {}
        """Status of every run by what it computes."""
        self._soon: Timer | None = None

    def compose_body(self) -> Iterable[Widget]:
        with Horizontal(id="panes"):
            with VerticalScroll(id="form", can_focus=False):
                for box in FORM:
                    with Horizontal(classes="line"):
                        yield Static(box.name, classes="label")
                        yield _Field(placeholder=box.hint, id=box.name, compact=True, suggester=_Presets(()))
                yield Static(id="said", markup=False)
            with Vertical(id="plan"):
                yield Table(
                    (
                        Column("status", "", 1),
                        Column("arm", "arm", 14, 0, grow=3, most=40),
                        Column("dataset", "data", 8, 3, grow=1, most=16),
                        Column("backbone", "backbone", 8, 2),
                        Column("seed", "seed", 4, 1, right=True),
                        Column("changes", "changes", 8, 4, grow=2, most=60),
                    ),
                    _cells,
                    id="grid",
                )
                yield Static(id="command", markup=False)

    def on_mount(self) -> None:
        self.query_one("#method", _Field).focus()
        self.think("words", _words, self._show_words)
        if self._from is not None:
            wanted = self._from
            self.read("source", lambda store: _filled(store, wanted), self._fill)
        self._plan_soon()

    def on_screen_resume(self) -> None:
        if not isinstance(self.focused, _Field):  # whoever comes back types into the form, not at keys
            self.query_one("#method", _Field).focus()

    def recolor(self) -> None:
        super().recolor()
        if self._planned is not None:
            self._show_plan(self._plan, self._planned)

    def _show_words(self, words: Mapping[str, Sequence[str]]) -> None:
        for name, known in words.items():
            self.query_one(f"#{name}", _Field).suggester = _Presets(known)

    def _fill(self, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            self.query_one(f"#{name}", _Field).value = value

    @property
    def values(self) -> dict[str, str]:
        """What is in the form."""
        return {box.name: self.query_one(f"#{box.name}", _Field).value.strip() for box in FORM}

    # -------------------------------------------------------------------------------- the plan

    @on(Input.Changed)
    def _changed(self) -> None:
        self._launching = False
        self._plan_soon()

    def _plan_soon(self) -> None:
        if self._soon is not None:
            self._soon.stop()
        self._soon = self.set_timer(0.15, self._make_plan)

    def show_news(self, snapshot: Snapshot) -> None:
        """Plan again when other runs are there, or have ended."""
        known = {row.spec_hash: row.status for row in snapshot.rows.values()}
        if known != self._known:
            self._known = known
            self._plan_soon()

    def _make_plan(self) -> None:
        values, rows = self.values, tuple(self.up.snapshot.rows.values())
        if self.up.read_only:  # nor does the form tell someone who may only look which files there are
            self._show_plan(Plan(error="read-only: nothing can be launched from this view"), values)
            return
        self.think("plan", lambda: plan(values, rows), lambda made: self._show_plan(made, values))

    def _show_plan(self, made: Plan, values: Mapping[str, str]) -> None:
        self._plan, self._planned = made, values
        colors = inks(self.app.current_theme)
        self.query_one("#grid", Table).show(made.runs)
        self.query_one("#said", Static).update(_said(made, colors))
        command = command_of(values) if not made.error else ""
        self.query_one("#command", Static).update(Text(command, colors["dim"], overflow="fold"))
        if self._launching:
            self.action_launch()

    # -------------------------------------------------------------------------------- keys

    def action_launch(self) -> None:
        self._launching = self._planned != self.values
        if self._launching:  # the key was faster than the plan
            self._make_plan()
            return
        if self._plan.error or not self._plan.runs:
            self.notify(self._plan.error or "nothing to launch", severity="error", markup=False)
            return
        new = [run for run in self._plan.runs if run.known not in ("finished", "running", "queued")] or self._plan.runs
        self.up.do(actions.launch, [run.resolved for run in new], [run.command for run in new], then=self._launched)

    def _launched(self) -> None:
        self.up.action_go("runs")

    def action_copy(self) -> None:
        if self._plan.error or self._planned is None:
            self.notify(self._plan.error, severity="error", markup=False)
        else:
            self.up.copy("command", command_of(self._planned))

    async def action_leave(self) -> None:
        if len(self.app.screen_stack) > 1:
            await self.up.action_back()
        else:
            self.up.action_go("runs")

    def commands(self) -> Iterable[SystemCommand]:
        if self._plan.runs:
            yield SystemCommand("Launch", f"Queue {len(self._plan.runs)} run(s)", self.action_launch)
        yield SystemCommand("Copy the command", "The same on the command line", self.action_copy)


def _cells(run: Planned, columns: Sequence[Column], colors: Inks) -> Sequence[Cell]:
    experiment = run.resolved.experiment
    mark = STATUS[run.known][0] if run.known in STATUS else "+"
    changes = ", ".join(f"{name}={value}" for name, value in run.resolved.overrides.items())
    text = colors["dim" if run.known == "finished" else "text"]
    told: dict[str, Cell] = {
        "status": [(mark, colors.status(run.known) if run.known else colors["primary"])],
        "arm": [(clean(experiment.arm), text)],
        "dataset": [(clean(experiment.data.name), text)],
        "backbone": [(clean(experiment.backbone.name), text)],
        "seed": [(str(experiment.seed), text)],
        "changes": [(clean(changes), colors["dim"])],
    }
    return [told[column.key] for column in columns]


def _said(made: Plan, colors: Inks) -> Text:
    if made.error:
        return Text(f"✗ {made.error}", colors["error"])
    there = sum(run.known == "finished" for run in made.runs)
    new = len(made.runs) - there
    text = Text.assemble((f"{new}", colors["bold"]), (" new run" if new == 1 else " new runs", colors["text"]))
    if there:
        text.append(f" · {there} finished already", colors["dim"])
    if made.seconds is not None and new:
        text.append(f" · about {span(made.seconds)} one after another, as runs like these took", colors["dim"])
    text.append("\nctrl+r launches", colors["primary"])
    return text


# ------------------------------------------------------------------------------------ for threads


def plan(values: Mapping[str, str], rows: Iterable[RunRow]) -> Plan:
    """Resolve every combination that the form names."""
    from engine.presets import resolve
    from engine.spec import UserError, spec_hash

    known: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: row.status == "finished"):
        known[row.spec_hash] = row.status
    runs = []
    try:
        combinations = [(given, seed) for given in _grid(values) for seed in seeds_of(values["seeds"])]
        if len(combinations) > MOST:
            raise UserError(f"{len(combinations)} runs are more than {MOST}; write a study for a grid this large")
        for given, seed in combinations:
            sets = sets_of(values["set"])
            resolved = resolve(
                method=given["method"],
                ablation=given["ablation"],
                dataset=given["dataset"],
                backbone=given["backbone"],
                embedding=given["embedding"],
                seed=seed,
                sets=sets,
            )
            command = ["tfllmer", "run", *_flags(given, sets), "--seed", str(seed), "--detach"]
            digest = spec_hash(resolved.experiment)
            runs.append(Planned(resolved, tuple(command), digest, known.get(digest, "")))
    except UserError as error:
        return Plan(error=str(error))
    return Plan(tuple(runs), seconds=_seconds(runs, tuple(rows)))


def _seconds(runs: Sequence[Planned], rows: Sequence[RunRow]) -> float | None:
    """As long as finished runs on the same data and backbone took per epoch; None where there was none."""
    total = 0.0
    for run in runs:
        e = run.resolved.experiment
        took = [
            (row.ended - row.started) / row.epochs
            for row in rows
            if row.status == "finished"
            and row.started
            and row.ended
            and row.epochs
            and (row.dataset, row.backbone) == (e.data.name, e.backbone.name)
        ]
        if not took:
            return None
        total += sum(took) / len(took) * e.train.epochs * (run.known != "finished")
    return total


def _grid(values: Mapping[str, str]) -> list[dict[str, str | None]]:
    """Every combination of the axes."""
    several = itertools.product(*(_several(values[axis]) for axis in AXES))
    return [dict(zip(AXES, each, strict=True)) for each in several]


def _several(text: str) -> list[str | None]:
    """Values with commas between; None where there is none."""
    return [word.strip() for word in text.split(",") if word.strip()] or [None]


def seeds_of(text: str) -> list[int]:
    """`5` is 0 to 4, `3,4` and `7,` are these seeds. Raises UserError."""
    from engine.spec import UserError

    if not re.fullmatch(r"\s*(\d+\s*(,\s*\d+\s*)*,?)?\s*", text):
        raise UserError(f"seeds: give a number, or seeds with commas, not {text!r}")
    numbers = [int(word) for word in re.findall(r"\d+", text)]
    if "," in text:
        return numbers
    return list(range(numbers[0])) if numbers else [0]


def sets_of(text: str) -> list[str]:
    """`a=1 b=2` as two settings."""
    return [word.rstrip(",") for word in text.split() if word.rstrip(",")]


def _flags(given: Mapping[str, str | None], sets: Sequence[str]) -> list[str]:
    flags = [word for name, value in given.items() if value for word in (f"--{name}", value)]
    return [*flags, *(word for text in sets for word in ("--set", text))]


def command_of(values: Mapping[str, str]) -> str:
    """What the form is on the command line; a grid is a loop over it."""
    lines = []
    seeds = seeds_of(values["seeds"])
    many = ["--seed", str(seeds[0])] if len(seeds) == 1 else ["--seeds", str(len(seeds)), "--seed", str(seeds[0])]
    for given in _grid(values):
        lines.append(shlex.join(["tfllmer", "run", *_flags(given, sets_of(values["set"])), *many, "--detach"]))
    return "\n".join(lines)


def _words() -> dict[str, list[str]]:
    """What each line completes to."""
    from engine.presets import list_datasets, list_presets
    from engine.spec import Experiment
    from tfllmer_tui.cli.output import flatten

    names = {kind: [preset.name for preset in list_presets(kind)] for kind in ("method", "ablation", "backbone")}
    datasets = ["demo", *(name for name, _ in list_datasets())]
    fields = [f"{name}=" for name in flatten(Experiment().model_dump(by_alias=True))]
    return {**names, "dataset": datasets, "set": fields}


def _filled(store: Store, run_id: str) -> dict[str, str]:
    """The form that makes a stored run again."""
    from engine.store import get_run

    run = get_run(store, run_id)
    spec: Mapping[str, Any] = run.spec
    return {
        "method": run.method,
        "ablation": run.ablation or "",
        "dataset": spec["data"]["path"] or run.dataset,
        "backbone": run.backbone,
        "embedding": run.embedding if run.embedding and run.dataset != "demo" else "",
        "seeds": f"{run.seed},",
        "set": " ".join(f"{name}={'none' if value is None else value}" for name, value in run.overrides.items()),
    }
