"""The environment: Gymnasium's own checker, and what agents rely on: bytes, places to begin, a world left alone."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from websockets.sync.client import connect

import perdure.env
from perdure.camera import FAR, rays
from perdure.env import DISCRETE, WorldEnv
from perdure.runtime.backends import WEIGHTS
from perdure.runtime.session import Frame
from perdure.server.protocol import VERSION, decode_frame
from perdure.server.video import JpegEncoder
from perdure.world.action import TURN_LIMIT, Action, Hand, Keys
from perdure.world.body import crate
from perdure.world.edit import add, rename
from perdure.world.identity import Entity
from perdure.world.state import World
from perdure.world.store import Store

pytestmark = pytest.mark.skipif(not (WEIGHTS / "weights.bin").exists(), reason="no weights are trained yet")

ROOT = Path(__file__).parents[1]
NAME = "perdure/World-v0"
SMALL: dict[str, Any] = {"scene": "court", "seed": 3, "spots": 1}  # seen from one spot: most of it is imagined
TURNING = Action(Keys.FORWARD, turn=0.4)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with one world, `yard`: two steps, a creature gets another name, two steps."""
    home = tmp_path_factory.mktemp("home")
    engine, world = perdure.env._engine(), perdure.env._founded("court", 3, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERDURE_HOME", str(home))
        with Store.create(home, replace(world, name="yard"), engine.backend.fingerprint()) as store:
            world, cache, _ = engine.open(store.world(), store)
            for step in range(4):
                if step == 2:
                    world = world.edit(rename(world.entities[-1].id, "Ada"))
                    store.commit(world)
                world, _ = engine.step(world, TURNING, cache, store)
        yield home


@pytest.fixture
def make() -> Iterator[Any]:
    made: list[gymnasium.Env[Any, Any]] = []

    def build(**wanted: Any) -> WorldEnv:
        made.append(gymnasium.make(NAME, **wanted))
        return cast(WorldEnv, made[-1].unwrapped)

    yield build
    for env in made:
        env.close()


def play(env: WorldEnv, actions: list[Any], **wanted: Any) -> tuple[list[np.ndarray], dict[str, Any]]:
    """All that was seen, and the last info."""
    seen, info = env.reset(**wanted)
    out = [seen]
    for action in actions:
        seen, reward, terminated, truncated, info = env.step(action)
        assert (reward, terminated, truncated) == (0.0, False, False)
        out.append(seen)
    return out, info


def now(home: Path, branch: str = "main") -> World:
    with Store.open(home / "yard", write=False) as store:
        return store.world(branch)


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"actions": "discrete", "frames": 4, "render_mode": "rgb_array"},
        {"observe": ("rgb", "depth", "pose", "entities"), "words": True},
    ],
)
def test_gymnasiums_checker_has_nothing_to_say(make, wanted: dict[str, Any]):
    check_env(make(**SMALL, **wanted))  # what it only warns of is an error in these tests


def test_an_episode_is_what_the_engine_makes_of_it(make):
    env = make(**SMALL, frames=4)
    first, info = env.reset(seed=1)
    engine, cache, world = perdure.env._engine(), perdure.env._engine().cache(), env.world
    assert np.array_equal(first, engine.observe(world, world.motion.cameras[-1]))
    for action in (TURNING, Action(Keys.BACK)):
        world, frames = engine.step(world, action, cache)
        seen, _, _, _, info = env.step(action)
        assert np.array_equal(seen, frames)
    assert (info["step"], info["state"], info["head"]) == (2, world.state, world.head)
    assert np.array_equal(info["camera"], world.motion.cameras[-1])
    assert info["entities"].keys() == world.motion.bodies.keys()


