"""The step: what it makes is a function of the world and the action, whatever was lost on the way."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from perdure.agents.player import there_and_back
from perdure.camera import look
from perdure.data.founding import found_kind
from perdure.models.config import NANO, CodecConfig
from perdure.models.decoder import Decoder, Encoder
from perdure.models.dit import Transformer
from perdure.models.export import examples, export, graphs
from perdure.presets.nano import Preset
from perdure.presets.wan import wan_1_3b
from perdure.runtime.backends import OpenVINO
from perdure.runtime.engine import Engine
from perdure.world.state import FINDING_LAG, World
from perdure.world.store import Store

TINY = Preset(
    "tiny", 256, 144, 75.0,
    CodecConfig(encoder_widths=(16, 16), decoder_widths=(16, 16, 16), blocks=1),
    replace(NANO, heads=2, head_dim=32, rotary=(4, 6, 6), layers=2, ffn=128, recent=2, recalled=2),
)  # fmt: skip
ACTIONS = there_and_back(3, 12)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    torch.manual_seed(0)
    encoder, decoder, dit = Encoder(TINY.codec), Decoder(TINY.codec), Transformer(TINY.dit)
    for name in ("proj_out.weight", "adapters.keys.linear_2.weight", "adapters.view.weight"):
        torch.nn.init.normal_(dit.get_parameter(name), std=0.1)
    # An observer that is sure of itself and sees nothing move, so that findings become keyframes.
    torch.nn.init.constant_(decoder.get_parameter("observer.head.bias")[4:12], -5.0)
    folder = tmp_path_factory.mktemp("weights")
    export(graphs(encoder, decoder, dit), examples(TINY.codec, TINY.dit, TINY.height, TINY.width), folder)
    return Engine(TINY, OpenVINO(folder, precision="f32"))


@pytest.fixture(scope="module")
def founded() -> World:
    world = found_kind("court", 1, TINY, spots=1)
    # One direction is forgotten, so that something is left to be drawn and found.
    return replace(world, geometry=replace(world.geometry, keyframes=world.geometry.keyframes[1:]))


def play(engine: Engine, world: World, actions: list, store: Store | None = None) -> tuple[World, list[np.ndarray]]:
    cache, made = engine.cache(), []
    for action in actions:
        world, frames = engine.step(world, action, cache, store)
        made.append(frames)
    return world, made


def test_graphs_of_another_preset_are_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match=r"preset wan-1\.3b at 832x480.*\(12, 480, 832, 3\), got .*\(4, \d+, \d+, 3\)"):
        Engine(wan_1_3b(), engine.backend)
    more = replace(TINY, dit=replace(TINY.dit, recent=6))
    with pytest.raises(ValueError, match=r"'denoise' takes keys of shape \(8, .*got graphs that take \(4, "):
        Engine(more, engine.backend)
    with pytest.raises(ValueError, match=r"takes frames of shape"):
        Engine(replace(TINY, width=TINY.width * 2), engine.backend)
    told = replace(TINY.dit.adapters, words="slots")
    with pytest.raises(ValueError, match=r"takes tokens of shape \(4, 16, 128\), got graphs that take none"):
        Engine(replace(TINY, dit=replace(TINY.dit, adapters=told)), engine.backend)


def test_a_step_makes_one_chunk_and_says_what_it_cost(engine: Engine, founded: World) -> None:
    world, (frames,) = play(engine, founded, ACTIONS[:1])
    assert frames.shape == (4, 144, 256, 3) and frames.dtype == np.uint8
    assert world.step == 1 and len(world.history) == 1
    assert set(engine.timings) == {"advance", "recall", "sample", "commit", "remember", "decode"}
    assert [f.step for f in world.pending] == [1]


def test_what_is_found_becomes_state(engine: Engine, founded: World) -> None:
    world, _ = play(engine, founded, ACTIONS)
    found = [k.step for k in world.geometry.keyframes if k.step > 0]
    assert found and max(found) <= world.step - FINDING_LAG


def test_no_cache_is_as_good_as_an_old_one(engine: Engine, founded: World) -> None:
    world, kept = play(engine, founded, ACTIONS)
    other = founded
    for action, frames in zip(ACTIONS, kept, strict=True):
        other, again = engine.step(other, action, engine.cache())
        assert np.array_equal(frames, again)
    assert world.head == other.head and world.state == other.state


def test_opened_again_it_goes_on_with_the_same_bytes(engine: Engine, founded: World, tmp_path: Path) -> None:
    undisturbed, frames = play(engine, founded, ACTIONS)
    with Store.create(tmp_path, founded) as store:
        play(engine, founded, ACTIONS[:7], store)
    with Store.open(tmp_path / founded.name) as store:
        world, _, last = engine.open(store.world(), store)
        assert last is not None and np.array_equal(last, frames[6])
        world, rest = play(engine, world, ACTIONS[7:], store)
    assert all(np.array_equal(a, b) for a, b in zip(frames[7:], rest, strict=True))
    assert world.head == undisturbed.head and world.state == undisturbed.state


def test_a_fork_opens_past_its_fork_point(engine: Engine, founded: World, tmp_path: Path) -> None:
    with Store.create(tmp_path, founded) as store:
        play(engine, founded, ACTIONS[:4], store)
        fork = store.fork("main", 4, "evening")
        fork, _, _ = engine.open(fork, store)
        fork, frames = play(engine, fork, ACTIONS[4:7], store)
        again, _, last = engine.open(store.world("evening"), store)
    assert again.branch == "evening" and again.head == fork.head
    assert last is not None and np.array_equal(last, frames[-1])


def test_looking_changes_nothing_and_looking_again_shows_the_same(engine: Engine, founded: World) -> None:
    world, _ = play(engine, founded, ACTIONS[:6])
    cache = engine.cache()
    _, on = engine.step(world, ACTIONS[6], cache)
    state, head = world.state, world.head
    camera = look(world.motion.cameras[-1][:3, 3], 2.0, 0.1)
    seen = engine.observe(world, camera)
    assert seen.shape == (4, 144, 256, 3)
    assert np.array_equal(seen, engine.observe(replace(world), camera))
    with pytest.raises(ValueError, match="expected a rotation in the pose"):
        engine.observe(world, 1.1 * camera)
    assert not np.array_equal(seen, engine.observe(world, look(camera[:3, 3], 0.5, 0.1)))
    assert (replace(world).state, world.head) == (state, head)
    _, again = engine.step(world, ACTIONS[6], cache)
    assert np.array_equal(on, again)


def test_a_step_that_was_made_before_is_drawn_again(engine: Engine, founded: World, tmp_path: Path) -> None:
    with Store.create(tmp_path, founded) as store:
        _, made = play(engine, founded, ACTIONS[:8], store)
        again = [engine.redraw(store.world_at(step))[1] for step in range(1, 9)]
    assert all(np.array_equal(one, other) for one, other in zip(made, again, strict=True))
