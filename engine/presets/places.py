"""Places in a YAML file: which line a name or an entry stands in, and that no name is given twice."""

from __future__ import annotations

from pathlib import Path

import yaml

from engine.errors import UserError

BYTES = 1 << 20
"""Of a file; the longest that is shipped has three thousand."""
CHARACTERS = 1 << 16
"""Of one value."""
DEPTH = 16
"""Lists and names below one another."""
NODES = 20_000
"""Names and values of a file, each as often as aliases repeat it."""
UNREADABLE = (yaml.YAMLError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError)
"""What PyYAML raises for a value that is none of its type: `!!bool x`, `!!int ''`, `!!timestamp x`, `2020-13-45`."""


def read_text(file: Path, label: str) -> str:
    """The file's text. Raises UserError where it cannot be read, is larger than `BYTES` or not UTF-8."""
    try:
        if not file.is_file():
            raise UserError(f"{label}: not a file")
        with open(file, "rb") as opened:
            block = opened.read(BYTES + 1)
    except OSError as error:
        raise UserError(f"{label}: cannot be read: {error.strerror or error}") from None
    if len(block) > BYTES:
        raise UserError(f"{label}: larger than {BYTES:,} bytes, which no preset or study is")
    try:
        return block.decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{label}: not UTF-8 text") from None


def check_depth(text: str, label: str) -> None:
    """Raises UserError where YAML is nested deeper than `DEPTH` or has more than `NODES` nodes, before a tree is made
    of it; yaml.YAMLError where it is none."""
    depth = nodes = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        place = f"{label}:{event.start_mark.line + 1 if event.start_mark else 1}"
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        nodes += isinstance(event, yaml.NodeEvent)
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > CHARACTERS:
            raise UserError(f"{place}: one value of more than {CHARACTERS:,} characters")
        if depth > DEPTH:
            raise UserError(f"{place}: not nested that deep")
        if nodes > NODES:
            raise UserError(f"{place}: more than {NODES:,} names and values")


def check_nodes(root: yaml.Node, label: str) -> None:
    """Raises UserError where aliases make more than `NODES` nodes of the tree, or one holds itself."""
    sizes: dict[int, int] = {}
    ancestors: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in ancestors:
            raise UserError(f"{label}:{line_of(node)}: holds itself, by an alias")
        if id(node) not in sizes:
            ancestors.add(id(node))
            pairs = node.value if isinstance(node, yaml.CollectionNode) else ()
            children = (child for pair in pairs for child in (pair if isinstance(pair, tuple) else (pair,)))
            sizes[id(node)] = 1 + sum(map(size, children))
            ancestors.discard(id(node))
        if sizes[id(node)] > NODES:
            raise UserError(f"{label}:{line_of(node)}: aliases make more than {NODES:,} names and values of it")
        return sizes[id(node)]

    size(root)


def check_names(node: yaml.Node, label: str, depth: int = 0) -> None:
    """Raises UserError where a name is given twice (YAML would keep the last) or is not a word."""
    if depth > DEPTH:  # an alias inside its own anchor never ends
        raise UserError(f"{label}:{line_of(node)}: not nested that deep")
    if isinstance(node, yaml.SequenceNode):
        for value in node.value:
            check_names(value, label, depth + 1)
    elif isinstance(node, yaml.MappingNode):
        first_line_of: dict[str, int] = {}
        for key, value in node.value:
            line = line_of(key)
            if not isinstance(key, yaml.ScalarNode):
                raise UserError(f"{label}:{line}: a name is one word, not a list")
            if key.value in first_line_of:
                raise UserError(f"{label}:{line}: {key.value} is set twice, first in line {first_line_of[key.value]}")
            first_line_of[key.value] = line
            check_names(value, label, depth + 1)


def child_of(node: yaml.Node, key: str | int) -> yaml.Node:
    """The value under a name or at an index; the node itself where there is none."""
    child: yaml.Node = node
    if isinstance(node, yaml.MappingNode):
        child = next((value for name, value in node.value if name.value == key), node)
    elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        child = node.value[key]
    return child


def line_of(node: yaml.Node, *keys: str | int) -> int:
    """The line of what the keys lead to, as far as they lead: a name's own line, or an entry's."""
    line: int = node.start_mark.line + 1
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            line = next((name.start_mark.line + 1 for name, _ in node.value if name.value == key), line)
        node = child_of(node, key)
        if isinstance(key, int):
            line = node.start_mark.line + 1
    return line
