"""Ports take a folder of weights and nothing else: tiny random models of each kind are saved, and called through it."""

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.camera import Intrinsics, unproject
from perdure.data.video import ports

transformers = pytest.importorskip("transformers", reason="transformers is in the extra `video`")
torch = pytest.importorskip("torch", reason="torch is in the extra `train`")

PICTURE = np.random.default_rng(0).integers(0, 256, (36, 64, 3)).astype(np.uint8)
NAMES = {0: "wall", 1: "person", 2: "floor"}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reaches for the network fails."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a port reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def tiny(size: int, **more: Any) -> dict[str, Any]:
    return {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
        "image_size": size, "patch_size": 8, **more,
    }  # fmt: skip


def saved(folder: Path, model: Any, processor: Any) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def test_depth(tmp_path: Path):
    torch.manual_seed(0)
    model = transformers.GLPNForDepthEstimation(
        transformers.GLPNConfig(hidden_sizes=[8, 8, 8, 8], depths=[1] * 4, num_attention_heads=[1, 1, 1, 1],
                                decoder_hidden_size=8)
    )  # fmt: skip
    port = ports.depth(saved(tmp_path, model, transformers.GLPNImageProcessorPil(size_divisor=32)))
    found = port(PICTURE)
    assert found.shape == (36, 64) and found.dtype == np.float32 and np.isfinite(found).all()
    assert np.array_equal(found, port(PICTURE))
    assert not np.array_equal(found, port(255 - PICTURE))


def test_depths_of_a_film_are_in_the_units_of_its_points():
    lens, poses = Intrinsics.from_fov(64, 36, 75.0), np.tile(np.eye(4), (2, 1, 1))
    poses[1, 0, 3] = 0.5
    far = 3 + np.arange(36)[:, None] / 12 + np.zeros((36, 64))
    points = unproject(far[::3, ::3], lens.scaled(22, 12), poses[0]).reshape(-1, 3)
    found = ports.depths(np.stack([PICTURE] * 2), poses, lens, points, lambda _: (7 / far - 2).astype(np.float32))
    assert found.shape == (2, 36, 64) and np.median(np.abs(found[0] / far - 1)) < 0.06
    away = poses @ np.diag([-1.0, 1.0, -1.0, 1.0])  # none of the points is in view
    assert not ports.depths(np.stack([PICTURE] * 2), away, lens, points, lambda _: far.astype(np.float32)).any()


def test_people(tmp_path: Path):
    torch.manual_seed(0)
    model = transformers.SegformerForSemanticSegmentation(
        transformers.SegformerConfig(hidden_sizes=[8] * 4, depths=[1] * 4, num_attention_heads=[1] * 4,
                                     decoder_hidden_size=8, id2label=NAMES)
    )  # fmt: skip
    processor = transformers.SegformerImageProcessorPil(size={"height": 64, "width": 64})
    with torch.no_grad():
        model.decode_head.classifier.weight.zero_()
        for answer, everywhere in ((1, True), (2, False)):
            model.decode_head.classifier.bias.copy_(torch.eye(3)[answer])
            found = ports.people(saved(tmp_path / str(answer), model, processor))(PICTURE)
            assert found.shape == (36, 64) and (found == everywhere).all()
    model.config.id2label = {0: "wall", 1: "sofa", 2: "floor"}
    with pytest.raises(ValueError, match="knows people"):
        ports.people(saved(tmp_path / "nobody", model, processor))


