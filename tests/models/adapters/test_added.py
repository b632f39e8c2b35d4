"""All adapters at once: a fresh one changes no bit of Wan, a learnt one counts, and a stream is the whole clip."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from torch import nn

from perdure.models.adapters.added import Added
from perdure.models.adapters.camera import cameras
from perdure.models.adapters.rays import channels
from perdure.models.attention import Roles
from perdure.models.camera import look
from perdure.models.conditions import Cameras, Given, Past
from perdure.models.config import Adapters, TransformerConfig
from perdure.models.dit import Transformer

EVERY = Adapters(
    keys="81-way", camera="prope", rays="rays-keys", key_features=4, ray_fold=2, view=6, identity=7, setting=5
)  # fmt: skip
BARE = TransformerConfig(
    heads=2, head_dim=24, layers=3, ffn=64, frequency_dim=32, text_dim=20, in_channels=4, out_channels=4
)
FULL = replace(BARE, adapters=EVERY)
LATENTS = 4


def learnt(module: nn.Module, seed: int = 0) -> None:
    """Everything counts."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            nn.init.normal_(weight, mean=float("norm" in name and "weight" in name), std=0.2)


def both() -> tuple[Transformer, Transformer]:
    """A model with fresh adapters, and the same without any."""
    bare, full = Transformer(BARE).eval(), Transformer(FULL).eval()
    learnt(bare)
    missing, unexpected = full.load_state_dict(bare.state_dict(), strict=False)
    assert not unexpected and missing and all(name.startswith("adapters.") for name in missing)
    return bare, full


def told(batch: int = 2, latents: int = LATENTS, seed: int = 1) -> Given:
    """Something for every adapter."""
    torch.manual_seed(seed)
    poses = look(torch.randn(batch, latents, 3), torch.randn(batch, latents), 0.3 * torch.randn(batch, latents))
    lens = torch.tensor([0.65, 1.1, 0.5, 0.45]).expand(batch, latents, 4)
    return Given(
        keys=torch.randint(0, 81, (batch, latents)),
        cameras=cameras(poses, lens, scale=0.2),
        rays=torch.randn(batch, 40, latents, 4, 6),
        view=torch.randn(batch, 6, latents, 4, 6),
        identity=torch.randn(batch, 3, 7),
        identity_present=torch.tensor([[True, True, False]]).expand(batch, -1),
        setting=torch.randn(batch, 5),
    )


def clip(batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    return torch.randn(batch, 4, LATENTS, 4, 6), torch.randn(batch, 9, 20)


def cut(given: Given, piece: slice) -> Given:
    """What is given for some of the latents."""
    assert given.keys is not None and given.cameras is not None and given.rays is not None and given.view is not None
    at = Cameras(*(x[:, piece] for x in given.cameras))
    return given._replace(
        keys=given.keys[:, piece], cameras=at, rays=given.rays[:, :, piece], view=given.view[:, :, piece]
    )


LEVELS = {
    "a level for each latent": torch.tensor([[0.0, 300.0, 500.0, 999.0]]).repeat(2, 1),
    "a level for each token, as TI2V-5B": torch.rand(2, LATENTS * 6, generator=torch.Generator().manual_seed(0)) * 999,
}


@torch.no_grad()
@pytest.mark.parametrize("levels", LEVELS)
def test_zero_init_is_wan(levels: str) -> None:
    bare, full = both()
    latents, text = clip()
    wan = bare(latents, LEVELS[levels], text)
    assert torch.equal(full(latents, LEVELS[levels], text, given=told()), wan)
    assert torch.equal(full(latents, LEVELS[levels], text), wan)


@torch.no_grad()
def test_zero_init_is_wan_in_half_precision() -> None:
    bare, full = both()
    latents, text = (x.bfloat16() for x in clip())
    level = LEVELS["a level for each latent"]
    wan = bare.bfloat16()(latents, level, text)
    assert torch.equal(full.bfloat16()(latents, level, text, given=told()), wan)
    learnt(full, 3)  # and once they say something, it is of that precision too
    made = full(latents, level, text, given=told())
    assert made.dtype == torch.bfloat16 and made.isfinite().all()


@torch.no_grad()
def test_zero_init_is_wan_in_diffusers() -> None:
    torch.manual_seed(0)
    oracle = WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=24, in_channels=4, out_channels=4, text_dim=20, freq_dim=32,
        ffn_dim=64, num_layers=3,
    ).eval()  # fmt: skip
    learnt(oracle)
    full = Transformer(FULL).eval()
    full.load_state_dict(oracle.state_dict(), strict=False)
    latents, text = clip()
    timestep = torch.tensor([999.0, 431.0])
    true = oracle(latents, timestep, torch.nn.functional.pad(text, (0, 0, 0, 503)), return_dict=False)[0]
    made = full(latents, timestep, torch.nn.functional.pad(text, (0, 0, 0, 503)), given=told())
    assert (made - true).abs().max() <= 1e-5 * true.abs().max()


