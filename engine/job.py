"""The process entry of the science wing: trains one run, prints what a data set holds, or encodes item text.

    python -m engine.job RUN_FOLDER [--device NAME]
    python -m engine.job --inspect SPEC_JSON OUT_JSON
    python -m engine.job --embed SPEC_JSON OUT_DIR
    python -m engine.job --diagnose REQUEST_JSON OUT_DIR
    python -m engine.job --import-data REQUEST_JSON OUT_DIR
    python -m engine.job --import-vectors REQUEST_JSON OUT_DIR
    python -m engine.job --import-ranks REQUEST_JSON OUT_DIR
    python -m engine.job --export-split REQUEST_JSON OUT_DIR

A run's folder holds `spec.json`; everything that happens goes to its spool. `--device` is where a worker
placed it. Exit codes: 0 finished or stopped as asked, 1 failed, 2 wrong use, 74 the disk is full.
"""

from __future__ import annotations

import errno
import io
import json
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from engine import spec
from engine.errors import RankLostError, UserError
from engine.files import clear_leftovers, held, write_text
from engine.priority import follow_nice
from engine.spool import ATTEMPT, EXIT_FULL, REQUEUES, Level, RunFolder, SpoolWriter, SupersededError, read_records
from engine.warmup import warm_up


class JobRecorder(SpoolWriter):
    """The spool, with events repeated in the log for people who follow it."""

    def event(self, text: str, level: Level = "info") -> None:
        super().event(text, level)
        print(f"{time.strftime('%H:%M:%S')} {level}: {text}", flush=True)


def main(arguments: list[str]) -> int:
    if refused := follow_nice():
        print(refused, flush=True)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what cannot be written to a log ends no run
    if len(arguments) == 3 and arguments[0] == "--inspect":
        return inspect(Path(arguments[1]), Path(arguments[2]))
    answers = {
        "--embed": embed,
        "--diagnose": diagnose,
        "--import-data": import_data,
        "--import-vectors": import_vectors,
        "--import-ranks": import_ranks,
        "--export-split": export_split,
    }
    if len(arguments) == 3 and arguments[0] in answers:
        return answers[arguments[0]](Path(arguments[1]), RunFolder(Path(arguments[2])))
    if len(arguments) in (1, 3) and not arguments[0].startswith("-") and arguments[1:2] in ([], ["--device"]):
        return _told(RunFolder(Path(arguments[0]).resolve()), arguments[2] if len(arguments) == 3 else None)
    print(__doc__, file=sys.stderr)
    return 2


# ------------------------------------------------------------------------------------ train


def _told(folder: RunFolder, device: str | None) -> int:
    """`run`; where the disk has no room for its last word, the exit code is that."""
    try:
        return run(folder, device)
    except SupersededError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(f"{folder.root}: the disk is full; make room and resume the run", file=sys.stderr)
        return EXIT_FULL


def run(folder: RunFolder, device: str | None = None) -> int:
    """Train the run in the folder, or continue it; its last record says how it ended. `device` (where a
    worker placed it) stands for `execution.device`.

    Where memory does not suffice for a training step, the process starts itself again, once, from the
    last checkpoint and with half the micro-batch.
    """
    if not folder.spec.exists():
        print(f"{folder.root}: holds no spec.json; runs are made by `tfllmer run`", file=sys.stderr)
        return 2
    stop = _StopRequest()
    with held(folder.lock, patience_s=0.5) as alone:
        if not alone:
            print(f"{folder.root}: another process runs this already", file=sys.stderr)
            return 2
        clear_leftovers(folder.root)
        before = _all_records(folder.spool)
        attempt = 1 + sum(record["r"] == "start" for record in before)
        if attempt > int(os.environ.pop(ATTEMPT, attempt)):  # its worker was stopped before it could start this
            raise SupersededError(f"{folder.root}: another process has taken it up meanwhile; it is left alone")
        recorder = JobRecorder(folder)
        recorder.start(attempt, os.getpid(), psutil.Process().create_time())
        experiment: spec.Experiment | None = None
        try:
            warm_up("engine.training.run", lean=True)  # takes a while: the start is told first
            from engine.training.run import carry_out

            experiment = _placed(folder, device, before)
            stop.limit(experiment.execution.time_limit_s)
            result = carry_out(experiment, folder, recorder, attempt, stop)
        except UserError as error:
            recorder.event(str(error), "error")
            recorder.end("failed", f"user error: {error}")
            return 2
        except RankLostError as error:  # no last word: whoever follows it starts it again from its checkpoint
            recorder.event(str(error), "error")
            return 1
        except BaseException as error:  # a panic of Rust code is no Exception
            windows = None if experiment is None or _smaller(before) else _half_step(error, experiment)
            if windows is None:
                return _failed(recorder, error)
            recorder.facts({_SMALLER: windows})
            recorder.event(f"out of memory ({_first_line(error)}): starts again with half the batch", "warning")
        else:
            return _ended(recorder, result, stop)
    again = [sys.executable, "-P", "-m", "engine.job", str(folder.root), *(["--device", device] if device else [])]
    os.execv(sys.executable, again)  # the same process for whoever follows it, with nothing in its memory


