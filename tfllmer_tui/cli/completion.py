"""What the Tab key offers behind the options: names from presets, data folders and the store.

The shell asks at every press, so nothing heavy is imported: presets and data sets are known by the names of their
files, runs and tags come through the standard library's sqlite3, and what only the specification knows is written
down in `known.json` (`python -m tfllmer_tui.cli.known` renews it). Offered are words that a shell reads as they are.
"""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

VARIABLE = "_TFLLMER_COMPLETE"
_LAST = "_TFLLMER_LAST_WORD"
_PLAIN = re.compile(r"[\w.@/+:=,-]+", re.ASCII)
_BREAKS = re.compile(r"[=:@]+")
_MOST = 200
"""Runs that are offered, the newest first."""
_READ = 1 << 16
"""Bytes of a preset that are looked through."""

Words: TypeAlias = Iterable[tuple[str, str]]
"""Values, each with a remark for shells that show one."""


@dataclass(frozen=True)
class OfferedWord:
    """A value as the shells' formatters want it."""

    value: str
    help: str
    type: str = "plain"


def join_words() -> None:
    """Bash hands over `train.loss=b` as three words, since = : @ end one there: put them together again, and keep the
    last, which is all that bash replaces."""
    if os.environ.get(VARIABLE) != "complete_bash":
        return
    try:
        words, place = shlex.split(os.environ["COMP_WORDS"]), int(os.environ["COMP_CWORD"])
    except (KeyError, ValueError):  # an open quote: left as it is
        return
    typed = words[: place + 1] + [""] * (place + 1 - len(words))
    joined = typed[:1]
    for word, before in zip(typed[1:], typed, strict=False):
        if len(joined) > 1 and (_BREAKS.fullmatch(word) or _BREAKS.fullmatch(before)):
            joined[-1] += word
        else:
            joined.append(word)
    os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = shlex.join(joined), str(len(joined) - 1)
    end = re.search(r"@?[^=:@]*$", joined[-1])  # an @ begins the word that bash replaces, = and : end the one before
    os.environ[_LAST] = end[0] if end and joined[-1] != typed[-1] else joined[-1]


def command_word() -> str:
    """The word behind `tfllmer` on the line that is completed, where it is a whole one; else nothing."""
    if VARIABLE not in os.environ:
        return ""
    if "COMP_WORDS" in os.environ:  # bash
        words, place = os.environ["COMP_WORDS"].split(), int(os.environ.get("COMP_CWORD", "0"))
    else:
        line = os.environ.get("_TYPER_COMPLETE_ARGS", "")
        words = line.split()
        place = len(words) if line[-1:].isspace() else len(words) - 1
    return words[1] if place > 1 and len(words) > 1 else ""


def take_as_typed(param: Any) -> None:
    """While a line is completed nothing is converted or checked, which would import pydantic."""
    param.process_value = lambda context, value: value


def complete_with(param: Any, path: str) -> None:
    """Let a parameter of the command at `path` (`study run`) offer its values, where it is one that has them."""
    name = param.metavar if param.param_type_name == "argument" else param.opts[0]
    words = _OF.get(f"{path} {name}") or _OF.get(name)
    if words is not None:
        param.shell_complete = lambda context, incomplete: _offers(words, context, incomplete)


def _offers(words: Callable[[Any, str], Words], context: Any, incomplete: str) -> list[OfferedWord]:
    try:
        offers = dict(words(context, incomplete))
    except OSError:  # a folder that cannot be read: nothing is offered
        offers = {}
    last = os.environ.get(_LAST, incomplete)
    cut = len(incomplete) - len(last) if incomplete.endswith(last) else 0
    return [
        OfferedWord(value[cut:], _clean(remark))
        for value, remark in offers.items()
        if value.startswith(incomplete) and _PLAIN.fullmatch(value)
    ]


def _clean(text: str) -> str:
    from engine.text import printable

    return printable(" ".join(text.split()))[:80]


# ------------------------------------------------------------------------------------ presets and data


def _presets(kind: str) -> Callable[[Any, str], Words]:
    def words(context: Any, incomplete: str) -> Words:
        from engine.places import files_of

        return [(name, _line(file, "meaning")) for name, file in sorted(files_of(kind).items())]

    return words


def _line(file: Any, word: str) -> str:
    """What stands behind `word:` at the beginning of a line of a preset."""
    if not file.is_file():
        return ""
    with open(file, "rb") as opened:
        text = opened.read(_READ).decode("utf-8", errors="replace")
    match = re.search(rf"^{word}:\s*(.*)$", text, re.MULTILINE)
    return match[1].strip("'\" ") if match else ""


def _ablations(context: Any, incomplete: str) -> Words:
    """Those of the method that was given, else of all."""
    from engine.places import files_of

    method = context.params.get("method")
    for name, file in sorted(files_of("ablation").items()):
        if method is None or method in _line(file, "applies_to").replace(",", " ").split():
            yield name, _line(file, "meaning")


def _backbones(context: Any, incomplete: str) -> Words:
    from engine.installed import entries

    yield from _presets("backbone")(context, incomplete)
    yield from ((entry.name, entry.value) for entry in entries("tfllmer.models"))


