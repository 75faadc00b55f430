"""Runs as jobs of Ray: what a job does on its node, presets, a cluster that does not answer; slow: a real one."""

import signal
import socket
import subprocess
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.files import write_text
from engine.queue import target_of
from engine.queue.executors.base import Ending, How, Task
from engine.queue.executors.clusters import cluster_for, find_cluster
from engine.queue.executors.jobs import JobEnd, handle_file, read_end
from engine.queue.executors.ray.cluster import RayCluster
from engine.queue.executors.ray.executor import RayExecutor, _asks
from engine.queue.executors.ray.job import Ticket, ticket_file
from engine.queue.executors.slurm.cluster import SlurmCluster
from engine.spool import RunFolder
from engine.store import Store, get_run, list_runs, open_store
from tests.engine.queue.executors.contract import shell
from tests.engine.queue.executors.ray_cluster import ray_cluster, require_ray
from tests.engine.queue.executors.small_study import Bench
from tests.engine.queue.workers import until
from tests.forks import start_python

MAIN = "import runpy; runpy.run_module('engine.queue.executors.ray.job', run_name='__main__')"
NOBODY = "http://127.0.0.1:9"


# ------------------------------------------------------------------------------------ on the node


class Job:
    """A run's folder with the ticket of a job, as the executor leaves them, and the program that Ray starts."""

    def __init__(self, root: Path, text: str) -> None:
        self.files, self.folder, self.name = root / "ray", RunFolder(root / "run"), "run-1"
        self.folder.root.mkdir()
        self.files.mkdir()
        argv = shell(f"cd {self.folder.root}; {text}")
        ticket = Ticket(address=NOBODY, folder=str(self.folder.root), argv=argv, environment={}, where=str(root))
        write_text(ticket_file(self.files, self.name), ticket.model_dump_json())
        write_text(handle_file(self.folder.root), self.name)

    def start(self) -> "subprocess.Popen[str]":
        return start_python(MAIN, str(ticket_file(self.files, self.name)), start_new_session=True)

    def has(self, name: str) -> bool:
        return (self.folder.root / name).exists()

    @property
    def end(self) -> JobEnd | None:
        return read_end(self.files, self.name)


def test_a_job_tells_the_end_of_its_work_and_leaves_nothing_behind(tmp_path: Path) -> None:
    job = Job(tmp_path, "(trap '' HUP; while :; do date > beat; sleep 0.02; done) & echo no luck; exit 3")
    assert job.start().wait(60) == 3
    assert job.end == JobEnd(folder=str(job.folder.root), code=3, stopped=False)
    assert job.folder.log.read_text() == "no luck\n"
    (job.folder.root / "beat").unlink(missing_ok=True)
    with pytest.raises(AssertionError):
        until(lambda: job.has("beat"), "something of it lives", 0.3)


def test_a_job_that_is_told_to_leave_saves_its_state(tmp_path: Path) -> None:
    job = Job(tmp_path, "trap 'echo > saved; exit 0' TERM; echo > there; while :; do sleep 0.05; done")
    process = job.start()
    until(lambda: job.has("there"), "it runs")
    process.terminate()
    assert process.wait(60) == 0
    assert job.has("saved")
    assert job.end == JobEnd(folder=str(job.folder.root), code=0, stopped=True)


@pytest.mark.parametrize("named", ["run-2", ""])
def test_a_job_whose_run_was_given_to_another_ends_and_one_that_comes_late_does_not_begin(
    tmp_path: Path, named: str
) -> None:
    """As on a node that was cut off while its run was started elsewhere."""
    job = Job(tmp_path, "trap '' TERM; echo >> starts; while :; do sleep 0.05; done")
    process = job.start()
    until(lambda: job.has("starts"), "it runs")
    write_text(handle_file(job.folder.root), named)
    assert process.wait(60) == 128 + signal.SIGKILL
    assert job.start().wait(60) == 0
    assert (job.folder.root / "starts").read_text() == "\n"


# ------------------------------------------------------------------------------------ presets


