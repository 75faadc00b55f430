"""What two processes compute together, and one alone, as JSON: a program, since only one that has computed nothing yet
may fork. `test_parallel.py` runs it once and says what has to hold."""

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

import sklearn.cluster  # noqa: F401  a run imports it late: here once for all that are forked
import torch

from engine import job, spec
from engine.data import load_dataset, split_dataset
from engine.data.cases import held_out
from engine.errors import RankLostError
from engine.models.base import Trained
from engine.models.registry import build
from engine.models.sequential.recommender import SequentialRecommender
from engine.spool import RunFolder, read_records
from engine.training import loop, ranking
from engine.training.checkpoint import load_weights
from engine.training.losses import criterion
from engine.training.optimizer import make_optimizer
from engine.training.parallel.base import ALONE, Parallel
from engine.training.parallel.data import DataParallel, join
from engine.training.parallel.ranks import in_ranks
from engine.training.parallel.recorders import NullRecorder
from engine.training.parallel.vocabulary import VocabularyParallel

SIZE = 2
DATA = spec.Data(source=spec.Demo(users=41, items=50, communities=4, dim=16))
SPLIT = split_dataset(load_dataset(DATA), DATA)
TABLE = spec.Table(init=spec.RandomRows(), normalize="none")
# 101 windows in batches of 10: the last of an epoch holds one, and one of the two processes has none of its own
SASREC = spec.SASRec(width=16, inner=32, max_length=10, dropout=0, windows="fixed")


def experiment(
    backbone: Any = SASREC, table: spec.Table = TABLE, micro: int | None = None, *, cut: bool = False, **train: Any
) -> Any:
    settings = {"batch_size": 10, "epochs": 3, "lr": 1e-2, "probe": 64, **train}
    return spec.Experiment(
        data=DATA,
        backbone=backbone,
        table=table,
        train=spec.Train(**settings),
        evaluate=spec.Evaluate(curvature=8),
        execution=spec.Execution(micro_batch=micro, devices=SIZE, shard_items=cut),
    )


STEPPED = {
    "sasrec": experiment(),
    "gru4rec": experiment(spec.GRU4Rec(width=16, hidden=16, max_length=10, dropout=0, windows="fixed")),
    "bert4rec": experiment(spec.BERT4Rec(width=16, inner=32, max_length=10, dropout=0, windows="fixed")),
    "in pieces": experiment(loss=spec.GBCE(negatives=7), micro=2),
    "freed later": experiment(
        table=TABLE.model_copy(update={"inject": spec.Initialise(freeze_epochs=1)}), optimizer=spec.AdamW()
    ),
    "lightgcn": experiment(
        spec.LightGCN(width=16), TABLE.model_copy(update={"bias": spec.FreeBias()}), loss=spec.BPR(negatives=2)
    ),
}


UNIT = spec.Table(init=spec.RandomRows(), normalize="both", tau=0.2, tau_trained=True, bias=spec.FreeBias())
CUT = {
    "sasrec": experiment(table=UNIT, optimizer=spec.SGD(), lr=0.5, cut=True),
    "gru4rec": experiment(STEPPED["gru4rec"].backbone, optimizer=spec.SGD(), lr=0.5, cut=True),
    "bert4rec": experiment(
        STEPPED["bert4rec"].backbone,
        TABLE.model_copy(update={"inject": spec.Initialise(keep_lengths=True), "bias": spec.PopularityBias()}),
        micro=2,
        optimizer=spec.SGD(),
        lr=0.5,
        cut=True,
    ),
}


def stepped(one: spec.Experiment, parallel: Parallel, steps: int) -> tuple[list[float], torch.Tensor]:
    """Losses of the first steps, and the weights behind them."""
    model = build(one, SPLIT.train, 50)
    return [parallel.total(loss) for loss in taken(one, model, parallel, steps)], weights(model)


