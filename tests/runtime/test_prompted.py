"""A prompt to a film: the latents and frames that diffusers' pipelines make of the same folder and the same noise."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.wan.pipeline_wan import WanPipeline
from diffusers.pipelines.wan.pipeline_wan_i2v import WanImageToVideoPipeline
from PIL import Image
from torch import Tensor

from perdure.models.experts import Experts
from perdure.runtime.prompted import Painter, load, pixels
from perdure.sampling import noise
from tests.runtime.tiny_wan import CHANNELS, CLIP, clip, pipeline, transformer

PROMPT, NEGATIVE = "a red dog  runs &amp; sleeps", "the green hill"
HEIGHT, WIDTH, FRAMES, STEPS = 32, 64, 9, 5


@pytest.fixture(autouse=True)
def nothing_is_kept_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def both(made: Any, folder: Path, guidance: tuple[float, ...] = (4.0,), **given: Any) -> tuple[Painter, Tensor, Tensor]:
    """Our painter of the folder that a pipeline saves, our latents and frames, which were compared with its own."""
    made.save_pretrained(folder)
    rate, down = 4, made.vae_scale_factor_spatial
    start = torch.from_numpy(noise(1, (1, CHANNELS, (FRAMES - 1) // rate + 1, HEIGHT // down, WIDTH // down)))
    asked: dict[str, Any] = {
        "prompt": PROMPT, "negative_prompt": NEGATIVE, "height": HEIGHT, "width": WIDTH, "num_frames": FRAMES,
        "num_inference_steps": STEPS, "guidance_scale": guidance[0], "latents": start, **given,
    }  # fmt: skip
    if len(guidance) > 1:
        asked["guidance_scale_2"] = guidance[1]
    latents, frames = (made(**asked, output_type=kind).frames for kind in ("latent", "pt"))
    painter = load(folder)
    ours = painter.paint(
        PROMPT, given.get("image"), NEGATIVE, FRAMES, HEIGHT, WIDTH, STEPS, guidance, start=start.clone()
    )
    shown = torch.cat(list(painter.show(ours))).unsqueeze(0)
    assert far(ours, latents) <= 1e-5 and far(shown, frames) <= 1e-5
    assert float(latents.std()) > 0.1 and float(frames.std()) > 0.01
    return painter, ours, shown


def far(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())


def picture(height: int = HEIGHT, width: int = WIDTH) -> Image.Image:
    rows, columns = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([rows * 7 % 256, columns * 3 % 256, (rows * columns) % 256], -1).astype(np.uint8))


@pytest.mark.parametrize("euler", [False, True])
def test_words_become_what_wan_pipeline_makes_of_them(tmp_path: Path, euler: bool) -> None:
    painter, latents, shown = both(pipeline(WanPipeline, euler, transformer=transformer(1)), tmp_path)
    assert shown.shape == (1, FRAMES, 3, HEIGHT, WIDTH)
    assert pixels(shown[0]).shape == (FRAMES, HEIGHT, WIDTH, 3)
    asked = (FRAMES, HEIGHT, WIDTH, STEPS)
    start = torch.from_numpy(noise(1, tuple(latents.shape)))
    assert torch.equal(painter.paint(PROMPT, None, NEGATIVE, *asked, (4.0,), seed=1), latents)
    assert not torch.equal(painter.paint("the hill", None, NEGATIVE, *asked, (4.0,), seed=1), latents)
    unguided = pipeline(WanPipeline, euler, transformer=transformer(1))(
        prompt=PROMPT, height=HEIGHT, width=WIDTH, num_frames=FRAMES, num_inference_steps=STEPS, guidance_scale=1.0,
        latents=start, output_type="latent",
    ).frames  # fmt: skip
    assert far(painter.paint(PROMPT, None, "", *asked, (1.0,), start=start), unguided) <= 1e-5
    by_latent = torch.tensor([4.0, 1.0, 4.0]).view(-1, 1, 1)
    assert not torch.equal(painter.paint(PROMPT, None, NEGATIVE, *asked, (by_latent,), start=start), latents)


def test_two_experts_are_asked_where_wan_pipeline_asks_them(tmp_path: Path) -> None:
    made = pipeline(WanPipeline, transformer=transformer(1), transformer_2=transformer(2), boundary_ratio=0.875)
    asked: list[tuple[int, float]] = []
    for who, expert in enumerate((made.transformer, made.transformer_2)):
        expert.register_forward_pre_hook(
            lambda module, _, given, who=who: asked.append((who, float(given["timestep"][0]))), with_kwargs=True
        )
    painter, _, _ = both(made, tmp_path, guidance=(4.0, 3.0))
    experts = painter.model
    assert isinstance(experts, Experts)
    assert {who for who, _ in asked} == {0, 1}
    assert all(experts.which(timestep) == who for who, timestep in asked)


def test_an_image_goes_on_as_ti2v_goes_on_from_it(tmp_path: Path) -> None:
    """Wan 2.2's 5B: the image is the first latent, clean, at timestep 0; patches in the autoencoder."""
    made = pipeline(WanImageToVideoPipeline, patch=2, transformer=transformer(1), expand_timesteps=True)
    painter, latents, _ = both(made, tmp_path, image=picture())
    asked = (FRAMES, HEIGHT, WIDTH, STEPS)
    words_alone = painter.paint(PROMPT, None, NEGATIVE, *asked, (4.0,), seed=1)
    assert not torch.equal(words_alone[:, :, 0], latents[:, :, 0])


