"""Outings: what they promise of the creature, asked in other ways than they were planned by."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.camera import Intrinsics, look, project
from perdure.data.scenes import build
from perdure.evaluation import outing
from perdure.evaluation.outing import FIRST, SPAN, Outing, bare, choose, out_of_view, plan, silhouette
from perdure.world.state import World

LENS = Intrinsics.from_fov(256, 144, 75.0)


@pytest.fixture(scope="module")
def planned() -> Outing:
    out = plan("court", 0, 40, LENS)
    assert isinstance(out, Outing)
    return out


@pytest.fixture(scope="module")
def yard() -> World:
    return bare(build("court", 0), LENS)


def test_the_creature_is_seen_then_out_of_every_frame_then_seen_again(planned: Outing) -> None:
    """By rays, which the way out of view was not planned by."""
    world = bare(replace(build(planned.kind, planned.seed), spawn=planned.spawn), LENS)
    seen, start = list[bool](), world.motion.bodies[planned.entity][-1, :2, 3]
    for action in planned.actions:
        world = world.advance(action)
        seen.append(bool(silhouette(world, planned.entity, LENS.scaled(64, 36)).any()))
    assert planned.away >= 40
    assert all(seen[:FIRST]) and seen[-1]
    assert not any(seen[-planned.turning - planned.away // 4 : -planned.turning])
    assert np.linalg.norm(world.motion.bodies[planned.entity][-1, :2, 3] - start) > 0.1  # it went on meanwhile


@given(turn=st.floats(-np.pi, np.pi), distance=st.floats(0.1, 12), yaw=st.floats(-np.pi, np.pi), up=st.floats(-1, 1))
def test_out_of_view_is_never_said_of_what_could_be_seen(
    yard: World, turn: float, distance: float, yaw: float, up: float
) -> None:
    camera, root = look(np.array([1.0, 2.0, 1.55]), yaw, 0.3 * up), np.eye(4)
    root[:3, 3] = camera[:3, 3] + distance * np.array([np.cos(turn), np.sin(turn), 0.1 * up])
    motion = replace(yard.motion, cameras=camera[None], bodies={1: root[None]})
    ball = np.random.default_rng(0).standard_normal((200, 3))
    points = root[:3, 3] + SPAN * ball / np.linalg.norm(ball, axis=1, keepdims=True)
    pixels, depth = project(points, LENS, camera)
    visible = ((depth > 0) & (pixels >= 0).all(1) & (pixels[:, 0] < 256) & (pixels[:, 1] < 144)).any()
    assert not (visible and out_of_view(replace(yard, motion=motion), 1))


def test_all_of_a_creature_is_within_its_span() -> None:
    """Else it could reach into a frame that it is said to be out of."""
    for kind, seed in (("court", 0), ("hall", 0), ("hall", 3), ("rooms", 1)):
        world = bare(build(kind, seed), LENS)
        model, data = world.physics.posed()
        for mover in world.physics.mechanism.movers:
            own = [model.body(name).id for name in (mover.body, *(part.body for part in mover.parts))]
            geoms = np.flatnonzero(np.isin(model.geom_bodyid, own))
            apart = np.linalg.norm(data.geom_xpos[geoms] - data.body(mover.body).xpos, axis=1)
            assert (apart + model.geom_size[geoms].max(1)).max() < SPAN


def test_those_that_come_to_nothing_are_counted(monkeypatch: pytest.MonkeyPatch, planned: Outing) -> None:
    def odd(kind: str, seed: int, *_: object) -> Outing | str:
        return replace(planned, kind=kind, seed=seed) if seed % 2 else "hidden"

    monkeypatch.setattr(outing, "plan", odd)
    chosen, skipped = choose(4, 40, LENS)
    assert [(it.kind, it.seed) for it in chosen] == [("court", 1), ("hall", 1), ("rooms", 1), ("court", 3)]
    assert skipped == {"hidden": 4}
    monkeypatch.setattr(outing, "HELD_OUT", 1)
    with pytest.raises(ValueError, match="no more cases"):
        choose(1, 40, LENS)
