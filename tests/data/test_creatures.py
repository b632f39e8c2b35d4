"""Creatures: they stand on the ground whatever they do, hang together, and each deed can be told from the others."""

import hashlib
from dataclasses import replace
from functools import lru_cache
from itertools import combinations

import mujoco
import numpy as np
import pytest
from msgspec import structs

from perdure.data.creature import creature
from perdure.data.scenes import build
from perdure.data.scenes.blocks import Blocks
from perdure.data.scenes.creatures import KINDS, VOCABULARY, built, deeds, described, figure, name, populate, surfaces
from perdure.data.scenes.creatures.figure import Figure, Shape, matrix, sampled
from perdure.data.scenes.scene import Scene, Sky, Surface
from perdure.world import edit
from perdure.world.action import Action, Word
from perdure.world.command import understood
from perdure.world.deed import Deed, at
from perdure.world.mover import Mover
from perdure.world.physics import Physics
from perdure.world.state import World

SHARES = np.linspace(0, 1, 61)
BURIED = 0.06  # metres that anything may sink into the ground between two keys, at most
ALL = [(kind, deed.name) for kind in KINDS for deed in deeds(kind, 1)]

FIRST_SCENES = {  # sha256 of the XML, as it was when the only creatures were striders and lantern golems
    ("court", 1): "407cb74a4e416a81",
    ("hall", 2): "a3ecf0249eca9736",
    ("rooms", 3): "9f217c7e0a8b0b3f",
}


def act(kind: str, deed: str) -> Deed:
    return next(it for it in deeds(kind, 1) if it.name == deed)


