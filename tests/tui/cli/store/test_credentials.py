"""The password of a server: no command prints, logs or stores it, whatever goes wrong."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from engine.files import ServerAddress
from engine.store import Store, get_run, open_store
from engine.store.core.postgres import connect
from tests.engine.queue.workers import queue_double, start_worker, until
from tests.engine.store.backends.test_contract import finished_run
from tests.engine.store.helpers import new_run
from tests.servers import PASSWORD, new_database
from tests.tui.cli.calls import Cli, call

URL, FILES = "TFLLMER_DB", "TFLLMER_FILES"


@pytest.fixture(scope="module")
def server_url(postgres_server: str) -> str:
    return new_database(postgres_server, f"canary_{os.getpid()}")


@pytest.fixture
def store(server_url: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Store:
    """One store for all tests, in the folder that is beside its files."""
    folder = tmp_path_factory.getbasetemp() / "canary"
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv(FILES, str(folder / "lab.files"))
    return open_store(server_url)


def assert_silent(done: "subprocess.CompletedProcess[str]") -> None:
    assert PASSWORD not in done.stdout, done.args
    assert PASSWORD not in done.stderr, done.args


def stored(url: str) -> str:
    """Everything that the database holds, as text."""
    with closing(connect(ServerAddress.read(url), 10.0, autocommit=True)) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
        rows = [connection.execute(f'SELECT CAST(t AS text) FROM "{name}" t').fetchall() for (name,) in names]
    return "\n".join(str(text) for each in rows for (text,) in each)


def assert_not_kept(url: str, *folders: Path) -> None:
    assert PASSWORD not in stored(url)
    for folder in folders:
        for file in folder.rglob("*"):
            if file.is_file():
                assert PASSWORD.encode() not in file.read_bytes(), file


@pytest.mark.parametrize("with_torch", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_no_command_prints_or_stores_it(store: Store, server_url: str, with_torch: bool) -> None:
    run, other = finished_run(store), new_run(store, seed=1)
    (store.files.parent / "copy.db").unlink(missing_ok=True)
    folder = store.files.parent
    cli = Cli(folder)
    given = {URL: server_url, FILES: str(store.files)}
    one = run.id[:20]
    asked = [
        *(["db", "info"], ["db", "info", "--json"], ["db", "check"], ["db", "migrate"]),
        *(["runs"], ["runs", "--json"], ["runs", "--filter", "ndcg@10>0"], ["show", one], ["show", one, "--facts"]),
        *(["queue"], ["leaderboard"], ["compare", one, one], ["verdict"], ["logs", one], ["study", "list"]),
        *(["tag", one, "best"], ["note", one, "a remark"], ["reproduce", one]),
        *(["rm", one], ["trash", "list"], ["trash", "restore", one], ["view", "list"], ["export", "csv"]),
        *(["archive", one, "-o", "one.tfllmer"], ["wait", one], ["cancel", other.id]),
        *(["move", other.id, "--first"], ["run", "--detach", "--dry-run"]),
        *(["study", "run", "barrier", "--dry-run"], ["db", "vacuum"], ["db", "backup"], ["db", "rebuild"]),
        *(["show", "01ARZ3NDEKTSV4RRFFQ69G5FAV"], ["runs", "--filter", "nothing=1"], ["resume", one]),
    ]
    asked += [["doctor"], ["diagnose", one]] if with_torch else []
    codes = set[int]()
    for words in asked:
        done = cli(*words, **given)
        assert_silent(done)
        codes.add(done.returncode)
    for words in (["runs"], ["show", "none"], ["db", "backup"], ["runs", "--filter"], ["queue", "too", "many"]):
        assert_silent(cli("--debug", *words, "--db", server_url, **{FILES: str(store.files)}))
    assert {0, 2} <= codes
    assert_silent(cli("db", "copy", server_url, "copy.db", FILES=str(store.files)))
    assert_silent(cli("db", "copy", "copy.db", server_url, FILES=str(store.files)))
    assert (folder / "copy.db").is_file()
    assert_not_kept(server_url, folder, Path(os.environ["XDG_STATE_HOME"]).parent)


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_no_refusal_prints_it(server_url: str, tmp_path: Path, debug: list[str]) -> None:
    address = ServerAddress.read(server_url)
    (host,) = (value for name, value in address.options if name == "host")
    for url in (
        f"postgresql+psycopg://tfllmer:wrong-{PASSWORD}@/{address.database}?host={host}",
        f"postgresql+psycopg://nobody:{PASSWORD}@/{address.database}?host={host}",
        f"postgresql+psycopg://tfllmer:{PASSWORD}@/no_such_database?host={host}",
        f"postgresql+psycopg://tfllmer:{PASSWORD}@/{address.database}?host={tmp_path}",
        f"postgresql+psycopg://tfllmer:{PASSWORD}@127.0.0.1:1/{address.database}",
        f"postgresql+psycopg://tfllmer:{PASSWORD}@no.such.host.invalid/{address.database}",
        f"postgresql+psycopg://tfllmer:{PASSWORD}@/{address.database}?host={host}&nonsense=1",
        f"postgresql+psycopg://tfllmer:{PASSWORD}@",
        f"postgresql+psycopg://tfllmer:{PASSWORD}@host:port/lab",
        f"postgresql+asyncpg://tfllmer:{PASSWORD}@host/lab",
        f"mysql://tfllmer:{PASSWORD}@host/lab",
        f"postgresql://tfllmer@host/lab?sslpassword={PASSWORD}",
        f"postgresql://tfllmer:wh?t{PASSWORD}@host/lab",
        f"postgresql://tfllmer:a@b:{PASSWORD}@host/lab/x",
    ):
        for words in (["runs", "--db", url], ["run", url], ["db", "copy", "none.db", url]):
            done = call(tmp_path, *debug, *words)
            assert_silent(done)
            assert done.returncode == (1 if debug else 2), done
        assert_silent(call(tmp_path, *debug, "db", "info", TFLLMER_DB=url))
    assert not [file for file in tmp_path.rglob("*") if PASSWORD in str(file)]


@pytest.fixture
def worker(store: Store) -> Iterator["subprocess.Popen[str]"]:
    process = start_worker(store, 1)
    yield process
    process.kill()
    process.wait()


def test_nobody_sees_it_on_the_command_lines_and_runs_do_not_inherit_it(
    store: Store, worker: "subprocess.Popen[str]", server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = queue_double(store, "forever", priority=100)
    until(lambda: get_run(store, run.id).attempt == 1, "it runs")
    job = get_run(store, run.id).pid
    assert job
    try:
        family = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
        assert job in [process.pid for process in family]
        for process in family:
            assert PASSWORD not in " ".join(process.cmdline())
        for process in family[1:]:
            assert PASSWORD not in " ".join(process.environ().values()), process.cmdline()
    finally:
        os.killpg(job, signal.SIGKILL)


def test_completion_offers_values_or_nothing_and_prints_nothing_else(store: Store, server_url: str) -> None:
    for url in (server_url, server_url.replace("canary_", "no_canary_")):
        done = call(
            store.files.parent,
            _TFLLMER_COMPLETE="complete_zsh",
            _TYPER_COMPLETE_ARGS=f"tfllmer show --db {url} 0",
            TFLLMER_FILES=str(store.files),
        )
        assert (done.stdout.strip(), done.stderr) == ("_files", ""), done
