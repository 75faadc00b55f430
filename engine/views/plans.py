"""What is launched before it is launched: the runs that a form stands for, which of them are there already, how long
the rest takes, every setting with its origin, and the command line.

A form is texts by name (`AXES`, `seeds`, `set`, `on`, `cluster`), as the options of `tfllmer run` take them; they are
the only state, so that what is launched is what is shown.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.text import shell_line

if TYPE_CHECKING:
    from engine.presets import Cell, Resolved, SettingField, Study
    from engine.store import Store
    from engine.views.time_left import TimeLeft

MOST = 200
"""Runs that one form may make."""


_THERE = ("finished", "running", "queued")
AXES = ("method", "ablation", "dataset", "backbone", "embedding", "tuned")


@dataclass(frozen=True)
class PlannedRun:
    """One run that the form stands for."""

    resolved: Resolved
    command: tuple[str, ...]
    spec_hash: str
    known: str = ""
    """Status of the run that counts for it; empty where there is none."""

    @property
    def id(self) -> str:
        return shell_line(self.command)


@dataclass(frozen=True)
class FieldState:
    """A setting as the runs have it: its values as texts, several where the presets differ; where it comes
    from; and `base`, the value of the first run without any --set, None where that is no run."""

    field: SettingField
    values: tuple[str, ...]
    origin: str
    base: str | None

    @property
    def id(self) -> str:
        return self.field.path


@dataclass(frozen=True)
class Plan:
    """What the form makes, or what is wrong with it, and what is said of the time that it takes."""

    runs: tuple[PlannedRun, ...] = ()
    fields: tuple[FieldState, ...] = ()
    error: str = ""
    time: TimeLeft | None = None

    @property
    def there(self) -> Counter[str]:
        """How many of the runs are finished, running or queued already."""
        return Counter(run.known for run in self.runs if run.known in _THERE)

    @property
    def launched(self) -> tuple[PlannedRun, ...]:
        """What launching makes: the runs that are not there yet; all once more where all are."""
        return tuple(run for run in self.runs if run.known not in _THERE) or self.runs


@dataclass(frozen=True)
class StudyPart:
    """A study and what of it is run, and how, as it is typed: texts as `tfllmer study run` takes them."""

    study: str
    only: str = ""
    seeds: str = ""
    sets: str = ""
    on: str = ""
    cluster: str = ""

    @property
    def n_seeds(self) -> int | None:
        """None where nothing is said. Raises UserError."""
        from engine.errors import UserError

        if self.seeds and not (self.seeds.isdecimal() and int(self.seeds) > 0):
            raise UserError(f"seeds: give how many, not {self.seeds!r}")
        return int(self.seeds) if self.seeds else None

    def cells(self, study: Study) -> list[Cell]:
        """Its cells. Raises UserError."""
        from engine.presets import chosen

        return chosen(study, only=self.only.split(), seeds=self.n_seeds, sets=sets_of(self.sets))


def plan(values: Mapping[str, str], store: Store | None = None) -> Plan:
    """Resolve every combination that the form names. `store` knows which are there, and how long such runs took."""
    from engine.errors import UserError
    from engine.spec import spec_hash
    from engine.store.teachers import as_taught

    runs = []
    try:
        check_target(store, values["on"], values["cluster"])
        sets = sets_of(values["set"])
        combinations = [(given, seed) for given in _grid(values) for seed in seeds_of(values["seeds"])]
        if len(combinations) > MOST:
            raise UserError(f"{len(combinations)} runs are more than {MOST}; write a study for a grid this large")
        for given, seed in combinations:
            resolved = _resolve(given, seed, sets)
            where = _target_flags(values["on"], values["cluster"])
            command = ["tfllmer", "run", *_flags(given, sets), "--seed", str(seed), *where, "--detach"]
            runs.append(PlannedRun(resolved, tuple(command), spec_hash(as_taught(store, resolved.experiment))))
    except UserError as error:
        return Plan(error=str(error))
    base: Resolved | None = runs[0].resolved
    if sets:
        base = None
        with suppress(UserError):  # presets that fit only with these settings
            base = _resolve(combinations[0][0], combinations[0][1], [])
    runs = _known(runs, store)
    full = Plan(tuple(runs), _fields([run.resolved for run in runs], base))
    if is_elsewhere(values["on"], values["cluster"]):  # how many jobs a cluster runs at a time, nobody knows
        return full
    return replace(full, time=_time(full.launched, store))


def check_target(store: Store | None, on: str, cluster: str) -> None:
    """Raises UserError where runs cannot be handed over to what `--on` and `--cluster` name; without a store only an
    executor that is none is found."""
    from engine import queue
    from engine.queue.executors.registry import executor_class

    if store is not None:
        queue.target_of(store, on or None, cluster or None)
    elif on:
        executor_class(on)


def is_elsewhere(on: str, cluster: str) -> bool:
    """Whether `--on` and `--cluster` send runs away from this machine."""
    if not on:
        return bool(cluster)
    from engine.queue.executors.registry import LOCAL

    return on != LOCAL or bool(cluster)


def _target_flags(on: str, cluster: str) -> list[str]:
    return [word for flag, value in (("--on", on), ("--cluster", cluster)) if value for word in (flag, value)]


def _resolve(given: Mapping[str, str | None], seed: int, sets: Sequence[str]) -> Resolved:
    from engine.presets import resolve

    return resolve(
        method=given["method"],
        ablation=given["ablation"],
        dataset=given["dataset"],
        backbone=given["backbone"],
        embedding=given["embedding"],
        tuned=given["tuned"],
        seed=seed,
        sets=sets,
    )


def _fields(made: Sequence[Resolved], base: Resolved | None) -> tuple[FieldState, ...]:
    """Every setting of these runs."""
    from engine.presets import setting_fields
    from engine.presets.studies import text_of

    several = [_flat(each) for each in made]
    before = {} if base is None else _flat(base)
    states = []
    for field in setting_fields(each.experiment for each in made):
        path = field.path
        values = dict.fromkeys(text_of(flat[path]) for flat in several if path in flat)
        origins = dict.fromkeys(each.origins[path] for each in made if path in each.origins)
        origin = next(iter(origins)) if len(origins) == 1 else "several places"
        states.append(FieldState(field, tuple(values), origin, text_of(before[path]) if path in before else None))
    return tuple(states)


def _flat(resolved: Resolved) -> dict[str, Any]:
    from engine.spec import flat

    return flat(resolved.experiment)


def _known(runs: Sequence[PlannedRun], store: Store | None) -> list[PlannedRun]:
    """The same with what the store has of them, whoever made it."""
    if store is None:
        return list(runs)
    from engine.store.studies import runs_that_count

    counting = runs_that_count(store, [run.spec_hash for run in runs])
    return [
        replace(run, known=str(counting[run.spec_hash].status)) if run.spec_hash in counting else run for run in runs
    ]


def _time(runs: Sequence[PlannedRun], store: Store | None) -> TimeLeft:
    """How long they will take, as for a study."""
    from engine.spec import data_hash
    from engine.store.studies import estimate_seconds
    from engine.views.time_left import time_left

    experiments = [run.resolved.experiment for run in runs]
    shapes = [(data_hash(e.data), e.model_dump(mode="json", by_alias=True)) for e in experiments]
    seconds = estimate_seconds(store, shapes) if store is not None else [None] * len(shapes)
    return time_left(store, seconds)


def _grid(values: Mapping[str, str]) -> list[dict[str, str | None]]:
    """Every combination of the axes."""
    several = itertools.product(*(_several(values[axis]) for axis in AXES))
    return [dict(zip(AXES, each, strict=True)) for each in several]


def _several(text: str) -> list[str | None]:
    """Values with commas between; None where there is none."""
    return [word.strip() for word in text.split(",") if word.strip()] or [None]


def seeds_of(text: str) -> list[int]:
    """`5` is 0 to 4, `3,4` and `7,` are these seeds. Raises UserError."""
    from engine.errors import UserError

    if not re.fullmatch(r"\s*(\d+\s*(,\s*\d+\s*)*,?)?\s*", text):
        raise UserError(f"seeds: give a number, or seeds with commas, not {text!r}")
    numbers = [int(word) for word in re.findall(r"\d+", text)]
    if "," in text:
        return numbers
    return list(range(numbers[0])) if numbers else [0]


def sets_of(text: str) -> list[str]:
    """`a=1 b=2` as two settings, quoted as in a shell. Raises UserError for a quote without its other."""
    from engine.errors import UserError

    try:
        return [word.rstrip(",") for word in shlex.split(text) if word.rstrip(",")]
    except ValueError:
        raise UserError("set: a quote has no other one; write note='two words'") from None


def value_in(text: str, path: str) -> str | None:
    """What the settings `text` say of a field; None where they say nothing."""
    latest = None
    for word in _settings(text):
        name, equals, value = word.partition("=")
        latest = value if equals and name == path else latest
    return latest


def with_value(text: str, path: str, value: str | None) -> str:
    """The settings `text` with another value of a field, at its place; without the field where it is None."""
    words, is_set = [], value is None
    for word in _settings(text):
        if word.partition("=")[0] != path:
            words.append(word)
        elif not is_set:
            words.append(f"{path}={value}")
            is_set = True
    return shlex.join(words if is_set else [*words, f"{path}={value}"])


def _settings(text: str) -> list[str]:
    from engine.errors import UserError

    try:
        return sets_of(text)
    except UserError:  # what is being typed has a quote, as in note=it's
        return text.split()


def _flags(given: Mapping[str, str | None], sets: Sequence[str]) -> list[str]:
    flags = [word for name, value in given.items() if value for word in (f"--{name}", value)]
    return [*flags, *(word for text in sets for word in ("--set", text))]


def command_of(values: Mapping[str, str]) -> str:
    """What the form is on the command line; a grid is a loop over it."""
    lines = []
    seeds = seeds_of(values["seeds"])
    where = _target_flags(values["on"], values["cluster"])
    many = ["--seed", str(seeds[0])] if len(seeds) == 1 else ["--seeds", str(len(seeds)), "--seed", str(seeds[0])]
    for given in _grid(values):
        flags = [*_flags(given, sets_of(values["set"])), *many, *where]
        lines.append(shell_line(["tfllmer", "run", *flags, "--detach"]))
    return "\n".join(lines)


def study_command(part: StudyPart, retry_failed: bool) -> str:
    """The command line that queues what is missing of a part of a study."""
    given = [word for text in part.only.split() for word in ("--only", text)]
    given += ["--seeds", part.seeds] if part.seeds else []
    given += [word for text in sets_of(part.sets) for word in ("--set", text)]
    given += ["--retry-failed"] if retry_failed else []
    given += _target_flags(part.on, part.cluster)
    return shell_line(["tfllmer", "study", "run", part.study, *given, "--detach"])


def words() -> dict[str, list[str]]:
    """What each line completes to."""
    from engine.places import files_of
    from engine.presets import list_datasets, list_presets, setting_fields

    names = {kind: [preset.name for preset in list_presets(kind)] for kind in ("method", "ablation", "backbone")}
    datasets = ["demo", *(name for name, _ in list_datasets())]
    fields = [f"{field.path}=" for field in setting_fields()]
    return {**names, "dataset": datasets, "tuned": sorted(files_of("tuned")), "set": fields, **target_words()}


def target_words() -> dict[str, list[str]]:
    """What the lines for `--on` and `--cluster` complete to."""
    from engine.queue.executors.clusters import list_clusters
    from engine.queue.executors.registry import executor_names

    return {"on": executor_names(), "cluster": list(list_clusters())}


def filled(store: Store, run_id: str) -> dict[str, str]:
    """The form that makes a stored run again."""
    from engine.presets.studies import text_of
    from engine.queue.executors.registry import LOCAL
    from engine.records import TUNED_BY
    from engine.spec import flat
    from engine.store import experiment_of, get_run

    run = get_run(store, run_id)
    spec: Mapping[str, Any] = run.spec
    changed = {name: value for name, value in run.overrides.items() if name != TUNED_BY}
    if TUNED_BY in run.overrides and (tuning := (experiment := experiment_of(run)).tuning) is not None:
        values = flat(experiment)
        changed = {name: values[name] for name in tuning.settings} | changed
    return {
        "method": run.method,
        "ablation": run.ablation or "",
        "dataset": spec["data"]["source"].get("path") or run.dataset,
        "backbone": run.backbone,
        "embedding": run.embedding if run.embedding and run.dataset != "demo" else "",
        "tuned": "",
        "seeds": f"{run.seed},",
        "set": shlex.join(f"{name}={text_of(value)}" for name, value in changed.items()),
        "on": run.executor if run.executor != LOCAL else "",
        "cluster": run.cluster,
    }
