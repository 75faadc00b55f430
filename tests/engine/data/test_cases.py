"""Cases: histories and what follows them, by hand."""

import numpy as np

from engine.data import Sequences
from engine.data.cases import held_out, training_probe


def sequences(histories: list[list[int]]) -> Sequences:
    items = np.array([item for history in histories for item in history], dtype=np.int64)
    return Sequences(items, np.cumsum([0, *map(len, histories)]))


HISTORIES = [[1, 2, 3], [4, 5], [], [3, 3, 20], [0], [7, 8]]
TARGETS = np.array([5, 4, 2, 3, -1, 24])


def test_held_out_are_the_users_with_a_target_and_a_history() -> None:
    cases = held_out(sequences(HISTORIES), TARGETS)
    assert cases.users.tolist() == [0, 1, 3, 5]
    assert cases.targets.tolist() == [5, 4, 3, 24]
    assert [cases.history[i].tolist() for i in range(4)] == [[1, 2, 3], [4, 5], [3, 3, 20], [7, 8]]


def test_a_part_of_cases_holds_the_same_cases() -> None:
    cases = held_out(sequences(HISTORIES), TARGETS)
    part = cases[1:3]
    assert part.users.tolist() == [1, 3]
    assert part.targets.tolist() == [4, 3]
    assert [part.history[i].tolist() for i in range(2)] == [[4, 5], [3, 3, 20]]
    assert len(cases[3:10]) == 1
    assert len(cases[4:]) == 0


def test_probe_holds_training_positions_with_their_own_histories() -> None:
    train = sequences([[1, 2, 3, 4, 5, 6, 7, 8, 9], [10], [], [11, 12]])
    probe = training_probe(train, 100)
    assert len(probe) == 9  # every target there is
    for case, target in enumerate(probe.targets):
        begin = 1 if target < 10 else 11
        assert [*probe.history[case], target] == list(range(begin, target + 1))
    assert training_probe(train, 4).targets.tolist() == training_probe(train, 4).targets.tolist()
    assert len(training_probe(train, 4).targets) == 4