def test_a_preset_asks_for_shares_and_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "configs" / "cluster"
    folder.mkdir(parents=True)
    (folder / "shared.yaml").write_text(
        "meaning: four runs on a GPU\nexecutor: ray\naddress: http://head:8265\ncpus: 0.5\ngpus: 0.25\nmem: 3G\n"
        "resources: {fast_disk: 0.1}\nlabels: {ray.io/accelerator-type: A100}\ngrace_s: 30\n"
    )
    monkeypatch.chdir(tmp_path)
    shared = cluster_for(RayCluster, "shared")
    assert shared.head == "http://head:8265"
    assert _asks(shared, 2) == {
        "entrypoint_num_cpus": 0.5,
        "entrypoint_num_gpus": 0.25,
        "entrypoint_memory": 3 << 30,
        "entrypoint_resources": {"fast_disk": 0.1},
        "entrypoint_label_selector": {"ray.io/accelerator-type": "A100"},
        "runtime_env": {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "30"}},
    }
    assert _asks(cluster_for(RayCluster, "ray"), 2)["entrypoint_num_cpus"] == 2
    with pytest.raises(UserError, match=r"^--cluster gpu: is for --on slurm; `tfllmer presets cluster` lists"):
        cluster_for(RayCluster, "gpu")
    with pytest.raises(UserError, match=r"^--cluster shared: is for --on ray; "):
        cluster_for(SlurmCluster, "shared")


@pytest.mark.parametrize(
    "text, refusal",
    [
        ("executor: rai", r"bad\.yaml:2: executor: is one of slurm, ray \(did you mean ray\?\)$"),
        ("executor: ray\ngpus: 1.5", r"bad\.yaml:3: gpus: .*fraction of one GPU, or a whole number"),
        ("executor: ray\naddress: ray://head:10001", r"bad\.yaml:3: address: "),
        ("executor: ray\naddress: http://me:word@head:8265", r"bad\.yaml:3: address: "),
        (
            "executor: ray\npartition: long",
            r"bad\.yaml:3: partition: no such entry; it has executor, meaning, address,",
        ),
        ("executor: ray\ncpus: 0", r"bad\.yaml:3: cpus: "),
        ("executor: ray\nresources: {disk: -1}", r"bad\.yaml:3: resources\.disk: "),
    ],
)
def test_a_preset_that_does_not_fit_is_refused_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, refusal: str
) -> None:
    folder = tmp_path / "configs" / "cluster"
    folder.mkdir(parents=True)
    (folder / "bad.yaml").write_text(f"meaning: bad\n{text}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=refusal):
        find_cluster("bad")


@pytest.mark.parametrize(
    "variables, address",
    [
        ({}, "http://127.0.0.1:8265"),
        ({"RAY_ADDRESS": "10.0.0.1:6379"}, "http://127.0.0.1:8265"),
        ({"RAY_ADDRESS": "http://head:8265/"}, "http://head:8265"),
        ({"RAY_ADDRESS": "auto", "RAY_API_SERVER_ADDRESS": "https://lab"}, "https://lab"),
    ],
)
def test_the_address_is_that_of_rays_own_commands(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], address: str
) -> None:
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cluster_for(RayCluster, "ray").head == address


# ------------------------------------------------------------------------------------ a cluster that does not answer


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "experiments.db")


def test_where_no_cluster_answers_runs_are_not_handed_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", NOBODY)
    for on, cluster in (("ray", None), ("ray", "ray"), (None, "ray")):
        with pytest.raises(
            UserError, match=rf"^--on ray: no Ray cluster answers at {NOBODY} \(Connection refused\); start"
        ):
            target_of(store, on, cluster)


