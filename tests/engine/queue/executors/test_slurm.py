"""Runs through a real SLURM of one node: an array, a job that is requeued in the middle, one that is cancelled."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from engine.errors import UserError
from engine.files import write_text
from engine.queue.executors.base import Ending, How, RefusedError, Task
from engine.queue.executors.clusters import cluster_for, find_cluster, list_clusters
from engine.queue.executors.endings import last_word
from engine.queue.executors.jobs import JobEnd, end_file, handle_file
from engine.queue.executors.slurm.cluster import SlurmCluster
from engine.queue.executors.slurm.executor import SlurmExecutor
from engine.queue.executors.slurm.job import RunJob
from engine.spool import RunFolder
from engine.store import Run, get_run, list_runs, open_store
from tests.engine.queue.executors.contract import shell
from tests.engine.queue.executors.small_study import Bench
from tests.engine.queue.workers import until


def is_asked_to_stop(pid: int) -> bool:
    """Whether a SIGTERM waits for a process that is held."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(status["ShdPnd"], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.slow
def test_a_study_with_one_preemption_gives_the_numbers_of_this_machine(
    slurm_here: dict[str, str], tmp_path: Path
) -> None:
    there, here = Bench(tmp_path / "there", slurm_here), Bench(tmp_path / "here", {})
    there("study", "run", "small", "--on", "slurm", "--detach")
    store = open_store(there.root / "experiments.db")

    held = list[Run]()

    def one_is_held() -> bool:
        """In the middle, or it might have ended before it is asked to give way."""
        for run in list_runs(store):
            folder = store.folder(run.id)
            if run.status == "running" and run.pid and folder.last.exists():
                with suppress(ProcessLookupError):
                    os.kill(run.pid, signal.SIGSTOP)
                    if not last_word(folder):
                        held.append(run)
                        return True
                    os.kill(run.pid, signal.SIGCONT)
        return False

    until(one_is_held, "one has saved its state", 300)
    (run,) = held
    subprocess.run(["scontrol", "requeue", run.handle], env=slurm_here, check=True)
    assert run.pid
    until(lambda: is_asked_to_stop(run.pid or 0), "the job has told it", 120)
    os.kill(run.pid, signal.SIGCONT)
    there("study", "run", "small", "--on", "slurm", "--json")
    here("study", "run", "small", "--json")
    assert there.table() == here.table()
    runs = list_runs(store)
    assert [run.status for run in runs] == ["finished"] * 4
    assert {run.handle.partition("_")[0] for run in runs} == {run.handle.partition("_")[0]}, "one array"
    assert get_run(store, run.id).attempt == 2
    assert get_run(store, run.id).crashes == 0
    assert f"slurm, job {run.handle}: COMPLETED" in there("show", run.id)


