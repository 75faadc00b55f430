"""Files and folders: one atomic write, one lock, one reading of `--db`, and where state is kept.

A floor below everything, so it costs nothing to import: filelock and platformdirs are imported when they are used.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlencode

from engine.errors import UserError

# ------------------------------------------------------------------------------------ written whole or not at all

_SUFFIX = ".tmp"
_PRIVATE = 0o600
"""Of a file that only its user may read."""


@contextmanager
def replacing(path: Path, *, private: bool = False, sync: bool = True) -> Iterator[Path]:
    """A file name beside `path` to write to. When the block ends well, what was written is on the disk and takes the
    place of `path`; when it does not, or the machine goes down, `path` is as it was. Without `sync` the disk is not
    waited for: after a power failure the file may be the former one, or empty.

    Who may read it is for the umask to say; with `private` only the user may. Links are followed; a device or a pipe
    is written to directly. Raises UserError where the file cannot be written, and whatever the block raises, also
    where it cannot be tidied up after it.
    """
    target = path.resolve()
    with _explained(path, target):
        direct = target.exists() and not target.is_file()
    if target.is_dir():
        raise UserError(f"{path}: is a folder; name a file in it")
    if direct:
        with _explained(path, target):
            yield target
        return
    partial = _partial(target)
    try:
        with _explained(path, partial):
            if private:
                os.close(os.open(partial, os.O_WRONLY | os.O_CREAT, _PRIVATE))
            yield partial
            if sync:
                _sync(partial)
            partial.replace(target)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes, *, private: bool = False, sync: bool = True) -> None:
    """Write the bytes, see `replacing`."""
    with replacing(path, private=private, sync=sync) as partial:
        partial.write_bytes(data)


def write_text(path: Path, text: str, *, private: bool = False, sync: bool = True) -> None:
    """Write the text as UTF-8 with the line ends it has, see `replacing`."""
    write_bytes(path, text.encode("utf-8"), private=private, sync=sync)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A new, empty folder beside `path` that takes its place when the block ends well; what was at `path` goes then.

    Raises as `replacing` does. Whether `path` may be replaced is the caller's to say.
    """
    target = path.resolve()
    partial, old = _partial(target), _partial(target, "old")
    try:
        with _explained(path, partial):
            partial.mkdir(parents=True)
            yield partial
            if target.exists():
                target.rename(old)
            try:
                partial.rename(target)
            except OSError:
                if old.exists():
                    old.rename(target)
                raise
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def make_folder(path: Path, *, private: bool = False) -> Path:
    """The folder, made with its parents where it is missing; with `private` what is made is the user's alone. Raises
    UserError where it cannot be made."""
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(0o700 if private else 0o777, exist_ok=True)
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: the folder cannot be made: {_reason(error)}") from error
    return path


def own_log(folder: Path, name: str) -> Path:
    """NAME.log in a folder that several people may write to, for nobody's eyes but the user's: a worker tells of files
    and settings. NAME-UID.log where the first is somebody else's, or a link. Raises UserError where neither can be
    written."""
    for path in (folder / f"{name}.log", folder / f"{name}-{os.geteuid()}.log"):
        with suppress(OSError):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, _PRIVATE)
            try:
                if os.fstat(file).st_uid == os.geteuid():
                    os.fchmod(file, _PRIVATE)
                    return path
            finally:
                os.close(file)
    raise UserError(f"{folder / name}.log: cannot be written; see who owns it and the folder")


def clear_leftovers(folder: Path) -> None:
    """Remove what processes that were killed while they wrote left in the folder. Nobody may be writing there."""
    for leftover in folder.glob(f".*{_SUFFIX}"):
        with suppress(OSError):
            leftover.unlink()


