"""One atomic write, one lock, one reading of `--db`, and the folders of state."""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.files import (
    ServerAddress,
    clear_leftovers,
    held,
    is_held,
    make_folder,
    replacing,
    replacing_folder,
    state_folder,
    store_address,
    store_path,
    user_cache,
    user_config,
    user_state,
    without_password,
    write_bytes,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


# ------------------------------------------------------------------------------------ writing


def test_a_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old\n")
    with replacing(target) as partial:
        partial.write_text("new")
        assert target.read_text() == "old\n"
    assert target.read_text() == "new"
    write_bytes(target, b"\r\n\0")
    assert target.read_bytes() == b"\r\n\0"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError("first"), KeyboardInterrupt(), UserError("first")])
def test_a_failed_block_leaves_the_old_file_and_its_own_error(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(type(error)) as raised, replacing(target) as partial:
        partial.write_text("half")
        raise error
    assert raised.value is error
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_what_cannot_be_tidied_up_does_not_hide_the_first_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="first"), replacing(tmp_path / "a.txt") as partial:
        partial.mkdir()  # unlink fails on it, whoever runs the tests
        raise ValueError("first")


def test_a_write_that_fails_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.txt: cannot be written: no such file or directory$") as raised:
        write_text(tmp_path / "missing" / "a.txt", "x")
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match=r"is a folder; name a file in it$"):
        write_text(tmp_path, "x")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written: not a directory"):
        write_text(tmp_path / "file" / "a.txt", "x")
    with pytest.raises(UserError, match="cannot be made: not a directory"):
        make_folder(tmp_path / "file" / "b")
    with pytest.raises(UserError, match="no space left on device"), replacing(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert names(tmp_path) == ["file"]


def test_an_unwritable_folder_is_one_line(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from engine.errors import UserError\n"
        "from engine.files import make_folder, write_text\nimport os\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "for act in (lambda: write_text(Path(sys.argv[1]) / 'a', ''), lambda: make_folder(Path(sys.argv[1]) / 'b')):\n"
        "    try:\n        act()\n    except UserError as error:\n        print(error)\n"
    )
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o555)
    for parent in (tmp_path, *tmp_path.parents):  # the other user has to get there
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    command = [sys.executable, "-c", script, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"{folder / 'a'}: cannot be written: permission denied",
        f"{folder / 'b'}: the folder cannot be made: permission denied",
    ]


def test_an_error_about_another_file_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised, replacing(tmp_path / "a.txt") as partial:
        partial.write_bytes((tmp_path / "input").read_bytes())
    assert raised.value.filename == str(tmp_path / "input")


def test_links_are_followed_and_pipes_written_to(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE, text=True)
    write_text(tmp_path / "pipe", "through")
    assert reader.communicate(timeout=90)[0] == "through"