def taken(one: spec.Experiment, model: Trained, parallel: Parallel, steps: int) -> Iterator[torch.Tensor]:
    """The first steps, each with its loss."""
    optimizer = make_optimizer(model, one.train)
    minimised = criterion(one.train.loss, model.n_items)
    epochs = ((epoch, batch) for epoch in count(0) for each in model.batches(epoch) for batch in each)
    for epoch, batch in islice(epochs, steps):
        model.begin_epoch(epoch)
        yield loop.train_step(model, optimizer, batch, minimised, one.execution.micro_batch, parallel=parallel)


def over_slices(one: spec.Experiment, parallel: Parallel, model: Trained) -> Parallel:
    """The same for a model that it cuts, where the experiment says so."""
    if one.execution.shard_items and isinstance(parallel, DataParallel) and isinstance(model, SequentialRecommender):
        return VocabularyParallel(parallel.rank, parallel.size, model)
    return parallel


def cut(parallel: Parallel, home: Path) -> dict[str, Any]:
    """By name as `steps`, the weights from a file that the first process reads; ranks and lists of the cut model."""
    found = {}
    cases = held_out(SPLIT.valid_history, SPLIT.valid)
    for name, one in CUT.items():
        number = 6 if name == "bert4rec" else 13
        model = build(one, SPLIT.train, 50)
        together = over_slices(one, parallel, model)
        losses = [together.total(loss) for loss in taken(one, model, together, number)]
        together.save(home / name, model.state_dict(), {"rows": len(model.state_dict()["table.weight"])})
        with ranking.evaluating(model) as scorer:
            ours = together.evaluate(scorer, cases, True)
            lists = together.top_lists(scorer, cases, True, SPLIT.train).items
        if parallel.rank > 0:  # only the first one's answer counts
            continue
        whole = build(one, SPLIT.train, 50)
        alone = [float(loss) for loss in taken(one, whole, ALONE, number)]
        theirs = weights(whole)
        held = load_weights(home / name, whole)["rows"]
        with ranking.evaluating(whole) as scorer:
            as_one = ALONE.evaluate(scorer, cases, True)
            as_one_lists = ALONE.top_lists(scorer, cases, True, SPLIT.train).items
        found[name] = {
            "together": losses,
            "alone": alone,
            "apart": float((weights(whole) - theirs).abs().max()),
            "held": held,
            "ranks": [ours[0].tolist(), as_one[0].tolist()],
            "ce": [ours[1], as_one[1]],
            "lists": [lists.tolist(), as_one_lists.tolist()],
        }
    return found


def weights(model: Trained) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def steps(parallel: Parallel) -> dict[str, Any]:
    """By name: losses of both ways, and by how much their weights differ."""
    found = {}
    for name, one in STEPPED.items():
        number = 13 if name in ("sasrec", "gru4rec") else 8  # 11 are an epoch
        together, ours = stepped(one, parallel, number)
        if parallel.rank > 0:
            continue
        alone, theirs = stepped(one, ALONE, number)
        found[name] = {"together": together, "alone": alone, "apart": float((ours - theirs).abs().max())}
    return found


def ranks(parallel: Parallel) -> dict[str, Any]:
    model = build(STEPPED["sasrec"], SPLIT.train, 50)
    cases = held_out(SPLIT.valid_history, SPLIT.valid)
    ranking.BLOCK = 5  # many blocks of few users
    with ranking.evaluating(model) as scorer:
        ours, theirs = parallel.evaluate(scorer, cases, True), ALONE.evaluate(scorer, cases, True)
    return {"ranks": [ours[0].tolist(), theirs[0].tolist()], "ce": [ours[1], theirs[1]]}