def _ended(recorder: JobRecorder, result: dict[str, Any] | None, stop: _StopRequest) -> int:
    if result is not None:
        recorder.result(result)
        split = "test" if "test" in result else "valid"
        chosen = f" at epoch {result['best_epoch']}" if result["train_ce"] else ""  # a fitted model has no epochs
        recorder.event(f"finished: {split} ndcg@10 {result[split]['ndcg@10']:.4f}{chosen}")
        recorder.end("finished", "")
        return 0
    if stop.asked and os.environ.get(REQUEUES):
        recorder.event("its place is wanted: the state is saved, and it goes on in another one")
        return 0
    if stop.asked:
        recorder.event("stopped as asked; the state is saved")
        recorder.end("cancelled", "stopped by the user (SIGTERM)")
        return 0
    recorder.event(f"stopped after {stop.limit_s:g} s, the limit of an attempt; the state is saved", "error")
    recorder.end("failed", f"time limit: stopped after {stop.limit_s:g} s; the state is saved")
    return 1


class _StopRequest:
    """True once SIGTERM has come, or the time is over."""

    def __init__(self) -> None:
        self.asked, self.limit_s = False, math.inf
        self._began = time.monotonic()
        signal.signal(signal.SIGTERM, self._ask)

    def limit(self, seconds: float | None) -> None:
        self.limit_s = math.inf if seconds is None else seconds

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def __call__(self) -> bool:
        return self.asked or time.monotonic() - self._began > self.limit_s


_SMALLER = "micro_batch"
"""The fact by which a run remembers that its micro-batch was halved."""


def _smaller(records: list[dict[str, Any]]) -> int | None:
    """The micro-batch of an earlier attempt that had run out of memory."""
    return _fact(records, _SMALLER)


def _fact(records: list[dict[str, Any]], name: str) -> int | None:
    """The last value of a number among the facts of earlier attempts."""
    told = [record["values"][name] for record in records if record["r"] == "facts" and name in record["values"]]
    return int(told[-1]) if told else None


