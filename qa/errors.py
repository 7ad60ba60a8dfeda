"""What goes wrong, said so that the reader can act: what, why, and the command that fixes it.

    QaError            exit 1   the harness could not do its work (disk full, broken file)
    ├── DeviceFailed            a GPU stopped working in this process; another one may go on
    └── UsageError     exit 2   the request cannot be carried out as it was written
        ├── SettingFailed       a setting turned out not to work, whatever the picture
        └── Unavailable         a part cannot run here: a package or a file is not at hand
            └── AssetMissing    … namely a file of the asset table

The command line prints these as one paragraph without a traceback; anything else is a bug and
keeps its traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class QaError(Exception):
    """A failure that its reader can mend. `fix` is a command, an override or one sentence."""

    exit_code = 1

    def __init__(self, what: str, why: str = "", fix: str = "") -> None:
        self.what, self.why, self.fix = what, why, fix
        super().__init__(what, why, fix)

    def __str__(self) -> str:
        why = f" {self.why}" if self.why else ""
        fix = f"\n  fix: {self.fix}" if self.fix else ""
        return f"{self.what}{why}{fix}"


class DeviceFailed(QaError):
    """A device that answers every call with an error from now on. It stops the process' work."""


class UsageError(QaError):
    """A configuration, path or combination that cannot work: nothing was started."""

    exit_code = 2


class SettingFailed(UsageError):
    """A setting does not work here, which only a first decode could tell. It stops the run."""


class Unavailable(UsageError):
    """A part that cannot run here. A metric then counts as unavailable and the others go on."""


class AssetMissing(Unavailable):
    """A file from the asset table is neither in the mirror, nor cached, nor downloadable now."""


@contextmanager
def device_watched() -> Iterator[None]:
    """Whatever a device that no longer works says inside the block is DeviceFailed."""
    try:
        yield
    except Exception as error:
        _not_of_the_device(error)
        raise


def scored(error: Exception) -> str:
    """Why a picture or a value failed, as one line.

    Raised instead is what is no failure of theirs: DeviceFailed, SettingFailed.
    """
    if isinstance(error, DeviceFailed | SettingFailed):
        raise error
    _not_of_the_device(error)
    return said(error)


def _not_of_the_device(error: Exception) -> None:
    torch = sys.modules.get("torch")  # who has not imported it has no such error
    if torch is not None and isinstance(error, torch.AcceleratorError):
        raise DeviceFailed(
            "The device failed.",
            f"{said(error)}. Finished units are kept.",
            "look after the device, then run the same command again: it continues",
        ) from error


def said(error: Exception) -> str:
    """An exception as one line; QaError and ValueError messages are written for people."""
    if isinstance(error, QaError):
        return f"{error.what} {error.why}".strip()
    text = " ".join(str(error).split()) or type(error).__name__
    text = text.encode(errors="backslashreplace").decode()  # no half of a pair, which no file takes
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"