def test_what_answers_but_is_no_ray_is_told_apart(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.listen()
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setattr("engine.queue.executors.ray.head._PATIENCE_S", 0.2)
        with pytest.raises(UserError, match=r"^--on ray: no Ray cluster answers at \S+ \(timed out\)"):
            target_of(store, "ray", None)


def test_jobs_of_a_cluster_that_is_silent_live_until_it_must_be_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, executor = Job(tmp_path, "exit 0"), RayExecutor(tmp_path)
    assert executor.alive(job.name), "nobody can say"
    assert executor.ending(job.name) is None
    executor.stop(job.name)  # nothing happens
    monkeypatch.setattr("engine.queue.executors.ray.executor._GONE_S", 0.0)
    assert not executor.alive(job.name)
    assert executor.ending(job.name) == Ending(
        How.PREEMPTED, f"the Ray cluster at {NOBODY} of job run-1 no longer answers"
    )
    assert executor.ending("run-9") == Ending(How.VANISHED, "ray knows nothing of job run-9")


# ------------------------------------------------------------------------------------ real clusters


@pytest.mark.slow
def test_a_study_goes_on_where_a_node_of_three_is_lost_and_gives_the_numbers_of_this_machine(tmp_path: Path) -> None:
    require_ray()
    with ray_cluster(["--head", "--num-cpus=1"], ["--num-cpus=1"], ["--num-cpus=1"]) as cluster:
        there = Bench(tmp_path / "there", {"RAY_API_SERVER_ADDRESS": cluster.address})
        here = Bench(tmp_path / "here", {})
        there("study", "run", "small", "--on", "ray", "--detach")
        store = there.store
        lost: list[str] = []

        def works_elsewhere() -> bool:
            """Whether a node that is not the head works on a run that has saved its state; it is lost then."""
            saved = [
                run.id for run in list_runs(store) if run.status == "running" and store.folder(run.id).last.exists()
            ]
            for node in cluster.nodes[1:]:
                if there_now := [run_id for run_id in saved if node.has(f"engine.job {store.folder(run_id).root}")]:
                    node.kill()
                    lost.extend(there_now)
                    return True
            return False

        until(works_elsewhere, "a node that is not the head works on a run", 400)
        (run_id,) = lost
        there("study", "run", "small", "--on", "ray", "--json")
        here("study", "run", "small", "--json")
        assert there.table() == here.table()
        runs = list_runs(store)
        assert [run.status for run in runs] == ["finished"] * 4
        assert {run.id: run.attempt for run in runs} == {run.id: 1 + (run.id == run_id) for run in runs}
        again = get_run(store, run_id)
        assert again.crashes == 0
        assert f"ray, job {again.handle}: SUCCEEDED" in there("show", run_id)


@pytest.mark.slow
def test_shares_of_a_core_are_placed_and_a_cancelled_job_frees_its_share(
    ray_here: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four cores: two of 1.5 run, the third waits until one is stopped; one that waits is cancelled at once."""
    for name, value in ray_here.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(RayExecutor, "poll_s", 0.3)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "cluster").mkdir(parents=True)
    (tmp_path / "configs" / "cluster" / "wide.yaml").write_text(
        "meaning: wide\nexecutor: ray\ncpus: 1.5\ngrace_s: 20\n"
    )
    executor = RayExecutor(tmp_path, shell("while :; do sleep 0.1; done"))
    folders = [RunFolder(tmp_path / name) for name in "abcd"]
    for folder in folders:
        folder.root.mkdir()
    jobs = executor.start([Task(folder, 1, cluster="wide") for folder in folders])

    def running() -> list[str]:
        return [job for job in jobs if executor.state(job).startswith("RUNNING on")]

    until(lambda: len(running()) == 2, "two run", 120)
    before = running()
    waiting = [job for job in jobs if job not in before]
    assert {executor.state(job) for job in waiting} == {"PENDING (waits for CPUs, GPUs or memory)"}
    executor.stop(waiting[0])
    assert executor.ending(waiting[0]) == Ending(How.CANCELLED, f"ray job {waiting[0]} was stopped")
    executor.stop(before[0])
    until(lambda: waiting[1] in running(), "the other has the place", 120)
    assert executor.ending(before[0]) == Ending(How.CANCELLED, f"ray job {before[0]} was stopped")
    assert not executor.alive(waiting[0])
    for job in jobs:
        executor.stop(job, kill=True)
    until(lambda: not any(executor.alive(job) for job in jobs), "all have ended", 120)
