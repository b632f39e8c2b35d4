"""Props: they look right from every side, lie within what physics collides, and new worlds have some."""

from functools import lru_cache

import mujoco
import numpy as np
import pytest

from perdure.camera import Intrinsics, invert, look
from perdure.data import props
from perdure.data.founding import found_kind
from perdure.data.painting.painter import Painter
from perdure.data.scenes import KINDS
from perdure.memory.view import Placed, render
from perdure.presets.nano import nano
from perdure.world import edit
from perdure.world.action import Action, Hand
from perdure.world.body import Body
from perdure.world.state import World
from tests.world import yard

EYE = Intrinsics.from_fov(128, 96, 60.0)
STILL, USE, THROW = Action(), Action(hand=Hand.USE), Action(hand=Hand.THROW)


@lru_cache(maxsize=16)
def made(kind: str, seed: int = 0) -> tuple[props.Entity, Body]:
    return props.prop(kind, 7, (1.0, 2.0, 0.0), seed, 0.5)


def around(count: int, far: float) -> list[np.ndarray]:
    """Poses of eyes spread over a sphere, looking at its middle."""
    out = []
    for n in range(count):
        z, turn = 0.95 * (1 - (2 * n + 1) / count), 2.39996 * n
        flat = np.sqrt(1 - z * z)
        way = np.array([flat * np.cos(turn), flat * np.sin(turn), z])
        out.append(look(far * way, turn + np.pi, -np.arcsin(z)))
    return out


@pytest.mark.parametrize("kind", props.KINDS)
def test_no_side_is_missing(kind: str) -> None:
    """Drawn from its looks, from eyes where none of them was had, a prop is what the painter shows."""
    rng = np.random.default_rng([5, *kind.encode(), 0])
    form = props.KINDS[kind](7, (0.0, 0.0, 0.0), 0.0, rng)
    scene = props._scene(form.name, form.geoms, form.surfaces, form.half)
    model = mujoco.MjModel.from_xml_string(scene.xml)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    painter, (entity, _) = Painter(scene, model), made(kind)
    far = 2.3 * float(np.linalg.norm(form.half)) + 0.1
    shared = union = there = 0
    errors = []
    for camera in around(12, far):
        true = painter.paint(data, camera, EYE)
        view = render([], [Placed(entity.patches, np.eye(4)[None])], camera[None], EYE)
        mask, drawn = true.entity == 1, view.confidence[0] > 0
        there, shared, union = there + mask.sum(), shared + (mask & drawn).sum(), union + (mask | drawn).sum()
        errors.append(np.abs(view.rgb[0].astype(int) - true.rgb)[mask & drawn].mean())
    assert shared / there > 0.99 and shared / union > 0.9
    assert np.mean(errors) < 9 and max(errors) < 18


@pytest.mark.parametrize("kind", props.KINDS)
def test_what_is_seen_is_what_is_bumped_into(kind: str) -> None:
    entity, body = made(kind)
    world = World.create("yard", "yard", 0, yard.XML, entities=(entity,), bodies=(body,))
    compiled = world.physics.mechanism.compiled
    geoms = np.flatnonzero(compiled.owners[compiled.model.geom_bodyid] == 7)
    middle, half = compiled.model.geom_aabb[geoms[-1], :3], compiled.model.geom_aabb[geoms[-1], 3:]
    for patch in entity.patches:
        z = patch.depth / 1000.0
        rows, columns = np.nonzero(patch.mask)
        i = patch.intrinsics
        seen = np.stack([(columns + 0.5 - i.cx) / i.fx, (rows + 0.5 - i.cy) / i.fy, np.ones(len(rows))], 1)
        points = (seen * z[rows, columns][:, None]) @ patch.pose[:3, :3].T + patch.pose[:3, 3]
        over = np.abs(points - middle) - half
        assert over.max() < (0.1 if kind == "door" else 0.02)  # but for a door's knob
    everything = np.concatenate([p.pose[:3, 3][None] for p in entity.patches])
    assert (everything.max(0) > half).all() and (everything.min(0) < -half).all()  # from all sides


def test_same_seed_same_bytes_and_seeds_differ() -> None:
    entity, body = made("urn", 3)
    again, other = props.prop("urn", 7, (1.0, 2.0, 0.0), 3, 0.5), [made("urn", seed)[0] for seed in range(4)]
    assert (entity.to_bytes(), body.to_bytes()) == (again[0].to_bytes(), again[1].to_bytes())
    assert len({one.digest for one in other}) == 4
    with pytest.raises(ValueError, match="expected a prop out of crate, "):
        props.prop("sofa", 7, (0.0, 0.0, 0.0))


def test_shards_have_the_colours_of_the_urn_that_they_are_of() -> None:

    entity, body = made("urn", 3)
    world = World.create("yard", "yard", 0, yard.XML, entities=(entity,), bodies=(body,)).happens("the urn breaks")
    shards = [body for body in world.physics.mechanism.bodies if body.name.startswith("shard")]
    assert len(shards) == 5 and props.worn(body) is not None
    for shard in shards:
        worn, whole = props.worn(shard), props.worn(body)
        assert worn is not None and whole is not None
        assert {s.colours[0] for s in worn.surfaces} <= {c for s in whole.surfaces for c in s.colours}
        assert worn.sizes.max() < whole.sizes.max()


