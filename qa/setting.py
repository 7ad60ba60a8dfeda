"""A setting of the dial as `qa dial` leaves it and `qa run dial=NAME` takes it: one YAML file.

    dials/<decoder>-<use case>.yaml
      decoder, use_case    what it was found for
      knobs                those that differ from the decoder's own
      pins                 what it holds for: digests of decoder, suite, use case, metrics

It holds for just the decoder that it was found with: with other weights or settings of that, the
run is refused. Another suite or another use case may be run with it; the record says which it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from qa import plain
from qa.config import Config, edited, key_of
from qa.errors import UsageError
from qa.types import Knobs

SCHEMA = "decoder-qa/setting/1"


@dataclass(frozen=True)
class Setting:
    """What such a file says."""

    file: Path
    content: str
    """SHA-256 of the file."""
    decoder: str
    use_case: str
    knobs: Knobs
    pins: Mapping[str, Any]

    def check(self, decoder: str, decoder_digest: str) -> None:
        """UsageError unless this is the decoder that the setting was found with."""
        if decoder != self.decoder:
            raise UsageError(
                f"{self.file} is a setting of {self.decoder}, and this is {decoder}.",
                "A setting holds for one decoder.",
                f"dial this one: qa dial use_case={self.use_case} decoder={decoder} suite=…",
            )
        pinned = str(self.pins["decoder_digest"])
        if pinned != decoder_digest:
            raise UsageError(
                f"{self.file} was found with another {self.decoder}.",
                f"Its digest was {pinned[:12]}, this one's is {decoder_digest[:12]}, so nothing is "
                "known about this setting.",
                f"dial again: qa dial use_case={self.use_case} decoder={self.decoder} suite=…",
            )

    def told(self) -> dict[str, Any]:
        """What a run's record says about it."""
        known = {"file": self.file.name, "content": self.content, "use_case": self.use_case}
        return known | {"suite": str(self.pins["suite"])}


def place(config: Config, use_case: str) -> Path:
    """Where the setting of a configuration's decoder for a use case lies."""
    return Path(config.tree.dials) / f"{config.choices['decoder']}-{use_case}.yaml"


def words(config: Config, file: Path) -> list[str]:
    """The command that decodes with a written setting, by name where the file has its place."""
    use_case = config.choices["use_case"]
    name = use_case if file == Path("dials") / place(config, use_case).name else str(file)
    return ["qa", "run", f"decoder={config.choices['decoder']}", f"dial={name}"]


def chosen(config: Config) -> Setting | None:
    """What `dial=` names, a use case or a file; None without it. UsageError if it is no setting."""
    name = config.tree.dial
    if name is None:
        return None
    given = Path(name)
    file = given if given.suffix in {".yaml", ".yml"} else place(config, name)
    if not file.is_file():
        raise UsageError(
            f"There is no setting {file}.",
            f"dial={name} takes what `qa dial` wrote.",
            f"qa dial use_case={given.stem} decoder={config.choices['decoder']} suite=…",
        )
    return read(file)


def read(file: Path) -> Setting:
    """The setting in a file; UsageError where it does not hold one."""
    try:
        return parsed(file, plain.text(file).encode())
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"{file} holds no setting of the dial.",
            f"{type(error).__name__}: {' '.join(str(error).split())}.",
            "let `qa dial` write it again",
        ) from error


def parsed(file: Path, content: bytes) -> Setting:
    """What such content says. ValueError, TypeError or KeyError where it is no setting.

    All that is not a knob is text, whatever YAML takes it for.
    """
    found = plain.load(content.decode())
    if found["schema"] != SCHEMA:
        raise ValueError(f"its schema is not {SCHEMA}")
    knobs, pins = Knobs(**found["knobs"]), dict(found["pins"])
    missing = {"decoder_digest", "suite"} - set(pins)
    if missing:
        raise ValueError(f"it pins no {min(missing)}")
    names = str(found["decoder"]), str(found["use_case"])
    return Setting(file, hashlib.sha256(content).hexdigest(), *names, knobs, pins)


def applied(config: Config, setting: Setting) -> Config:
    """The configuration with the setting's knobs; UsageError if others were given beside it."""
    given, own = config.tree.knobs, asdict(setting.knobs)
    for name in (field.name for field in fields(Knobs)):
        asked = any(_sets(word, name) for word in config.overrides)
        value = given[name]
        if value != own[name] and (asked or value != getattr(Knobs(), name)):
            raise UsageError(
                f"knobs.{name}={value} contradicts dial={config.tree.dial}.",
                f"{setting.file} says {own[name]}.",
                f"leave one of them away; what else is worth a try: qa dial settings.{name}=[…]",
            )
    return edited(config, {f"knobs.{name}": value for name, value in own.items()})


def _sets(word: str, knob: str) -> bool:
    """Whether a word sets this knob: `knobs.sigma=0`, or `knobs={sigma:0,steps:2}`."""
    key, _, value = word.partition("=")
    return key_of(word) == f"knobs.{knob}" or (key_of(key) == "knobs" and f"{knob}:" in value)