def _partial(target: Path, kind: str = "") -> Path:
    """A name that no other process or thread takes."""
    return target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}{kind}{_SUFFIX}")


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def _explained(path: Path, written: Path) -> Iterator[None]:
    """A failure to write as one line about `path`; an error about any other file stays what it is."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            about = Path(os.fsdecode(error.filename))
            if about != written.parent and not about.is_relative_to(written):
                raise
        raise UserError(f"{path}: cannot be written: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


# ------------------------------------------------------------------------------------ locks


@contextmanager
def held(lock: Path, patience_s: float = 0.0) -> Iterator[bool]:
    """Hold the lock file while the block runs; yields False where another holder has it, after `patience_s` (which
    may be infinite). The kernel lets go of it when the process ends, however it ends.

    A little patience is due where others look on: `is_held` takes the lock for a moment. Raises UserError where the
    file cannot be made or the file system has no locks.
    """
    from filelock import FileLock, Timeout

    # Never a soft lock: those outlive a process that is killed.
    file = FileLock(lock, timeout=patience_s, poll_interval=0.01, fallback_to_soft=False)
    try:
        file.acquire()
    except Timeout:
        yield False
        return
    except OSError as error:
        raise UserError(f"{lock}: cannot be locked: {_reason(error)}") from error
    try:
        yield True
    finally:
        file.release()


def is_held(lock: Path) -> bool:
    """Whether a living process holds the lock file. It may lie where nothing can be written; where it cannot be read
    either, somebody else's process may hold it."""
    from filelock import lock_descriptor

    try:
        file = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True
    try:
        return not lock_descriptor(file, blocking=False)
    finally:
        os.close(file)


# ------------------------------------------------------------------------------------ stores

DEFAULT_STORE = "experiments.db"


def store_path(given: str | StoreAddress | None = None) -> Path:
    """The file of the store that `--db` names, by default $TFLLMER_DB or ./experiments.db; absolute, links followed.

    A path, or the URL `sqlite:///relative/path`, `sqlite:////absolute/path`. Raises UserError for anything else.
    """
    address = store_address(given)
    if isinstance(address, ServerAddress):
        raise UserError(f"{address}: is on a server; this needs a store that is a file")
    return address


def store_address(given: str | StoreAddress | None = None) -> StoreAddress:
    """Where the store is that `--db` names: a file as `store_path` reads it, or a database of a PostgreSQL server,
    `postgresql+psycopg://USER@HOST/NAME`. Raises UserError for anything else."""
    if isinstance(given, ServerAddress):
        return given
    if isinstance(given, Path):
        return _no_file_of_a_store(path_of(given).resolve())
    text = given if given is not None else os.environ.get("TFLLMER_DB") or DEFAULT_STORE
    if "\0" in text:
        raise UserError(f"--db {text}: names no file")
    scheme, colon, rest = text.partition("://")
    if not colon:
        scheme, rest = "sqlite", f"/{text}"
    if scheme.split("+")[0] in ("postgresql", "postgres"):
        return ServerAddress.read(text)
    if scheme != "sqlite" or not rest.startswith("/"):
        raise UserError(f"{without_passwords(text)}: is no store; give a path, or sqlite:///PATH")
    if rest in ("/", "/:memory:"):
        raise UserError(f"{text or '--db'}: names no file; give the path of one, for instance {DEFAULT_STORE}")
    try:
        path = path_of(rest[1:]).resolve()
    except (RuntimeError, OSError) as error:  # a circle of links
        raise UserError(f"--db {text}: names no file ({error})") from None
    return _no_file_of_a_store(path)


def _no_file_of_a_store(path: Path) -> Path:
    if not path.name:
        raise UserError(f"{path}: names no file; give the path of one, for instance {DEFAULT_STORE}")
    if path.name.endswith((".files", "-wal", "-shm", "-journal")):
        raise UserError(
            f"{path}: {path.name} is a name that stores give to files of their own; take one such as {DEFAULT_STORE}"
        )
    return path


def without_passwords(text: str) -> str:
    """Any text without the passwords of the URLs in it."""
    text = re.sub(r"(\w://[^\s:/@?]*):\S*@", r"\1:***@", text)
    return re.sub(r"([?&](?!passfile)\w*pass\w*=)[^&\s]*", r"\1***", text)


