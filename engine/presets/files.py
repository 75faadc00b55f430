"""Presets as files: `configs/KIND/NAME.yaml`, shipped, and overlaid by name from the working folder.

A preset is what it changes, with `meaning` (one line), and where useful `question`, `applies_to`, `label`, which
tables and figures print, and of a method that needs another one than the usual, `usual_backbone`:

    meaning: item rows keep their own norms in the forward pass; Rec-PCA stays
    applies_to: tf-llmer
    table:
      normalize: none
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from engine.errors import UserError, nearest
from engine.places import files_of, label_of
from engine.presets.places import UNREADABLE, check_depth, check_names, check_nodes, read_text
from engine.spec import BACKBONES

Kind = Literal["dataset", "backbone", "method", "ablation"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Document = TypeVar("Document", bound=BaseModel)
_WORDS = ("meaning", "question", "applies_to", "label", "usual_backbone")


@dataclass(frozen=True)
class Setting:
    """A value and where it was set: `configs/ablation/no-norm.yaml:5`, `--set`, `--seed`."""

    value: Any
    origin: str


@dataclass(frozen=True)
class Preset:
    """A named set of settings; `settings` maps dotted fields (`table.normalize`)."""

    kind: Kind
    name: str
    file: Path
    meaning: str
    question: str
    applies_to: str | None
    settings: dict[str, Setting]
    label: str = ""
    """What tables and figures call it; empty for its name."""
    usual_backbone: str | None = None
    """Of a method: the backbone where none is named."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that an ablation changes, as `applies_to` names them with commas between."""
        return tuple(word.strip() for word in (self.applies_to or "").split(",") if word.strip())


def list_presets(kind: Kind) -> list[Preset]:
    """All presets of a kind, by name. Raises UserError where a file is not a preset."""
    presets = [_read(kind, name, file) for name, file in files_of(kind).items()]
    if kind == "backbone":
        presets += [_of_part(name) for name in BACKBONES if not has_preset(kind, name)]
    return sorted(presets, key=lambda preset: preset.name)


def find_preset(kind: Kind, name: str) -> Preset:
    """The preset of that name. Raises UserError with the nearest name where there is none."""
    names = files_of(kind)
    if kind == "backbone" and name not in names and name in BACKBONES:
        return _of_part(name)
    if name not in names:
        raise UserError(
            f"--{kind} {name}: no such {kind}{nearest(name, sorted(preset.name for preset in list_presets(kind)))}"
        )
    return _read(kind, name, names[name])


def has_preset(kind: Kind, name: str) -> bool:
    """Whether there is a preset of that name."""
    return name in files_of(kind)


def _of_part(name: str) -> Preset:
    """What stands for the preset of an installed backbone that comes without one."""
    part = BACKBONES[name]
    meaning = inspect.cleandoc(part.__doc__ or name).splitlines()[0].removesuffix(".")
    file = Path(inspect.getfile(part))
    return Preset("backbone", name, file, meaning, "", None, {"backbone.name": Setting(name, str(file))})


# ------------------------------------------------------------------------------------ reading


def _read(kind: Kind, name: str, file: Path) -> Preset:
    state = file.stat()
    return _read_file(kind, name, file, (state.st_dev, state.st_ino, state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=1024)
def _read_file(kind: Kind, name: str, file: Path, state: tuple[int, ...]) -> Preset:
    """A study resolves hundreds of cells from the same files: each state of a file is read once."""
    label = label_of(file)
    leaves: dict[str, Setting] = {}
    for path, setting in leaves_of(*read_tree(file, label), label):
        if path in leaves:
            raise UserError(
                f"{setting.origin}: {path} is set twice, first in line {leaves[path].origin.split(':')[-1]}"
            )
        leaves[path] = setting
    words = {word: leaves.pop(word, Setting(None, f"{label}:1")) for word in _WORDS}
    for word, setting in words.items():
        if not isinstance(setting.value, str | None):
            raise UserError(f"{setting.origin}: {word} must be text, not {setting.value!r}")
    if not words["meaning"].value:
        raise UserError(f"{label}:1: a preset starts with `meaning:`, one line that says what it is")
    return Preset(
        kind,
        name,
        file,
        meaning=words["meaning"].value,
        question=words["question"].value or "",
        applies_to=words["applies_to"].value,
        label=words["label"].value or "",
        usual_backbone=words["usual_backbone"].value,
        settings=leaves,
    )


def read_tree(file: Path, label: str) -> tuple[yaml.MappingNode, yaml.SafeLoader]:
    """The file's YAML tree, whose nodes know their lines, and the loader that turns leaves into values."""
    try:
        text = read_text(file, label)
        check_depth(text, label)
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{label}:{line}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{label}: not valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(root, yaml.MappingNode):
        raise UserError(f"{label}:1: needs a list of `name: value` lines")
    check_nodes(root, label)
    return root, loader


def read_document(
    document: type[Document], file: Path, label: str, explain: Callable[[ValidationError, yaml.Node, str], str]
) -> tuple[Document, yaml.MappingNode, yaml.SafeLoader]:
    """The file as what it has to hold, with its tree and loader (`read_tree`); `explain` words what does not fit, with
    its line. Raises UserError."""
    root, loader = read_tree(file, label)
    check_names(root, label)
    try:
        return document.model_validate(loader.construct_object(root, deep=True)), root, loader
    except ValidationError as error:
        raise UserError(explain(error, root, label)) from None
    except UNREADABLE as error:
        raise UserError(f"{label}: cannot be read: {(str(error).splitlines() or ['?'])[0]}") from None


def leaves_of(
    node: yaml.MappingNode, loader: yaml.SafeLoader, label: str, prefix: str = ""
) -> Iterator[tuple[str, Setting]]:
    """Every setting by its dotted field, with its line."""
    for key, value in node.value:
        origin = f"{label}:{key.start_mark.line + 1}"
        path = f"{prefix}{key.value}"
        if not isinstance(key, yaml.ScalarNode) or not isinstance(value, yaml.ScalarNode | yaml.MappingNode):
            raise UserError(f"{origin}: {prefix or 'a preset '}takes `name: value` lines, no lists")
        if isinstance(value, yaml.ScalarNode):
            try:
                yield path, Setting(loader.construct_object(value), origin)
            except UNREADABLE:
                raise UserError(f"{origin}: {path}: cannot read the value {value.value!r}") from None
        elif path.count(".") > 8:  # an alias inside its own anchor never ends
            raise UserError(f"{origin}: {path}: settings are not nested that deep")
        else:
            yield from leaves_of(value, loader, label, f"{path}.")