@torch.no_grad()
def test_zero_init_is_wan_while_streaming() -> None:
    bare, full = both()
    latents, text = clip()
    given, then, now = told(), slice(0, 3), slice(3, 4)
    assert given.cameras is not None
    made: list[torch.Tensor] = []
    for model, before, coming, seen in (
        (bare, None, None, None),
        (full, cut(given, then), cut(given, now), given.cameras.from_clip[:, then]),
    ):
        clean, times = torch.zeros(2, 3), torch.arange(3.0)[None]
        keys, values = model.remember(latents[:, :, then], clean, text, given=before, times=times)
        past = Past(keys, values, times, from_clip=seen)
        level, at = torch.full((2, 1), 700.0), torch.tensor([[3.0]])
        made += [keys, values, model.denoise(latents[:, :, now], level, past, text, given=coming, times=at)]
    assert all(torch.equal(one, other) for one, other in zip(made[:3], made[3:], strict=True))


SPEAKS = {  # the last layer of each
    "keys": ["adapters.keys.linear_2.weight"],
    "cameras": [f"adapters.blocks.{i}.camera.weight" for i in range(3)],
    "rays": ["adapters.blocks.1.rays.scale.weight", "adapters.blocks.2.rays.shift.weight"],
    "view": ["adapters.view.weight"],
    "identity": [f"adapters.blocks.{i}.identity.gate" for i in range(3)],
}


@torch.no_grad()
@pytest.mark.parametrize("which", SPEAKS)
def test_each_counts_once_it_has_learnt_and_no_other_does(which: str) -> None:
    _, full = both()
    (latents, text), given, other = clip(), told(), told(seed=5)
    for name in SPEAKS[which]:
        nn.init.normal_(full.get_parameter(name), std=0.2)
    levels = LEVELS["a level for each latent"]
    made = full(latents, levels, text, given=given)
    for name in SPEAKS:
        changed = full(latents, levels, text, given=given._replace(**{name: getattr(other, name)}))
        assert ((changed - made).abs().max() > 1e-3) == (name == which)
    without = full(latents, levels, text, given=given._replace(**{which: None}))
    assert (without - made).abs().max() > 1e-3


