"""mPLUG, the judge of official DPG-Bench numbers: modelscope's network, without its pipeline.

    picture → bicubic to R x R (R = 504), aspect lost, CLIP's mean and spread
    question → lower case, BERT's tokens, cut or filled to 25
    answer = best of 5 beams of at most 10 tokens; "yes" counts, anything else ("no bus") does not

R, beams and lengths are those of the model folder's config.yaml. The pipeline itself is not used:
it imports fairseq, which no Python from 3.11 on can. Unlike other judges this one cannot fail to
answer.

Sources: Li et al., mPLUG, EMNLP 2022; modelscope 1.40, `models/multi_modal/mplug` and the
preprocessor of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from qa import assets, images
from qa.assets.downloads import tree_sha256
from qa.errors import Unavailable, UsageError, said
from qa.files import digest
from qa.metrics.licences import NOT_STATED
from qa.numerics import pick_device
from qa.untrusted import named_tensors, not_finite, read_checkpoint
from suites.dpg.judges import Answer, Asked
from suites.dpg.recorded import exact

if TYPE_CHECKING:
    from torch import Tensor

MODEL = "damo/mplug_visual-question-answering_coco_large_en"
CONFIG, WEIGHTS = "config.yaml", "pytorch_model.bin"
TOKENS = 25
MEAN = (0.48145466, 0.4578275, 0.40821073)
SPREAD = (0.26862954, 0.26130258, 0.27577711)


class MPlug:
    """`path` is a local folder of the model; without it modelscope brings `model` at `revision`."""

    def __init__(
        self,
        path: str | None = None,
        model: str = MODEL,
        revision: str | None = None,
        licence: str = "",
        device: str = "cpu",
    ) -> None:
        network, config, fetch = _modelscope()
        folder = _folder(path, model, revision, fetch)
        self._device = pick_device(device)
        self._model, self._side = _load(network, config, folder)
        self._model.to(self._device)
        vision = self._model.visual_encoder.visual
        vision.forward = _once(vision.forward)  # thirteen questions look at one picture
        self._lock = Lock()
        weights = tree_sha256(folder)
        self.label = f"mPLUG {weights[:8]}"
        self.digest = digest(
            {"version": 1, "folder": weights, "modelscope": version("modelscope"),
             "transformers": version("transformers")}
        )  # fmt: skip
        self.licence = licence or NOT_STATED

    def check(self, items: Collection[str]) -> None:
        """It answers whatever it is asked."""

    def ask(self, picture: Tensor, asked: Asked) -> list[Answer]:
        """One question after the other."""
        seen = squashed(picture, self._side).to(self._device)
        with self._lock:
            texts = [self._one(seen, question.text) for question in asked.questions]
        return [Answer(text, exact(text)) for text in texts]

    def _one(self, seen: Tensor, question: str) -> str:
        import torch

        tokens = self._model.tokenizer(
            question.lower(), padding="max_length", truncation=True, max_length=TOKENS,
            return_tensors="pt",
        ).to(self._device)  # fmt: skip
        with torch.inference_mode():
            found, _ = self._model(seen, tokens, train=False)
        return str(self._model.tokenizer.decode(found[0][0], skip_special_tokens=True))


def squashed(picture: Tensor, side: int) -> Tensor:
    """uint8 [3,H,W] → float32 [1,3,side,side], normalised as CLIP's pictures are."""
    import numpy as np
    import torch
    from PIL import Image

    whole = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
    small = np.asarray(whole.resize((side, side), Image.Resampling.BICUBIC))
    unit = images.to_unit(torch.from_numpy(small.transpose(2, 0, 1).copy()))
    mean, spread = (torch.tensor(values)[:, None, None] for values in (MEAN, SPREAD))
    return ((unit - mean) / spread)[None]


def _modelscope() -> tuple[Any, Any, Callable[..., str]]:
    """modelscope's network for questions, its configuration, and what downloads."""
    try:
        from modelscope import snapshot_download
        from modelscope.models.multi_modal.mplug import modeling_mplug
        from modelscope.models.multi_modal.mplug.configuration_mplug import MPlugConfig
    except ImportError as error:
        raise Unavailable(
            "The judge mPLUG needs modelscope.",
            f"{type(error).__name__}: {error}.",
            "pip install 'decoder-qa[mplug]'",
        ) from error
    _fit(modeling_mplug.BertPreTrainedModel)
    return modeling_mplug.MPlugForVisualQuestionAnswering, MPlugConfig, snapshot_download


def _fit(base: Any) -> None:
    """Gives modelscope's copy of BERT the three things that transformers 5 took away."""
    import torch

    def inverted(self: Any, mask: Tensor) -> Tensor:
        lowest = torch.finfo(self.dtype).min
        inverse: Tensor = (1.0 - mask[:, None, None, :].to(self.dtype)) * lowest
        return inverse

    base.all_tied_weights_keys = {}
    base.get_head_mask = lambda self, mask, layers, *more: [None] * layers
    base.invert_attention_mask = inverted


def _folder(path: str | None, model: str, revision: str | None, fetch: Callable[..., str]) -> Path:
    if path is None and assets.offline():
        raise Unavailable(
            f"{model} is not looked for: the network is off.",
            "modelscope would ask for it.",
            "metric.dpg_mplug.judge.path=FOLDER",
        )
    folder = Path(fetch(model, revision=revision) if path is None else path)
    absent = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if absent:
        raise UsageError(
            f"There is no mPLUG in {folder}.",
            f"{' and '.join(absent)} is missing.",
            "metric.dpg_mplug.judge.path=FOLDER, as modelscope downloads it",
        )
    return folder


def _load(network: Any, config: Any, folder: Path) -> tuple[Any, int]:
    """The network with its weights, all of them, and the side of its pictures."""
    settings = config.from_yaml_file(str(folder / CONFIG))
    settings.model_dir = str(folder)
    settings.distill = False  # the copies that training keeps are not asked
    model = network(settings)
    try:
        state = read_checkpoint(folder / WEIGHTS)
        for wrapper in ("model", "module"):
            state = state.get(wrapper, state) if isinstance(state, Mapping) else state
        named = {key.replace("model.", ""): v for key, v in named_tensors(state).items()}
        missing = model.load_state_dict(named, strict=False).missing_keys
    except (ValueError, RuntimeError) as error:  # the latter: of another shape
        raise _refusal(folder, said(error)) from error
    if missing:
        raise _refusal(folder, f"{len(missing)} parameters are missing, the first is {missing[0]}")
    if broken := not_finite(model.state_dict()):
        raise _refusal(folder, f"{broken[0]} holds NaN or infinity")
    return model.requires_grad_(False).eval(), int(settings.image_res)


def _refusal(folder: Path, why: str) -> UsageError:
    return UsageError(
        f"{folder / WEIGHTS} is not mPLUG as modelscope knows it.",
        f"{why[:300]}.",
        "download the model again",
    )


def _once(encode: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which keeps its value for the picture that came last."""
    last: list[Any] = [None, None]

    def kept(picture: Tensor, *more: Any, **also: Any) -> Any:
        if last[0] is not picture:
            last[:] = picture, encode(picture, *more, **also)
        return last[1]

    return kept