def test_words_alone_in_ti2v(tmp_path: Path) -> None:
    both(pipeline(WanPipeline, patch=2, transformer=transformer(1), expand_timesteps=True), tmp_path)


def test_an_image_in_channels_of_its_own(tmp_path: Path) -> None:
    """Wan 2.2's image-to-video: two experts, and the image beside the noise."""
    beside = {"in_channels": 2 * CHANNELS + 4}
    experts: dict[str, Any] = {"transformer": transformer(1, **beside), "transformer_2": transformer(2, **beside)}
    made = pipeline(WanImageToVideoPipeline, **experts, boundary_ratio=0.9)
    painter, _, _ = both(made, tmp_path, guidance=(3.5, 2.5), image=picture())
    with pytest.raises(ValueError, match="expected an image"):
        painter.paint(PROMPT, None, NEGATIVE, FRAMES, HEIGHT, WIDTH, STEPS)


def test_an_image_that_clip_reads_as_well(tmp_path: Path) -> None:
    """Wan 2.1's image-to-video."""
    seen = transformer(1, in_channels=2 * CHANNELS + 4, image_dim=CLIP, added_kv_proj_dim=24)
    both(pipeline(WanImageToVideoPipeline, transformer=seen, **clip()), tmp_path, image=picture())


def test_what_cannot_be_painted_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model_index\.json"):
        load(tmp_path)
    pipeline(WanPipeline, transformer=transformer(1)).save_pretrained(tmp_path)
    painter = load(tmp_path)
    asked: dict[str, Any] = {"frames": FRAMES, "height": HEIGHT, "width": WIDTH, "steps": 1}
    mistakes: tuple[tuple[dict[str, Any], str], ...] = (
        ({"frames": 8}, "and 4 for each further latent"),
        ({"height": 40}, "multiple of 16"),
        ({"start": torch.zeros(1, 2, 3)}, "expected noise of"),
        ({"image": picture()}, "expected no image"),
    )
    for wrong, says in mistakes:
        with pytest.raises(ValueError, match=says):
            painter.paint(PROMPT, **{**asked, **wrong})
    settings = tmp_path / "scheduler" / "scheduler_config.json"
    settings.write_text(settings.read_text().replace('"use_flow_sigmas": true', '"use_flow_sigmas": false'))
    with pytest.raises(ValueError, match="use_flow_sigmas to be True"):
        load(tmp_path)
