"""Training the transformer: flow matching on single chunks, each with the memories it would recall.

A batch is a few runs of consecutive chunks from one clip each. All latents that any of a run's
chunks recalls are encoded once by `remember`; each chunk then gathers its own slots, so that the
keys it sees are laid out as they are in serving, and both passes learn.

Shapes: B runs, U latents encoded for a run, R chunks drawn in a run, M memory slots, C h w latent.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor, nn

from perdure.models.adapters.lora import add_lora, trainable
from perdure.models.conditions import Cameras, Given, Past
from perdure.models.dit import Transformer


class Scene(NamedTuple):
    """What the state says of the coming chunk."""

    view: Tensor  # (B, C, h, w) the state's view, encoded
    coverage: Tensor  # (B, 1, h, w)
    proxy: Tensor  # (B, P, h, w)
    to_clip: Tensor  # (B, 4, 4) coming camera to its clip space
    from_clip: Tensor  # (B, 4, 4) its inverse
    action: Tensor  # (B, A)
    setting: Tensor  # (B, F)

    def given(self, setting: bool = False) -> Given:
        """To a chunk of one latent; the setting to models that ask for it."""
        cameras = Cameras(self.to_clip.unsqueeze(1), self.from_clip.unsqueeze(1))
        view = torch.cat([self.view, self.coverage, self.proxy], 1).unsqueeze(2)
        return Given(self.action, cameras, view=view, setting=self.setting if setting else None)


@dataclass(frozen=True)
class FlowBatch:
    past: Tensor  # (B, U, C, h, w) latents that are recalled
    past_action: Tensor  # (B, U, A)
    slots: Tensor  # (B, R, M) which of U stands in each slot, -1 empty
    ages: Tensor  # (B, R, M)
    cameras: Tensor  # (B, R, M, 4, 4)
    latent: Tensor  # (B, R, C, h, w) what is to be drawn
    scene: Scene  # fields of (B * R, ...)

    def to(self, device: torch.device) -> "FlowBatch":
        scene = Scene(*(x.to(device, non_blocking=True) for x in self.scene))
        tensors = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "scene"}
        return FlowBatch(scene=scene, **{name: x.to(device, non_blocking=True) for name, x in tensors.items()})


MEMORY_NOISE = 0.1  # memories are what the model drew itself, so they are learnt slightly wrong
LEARN_TO_REMEMBER = 0.34
DROP_VIEW, DROP_PROXY, DROP_MEMORY = 0.15, 0.15, 0.1


TRAINS = ("all", "adapters", "lora", "setting")
CORRECTED = ("attn1.to_*", "ffn.net.*")  # layers that LoRA goes on


def prepare(model: Transformer, train: str, rank: int = 16) -> list[str]:
    """Let all of a transformer train, its adapters, LoRA of a rank, which is put on, or what it does with the setting.
    Names of what trains."""
    if train not in TRAINS:
        raise ValueError(f"expected to train {', '.join(TRAINS)}, got {train!r}")
    if train == "lora":
        add_lora(model, CORRECTED, rank)
    return trainable(model, "adapters.setting.*" if train == "setting" else train)


def hindsight(model: Transformer, batch: FlowBatch) -> Past:
    b, u = batch.past.shape[:2]
    r, m = batch.slots.shape[1:]
    device = batch.past.device
    past = batch.past + MEMORY_NOISE * torch.rand(b, u, 1, 1, 1, device=device) * torch.randn_like(batch.past)
    # Remembering costs as much as drawing: it learns in one step of three, and shares all its weights anyway.
    with torch.set_grad_enabled(torch.is_grad_enabled() and bool(torch.rand(()) < LEARN_TO_REMEMBER)):
        clean, given = torch.zeros(b * u, device=device), Given(keys=batch.past_action.flatten(0, 1))
        made = model.remember(past.flatten(0, 1).unsqueeze(2), clean, given=given)
    keys, values = (x[:, :, 0].unflatten(0, (b, u)) for x in made)
    index = batch.slots.clamp_min(0).view(b, r * m)
    rows = torch.arange(b, device=device).unsqueeze(1)

    def gather(x: Tensor) -> Tensor:  # (B, U, L, N, H, D) to (B * R, L, M, N, H, D)
        return x[rows, index].unflatten(1, (r, m)).flatten(0, 1).transpose(1, 2)

    present = (batch.slots >= 0) & (torch.rand(b, r, 1, device=device) > DROP_MEMORY)
    return Past(
        gather(keys), gather(values), -batch.ages.flatten(0, 1), present.flatten(0, 1), batch.cameras.flatten(0, 1)
    )


def noise_levels(count: int, sigmas: tuple[float, ...], device: torch.device) -> Tensor:
    """Half of them exactly where the sampler will ask, the rest anywhere."""
    fixed = torch.tensor(sigmas)[torch.randint(0, len(sigmas), (count,))]
    return torch.where(torch.rand(count) < 0.5, fixed, torch.rand(count).clamp_min(0.02)).to(device)


def flow_loss(module: nn.Module, batch: FlowBatch, sigmas: tuple[float, ...]) -> tuple[Tensor, dict[str, float]]:
    assert isinstance(module, Transformer)
    latent = batch.latent.flatten(0, 1)
    count = latent.shape[0]
    device = latent.device
    sigma = noise_levels(count, sigmas, device)
    level = sigma[:, None, None, None]
    noise = torch.randn_like(latent)
    noisy = (1 - level) * latent + level * noise
    view = (torch.rand(count, 1, 1, 1, device=device) > DROP_VIEW).float()
    proxy = (torch.rand(count, 1, 1, 1, device=device) > DROP_PROXY).float()
    s = batch.scene
    scene = s._replace(view=s.view * view, coverage=s.coverage * view, proxy=s.proxy * proxy)
    with torch.autocast(device.type, torch.bfloat16):
        past, timestep = hindsight(module, batch), sigma * module.config.timesteps
        velocity = module.denoise(
            noisy.unsqueeze(2), timestep, past, given=scene.given(module.config.adapters.setting > 0)
        ).squeeze(2)
    error = (velocity - (noise - latent)).square().mean((1, 2, 3))
    clean = (level.flatten() ** 2 * error).detach()  # squared error of the latent that it implies
    high = sigma > 0.9
    figures = {"clean_mse": float(clean.mean())}
    if bool(high.any()):
        figures["clean_mse_from_noise"] = float(clean[high].mean())
    return error.mean(), figures
