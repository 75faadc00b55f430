"""The queue's promises with its store on a PostgreSQL server: every run once, recovery, cancel, with real workers."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.store import Store, open_store
from tests.engine.queue.test_worker import (  # noqa: F401
    started,
    test_a_killed_run_is_queued_again_until_it_has_happened_too_often,
    test_cancel_ends_runs_in_all_states,
    test_four_workers_run_two_hundred_runs_once,
    test_the_next_worker_adopts_what_goes_on_and_queues_again_what_does_not,
    test_two_workers_run_each_run_once,
)
from tests.servers import new_database


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: str) -> Iterator[Store]:
    monkeypatch.setenv("TFLLMER_FILES", str(tmp_path / "experiments.files"))
    opened = open_store(new_database(postgres_server, f"queue_{os.getpid()}_{tmp_path.name}"[:60]))
    yield opened
    opened.engine.dispose()
