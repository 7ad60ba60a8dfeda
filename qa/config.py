"""From command line to typed configuration. The only module that knows Hydra.

`compose` is the one way in, for the command line, notebooks and tests; `build` is the one place
where a `_target_` becomes an object. Configurations name code to run: only ours, unless the words
given to `compose` trust more (`qa.trust`). They are kept with a run and hold no secret
(`qa.secrets`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf

from qa import plain, secrets, trust
from qa.errors import QaError, UsageError
from qa.numerics import Numerics
from qa.types import Knobs


@dataclass
class UseCase:
    """A use case as YAML has it (conf/use_case/); `qa.gates.use_case` gives it a meaning."""

    description: str = ""
    primary: list[str] | None = None
    margins: dict[str, Any] = field(default_factory=dict)
    breakage: dict[str, Any] = field(default_factory=dict)
    catastrophe: dict[str, Any] | None = None
    cost: dict[str, Any] = field(default_factory=dict)
    drift: dict[str, Any] | None = None
    dial: dict[str, Any] | None = None
    review: dict[str, Any] | None = None


@dataclass
class RunSchema:
    """Every key of conf/run.yaml; a key that is not here is an error."""

    suite: dict[str, Any] = MISSING
    decoder: dict[str, Any] = MISSING
    encoder: dict[str, Any] | None = None
    latents: dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    metric: dict[str, Any] = field(default_factory=dict)
    use_case: UseCase = field(default_factory=UseCase)
    gate: dict[str, Any] = field(default_factory=dict)
    executor: dict[str, Any] = MISSING
    tracking: dict[str, Any] = MISSING
    report: str | None = None
    knobs: Knobs = field(default_factory=Knobs)
    dial: str | None = None
    dials: str = "dials"
    numerics: Numerics = field(default_factory=Numerics)
    seeds: int = 4
    limit: int | None = None
    half: str | None = None
    policy: str = "pr"
    looks: list[int] | None = None
    extend: int | None = None
    device: str = "auto"
    license_profile: str = "research"
    offline: bool = False
    baseline: str = "auto"
    baselines: str = "baselines"
    runs: str = "runs"
    out: str | None = None


@dataclass(frozen=True)
class Root:
    """A command's own configuration: conf/<name>.yaml, and the schema of its keys."""

    name: str
    schema: type
    command: str


RUN = Root("run", RunSchema, "qa run")
FILES = "files"
"""What a search path calls a folder whose files are not trusted; for Hydra they are `file`."""


@dataclass(frozen=True)
class Config:
    """A composed configuration and the names of the choices in it."""

    tree: DictConfig
    choices: dict[str, str]
    overrides: tuple[str, ...]
    config_dir: str | None = None
    """A folder of the user's own configuration groups."""

    def words(self) -> list[str]:
        """The configuration as words of a command line."""
        own = [] if self.config_dir is None else ["--config-dir", self.config_dir]
        return [*own, *self.overrides]

    def resolved(self) -> str:
        """The whole configuration as YAML."""
        with trust.without_environment():
            return str(OmegaConf.to_yaml(self.tree, resolve=True))

    def group(self, name: str) -> Any:
        """One resolved group as plain containers, for hashing and building.

        A configuration may have come from another process: this one trusts what its words do.
        """
        trust.admit(trust.split(self.overrides)[0])
        with trust.without_environment():
            whole = OmegaConf.to_container(self.tree, resolve=True)
        assert isinstance(whole, dict)
        return whole[name]


def compose(
    overrides: Sequence[str] = (), config_dir: str | Path | None = None, root: Root = RUN
) -> Config:
    """Compose conf/<root>.yaml with Hydra overrides; UsageError for anything that does not fit.

    `config_dir` adds a folder of the user's own configuration groups; `trust=[MODULE]` among the
    overrides lets configurations name what that module or package defines (`qa.trust`).
    """
    trusted, words = trust.split(overrides)
    secrets.check(words)
    trust.admit(trusted)
    keys = {entry.name for entry in fields(root.schema)}
    if "suite" not in keys or issubclass(root.schema, RunSchema):
        return replace(_composed(words, config_dir, root), overrides=tuple(overrides))
    # A suite may choose what a run over it measures, and only a run has a place for that.
    whole = _composed(of_suite(words), config_dir, replace(RUN, command=root.command))
    others = [word for word in words if not _is_of_suite(word)]
    found = _composed(others, config_dir, root)
    found.tree.suite = whole.group("suite")
    choices = {**found.choices, "suite": whole.choices["suite"]}
    return replace(found, choices=choices, overrides=tuple(overrides))


def of_suite(overrides: Sequence[str]) -> list[str]:
    """The overrides that choose or change a suite, and where configurations are looked for."""
    return [word for word in overrides if _is_of_suite(word) or key_of(word).startswith("hydra.")]


def _is_of_suite(word: str) -> bool:
    return key_of(word).split(".")[0] == "suite"


def key_of(word: str) -> str:
    """The key that a word of the command line sets."""
    return word.lstrip("+~").partition("=")[0]


