"""All studies: those on file, and how far those are that have runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.records import RunStatus

if TYPE_CHECKING:
    from engine.store import Store
    from engine.store.queries.feed import RunRow


@dataclass(frozen=True)
class StudyProgress:
    """A study as its runs tell."""

    id: str
    states: Counter[str]
    datasets: tuple[str, ...]
    ends_at: float | None

    @property
    def total(self) -> int:
        return sum(self.states.values())


@dataclass(frozen=True)
class StudyFile:
    """A study as its file tells; `error` is what is wrong with the file."""

    id: str
    meaning: str = ""
    question: str = ""
    size: int = 0
    datasets: tuple[str, ...] = ()
    place: str = ""
    error: str = ""


@dataclass(frozen=True)
class StoredWords:
    """What the store keeps of a study that has no file: of a tuning, or where the file is gone."""

    meaning: str
    question: str
    is_tuning: bool


@dataclass(frozen=True)
class StudyRow:
    """A study on screen: its file and its runs, as far as they are there. `words` stand in for a file."""

    id: str
    file: StudyFile | None
    runs: StudyProgress | None
    words: StoredWords | None = None

    @property
    def total(self) -> int:
        """Runs of the file; of the store where more were made, with further seeds, or the file is gone."""
        return max(self.file.size if self.file else 0, self.runs.total if self.runs else 0)


def study_files() -> list[StudyFile]:
    """Every study that can be run, by name; reads files."""
    from engine.errors import UserError
    from engine.places import files_of
    from engine.presets import combinations, find_study

    files = []
    for name in sorted(files_of("study")):
        try:
            study = find_study(name)
            datasets = tuple(map(str, study.axes["dataset"]))
            size = len(combinations(study))
            files.append(StudyFile(name, study.meaning, study.question, size, datasets, study.label))
        except UserError as error:  # the others can be run all the same
            files.append(StudyFile(name, error=str(error)))
    return files


def stored_words(store: Store, names: Iterable[str]) -> dict[str, StoredWords]:
    """What the store keeps of these studies; nothing of one that it does not know."""
    from engine.store.studies import stored_study

    known = {name: stored_study(store, name) for name in names}
    return {
        name: StoredWords(study.meaning, study.question, study.tuning is not None)
        for name, study in known.items()
        if study is not None
    }


def study_rows(files: Sequence[StudyFile], rows: Iterable[RunRow], words: Mapping[str, StoredWords]) -> list[StudyRow]:
    """The studies that have runs, the newest first, then those that can have."""
    with_runs = {runs.id: runs for runs in progress(rows)}
    on_file = {file.id: file for file in files}
    names = [*with_runs, *(name for name in on_file if name not in with_runs)]
    return [StudyRow(name, on_file.get(name), with_runs.get(name), words.get(name)) for name in names]


def progress(rows: Iterable[RunRow]) -> list[StudyProgress]:
    """Runs by study, the newest study first; of the runs of one specification one counts, as everywhere."""
    studies: dict[str, dict[str, RunRow]] = {}
    for row in sorted(rows, key=lambda row: row.id):
        if row.study is not None:
            counting = studies.setdefault(row.study, {})
            other = counting.get(row.spec_hash)
            if other is None or _status(row).rank <= _status(other).rank:
                counting[row.spec_hash] = row
    progress_rows = [
        StudyProgress(
            name,
            Counter(_status(row) for row in runs.values()),
            tuple(sorted({row.dataset for row in runs.values()})),
            max((row.ends_at for row in runs.values() if row.ends_at), default=None),
        )
        for name, runs in studies.items()
    ]
    return progress_rows[::-1]


def _status(row: RunRow) -> RunStatus:
    """One that was asked to stop runs still."""
    return RunStatus.RUNNING if row.status == "stopping" else row.status