def test_the_same_seed_and_actions_give_the_same_bytes(make):
    first, second = make(**SMALL), make(**SMALL)
    actions = [first.action_space.sample() for _ in range(3)]
    seen, info = play(first, actions, seed=11)
    again, told = play(second, actions, seed=11)
    assert all(np.array_equal(a, b) for a, b in zip(seen, again)) and info["head"] == told["head"]
    more, _ = play(second, actions)  # the next episode has a chance of its own
    assert np.array_equal(more[0], seen[0]) and not np.array_equal(more[-1], seen[-1])
    once_more, _ = play(first, actions)
    assert all(np.array_equal(a, b) for a, b in zip(more, once_more))


def test_an_episode_begins_where_the_world_is_and_leaves_it_alone(make, home: Path):
    before = now(home)
    env = make(world="yard")
    _, info = env.reset()
    assert (info["step"], info["state"], info["head"]) == (4, before.state, before.head)
    play(env, [TURNING] * 2)
    env.close()
    with Store.open(home / "yard") as store:  # and nobody holds it
        assert store.branches() == {"main": 4} and store.world().head == before.head


def test_an_episode_can_begin_right_after_any_event_or_step(make, home: Path):
    env = make(world="yard")
    events = list(now(home).history.events)
    (edit,) = [event.seq for event in events if event.kind == "edit"]
    for seq, name in ((edit, "Ada"), (edit - 1, None)):
        _, info = env.reset(options={"event": seq})
        assert (info["step"], info["state"]) == (2, events[seq].after)
        assert (env.world.entities[-1].name == "Ada") == (name == "Ada")
    _, info = env.reset(options={"step": 3})
    assert info["step"] == 3
    _, rewards, *_ = env.step(TURNING)
    assert env.world.step == 4 and rewards == 0.0
    _, info = env.reset(options={"event": 0})
    assert info["step"] == 0
    for bad in (
        {"event": len(events)},
        {"step": 5},
        {"step": -1},
        {"step": "one"},
        {"place": 1},
        {"event": 1, "step": 1},
    ):
        with pytest.raises(ValueError, match="expected"):
            env.reset(options=bad)


def test_what_is_kept_is_a_fork_and_can_be_opened(make, home: Path):
    before = now(home)
    env = make(world="yard", keep="run")
    _, first = play(env, [TURNING] * 2, seed=1)
    _, second = play(env, [TURNING], options={"step": 1})
    assert (first["branch"], second["branch"]) == ("run", "run-2")
    assert (now(home, "run").head, now(home, "run-2").head) == (first["head"], second["head"])
    assert now(home).head == before.head
    env.close()
    again = make(world="yard/run")
    _, info = again.reset()
    assert (info["step"], info["head"]) == (6, first["head"])


def test_a_world_as_a_value(make):
    engine, world = perdure.env._engine(), perdure.env._founded("court", 3, 1)
    cache = engine.cache()
    for _ in range(3):
        world, _ = engine.step(world, TURNING, cache)
    env = make(world=world, max_episode_steps=5)
    _, info = env.reset(options={"step": 3})
    assert info["head"] == world.head
    env.step(TURNING)
    with pytest.raises(ValueError, match="where this world is"):
        env.reset(options={"step": 1})


def test_the_actions_of_both_spaces(make):
    keys, numbers = make(**SMALL, words=True), make(**SMALL, actions="discrete")
    held = np.array([1, 0, 0, 0, 1, 0, 0, 0], np.int8)
    given = {"keys": held, "look": np.array([0.5, -2.0], np.float32), "hand": 3, "words": " it snows "}
    meant = Action(Keys.FORWARD | Keys.TURN_LEFT, 0.5 * TURN_LIMIT, -TURN_LIMIT, Hand.THROW, events=("it snows",))
    assert keys.read(given) == meant and keys.read(meant) == meant
    assert keys.read(keys.action_space.sample()).hand in Hand
    assert [numbers.read(i) for i in range(numbers.action_space.n)] == list(DISCRETE)
    assert len(set(DISCRETE)) == 12


