"""ARNIQA: quality of a picture without a reference, from a manifold of distortions.

    value = (w · [f(x) / |f(x)|, f(x/2) / |f(x/2)|] + b - low) / (high - low)

with f the 2048 averaged features of a ResNet-50 that was trained, without ratings, to tell
distortions apart, x/2 the picture at half size (bilinear, antialiased), and w, b fitted to a data
set of ratings between low and high: KonIQ-10k (1..100, photographs as people upload them) or
KADID-10k (1..5, synthetic distortions). Higher is better; about 0 to 1.

torchmetrics owns the definition (pyiqa's shrinks without antialiasing: another number). It would
download the weights; here they come from the asset table. Everything may be used commercially as
far as the licences of code and weights go; the ratings were collected for research.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from qa import assets
from qa.errors import UsageError, said
from qa.features.weights import load_torchscript, locate
from qa.files import sha256
from qa.images import to_unit
from qa.metrics.inputs import check_pictures
from qa.metrics.resolution import parse, score_views
from qa.numerics import pick_device
from qa.types import MetricFacts
from qa.untrusted import named_tensors, not_finite, read_checkpoint

if TYPE_CHECKING:
    from torch import Tensor

ENCODER = "ARNIQA.pth"
RATINGS = ("koniq10k", "kadid10k")
LEAST = 64
"""The network shrinks 32 times, and looks at half the size too."""


class ARNIQA:
    """Pictures uint8 [S,3,H,W] → ARNIQA, higher is better. No reference is looked at."""

    better: ClassVar[Literal["higher", "lower"]] = "higher"
    unit: ClassVar[str] = ""

    def __init__(
        self,
        ratings: str = "koniq10k",
        resolution: str = "native",
        device: str = "cpu",
    ) -> None:
        if ratings not in RATINGS:
            raise UsageError(f"ARNIQA knows no ratings {ratings!r}.", "", "ratings=koniq10k")
        self._device = pick_device(device)
        self._network = _build(ratings).to(self._device)
        self._resolution = parse(resolution)
        files = (ENCODER, regressor(ratings))
        self.facts = MetricFacts(
            name="arniqa",
            better=self.better,
            unit=self.unit,
            source="Agnolucci, Galteri, Bertini and Del Bimbo, WACV 2024, section 3; "
            f"torchmetrics {version('torchmetrics')}",
            licence="Apache-2.0 (torchmetrics; weights); BSD-3-Clause (torchvision's network)",
            protocol={
                "version": 1,
                "definition": "torchmetrics",
                "ratings": ratings,
                "levels": "uint8 / 255, ImageNet mean and deviation",
                "resolution": str(self._resolution),
                "half": "bilinear, antialiased, rounded down",
                "dtype": "float32",
                **{f"sha256 {file}": sha256(assets.resolve(file)) for file in files},
            },
            paired=False,
        )

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values. ValueError below 64 pixels."""
        check_pictures(pictures, LEAST)
        return score_views(self._score, pictures, self._resolution)

    def _score(self, view: Tensor) -> Tensor:  # uint8 [3,h,w] -> one value
        value: Tensor = self._network(to_unit(view[None].to(self._device)), normalize=True)
        return value


def regressor(ratings: str) -> str:
    """The asset that holds w and b."""
    return f"regressor_{ratings}.pth"


def _build(ratings: str) -> Any:
    """torchmetrics' own network, its weights read from the asset table."""
    import torch

    # Its layers draw random values before they are filled.
    with torch.random.fork_rng(devices=[]):
        return _network_class()(ratings).requires_grad_(False).eval()


@cache
def _network_class() -> Any:
    """torchmetrics' network with another source of weights; a class once the library is loaded."""
    from torchmetrics.functional.image.arniqa import _ARNIQA

    class FromAssets(_ARNIQA):  # type: ignore[misc]
        def _load_weights(self) -> None:
            encoder, line = _read(self.regressor_dataset)
            try:
                self.encoder.load_state_dict(encoder)
                self.regressor.load_state_dict(line)
            except RuntimeError as error:
                raise _refusal(self.regressor_dataset, str(error)) from error
            if broken := not_finite(self.state_dict()):
                raise _refusal(self.regressor_dataset, f"{broken[0]} holds NaN or infinity")

    return FromAssets


def _read(ratings: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The encoder's tensors and those of the line w, b, under the keys of torchmetrics."""
    file, program = assets.resolve(ENCODER), locate("released", regressor(ratings))
    try:
        state = named_tensors(read_checkpoint(file))
        line = load_torchscript(program, "cpu").state_dict()
        encoder = {
            key.removeprefix("model."): value
            for key, value in state.items()
            if "projector" not in key
        }
        return encoder, {"weight": line["weights"], "bias": line["biases"][None]}
    except (ValueError, LookupError, UsageError) as error:  # not of this network
        raise _refusal(ratings, said(error)) from error


def _refusal(ratings: str, why: str) -> UsageError:
    return UsageError(
        "ARNIQA's weights cannot be used.",
        f"{' '.join(why.split())[:300]}.",
        f"qa assets verify {ENCODER} {regressor(ratings)}",
    )