@lru_cache(maxsize=512)
def posed(kind: str, deed: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return figure(kind, 1).posed(act(kind, deed), SHARES)


@lru_cache(maxsize=1)
def menagerie() -> Scene:
    """One of each kind, on an empty floor."""
    blocks = Blocks()
    floor = blocks.surface("floor", Surface("stone", ("#aa9988", "#887766", "#554433")))
    blocks.geom("plane", floor, (0, 0, 0), (30, 30, 1))
    homes = [(5.0 * n - 22.0, 4.0) for n in range(len(KINDS))]
    populate(blocks, np.random.default_rng(0), homes, 2.0, list(KINDS))
    return blocks.finish("zoo", 0, Sky(), (0.0, -2.0, 0.0), (28.0, 8.0, 3.0), "zoo")


def test_one_of_each_kind_is_met_and_compiles() -> None:
    scene = menagerie()
    assert {mover.kind for mover in scene.movers} == set(KINDS)
    assert len(set(scene.names.values())) == len(KINDS)
    model = mujoco.MjModel.from_xml_string(scene.xml)
    assert {model.mat(i).name for i in range(model.nmat)} == set(scene.surfaces)
    for mover in scene.movers:
        assert all(model.body_mocapid[model.body(body).id] >= 0 for body in mover.bodies)
        rest = {part.label: np.array(part.pivot) for part in mover.parts}
        for part in mover.parts:
            above = model.body(f"{mover.body.rsplit('/', 1)[0]}/{part.parent or 'body'}").pos
            assert np.allclose(model.body(part.body).pos, above + rest[part.label], atol=1e-3)
        for bead in mover.beads:
            assert model.body(bead).pos[2] < -5


def test_no_two_of_a_scene_have_one_name() -> None:
    blocks = Blocks()
    populate(blocks, np.random.default_rng(3), [(float(n), 0.0) for n in range(5)], 1.0, ["knight", "crab"])
    assert len(set(blocks.names.values())) == 5
    assert {mover.kind for mover in blocks.movers} == {"knight", "crab"}
    for called in blocks.names.values():
        assert called.split()[1] in described(called)


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_make_other_coats_and_sizes_and_nothing_else_does(kind: str) -> None:
    assert built(kind, 5, 1, "a", (0.0, 0.0), 1.0) == built(kind, 5, 1, "a", (0.0, 0.0), 1.0)
    assert len({name(kind, seed) for seed in range(30)}) == len(KINDS[kind].coats)
    assert len({figure(kind, seed).hover for seed in range(5)}) == 5
    assert surfaces(kind, 5) != surfaces(kind, 6)
    assert set(surfaces(kind, 5)) == {f"{kind.replace(' ', '-')}-5/{label}" for label in figure(kind, 5).surfaces}


@pytest.mark.parametrize("kind", KINDS)
def test_a_creature_costs_few_rays_and_few_bytes(kind: str) -> None:
    one = figure(kind, 1)
    assert 15 <= one.count <= 26
    assert len(one.beads) <= 6
    assert sum(len(str(deed)) for deed in deeds(kind, 1)) < 200_000


@pytest.mark.parametrize(("kind", "seed"), [("court", 1), ("hall", 2), ("rooms", 3)])
def test_the_first_scenes_are_what_they_were(kind: str, seed: int) -> None:
    assert hashlib.sha256(build(kind, seed).xml.encode()).hexdigest()[:16] == FIRST_SCENES[kind, seed]


@pytest.mark.parametrize(("kind", "deed"), ALL)
def test_nobody_sinks_into_the_ground(kind: str, deed: str) -> None:
    low = figure(kind, 1).lowest(posed(kind, deed))
    assert low.min() > -BURIED, f"{low.min():.3f} m at {SHARES[low.argmin()]:.2f}"
    if kind != "lantern golem" and deed in ("idle", "walk", "turn left", "sit", "die", "hit"):
        assert low[-1] < BURIED  # nor hangs in the air


@pytest.mark.parametrize("kind", KINDS)
def test_lowest_points_are_those_of_mujoco_s_shapes(kind: str) -> None:
    """Of random points of each shape as MuJoCo has it none is lower than what is reckoned, and some nearly as low."""
    rng = np.random.default_rng(0)
    one = figure(kind, 1)
    mover, bodies = built(kind, 1, 1, "c", (0.0, 0.0), 1.0)
    materials = "".join(f'<material name="{label}"/>' for label in surfaces(kind, 1))
    model = mujoco.MjModel.from_xml_string(
        f"<mujoco><compiler angle='radian'/><asset>{materials}</asset><worldbody>{''.join(bodies)}</worldbody></mujoco>"
    )
    turn = np.array([matrix(tuple(q / np.linalg.norm(q))) for q in rng.normal(size=(3, 4))])
    place = rng.normal(size=(3, 3))
    for label, joint in one.joints.items():
        first = int(model.body(f"c/{label or 'body'}").geomadr[0])
        for n, shape in enumerate(joint.shapes):
            points = _surface(model, first + n, rng)
            heights = place[:, 2:] + turn[:, 2] @ points.T
            low = shape.low(place, turn)
            assert (heights.min(1) > low - 1e-4).all()
            assert (heights.min(1) < low + 0.03).all()


def _surface(model: mujoco.MjModel, geom: int, rng: np.random.Generator) -> np.ndarray:
    """(N, 3) points of a geom's surface in its body's frame."""
    ways = rng.normal(size=(6000, 3))
    ways /= np.linalg.norm(ways, axis=1)[:, None]
    a, b, c = model.geom_size[geom]
    kind = mujoco.mjtGeom(model.geom_type[geom]).name
    if kind == "mjGEOM_SPHERE":
        points = a * ways
    elif kind == "mjGEOM_ELLIPSOID":
        points = ways * (a, b, c)
    elif kind == "mjGEOM_CAPSULE":
        points = a * ways + np.array([0, 0, 1]) * b * np.sign(ways[:, 2:])
    elif kind == "mjGEOM_CYLINDER":
        flat = ways[:, :2] / np.linalg.norm(ways[:, :2], axis=1)[:, None]
        points = np.c_[a * flat, b * np.sign(ways[:, 2])]
    else:
        points = np.sign(ways) * (a, b, c)
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, model.geom_quat[geom])
    return points @ turn.reshape(3, 3).T + model.geom_pos[geom]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_sampled_is_what_physics_plays(kind: str) -> None:
    for deed in deeds(kind, 1):
        for curve in (*list(deed.parts.values())[:2], *([deed.root] if deed.root else [])):
            values = sampled(curve, SHARES[::7], deed.loops)
            assert np.allclose(values, [at(curve, float(share), deed.loops) for share in SHARES[::7]], atol=1e-12)


@pytest.mark.parametrize(("kind", "deed"), ALL)
def test_parts_hang_together(kind: str, deed: str) -> None:
    one, it, where = figure(kind, 1), act(kind, deed), posed(kind, deed)
    for label, joint in one.joints.items():
        if label:
            place, turn = where[joint.parent]
            local = np.einsum("tji,tj->ti", turn, where[label][0] - place) - joint.pivot
            shift = sampled(it.shifts[label], SHARES, it.loops) if label in it.shifts else 0.0
            assert np.allclose(local, shift, atol=1e-9)
            assert np.abs(local).max() < 1.2 * one.scale