@pytest.mark.slow
def test_jobs_end_as_their_programs_do(
    slurm_here: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in slurm_here.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(SlurmExecutor, "poll_s", 0.3)
    executor = SlurmExecutor(tmp_path)
    folders = []
    for name, text in (("good", "exit 0"), ("bad", "echo no luck; exit 3"), ("long", "while :; do sleep 0.1; done")):
        folder = RunFolder(tmp_path / name)
        folder.root.mkdir()
        (folder.root / "program").write_text(text)
        folders.append(folder)
    good, bad, long = (SlurmExecutor(tmp_path, program_in(folder)).start([Task(folder, 1)])[0] for folder in folders)
    until(lambda: executor.ending(good) is not None and executor.ending(bad) is not None, "two have ended")
    assert executor.ending(good) == Ending(How.EXIT, "ended with exit code 0 without a last word")
    assert executor.ending(bad) == Ending(How.EXIT, "ended with exit code 3 without a last word: no luck")
    until((folders[2].root / "there").exists, "the long one runs")
    until(lambda: executor.state(long).startswith("RUNNING on one"), "SLURM says so")
    assert executor.alive(long)
    executor.stop(long)
    until(lambda: not executor.alive(long), "it has ended")
    assert (folders[2].root / "saved").exists()
    assert executor.ending(long) == Ending(How.CANCELLED, f"slurm job {long} ended as CANCELLED")
    monkeypatch.setenv("SBATCH_PARTITION", "nowhere")
    with pytest.raises(RefusedError, match=r"^slurm does not take it: .*nvalid partition"):
        executor.start([Task(folders[0], 1)])
    gone = executor.ending("99999")
    assert gone is not None
    assert gone.how is How.VANISHED


def program_in(folder: RunFolder) -> list[str]:
    return shell(f"cd {folder.root}; trap 'echo > saved; exit 0' TERM; echo > there; . ./program")


def test_a_job_that_is_warned_saves_its_state_and_is_started_again(tmp_path: Path) -> None:
    """With submitit's own local executor in the place of SLURM."""
    submitit = pytest.importorskip("submitit")
    folder = RunFolder(tmp_path / "run")
    folder.root.mkdir()
    text = "trap 'echo >> saved; exit 0' TERM; echo >> starts; [ -e saved ] && exit 4; while :; do sleep 0.05; done"
    work = RunJob(str(folder.root), str(tmp_path), shell(f"cd {folder.root}; {text}"), {}, 30.0)
    executor = submitit.LocalExecutor(tmp_path / "submitit")
    executor.update_parameters(timeout_min=5)
    job = executor.submit(work)
    write_text(handle_file(folder.root), job.job_id)
    until((folder.root / "starts").exists, "it has begun")
    (task,) = psutil.Process(int(job.job_id)).children()
    task.send_signal(signal.SIGUSR2)
    assert job.result() == 4
    assert (folder.root / "starts").read_text() == "\n\n"
    assert (folder.root / "saved").read_text() == "\n"
    end = JobEnd.model_validate_json(end_file(tmp_path, job.job_id).read_bytes())
    assert end == JobEnd(folder=str(folder.root), code=4, stopped=False)


def test_a_job_leaves_a_run_alone_that_names_another(tmp_path: Path) -> None:
    submitit = pytest.importorskip("submitit")
    (tmp_path / "run").mkdir()
    write_text(handle_file(tmp_path / "run"), "123_4")
    work = RunJob(str(tmp_path / "run"), str(tmp_path), shell(f"echo > {tmp_path}/ran"), {}, 30.0)
    assert submitit.DebugExecutor(tmp_path / "submitit").submit(work).result() == 0
    assert not (tmp_path / "ran").exists()


def test_what_is_missing_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = SlurmExecutor(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"^--on slurm: there is no sbatch, srun, squeue, scancel, scontrol here"):
        executor.check("")
    for name in ("sbatch", "srun", "squeue", "scancel", "scontrol"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    assert executor.alive("12"), "SLURM does not answer: nobody can say"
    executor.check("gpu")
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"^--on slurm: submitit is not installed; pip install 'tfllmer\[slurm\]'$"):
        executor.check("")


def test_cluster_presets_are_read_and_refused_with_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"default", "gpu"} <= list_clusters().keys()
    default, gpu = cluster_for(SlurmCluster, "default"), cluster_for(SlurmCluster, "gpu")
    assert (default.time, gpu.time, gpu.gpus) == (240, 1440, 1)
    folder = tmp_path / "configs" / "cluster"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("meaning: mine\npartition: long\ntime: 36:30:00\n")
    (folder / "bad.yaml").write_text("meaning: bad\npartion: long\n")
    monkeypatch.chdir(tmp_path)
    assert find_cluster("mine") == SlurmCluster(meaning="mine", partition="long", time=2190)
    with pytest.raises(UserError, match=r"bad\.yaml:2: partion: no such entry; it has executor, meaning, partition, "):
        find_cluster("bad")
    with pytest.raises(UserError, match=r"^--cluster defalt: no such cluster preset \(did you mean default\?\)$"):
        find_cluster("defalt")


@pytest.mark.parametrize(
    "text, minutes",
    [("90", 90), ("4:00:00", 240), ("30:30", 31), ("2-00:00:00", 2880), ("1-12", 2160), ("0:00:01", 1)],
)
def test_times_are_read_as_sbatch_reads_them(text: str, minutes: int) -> None:
    assert SlurmCluster(meaning="", time=text).time == minutes


@pytest.mark.slow
def test_a_time_limit_that_slurm_ends_saves_the_state_and_takes_another_turn(
    slurm_here: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in slurm_here.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(SlurmExecutor, "poll_s", 0.3)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "cluster").mkdir(parents=True)
    (tmp_path / "configs" / "cluster" / "short.yaml").write_text("meaning: a minute\ntime: 1\ngrace_s: 20\n")
    folder = RunFolder(tmp_path / "run")
    folder.root.mkdir()
    text = "trap '' USR2; trap 'echo >> saved; exit 0' TERM; echo >> starts"  # a shell forgets what is blocked
    text = f"{text}; [ -e saved ] && exit 4; while :; do sleep 0.1; done"
    executor = SlurmExecutor(tmp_path, shell(f"cd {folder.root}; {text}"))
    (job,) = executor.start([Task(folder, 1, cluster="short")])
    until((folder.root / "saved").exists, "it was warned", 180)
    until(lambda: executor.ending(job) is not None, "its second turn has ended", 300)
    assert executor.ending(job) == Ending(How.EXIT, "ended with exit code 4 without a last word")
    assert [(folder.root / name).read_text() for name in ("starts", "saved")] == ["\n\n", "\n"]
