"""Prompts are encoded as diffusers' WanPipeline encodes them, once; what is kept is what was made."""

from pathlib import Path

import pytest
import torch
from diffusers.pipelines.wan.pipeline_wan import WanPipeline, prompt_clean
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from perdure.models.text import PromptEncoder, clean

PROMPTS = ["a knight leaps", "", "  the knight\n leaps   and slams &amp;amp; sweeps ", "a b c d e f " * 9]
LENGTH = 24  # of which the last prompt would take more


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Wan folder's two text parts, tiny and random."""
    path = tmp_path_factory.mktemp("wan")
    words = ["a", "the", "knight", "leaps", "and", "slams", "sweeps", "b", "c", "d", "e", "f", "&"]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((f"▁{word}", -1.0 - i) for i, word in enumerate(words))]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(path / "tokenizer")
    torch.manual_seed(0)
    config = UMT5Config(
        vocab_size=len(pieces), d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4,
        relative_attention_num_buckets=8, relative_attention_max_distance=16, dropout_rate=0.0,
    )  # fmt: skip
    model = UMT5EncoderModel(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(path / "text_encoder")
    return path


def as_wan_pipeline(folder: Path) -> torch.Tensor:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer")
    encoder = UMT5EncoderModel.from_pretrained(folder / "text_encoder").eval()
    pipeline = WanPipeline(tokenizer, encoder, None, None)  # type: ignore[arg-type]
    with torch.no_grad():
        made, _ = pipeline.encode_prompt(
            PROMPTS, do_classifier_free_guidance=False, max_sequence_length=LENGTH, device=torch.device("cpu")
        )
    return made


def test_prompts_are_encoded_as_wan_pipeline_does(folder: Path, tmp_path: Path) -> None:
    encode = PromptEncoder(folder, length=LENGTH, cache=tmp_path)
    wanted, made = as_wan_pipeline(folder), encode(PROMPTS)
    assert made.shape == wanted.shape == (len(PROMPTS), LENGTH, 32)
    assert (made - wanted).abs().max() <= 1e-5 * wanted.abs().max()
    assert not made[0, 4:].any() and made[0, :4].all()  # three words and an end, then zeros
    assert made[3].any(-1).all()  # cut to length, its end kept: nothing is left to pad


def test_what_is_kept_is_given_back_without_the_encoder(folder: Path, tmp_path: Path) -> None:
    first = PromptEncoder(folder, length=LENGTH, cache=tmp_path)
    made = first(PROMPTS)
    assert len(list(tmp_path.iterdir())) == len(PROMPTS)
    later = PromptEncoder(folder, length=LENGTH, cache=tmp_path)
    assert torch.equal(later(PROMPTS), made)
    assert later.loaded is None  # nothing had to be read for it
    assert torch.equal(later(["a  knight leaps "]), made[:1]) and later.loaded is None  # it reads the same
    later(["a knight sweeps"])
    assert later.loaded is not None
    later.forget()
    assert torch.equal(later(PROMPTS), made) and later.loaded is None


def test_what_was_cut_short_is_made_again(folder: Path, tmp_path: Path) -> None:
    made = PromptEncoder(folder, length=LENGTH, cache=tmp_path)(PROMPTS[:1])
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])
    again = PromptEncoder(folder, length=LENGTH, cache=tmp_path)
    assert torch.equal(again(PROMPTS[:1]), made)
    assert kept.read_bytes() == whole


def test_another_encoder_another_precision_another_length_has_other_keys(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for path in folder.rglob("*"):
        if path.is_file():
            (other / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (other / path.relative_to(folder)).write_bytes(path.read_bytes())
    assert PromptEncoder(other).key("a knight") == PromptEncoder(folder).key("a knight")
    weights = other / "text_encoder" / "model.safetensors"
    changed = load_file(weights)
    changed["shared.weight"][3, 0] += 1
    save_file(changed, weights, {"format": "pt"})
    encoders = (
        PromptEncoder(folder), PromptEncoder(other), PromptEncoder(folder, dtype=torch.bfloat16),
        PromptEncoder(folder, length=9),
    )  # fmt: skip
    assert len({encoder.key("a knight") for encoder in encoders}) == len(encoders)


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("ab &;#39xampltgé\u00a0\n\t“”’ÃÂ©ﬁ"), max_size=24))
def test_prompts_are_cleaned_as_diffusers_cleans_them(prompt: str) -> None:
    assert clean(prompt) == prompt_clean(prompt)


def test_a_folder_that_is_no_wan_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a folder text_encoder/"):
        PromptEncoder(tmp_path)
    for part in ("text_encoder", "tokenizer"):
        (tmp_path / part).mkdir()
    with pytest.raises(ValueError, match="expected a tokenizer in"):
        PromptEncoder(tmp_path, cache=tmp_path)(["a knight"])