@pytest.mark.parametrize(("kind", "deed"), [(k, d) for k, d in ALL if act(k, d).loops])
def test_what_loops_ends_as_it_began(kind: str, deed: str) -> None:
    for label, (place, turn) in posed(kind, deed).items():
        assert np.allclose(place[0], place[-1], atol=0.02), label
        if "wheel" not in label and label != "ring":  # which look alike after a part of a turn
            assert np.allclose(turn[0], turn[-1], atol=0.02), label


@pytest.mark.parametrize(("kind", "feet"), [
    ("knight", ("shin_l", "shin_r")), ("bird", ("shin_l", "shin_r")), ("golem", ("leg_l", "leg_r")),
    ("strider", ("leg0", "leg1", "leg2", "leg3")), ("crab", ("leg0_l", "leg1_r", "leg2_l")),
])  # fmt: skip
@pytest.mark.parametrize("deed", ["walk", "run"])
def test_feet_stay_where_they_stand(kind: str, feet: tuple[str, ...], deed: str) -> None:
    """Over the middle half of each step on the ground, a foot moves by a few centimetres of what the body does."""
    one, it, where = figure(kind, 1), act(kind, deed), posed(kind, deed)
    went = it.pace * it.seconds * SHARES
    for foot in feet:
        place, turn = where[foot]
        sole = _sole(one, foot)
        at_ = place + np.einsum("tij,j->ti", turn, sole)
        at_ = at_[:-1] + np.c_[went, 0 * went, 0 * went][:-1]
        height = at_[:, 2] - at_[:, 2].min()
        down = height < 0.35 * height.max()
        steps = np.diff(at_[:, 0])[down[1:] & down[:-1]]
        assert np.median(np.abs(steps)) < 0.35 * it.pace * it.seconds / 60, (foot, np.median(np.abs(steps)))


def _sole(one: Figure, foot: str) -> np.ndarray:
    """The lowest point of a foot at rest, in its frame."""
    ends = [np.array(shape.end or shape.pos) for shape in one.joints[foot].shapes]
    return min(ends, key=lambda end: end[2])


@lru_cache(maxsize=512)
def signature(kind: str, deed: str) -> np.ndarray:
    """(13, 12) how a creature moves, whatever it is made of: where its root goes and how it turns, and the box about
    its parts, in its own heights."""
    tall = KINDS[kind].height * figure(kind, 1).scale
    (place, turn), box = posed(kind, deed)[""], _box(kind, posed(kind, deed))
    box -= _box(kind, figure(kind, 1).posed(Deed("rest", (), 1.0), SHARES[:1]))
    yaw = np.unwrap(np.arctan2(turn[:, 1, 0], turn[:, 0, 0]))
    return np.concatenate([place / tall, turn[:, 2], yaw[:, None], box / tall], 1)[::5]