def test_repair_draws_only_what_is_masked(tmp_path: Path):
    torch.manual_seed(0)
    config = transformers.ViTMAEConfig(
        **tiny(32), decoder_num_attention_heads=2, decoder_hidden_size=16, decoder_num_hidden_layers=1,
        decoder_intermediate_size=32,
    )  # fmt: skip
    model = transformers.ViTMAEForPreTraining(config)
    processor = transformers.ViTImageProcessorPil(size={"height": 32, "width": 32})
    mend = ports.repair(saved(tmp_path, model, processor))
    mask = np.zeros((36, 64), np.bool_)
    mask[4:12, 8:20] = True
    made = mend(PICTURE, mask)
    assert np.array_equal(made[~mask], PICTURE[~mask]) and not np.array_equal(made[mask], PICTURE[mask])
    hidden = PICTURE.copy()
    hidden[:9, :16] = 0  # within the patches that the mask touches: the model must not have looked there
    assert np.array_equal(mend(hidden, mask)[mask], made[mask])
    assert np.array_equal(mend(PICTURE, ~mask & mask), PICTURE)
    with pytest.raises(ValueError, match="all of the picture"):
        mend(PICTURE, np.ones((36, 64), np.bool_))


def test_keypoints_lie_in_their_boxes(tmp_path: Path):
    torch.manual_seed(0)
    backbone = transformers.VitPoseBackboneConfig(
        **{**tiny(64), "image_size": [64, 48], "patch_size": [16, 16], "out_features": ["stage2"]}
    )
    model = transformers.VitPoseForPoseEstimation(
        transformers.VitPoseConfig(backbone_config=backbone, num_labels=5, use_simple_decoder=True)
    )
    port = ports.keypoints(saved(tmp_path, model, transformers.VitPoseImageProcessorPil()))
    boxes = [(4.0, 2.0, 20.0, 30.0), (30.0, 5.0, 60.0, 35.0)]
    found = port(PICTURE, boxes)
    assert found.shape == (2, len(model.config.id2label), 3)
    for points, (left, top, right, bottom) in zip(found, boxes):
        assert (points[:, 0] > left).all() and (points[:, 0] < right).all()
        assert (points[:, 1] > top).all() and (points[:, 1] < bottom).all()


def test_captions(tmp_path: Path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "court", "with", "walls"]
    raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokens = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        bos_token="[CLS]", eos_token="[SEP]",
    )  # fmt: skip
    torch.manual_seed(0)
    text = {"vocab_size": 8, "hidden_size": 16, "encoder_hidden_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "intermediate_size": 32, "bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0,
            "sep_token_id": 3}  # fmt: skip
    config = transformers.BlipConfig(text_config=text, vision_config=tiny(32), projection_dim=16)
    model = transformers.BlipForConditionalGeneration(config)
    images = transformers.BlipImageProcessorPil(size={"height": 32, "width": 32})
    tell = ports.captions(saved(tmp_path, model, transformers.BlipProcessor(images, tokens)))
    said = tell(PICTURE)
    assert said == tell(PICTURE) and set(said.split()) <= {"a", "court", "with", "walls", "[UNK]"}


def test_a_folder_that_holds_no_such_model_is_told(tmp_path: Path):
    with pytest.raises(ValueError, match=r"config\.json"):
        ports.depth(tmp_path / "nowhere")
    model = transformers.ViTModel(transformers.ViTConfig(**tiny(32)))
    with pytest.raises(ValueError, match="expected AutoModelForDepthEstimation in"):
        ports.depth(saved(tmp_path, model, transformers.ViTImageProcessorPil()))


@settings(max_examples=20, deadline=None)
@given(st.booleans(), st.floats(0.05, 20), st.floats(-0.3, 3), st.integers(0, 99))
def test_a_depth_of_unknown_scale_is_fitted_to_points(inverse: bool, scale: float, shift: float, seed: int):
    random = np.random.default_rng(seed)
    true = random.uniform(1.0, 12.0, (20, 30))
    raw = (scale * (1 / true if inverse else true) + shift).astype(np.float32)
    pixels = np.stack([random.uniform(0, 30, 80), random.uniform(0, 20, 80)], 1)
    known = true[pixels[:, 1].astype(int), pixels[:, 0].astype(int)]
    known[:8] = random.uniform(1.0, 12.0, 8)  # a few that are wrong
    assert np.median(np.abs(np.log(ports.fitted(raw, pixels, known) / true))) < 0.25
