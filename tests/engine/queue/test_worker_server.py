"""The queue's promises with its store on a PostgreSQL server: every run once, recovery, cancel, with real workers."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.queue import contact
from engine.queue.executors.local.devices import Devices
from engine.queue.executors.local.executor import LocalExecutor
from engine.queue.worker import Worker
from engine.store import Store, StoreError, StoreLostError, StoreUnreachableError, open_store
from tests.engine.queue.test_worker import (  # noqa: F401
    started,
    test_a_killed_run_is_queued_again_until_it_has_happened_too_often,
    test_cancel_ends_runs_in_all_states,
    test_four_workers_of_which_one_dies_run_each_run_once,
    test_four_workers_run_two_hundred_runs_once,
    test_the_next_worker_adopts_what_goes_on_and_queues_again_what_does_not,
)
from tests.servers import drop_database, new_database


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: str) -> Iterator[Store]:
    monkeypatch.setenv("TFLLMER_FILES", str(tmp_path / "experiments.files"))
    opened = open_store(new_database(postgres_server, f"queue_{os.getpid()}_{tmp_path.name}"[:60]))
    yield opened
    opened.engine.dispose()


def test_a_worker_whose_server_is_gone_for_good_leaves_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: str
) -> None:
    monkeypatch.setenv("TFLLMER_FILES", str(tmp_path / "experiments.files"))
    monkeypatch.setattr(contact, "UNREACHABLE_S", 0.5)
    name = f"gone_{os.getpid()}"
    gone, said = open_store(new_database(postgres_server, name)), list[str]()

    def say(text: str) -> None:
        said.append(text)
        if len(said) == 1:  # it has begun
            drop_database(postgres_server, name)

    assert not Worker(gone, LocalExecutor(gone.files, Devices((), 1, 1)), say).run()
    gone.engine.dispose()
    begins, why, leaves = said
    assert begins.endswith("Ctrl-C drains it") and leaves.endswith(" leaves")
    assert name in why and why.endswith("; nothing new is taken, 0 runs are followed to their end")


def test_a_server_that_answers_again_is_waited_for_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    heard = contact.Contact()
    for now[0], error, lost in (
        (0.0, StoreUnreachableError("away"), False),
        (599.0, StoreUnreachableError("away"), False),
        (599.5, StoreError("locked"), False),
        (601.0, StoreUnreachableError("away"), False),
        (1200.0, StoreUnreachableError("away"), False),
        (1201.0, StoreUnreachableError("away"), True),
    ):
        assert heard.is_lost(error) is lost, now
    heard.answered()
    assert not heard.is_lost(StoreUnreachableError("away"))
    assert heard.is_lost(StoreLostError("deleted"))
