"""Rebuilding a run: the command that gives its specification today, what has changed since, and whether the
numbers come out the same."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import spec
from engine.errors import UserError
from engine.places import atomic_file
from engine.presets import resolve
from engine.records import TUNED_BY, Provenance, RunResult
from engine.spec import Experiment, Files, flat, leaves_by_name
from engine.store import Run, experiment_of, facts_of
from engine.text import shell_line

_PLACES = ("data.source.path", "data.source.fingerprint", "embedding.path", "embedding.fingerprint")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_PACKAGE = re.compile(r"[A-Za-z0-9][\w.-]*==[A-Za-z0-9][\w.+!-]*", re.ASCII)
_NOT_SET = ("execution.", "note", "method", "ablation")


@dataclass(frozen=True)
class Change:
    """Something that is not as it was when the run was made."""

    what: str
    then: str
    now: str
    decisive: bool = False
    """Whether other numbers must be expected; else they may be the same, or differ in the last digits."""


@dataclass(frozen=True)
class Recipe:
    """How to make a run again."""

    command: tuple[str, ...]
    """Words of a `tfllmer run` with the same specification; what presets have come to mean since is set back."""
    experiment: Experiment
    """The run's specification, with the places where data and vectors lie now."""
    changes: tuple[Change, ...]


def recipe(run: Run, here: Provenance, *, same_diff: bool = True) -> Recipe:
    """How to rebuild the run. `here` is where it would run now; `same_diff` says
    whether changes of the code that are not committed are the same as then.

    Raises UserError where the presets, the data set or the vectors are not found.
    """
    stored = experiment_of(run)
    stored.require_made_here()
    flags_given: dict[str, Any] = {
        "method": stored.method,
        "ablation": stored.ablation,
        "dataset": None if stored.data.name == "demo" else stored.data.name,
        "embedding": stored.vectors.source if stored.reads_vectors and stored.data.name != "demo" else None,
        "backbone": stored.backbone.name,
        "seed": stored.seed,
    }
    sets = [_set(name, value) for name, value in run.overrides.items() if name not in ("seed", "note", TUNED_BY)]
    flags_given, today = _found(stored, flags_given, sets)
    then, now = _settings(stored), _settings(today)
    sets += [_set(name, value) for name, value in then.items() if _value(name, now, then) != value]
    flags = [word for name, value in flags_given.items() if value is not None for word in (f"--{name}", str(value))]
    facts = facts_of(run)
    for name, value in (("device", facts.device), ("threads", facts.threads)):
        if value is not None:
            flags += [f"--{name}", str(value)]
    command = ("tfllmer", "run", *flags, *(word for text in sets for word in ("--set", text)))
    changes = (*_data_changes(stored, today), *_code_changes(facts.provenance, here, same_diff))
    return Recipe(command, _placed(stored, today), changes)


def _found(stored: Experiment, given: dict[str, Any], sets: Sequence[str]) -> tuple[dict[str, Any], Experiment]:
    """The flags that find the run's data and vectors, by name or else where they were, and what they give today: the
    first that give the same content, else the first that give any. Raises UserError where none does."""
    datasets, embeddings = [given["dataset"]], [given["embedding"]]
    if given["dataset"] is not None and stored.data.path is not None:
        datasets += [stored.data.path, str(atomic_file(Path(stored.data.path), stored.data.name, "inter"))]
    if given["embedding"] is not None and stored.vectors.path is not None:
        embeddings.append(stored.vectors.path)
    others: list[tuple[dict[str, Any], Experiment]] = []
    refused: list[UserError] = []
    for dataset, embedding in itertools.product(datasets, embeddings):
        flags = given | {"dataset": dataset, "embedding": embedding}
        try:
            today = resolve(**flags, sets=sets).experiment
        except UserError as error:
            refused.append(error)
            continue
        if not _data_changes(stored, today) or dataset is None:
            return flags, today
        others.append((flags, today))
    if not others:
        raise UserError(f"{refused[-1]} (put the data back there, or in a folder under $TFLLMER_DATA)")
    return others[0]


