"""Stored text features come back as they were, belong to one encoder, and are never mixed up."""

from importlib import resources

import pytest
import torch
import yaml
from safetensors.torch import save_file

from decoders.text import NoText, Stored, stored
from qa.config import build
from qa.errors import QaError, UsageError


def features(seed: int = 0, tokens: int = 3, width: int = 4):
    return torch.randn(tokens, width, generator=torch.Generator().manual_seed(seed))


def put(folder, name: str, prompt: str, values=None, encoder: str = "e 1", **more):
    values = features() if values is None else values
    stored.write(folder / f"{name}.safetensors", values, prompt=prompt, encoder=encoder, **more)


def test_prompts_come_back_to_the_letter(tmp_path):
    prompts = ["", " ", "a cat", "a cat ", 'two\nlines\t"quoted" \\', "naïve 猫 " * 200]
    for index, prompt in enumerate(prompts):
        values = features(index, tokens=index + 1).to(torch.bfloat16)
        put(tmp_path / "deep", str(index), prompt, values, licence="L")
    (tmp_path / ".part-1.safetensors").write_bytes(b"left by a killed process")
    text = Stored(str(tmp_path))
    for index, prompt in enumerate(prompts):
        found = text(prompt)
        assert found.dtype == torch.float32
        assert torch.equal(found, features(index, tokens=index + 1).to(torch.bfloat16).float())
    assert (text.width, text.label, text.licence) == (4, "stored: e 1", "L")
    assert text.needs_prompt
    with pytest.raises(QaError, match="for the prompt 'A cat'"):
        text("A cat")
    with pytest.raises(QaError, match="no prompt"):
        text(None)


def test_the_digest_stands_for_the_values(tmp_path):
    put(tmp_path, "one", "a", features(0))
    put(tmp_path, "two", "b", features(1))
    before = Stored(str(tmp_path))
    assert Stored(str(tmp_path)).digest == before.digest
    put(tmp_path, "two", "b", features(2))
    assert Stored(str(tmp_path)).digest != before.digest
    assert torch.equal(before("a"), features(0))
    with pytest.raises(QaError, match="changed while"):
        before("b")


@pytest.mark.parametrize(
    ("values", "more", "message"),
    [
        (features(), {"encoder": "e 2"}, "not made by one encoder.*e 1, 4 wide.*e 2, 4 wide"),
        (features(width=5), {}, "not made by one encoder.*4 wide.*5 wide"),
        (features()[None], {}, r"features F32 \[1, 3, 4\]"),
        (features().int(), {}, "features I32"),
        (torch.empty(0, 4), {}, r"features F32 \[0, 4\]"),
        (features(), {"prompt": "a"}, "Two files hold the prompt 'a'"),
    ],
)
def test_a_folder_holds_one_encoders_features_of_different_prompts(values, more, message, tmp_path):
    put(tmp_path, "one", "a")
    Stored(str(tmp_path))
    put(tmp_path, "two", **{"prompt": "b", "values": values, **more})
    with pytest.raises(UsageError, match=message):
        Stored(str(tmp_path))


def test_files_that_are_no_features_are_refused(tmp_path):
    with pytest.raises(UsageError, match="is not a folder"):
        Stored(str(tmp_path / "none"))
    with pytest.raises(UsageError, match="holds no text features"):
        Stored(str(tmp_path))
    file = tmp_path / "one.safetensors"
    file.write_bytes(b"no such thing")
    with pytest.raises(UsageError, match="is no safetensors file"):
        Stored(str(tmp_path))
    save_file({"features": features()}, file, metadata={"prompt": "a"})
    with pytest.raises(UsageError, match="does not say its encoder"):
        Stored(str(tmp_path))
    save_file({"latent": features()}, file, metadata={"prompt": "a", "encoder": "e"})
    with pytest.raises(UsageError, match="has no tensor 'features'"):
        Stored(str(tmp_path))
    put(tmp_path, "one", "a", torch.full((3, 4), torch.inf))
    with pytest.raises(QaError, match="12 of 12"):
        Stored(str(tmp_path))("a")


def test_no_text_is_zeros_whatever_the_prompt():
    text = NoText(width=5, tokens=2)
    for prompt in (None, "", "a cat"):
        assert torch.equal(text(prompt), torch.zeros(2, 5))
    assert not text.needs_prompt
    assert "not what the network was trained with" in text.label
    assert len({text.digest, NoText(5, 3).digest, NoText(2, 5).digest, NoText().digest}) == 4
    assert list(NoText()(None).shape) == [300, 2304]
    with pytest.raises(UsageError, match="0 values"):
        NoText(width=0)


def test_the_configuration_files_name_every_argument(tmp_path):
    import inspect

    from decoders import text

    files = {file.stem: file for file in (resources.files("qa.conf") / "text").iterdir()}
    assert set(files) == {"gemma", "qwen3", "stored", "none"}
    for file in files.values():
        node = yaml.safe_load(file.read_text())
        made = getattr(text, node.pop("_target_").removeprefix("decoders.text."))
        assert set(node) == set(inspect.signature(made).parameters)
    put(tmp_path, "one", "a")
    node = yaml.safe_load(files["stored"].read_text()) | {"path": str(tmp_path)}
    assert torch.equal(build(node, "text")("a"), features())
    assert build(yaml.safe_load(files["none"].read_text()), "text").width == 2304
