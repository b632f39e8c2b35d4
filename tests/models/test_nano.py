"""`nano` is a preset of the transformer: memories stand by themselves, and weights of its first version still serve."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from perdure.models.conditions import Cameras, Given, Past
from perdure.models.config import NANO
from perdure.models.dit import Transformer
from perdure.recipes.nano import renamed
from perdure.world.setting import FEATURES

TINY = replace(NANO, heads=2, head_dim=32, rotary=(4, 6, 6), layers=4, ffn=128, frequency_dim=64, recent=2, recalled=1)
EYE = torch.eye(4).expand(1, 1, 4, 4)


@pytest.fixture
def dit() -> Transformer:
    torch.manual_seed(0)
    model = Transformer(TINY).eval()
    for name in ("proj_out.weight", "adapters.keys.linear_2.weight", "adapters.view.weight"):
        torch.nn.init.normal_(model.get_parameter(name), std=0.1)  # a model that has learnt something
    return model


def given() -> Given:
    return Given(torch.randn(1, 10), Cameras(EYE, EYE), view=torch.randn(1, 22, 1, 4, 6))


def past(dit: Transformer, latents: Tensor, ages: list[float], present: list[bool]) -> Past:
    m = len(ages)
    keys, values = dit.remember(latents.unsqueeze(2), torch.zeros(m), given=Given(torch.zeros(m, 10)))
    cameras = torch.eye(4).repeat(1, m, 1, 1)
    cameras[0, :, 0, 3] = torch.arange(m)
    by_layer = keys[:, :, 0].transpose(0, 1)[None], values[:, :, 0].transpose(0, 1)[None]
    return Past(*by_layer, -torch.tensor([ages]), torch.tensor([present]), cameras)


@torch.no_grad()
def test_a_memory_depends_on_itself_alone(dit: Transformer) -> None:
    latents, actions = torch.randn(3, 16, 1, 4, 6), torch.randn(3, 10)
    together = dit.remember(latents, torch.zeros(3), given=Given(actions))
    alone = dit.remember(latents[1:2], torch.zeros(1), given=Given(actions[1:2]))
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1:2], b)


@torch.no_grad()
def test_slots_may_be_filled_in_any_order(dit: Transformer) -> None:
    latents, noisy, g = torch.randn(3, 16, 4, 6), torch.randn(1, 16, 1, 4, 6), given()
    there = past(dit, latents, [3.0, 2.0, 1.0], [True] * 3)
    order = [2, 0, 1]
    assert there.from_clip is not None
    kept = there.keys[:, :, order], there.values[:, :, order]
    shuffled = Past(*kept, there.times[:, order], there.present, there.from_clip[:, order])
    one, other = (dit.denoise(noisy, torch.full((1,), 30.0), p, given=g) for p in (there, shuffled))
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_an_empty_slot_says_nothing_and_a_full_one_does(dit: Transformer) -> None:
    latents, noisy, g = torch.randn(3, 16, 4, 6), torch.randn(1, 16, 1, 4, 6), given()
    other = latents.clone()
    other[0] = 3.0

    def draw(latents: Tensor, present: list[bool]) -> Tensor:
        return dit.denoise(noisy, torch.full((1,), 30.0), past(dit, latents, [3.0, 2.0, 1.0], present), given=g)

    assert torch.equal(draw(latents, [False, True, True]), draw(other, [False, True, True]))
    assert (draw(latents, [True] * 3) - draw(other, [True] * 3)).abs().max() > 1e-3


@torch.no_grad()
def test_age_camera_action_view_and_level_all_count(dit: Transformer) -> None:
    latents, noisy, g, level = torch.randn(3, 16, 4, 6), torch.randn(1, 16, 1, 4, 6), given(), torch.full((1,), 30.0)
    there = past(dit, latents, [3.0, 2.0, 1.0], [True] * 3)
    assert g.keys is not None and g.view is not None and there.from_clip is not None
    base = dit.denoise(noisy, level, there, given=g)
    for other in (
        dit.denoise(noisy, level, there._replace(times=there.times - 2), given=g),
        dit.denoise(noisy, level, there._replace(from_clip=there.from_clip + torch.randn(4, 4)), given=g),
        dit.denoise(noisy, level, there, given=g._replace(keys=g.keys + 1)),
        dit.denoise(noisy, level, there, given=g._replace(view=-g.view)),
        dit.denoise(noisy, level * 0.5, there, given=g),
    ):
        assert (base - other).abs().max() > 1e-4


# What `nano` was before it was a preset: its own formulas, plainly, on its own names.


def first_version(seed: int) -> dict[str, Tensor]:
    """Weights of its size by the names of then."""
    torch.manual_seed(seed)
    d, shapes = TINY.dim, {}
    for name in ("time_embedder.0", "time_embedder.2", "action_embedder.2"):
        shapes[name + ".weight"], shapes[name + ".bias"] = (d, d), (d,)
    shapes |= {"action_embedder.0.weight": (d, 10), "action_embedder.0.bias": (d,)}
    shapes |= {"time_proj.weight": (6 * d, d), "time_proj.bias": (6 * d,)}
    shapes |= {"patch_embedding.weight": (d, 38, 2, 2), "patch_embedding.bias": (d,)}
    shapes |= {"proj_out.weight": (64, d), "proj_out.bias": (64,), "scale_shift_table": (1, 2, d)}
    for i in range(TINY.layers):
        block = f"blocks.{i}."
        for name in ("to_q", "to_k", "to_v", "to_out"):
            shapes[block + f"attn1.{name}.weight"], shapes[block + f"attn1.{name}.bias"] = (d, d), (d,)
        shapes |= {block + "attn1.norm_q.weight": (d,), block + "attn1.norm_k.weight": (d,)}
        shapes |= {block + "ffn.0.weight": (2 * d, d), block + "ffn.0.bias": (2 * d,)}
        shapes |= {
            block + "ffn.2.weight": (d, 2 * d),
            block + "ffn.2.bias": (d,),
            block + "scale_shift_table": (1, 6, d),
        }
    return {n: 0.2 * torch.randn(s) + ("norm" in n) for n, s in shapes.items()}


class FirstVersion:
    """One chunk, a batch of one, tokens (N, E), without a mask: all memories are there."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        self.w = weights

    def linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def time(self, sigma: float, action: Tensor) -> Tensor:
        angle = sigma * 30 * torch.exp(-torch.arange(32) * (4.6 / 32))
        wave = torch.cat([angle.cos(), angle.sin()])
        time = self.linear("time_embedder.2", F.silu(self.linear("time_embedder.0", wave)))
        return time + self.linear("action_embedder.2", F.silu(self.linear("action_embedder.0", action)))

    def heads(self, layer: int, x: Tensor, shift: Tensor, scale: Tensor) -> list[Tensor]:
        """(N, H, D) queries, keys and values."""
        x, out = F.layer_norm(x, (TINY.dim,), eps=1e-6) * (1 + scale) + shift, []
        for name in ("q", "k", "v"):
            y = self.linear(f"blocks.{layer}.attn1.to_{name}", x)
            if name != "v":
                y = F.rms_norm(y, (TINY.dim,), self.w[f"blocks.{layer}.attn1.norm_{name}.weight"], 1e-6)
            out.append(y.unflatten(-1, (2, 32)))
        return out

    def turned(self, x: Tensor, time: float) -> Tensor:
        """The first half of each head (N, H, 32) of a 2 x 3 grid, channel i with i + 8."""
        rows, columns = torch.arange(6) // 3, torch.arange(6) % 3
        parts = [(torch.full((6,), time), 2), (rows, 3), (columns, 3)]
        angle = torch.cat([p[:, None] * 100.0 ** (-torch.arange(n) / n) for p, n in parts], 1)[:, None]
        a, b = x[..., :8], x[..., 8:16]
        return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos(), x[..., 16:]], -1)

    def through(self, x: Tensor, camera: Tensor) -> Tensor:
        """The second half of each head, four channels at a time."""
        return torch.cat([x[..., :16], (x[..., 16:].unflatten(-1, (4, 4)) @ camera.T).flatten(-2)], -1)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = torch.einsum("nhd,shd->hns", q, k) / 32**0.5
        return torch.einsum("hns,shd->nhd", scores.softmax(-1), v)

    def mixed(self, layer: int, x: Tensor, seen: Tensor, gate: Tensor, mods: tuple[Tensor, ...]) -> Tensor:
        shift, scale, gate_ffn = mods
        x = x + gate * self.linear(f"blocks.{layer}.attn1.to_out", seen.flatten(1))
        y = F.layer_norm(x, (TINY.dim,), eps=1e-6) * (1 + scale) + shift
        y = self.linear(f"blocks.{layer}.ffn.2", F.gelu(self.linear(f"blocks.{layer}.ffn.0", y), approximate="tanh"))
        return x + gate_ffn * y

    def run(
        self, picture: Tensor, sigma: float, action: Tensor, to_clip: Tensor, from_clip: Tensor, memories: list
    ) -> tuple[list, Tensor]:
        """Raw keys and values of the layers that look back, and the velocity (16, 4, 6)."""
        x = F.conv2d(picture[None], self.w["patch_embedding.weight"], self.w["patch_embedding.bias"], 2)[0].flatten(1).T
        time, kept = self.time(sigma, action), []
        modulation = self.linear("time_proj", F.silu(time)).view(6, -1)
        for layer in range(TINY.layers):
            shift, scale, gate, *mods = (self.w[f"blocks.{layer}.scale_shift_table"][0] + modulation).unbind(0)
            q, k, v = self.heads(layer, x, shift, scale)
            keys, values = [self.through(self.turned(k, 0), from_clip)], [self.through(v, from_clip)]
            if layer % 2:
                for old, age, camera in memories:
                    keys.append(self.through(self.turned(old[layer // 2][0], -age), camera))
                    values.append(self.through(old[layer // 2][1], camera))
                kept.append((k, v))
            q = self.through(self.turned(q, 0), to_clip.T)
            seen = self.through(self.attend(q, torch.cat(keys), torch.cat(values)), to_clip)
            x = self.mixed(layer, x, seen, gate, tuple(mods))
        shift, scale = (self.w["scale_shift_table"][0] + time).unbind(0)
        out = self.linear("proj_out", F.layer_norm(x, (TINY.dim,), eps=1e-6) * (1 + scale) + shift)
        return kept, out.view(2, 3, 2, 2, 16).permute(4, 0, 2, 1, 3).reshape(16, 4, 6)


def test_it_is_told_all_that_a_setting_says() -> None:
    assert NANO.adapters.setting == FEATURES


@torch.no_grad()
def test_weights_of_its_first_version_give_what_they_gave() -> None:
    weights = first_version(0)
    old, dit = FirstVersion(weights), Transformer(TINY).eval()
    lacking, strange = dit.load_state_dict(renamed(weights), strict=False)
    assert not strange and all(name.startswith("adapters.setting.") for name in lacking)  # told what it was not then
    latents, noisy, scene = torch.randn(3, 16, 4, 6), torch.randn(16, 4, 6), torch.randn(22, 4, 6)
    actions, action, ages = torch.randn(3, 10), torch.randn(10), [3.0, 2.0, 1.0]
    cameras, to_clip = torch.eye(4) + 0.2 * torch.randn(3, 4, 4), torch.eye(4) + 0.2 * torch.randn(4, 4)
    from_clip, eye, nothing = torch.linalg.inv(to_clip), torch.eye(4), torch.zeros(22, 4, 6)

    kept = [old.run(torch.cat([z, nothing]), 0.0, a, eye, eye, [])[0] for z, a in zip(latents, actions)]
    keys, values = dit.remember(latents.unsqueeze(2), torch.zeros(3), given=Given(actions))
    for ours, at in ((keys, 0), (values, 1)):
        true = torch.stack([torch.stack([layer[at] for layer in memory]) for memory in kept])
        assert (ours[:, :, 0] - true).abs().max() <= 1e-5 * true.abs().max()

    picture = torch.cat([noisy, scene])
    _, true = old.run(picture, 0.5, action, to_clip, from_clip, list(zip(kept, ages, cameras)))
    by_layer = keys[:, :, 0].transpose(0, 1)[None], values[:, :, 0].transpose(0, 1)[None]
    there = Past(*by_layer, -torch.tensor([ages]), from_clip=cameras[None])
    seen = Given(action[None], Cameras(to_clip[None, None], from_clip[None, None]), view=scene[None, :, None])
    made = dit.denoise(noisy[None, :, None], torch.tensor([15.0]), there, given=seen)[0, :, 0]
    assert (made - true).abs().max() <= 1e-5 * true.abs().max()
