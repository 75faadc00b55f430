"""Places in a YAML file: which line a name or an entry stands in, and that no name is given twice."""

from __future__ import annotations

import yaml

from engine.errors import UserError


def check_names(node: yaml.Node, label: str, depth: int = 0) -> None:
    """Raises UserError where a name is given twice (YAML would keep the last) or is not a word."""
    if depth > 16:  # an alias inside its own anchor never ends
        raise UserError(f"{label}:{line_of(node)}: not nested that deep")
    if isinstance(node, yaml.SequenceNode):
        for value in node.value:
            check_names(value, label, depth + 1)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = line_of(key)
            if not isinstance(key, yaml.ScalarNode):
                raise UserError(f"{label}:{line}: a name is one word, not a list")
            if key.value in seen:
                raise UserError(f"{label}:{line}: {key.value} is set twice, first in line {seen[key.value]}")
            seen[key.value] = line
            check_names(value, label, depth + 1)


def child_of(node: yaml.Node, key: str | int) -> yaml.Node:
    """The value under a name or at an index; the node itself where there is none."""
    inside: yaml.Node = node
    if isinstance(node, yaml.MappingNode):
        inside = next((value for name, value in node.value if name.value == key), node)
    elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        inside = node.value[key]
    return inside


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
