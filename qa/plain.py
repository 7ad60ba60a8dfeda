"""YAML of strangers as plain data: bounded before anything is made of it.

An alias repeats what it names without taking room, so 230 bytes can stand for a thousand million
values; brackets nest deeper than Python follows. Both are counted while the text is parsed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

SIZE = 2**18
"""Bytes of a file, and values and characters of all that it stands for. A run's configuration has
some thousand."""
DEPTH = 64
DIGITS = 400
"""Of a number: the largest of float64 has 309, and Python reads no integer of 4301."""


def text(file: Path) -> str:
    """A file's text; ValueError where it is too large or not UTF-8, OSError as `open` has it."""
    with file.open("rb") as opened:
        data = opened.read(SIZE + 1)
    if len(data) > SIZE:
        raise ValueError(f"It has more than {SIZE} bytes")
    return data.decode()


def load(text: str) -> Any:
    """What `yaml.safe_load` gives; ValueError for text that is no YAML or beyond the bounds."""
    if len(text) > SIZE:
        raise ValueError(f"It has more than {SIZE} characters")
    try:
        return yaml.load(text, Loader=_Bounded)
    except (TypeError, AttributeError, OverflowError, yaml.YAMLError) as error:
        raise ValueError(" ".join(str(error).split())) from error


class _Bounded(yaml.SafeLoader):
    """Measures every node once it is parsed: how much it stands for, and how deep it nests."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._level = 0
        self._measured: dict[yaml.Node, tuple[int, int]] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        known = self.check_event(yaml.AliasEvent)
        self._level += 1
        _refuse_deeper(self._level)
        node = super().compose_node(parent, index)
        self._level -= 1
        if node is None:
            return None
        if not known:
            self._measured[node] = self._measure(node)
        elif node not in self._measured:  # it is not parsed to its end
            raise ValueError("It holds an alias of what it lies in")
        return node

    def _measure(self, node: yaml.Node) -> tuple[int, int]:
        if isinstance(node, yaml.ScalarNode):
            if node.tag.endswith((":int", ":float")) and len(node.value) > DIGITS:
                raise ValueError(f"It holds a number of more than {DIGITS} digits")
            return 1 + len(node.value), 1
        pairs = isinstance(node, yaml.MappingNode)
        inner = [one for pair in node.value for one in pair] if pairs else node.value
        found = [self._measured[one] for one in inner]
        size, depth = 1 + sum(s for s, _ in found), 1 + max((d for _, d in found), default=0)
        _refuse_deeper(depth)
        if size > SIZE:
            raise ValueError(f"It stands for more than {SIZE} values and characters")
        return size, depth


def _refuse_deeper(depth: int) -> None:
    if depth > DEPTH:
        raise ValueError(f"It nests deeper than {DEPTH}")
