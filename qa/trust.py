"""Whose code a configuration may name: ours, and what the command line adds by `trust=[MODULE]`.

A configuration is a file, and files come from anywhere; one that could name any callable of Python
(`_target_: os.system`) would be a program. So the object that a name leads to must be defined in
`OWN`, or in a package that was named on a command line (or to `evaluate`). No file can add one:
`trust` is no key of any configuration. What was named holds for the rest of the process.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from threading import RLock
from types import ModuleType
from typing import Any, NoReturn

from omegaconf import OmegaConf
from omegaconf.resolvers import oc

from qa.errors import UsageError

OWN = frozenset({"qa", "decoders", "suites", "reports"})
KEY = "trust"
MAKERS = frozenset({
    "qa.features.views.anyres256", "qa.features.views.hific256",
    "qa.features.views.pixverve299x20", "qa.features.views.ultrapixel299x3",
    "suites.geneval.mask2former.meta", "suites.geneval.mmdet.mmdet",
})  # fmt: skip
"""Functions of ours that make a part. Others of ours act (write files, read configurations), so
that a `_target_` of ours is a class or one of these."""
FUNCTIONS = frozenset({
    "decoders.capture.loop.plan", "reports.dial.write", "reports.html.write",
    "suites.geneval.layout.files",
})  # fmt: skip
"""Functions of ours that `report`, `page`, `loop` and `files` may name; `levels` names a class."""
_named: set[str] = set()
_lock = RLock()


def split(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """Words of a command line → the packages that `trust=[…]` names, and the other words."""
    names: list[str] = []
    others: list[str] = []
    for word in words:
        key, _, value = word.partition("=")
        if key != KEY:
            others.append(word)
            continue
        listed = value.removeprefix("[").removesuffix("]") if value.endswith("]") else value
        given = [name.strip() for name in listed.split(",")]
        wrong = [name for name in given if not name.isidentifier()]
        if wrong:
            raise UsageError(
                f"{word} names no module.",
                f"{wrong[0]!r} is not the name of a package or module of the top level.",
                f"{KEY}=[my_module]",
            )
        names += given
    return names, others


def admit(names: Iterable[str]) -> None:
    """Let configurations name what these packages or modules define, in this process."""
    _named.update(names)


def target(name: Any) -> Any:
    """What a `_target_` names, once it is known to be allowed; UsageError if it is not."""
    return _listed(name, MAKERS)


def function(name: Any) -> Any:
    """What `report`, `page`, `loop`, `levels` or `files` names; UsageError unless it is allowed."""
    return _listed(name, FUNCTIONS)


def _listed(name: Any, known: frozenset[str]) -> Any:
    """A class, one of the `known` functions, or anything of a package that was named."""
    found = located(name)
    home = str(name).partition(".")[0]
    if home in OWN and home not in _named and not inspect.isclass(found) and name not in known:
        raise UsageError(
            f"{name} is no part.",
            "It is no class, and not one of the functions that a configuration may name here.",
            f"name a class, or one of {', '.join(sorted(known))}",
        )
    return found


def located(name: Any) -> Any:
    """The class or function of a dotted name, if `OWN` or a trusted package defines it.

    The name is followed as Hydra does, attributes before modules; nothing outside of what is
    trusted is imported, and what an allowed module has imported itself is refused at the end.
    """
    parts = name.split(".") if isinstance(name, str) else []
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise _nothing(name, "A dotted name is a module and what it defines.")
    _allowed(name, parts[0])
    if any(part.startswith("__") for part in parts):
        raise _nothing(name, "Names that begin with __ are Python's own.")
    try:
        found: Any = import_module(parts[0])
        for place, part in enumerate(parts[1:], 2):
            if not hasattr(found, part) and isinstance(found, ModuleType):
                import_module(".".join(parts[:place]))
            found = getattr(found, part)
    except Exception as error:  # a trusted module may fail in any way while it is imported
        raise _nothing(name, f"{type(error).__name__}: {error}.") from error
    if isinstance(found, ModuleType) or not callable(found):
        raise _nothing(name, f"It is a {type(found).__name__}.")
    _allowed(name, str(getattr(found, "__module__", None)).partition(".")[0])
    return found


def check(node: Any) -> None:
    """UsageError unless every `_target_` in a resolved configuration may be built.

    Texts with `${` are refused as well: Hydra would resolve them a second time.
    """
    for key, value in _entries(node):
        if key == "_target_":
            target(value)
        elif isinstance(value, str) and "${" in value:
            raise UsageError(
                f"{key} holds {'${'}.", "It would be read as a reference once more.", "leave it out"
            )


def _entries(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth; an entry of a list has the list's key."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _entries(value, str(name))
    elif isinstance(node, Sequence) and not isinstance(node, str | bytes):
        for value in node:
            yield from _entries(value, key)
    if key:
        yield key, node


@contextmanager
def without_environment() -> Iterator[None]:
    """Within the block a configuration cannot read environment variables by `${oc.env:NAME}`."""
    with _lock:  # resolvers belong to the process
        OmegaConf.register_new_resolver("oc.env", _refused, replace=True)
        try:
            yield
        finally:
            OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def _refused(name: str, *_: Any) -> NoReturn:
    raise ValueError(
        f"oc.env:{name} is refused: a configuration is kept with the run, and environment "
        f"variables hold secrets. Give the value on the command line: KEY=${name}"
    )


def _allowed(name: str, home: str) -> None:
    if home not in OWN | _named:
        raise UsageError(
            f"{name} is not trusted.",
            f"It is defined in {home}, and a configuration may name code of "
            f"{', '.join(sorted(OWN))} only, unless the command line says otherwise.",
            f"if you trust that code, add {KEY}=[{home}] to the command",
        )


def _nothing(name: Any, why: str) -> UsageError:
    return UsageError(
        f"There is no class or function {name}.", why, "check its name (PYTHONPATH finds modules)"
    )