def _composed(overrides: Sequence[str], config_dir: str | Path | None, root: Root) -> Config:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_module
    from hydra.core.config_store import ConfigStore

    _register_files()
    # A schema that adds keys to a run's takes its place: that root stands on conf/run.yaml.
    name = RUN.name if issubclass(root.schema, RunSchema) else root.name
    ConfigStore.instance().store(name=f"{name}_schema", node=_schema(root.schema))
    asked = [
        word.replace("file://", f"{FILES}://") if key_of(word) == "hydra.searchpath" else word
        for word in overrides
    ]
    if config_dir is not None:
        if not Path(config_dir).is_dir():
            raise UsageError(f"{config_dir} is not a folder.", "", "--config-dir DIR")
        asked.append(f"hydra.searchpath=[{FILES}://{Path(config_dir).resolve()}]")
    try:
        with (
            trust.without_environment(),  # composing reads references as well, and errors tell them
            initialize_config_module("qa.conf", version_base="1.3"),
        ):
            whole = hydra_compose(root.name, asked, return_hydra_config=True)
        choices = {str(k): str(v) for k, v in whole.hydra.runtime.choices.items()}
        OmegaConf.set_readonly(whole, False)
        OmegaConf.set_struct(whole, False)
        del whole["hydra"]
        with trust.without_environment():
            missing = sorted(OmegaConf.missing_keys(whole))
            if missing:
                raise _missing(missing)
            content = OmegaConf.to_container(whole, resolve=True)
    except QaError:
        raise
    except Exception as error:  # Hydra and OmegaConf fail in any way over files that are none
        raise _misfit(error, root) from error
    known = {entry.name for entry in fields(root.schema)}
    unknown = sorted(set(whole) - known)
    if unknown:
        raise UsageError(
            f"There is no key {unknown[0]}.", "", f"`{root.command} --cfg` prints every key"
        )
    secrets.check(content)
    folder = None if config_dir is None else str(config_dir)
    return Config(whole, choices, tuple(overrides), folder)


@cache
def _register_files() -> None:
    """Let Hydra read files of the user's through `qa.plain`: bounded, and none outside."""
    from hydra._internal.core_plugins.file_config_source import FileConfigSource
    from hydra.core.plugins import Plugins

    class BoundedFiles(FileConfigSource):  # type: ignore[misc]
        @staticmethod
        def scheme() -> str:
            return FILES

        def load_config(self, config_path: str) -> Any:
            file = Path(self.path, self._normalize_file_name(config_path))
            try:
                if ".." in file.parts:
                    raise ValueError("A configuration names none outside of its folder")
                plain.load(plain.text(file))
            except ValueError as error:
                raise UsageError(f"{file} cannot be read.", f"{error}.") from error
            return super().load_config(config_path)

    Plugins.instance().register(BoundedFiles)


def _schema(kind: type) -> DictConfig:
    """A schema for Hydra. Frozen dataclasses make read-only nodes; overrides must reach them."""
    schema: DictConfig = OmegaConf.structured(kind)
    for name in {"knobs", "numerics"} & set(schema):
        OmegaConf.set_readonly(schema[name], None)
    return schema


def edited(config: Config, changes: Mapping[str, Any]) -> Config:
    """The configuration with other values; UsageError where a key or a type does not fit."""
    from omegaconf.errors import OmegaConfBaseException

    tree = copy.deepcopy(config.tree)
    for key, value in changes.items():
        try:
            OmegaConf.update(tree, key, value, merge=False)
        except OmegaConfBaseException as error:
            why = str(error).splitlines()[0].removesuffix(".") + "."
            raise UsageError(f"{key}={value} does not fit.", why) from error
    return replace(config, tree=tree)


def build(node: Any, what: str) -> Any:
    """The object that a `_target_` node names; nested nodes are built first.

    Raises UsageError when a class is not trusted (`qa.trust`) or the arguments do not fit; a
    QaError of the part's own passes through.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    if not isinstance(node, dict) or "_target_" not in node:
        raise UsageError(
            f"The {what} names no class.",
            "Its configuration has no _target_.",
            f"choose one by name, e.g. {what}=NAME, or write a YAML file with a _target_",
        )
    trust.check(node)
    try:
        return instantiate(node, _convert_="object")
    except InstantiationException as error:
        cause: BaseException | None = error
        while cause is not None:  # Hydra wraps what the constructor raised
            if isinstance(cause, QaError):
                raise cause from None
            cause = cause.__cause__
        root = error.__cause__ or error
        raise UsageError(
            f"Cannot build the {what} {node['_target_']}.",
            f"{type(root).__name__}: {' '.join(str(root).split())}."[:400],
            "check its _target_ (must be importable: PYTHONPATH) and its arguments",
        ) from error


def complete(part: Any, attributes: Sequence[str]) -> Any:
    """The part, if it has all that its role asks for (qa.roles)."""
    absent = [name for name in attributes if not hasattr(part, name)]
    if absent:
        raise UsageError(
            f"{type(part).__name__} has no {', '.join(absent)}.",
            f"Its role needs {', '.join(attributes)}.",
            "see docs/map.md, Adding a part",
        )
    return part


def function(name: str) -> Any:
    """The function that a dotted name stands for; UsageError unless it is trusted (`qa.trust`)."""
    return trust.function(name)


def _missing(keys: list[str]) -> UsageError:
    return UsageError(
        f"{keys[0]} has no value.", "It has no default.", f"add {keys[0]}=VALUE to the command"
    )


def _misfit(error: Exception, root: Root) -> UsageError:
    # Hydra names the override, the error below it names the reason.
    said = dict.fromkeys(str(e).strip() for e in (error, error.__cause__) if e is not None)
    lines = [line.strip() for text in said for line in text.splitlines() if line.strip()]
    text = " ".join(
        line for line in lines if not line.startswith(("full_key", "object_type", "reference_type"))
    )
    return UsageError(
        "The configuration does not fit.",
        text.removesuffix(".") + ".",
        f"`{root.command} --cfg` prints every key with its value",
    )