def test_an_agent_has_hands(make):
    env = make(**SMALL)
    _, info = env.reset()
    eye, new = info["camera"], 1 + max(entity.id for entity in env.world.entities)
    ahead = eye[:3, 3] + 1.2 * eye[:3, 2]
    put = add(Entity(new, "thing", "crate", "crate", ()), crate(new, (float(ahead[0]), float(ahead[1]), 0.0)))
    *_, info = env.step(Action(tilt=-0.7, edits=(put,)))
    lying = info["entities"][new][2, 3]
    *_, info = env.step({"keys": np.zeros(8), "look": np.zeros(2), "hand": int(Hand.USE)})
    assert env.world.physics.held == new and info["entities"][new][2, 3] > lying


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"keys": np.zeros(7)}, "8 finite numbers"),
        ({"keys": np.full(8, 2)}, "0 and 1"),
        ({"look": np.array([np.nan, 0])}, "2 finite numbers"),
        ({"look": ["left", 0]}, "2 finite numbers as 'look' of an action, got"),
        ({"keys": [[1], [0, 1]]}, "8 finite numbers"),
        ({"hand": 4}, "a hand in 0..3"),
        ({"hand": None}, "a hand in 0..3"),
        ({"foot": 1}, "expected an action with"),
    ],
)
def test_actions_that_make_no_sense(make, change: dict[str, Any], says: str):
    env = make(**SMALL)
    env.reset()
    with pytest.raises(ValueError, match=says):
        env.step({"keys": np.zeros(8), "look": np.zeros(2), "hand": 0} | change)
    with pytest.raises(ValueError, match="expected an action in"):
        make(**SMALL, actions="discrete").read(12)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"world": "nowhere"}, "perdure new nowhere"),
        ({"world": "yard/nothing"}, "it has main"),
        ({"world": "yard", "scene": "court"}, "a world or a scene"),
        ({"scene": "moon"}, "court"),
        ({"scene": "court", "keep": "run"}, "to keep episodes in"),
        ({"actions": "wishes"}, "'keys' or 'discrete'"),
        ({"actions": "discrete", "words": True}, "no room"),
        ({"frames": 2}, "1 or 4"),
        ({"observe": ("smell",)}, "some of"),
        ({"observe": "rgb"}, "some of"),
    ],
)
def test_mistakes_are_told(make, home: Path, wanted: dict[str, Any], says: str):
    with pytest.raises(ValueError, match=says):
        make(**wanted)


def test_reset_comes_first():
    env = gymnasium.make(NAME, **SMALL)
    for verb in (lambda: env.step(env.action_space.sample()), env.render, env.unwrapped.render):  # type: ignore[attr-defined]
        with pytest.raises(ResetNeeded):
            verb()
    bare = cast(WorldEnv, env.unwrapped)
    with pytest.raises(ResetNeeded):
        bare.step(TURNING)
    with pytest.raises(ResetNeeded):
        bare.watch()
    env.close()
    env.close()


def test_depth_and_poses_are_those_of_the_frame(make):
    env = make(**SMALL, observe=("depth", "pose", "entities"))
    env.reset()
    seen, *_ = env.step(Action(turn=0.3))
    motion = env.world.motion
    assert np.array_equal(seen["pose"], motion.cameras[-1])
    assert np.array_equal(seen["entities"][0], motion.bodies[env.entities[0]][-1])
    reached = seen["pose"][:3, 3] + (rays(motion.intrinsics) * seen["depth"][..., None]) @ seen["pose"][:3, :3].T
    heights = reached[..., 2][seen["depth"] < FAR]
    assert heights.min() > -0.02  # nothing lies below the ground
    assert np.mean(np.abs(heights) < 0.02) > 0.1  # and much of what is seen is ground