def test_who_is_there_is_seen_without_text_too() -> None:
    bare = replace(BARE, text_dim=0)
    plain, full = Transformer(bare).eval(), Transformer(replace(bare, adapters=Adapters(identity=7))).eval()
    learnt(plain)
    full.load_state_dict(plain.state_dict(), strict=False)
    latents, levels = clip()[0], torch.tensor([500.0, 600.0])
    given = Given(identity=told().identity, identity_present=told().identity_present)
    assert full(latents, levels, given=given).equal(plain(latents, levels)), "a fresh one changes no bit"
    ours = dict(full.adapters.named_parameters())
    optimiser = torch.optim.SGD(ours.values(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        full(latents, levels, given=given).square().mean().backward()
        optimiser.step()
    assert all(p.grad is not None and p.grad.any() for p in ours.values()), "all of it learns"
    half = full.bfloat16()(latents.bfloat16(), levels, given=given)
    assert half.dtype == torch.bfloat16 and half.isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("reads", [True, False])
def test_who_is_absent_does_not_count(reads: bool) -> None:
    full = Transformer(FULL if reads else replace(FULL, text_dim=0)).eval()
    learnt(full, 3)
    (latents, text), given, levels = clip(), told(), torch.tensor([500.0, 600.0])
    text = text if reads else None
    assert given.identity is not None
    other = given.identity.clone()
    other[:, 2] = 9  # the third is not there
    made = full(latents, levels, text, given=given)
    assert torch.equal(full(latents, levels, text, given=given._replace(identity=other)), made)
    everyone = given._replace(identity=other, identity_present=None)
    assert (full(latents, levels, text, given=everyone) - made).abs().max() > 1e-3


@torch.no_grad()
def test_keys_for_a_clip_are_those_of_each_of_its_latents() -> None:
    _, full = both()
    learnt(full, 3)
    (latents, text), given = clip(), told()
    one = torch.tensor([4, 70])
    made = full(latents, torch.tensor([500.0, 600.0]), text, given=given._replace(keys=one))
    each = full(latents, torch.tensor([500.0, 600.0]), text, given=given._replace(keys=one[:, None].repeat(1, LATENTS)))
    torch.testing.assert_close(made, each, atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("kind", ["chunk-causal", "memory-and-chunk", "history-and-target", "block-diagonal"])
def test_stream_equals_full(kind: str, every: int) -> None:
    """Each finished latent by its own keys, rays and camera, encoded once; what is coming by its own."""
    model = Transformer(replace(FULL, history=kind, look_back_every=every)).eval()
    learnt(model)
    (latents, text), given = clip(), told()
    assert given.view is not None and given.cameras is not None
    given.view[:, :, :-1] = 0  # the state's view is of what is coming
    chunk, times = torch.arange(LATENTS), torch.arange(LATENTS).float()[None]
    levels = torch.where(chunk == LATENTS - 1, 700.0, 0.0).expand(2, -1)
    whole = model(latents, levels, text, given=given, times=times, roles=Roles(chunk, chunk == LATENTS - 1))

    pieces = [slice(0, 3)] if kind == "memory-and-chunk" else [slice(i, i + 1) for i in range(3)]
    kept: tuple[torch.Tensor, ...] | None = None
    past: Past | None = None
    for piece in pieces:
        clean, at = torch.zeros(2, piece.stop - piece.start), cut(given, piece)._replace(view=None)
        made = model.remember(latents[:, :, piece], clean, text, given=at, times=times[:, piece], past=past)
        kept = made if kept is None else tuple(torch.cat(pair, 2) for pair in zip(kept, made, strict=True))
        if kind != "block-diagonal":
            past = Past(kept[0], kept[1], times[:, : piece.stop], from_clip=given.cameras.from_clip[:, : piece.stop])
    assert kept is not None
    past = Past(kept[0], kept[1], times[:, :3], from_clip=given.cameras.from_clip[:, :3])
    now = slice(3, 4)
    coming, at = cut(given, now), times[:, now]
    drawn = model.denoise(latents[:, :, now], levels[:, now], past, text, given=coming, times=at)
    true = whole[:, :, now]
    assert (drawn - true).abs().max() <= 1e-5 * true.abs().max()


@torch.no_grad()
@pytest.mark.parametrize("apart", [True, False], ids=["a level each", "one level"])
def test_the_setting_is_told_to_what_is_drawn_and_is_not_remembered(apart: bool) -> None:
    """A stream whose memories were made in another light is the whole clip all the same."""
    model = Transformer(replace(FULL, history="block-diagonal")).eval()
    learnt(model)
    (latents, text), clean = clip(), torch.zeros(2, 1)
    chunk, times = torch.arange(LATENTS), torch.arange(LATENTS).float()[None]
    roles, levels = Roles(chunk, chunk == 3), torch.zeros(2, 4 if apart else 1)
    lights = [Given(setting=light) for light in torch.randn(2, 2, 5)]
    kept = [
        [model.remember(latents[:, :, i : i + 1], clean, given=given) for i in range(3)] for given in (None, *lights)
    ]
    assert all(torch.equal(keys, kept[0][i][0]) for each in kept for i, (keys, _) in enumerate(each))
    keys, values = (torch.cat(side, 2) for side in zip(*kept[1]))
    past = Past(keys, values, times[:, :3])
    for light in lights:
        whole = model(latents, levels, text, given=light, times=times, roles=roles)[:, :, 3:]
        drawn = model.denoise(latents[:, :, 3:], clean, past, text, given=light, times=times[:, 3:])
        assert (drawn - whole).abs().max() <= 1e-5 * whole.abs().max()


@pytest.mark.parametrize(("camera", "rays"), [("prope", "rays"), ("fx_fy", "directions-keys"), ("heads", "rays-keys")])
def test_a_metre_and_a_kind_are_the_configs(camera: str, rays: str) -> None:
    """A world twice as large with metres half as long looks the same; what kind it is need not be said again."""
    on = replace(EVERY, camera=camera, rays=rays)
    lens = torch.tensor([0.65, 1.1, 0.5, 0.45], dtype=torch.float64).expand(1, LATENTS, 4)
    poses = look(torch.randn(1, LATENTS, 3).double(), *torch.randn(2, 1, LATENTS).double())
    larger, keys = poses.clone(), torch.ones(1, LATENTS, 4)
    larger[..., :3, 3] *= 2
    axes = (4, 4, 8) if camera == "heads" else None

    def model(**scales: float) -> Added:
        return Added(replace(BARE, rotary=axes, adapters=replace(on, **scales)))

    one, other = model(), model(camera_scale=on.camera_scale / 2, ray_scale=on.ray_scale / 2)
    at, also = one.cameras_of(poses, lens), other.cameras_of(larger, lens)
    by_hand = cameras(poses, lens, scale=on.camera_scale, kind=camera)
    for mine, theirs, said in zip(at, also, by_hand, strict=True):
        torch.testing.assert_close(mine, theirs)
        assert mine.equal(said)
    assert (one.cameras_of(larger, lens).to_clip - at.to_clip).abs().max() > 0.1
    size = 4, 6
    seen = one.rays_of(poses, lens, None, size, keys)
    assert seen.shape == (1, channels(rays, 4) * 4, LATENTS, *size)
    torch.testing.assert_close(other.rays_of(larger, lens, None, size, keys), seen)
    assert one.rays_of(larger, lens, None, size, keys).equal(seen) == (rays == "directions-keys")
    with pytest.raises(ValueError, match=r"adapters\.camera on"):
        Added(BARE).cameras_of(poses, lens)
    with pytest.raises(ValueError, match=r"adapters\.rays on"):
        Added(BARE).rays_of(poses, lens, None, size)


def test_all_of_it_learns_after_one_step() -> None:
    _, full = both()
    latents, text = clip()
    ours = dict(full.adapters.named_parameters())
    optimiser = torch.optim.SGD(ours.values(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        full(latents, torch.tensor([500.0, 600.0]), text, given=told()).square().mean().backward()
        optimiser.step()
    silent = [name for name, parameter in ours.items() if parameter.grad is None or not parameter.grad.any()]
    assert not silent


def test_what_is_given_in_vain_or_for_other_latents_is_named() -> None:
    bare, full = both()
    (latents, text), given, level = clip(), told(), torch.tensor([500.0, 600.0])
    with pytest.raises(ValueError, match=r"no keys, since adapters\.keys is off"):
        bare(latents, level, text, given=given)
    for name, off in (("keys", told(latents=3)), ("cameras", told(latents=2)), ("rays", told(latents=3))):
        with pytest.raises(ValueError, match=rf"expected {name} of shape \(2 or 1, .*4.*\), got \(2, "):
            full(latents, level, text, given=given._replace(**{name: getattr(off, name)}))
    for name, odd in (
        ("keys", torch.arange(3)),
        ("view", torch.randn(2, 5, 4, 4, 6)),
        ("view", torch.randn(2, 6, 4, 4, 4)),
        ("rays", torch.randn(2, 6, 4, 4, 6)),
        ("identity", torch.randn(2, 3, 6)),
        ("identity_present", torch.ones(2, 4, dtype=torch.bool)),
    ):
        got = ", ".join(map(str, odd.shape))
        with pytest.raises(ValueError, match=rf"expected {name} of shape \(2 or 1.*\), got \({got}"):
            full(latents, level, text, given=given._replace(**{name: odd}))
    with pytest.raises(ValueError, match=r"no cameras, since adapters\.camera is off"):
        bare(latents, level, text, given=Given(cameras=given.cameras))
    nothing = torch.zeros(2, 3, 1, 6, 2, 24)
    past = Past(nothing, nothing, torch.zeros(1, 1))
    with pytest.raises(ValueError, match="cameras of what is remembered"):
        full.denoise(latents, level, past, text, given=given)
    with pytest.raises(ValueError, match=r"'prope'.*'orbit'"):
        Transformer(replace(BARE, adapters=Adapters(camera="orbit")))


def test_keys_that_are_none_are_told() -> None:
    _, full = both()
    latents, text = clip()
    for keys, says in (
        (torch.tensor([80, 81]), "0 to 80, as keys, got 80 to 81"),
        (torch.tensor([-5, 3]), "0 to 80, as keys, got -5 to 3"),
        (torch.tensor([float("nan"), 1.0]), r"whole numbers of motions, .* got torch\.float32"),
    ):
        with pytest.raises(ValueError, match=says):
            full(latents, torch.tensor([500.0]), text, given=Given(keys=keys))
    pressed = Transformer(replace(BARE, adapters=Adapters(keys="multi-hot", key_features=3)))
    with pytest.raises(ValueError, match="finite numbers as keys, got NaN"):
        pressed(latents, torch.tensor([500.0]), text, given=Given(keys=torch.full((2, 4, 3), float("nan"))))


@torch.no_grad()
def test_numbers_are_not_looked_at_where_that_would_wait_or_break_a_graph() -> None:
    _, full = both()
    (latents, text), given = clip(), told()
    far = given._replace(keys=torch.tensor([200, 1]))
    on_meta: list[Any] = [it.to("meta") if isinstance(it, torch.Tensor) else it for it in far]
    there = Given(*on_meta)
    there = there._replace(cameras=Cameras(*(it.to("meta") for it in given.cameras or ())))
    made = full.to("meta")(latents.to("meta"), torch.ones(2, device="meta"), text.to("meta"), given=there)
    assert made.shape == latents.shape  # on a device whose numbers cannot be read at all

    def traced(keys: torch.Tensor, poses: torch.Tensor) -> torch.Tensor:
        full.adapters.check(Given(keys=keys), latents.shape, LATENTS)
        return cameras(poses, torch.ones(2, 1, 4), scale=1.0).to_clip

    one_graph = torch.compile(traced, backend="eager", fullgraph=True)
    assert one_graph(torch.tensor([200, 1]), torch.eye(4).repeat(2, 1, 1, 1)).shape == (2, 1, 4, 4)
