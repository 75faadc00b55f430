"""Tuning: what is drawn and chosen depends on the seed and the curves alone, and never on the test split."""

import math
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import UserError
from engine.metrics import load_ranks
from engine.presets import expand, find_study
from engine.presets.spaces import find_space
from engine.queue import cancel
from engine.queue.studies import submit
from engine.queue.tuning import trials
from engine.queue.tuning.criteria import criterion
from engine.queue.tuning.sampling import Tried, draw, pruned_at
from engine.queue.tuning.trials import PRUNED, Tuner, begun, domains_of
from engine.records import RunStatus
from engine.spool import RunFolder
from engine.store import Run, Store, create_run, experiment_of, get_run, ingest, list_runs, open_store, set_status
from engine.store.archives.packing import pack
from engine.store.archives.unpacking import bring_archive
from engine.store.studies import known_study
from engine.store.tunings import list_tunings, stored_tuning
from engine.views.selection import finished_evidence
from engine.views.tuning import best_trial, tuning_view
from engine.views.verdicts import judged
from tests.engine.queue.tunings import EPOCHS, asked, carry_out, told, train, work
from tests.jobs import do

# ------------------------------------------------------------------------------------ the same for every arm


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    """The usual tuning, carried out without trouble."""
    return told(carry_out(open_store(tmp_path_factory.mktemp("whole") / "whole.db"), asked()))


def test_every_arm_gets_the_same_budget_and_the_same_space(store: Store) -> None:
    arms = ("id", "tf-llmer/full")
    tuning = carry_out(store, asked(arms=arms, budget=3, startup=3))
    assert Counter(trial.arm for trial in tuning.trials) == dict.fromkeys(arms, 3)
    assert tuning.has_ended
    ids, llms = (tuning.trials_of(arm) for arm in arms)
    names = set(find_space("default").domains)
    assert {frozenset(trial.values) for trial in llms} == {frozenset(names)}
    assert {frozenset(trial.values) for trial in ids} == {frozenset(names - {"embedding.reduce.lambda"})}
    for one, other in zip(ids[1:], llms[1:], strict=True):  # what is drawn at random is drawn alike
        assert {name: value for name, value in other.values.items() if name in one.values} == one.values
    assert ids[0].values["train.lr"] == 0.001  # the preset itself
    text = tuning_view(store, tuning).budget_text()
    assert "3 trials for every arm" in text
    assert "besides: tf-llmer/full embedding.reduce.lambda, within the same number of trials" in text
    assert {run.study_id for run in list_runs(store)} == {known_study(store, "t").id}
    assert {experiment_of(run).evaluate.test for run in list_runs(store)} == {False}
    best = best_trial(tuning, "id")
    assert best is not None
    assert best.value == min(t.value for t in ids if t.value is not None)


def test_a_tuning_is_a_function_of_its_seed_not_of_workers_and_their_order(
    store: Store, tmp_path: Path, whole: list[tuple[Any, ...]]
) -> None:
    assert told(carry_out(store, asked(), lambda runs: runs[::-1])) == whole
    assert {state for _, _, _, state, *_ in whole} == {"finished", "pruned"}
    other = told(carry_out(open_store(tmp_path / "other.db"), asked(seed=1, budget=3)))
    assert [values for _, _, values, *_ in other[1:]] != [values for _, _, values, *_ in whole[1:3]]


def test_a_tuner_that_is_killed_at_any_step_loses_and_doubles_nothing(
    store: Store, whole: list[tuple[Any, ...]]
) -> None:
    done, step = False, 0
    while not done:  # another tuner for every step, and every third time the workers are gone with what they had
        tuner = Tuner(store, begun(store, asked()))
        done = tuner.step()
        waiting = list_runs(store, status="queued")
        step += 1
        if waiting and step % 3 == 0:
            train(store, waiting[0], 1, ends=False)
            set_status(store, waiting[0].id, RunStatus.LOST, "its process is gone")
        elif waiting:
            train(store, waiting[-1])
    kept = stored_tuning(store, "t")
    assert kept is not None
    assert told(kept) == whole
    assert set(Counter(run.spec_hash for run in list_runs(store)).values()) == {1}


_ALSO = [pytest.param(name, marks=pytest.mark.slow) for name in ("make_run", "cancel")]


