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


def test_a_probe_in_runs_draws_successive_positions_and_every_position_alike() -> None:
    train = sequences([list(range(1, 12)), [20], [], [31, 32], list(range(40, 46))])
    whole = training_probe(train, 100, 4)
    assert sorted(whole.targets.tolist()) == sorted(training_probe(train, 100).targets.tolist())
    assert whole.continues is not None
    for case, (target, goes_on) in enumerate(zip(whole.targets, whole.continues, strict=True)):
        assert whole.history[case].tolist()[-1] == target - 1
        if goes_on:
            before = [*whole.history[case - 1].tolist(), int(whole.targets[case - 1])]
            assert whole.history[case].tolist() == before
    runs = np.diff(np.flatnonzero(~whole.continues), append=len(whole))
    assert runs.tolist() == [2, 4, 4, 1, 1, 4]  # 10, 1 and 5 targets, the first run of a user being the short one
    for size in (1, 3, 7):
        part = training_probe(train, size, 4)
        assert len(part) == size and set(part.targets.tolist()) <= set(whole.targets.tolist())
        assert part.targets.tolist() == training_probe(train, size, 4).targets.tolist()


def test_blocks_hold_whole_runs() -> None:
    train = sequences([list(range(1, 12)), [31, 32], list(range(40, 46))])
    probe = training_probe(train, 100, 4)
    assert [len(block) for block in probe.blocks(2)] == [6, 5, 5]
    assert [len(block) for block in probe.blocks(100)] == [16]
    assert [len(block) for block in training_probe(train, 100).blocks(9)] == [9, 7]
    assert next(probe.blocks(1)).targets.tolist() == [2, 3]
    assert not list(probe[:0].blocks(4))


def test_what_one_encoding_serves() -> None:
    probe = training_probe(sequences([list(range(1, 12)), [31, 32]]), 100, 4)
    run, back = probe.shared(4)
    assert run.tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3]
    assert back.tolist() == [1, 0, 3, 2, 1, 0, 3, 2, 1, 0, 0]
    run, back = probe.shared(3)
    assert run.tolist() == [0, 0, 1, 2, 2, 2, 3, 4, 4, 4, 5]
    assert back.tolist() == [1, 0, 0, 2, 1, 0, 0, 2, 1, 0, 0]
    run, back = probe.shared(1)
    assert run.tolist() == list(range(11)) and not back.any()
    alone = training_probe(sequences([[1, 2, 3]]), 5)
    assert [each.tolist() for each in alone.shared(4)] == [[0, 1], [0, 0]]
    assert [len(each) for each in probe[:0].shared(4)] == [0, 0]
