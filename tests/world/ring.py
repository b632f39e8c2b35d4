"""A ring for tests: the yard, with two who act in it, a ball to take up and a door to open."""

import math

from perdure.world import body
from perdure.world.action import Action, Word
from perdure.world.body import Pose
from perdure.world.deed import Act, Curve, Deed, Stroke
from perdure.world.mover import Mover, Part
from perdure.world.physics import Physics
from tests.world import yard

LEG = 0.8  # metres
STEP = 0.5  # radians that a leg swings each way


def _leg(phase: float) -> Curve:
    """On the ground for the first half of a cycle, where the foot goes back evenly; lifted forward in the second."""
    keys: list[tuple[float, ...]] = []
    for n in range(9):
        t = n / 8
        foot = 0.5 * PACE * CYCLE * (0.5 - 2 * t) if t <= 0.5 else 0.5 * PACE * CYCLE * (2 * t - 1.5)
        keys.append(((t + phase) % 1.0, 0.0, -math.asin(foot / LEG), 0.0))
    return tuple(sorted({key[0]: key for key in keys if key[0] < 1.0}.values()))


PACE, CYCLE = 0.8, 0.9
WALK = Deed("walk", ("walk", "stroll"), CYCLE, True, {"left": _leg(0.0), "right": _leg(0.5)}, pace=PACE)
IDLE = Deed("idle", ("stand", "wait", "stop"), 2.0, True, {"arm": ((0, 0, 0.0, 0), (0.5, 0, 0.1, 0))})
TURN = Deed("turn left", ("turn left",), 1.0, True, turn=1.2)
SLAM = Deed(
    "slam",
    ("slam", "slam the ground", "pound"),
    0.8,
    parts={"arm": ((0, 0, 0, 0), (0.4, 0, -2.4, 0), (0.6, 0, 0.3, 0), (1, 0, 0, 0))},
    shifts={"fist": ((0, 0, 0, 0), (0.5, 0, 0, -0.2), (1, 0, 0, 0))},
    strokes=(Stroke(0.45, 0.6, 1.4, 0.7, 0.0, 1.8, 0.3, 0.4),),
    trail="fist",
)
LEAP = Deed(
    "leap",
    ("leap", "jump"),
    0.9,
    root=((0, 0, 0, 0, 0, 0, 0), (0.2, 0, 0, -0.1, 0, 0, 0), (0.5, 0.7, 0, 0.8, 0, 0.1, 0), (1, 1.4, 0, 0, 0, 0, 0)),
)
ROLL = Deed("roll", ("roll",), 0.8, root=((0, 0, 0, 0, 0, 0, 0), (1, 1.2, 0, 0, 0.5, -math.tau, 0)))
BLOCK = Deed("block", ("block", "guard"), 0.3, parts={"arm": ((0, 0, 0, 0), (1, 0, -1.2, 0.4))}, holds=True, guard=True)
SIT = Deed("sit", ("sit", "sit down"), 0.6, root=((0, 0, 0, 0, 0, 0, 0), (1, 0, 0, -0.4, 0, 0, 0)), holds=True)
HIT = Deed("hit", ("hit",), 0.4, root=((0, 0, 0, 0, 0, 0, 0), (0.3, 0, 0, 0, 0, 0.3, 0), (1, 0, 0, 0, 0, 0, 0)))
DIE = Deed("die", ("die",), 1.0, root=((0, 0, 0, 0, 0, 0, 0), (1, -0.3, 0, -0.7, 0, 1.5, 0)))
HANDS = tuple(
    Deed(name, words, 0.6, parts={"arm": ((0, 0, 0, 0), (0.5, 0, -0.8, 0), (1, 0, -0.6, 0))})
    for name, words in (
        ("grab", ("grab", "pick up", "take")), ("drop", ("drop", "put down")),
        ("throw", ("throw",)), ("open", ("open",)),
    )
)  # fmt: skip
DEEDS = (WALK, IDLE, TURN, SLAM, LEAP, ROLL, BLOCK, SIT, HIT, DIE, *HANDS)