def _half_step(error: BaseException, experiment: spec.Experiment) -> int | None:
    """Half the windows of a step that was too large for the memory; None where something else went wrong, or a step
    has one window already."""
    from engine.training.run import StepTooLargeError

    whole = -(-experiment.train.batch_size // experiment.execution.devices)
    windows = experiment.execution.micro_batch or whole
    return -(-windows // 2) if isinstance(error, StepTooLargeError) and windows > 1 else None


def _placed(folder: RunFolder, device: str | None, before: list[dict[str, Any]]) -> spec.Experiment:
    """The folder's experiment, as it is executed here and after what came before."""
    experiment = spec.from_json(folder.spec.read_text("utf-8"))
    changes = {"device": device, "micro_batch": _smaller(before)}
    if experiment.execution.threads is None:
        changes["threads"] = _fact(before, "threads")  # others would change the last bits of what follows
    here = {name: value for name, value in changes.items() if value is not None}
    return experiment.model_copy(update={"execution": experiment.execution.model_copy(update=here)})


def _failed(recorder: JobRecorder, error: BaseException) -> int:
    kind, detail = f"exception: {type(error).__name__}", "".join(traceback.format_exception(error))
    if "torch" not in sys.modules:  # what needs none is not kept waiting for it by its failure
        kind = "out of memory" if isinstance(error, MemoryError) else kind
    else:
        with suppress(ImportError, OSError):  # where something of it cannot be loaded, the error says so
            from engine.training.loop import DivergedError
            from engine.training.run import StepTooLargeError, is_out_of_memory

            if isinstance(error, StepTooLargeError):
                error = error.cause
                kind, detail = f"exception: {type(error).__name__}", "".join(traceback.format_exception(error))
            if isinstance(error, DivergedError):
                kind, detail = "diverged", ""
            elif is_out_of_memory(error):
                kind = "out of memory"
    recorder.event(f"{kind}: {error}", "error")
    print(detail, flush=True)
    recorder.end("failed", f"{kind}: {_first_line(error)}", detail)
    return 1


def _first_line(error: BaseException) -> str:
    """What the error says, on one line."""
    return (str(error).split("\n", 1)[0] or type(error).__name__).strip()


def _all_records(spool: Path) -> list[dict[str, Any]]:
    records, offset = read_records(spool)
    while True:
        more, behind = read_records(spool, offset)
        if behind == offset:
            return records
        records += more
        offset = behind


# ------------------------------------------------------------------------------------ inspect


def inspect(spec_file: Path, out: Path) -> int:
    """Statistics of the data set that the specification names, as JSON."""
    from engine.data import load_dataset, split_dataset, statistics

    try:
        experiment = spec.from_json(spec_file.read_text("utf-8"))
        dataset = load_dataset(experiment.data)
        values = statistics(dataset, split_dataset(dataset, experiment.data))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    write_text(out, json.dumps(values, indent=2))
    return 0


# ------------------------------------------------------------------------------------ embed


def embed(spec_file: Path, folder: RunFolder) -> int:
    """Encode the text of a data set's items; the folder's spool tells how far it is and how it ended."""
    stop = _StopRequest()
    recorder = JobRecorder(folder)
    try:
        from engine.embeddings.encode import embed as encode

        result = encode.embed(encode.Embed.model_validate_json(spec_file.read_bytes()), recorder, stop)
    except UserError as error:
        recorder.end("failed", f"user error: {error}")
        return 2
    except BaseException as error:
        return _failed(recorder, error)
    if result is None:
        recorder.end("cancelled", "stopped as asked; what is encoded is kept")
        return 0
    recorder.result(result)
    recorder.end("finished", "")
    return 0


# ------------------------------------------------------------------------------------ diagnose


def diagnose(request_file: Path, folder: RunFolder) -> int:
    """Measure geometry before training, or a finished run's curvature; progress and result go to the folder's spool."""
    recorder = JobRecorder(folder)
    try:
        from engine.training import diagnosis

        recorder.result(diagnosis.run(diagnosis.Diagnosis.model_validate_json(request_file.read_bytes()), recorder))
    except UserError as error:
        recorder.end("failed", f"user error: {error}")
        return 2
    except BaseException as error:
        return _failed(recorder, error)
    recorder.end("finished", "")
    return 0


# ------------------------------------------------------------------------------------ import


def import_data(request_file: Path, folder: RunFolder) -> int:
    """Make an atomic file of data in another form; what was understood goes to the folder's spool."""

    def result() -> dict[str, Any]:
        from engine.data import imports

        return imports.import_data(imports.Import.model_validate_json(request_file.read_bytes()))

    return _answered(folder, result)


def import_vectors(request_file: Path, folder: RunFolder) -> int:
    """Make a file of vectors of one in another form; what was understood goes to the folder's spool."""

    def result() -> dict[str, Any]:
        from engine.embeddings import imports

        return imports.import_vectors(imports.VectorsImport.model_validate_json(request_file.read_bytes()))

    return _answered(folder, result)


def import_ranks(request_file: Path, folder: RunFolder) -> int:
    """Make a run of another program's ranks or scores; what was understood goes to the folder's spool."""

    def result() -> dict[str, Any]:
        from engine.training import imported

        return imported.import_ranks(imported.RanksImport.model_validate_json(request_file.read_bytes()))

    return _answered(folder, result)


def export_split(request_file: Path, folder: RunFolder) -> int:
    """Write a split for other programs; its sizes go to the folder's spool."""

    def result() -> dict[str, Any]:
        from engine.data import split_folder

        return split_folder.export_split(split_folder.SplitExport.model_validate_json(request_file.read_bytes()))

    return _answered(folder, result)


def _answered(folder: RunFolder, result: Callable[[], dict[str, Any]]) -> int:
    recorder = JobRecorder(folder)
    try:
        recorder.result(result())
    except UserError as error:
        recorder.end("failed", f"user error: {error}")
        return 2
    except BaseException as error:
        return _failed(recorder, error)
    recorder.end("finished", "")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
