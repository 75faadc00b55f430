"""Commands as typer makes them, but for their help (a flag has no type, brackets in a text are brackets) and for the
values that the Tab key offers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.main import get_command_from_info, get_command_name
from typer.models import CommandInfo

from tfllmer_tui.cli.completion import complete_with, take_as_typed
from tfllmer_tui.view.printing import say

_BRACKET = re.compile(r"(?<!\\)\[(?=[a-z#/@])")
"""What Rich would take for markup: the [figures] of tfllmer[figures]."""


class Command(TyperCommand):
    """A command."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.help = _escaped(_unwrapped(self.help))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer has it; every error knows its command."""
        try:
            return super().parse_args(ctx, args)
        except typer.exceptions.TyperException as error:
            error.__dict__.update(ctx=getattr(error, "ctx", None) or ctx)
            raise

    def get_params(self, ctx: Any) -> list[Any]:
        params = _tidied(super().get_params(ctx), ctx)
        for param in params:
            complete_with(param, ctx.command_path.partition(" ")[2])
        return params


class CommandGroup(TyperGroup):
    """Commands under one word."""

    late: ClassVar[Sequence[CommandInfo]] = ()
    """Commands that are made when they are first asked for."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.help = _escaped(_unwrapped(self.help))
        self._made: dict[str, Any] = self.__dict__.pop("commands")

    @cached_property
    def commands(self) -> dict[str, Any]:  # type: ignore[override]
        markup = self.rich_markup_mode
        late = [get_command_from_info(i, pretty_exceptions_short=True, rich_markup_mode=markup) for i in self.late]
        return {command.name or "": command for command in late} | self._made

    def get_params(self, ctx: Any) -> list[Any]:
        return _tidied(super().get_params(ctx), ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Raises UserError where there is no such command."""
        word = args[0]
        if self.get_command(ctx, word) is None and not word.startswith("-"):
            from difflib import get_close_matches

            from engine.errors import UserError

            where = " ".join([*ctx.command_path.split()[1:], word])
            close = get_close_matches(word, self.commands)
            near = f" (did you mean {' or '.join(close)}?)" if close else f"; see {ctx.command_path} --help"
            raise UserError(f"{where}: no such command{near}")
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The page lists the commands below, so it needs their names and texts and none of their options."""
        late = "commands" not in self.__dict__
        if late:
            self.__dict__["commands"] = {each.name or "": each for each in map(_listed, self.late)} | self._made
        try:
            super().format_help(ctx, formatter)
        finally:
            if late:
                del self.__dict__["commands"]


class LateType:
    """A value that is absent, or of its type already, needs nothing of pydantic, with which typer reads the others: to
    import it is a tenth of most commands."""

    def __init__(self, descriptor: Any) -> None:
        self.descriptor = descriptor
        self._real: Any = None

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """As `typer._coercion.RuntimeParam` has it."""
        if value is None or type(value) is self.descriptor.annotation:
            return () if value is None and (param.multiple or param.nargs == -1) else value
        if self.descriptor.annotation == list[str] and all(type(each) is str for each in value):
            return list(value)
        if self._real is None:
            from typer._coercion import build_runtime_param

            self._real = build_runtime_param(self.descriptor)
        return self._real.coerce(value, param=param, ctx=ctx)


def _listed(info: CommandInfo) -> Command:
    """A command as its group's page shows it."""
    assert info.callback is not None
    return Command(
        name=info.name or get_command_name(info.callback.__name__),
        help=info.help or inspect.getdoc(info.callback),
        short_help=info.short_help,
        hidden=info.hidden,
        deprecated=info.deprecated,
        rich_help_panel=info.rich_help_panel,
    )


def use_in(app: typer.Typer) -> None:
    """Let all commands and groups of `app` have such pages. Commands are made late:
    `tfllmer --help` has no need of the annotations of all of them."""
    app.info.cls = _late_group(app)
    for group in app.registered_groups:
        if (below := group.typer_instance) is not None:
            use_in(below)
            group.cls = _late_group(below)


def _late_group(app: typer.Typer) -> type[CommandGroup]:
    """The group that makes the commands of `app` when they are first asked for."""
    late = _LATE.setdefault(app, app.registered_commands)
    for command in late:
        command.cls = Command
    app.registered_commands = []
    return type("LateGroup", (CommandGroup,), {"late": late})


_LATE: dict[typer.Typer, list[CommandInfo]] = {}
"""The commands of groups, which several apps of one process may have."""


def say_usage(error: Any) -> None:
    """A command line that is wrong, in one line: where, what, and what to do. What was typed may come from the name of
    a file."""
    if type(error).__name__ == "NoArgsIsHelpError":  # typer has no public name for it, and has printed the page
        return
    from engine.files import without_passwords
    from engine.text import single_line

    say(f"tfllmer: {without_passwords(single_line(_usage_words(error)))}")


def _usage_words(error: Any) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "tfllmer"
    where, page = path.partition(" ")[2], f"see {path} --help"
    if isinstance(error, typer.BadParameter) and (words := _refused_value(error)):
        return f"{where} {words}".lstrip()
    said = error.format_message().rstrip(".")
    if option := getattr(error, "option_name", ""):
        where = f"{where} {option}".lstrip()
        said = "takes a value" if "requires" in said else "takes no value"
        if hasattr(error, "possibilities"):
            said = "no such option"
            if error.possibilities:
                return f"{where}: {said} (did you mean {' or '.join(sorted(error.possibilities))}?)"
    else:
        said = said[:1].lower() + said[1:]
    return f"{where}: {said}; {page}" if where else f"{said}; {page}"


def _refused_value(error: typer.BadParameter) -> str:
    """Which option refuses which value, and what it takes; empty where it is no number that it takes."""
    option: Any = error.param
    kind = getattr(getattr(option, "type_descriptor", None), "annotation", None)
    if kind not in _NUMBERS or not option.opts:
        return ""
    takes, low, high = f"a {_NUMBERS[kind]}", option.min, option.max
    if low is not None and high is not None:
        takes += f" from {low} to {high}"
    elif low is not None or high is not None:
        takes += f" of at least {low}" if high is None else f" of at most {high}"
    mistakes: list[Any] = getattr(error.__cause__, "errors", list)()
    typed = f" {mistakes[0]['input']}" if mistakes else ""
    return f"{max(option.opts, key=len)}{typed}: takes {takes}"


_NUMBERS = {int: "whole number", float: "number"}


def _tidied(params: list[Any], ctx: Any) -> list[Any]:
    for param in params:
        if getattr(param, "_runtime_param", True) is None:
            param._runtime_param = LateType(param.type_descriptor)
        if ctx.resilient_parsing:
            take_as_typed(param)
        param.help = _escaped(getattr(param, "help", None))
        if isinstance(param, TyperOption) and param.is_bool_flag:
            param.metavar = ""
    return params


def _unwrapped(text: str | None) -> str | None:
    """Paragraphs without the line ends of the source, which would tear them where the terminal has another width;
    those behind \\b stay as they are."""
    if text is None:
        return None
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(each if each.startswith("\b") else " ".join(each.split("\n")) for each in paragraphs)


def _escaped(text: str | None) -> str | None:
    return None if text is None else _BRACKET.sub(r"\\[", text)