@pytest.mark.parametrize("broken", ["save_tuning", *_ALSO])
def test_a_tuner_killed_between_two_writes_is_mended_by_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch, broken: str, whole: list[tuple[Any, ...]]
) -> None:
    """Before it can store what it has decided, before a run is made, before a pruned one is stopped."""
    real, calls = getattr(trials, broken), 0

    def dies(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(trials, broken, dies)
    done = False
    while not done:
        with suppress(KeyboardInterrupt):
            done = Tuner(store, begun(store, asked())).step()
        work(store)
    assert calls
    kept = stored_tuning(store, "t")
    assert kept is not None
    assert told(kept) == whole
    assert set(Counter(run.spec_hash for run in list_runs(store)).values()) == {1}


def test_more_trials_and_arms_go_on_from_those_there_are(store: Store, whole: list[tuple[Any, ...]]) -> None:
    short = carry_out(store, asked(budget=6))
    assert told(short) == whole[:6]
    assert told(carry_out(store, asked())) == whole
    assert begun(store, asked(arms=("id-norm",))).arms == ("id", "id-norm")
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"by": "train_ce"}, "another --by (valid_ce, not train_ce)"),
        ({"seed": 1}, "another --seed (0, not 1)"),
        ({"space_hash": "0"}, "another search space; give a new name"),
        ({"sets": ()}, "another --set"),
    ]
    for change, says in refusals:
        with pytest.raises(UserError) as refused:
            begun(store, asked(**change))
        assert says in str(refused.value)


def test_a_tuning_goes_on_from_an_archive_as_from_here(
    store: Store, tmp_path: Path, whole: list[tuple[Any, ...]]
) -> None:
    carry_out(store, asked(budget=5))
    pack(store, ["t"], tmp_path / "t.archive")
    there = open_store(tmp_path / "there.db")
    bring_archive(tmp_path / "t.archive", there)
    assert told(carry_out(there, asked())) == whole


def test_what_another_tuning_trained_counts(store: Store) -> None:
    carry_out(store, asked(budget=3))
    before = len(list_runs(store))
    carry_out(store, asked(budget=3, name="u", by="valid.ndcg@10"))
    assert len(list_runs(store)) == before
    assert [tuning.name for tuning in list_tunings(store)] == ["u", "t"]


def test_trials_stand_for_no_other_run_and_their_name_is_taken(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out(store, asked(budget=2, startup=2))
    with pytest.raises(UserError, match="no finished run matches"):
        finished_evidence(store)
    assert len(finished_evidence(store, "t")) == 2
    with pytest.raises(UserError, match="t: is a tuning, whose trials choose and do not judge"):
        judged(store, "t")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "study").mkdir(parents=True)
    (tmp_path / "configs" / "study" / "t.yaml").write_text("meaning: m\ngrid:\n  arm: [id]\n")
    study = find_study("t")
    with pytest.raises(UserError, match="a tuning of this store is called so"):
        submit(store, study, expand(study).cells)
    (tmp_path / "configs" / "study" / "t.yaml").rename(tmp_path / "configs" / "study" / "s.yaml")
    study = find_study("s")
    submit(store, study, expand(study).cells)
    with pytest.raises(UserError, match="--name s: a study of this store is called so"):
        Tuner(store, begun(store, asked(name="s"))).step()


# ------------------------------------------------------------------------------------ pruning, failures


def test_a_pruned_trial_is_a_run_that_ended_early_with_its_reason(store: Store) -> None:
    tuner = Tuner(store, begun(store, asked()))
    while not tuner.step():
        work(store)
    pruned = [trial for trial in tuner.tuning.trials if trial.state == "pruned"]
    assert pruned
    for trial in pruned:
        assert trial.run is not None
        run = get_run(store, trial.run)
        assert run.status == RunStatus.CANCELLED
        assert run.reason.startswith(f"{PRUNED} t at epoch {trial.stopped_at}: valid_ce ")
        assert trial.stopped_at is not None
        assert 2 <= trial.stopped_at < EPOCHS
    assert best_trial(tuner.tuning, "id") not in pruned


def test_a_trial_that_fails_or_is_cancelled_counts_and_is_tried_again_when_asked(store: Store) -> None:
    tuner = Tuner(store, begun(store, asked(budget=3, startup=3)))
    tuner.step()
    first, second, third = list_runs(store)[::-1]
    set_status(store, first.id, RunStatus.FAILED, "diverged: the loss is nan")
    cancel(store, [second.id])
    train(store, third)
    assert tuner.step()
    assert [trial.state for trial in tuner.tuning.trials] == ["failed", "failed", "finished"]
    assert tuner.tuning.trials[0].reason == "diverged: the loss is nan"
    again = Tuner(store, begun(store, asked(budget=3, startup=3)), retry_failed=True)
    assert not again.step()
    assert {run.id for run in list_runs(store, status="queued")} == {first.id, second.id}
    for run in list_runs(store, status="queued"):
        train(store, run)
    assert again.step()
    assert [trial.state for trial in again.tuning.trials] == ["finished"] * 3


