"""The command line put together, and how errors leave it."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Annotated

import typer
from typer.models import CommandInfo, TyperInfo

from tfllmer_tui.cli import completion, help
from tfllmer_tui.view.ascii import use_stand_ins
from tfllmer_tui.view.printing import put, say

PANELS: Mapping[str, Mapping[str, str]] = {
    "Train": {
        "run.run": "run resume",
        "tui": "tui",
        "study.study": "study",
        "tune.tune": "tune",
    },
    "Queue": {
        "queue.queue": "queue cancel retry clone move wait logs",
        "queue.worker": "worker",
    },
    "Runs": {
        "inspect.runs": "runs show",
        "inspect.annotate": "tag note rm trash",
        "run.reproduce": "reproduce",
        "inspect.views": "view",
    },
    "Results": {
        "report.board": "leaderboard",
        "report.compare": "compare",
        "report.verdict": "verdict",
        "report.report": "report",
        "report.export": "export",
        "report.metrics": "metrics",
    },
    "Methods": {
        "data.preset": "ablations presets",
        "data.methods": "methods",
    },
    "Data and vectors": {
        "data.embed": "embed",
        "data.diagnose": "diagnose",
        "data.data": "data",
        "data.vectors": "vectors",
    },
    "Store": {
        "store.archive": "archive import",
        "store.doctor": "doctor",
        "store.store": "db",
    },
}
"""The panels of the help, each with its modules, and the commands and groups that a module adds."""

MODULES: Mapping[str, str] = {name: words for modules in PANELS.values() for name, words in modules.items()}


@cache
def app_of(word: str = "") -> typer.Typer:
    """The app. Where `word` is the name of a command or a group, it holds no other module's: to import all of them and
    to make commands of their functions costs more than most commands do."""
    app = typer.Typer(
        name="tfllmer",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(tfllmer)
    wanted = {name for name, words in MODULES.items() if word in words.split()} or set(MODULES)
    for panel, modules in PANELS.items():
        for name in modules:
            if name in wanted:
                import_module(f"tfllmer_tui.cli.{name}").add_to(app)
        infos: list[CommandInfo | TyperInfo] = [*app.registered_commands, *app.registered_groups]
        for info in infos:
            if not isinstance(info.rich_help_panel, str):
                info.rich_help_panel = panel
    help.use_in(app)
    return app


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        put(f"tfllmer {version('tfllmer')}")
        raise typer.Exit


def tfllmer(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error ($TFLLMER_DEBUG).")] = False,
) -> None:
    """The terminal workbench for research on LLM-enhanced recommenders.

    See the training barrier that LLM vectors raise, measure its causes, remove it, report it.
    Start with: tfllmer run --ablation no-norm
    """


def main() -> None:
    """The console script. Exit codes: 0 done, 1 a failed run or a fault of ours, 2 wrong use, 130 stopped by Ctrl-C."""
    completion.join_words()
    gc.set_threshold(200_000, 20, 20)  # by default the collector visits what imports leave behind dozens of times
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1 or bool(os.environ.get("TFLLMER_DEBUG"))
    for stream in (sys.stdout, sys.stderr):
        use_stand_ins(stream)
    try:
        app = app_of(completion.command_word() or next(iter(arguments), ""))
        code = app(arguments, prog_name="tfllmer", standalone_mode=False)
    except Exception as error:
        if debug:
            say(_traceback(error))
        code = 1 if debug else _report(error, arguments)
    sys.exit(code or 0)


def _traceback(error: Exception) -> str:
    import traceback

    from engine.files import without_passwords

    return without_passwords("".join(traceback.format_exception(error)).rstrip())


def _report(error: Exception, arguments: list[str]) -> int:
    from engine.errors import UserError
    from engine.files import without_passwords
    from engine.text import single_line

    if isinstance(error, UserError):
        say(f"tfllmer: {single_line(error)}")
        if pointer := getattr(error, "pointer", ""):  # the place in a filter
            say(pointer)
        return 2
    if isinstance(error, typer.Abort):
        say("Aborted.")
        return 1
    if isinstance(error, typer.exceptions.TyperException):
        help.say_usage(error)
        return getattr(error, "exit_code", 2)
    if isinstance(error, OSError) and isinstance(error.filename, str):  # the machine's word on a file that was named
        say(f"tfllmer: {single_line(error.filename)}: {error.strerror}")
        return 2
    if isinstance(error, UnicodeEncodeError) and (no_text := [word for word in arguments if not _is_text(word)]):
        say(f"tfllmer: {single_line(no_text[0])}: holds bytes that are no text (UTF-8)")
        return 2
    what = without_passwords(single_line(f"{type(error).__name__}: {error}"))
    say(f"tfllmer: a fault of tfllmer itself: {what} (--debug shows where)")
    return 1


def _is_text(word: str) -> bool:
    """Bytes that are no UTF-8 come as halves of characters."""
    return not any("\ud800" <= character <= "\udfff" for character in word)