def test_threads_may_write_the_same_file(tmp_path: Path) -> None:
    texts = [str(number) * 100_000 for number in range(4)]
    threads = [threading.Thread(target=write_text, args=(tmp_path / "a", text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_text() in texts
    assert names(tmp_path) == ["a"]


def test_what_a_killed_writer_left_is_cleared(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from engine.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as beside:\n"
        "    beside.write_text('half'); print('wrote', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "a")], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "wrote\n"
    process.kill()
    process.wait()
    process.stdout.close()
    (tmp_path / "kept.tmp").touch()
    assert len(names(tmp_path)) == 2
    clear_leftovers(tmp_path)
    assert names(tmp_path) == ["kept.tmp"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "report"
    for text in ("one", "two"):
        with replacing_folder(target) as partial:
            (partial / text).write_text(text)
        assert names(target) == [text]
    with pytest.raises(ValueError, match="first"), replacing_folder(target) as partial:
        (partial / "three").touch()
        raise ValueError("first")
    with (
        pytest.raises(UserError, match=r"report: cannot be written: no such file"),
        replacing_folder(target) as partial,
    ):
        (partial / "missing" / "three").touch()
    assert names(target) == ["two"]
    assert names(tmp_path) == ["report"]


# ------------------------------------------------------------------------------------ locks

_HOLDER = (
    "import sys, time; from pathlib import Path; from engine.files import held\n"
    "with held(Path(sys.argv[1])) as alone:\n    print(alone, flush=True); time.sleep(60)"
)


def test_the_lock_is_alone_and_ends_with_its_process(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert not is_held(lock)
    assert not lock.exists()
    with held(lock) as one:
        assert one
        with held(lock) as other:
            assert not other
        assert is_held(lock)
    assert not is_held(lock)
    process = subprocess.Popen([sys.executable, "-c", _HOLDER, str(lock)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "True\n"
    assert is_held(lock)
    began = time.monotonic()
    with held(lock, patience_s=0.2) as alone:
        assert not alone
    assert 0.2 <= time.monotonic() - began < 5
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not is_held(lock)


def test_a_lock_that_is_let_go_is_taken_by_who_waits(tmp_path: Path) -> None:
    lock, released = tmp_path / "lock", threading.Event()

    def hold() -> None:
        with held(lock):
            released.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    while not is_held(lock):
        time.sleep(0.01)
    threading.Timer(0.2, released.set).start()
    with held(lock, patience_s=float("inf")) as alone:
        assert alone
        assert released.is_set()
    holder.join()


def test_an_error_inside_lets_go_and_is_not_taken_for_one_of_the_lock(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="inside") as raised, held(tmp_path / "lock"):
        raise OSError("inside")
    assert not isinstance(raised.value, UserError)
    assert not is_held(tmp_path / "lock")


def test_a_lock_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"lock: cannot be locked: file exists$"),
        held(tmp_path / "file" / "lock"),
    ):
        pass


# ------------------------------------------------------------------------------------ stores


def test_the_store_that_db_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("TFLLMER_DB", raising=False)
    here = tmp_path.resolve()
    assert store_path() == here / "experiments.db"
    monkeypatch.setenv("TFLLMER_DB", "")
    assert store_path() == here / "experiments.db"
    monkeypatch.setenv("TFLLMER_DB", "sqlite:///other.db")
    assert store_path() == here / "other.db"
    assert store_path("a/b.db") == here / "a" / "b.db"
    assert store_path(Path("a/b.db")) == here / "a" / "b.db"
    assert store_path("sqlite:///a/b.db") == here / "a" / "b.db"
    assert store_path("sqlite:////srv/b.db") == Path("/srv/b.db")
    assert store_path("~/b.db") == Path("/home/somebody/b.db")
    assert store_path("a:b?c.db") == here / "a:b?c.db"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("postgresql://me:secret@host/db", r"^postgresql\+psycopg://me@host/db: is on a server"),
        ("postgresql+psycopg://me:secret@host", r"^postgresql\+psycopg://me@host/: names no database"),
        ("postgresql+asyncpg://me:secret@host/db", r"^postgresql\+asyncpg://\.\.\.: no driver of that name"),
        ("postgresql://me@host/db?sslpassword=secret", "sslpassword does not belong into a URL"),
        ("postgresql://me@host:port/db", "the port is no number"),
        ("mysql://host/db", "is no store; give a path, or sqlite:///PATH"),
        ("sqlite://relative.db", "is no store"),
        ("file:///x.db", "is no store"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        (":memory:", "names no file"),
        ("", "^--db: names no file"),
    ],
)
def test_what_is_no_store(given: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as raised:
        store_path(given)
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)


@given(st.text(min_size=1).filter(lambda text: "://" not in text and "\0" not in text and not text.startswith("~")))
def test_any_other_text_is_a_path(text: str) -> None:
    try:
        name = os.fsencode(text)
    except UnicodeEncodeError:
        return
    path = Path(os.fsdecode(name)).resolve()
    if text != ":memory:" and path.name and not path.name.endswith((".files", "-wal", "-shm", "-journal")):
        assert os.fsencode(store_path(text)) == os.fsencode(path)


# ------------------------------------------------------------------------------------ state


def test_state_is_where_the_user_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("TFLLMER_CACHE", raising=False)
    for variable, folder in (("STATE", user_state), ("CONFIG", user_config), ("CACHE", user_cache)):
        monkeypatch.setenv(f"XDG_{variable}_HOME", str(tmp_path / variable))
        assert folder() == tmp_path / variable / "tfllmer"
    monkeypatch.setenv("TFLLMER_CACHE", str(tmp_path / "mine"))
    assert user_cache() == tmp_path / "mine"
    assert not any(tmp_path.iterdir())


def test_each_store_has_state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, other = state_folder(Path("experiments.db")), state_folder(tmp_path / "sub" / "experiments.db")
    assert one == state_folder(tmp_path / "experiments.db")
    assert one != other
    assert one.parent == other.parent == user_state() / "stores"
    assert one.name.startswith("experiments-")


def test_a_server_is_named_without_its_password() -> None:
    address = store_address("postgres://me:s%40cret@host:5433/lab?sslmode=require")
    assert isinstance(address, ServerAddress)
    assert (address.user, address.host, address.port, address.database) == ("me", "host", 5433, "lab")
    assert address.environment == {"PGPASSWORD": "s@cret"}
    assert str(address) == "postgresql+psycopg://me@host:5433/lab?sslmode=require"
    assert "cret" not in repr(address)
    assert store_address(str(address)) == address
    assert store_address("postgresql://me@host/lab?password=hidden") == store_address("postgresql://me@host/lab")
    assert state_folder(address).name.startswith("lab-")
    for word in ("postgresql://me:cret@host/lab", "--db=postgresql://me:cret@host/lab", "postgres://me:cret@host"):
        assert "cret" not in without_password(word)
    for word in ("runs", "--db=experiments.db", "postgresql", "sqlite:///x.db"):
        assert without_password(word) == word