def knight(entity: int, home: tuple[float, float], ground: float = 0.0) -> Mover:
    name = f"knight{entity}"
    parts = (
        Part(f"{name}/left", (0, 0.15, 0), (0, 1, 0), 0.4, label="left"),
        Part(f"{name}/right", (0, -0.15, 0), (0, 1, 0), 0.4, math.pi, label="right"),
        Part(f"{name}/arm", (0, -0.3, 0.5), (0, 1, 0), 0.3, label="arm"),
        Part(f"{name}/fist", (0, 0, -0.5), (0, 1, 0), 0.0, parent="arm", label="fist"),
    )
    beads = f"{name}/bead0", f"{name}/bead1"
    return Mover(
        entity,
        name,
        parts,
        0.7,
        0.9,
        LEG,
        0.0,
        home,
        2.0,
        "knight",
        DEEDS,
        1.0,
        0.35,
        1.6,
        "fist",
        beads,
        ground=ground,
    )


def _bodies(mover: Mover) -> str:
    shapes = {
        mover.body: '<geom type="capsule" fromto="0 0 0 0 0 .6" size=".2" {}/>',
        **{part.body: '<geom type="capsule" fromto="0 0 0 0 0 -.5" size=".06" {}/>' for part in mover.parts},
        **dict.fromkeys(mover.beads, '<geom type="sphere" size=".04" {}/>'),
    }
    bare = 'contype="0" conaffinity="0"'
    return "".join(f'<body name="{n}" mocap="true">{shape.format(bare)}</body>' for n, shape in shapes.items())


KNIGHTS = knight(1, (0.0, 0.0)), knight(2, (1.3, 0.0))
XML = yard.XML.replace("</worldbody>", "".join(map(_bodies, KNIGHTS)) + "</worldbody>")


def ring(seed: int = 3, things: bool = False) -> Physics:
    """Knight 1 stands in the middle and faces knight 2, who faces it; the player is in a corner."""
    bodies = (body.ball(7, (-0.9, 0.0, 0.0)), body.door(8, (-3.0, -1.0, 0.0), math.pi / 2)) if things else ()
    physics = Physics.from_xml(XML, KNIGHTS, (-4.0, 4.0, 0.0), seed, bodies=bodies)
    return turned(turned(physics, 1, 0.0), 2, math.pi)


def turned(physics: Physics, entity: int, heading: float, at: tuple[float, float] | None = None) -> Physics:
    pose = body.Pose.from_bytes(physics.pose(entity) or b"")
    x, y = at or pose.place[:2]
    return physics.with_pose(entity, body.Pose((x, y, heading), gait=pose.gait).to_bytes())


def say(physics: Physics, *words: tuple[int, str]) -> tuple[Physics, list, dict]:
    """A chunk in which these are told something: physics, notes, and each frame's conditions."""
    physics, motion = physics.advance(Action(words=tuple(Word(*word) for word in words)))
    return physics, list(motion.notes), dict(motion.conditions)


def go(physics: Physics, chunks: int, *words: tuple[int, str], once: bool = False) -> tuple[Physics, list, list]:
    """Chunks in which the same is commanded: physics, notes, and each frame's conditions."""
    notes, frames = [], []
    for n in range(chunks):
        physics, met, conditions = say(physics, *(words if n == 0 or not once else ()))
        notes += met
        frames += [{entity: told[i] for entity, told in conditions.items()} for i in range(4)]
    return physics, notes, frames


def placed(physics: Physics, entity: int) -> tuple[float, ...]:
    payload = physics.pose(entity)
    assert payload is not None
    return Pose.from_bytes(payload).place


def act(physics: Physics, i: int = 0) -> Act:
    told = physics.gaits[i].act
    assert told is not None
    return told
