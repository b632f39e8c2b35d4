from pathlib import Path

import numpy as np
import pytest

from perdure.memory.commit import commit
from perdure.world.action import Action, Keys
from perdure.world.history import LATENT
from perdure.world.store import Store
from tests.world import yard

FORWARD = Action(Keys.FORWARD)


def test_what_was_drawn_is_remembered_as_the_bytes_that_later_steps_see():
    world = yard.world().advance(FORWARD)
    drawn = np.random.default_rng(0).standard_normal(LATENT).astype(np.float32)
    memory = commit(world, FORWARD, drawn).history.memories[-1]
    assert (memory.step, memory.action, memory.intrinsics) == (1, FORWARD, world.motion.intrinsics)
    assert memory.latent.tobytes() == drawn.astype(np.float16).tobytes()
    assert not memory.latent.flags.writeable
    np.testing.assert_array_equal(memory.pose, world.motion.cameras[-1])
    rounded = commit(world, FORWARD, memory.latent.astype(np.float32)).history.memories[-1]
    assert rounded.key == memory.key


def test_each_step_says_what_happened_in_order():
    world = yard.world()
    for _ in range(4):
        world = yard.step(world, FORWARD)
    events = world.history.events
    assert [e.kind for e in events] == ["create", *["act", "tick"] * 2, *["act", "ingest", "tick"] * 2]
    assert [e.seq for e in events] == list(range(len(events)))
    ticks = [e for e in events if e.kind == "tick"]
    assert [e.time for e in ticks] == pytest.approx([n / 6 for n in (1, 2, 3, 4)])
    assert ticks[0].before == yard.world().state
    assert [e.before for e in ticks[1:]] == [e.after for e in ticks[:-1]]
    assert ticks[-1].after == world.state
    assert ticks[-1].args == {"step": 4, "memory": world.history.memories[-1].key.hex()}
    assert ticks[-1].seed == world.noise_seed
    ingested = [e.args["keyframe"] for e in events if e.kind == "ingest"]
    assert ingested == [k.digest.hex() for k in world.geometry.keyframes[2:]]


def test_the_head_tells_apart_what_the_state_does_not():
    world = yard.world().advance(FORWARD)
    one, two = (commit(world, FORWARD, np.full(LATENT, value, np.float32)) for value in (0.0, 1.0))
    assert one.state == two.state
    assert one.head != two.head


def test_with_a_store_the_step_is_on_disk_before_it_returns(tmp_path: Path):
    store = Store.create(tmp_path, yard.world())
    world = yard.step(yard.world(), FORWARD, store)
    with Store.open(store.folder, write=False) as reader:
        found = reader.world()
    assert (found.state, found.head) == (world.state, world.head)
    store.close()


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        (np.zeros((16, 18, 31), np.float32), "one latent of shape"),
        (np.full(LATENT, np.nan, np.float32), "finite latents at step 1"),
        (np.full(LATENT, 1e6, np.float32), "finite latents at step 1"),  # too large for float16
    ],
)
def test_what_is_no_latent_is_refused(latents: np.ndarray, message: str):
    with pytest.raises(ValueError, match=message):
        commit(yard.world().advance(FORWARD), FORWARD, latents)
