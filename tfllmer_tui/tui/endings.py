"""Which studies and launches have ended between two looks at the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from engine.records import RunStatus
from tfllmer_tui.tui.snapshot import StoreSnapshot

if TYPE_CHECKING:
    from engine.store.queries.feed import RunRow

_OPEN = (RunStatus.QUEUED, RunStatus.RUNNING, "stopping")


class Endings:
    """Remembers what was launched here; a study is known by its runs, whoever launched them."""

    def __init__(self) -> None:
        self._launches: list[tuple[frozenset[str], set[str]]] = []
        """Runs that were queued together, and those of them that have not been in the store's rows yet."""

    def launched(self, run_ids: Sequence[str]) -> None:
        """Runs that this session has queued together."""
        if run_ids:
            self._launches.append((frozenset(run_ids), set(run_ids)))

    def between(self, before: StoreSnapshot, now: StoreSnapshot) -> list[str]:
        """A line for each study, and each launch of this session, whose last open run has ended since. Where a
        person has stopped all that was left of it there is none."""
        if not (before.complete and now.complete):
            return []
        lines, ended = [], set[str]()
        open_before = {row.study for row in before.rows.values() if row.study and row.status in _OPEN}
        for study in sorted(open_before - {row.study for row in now.rows.values() if row.status in _OPEN}):
            rows = [row for row in now.rows.values() if row.study == study]
            if any(_has_run_out(before, row) for row in rows):
                lines.append(f"study {study} has ended: {_counts(rows)}")
                ended |= {row.id for row in rows}
        for launch in list(self._launches):
            ids, unseen = launch
            unseen -= now.rows.keys()
            rows = [now.rows[run_id] for run_id in ids if run_id in now.rows]
            if unseen or any(row.status in _OPEN for row in rows):
                continue
            self._launches.remove(launch)
            if not ids <= ended and any(_has_run_out(before, row) for row in rows):
                lines.append(f"{_named(rows)} ended: {_counts(rows)}")
        return lines


def _has_run_out(before: StoreSnapshot, row: RunRow) -> bool:
    """Whether it has just come to an end of its own."""
    former = before.rows.get(row.id)
    return (former is None or former.status in _OPEN) and row.status != RunStatus.CANCELLED


def _named(rows: Sequence[RunRow]) -> str:
    return f"{rows[0].arm} on {rows[0].dataset} has" if len(rows) == 1 else f"a launch of {len(rows)} runs has"


def _counts(rows: Iterable[RunRow]) -> str:
    """`11 finished, 1 failed`, the most first."""
    return ", ".join(f"{count} {status}" for status, count in Counter(row.status for row in rows).most_common())