def test_shards_are_seen_where_they_lie_in_the_colours_of_the_urn() -> None:
    """By the state alone, that knows no painter: from either side a piece is as large as it is, and of its glaze."""
    entity, body = made("urn", 3)
    world = World.create("yard", "yard", 0, yard.XML, entities=(entity,), bodies=(body,)).happens("the urn breaks")
    colours = np.concatenate([patch.rgb[patch.mask] for patch in entity.patches]).reshape(-1, 3)
    for shard in (it for it in world.entities if it.kind == "shard"):
        seat = world.physics.mechanism.compiled.seats[shard.id]
        wide, _, high = 2 * world.physics.mechanism.compiled.model.geom_size[seat.geoms[0]]
        for side in (1, -1):
            camera = look(np.array([0.0, -0.5 * side, 0.0]), side * np.pi / 2, 0.0)
            view = render([], [Placed(shard.patches, np.eye(4)[None])], camera[None], EYE)
            rows, columns = np.nonzero(view.confidence[0])
            near = 0.5 - 0.012
            assert np.ptp(columns) + 1 == pytest.approx(EYE.fx * wide / near, abs=3)
            assert np.ptp(rows) + 1 == pytest.approx(EYE.fy * high / near, abs=3)
            drawn = view.rgb[0][view.confidence[0] > 128]
            off = np.abs(drawn[::7, None].astype(int) - colours[None, ::11]).max(-1).min(1)
            assert np.median(off) < 12


def test_one_is_put_into_a_world_and_taken_out_again() -> None:
    world = World.create("yard", "yard", 0, yard.XML)
    more = world.edit(edit.add(*props.prop("crate", 7, (1.4, 0.0, 0.0))))
    assert 7 in more.motion.bodies and more.undo().state == world.state


@pytest.fixture(scope="module", params=KINDS)
def founded(request: pytest.FixtureRequest) -> World:
    return found_kind(request.param, 3, nano(), spots=2)


def things(world: World) -> list[int]:
    return [entity.id for entity in world.entities if entity.kind in props.KINDS]


def test_a_new_world_has_things_that_stand_where_they_were_put(founded: World) -> None:
    kinds = [entity.kind for entity in founded.entities if entity.kind in props.KINDS]
    assert len(kinds) == 3 and ("door" in kinds) == (founded.scene[0] in ("rooms", "corridors"))
    before = {entity: founded.motion.bodies[entity][-1] for entity in things(founded)}
    world = founded
    for _ in range(12):
        world = world.advance(STILL)
    for entity, pose in before.items():
        assert np.abs(world.motion.bodies[entity][-1] - pose).max() < 0.06


def test_nothing_of_a_thing_is_still_surface(founded: World) -> None:
    points = np.concatenate([keyframe.surface[0] for keyframe in founded.geometry.keyframes])
    for entity in things(founded):
        if next(e for e in founded.entities if e.id == entity).kind == "door":
            continue  # its frame is
        local = (points - founded.motion.bodies[entity][-1, :3, 3]) @ founded.motion.bodies[entity][-1, :3, :3]
        assert not (np.abs(local) < 0.11).all(1).any()


def test_the_ground_below_a_thing_is_known(founded: World) -> None:
    """So that it is there when the thing is taken away: seen from where the player stands."""
    camera = founded.motion.cameras[-1]
    for entity in things(founded):
        if next(e for e in founded.entities if e.id == entity).kind == "door":
            continue
        at = founded.motion.bodies[entity][-1, :3, 3]
        way = at - camera[:3, 3]
        eye = look(camera[:3, 3], float(np.arctan2(way[1], way[0])), float(np.arctan2(way[2], np.hypot(*way[:2]))))
        view = render(founded.geometry.keyframes, [], eye[None], founded.motion.intrinsics)
        h, w = founded.motion.intrinsics.height, founded.motion.intrinsics.width
        assert (view.confidence[0, h // 2 - 20 : h // 2 + 20, w // 2 - 20 : w // 2 + 20] > 0).mean() > 0.95


def test_founding_is_deterministic() -> None:
    one, two = (found_kind("hall", 5, nano(), spots=1).state for _ in range(2))
    assert one == two


def test_a_door_of_the_rooms_opens_and_one_can_walk_through(founded: World) -> None:
    if founded.scene[0] != "rooms":
        return
    door = next(e.id for e in founded.entities if e.kind == "door")
    x, y, _ = founded.motion.bodies[door][-1, :3, 3]
    side = -np.sign(y)
    start = edit.Pose((float(x), float(y + 1.3 * side), float(-side * np.pi / 2), 0.0))
    world = founded.edit(edit.move(0, start)).advance(USE)
    assert [note.args["hand"] for note in world.motion.notes] == ["open"]
    for action in (*[STILL] * 12, *[Action(keys=1)] * 7):
        world = world.advance(action)
    assert side * (world.motion.cameras[-1, 1, 3] - y) < -0.5
    leaf = world.motion.bodies[door][-1]
    assert abs((invert(founded.motion.bodies[door][-1]) @ leaf)[0, 0]) < 0.3  # it stands open


def test_a_crate_of_the_court_is_taken_up_and_thrown(founded: World) -> None:
    crates = [e.id for e in founded.entities if e.kind == "crate"]
    if not crates:
        return
    at = founded.motion.bodies[crates[0]][-1, :3, 3]
    eye = founded.motion.cameras[-1, :3, 3]
    yaw = float(np.arctan2(at[1] - eye[1], at[0] - eye[0]))
    near = at - 1.2 * np.array([np.cos(yaw), np.sin(yaw), 0.0])
    pitch = float(np.arctan2(at[2] - eye[2], 1.2))
    world = founded.edit(edit.move(0, edit.Pose((float(near[0]), float(near[1]), yaw, pitch)))).advance(USE)
    assert world.physics.held == crates[0]
    for action in (*[Action(tilt=0.2)] * 4, *[STILL] * 6):
        world = world.advance(action)
    assert world.motion.bodies[crates[0]][-1, 2, 3] > at[2] + 0.3
    world = world.advance(THROW)
    assert world.physics.held == -1