def _datasets(context: Any, incomplete: str) -> Words:
    from engine.places import list_datasets

    yield "demo", "generated on the spot"
    yield from ((name, str(folder)) for name, folder in list_datasets())


def _embeddings(context: Any, incomplete: str) -> Words:
    """The vectors beside the data set that was given, else beside all of them."""
    from pathlib import Path

    from engine.places import inter_name, list_datasets, list_vectors

    named, given = dict(list_datasets()), context.params.get("dataset")
    if given in (None, "demo"):
        yield "demo", "generated with the data set demo"
    if given is None:
        places = list(named.items())
    elif given in named:
        places = [(given, named[given])]
    else:
        path = Path(given).expanduser()
        folder = path if path.is_dir() else path.parent
        own = sorted({name for file in folder.glob("*.inter*") if (name := inter_name(file.name)) is not None})
        places = [(name, folder) for name in own if path.is_dir() or inter_name(path.name) == name]
    for name, folder in places:
        yield from ((source, f"of {name}") for source in list_vectors(folder, name))


def _studies(context: Any, incomplete: str) -> Words:
    yield from _presets("study")(context, incomplete)
    yield from ((str(name), "in this store") for (name,) in _rows(context, "SELECT name FROM study ORDER BY name"))


# ------------------------------------------------------------------------------------ the store


def _rows(context: Any, query: str) -> list[tuple[Any, ...]]:
    """None where the store is not there, is on a server, or cannot be read just now."""
    from engine.errors import UserError
    from engine.files import store_path
    from engine.store.core.connections import connect

    try:
        with closing(connect(store_path(context.params.get("db")), 0.1, read_only=True)) as connection:
            return connection.execute(query).fetchall()
    except (UserError, sqlite3.Error):
        return []


_STATES = {
    "cancel": ("queued", "running"),
    "move": ("queued",),
    "resume": ("failed", "cancelled", "lost", "running"),
    "retry": ("failed", "cancelled", "lost", "running"),
    "reproduce": ("finished",),
    "export ranks": ("finished",),
    "export map": ("finished",),
}
"""What a command takes; a running one may be lost, which only a command that settles it finds out."""


def _runs(context: Any, incomplete: str) -> Words:
    """Runs by id, the newest first, and by their names: tags that one run alone has."""
    path = context.command_path.partition(" ")[2]
    states = _STATES.get(path, ())
    where = "trashed IS NOT NULL" if path.startswith("trash") else "trashed IS NULL"
    if states:
        where += f" AND status IN ({', '.join(map(repr, states))})"
    about = "arm || ' ' || dataset || ' ' || backbone || ' seed ' || seed || ', ' || status"
    if incomplete[:1].isdigit() or not incomplete:
        query = f"SELECT id, {about} FROM run WHERE {where} ORDER BY created DESC, id DESC LIMIT {_MOST}"
        yield from _rows(context, query)
    alone = "SELECT name, run_id FROM tag GROUP BY name HAVING count(*) = 1"
    yield from _rows(context, f"SELECT name, {about} FROM ({alone}) JOIN run ON run.id = run_id WHERE {where}")


def _tagged(context: Any, incomplete: str) -> Words:
    """`tag RUN... NAME`: runs, and behind the first the tags that there are."""
    yield from _runs(context, incomplete)
    if context.params.get("words"):
        yield from _tags(context, incomplete)


def _tags(context: Any, incomplete: str) -> Words:
    query = "SELECT name, count(*) FROM tag GROUP BY name ORDER BY name"
    return [(name, f"on {runs} run{'' if runs == 1 else 's'}") for name, runs in _rows(context, query)]


def _arms(context: Any, incomplete: str) -> Words:
    """The arms that the store has runs of."""
    query = "SELECT arm, count(*) FROM run WHERE trashed IS NULL GROUP BY arm ORDER BY arm"
    for arm, runs in _rows(context, query):
        yield arm, f"{runs} run{'' if runs == 1 else 's'}"


def _views(context: Any, incomplete: str) -> Words:
    from engine.errors import UserError
    from engine.files import store_address
    from engine.views.view_files import kept_views

    try:
        views = kept_views(store_address(context.params.get("db")))
    except UserError:
        return []
    return [(name, str(view.get("filter", ""))) for name, view in sorted(views.items())]


def _sides(context: Any, incomplete: str) -> Words:
    yield from _arms(context, incomplete)
    yield from _runs(context, incomplete)


# ------------------------------------------------------------------------------------ settings, metrics, few words


@cache
def known() -> Mapping[str, Any]:
    """What `known.json` says: settings by name, each with its choices and meaning, and lists of words."""
    import json
    from pathlib import Path

    document: Mapping[str, Any] = json.loads(Path(__file__).with_name("known.json").read_text("utf-8"))
    return document