def test_a_tuning_whose_trials_all_fail_says_why(store: Store) -> None:
    tuner = Tuner(store, begun(store, asked(startup=2)))
    tuner.step()
    for run in list_runs(store):
        set_status(store, run.id, RunStatus.FAILED, "out of memory")
    with pytest.raises(UserError, match="id: no trial came to a value; the first: out of memory"):
        tuner.step()


def test_two_tuners_of_a_name_are_not_at_it_at_once(store: Store) -> None:
    one, other = (Tuner(store, begun(store, asked())) for _ in range(2))
    with one.alone(), pytest.raises(UserError, match="another process goes on with this tuning"), other.alone():
        pass


def test_the_median_rule_compares_with_ended_trials_at_the_same_epoch() -> None:
    by = criterion("valid_ce")
    history = [Tried({}, level, {e: level + 1 - 0.1 * e for e in range(9)}, pruned=False) for level in (1, 2, 3, 4, 5)]
    worse = {e: 4.5 - 0.1 * e for e in range(9)}  # the median at epoch e is 4 - 0.1 e
    assert pruned_at(by, worse, history, warmup=2) == 2
    assert pruned_at(by, worse, history, warmup=5) == 5
    assert pruned_at(by, {e: 3.5 - 0.1 * e for e in range(9)}, history, warmup=2) is None
    assert pruned_at(by, worse, history[:3], warmup=2) is None  # too few to compare with
    crossing = {e: 3.9 if e < 6 else 9.0 for e in range(9)}
    assert pruned_at(by, crossing, history, warmup=2) == next(e for e in range(2, 9) if 4 - 0.1 * e < 3.9)


def test_what_is_drawn_depends_on_its_arguments_alone() -> None:
    space = find_space("default")
    by = criterion("valid_ce")
    known = [Tried({"train.lr": 10.0 ** -(2 + n / 4), "table.tau": 0.1}, n, {1: n}, pruned=False) for n in range(8)]
    first = draw(space.domains, by, known, seed=3, startup=5)
    assert first == draw(space.domains, by, known, seed=3, startup=5)
    assert first["train.lr"] == float(f"{first['train.lr']:.4g}")
    assert first != draw(space.domains, by, known, seed=4, startup=5)
    lrs = [draw(space.domains, by, known, seed=n, startup=5)["train.lr"] for n in range(20)]
    assert np.median(lrs) > 1.5e-3  # the best of those known are near 1e-2; half of all draws lie below 1e-3


# ------------------------------------------------------------------------------------ criteria, spaces


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("val_ndcg@10", "valid.ndcg@10"),
        ("valid.ndcg@10", "valid.ndcg@10"),
        ("VAL_CE", "valid_ce"),
        ("train_ce", "train_ce"),
        ("val.hr@5", "valid.hr@5"),
    ],
)
def test_a_criterion_by_its_names(name: str, means: str) -> None:
    assert criterion(name).name == means


@pytest.mark.parametrize("name", ["test.ndcg@10", "ndcg@10", "test.hr@5", "test_ce"])
def test_the_test_split_never_chooses(name: str) -> None:
    with pytest.raises(UserError, match="the test split never chooses"):
        criterion(name)


def test_the_value_of_a_curve() -> None:
    curve = {0: 5.0, 1: 3.0, 2: math.nan, 3: 4.0}
    assert criterion("valid_ce").value(curve) == (1, 3.0)
    assert criterion("valid.ndcg@10").value(curve) == (0, 5.0)
    assert criterion("train_ce").value(curve) == (3, 4.0)
    assert criterion("train_ce").value({0: 1.0, 1: math.inf}) is None
    assert criterion("valid_ce").value({}) is None


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ("  train.lr: {low: 1, high: 0.1}", "mine.yaml:3: train.lr: a range needs numbers low < high"),
        ("  train.lr: {low: 0, high: 1, log: true}", "mine.yaml:3: train.lr: log is true or false, and a range"),
        ("  train.lr: 0.1", "mine.yaml:3: train.lr: give a list of values, or"),
        ("  train.lr: [0.1]", "mine.yaml:3: train.lr: needs two choices"),
        ("  train.lrr: [1, 2]", "mine.yaml:3: train.lrr: no such setting (did you mean train.lr?)"),
        ("  epochs: [1, 2]", "mine.yaml:3: train.epochs: is the same for everything that is compared"),
        ("  evaluate.test: [true, false]", "mine.yaml:3: evaluate.test: is the same for everything"),
        ("  data.k_core: [1, 5]", "mine.yaml:3: data.k_core: is the same for everything that is compared"),
        ("  seed: [0, 1]", "mine.yaml:3: seed: is the axis seed of a study"),
        ("  embedding.reduce: [pca, rec-pca]", "mine.yaml:3: embedding.reduce: another kind is another arm"),
        ("  lr: [0.1, 0.2]\n  train.lr: [1, 2]", "mine.yaml:4: train.lr is there twice"),
        ("  train.lr: {low: 0.1, high: 1, step: 2}", "mine.yaml:3: train.lr: a range has low, high and log, not step"),
    ],
)
def test_a_space_that_does_not_fit_is_one_line_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "tune").mkdir(parents=True)
    (tmp_path / "configs" / "tune" / "mine.yaml").write_text(f"meaning: m\nspace:\n{space}\n")
    with pytest.raises(UserError) as refused:
        find_space("mine")
    assert str(refused.value).startswith(f"./configs/tune/{says}")


