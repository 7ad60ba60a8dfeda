"""Builds pyiqa's networks from files at hand, with every door to the network shut.

pyiqa loads weights through six doors: its own `load_file_from_url` (a cache folder), its copy of
CLIP's download, torch.hub, timm, torchvision, and a cache of text features that it trusts whatever
weights it was made with. While a network is built they all lead into a temporary folder that holds
links to the verified files, and refuse what is not there. Afterwards everything is as it was.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote, unquote, urlparse

from qa import assets
from qa.errors import QaError, Unavailable, UsageError

MODELS = (
    "niqe niqe_matlab brisque brisque_matlab piqe musiq musiq-ava musiq-spaq musiq-paq2piq "
    "maniqa maniqa-pipal maniqa-kadid topiq_nr topiq_nr-flive topiq_nr-spaq hyperiqa clipiqa "
    "clipiqa+ liqe liqe_mix qualiclip qualiclip+ qualiclip+-clive qualiclip+-flive qualiclip+-spaq "
    "arniqa arniqa-live arniqa-csiq arniqa-tid arniqa-kadid arniqa-clive arniqa-flive arniqa-spaq"
).split()
"""pyiqa's metrics whose loading is known to use no other door."""
BACKBONES = ("resnet18", "resnet34", "resnet50", "vgg16")

_building = threading.Lock()


class Built(NamedTuple):
    """A network of pyiqa, on the CPU, in evaluation mode."""

    network: Any
    """float32 [1,3,H,W] in [0,1] → one value."""
    lower_better: bool


def build_network(model: str, files: Sequence[str], options: Mapping[str, Any]) -> Built:
    """pyiqa's network of that name with the values of the named assets.

    Raises Unavailable where pyiqa, a package it needs or a file is missing, and UsageError for a
    metric that is not known to load through known doors, or whose files do not fit.
    """
    import torch

    with _building, _quiet():
        if model not in MODELS:
            raise UsageError(
                f"pyiqa's {model!r} cannot be used here.",
                f"Only metrics whose downloads can be shut off are built: {', '.join(MODELS)}.",
                "choose one of them as model",
            )
        configs = _import_pyiqa(model)
        paths = {file: assets.resolve(file) for file in files}
        _import_class(model, configs[model]["metric_opts"]["type"])
        with _shut(model, paths), torch.random.fork_rng(devices=[]):
            try:
                from pyiqa import create_metric

                metric = create_metric(model, device="cpu", **options)
            except QaError:
                raise
            except Exception as error:  # what a wrong file leads to differs from class to class
                raise UsageError(
                    f"pyiqa cannot build {model}.",
                    f"{type(error).__name__}: {' '.join(str(error).split())[:300]}.",
                    f"check options and files; qa assets verify {' '.join(files)}",
                ) from error
    network = metric.net.requires_grad_(False).eval()
    return Built(network, bool(metric.lower_better))


def _import_pyiqa(model: str) -> Mapping[str, Any]:
    """The table of pyiqa's metrics."""
    try:
        from pyiqa.default_model_configs import DEFAULT_CONFIGS
    except ImportError as error:
        raise Unavailable(
            f"Metric {model} is not available.",
            f"It needs pyiqa, an optional package with a non-commercial licence ({error}).",
            "pip install 'decoder-qa[iqa]'",
        ) from error
    configs: Mapping[str, Any] = DEFAULT_CONFIGS
    return configs


def _import_class(model: str, kind: str) -> None:
    """Import the module of a class before the doors are shut: it copies names as they are then."""
    from pyiqa import archs

    try:
        with _pkg_resources():
            archs._lazy_import_arch(kind)
    except ImportError as error:
        raise Unavailable(
            f"pyiqa's {model} is not available.",
            f"It needs another package ({error}).",
            f"pip install {_package(error.name)}",
        ) from error


def _package(module: str | None) -> str:
    return {"clip": "openai-clip", None: "pyiqa"}.get(module, str(module).partition(".")[0])


@contextmanager
def _shut(model: str, paths: Mapping[str, Path]) -> Iterator[None]:
    """Within the block pyiqa finds `paths` by file name, and nothing else."""
    import torch
    from pyiqa.utils import download_util

    def find(url: str, *_: Any, **__: Any) -> str:
        if (name := _file_name(url)) not in paths:
            refuse(url)
        return str(paths[name])

    def refuse(url: str, *_: Any, **__: Any) -> NoReturn:
        raise Unavailable(
            f"pyiqa's {model} needs the file {_file_name(url)}.",
            "Its configuration does not name it, and pyiqa may not download by itself.",
            f"add {_file_name(url)} to the metric's files (and to the asset table)",
        )

    load = torch.load
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        for name, path in paths.items():
            os.symlink(path.resolve(), Path(folder, quote(name)))  # named as in a URL: + is %2B
        for module in _modules_with("DEFAULT_CACHE_DIR"):
            stack.enter_context(_replaced(module, "DEFAULT_CACHE_DIR", folder))
        for place, name, replacement in (
            (download_util, "download_url_to_file", refuse),
            (torch.hub, "download_url_to_file", refuse),
            (torch.hub, "load_state_dict_from_url", lambda url, **_: torch.load(find(url))),
            (torch, "load", lambda *a, **k: load(*a, **{**k, "weights_only": True})),
            *((module, "_download", find) for module in _loaded("pyiqa.archs.clip_model")),
            *(
                (module, "create_model", _without(module.create_model))
                for module in _loaded("timm")
            ),
        ):
            stack.enter_context(_replaced(place, name, replacement))
        for models in _loaded("torchvision.models"):
            for name in BACKBONES:
                stack.enter_context(_replaced(models, name, _without(getattr(models, name))))
        yield


def _file_name(url: str) -> str:
    return unquote(Path(urlparse(url).path).name)


def _without(function: Any) -> Any:
    """timm's or torchvision's way to make a network, without pretrained values."""

    def make(*args: Any, **kwargs: Any) -> Any:
        kept = {k: v for k, v in kwargs.items() if k not in ("pretrained", "weights")}
        return function(*args, **kept)

    return make


def _loaded(name: str) -> list[ModuleType]:
    return [sys.modules[name]] if name in sys.modules else []


def _modules_with(attribute: str) -> list[ModuleType]:
    """pyiqa's modules that hold a copy of a name."""
    modules = [m for name, m in sys.modules.items() if name.startswith("pyiqa.")]
    return [module for module in modules if hasattr(module, attribute)]


@contextmanager
def _replaced(place: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """pyiqa prints and warns of its own parts while it is imported and built."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _pkg_resources() -> Iterator[None]:
    """openai-clip imports it only to reach `packaging`; setuptools has it no longer since 82."""
    if find_spec("pkg_resources") is not None:
        yield
        return
    import packaging.version

    stand_in: Any = ModuleType("pkg_resources")
    stand_in.packaging = packaging
    sys.modules["pkg_resources"] = stand_in
    try:
        yield
    finally:
        del sys.modules["pkg_resources"]
