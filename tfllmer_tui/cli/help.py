"""Help pages as people read them: a flag has no type, and brackets in a text are brackets."""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

_BRACKET = re.compile(r"(?<!\\)\[(?=[a-z#/@])")
"""What Rich would take for markup: the [figures] of tfllmer[figures]."""


class Command(TyperCommand):
    """A command."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.help = _escaped(self.help)

    def get_params(self, ctx: Any) -> list[Any]:
        return _tidied(super().get_params(ctx))


class CommandGroup(TyperGroup):
    """Commands under one word."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.help = _escaped(self.help)

    def get_params(self, ctx: Any) -> list[Any]:
        return _tidied(super().get_params(ctx))


def use_in(app: typer.Typer) -> None:
    """Let all commands and groups of `app` have such pages."""
    for command in app.registered_commands:
        command.cls = Command
    for group in app.registered_groups:
        group.cls = CommandGroup
        if group.typer_instance is not None:
            use_in(group.typer_instance)


def _tidied(params: list[Any]) -> list[Any]:
    for param in params:
        param.help = _escaped(getattr(param, "help", None))
        if isinstance(param, TyperOption) and param.is_bool_flag:
            param.metavar = ""
    return params


def _escaped(text: str | None) -> str | None:
    return None if text is None else _BRACKET.sub(r"\\[", text)