def _settings(context: Any, incomplete: str) -> Words:
    """`field=`; its values once it is the only one left, so that the shell sets no blank behind the =."""
    field, equals, _ = incomplete.partition("=")
    fields: Mapping[str, Any] = known()["settings"]
    if not any(name.startswith(field) for name in fields):  # a leaf by its name alone
        leaves = Counter(name.rpartition(".")[2] for name in fields)
        fields = {leaf: fields[name] for name in fields if leaves[leaf := name.rpartition(".")[2]] == 1}
    if equals:
        return [(f"{field}={choice}", "") for choice in fields.get(field, {}).get("choices", ())]
    begun = [name for name in fields if name.startswith(field)]
    offered = [(f"{name}=", str(fields[name]["meaning"])) for name in begun]
    if len(begun) == 1:
        values = fields[begun[0]]["choices"] or [fields[begun[0]]["default"]]
        offered += [(f"{begun[0]}={value}", "") for value in values]
    return offered


def _axes(context: Any, incomplete: str) -> Words:
    """`axis=`, then what the axis may have where names say it."""
    axis, equals, _ = incomplete.partition("=")
    names = {"dataset": _datasets, "backbone": _backbones}
    if equals and axis in names:
        return [(f"{axis}={name}", remark) for name, remark in names[axis](context, "")]
    return [(f"{name}=", "") for name in ("dataset", "backbone", "arm", "embedding", "seed")]


def _metrics(context: Any, incomplete: str) -> Words:
    from engine.metrics import offered

    for metric in offered():
        yield str(metric), ""
        yield metric.key, ""


def _fields(context: Any, incomplete: str) -> Words:
    """The last of several fields with commas between them; - turns an order round."""
    begun = re.match(r"(?:.*,)?-?", incomplete)
    before = begun[0] if begun else ""
    names = [*known()["columns"], *known()["settings"], *(name for name, _ in _metrics(context, incomplete))]
    return [(before + name, "") for name in names]


_TERM = re.compile(r"(-?)([\w.@/+]*)(!?[=:~])?(.*)", re.ASCII)


def _filters(context: Any, incomplete: str) -> Words:
    """A term of a filter: fields with =, metrics, and behind the = what the field may be, the last of several with
    commas. A filter of several terms stands in quotes, where a shell offers nothing."""
    parts = _TERM.fullmatch(incomplete)
    if parts is None:
        return
    minus, field, operator, value = parts.groups()
    if operator is None:
        columns: list[str] = [*known()["columns"], *known()["settings"], "note"]
        yield from ((f"{minus}{name}=", "") for name in columns)
        yield from ((minus + name, "") for name, _ in _metrics(context, incomplete))
        return
    before = incomplete[: len(incomplete) - len(value)] + value[: value.rfind(",") + 1]
    yield from ((before + name, remark) for name, remark in _values(context, field))


def _values(context: Any, field: str) -> Words:
    """What a field of runs may be, as far as it is written down or stands in the store."""
    named: dict[str, Callable[[Any, str], Words]] = {
        "status": _list("statuses"),
        "tag": _tags,
        "arm": _arms,
        "study": _studies,
        "run": _runs,
    }
    if field in named:
        return named[field](context, "")
    if field in ("dataset", "backbone", "embedding", "method", "ablation", "seed"):
        query = f"SELECT {field}, count(*) FROM run WHERE trashed IS NULL AND {field} IS NOT NULL GROUP BY 1 ORDER BY 1"
        return [(str(name), f"{runs} run{'' if runs == 1 else 's'}") for name, runs in _rows(context, query)]
    return [(choice, "") for choice in known()["settings"].get(field, {}).get("choices", ())]


def _list(name: str) -> Callable[[Any, str], Words]:
    return lambda context, incomplete: [(word, "") for word in known()[name]]


def _few(*words: str) -> Callable[[Any, str], Words]:
    return lambda context, incomplete: [(word, "") for word in words]


_OF: Mapping[str, Callable[[Any, str], Words]] = {
    "RUN": _runs,
    "--before": _runs,
    "RUN... NAME": _tagged,
    "A B [C...]": _sides,
    "--baseline": _arms,
    "--method": _presets("method"),
    "--ablation": _ablations,
    "--backbone": _backbones,
    "--dataset": _datasets,
    "--embedding": _embeddings,
    "--filter": _filters,
    "data show NAME": _datasets,
    "--study": _studies,
    "STUDY": _studies,
    "study show NAME": _studies,
    "study run NAME": _studies,
    "study status NAME": _studies,
    "KIND": _few("dataset", "backbone", "method", "ablation"),
    "--tag": _tags,
    "--view": _views,
    "VIEW": _views,
    "--set": _settings,
    "--space": _presets("tune"),
    "--tuned": _presets("tuned"),
    "--by": _few("valid.ndcg@10", "valid_ce", "train_ce"),
    "--only": _axes,
    "--metric": _metrics,
    "--columns": _fields,
    "--sort": _fields,
    "--layout": _list("layouts"),
    "--kind": _list("figures"),
    "--status": _list("statuses"),
    "--group": _few("seed"),
    "--test": _few("seeds", "users", "both"),
    "--device": _few("auto", "cpu", "cuda"),
    "--pooling": _few("mean", "last", "cls", "max", "eos-weighted", "mean-sqrt-len"),
}
"""By the option's name or the argument's metavar, where it says more with the command in front."""
