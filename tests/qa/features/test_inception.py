"""The FID Inception equals pytorch-fid's and torch-fidelity's on the same file of weights."""

import copy

import numpy as np
import pytest
import torch
from torchvision.models.inception import Inception3, InceptionE

from qa.errors import UsageError
from qa.features import inception
from qa.features.extractors import InceptionFeatures
from qa.features.protocols import PROTOCOLS


@pytest.fixture(scope="module")
def levels():
    """Three pictures in [-1,1], [3,3,299,299]."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(3, 3, 30, 30, generator=generator) * 2 - 1
    smooth = torch.nn.functional.interpolate(coarse, size=(299, 299), mode="bilinear")
    return (smooth + 0.2 * torch.randn(smooth.shape, generator=generator)).clamp(-1, 1)


def apart(x, y):
    """Largest difference, relative to the largest value."""
    return float((x - y).abs().max() / y.abs().max())


@torch.inference_mode()
def one_by_one(network, pictures):
    return torch.cat([network(picture[None]) for picture in pictures])


@pytest.fixture(scope="module")
def expected(pth, levels):
    """pytorch-fid's features of them."""
    import pytorch_fid.inception as reference

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            reference,
            "load_state_dict_from_url",
            lambda *_, **__: torch.load(pth, weights_only=True),
        )
        theirs = reference.InceptionV3([3], resize_input=False, normalize_input=False).eval()
    return one_by_one(lambda x: theirs(x)[0].flatten(1), levels)


def test_equals_pytorch_fid(network, levels, expected):
    made = one_by_one(network, levels)
    assert made.shape == (3, 2048)
    assert apart(made, expected) <= 1e-5
    # Weights that tell pictures apart: otherwise every equality here would be cheap.
    assert apart(made[0], made[1]) > 0.01


def test_equals_torch_fidelity(pth, picture):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    x = picture(299, 299)
    theirs = FeatureExtractorInceptionV3("fid", ["2048"], feature_extractor_weights_path=str(pth))
    with torch.inference_mode():
        wanted = theirs(x[None])[0]
    made = InceptionFeatures("ttur", str(pth))(x, "")
    assert apart(made, wanted) <= 1e-5


@pytest.mark.parametrize("block", ["Mixed_5c", "Mixed_6c", "Mixed_7b"])
def test_torchvisions_averages_are_not_its(network, levels, expected, block):
    """Negative control: padding zeros counted in one block alone is seen."""
    plain = copy.deepcopy(network)
    ours = plain.get_submodule(block)
    ours._forward = lambda x: type(ours).__mro__[1]._forward(ours, x)
    assert apart(one_by_one(plain, levels[:1]), expected[:1]) > 1e-4


def test_torchvisions_last_pooling_is_not_its(network, levels, expected):
    """Negative control: an average in Mixed_7c."""
    plain = copy.deepcopy(network)
    plain.Mixed_7c._forward = lambda x: InceptionE._forward(plain.Mixed_7c, x)
    assert apart(one_by_one(plain, levels[:1]), expected[:1]) > 1e-3


def test_torchscript_layout_gives_the_same(pth, pt, picture):
    """The .pt and the .pth of the same weights, and what clean-fid's wrapper does with the .pt."""
    x = picture(120, 160)
    features = InceptionFeatures("clean", str(pt))
    state_dict = InceptionFeatures("clean", str(pth))
    assert apart(features(x, ""), state_dict(x, "")) <= 1e-6
    assert features.id != state_dict.id  # another file


def test_torchscript_gives_the_same_every_time(pt, picture):
    features, x = InceptionFeatures("clean", str(pt)), picture(60, 60)
    first = features(x, "")
    assert all(torch.equal(features(x, ""), first) for _ in range(3))


def test_drawn_weights():
    """The same on every machine and in every process, and nothing global was drawn from."""
    torch.manual_seed(1)
    np.random.seed(1)
    before, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()
    state = inception.random_state(0)
    inception.build(state, "drawn")
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == legacy).all()
    again, other = inception.random_state(0), inception.random_state(1)
    assert inception.state_sha256(again) == inception.state_sha256(state)
    assert inception.state_sha256(other) != inception.state_sha256(state)


def test_layout_is_the_released_one():
    """1008 classes, and but for them and the auxiliary head torchvision's names and shapes."""
    with torch.device("meta"):
        plain = Inception3(1008, aux_logits=False, init_weights=False)
    shapes = {key: value.shape for key, value in inception.blank().state_dict().items()}
    assert shapes == {key: value.shape for key, value in plain.state_dict().items()}
    # 95,628,359 bytes were released; tensors alone, counters left out, take a little less.
    size = sum(4 * s.numel() for k, s in shapes.items() if not k.endswith("num_batches_tracked"))
    assert 0 < 95_628_359 - size < 200_000


def test_features_of_drawn_weights_tell_pictures_apart(picture):
    features = InceptionFeatures(weights="random")
    x = picture(96, 96)
    noisy = x.float() + torch.randn(x.shape, generator=torch.Generator().manual_seed(0)) * 40
    a, b, c = (features(p, "") for p in (x, noisy.clamp(0, 255).byte(), picture(96, 96, 5)))
    assert a.abs().mean() > 0.01
    assert apart(a, b) > 0.01
    assert apart(a, c) > 0.01
    assert "comparable with no published value" in features.protocol["weights"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("Mixed_7c.branch_pool.bn.bias"), "missing: Mixed_7c.branch_pool.bn.bias"),
        (lambda s: s.update({"AuxLogits.fc.bias": torch.zeros(3)}), "not expected: AuxLogits"),
        (
            lambda s: s.update({"fc.weight": torch.zeros(1000, 2048)}),
            "1000, 2048. instead of .1008",
        ),
    ],
)
def test_other_weights_are_refused(drawn, change, said):
    state = dict(drawn)
    change(state)
    with pytest.raises(UsageError, match=said):
        inception.build(state, "some file")


def test_counters_of_training_steps_do_not_matter(drawn):
    counters = {k for k in inception.blank().state_dict() if k.endswith("num_batches_tracked")}
    assert counters
    assert not counters & drawn.keys()
    inception.build(drawn | {key: torch.tensor(7.0) for key in counters}, "some file")


def test_all_protocols_have_different_ids(pth):
    built = {name: InceptionFeatures(name, str(pth)) for name in PROTOCOLS}
    assert len({features.id for features in built.values()}) == len(PROTOCOLS)
    assert len({features.protocol["weights_sha256"] for features in built.values()}) == 1


def test_unresized_pictures_have_a_least_size(pth, picture):
    features = InceptionFeatures("none", str(pth))
    assert features(picture(75, 80), "").shape == (1, 2048)
    with pytest.raises(ValueError, match=r"74 pixels.*75"):
        features(picture(74, 80), "")
