"""Truth: what a clip of the playground says of its frames is so in its frames."""

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.registration import phase_cross_correlation

from perdure.camera import Intrinsics, project, unproject
from perdure.data.clip import Clip
from perdure.data.directing.schedule import direct
from perdure.data.sources import playground
from perdure.world.action import FRAMES_PER_CHUNK, Action
from perdure.world.command import understood
from perdure.world.trajectory import keys_from_poses

STILL = 0
SIDE = 48  # pixels of a piece of a frame


def made(number: int, seconds: float, **options: str | float) -> Clip:
    (clip,) = playground.make(playground.plan(number + 1, 3, seconds=seconds, **options)[number])
    return clip


def fight() -> Clip:
    """Two creatures that fight, while somebody walks about them."""
    options = {"creatures": "knight,golem", "drama": "fight", "trajectory": "watch", "weather": "clear"}
    return made(2, 6.0, scene="court", **options)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return fight()


def lens(clip: Clip) -> Intrinsics:
    assert clip.intrinsics is not None
    return clip.intrinsics


def known(clip: Clip) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.uint8]]:
    assert clip.poses is not None and clip.depth is not None and clip.entity is not None
    return clip.poses, clip.depth, clip.entity


def warped(clip: Clip, here: int, there: int, pose: NDArray[np.float64]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frame `there` as frame `here` has it, by the depth of `here`; where it can; and how far the depths are off."""
    poses, depth, entity = known(clip)
    points = unproject(depth[here].astype(np.float64), lens(clip), poses[here]).reshape(-1, 3)
    pixels, far = project(points, lens(clip), pose)
    column, row = np.floor(pixels).astype(int).T
    h, w = depth.shape[1:]
    inside = (far > 0) & (column >= 0) & (column < w) & (row >= 0) & (row < h)
    column, row = np.where(inside, column, 0), np.where(inside, row, 0)
    still = (entity[here].ravel() == STILL) & (entity[there][row, column] == STILL) & inside
    off = np.abs(depth[there][row, column] - far) / np.maximum(far, 1e-3)
    grey = clip.rgb[there].astype(np.float64).mean(-1)
    return grey[row, column].reshape(h, w), still.reshape(h, w), off[still]


def shifts(clip: Clip, here: int, there: int, pose: NDArray[np.float64]) -> list[float]:
    """Pixels by which pieces of a frame, reprojected by depth and pose, are off the frame that it is to be."""
    moved, fits, _ = warped(clip, here, there, pose)
    grey = clip.rgb[here].astype(np.float64).mean(-1)
    fade = np.outer(np.hanning(SIDE), np.hanning(SIDE))
    out: list[float] = []
    for row in range(0, grey.shape[0] - SIDE + 1, SIDE):
        for column in range(0, grey.shape[1] - SIDE + 1, SIDE):
            piece = slice(row, row + SIDE), slice(column, column + SIDE)
            if fits[piece].mean() < 0.98 or grey[piece].std() < 10:
                continue  # hidden from one of them, or too plain to tell
            one, other = (fade * (picture[piece] - picture[piece].mean()) for picture in (grey, moved))
            found = phase_cross_correlation(one, other, upsample_factor=10, normalization=None)[0]  # pyright: ignore[reportArgumentType]
            out.append(float(np.hypot(*found)))
    return out


def test_a_frame_reprojected_lands_on_the_next(clip: Clip) -> None:
    poses, *_ = known(clip)
    moving = [t for t in range(1, len(poses) - 1, 3) if np.abs(poses[t + 1] - poses[t]).max() > 0.01]
    assert len(moving) > 15
    errors = [error for t in moving for error in shifts(clip, t, t + 1, poses[t + 1])]
    depths = np.concatenate([warped(clip, t, t + 1, poses[t + 1])[2] for t in moving])
    assert len(errors) > 50
    assert np.median(errors) < 0.5 and np.quantile(errors, 0.9) < 1.0
    assert np.median(depths) < 0.01
    wrong = [error for t in moving for error in shifts(clip, t, t + 1, poses[max(0, t - 2)])]
    assert np.median(wrong) > 1.0, "by the pose of another frame it does not"


def test_keys_agree_with_poses(clip: Clip) -> None:
    poses, *_ = known(clip)
    assert clip.start is not None and clip.actions is not None
    before = clip.start.motion.cameras[-1:]
    told = keys_from_poses(np.concatenate([before, poses]))
    assert len(told) == len(clip.actions)
    pairs = list(zip(told, clip.actions))
    assert np.mean([_axes(a) == _axes(b) for a, b in pairs]) > 0.97
    assert np.mean([abs(a.turn - b.turn) < 1e-6 and abs(a.tilt - b.tilt) < 1e-6 for a, b in pairs]) > 0.97


def _axes(action: Action) -> tuple[int, int]:
    return action.axes[:2]


def test_every_command_shows_in_the_state(clip: Clip) -> None:
    assert clip.start is not None
    movers = {mover.entity: mover for mover in clip.start.physics.mechanism.creatures}
    checked = 0
    for entity, said in clip.commands.items():
        state, deeds = clip.states[entity], movers[entity].deeds
        assert clip.tags[f"deeds {entity}"].split(",") == [deed.name for deed in deeds]
        for chunk, words in enumerate(said):
            if not words:
                continue
            order = understood(deeds, words)
            assert order, f"{words!r} is understood by {movers[entity].kind}"
            frames = range(chunk * FRAMES_PER_CHUNK, (chunk + 1) * FRAMES_PER_CHUNK)
            free = [f for f in frames if not state["staggered"][f] and state["alive"][f]]
            if len(free) == FRAMES_PER_CHUNK:
                assert any(state["deed"][f] in order for f in free), (entity, chunk, words)
                assert state["deed"][free[0]] in order
                checked += 1
    assert checked > 10


def test_most_of_the_time_someone_acts_and_being_hit_is_no_command(clip: Clip) -> None:
    assert any(moment.kind in ("hit", "block") for moment in clip.events)
    for moment in clip.events:
        if moment.kind == "hit" and moment.entity:
            state = clip.states[moment.entity]
            assert state["staggered"][moment.start] or state["staggered"][min(moment.start + 1, len(clip.rgb) - 1)]
            assert state["health"][moment.start] < state["health"][max(0, moment.start - 1)]
    for entity, said in clip.commands.items():
        state = clip.states[entity]
        for chunk, words in enumerate(said):
            first = chunk * FRAMES_PER_CHUNK
            if first and (state["staggered"][first - 1] or not state["alive"][first - 1]):
                assert words == "", "who staggers is not spoken to"


def test_states_are_of_the_very_frame(clip: Clip) -> None:
    """The middle of what is seen of a creature goes with its position, and not with where it was or will be."""
    poses, depth, entity = known(clip)
    for number in clip.commands:
        place = clip.states[number]["position"][:, :2]
        seen = {}
        for t in range(len(poses)):
            mask = entity[t] == 1 + number
            if mask.sum() > 300 and not (mask[:, 0].any() or mask[:, -1].any()):
                points = unproject(depth[t].astype(np.float64), lens(clip), poses[t])[mask]
                seen[t] = np.median(points[:, :2], axis=0)
                assert np.linalg.norm(seen[t] - place[t]) < 1.0
    player = clip.states[0]["position"][:, :2]
    assert np.allclose(player, poses[:, :2, 3], atol=1e-6)


def test_two_recordings_are_equal_and_a_recipe_makes_the_start_again(clip: Clip) -> None:
    one, two = clip, fight()
    for name in ("rgb", "depth", "entity", "poses"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    assert one.actions == two.actions and one.commands == two.commands and one.events == two.events
    for entity, states in one.states.items():
        assert all(np.array_equal(values, two.states[entity][what], equal_nan=True) for what, values in states.items())
    assert one.recipe is not None and one.start is not None and one.actions is not None
    world = one.recipe.world()
    assert world.state == one.start.state
    cameras = []
    for action in one.actions:
        world = world.advance(action)
        cameras.append(world.motion.cameras)
    assert np.array_equal(np.concatenate(cameras), known(one)[0])


def test_what_happens_is_told_and_lasts() -> None:
    options = {"scene": "hall", "weather": "clear", "creatures": "bird", "trajectory": "stand"}
    jobs = playground.plan(60, 3, seconds=8.0, **options)
    clip = made(next(job.number for job in jobs if direct(job).events), 8.0, **options)
    told = {moment.kind for moment in clip.events}
    asked = [words for action in clip.actions or () for words in action.events]
    assert asked and told
    assert all(0 <= moment.start < moment.end <= len(clip.rgb) for moment in clip.events)