def resumed(parallel: Parallel, home: Path) -> dict[str, Any]:
    """Whole and interrupted runs, with dropout: their weights byte by byte."""
    one = experiment(SASREC.model_copy(update={"dropout": 0.2}), cut=home.name == "slices", epochs=2)
    home.mkdir(exist_ok=True)

    def run(name: str, stops: Callable[[], bool] = lambda: False, *, resume: bool = False) -> bytes:
        folder = RunFolder(home / name)
        folder.root.mkdir(exist_ok=True)
        model = build(one, SPLIT.train, 50)
        ours = over_slices(one, parallel, model)
        ours.seed(one.seed)
        loop.train(one, SPLIT, model, NullRecorder(), folder, resume=resume, should_stop=stops, parallel=ours)
        return b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values())

    whole = run("whole")
    asked = iter(range(100))
    try:
        run("parts", lambda: next(asked) == 6)
    except loop.StoppedError:
        stopped = True
    again = run("parts", resume=True)
    alone = RunFolder(home / "alone")
    alone.root.mkdir(exist_ok=True)
    if parallel.rank == 0:  # any number of processes goes on from a checkpoint
        (alone.root / "last.safetensors").write_bytes((home / "parts" / "last.safetensors").read_bytes())
        (alone.root / "best.safetensors").write_bytes((home / "parts" / "best.safetensors").read_bytes())
        loop.train(one, SPLIT, build(one, SPLIT.train, 50), NullRecorder(), alone, resume=True)
    return {"equal": whole == again, "stopped": stopped, "files": sorted(p.name for p in (home / "whole").iterdir())}


def to_their_end(parallel: Parallel, home: Path) -> dict[str, Any]:
    """What two processes find that go on to their end."""
    return {"steps": steps(parallel), "cut": cut(parallel, home), "ranks": ranks(parallel)}


def met(work: Callable[[Parallel], Any]) -> Callable[[int, Path], Any]:
    def of_rank(rank: int, meeting: Path) -> Any:
        torch.set_num_threads(1)
        join(rank, SIZE, meeting, torch.device("cpu"))
        return work(DataParallel(rank, SIZE))

    return of_rank


def killed(parallel: Parallel) -> None:
    if parallel.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    parallel.decided(True)


def raising(parallel: Parallel) -> None:
    if parallel.rank == 1:
        raise loop.DivergedError("the loss is nan at step 3")
    parallel.decided(True)


def hanging(parallel: Parallel) -> None:
    """The first one is deaf, in a product that never ends."""
    if parallel.rank == 1:
        raise MemoryError("not enough of it")
    time.sleep(600)


def ended(folder: RunFolder) -> bool:
    return any(record["r"] == "end" for record in read_records(folder.spool)[0])


def as_job(folder: RunFolder, *, kills: bool = False) -> dict[str, Any]:
    """A run by its entry point: its exit code and records. `kills`: its second process is killed in the middle."""
    folder.root.mkdir()
    one = experiment(epochs=400 if kills else 2)
    folder.spec.write_text(spec.to_json(one))
    parent = os.getpid()
    killer = os.fork() if kills else 0
    if kills and killer == 0:
        while not folder.last.exists() and os.getppid() == parent and not ended(folder):
            time.sleep(0.05)
        listed = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        os.kill(max(int(pid) for pid in listed), signal.SIGKILL)
        os._exit(0)
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        code = job.main([str(folder.root)])
    if kills:
        os.waitpid(killer, 0)
    records, _ = read_records(folder.spool)
    kinds = Counter(record["r"] for record in records)
    errors = [record["text"] for record in records if record["r"] == "event" and record["level"] == "error"]
    steps = [record["step"] for record in records if record["r"] == "points" and "train_ce" in record["values"]]
    return {"code": code, "results": kinds["result"], "ends": kinds["end"], "errors": errors, "measured": steps[:3]}


def end_of(work: Callable[[Parallel], Any]) -> str:
    try:
        in_ranks(SIZE, met(work), lambda: False)
    except (RankLostError, loop.DivergedError, MemoryError) as error:
        return f"{type(error).__name__}: {error}"
    return "none"


def main(home: Path) -> None:
    never = bool
    answers = {
        **in_ranks(SIZE, met(lambda parallel: to_their_end(parallel, home)), never),
        "resumed": {
            name: in_ranks(SIZE, met(partial(resumed, home=home / name)), never) for name in ("whole tables", "slices")
        },
        "ends": {work.__name__: end_of(work) for work in (killed, raising, hanging)},
        "jobs": {
            "whole": as_job(RunFolder(home / "job")),
            "killed": as_job(RunFolder(home / "killed"), kills=True),
        },
        "left": [
            each for each in map(str, Path("/proc").glob(f"{os.getpid()}/task/*/children")) if Path(each).read_text()
        ],
    }
    print(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