def test_reward_and_the_end_are_the_users(make):
    def travelled(before: World, after: World, action: Action) -> float:
        return float(np.linalg.norm(after.motion.cameras[-1][:3, 3] - before.motion.cameras[-1][:3, 3]))

    env = make(**SMALL, reward=travelled, done=lambda world: world.step == 2)
    env.reset()
    _, reward, terminated, *_ = env.step(Action(Keys.FORWARD))
    assert reward == pytest.approx(0.4, abs=1e-6) and not terminated  # 2.4 metres a second, a sixth of one
    assert env.step(Action())[2] is True


def test_max_episode_steps_truncates():
    env = gymnasium.make(NAME, max_episode_steps=1, **SMALL)
    env.reset()
    assert env.step(env.action_space.sample())[3] is True
    env.close()


def test_a_film_has_every_frame(make):
    env = make(**SMALL, frames=4, render_mode="rgb_array_list")
    seen, _ = play(env, [TURNING] * 2)
    assert np.array_equal(np.stack(env.render()), np.concatenate(seen[1:]))
    assert env.render() == [] and env.metadata["render_fps"] == 24
    still = make(**SMALL, render_mode="rgb_array")
    seen, _ = play(still, [TURNING])
    assert np.array_equal(still.render(), seen[-1]) and still.metadata["render_fps"] == 6


def test_worlds_side_by_side_share_one_set_of_weights(make):
    envs = gymnasium.make_vec(NAME, num_envs=2, max_episode_steps=2, **SMALL)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    envs.reset(seed=5)
    actions = [envs.action_space.sample() for _ in range(2)]
    for action in actions:
        seen, _, _, truncated, info = envs.step(action)
    assert seen.shape == (2, 144, 256, 3) and truncated.all() and info["step"].tolist() == [2, 2]
    assert perdure.env._engine.cache_info().currsize == 1
    for i in range(2):
        alone = [{name: part[i] for name, part in action.items()} for action in actions]
        assert np.array_equal(play(make(**SMALL), alone, seed=5 + i)[0][-1], seen[i])
    _, _, _, truncated, info = envs.step(actions[0])  # a new episode
    assert not truncated.any() and info["step"].tolist() == [0, 0]
    envs.close()


def test_people_watch_what_the_agent_sees(make, capsys: pytest.CaptureFixture[str]):
    unwatched, _ = play(make(**SMALL, frames=4), [TURNING] * 5, seed=2)
    env = make(**SMALL, frames=4)
    seen = [env.reset(seed=2)[0]]
    assert env.watch(0) in capsys.readouterr().err
    shown: dict[tuple[int, int], bytes] = {}
    with connect(env.watch().split("/?")[0].replace("http", "ws") + "/ws", proxy=None) as page:
        page.send(json.dumps({"type": "hello", "version": VERSION}))
        page.send(json.dumps({"type": "open", "world": "court"}))

        def look() -> None:
            while (5, 3) not in shown:
                if isinstance(message := page.recv(timeout=30), bytes):
                    header, jpeg = decode_frame(message)
                    shown[header.step, header.index] = jpeg
                    page.send(json.dumps({"type": "ack", "seq": header.seq}))

        looking = threading.Thread(target=look)
        looking.start()
        seen += [env.step(TURNING)[0] for _ in range(5)]
        looking.join(30)
    assert all(np.array_equal(a, b) for a, b in zip(seen, unwatched))
    assert len([step for step, _ in shown if step]) >= 8  # of 20: a busy machine drops some
    for (step, index), jpeg in shown.items():
        if step:
            frame = Frame(0, 0, 0, False, seen[step][index], np.eye(4), {}, {}, 0.0)
            assert JpegEncoder()(frame) == jpeg
    _, info = env.reset(seed=2)  # the same page shows the next episode
    assert info["step"] == 0
    assert np.array_equal(env.step(TURNING)[0], seen[1])


def test_it_is_found_by_the_name_of_its_module():
    program = f'import gymnasium; gymnasium.make("perdure.env:{NAME}", world="nowhere")'
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[1], capture_output=True, text=True
    )
    assert "perdure new nowhere" in done.stderr.splitlines()[-1]