def _box(kind: str, where: dict[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """(T, 6) of the box about a creature, beside its root."""
    joints = figure(kind, 1).joints.items()
    ends = [(*where[label], end) for label, joint in joints for shape in joint.shapes for end in _ends(shape)]
    points = np.stack([place + turn @ end for place, turn, end in ends], 1) - where[""][0][:, None] * (1, 1, 0)
    return np.concatenate([points.min(1), points.max(1)], 1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_deed_of_a_creature_can_be_told_from_the_others(kind: str) -> None:
    tall = KINDS[kind].height * figure(kind, 1).scale
    for a, b in combinations(deeds(kind, 1), 2):
        if {a.name, b.name} == {"turn left", "turn right"}:
            assert a.turn == -b.turn != 0
            continue
        one, other = posed(kind, a.name), posed(kind, b.name)
        apart = max(
            max(
                np.abs(one[label][0] - other[label][0]).max() / tall,
                0.3 * np.abs(one[label][1] - other[label][1]).max(),
            )
            for label in one
        )
        assert apart > 0.12 or a.pace != b.pace or a.turn != b.turn, (a.name, b.name, apart)


def test_all_share_what_is_said_to_be_shared() -> None:
    for kind in KINDS:
        names = {deed.name for deed in deeds(kind, 1)}
        assert names >= set(VOCABULARY.shared)
        assert len(names) >= 14


def test_two_groups_have_deeds_of_their_own() -> None:
    assert len(VOCABULARY.groups) == 2
    (one, mine), (other, theirs) = VOCABULARY.groups.items()
    for group, against in ((mine, theirs), (theirs, mine)):
        assert len(group.deeds) >= 4
        foreign = {word for kind in against.kinds for deed in deeds(kind, 1) for word in (deed.name, *deed.words)}
        for deed in group.deeds:
            doers = [kind for kind in group.kinds if deed in {it.name for it in deeds(kind, 1)}]
            assert doers, deed
            assert not foreign & {deed, *(word for kind in doers for word in act(kind, deed).words)}, deed
    assert not set(mine.kinds) & set(theirs.kinds), (one, other)


def test_nothing_in_the_other_group_is_like_what_is_a_group_s_own() -> None:
    mine, theirs = VOCABULARY.groups.values()
    for group, against in ((mine, theirs), (theirs, mine)):
        for deed in group.deeds:
            for kind in group.kinds:
                if deed not in {it.name for it in deeds(kind, 1)}:
                    continue
                for foe in against.kinds:
                    for other in deeds(foe, 1):
                        apart = np.abs(signature(kind, deed) - signature(foe, other.name)).max()
                        assert apart > 0.15, (kind, deed, foe, other.name, apart)


def test_styles_are_one_motion_with_a_trail() -> None:
    assert len(VOCABULARY.styles) >= 2
    for style in VOCABULARY.styles:
        plain, styled = act(style.plain, style.deed), act(style.styled, style.deed)
        assert not plain.trail and styled.trail
        assert figure(style.styled, 1).beads
        same = 0
        for label, curve in plain.parts.items():
            other = label[:-1] + {"l": "r", "r": "l"}[label[-1]] if label[-2:] in ("_l", "_r") else label
            sign = np.array([1, -1, 1, -1] if style.mirrored else [1, 1, 1, 1])
            twin = np.array(styled.parts[other if style.mirrored else label])
            same += np.allclose(np.array(curve) * sign, twin, atol=1e-3)
        assert same == len(plain.parts) == len(styled.parts)


def test_contrasts_have_one_name_and_another_time_or_reach() -> None:
    assert len(VOCABULARY.contrasts) >= 3
    for deed, (quick, slow) in VOCABULARY.contrasts.items():
        a, b = act(quick, deed), act(slow, deed)
        far = [max((s.reach for s in it.strokes), default=0.0) + (it.root[-1][1] if it.root else 0.0) for it in (a, b)]
        assert b.seconds > 1.25 * a.seconds or abs(far[0] - far[1]) > 0.3, deed


@pytest.mark.parametrize("kind", KINDS)
def test_every_deed_has_words_of_its_own(kind: str) -> None:
    words = [word for deed in deeds(kind, 1) for word in deed.words]
    assert len(set(words)) == len(words)
    assert all(word == word.lower() and word for word in words)


@pytest.mark.parametrize("kind", KINDS)
def test_strokes_come_when_something_reaches_out(kind: str) -> None:
    """While a deed can strike, a part of the creature is nearly as far from its root as the stroke says."""
    one = figure(kind, 1)
    for deed in deeds(kind, 1):
        for stroke in deed.strokes:
            shares = np.linspace(stroke.start, stroke.end, 9)
            where = one.posed(deed, shares)
            root = where[""][0][:, :2]
            far = 0.0
            for label, joint in one.joints.items():
                for shape in joint.shapes:
                    for end in _ends(shape):
                        place = where[label][0] + np.einsum("tij,j->ti", where[label][1], end)
                        far = max(far, float(np.linalg.norm(place[:, :2] - root, axis=1).max()))
            assert 0.6 * far < stroke.reach < 1.45 * far, (deed.name, far, stroke.reach)


def _ends(shape: Shape) -> list[np.ndarray]:
    if shape.end is not None:
        return [np.array(shape.pos), np.array(shape.end)]
    spread = matrix(shape.quat) @ np.diag(np.resize(shape.size, 3))
    return [np.array(shape.pos) + sign * spread[:, k] for k in range(3) for sign in (1, -1)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_deed_is_reached_by_each_of_its_words(kind: str) -> None:
    can = deeds(kind, 1)
    for n, deed in enumerate(can):
        for word in deed.words:
            assert understood(can, word) == (() if deed.name in ("hit", "die") else (n,)), word


def test_ten_creatures_at_once_each_do_what_they_are_asked_to() -> None:
    """Every deed but what befalls a creature, asked for in words, shows in state a chunk later; and then its body is
    where its figure has it."""
    scene = menagerie()
    physics = Physics.from_xml(scene.xml, scene.movers, scene.spawn)
    done: set[tuple[str, str]] = set()
    for n in range(max(len(mover.deeds) for mover in scene.movers)):
        asked = {}
        for mover in scene.movers:
            mine = [deed for deed in mover.deeds if deed.name not in ("hit", "die")]
            asked[mover.entity] = mine[n % len(mine)]
        words = tuple(Word(entity, deed.words[0]) for entity, deed in asked.items())
        for _ in range(2):
            physics, *_ = physics.advance(Action(words=words))
        model, data = physics.posed()
        for mover in scene.movers:
            told, deed = physics.condition(mover.entity), asked[mover.entity]
            assert told is not None and told.alive
            assert told.deed == deed.name and told.commanded
            done.add((mover.kind, told.deed))
            where = _figure_of(mover).posed(deed, np.array([told.clock]))
            root, turn = data.body(mover.body).xpos, data.body(mover.body).xmat.reshape(3, 3)
            place, own = where[""]
            for part in mover.parts:
                expected = own[0].T @ (where[part.label][0][0] - place[0])
                assert np.allclose(turn.T @ (data.body(part.body).xpos - root), expected, atol=2e-3), part.label
    assert len(done) == sum(len(mover.deeds) - 2 for mover in scene.movers)


@pytest.mark.parametrize(("kind", "deed"), [(k, d) for k, d in ALL if act(k, d).strokes])
def test_strokes_hurt_whom_they_reach(kind: str, deed: str) -> None:
    """Someone who stands ahead, within reach, is struck, pushed and the worse for it."""
    stroke = act(kind, deed).strokes[0]
    went = act(kind, deed).root[-1][1] if act(kind, deed).root else 0.0
    blocks = Blocks()
    floor = blocks.surface("floor", Surface("stone", ("#aa9988", "#887766", "#554433")))
    blocks.geom("plane", floor, (0, 0, 0), (30, 30, 1))
    target = "frog" if stroke.low < 0.3 else "strider"
    apart = 0.7 * stroke.reach + 0.5 * went + 0.3
    for entity, (who, x) in enumerate([(kind, 0.0), (target, apart)], 1):
        mover, bodies = built(who, 1, entity, f"one{entity}", (x, 0.0), 0.5)
        for material, surface in surfaces(who, 1).items():
            blocks.surface(material, surface)
        blocks.creature(f"{who} {entity}", mover, bodies)
    scene = blocks.finish("ring", 0, Sky(), (0.0, -6.0, 0.0), (8.0, 8.0, 3.0), "ring")
    physics, struck = Physics.from_xml(scene.xml, scene.movers, scene.spawn), False
    physics = replace(physics, gaits=tuple(structs.replace(gait, heading=0.0) for gait in physics.gaits))
    for _ in range(12):
        physics, motion = physics.advance(Action(words=(Word(1, act(kind, deed).words[0]), Word(2, "sit"))))
        struck = struck or any(note.kind == "hit" and note.targets[-1] == 2 for note in motion.notes)
    told = physics.condition(2)
    assert struck and told is not None and told.health < 1


def _figure_of(mover: Mover) -> Figure:
    """The figure whose pivots a creature has."""
    one = figure(mover.kind, 0)
    for part in mover.parts:
        one.joints[part.label].pivot = part.pivot
    one.hover = mover.hover
    return one


def test_a_creature_walks_into_a_world_that_runs() -> None:
    scene = menagerie()
    world = World.create("zoo", "zoo", 0, scene.xml, (), scene.spawn)
    entity, body = creature("frog", 20, (2.0, -3.0), seed=4)
    assert entity.name == name("frog", 4) and len(entity.patches) >= 6
    added = world.edit(edit.add(entity, body))
    assert [mover.kind for mover in added.physics.mechanism.creatures] == ["frog"]
    assert added.undo().state == world.state


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="kind of creature out of knight, mage"):
        figure("dragon", 0)
    with pytest.raises(ValueError, match="some kinds of creature"):
        populate(Blocks(), np.random.default_rng(0), [(0.0, 0.0)], 1.0, [])
    with pytest.raises(ValueError, match="a name such as"):
        described("the polite knight")
    one = Figure("knight", "red", 1.0, 1.0)
    with pytest.raises(ValueError, match="hang on one of"):
        one.part("hand", (0, 0, 0), "arm")
    with pytest.raises(ValueError, match="one of the surfaces"):
        one.ball("", "gold", (0, 0, 0), 0.1)