def test_a_space_is_told_by_what_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "tune").mkdir(parents=True)
    texts = ["  tau: [0.1, 1]\n  lr: {low: 1e-4, high: 0.01}", "  lr: {high: 0.01, low: 0.0001}\n  tau: [1, 0.1]"]
    for n, text in enumerate([*texts, texts[0].replace("0.1", "0.2")]):
        (tmp_path / "configs" / "tune" / f"s{n}.yaml").write_text(f"meaning: m\nspace:\n{text}\n")
    first, second, third = (find_space(f"s{n}").hash for n in range(3))
    assert first == second != third


def test_an_arm_that_does_not_fit_is_refused_before_anything_is_queued() -> None:
    with pytest.raises(UserError, match="search space has it"):
        domains_of(asked(sets=("lr=0.1",)))
    with pytest.raises(UserError, match="has 3 different settings of id"):
        domains_of(asked(domains={"train.lr": [0.1, 0.2, 0.3]}))
    with pytest.raises(UserError, match="reads no setting of the search space"):
        domains_of(asked(domains={"embedding.reduce.lambda": [0.1, 0.2, 0.3]}))


# ------------------------------------------------------------------------------------ the test split


def write_data(folder: Path, test_items: Callable[[int], int]) -> Path:
    """21 users of 8 interactions with 21 items, all of which stand in training; the last of each user, the test item,
    is what is given."""
    rng = np.random.default_rng(0)
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user in range(21):
        seen = range(7 * user, 7 * user + 7) if user < 3 else rng.permutation(21)[:7].tolist()
        lines += [f"u{user}\ti{item}\t{at}" for at, item in enumerate([*seen, test_items(user)])]
    folder.mkdir(parents=True)
    (folder / "planted.inter").write_text("\n".join(lines) + "\n")
    return folder


def test_the_test_split_is_never_read(tmp_path: Path) -> None:
    """A canary: other test items, the same trials, values and choice; and nothing of the split in what is stored."""
    items: list[Callable[[int], int]] = [lambda user: user, lambda user: (user * 5 + 3) % 21]
    tunings, tested = [], []
    for n, test_items in enumerate(items):
        folder = write_data(tmp_path / str(n) / "planted", test_items)
        store = open_store(tmp_path / f"{n}.db")
        sets = ("train.epochs=2", "backbone.width=8", "backbone.inner=8")
        tuner = Tuner(store, begun(store, asked(dataset=str(folder), budget=2, startup=2, sets=sets)))
        while not tuner.step():
            for run in list_runs(store, status="queued"):
                assert do(store.folder(run.id)) == 0
                ingest(store, run.id)
        tunings.append(tuner.tuning)
        for run in list_runs(store):
            assert run.result is not None
            assert not any("test" in name for name in run.result)
            assert load_ranks(store.folder(run.id).ranks).keys() == {"valid"}
            assert not store.folder(run.id).top.exists()
        tested.append(_with_test(store, list_runs(store)[0]))
    assert tunings[0].trials[0].spec_hash != tunings[1].trials[0].spec_hash  # other files
    assert told(tunings[0]) == told(tunings[1])
    assert best_trial(tunings[0], "id") is not None
    assert tested[0] != tested[1]  # the canary sings where the split is read


def _with_test(store: Store, trial: Run) -> Any:
    """The test metrics of the same experiment when it is tested."""
    experiment = experiment_of(trial)
    tested = experiment.model_copy(update={"evaluate": experiment.evaluate.model_copy(update={"test": True})})
    run = create_run(store, tested, overrides={}, command=[])
    assert run.spec_hash != trial.spec_hash
    assert do(RunFolder(store.folder(run.id).root)) == 0
    ingest(store, run.id)
    result = get_run(store, run.id).result
    assert result is not None
    return result["test"]
