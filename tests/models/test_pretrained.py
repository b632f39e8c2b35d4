"""Others' models come from whole, finite safetensors and from nothing else; a broken one leaves no trace."""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModel, UMT5Config, UMT5EncoderModel

from perdure.bench import wans
from perdure.models.conversion import convert
from perdure.models.pretrained import opened
from perdure.models.text import PromptEncoder

FILE = "model.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wan")
    wans.tokenizer().save_pretrained(path / "tokenizer")
    torch.manual_seed(0)
    config = UMT5Config(vocab_size=32, d_model=16, d_kv=4, d_ff=16, num_layers=2, num_heads=4)
    UMT5EncoderModel(config).save_pretrained(path / "text_encoder")
    return path


class Shell:
    """What a pickle can hold: opening it leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


def without_a_layer(held: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: it for name, it in held.items() if "block.1.layer.0" not in name}


def with_more(held: dict[str, Tensor]) -> dict[str, Tensor]:
    return held | {"encoder.block.7.more": torch.zeros(2)}


def of_another_shape(held: dict[str, Tensor]) -> dict[str, Tensor]:
    return held | {"encoder.final_layer_norm.weight": torch.ones(9)}


def with_nan(held: dict[str, Tensor]) -> dict[str, Tensor]:
    held["encoder.final_layer_norm.weight"][3] = float("nan")
    return held


def without_words(held: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: it for name, it in held.items() if it.shape != (32, 16)}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            without_a_layer,
            r"text_encoder: expected the tensors of UMT5EncoderModel, 6 are missing, .*block\.1\.layer\.0",
        ),
        (with_more, r"1 are not known, the first of them encoder\.block\.7\.more"),
        (of_another_shape, r"1 are of another shape, the first of them encoder\.final_layer_norm\.weight .*9.*16"),
        (with_nan, r"expected finite numbers, encoder\.final_layer_norm\.weight has NaN"),
        (without_words, "2 are missing, the first of them encoder.embed_tokens.weight"),
    ],
)
def test_a_spoilt_encoder_is_told_and_writes_no_prompt(
    folder: Path, tmp_path: Path, spoil: Callable[[dict[str, Tensor]], dict[str, Tensor]], says: str
) -> None:
    shutil.copytree(folder, tmp_path / "wan")
    file = tmp_path / "wan" / "text_encoder" / FILE
    save_file(spoil(load_file(file)), file, {"format": "pt"})
    with pytest.raises(ValueError, match=says):
        PromptEncoder(tmp_path / "wan", length=8, cache=tmp_path / "kept")(["a red fox"])
    assert not (tmp_path / "kept").exists()


def test_an_encoder_that_overflows_writes_no_prompt(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "wan")
    file = tmp_path / "wan" / "text_encoder" / FILE
    save_file({name: it * 1e4 for name, it in load_file(file).items()}, file, {"format": "pt"})
    encoder = PromptEncoder(tmp_path / "wan", length=8, cache=tmp_path / "kept", dtype=torch.float16)
    with pytest.raises(ValueError, match=r"makes NaN or infinity of 'a red fox', as torch.float16"):
        encoder(["a red fox"])
    assert not (tmp_path / "kept").exists()


def test_tied_words_may_lie_there_under_either_name_or_both(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "text_encoder", tmp_path / "it")
    held = load_file(tmp_path / "it" / FILE)
    words = held.pop("shared.weight")
    for names in (
        ("shared.weight",),
        ("encoder.embed_tokens.weight",),
        ("shared.weight", "encoder.embed_tokens.weight"),
    ):
        save_file(held | {name: words.clone() for name in names}, tmp_path / "it" / FILE, {"format": "pt"})
        read = opened(UMT5EncoderModel, tmp_path / "it")
        assert torch.equal(read.encoder.embed_tokens.weight, words)


def test_a_pickle_is_refused_unread_and_what_converts_it_is_told(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "wan")
    place = tmp_path / "wan" / "text_encoder"
    held = load_file(place / FILE)
    (place / FILE).unlink()
    torch.save(held, place / "pytorch_model.bin")
    encode = PromptEncoder(tmp_path / "wan", length=8, cache=tmp_path / "kept")
    with pytest.raises(
        ValueError, match=r"pytorch_model.bin, a pickle.*: perdure weights convert (\S+) (\S+)$"
    ) as told:
        encode(["a red fox"])
    source, out = str(told.value).split()[-2:]
    convert(Path(source), Path(out))  # as it said
    made = encode(["a red fox"])
    assert torch.equal(made, PromptEncoder(folder, length=8, cache=tmp_path / "other")(["a red fox"]))

    (place / FILE).unlink()
    trace = tmp_path / "trace"
    for name in ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin", "pytorch_model.bin"):
        (place / name).write_bytes(pickle.dumps(Shell(trace)))
    with pytest.raises(ValueError, match="a pickle, which can run code when it is read: get it as safetensors"):
        opened(UMT5EncoderModel, place)
    (place / FILE).write_bytes(pickle.dumps(Shell(trace)))
    with pytest.raises(ValueError, match="expected safetensors, got a pickle"):
        opened(UMT5EncoderModel, place)
    assert not trace.exists()


def test_of_a_whole_clip_its_eyes_are_read_and_no_half_of_them(tmp_path: Path) -> None:
    config = CLIPVisionConfig(
        hidden_size=8, projection_dim=4, num_hidden_layers=2, num_attention_heads=2, image_size=8, patch_size=4,
        intermediate_size=8,
    )  # fmt: skip
    model = CLIPVisionModel(config)
    model.save_pretrained(tmp_path)
    held = load_file(tmp_path / FILE)
    save_file(held | {"visual_projection.weight": torch.ones(4, 8)}, tmp_path / FILE, {"format": "pt"})
    with pytest.raises(ValueError, match=r"1 are not known, the first of them visual_projection.weight"):
        opened(CLIPVisionModel, tmp_path)
    read = opened(CLIPVisionModel, tmp_path, beyond=("visual_projection.",))
    assert all(torch.equal(it, model.state_dict()[name]) for name, it in read.state_dict().items())
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"model.safetensors: expected \d+ bytes, the last \d+ are missing"):
        opened(CLIPVisionModel, tmp_path)
