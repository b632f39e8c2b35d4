"""Wan's autoencoder as a stream is what diffusers makes of the whole film; its lookback is what it says."""

import json
from pathlib import Path

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from safetensors.torch import load_file, save_file
from torch import Tensor

from perdure.models.decoding import resumed
from perdure.models.vae import WanVae, load

# The structure of both, narrow: 2.1 with fewer blocks as well.
SHORT = {"base_dim": 4, "num_res_blocks": 1, "z_dim": 4, "latents_mean": [0.1, -0.2, 0, 1], "latents_std": [2, 1, 3, 1]}
FULL = SHORT | {"num_res_blocks": 2}
NEWER = FULL | {
    "decoder_base_dim": 6, "is_residual": True, "patch_size": 2, "in_channels": 12, "out_channels": 12,
    "scale_factor_spatial": 16,
}  # fmt: skip


def autoencoder(config: dict[str, object]) -> AutoencoderKLWan:
    torch.manual_seed(1)
    vae = AutoencoderKLWan(**config)  # type: ignore[arg-type]
    for name, weight in vae.named_parameters():
        if name.endswith("gamma"):
            torch.nn.init.uniform_(weight, 0.5, 1.5)
    return vae


def whitened(vae: AutoencoderKLWan, z: Tensor, back: bool = False) -> Tensor:
    mean, deviation = (
        torch.tensor(v).view(1, -1, 1, 1, 1) for v in (vae.config["latents_mean"], vae.config["latents_std"])
    )
    return z * deviation + mean if back else (z - mean) / deviation


@pytest.mark.parametrize("config", [SHORT, NEWER])
@torch.no_grad()
def test_parts_are_the_whole_and_the_whole_is_diffusers(config: dict[str, object]) -> None:
    vae = autoencoder(config)
    model = WanVae(vae)
    _, side, _ = model.stride
    latents = torch.randn(2, 4, 6, 3, 2)
    whole, end = model.decode(latents, model.start())
    theirs = vae.decode(whitened(vae, latents, back=True), return_dict=False)[0].transpose(1, 2)
    assert whole.shape == (2, 21, 3, 3 * side, 2 * side) and whole.std() > 0.05
    torch.testing.assert_close(whole, theirs / 2 + 0.5, atol=1e-5, rtol=0)
    state, parts = model.start(), []
    for part in latents.split([1, 3, 2], 2):
        frames, state = model.decode(part, state)
        parts.append(frames)
    assert torch.equal(torch.cat(parts, 1), whole)
    assert all(torch.equal(a, b) for a, b in zip(tensors(state.features), tensors(end.features), strict=True))

    film = torch.rand(2, 13, 3, 2 * side, 3 * side)
    whole, _ = model.encode(film, model.start())
    theirs = vae.encode(film.transpose(1, 2) * 2 - 1, return_dict=False)[0].mode()
    assert whole.shape == (2, 4, 4, 2, 3)
    torch.testing.assert_close(whole, whitened(vae, theirs), atol=1e-5, rtol=1e-5)
    state, parts = model.start(), []
    for part in film.split([2, 1, 5, 5], 1):
        found, state = model.encode(part, state)
        parts.append(found)
    assert torch.equal(torch.cat(parts, 2), whole) and state.waiting is None


def tensors(features: tuple[object, ...]) -> list[Tensor]:
    return [x for x in features if isinstance(x, Tensor)]


@pytest.mark.parametrize(("config", "latents"), [(SHORT, 30), (FULL, 38), (NEWER, 38)])
@torch.no_grad()
def test_the_lookback_is_as_far_as_anything_reaches(config: dict[str, object], latents: int) -> None:
    """What is no number in one latent is none in every frame that depends on it."""
    model = WanVae(autoencoder(config))
    assert model.lookback == latents
    stream = torch.zeros(1, 4, latents + 5, 1, 1)
    stream[:, :, 3] = float("nan")  # not among the first two, which are decoded in another way
    frames, _ = model.decode(stream, model.start())
    touched = frames.isnan().flatten(2).any(2)[0]
    assert not touched[: 1 + 4 * 2].any()
    assert touched[1 + 4 * (3 + latents - 1)] and not touched[1 + 4 * (3 + latents) :].any()


@torch.no_grad()
def test_a_restart_gives_the_same_bytes() -> None:
    model = WanVae(autoencoder(SHORT))
    latents = torch.randn(1, 4, 35, 1, 1)
    _, state = model.decode(latents[:, :, :33], model.start())
    again = resumed(model, latents[:, :, 3:33])
    kept = tensors(state.features)
    assert len(kept) > 20 and all(torch.equal(a, b) for a, b in zip(kept, tensors(again.features), strict=True))
    coming, _ = model.decode(latents[:, :, 33:], state)
    assert torch.equal(model.decode(latents[:, :, 33:], again)[0], coming)
    assert all(torch.equal(a, b) for a, b in zip(kept, tensors(state.features), strict=True))  # a state is a value


def test_a_folder_is_read_and_what_is_wrong_with_it_told(tmp_path: Path) -> None:
    vae = autoencoder(SHORT)
    vae.save_pretrained(tmp_path / "vae")
    latents = torch.randn(1, 4, 2, 2, 2)
    model = load(tmp_path / "vae")
    assert torch.equal(model.decode(latents, model.start())[0], (o := WanVae(vae)).decode(latents, o.start())[0])
    with pytest.raises(ValueError, match=r"expected latents \(B, 4, T, h, w\).*got \(1, 16, 1, 2, 2\)"):
        model.decode(torch.zeros(1, 16, 1, 2, 2), model.start())
    with pytest.raises(ValueError, match=r"multiple of 8.*got \(1, 1, 3, 12, 16\)"):
        model.encode(torch.zeros(1, 1, 3, 12, 16), model.start())
    with pytest.raises(ValueError, match=r"expected AutoencoderKLWan as diffusers saves it, .* got .*nowhere"):
        load(tmp_path / "nowhere")
    held = load_file(tmp_path / "vae" / "diffusion_pytorch_model.safetensors")
    config = json.loads((tmp_path / "vae" / "config.json").read_text())
    held["decoder.extra"] = held.pop("decoder.conv_in.bias")
    save_file(held, tmp_path / "vae" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(ValueError, match=r"1 are missing, the first of them decoder.conv_in.bias"):
        load(tmp_path / "vae")
    (tmp_path / "vae" / "config.json").write_text(json.dumps(config | {"num_res_blocks": 2}))
    with pytest.raises(ValueError, match=r"are missing, the first of them decoder"):
        load(tmp_path / "vae")


def test_numbers_that_are_none_are_told(tmp_path: Path) -> None:
    autoencoder(SHORT).save_pretrained(tmp_path)
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    held = load_file(file)
    held["decoder.conv_in.bias"][0] = float("inf")
    save_file(held, file, {"format": "pt"})
    with pytest.raises(ValueError, match=r"finite numbers, decoder.conv_in.bias has NaN or infinity"):
        load(tmp_path)
    torch.save(held, tmp_path / "diffusion_pytorch_model.bin")
    file.unlink()
    with pytest.raises(ValueError, match=r"got diffusion_pytorch_model.bin, a pickle.*perdure weights convert"):
        load(tmp_path)
