"""Which of the packages that decoder-qa asks for are installed and work (`qa doctor`).

What it asks for stands in its own metadata, so that no list here can fall behind pyproject.toml.
Nothing but Python's own library is imported until a package is tried.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from importlib import import_module, metadata
from shlex import quote

from qa.errors import said

OURS = "decoder-qa"
MODULES = {
    "hydra-core": "hydra", "opencv-python-headless": "cv2", "pillow": "PIL", "pyyaml": "yaml",
    "scikit-image": "skimage",
}  # fmt: skip
"""What packages are imported as, where that is not their own name."""
PAIR = "pip install --upgrade torch torchvision"
"""One release of torchvision works with one of torch."""


@dataclass(frozen=True)
class Package:
    """One requirement of ours."""

    name: str
    asked: str
    """As pip takes it: name and versions."""
    extra: str = ""
    """The extra of ours that asks for it."""
    everywhere: bool = True
    """False for an extra's, and where our metadata asks for it on some systems only."""

    @property
    def module(self) -> str:
        return MODULES.get(self.name, self.name.replace("-", "_"))

    @property
    def fix(self) -> str:
        """The command that installs it."""
        return f"pip install {quote(f'{OURS}[{self.extra}]' if self.extra else self.asked)}"

    def trouble(self) -> tuple[bool, str, str] | None:
        """None if it works; else whether it is absent, why it does not work, and what to do."""
        try:
            with (
                warnings.catch_warnings(),
                redirect_stdout(sys.stderr),
            ):  # some print what they lack
                warnings.simplefilter("ignore")
                import_module(self.module)
        except Exception as error:  # a mismatch of versions shows as almost anything
            lacking = absent(error)
            if lacking == self.module:
                return True, "not installed", self.fix
            return False, said(error), self._mended(error, lacking)
        return None

    def _mended(self, error: Exception, lacking: str | None) -> str:
        if lacking is not None:
            return fix(lacking)
        if "torchvision" in (self.name, *re.findall("torchvision", str(error))):
            return PAIR
        return f"pip install --force-reinstall {quote(self.asked)}"

    def version(self) -> str:
        """Of the installed package; "" where nothing tells."""
        with suppress(metadata.PackageNotFoundError):
            return metadata.version(self.name)
        return ""


def packages() -> Iterator[Package]:
    """All that our metadata asks for but what only our developers need.

    PackageNotFoundError where decoder-qa itself is not installed.
    """
    for line in metadata.requires(OURS) or ():
        asked, _, condition = (part.strip() for part in line.partition(";"))
        extra = re.search(r"extra\s*==\s*[\"']([^\"']+)", condition)
        name = re.match(r"[\w.-]+", asked)
        if name and not (extra and extra[1] == "dev"):
            # A condition other than an extra tells where there is a wheel at all.
            yield Package(name[0].lower(), asked, extra[1] if extra else "", not condition)


def absent(error: BaseException) -> str | None:
    """The top module that is not installed and made this error; None for any other error."""
    cause: BaseException | None = error
    while cause is not None:
        name = cause.name if isinstance(cause, ModuleNotFoundError) else None
        told = [name] if name else re.findall(r"No module named '([\w.]+)'", str(cause))
        for module in (full.partition(".")[0] for full in told):
            if not _there(module):
                return module
        cause = cause.__cause__ or cause.__context__
    return None


def fix(module: str) -> str:
    """The command that installs what a module belongs to."""
    return asked_for(module) or f"pip install {quote(module)}"


def asked_for(module: str | None) -> str:
    """The command that installs what a module belongs to; "" where we do not ask for it."""
    with suppress(metadata.PackageNotFoundError):
        return next((package.fix for package in packages() if package.module == module), "")
    return ""


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