@dataclass(frozen=True)
class ServerAddress:
    """A database of a PostgreSQL server that holds a store. Its text never has the password, nor does its repr."""

    user: str | None
    host: str | None
    port: int | None
    database: str
    options: tuple[tuple[str, str], ...] = ()
    """Further settings of libpq, such as sslmode."""
    password: str | None = field(default=None, repr=False, compare=False)

    @classmethod
    def read(cls, url: str) -> ServerAddress:
        """Of a URL. Raises UserError, which never quotes the password."""
        scheme, _, rest = url.partition("://")
        if scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
            raise UserError(f"{scheme}://...: no driver of that name; write postgresql+psycopg://USER@HOST/NAME")
        place, _, query = rest.partition("?")
        if "@" in query and ":" in place and "@" not in place:
            raise UserError(f"{scheme}://...: a ? in a password is written %3F in a URL")
        login, at, server = place.rpartition("@")
        hosted, slash, database = server.partition("/")
        user, colon, password = login.partition(":")
        host, _, port = hosted.rpartition(":") if re.search(r":\d*$", hosted) else (hosted, "", "")
        options = tuple(sorted(parse_qsl(query, keep_blank_values=True)))
        secrets = [value for name, value in options if name == "password"]
        shown = cls(
            user=unquote(user) if at else None,
            host=unquote(host).strip("[]") or None,
            port=int(port) if port else None,
            database=unquote(database),
            options=tuple((name, value) for name, value in options if name != "password"),
            password=secrets[-1] if secrets else unquote(password) if colon else None,
        )
        if shown.host and ":" in shown.host and not hosted.startswith("["):
            raise UserError(f"{shown}: the port is no number; write postgresql+psycopg://USER@HOST:5432/NAME")
        if not slash or not database or "/" in database:
            raise UserError(f"{shown}: names no database; write postgresql+psycopg://USER@HOST/NAME")
        if secret := next((name for name, _ in shown.options if "pass" in name and name != "passfile"), None):
            raise UserError(f"--db: {secret} does not belong into a URL; give it in a file that libpq reads")
        return shown

    def __str__(self) -> str:
        login = f"{quote(self.user, safe='')}@" if self.user else ""
        host = f"[{self.host}]" if self.host and ":" in self.host else quote(self.host or "", safe="")
        port = f":{self.port}" if self.port is not None else ""
        options = f"?{urlencode(self.options)}" if self.options else ""
        return f"postgresql+psycopg://{login}{host}{port}/{quote(self.database, safe='')}{options}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process of ours needs beside the text to log in: its arguments are for everyone to see."""
        return {} if self.password is None else {"PGPASSWORD": self.password}


StoreAddress: TypeAlias = Path | ServerAddress
"""Where a store is."""


def without_password(word: str) -> str:
    """An argument of a command as it may be stored and shown: the URL of a server without its password."""
    option, found, url = word.rpartition("=postgresql") if word.startswith("-") else ("", "", word)
    text = f"postgresql{url}" if found else word
    if not text.startswith(("postgresql", "postgres")) or "://" not in text:
        return word
    try:
        shown = str(ServerAddress.read(text))
    except (UserError, ValueError):
        shown = "postgresql://..."
    return f"{option}={shown}" if found else shown


def path_of(words: str | Path) -> Path:
    """A path as it was typed or stands in a file, with `~` read. Raises UserError where no file can have that name, or
    nobody here may look."""
    try:
        path = Path(words).expanduser()
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise UserError(f"{words}: {error.strerror or error}") from None
    except RuntimeError:
        raise UserError(f"{words}: there is no such user") from None
    except ValueError:  # zeros, halves of characters
        raise UserError(f"{words}: names no file") from None
    return path


# ------------------------------------------------------------------------------------ state

_NAME = "tfllmer"


def user_state() -> Path:
    """What is remembered of a user between sessions ($XDG_STATE_HOME/tfllmer on Linux). Not made."""
    from platformdirs import user_state_path

    return user_state_path(_NAME, appauthor=False)


def user_config() -> Path:
    """What a user sets ($XDG_CONFIG_HOME/tfllmer on Linux). Not made."""
    from platformdirs import user_config_path

    return user_config_path(_NAME, appauthor=False)


def user_cache() -> Path:
    """What can be made again: $TFLLMER_CACHE, or $XDG_CACHE_HOME/tfllmer on Linux. Not made."""
    from platformdirs import user_cache_path

    chosen = os.environ.get("TFLLMER_CACHE")
    return path_of(chosen).resolve() if chosen else user_cache_path(_NAME, appauthor=False)


def state_folder(store: StoreAddress) -> Path:
    """What is remembered of a user's sessions with one store, which may belong to several users. Not made."""
    if isinstance(store, ServerAddress):
        return user_state() / "stores" / f"{quote(store.database, safe='')}-{_digest(str(store).encode())}"
    path = store.expanduser().resolve()
    return user_state() / "stores" / f"{path.stem}-{_digest(os.fsencode(path))}"


def _digest(name: bytes) -> str:
    import hashlib

    return hashlib.sha256(name).hexdigest()[:12]