def differences(then: RunResult, now: RunResult) -> list[tuple[str, float | None, float | None]]:
    """(name, then, now) of the outcomes in two results that are not equal to the last bit; speed does not count."""
    before, after = then.outcomes(), now.outcomes()
    names = [*before, *(name for name in after if name not in before)]
    return [(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)]


def _set(name: str, value: Any) -> str:
    if value is None:
        return f"{name}=none"
    return f"{name}={value if isinstance(value, str) else json.dumps(value)}"


def _settings(experiment: Experiment) -> dict[str, Any]:
    """What a command line may set, without places, execution and remarks."""
    values = flat(experiment)
    return {name: value for name, value in values.items() if name not in _PLACES and not name.startswith(_NOT_SET)}


def _value(name: str, now: Mapping[str, Any], then: Mapping[str, Any]) -> Any:
    """The value of a setting today; the default where it belongs to a kind that the presets do not choose now."""
    if name in now:
        return now[name]
    return next(leaf.default for leaf in leaves_by_name()[name] if leaf.is_there(then))


def _placed(stored: Experiment, today: Experiment) -> Experiment:
    data, vectors = stored.data, stored.embedding
    if isinstance(data.source, Files):
        source = data.source.model_copy(update={"path": today.data.path, "fingerprint": today.data.fingerprint})
        data = data.model_copy(update={"source": source})
    if vectors is not None and today.embedding is not None:
        place = {"path": today.embedding.path, "fingerprint": today.embedding.fingerprint}
        vectors = vectors.model_copy(update=place)
    return stored.model_copy(update={"data": data, "embedding": vectors})


# ------------------------------------------------------------------------------------ what has changed


def _data_changes(stored: Experiment, today: Experiment) -> list[Change]:
    changes = []
    for what, then, now in (("data", stored.data, today.data), ("vectors", stored.embedding, today.embedding)):
        if then is not None and now is not None and then.fingerprint != now.fingerprint:
            place = f"{now.fingerprint} at {now.path}"
            changes.append(Change(f"content of the {what}", then.fingerprint or "none", place, decisive=True))
    if not changes and spec.spec_hash(_placed(stored, today)) != spec.spec_hash(stored):
        changes.append(
            Change("identity", spec.spec_hash(stored), spec.spec_hash(_placed(stored, today)), decisive=True)
        )
    return changes


def _code_changes(then: Provenance | None, here: Provenance, same_diff: bool) -> list[Change]:
    if then is None:
        return [Change("provenance", "not stored: the run never began", "")]
    places = (("python", then.python, here.python), ("platform", then.platform, here.platform))
    changes = [Change(name, str(was), str(now)) for name, was, now in places if was != now]
    changes += [
        Change(f"package {name}", str(version), str(here.packages.get(name)))
        for name, version in then.packages.items()
        if version != here.packages.get(name)
    ]
    was, is_ = _code(then), _code(here)
    if was == is_ and "changes" in was and not same_diff:
        is_ = is_.replace("changes", "other changes")
    return [*changes, Change("code", was, is_)] if was != is_ else changes


def _code(provenance: Provenance) -> str:
    code = provenance.code
    if code is None:
        return f"tfllmer {provenance.packages.get('tfllmer')}, no checkout"
    return f"commit {code.commit[:12]}" + (" with changes that are not committed" if code.dirty else "")


def steps(run: Run, diff: Path, way: Recipe) -> Sequence[str]:
    """The whole way, as lines for a shell: the code as it was, its packages, the command."""
    provenance = facts_of(run).provenance
    code, versions = (None, {}) if provenance is None else (provenance.code, provenance.packages)
    lines = []
    if code is not None and _COMMIT.fullmatch(code.commit):
        lines.append(shell_line(["git", "checkout", code.commit]))
        if code.dirty:
            lines.append(shell_line(["git", "apply", str(diff)]))
    packages = [f"{name}=={version}" for name, version in versions.items() if version]
    packages = [text for text in packages if _PACKAGE.fullmatch(text)]  # what pip would take for an option is none
    if others := [text for text in packages if not text.startswith("tfllmer==")]:
        lines.append(shell_line(["pip", "install", *others]))
    return [*lines, shell_line(way.command)]
