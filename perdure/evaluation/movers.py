"""Movers: turn away from a creature for a thousand frames, look again, and see whether it is where it must be.

    perdure eval movers --cases 50 --json

A case is a held-out scene. The player sees a creature, turns its back on it and strolls while it wanders on, out of
every frame; then the player turns to where it is by then. The first chunk that ends with nearly all of it in the frame
is examined.

Where it must be: the centroid of its silhouette in physics, by a ray from the eye through every pixel, what hides
it counted. Where it is: read off the pixels alone. The chunk is drawn again from the same world, noise and memories,
but with the creature gone from view and physics; the largest blob in which the two frames differ is the creature as
drawn, its centroid the place. That such a blob tells of the creature and of nothing else is put to the test in each
case by two controls, examined in the same way:

- absent: the creature gone from both frames, which differ by their noise. Nothing should be found.
- elsewhere: the creature carried round the eye to another part of the picture. It should be found there.

Which cases are examined is settled by physics alone, before anything is drawn: where the creature is hidden when the
player looks for it, say, another seed takes the place of the skipped one.

Shapes: T frames a chunk, H W frame size.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage.measure import label
from skimage.morphology import closing, disk

from perdure.agents.player import clearance
from perdure.camera import Array, Intrinsics, rays, yaw_pitch
from perdure.data.founding import SPOTS, found, survey
from perdure.data.scenes import KINDS, build
from perdure.data.scenes.scene import MOVING, STILL, Scene
from perdure.memory.commit import commit
from perdure.memory.recall import recall
from perdure.models.cache import Cache
from perdure.presets.nano import Preset, nano
from perdure.runtime.backends import WEIGHTS, Backend, OpenVINO
from perdure.runtime.engine import Engine
from perdure.world.action import FRAMES_PER_CHUNK, Action, Keys
from perdure.world.state import World

Frame = NDArray[np.uint8]  # (H, W, 3)
Mask = NDArray[np.bool_]  # (H, W)
Point = tuple[float, float]  # column and row, in pixels

NEAR = 0.05  # of the picture's width: how far from where it must be it may be found
HELD_OUT = 1000  # scene seeds below this were never trained on

FIRST = 6  # chunks that the creature is seen for at first
LOOK = 0.25  # radians that the player turns in a chunk, at most
SWAY = 0.6  # radians to either side of straight away that it looks while it strolls
STRIDES = 12  # chunks that it walks on, and then back
ROOM = 1.3  # metres that must be free ahead to walk on
BEHIND = 2.5  # metres to the creature below which it does not back up any more
SPAN = 1.3  # metres about the root that hold all of a creature
REACH = 2.5, 7.0  # metres off at which a look at it may begin
PATIENCE = 600  # frames beyond those asked for that the player waits until nothing is in between
TURNING = 24  # chunks in which it must have come into the frame
INSIDE = 0.9  # of its silhouette that must lie within the frame
SHOWN = 0.5  # of that, what nothing may hide
LEAST = 1 / 256  # of the picture that must show it

LEVEL = 24  # of 255, mean of the colours: frames that differ by more show different things
BLOB = 1 / 512  # of the picture: less than this is nothing
ASIDE = 0.3  # of the picture's width by which a creature is carried aside
GONE = np.eye(4)
GONE[2, 3] = -1000.0  # metres: below all that can be seen


@dataclass(frozen=True)
class Case:
    """A scene, a creature in it, and what the player does until the creature is looked at again."""

    kind: str
    seed: int
    entity: int
    spawn: tuple[float, float, float]
    actions: tuple[Action, ...]
    away: int  # frames on end that it was out of view
    turning: int  # chunks from then until it is in the frame


@dataclass(frozen=True, eq=False)
class Outcome:
    case: Case
    width: int
    projected: Point
    found: Point | None
    overlap: float  # of the blob with the silhouette, as a part of both together
    carried: Point | None  # where the control carried aside must be; None if something hides it there
    elsewhere: Point | None  # where it was found
    absent: Point | None  # what was found where nothing is
    pictures: dict[str, Frame]

    def apart(self, found: Point | None, true: Point | None) -> float | None:
        """As a fraction of the picture's width."""
        return None if found is None or true is None else float(np.hypot(*np.subtract(found, true))) / self.width

    @property
    def error(self) -> float | None:
        return self.apart(self.found, self.projected)

    @property
    def false_hits(self) -> int:
        """Controls that found it where it must be, though it was not there."""
        return sum(is_near(self.apart(point, self.projected)) for point in (self.absent, self.elsewhere))

    def figures(self) -> dict[str, Any]:
        case = self.case
        points = {"projected": self.projected, "found": self.found, "elsewhere": self.elsewhere, "absent": self.absent}
        return {
            "kind": case.kind,
            "seed": case.seed,
            "entity": case.entity,
            "away": case.away,
            "error": rounded(self.error),
            "overlap": rounded(self.overlap),
            "control_error": rounded(self.apart(self.elsewhere, self.carried)),
            **{name: point and [round(x, 1) for x in point] for name, point in points.items()},
        }

    def line(self) -> str:
        error = "not found" if self.error is None else f"off by {100 * self.error:.1f}% of the width"
        return f"{self.case.kind} {self.case.seed}: {error}, {self.false_hits} false hits"


def is_near(apart: float | None) -> bool:
    return apart is not None and apart <= NEAR


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def reappear(
    cases: int = 50,
    away: int = 1000,
    jobs: int = 1,
    spots: int = SPOTS,
    weights: Path | None = None,
    folder: Path | None = None,
    preset: Preset | None = None,
    backend: Backend | None = None,
) -> dict[str, Any]:
    """Figures over `cases` cases, in scenes of each kind in turn; `folder` gets a sheet of pictures for people."""
    began = perf_counter()
    if not 1 <= cases <= HELD_OUT:
        raise ValueError(f"expected 1 to {HELD_OUT} cases, got {cases}")
    if away < 1:
        raise ValueError(f"expected a creature to be out of view for 1 frame or more, got {away}")
    if jobs < 1:
        raise ValueError(f"expected 1 process or more, got {jobs}")
    preset = preset or nano()
    chosen, skipped = choose(cases, away, Intrinsics.from_fov(preset.width, preset.height, preset.horizontal_degrees))
    outcomes = list[Outcome]()
    for outcome in take_all(chosen, jobs, spots, weights or WEIGHTS, preset, backend):
        outcomes.append(outcome)
        print(f"{len(outcomes)} of {cases}: {outcome.line()}", file=sys.stderr)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        contact_sheet(outcomes).save(folder / "movers.png")
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    followed = [outcome.apart(outcome.elsewhere, outcome.carried) for outcome in outcomes if outcome.carried]
    return {
        "cases": len(outcomes),
        "away": away,
        "within_5_percent": sum(is_near(error) for error in errors),
        "no_detection": len(outcomes) - len(errors),
        "error_median": rounded(float(np.median(errors))) if errors else None,
        "error_p95": rounded(float(np.quantile(errors, 0.95))) if errors else None,
        "overlap_median": rounded(float(np.median([outcome.overlap for outcome in outcomes]))),
        "control_false_hits": sum(outcome.false_hits for outcome in outcomes),
        "control_absent_found": sum(outcome.absent is not None for outcome in outcomes),
        "control_elsewhere": len(followed),
        "control_elsewhere_followed": sum(is_near(error) for error in followed),
        "skipped": dict(skipped),
        "each": [outcome.figures() for outcome in outcomes],
        "seconds": round(perf_counter() - began, 1),
    }


# What is done: physics alone decides, and nothing is drawn.


def choose(cases: int, away: int, intrinsics: Intrinsics) -> tuple[list[Case], Counter[str]]:
    """The first cases that can be examined, of each kind of scene in turn, and why the others cannot."""
    seeds = dict.fromkeys(KINDS, 0)
    chosen, skipped, kinds = list[Case](), Counter[str](), tuple(KINDS)
    while len(chosen) < cases:
        kind = kinds[len(chosen) % len(kinds)]
        if seeds[kind] == HELD_OUT:
            raise ValueError(f"the {HELD_OUT} held-out scenes of {kind} have no more cases than {chosen}: ask for less")
        case = plan(kind, seeds[kind], away, intrinsics)
        seeds[kind] += 1
        if isinstance(case, Case):
            chosen.append(case)
        else:
            skipped[case] += 1
    return chosen, skipped


def plan(kind: str, seed: int, away: int, intrinsics: Intrinsics) -> Case | str:
    """What the player does in this scene, or why it cannot be examined."""
    scene = build(kind, seed)
    begun = place(bare(scene, intrinsics))
    if begun is None:
        return "no place from which to see a creature"
    entity, spawn = begun
    world, actions = bare(replace(scene, spawn=spawn), intrinsics), list[Action]()

    def act(action: Action) -> None:
        nonlocal world
        world = world.advance(action)
        actions.append(action)

    for _ in range(FIRST):
        act(Action(turn=toward(world, bearing(world, entity))))
    if not shows(world, entity):
        return "hidden at first"
    unseen, strolled = 0, 0
    while unseen < away or not within_reach(world, entity):
        if strolled * FRAMES_PER_CHUNK > away + PATIENCE:
            return "hidden or out of reach afterwards" if unseen >= away else "never out of view for so long"
        act(stroll(world, entity, strolled))
        strolled += 1
        unseen = unseen + FRAMES_PER_CHUNK if out_of_view(world, entity) else 0
    for turning in range(1, TURNING + 1):
        act(Action(turn=toward(world, bearing(world, entity))))
        if shows(world, entity):
            return Case(kind, seed, entity, spawn, tuple(actions), unseen, turning)
    return "hidden when looked for"


def bare(scene: Scene, intrinsics: Intrinsics) -> World:
    """A scene's world with nothing known of how it looks."""
    return World.create(
        scene.kind, scene.kind, scene.seed, scene.xml, scene.movers, scene.spawn, intrinsics=intrinsics, seed=scene.seed
    )


def place(world: World) -> tuple[int, tuple[float, float, float]] | None:
    """A creature, and where to stand so as to see it: of all places, the one most in the middle of the reach."""
    model, data = world.physics.posed()
    best, chosen = np.inf, None
    for eye in survey(model, data, world.motion.cameras[-1][:3, 3], SPOTS):
        for entity, roots in world.motion.bodies.items():
            x, y, z = roots[-1, :3, 3] - eye
            off = abs(float(np.hypot(x, y)) - sum(REACH) / 2)
            if off < best and off < (REACH[1] - REACH[0]) / 2 and is_free(world, eye, np.array([x, y, z])):
                best, chosen = off, (entity, (float(eye[0]), float(eye[1]), float(np.arctan2(y, x))))
    return chosen


def is_free(world: World, eye: Array, way: Array) -> bool:
    """Whether nothing that stands still is between the eye and the end of a way."""
    model, data = world.physics.posed()
    hit = mujoco.mj_ray(model, data, eye, way, groups(STILL), True, -1, None)
    return not 0 <= hit < 1  # in lengths of the way


def groups(*wanted: int) -> NDArray[np.uint8]:
    out = np.zeros(mujoco.mjNGROUP, np.uint8)
    out[list(wanted)] = 1
    return out


def way_to(world: World, entity: int) -> Array:
    """(3,) metres from the eye to a creature's root."""
    return world.motion.bodies[entity][-1, :3, 3] - world.motion.cameras[-1][:3, 3]


def bearing(world: World, entity: int) -> float:
    """The yaw at which a creature is straight ahead."""
    x, y, _ = way_to(world, entity)
    return float(np.arctan2(y, x))


def toward(world: World, yaw: float) -> float:
    """The turn of a chunk that looks toward a yaw."""
    off = np.remainder(yaw - yaw_pitch(world.motion.cameras[-1])[0] + np.pi, 2 * np.pi) - np.pi
    return float(np.clip(off, -LOOK, LOOK))


def within_reach(world: World, entity: int) -> bool:
    """Whether it is worth while to turn and look for a creature."""
    way = way_to(world, entity)
    return REACH[0] < np.hypot(*way[:2]) < REACH[1] and is_free(world, world.motion.cameras[-1][:3, 3], way)


def stroll(world: World, entity: int, chunk: int) -> Action:
    """On and back with its back to the creature, looking to the left and to the right."""
    yaw = bearing(world, entity) + np.pi + SWAY * np.sin(2 * np.pi * chunk / 40)
    keys = Keys(0)
    if chunk // STRIDES % 2 == 0:
        keys = Keys.FORWARD if clearance(world) > ROOM else keys
    elif np.hypot(*way_to(world, entity)[:2]) > BEHIND:
        keys = Keys.BACK
    return Action(keys, turn=toward(world, yaw))


def out_of_view(world: World, entity: int) -> bool:
    """Whether nothing of a creature is in any of a chunk's frames, even if walls were of glass."""
    lens = world.motion.intrinsics
    for camera, root in zip(world.motion.cameras, world.motion.bodies[entity]):
        x, _, z = (root[:3, 3] - camera[:3, 3]) @ camera[:3, :3]
        # Signed distances to the planes through the eye and the left and the right edge of the picture.
        left = (x * lens.fx + z * lens.cx) / np.hypot(lens.fx, lens.cx)
        right = (z * (lens.width - lens.cx) - x * lens.fx) / np.hypot(lens.fx, lens.width - lens.cx)
        if min(left, right) > -SPAN:
            return False
    return True


def shows(world: World, entity: int) -> bool:
    """Whether nearly all of a creature is within the last frame, large enough, and most of it is not hidden."""
    lens = world.motion.intrinsics.scaled(64, 36)
    # Three times as wide and as high, so that what is outside the frame shows too.
    wide = Intrinsics(3 * 64, 3 * 36, lens.fx, lens.fy, lens.cx + 64, lens.cy + 36)
    seen, whole = silhouette(world, entity, lens), silhouette(world, entity, wide, (MOVING,))
    inside = whole[36:-36, 64:-64]
    return bool(
        seen.mean() > LEAST and inside.sum() > INSIDE * whole.sum() and (seen & inside).sum() > SHOWN * inside.sum()
    )


def silhouette(world: World, entity: int, lens: Intrinsics, drawn: Sequence[int] = (STILL, MOVING)) -> Mask:
    """The pixels of the chunk's last frame that physics has a creature in, by rays at the geoms of these groups."""
    model, data = world.physics.posed()
    pose, count = world.motion.cameras[-1], lens.width * lens.height
    ways = rays(lens).reshape(count, 3) @ pose[:3, :3].T
    geoms, depths = np.empty(count, np.int32), np.empty(count)
    mujoco.mj_multiRay(
        model, data, pose[:3, 3], ways.ravel(), groups(*drawn), True, -1,
        geoms, depths, None, count, mujoco.mjMAXVAL,
    )  # fmt: skip
    own = [model.body(name).id for name in bodies(world, entity)]
    return ((geoms >= 0) & np.isin(model.geom_bodyid[geoms], own)).reshape(lens.height, lens.width)


def bodies(world: World, entity: int) -> list[str]:
    """The names of all that a creature is made of."""
    mover = next(mover for mover in world.physics.mechanism.movers if mover.entity == entity)
    return [mover.body, *(part.body for part in mover.parts)]


# What is seen.


def take_all(
    cases: Sequence[Case], jobs: int, spots: int, weights: Path, preset: Preset, backend: Backend | None
) -> Iterator[Outcome]:
    """Each case played and examined, in order; a backend that is given plays them all in this process."""
    if backend is not None or jobs == 1:
        engine = Engine(preset, backend or OpenVINO(weights))
        yield from (take(case, engine, spots) for case in cases)
    else:
        with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
            yield from pool.map(partial(take_apart, preset=preset, weights=weights, spots=spots), cases)


def take_apart(case: Case, preset: Preset, weights: Path, spots: int) -> Outcome:
    """A case in a process that may take others after it."""
    return take(case, engine_of(preset, weights), spots)


@cache
def engine_of(preset: Preset, weights: Path) -> Engine:
    return Engine(preset, OpenVINO(weights))


def take(case: Case, engine: Engine, spots: int) -> Outcome:
    """Play a case up to its last chunk, and examine that."""
    scene = replace(build(case.kind, case.seed), spawn=case.spawn)
    world, _ = found(scene, engine.preset, seed=case.seed, spots=spots)
    memories, shown = engine.cache(), list[Frame]()
    for action in case.actions[:-1]:
        world, frames = engine.step(world, action, memories)
        shown.append(frames[-1])
    world = world.advance(case.actions[-1])
    assert shows(world, case.entity), "physics went another way than it was planned to"
    first = {"seen at first": shown[FIRST - 1], "away": shown[-case.turning]}
    return examine(world, case, engine, memories, first)


def examine(world: World, case: Case, engine: Engine, memories: Cache, pictures: dict[str, Frame]) -> Outcome:
    """Where the creature is drawn in the chunk that the world has advanced to, and what the controls say."""
    lens = world.motion.intrinsics
    outline = silhouette(world, case.entity, lens)
    projected = centroid(outline)
    assert projected is not None, "a creature that is in the frame has a silhouette"
    side = ASIDE * lens.width * (1 if projected[0] < lens.cx else -1)
    gone = carry(world, case.entity, GONE)
    aside = carry(world, case.entity, around(world.motion.cameras[-1], lens, projected[0], projected[0] + side))
    drawn, without, another, moved = (
        draw(it, case.actions[-1], engine, memories) for it in (world, gone, gone.fork("another"), aside)
    )
    blob, outline_aside = difference(drawn, without), silhouette(aside, case.entity, lens)
    return Outcome(
        case=case,
        width=lens.width,
        projected=projected,
        found=centroid(blob),
        overlap=float((blob & outline).sum() / (blob | outline).sum()),
        carried=centroid(outline_aside) if outline_aside.mean() > LEAST else None,
        elsewhere=centroid(difference(moved, without)),
        absent=centroid(difference(another, without)),
        pictures=pictures | {"looked at again": drawn, "without it": without, "carried aside": moved},
    )


def draw(world: World, action: Action, engine: Engine, cache: Cache) -> Frame:
    """The last frame of the chunk that a world has advanced to, as the engine makes it."""
    context = recall(world, action, engine, engine.preset)
    latent = engine.sample(context, cache)
    return engine.decode(commit(world, action, latent), context)[1][-1]


def difference(frame: Frame, other: Frame) -> Mask:
    """The largest blob of pixels in which two frames show different things; empty if there is none."""
    apart = np.abs(frame.astype(np.float32) - other).mean(-1) > LEVEL
    blobs: NDArray[np.int64] = label(closing(apart, disk(2)))
    sizes = np.bincount(blobs.ravel())
    sizes[0] = 0
    if sizes.max() < BLOB * apart.size:
        return np.zeros_like(apart)
    return blobs == sizes.argmax()


def centroid(mask: Mask) -> Point | None:
    """The middle of a mask, if there is anything in it; the first pixel's centre is at (0.5, 0.5)."""
    rows, columns = np.nonzero(mask)
    return (float(columns.mean() + 0.5), float(rows.mean() + 0.5)) if len(rows) else None


def around(camera: Array, lens: Intrinsics, column: float, other: float) -> Array:
    """(4, 4) the turn about the eye that carries what is in one column of the picture to another."""
    angle = np.arctan((column - lens.cx) / lens.fx) - np.arctan((other - lens.cx) / lens.fx)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    turn[:3, 3] = camera[:3, 3] - turn[:3, :3] @ camera[:3, 3]
    return turn


def carry(world: World, entity: int, way: Array) -> World:
    """The world with a creature moved by `way` (4, 4), where it is drawn and where physics has it."""
    model, data = world.physics.posed()
    turn = np.empty(4)
    mujoco.mju_mat2Quat(turn, np.ascontiguousarray(way[:3, :3]).ravel())
    for name in bodies(world, entity):
        slot = model.body(name).mocapid[0]
        data.mocap_pos[slot] = way[:3, :3] @ data.mocap_pos[slot] + way[:3, 3]
        mujoco.mju_mulQuat(data.mocap_quat[slot], turn, data.mocap_quat[slot].copy())
    state = np.empty_like(world.physics.state)
    mujoco.mj_getState(model, data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
    roots = {**world.motion.bodies, entity: way @ world.motion.bodies[entity]}
    return replace(world, physics=replace(world.physics, state=state), motion=replace(world.motion, bodies=roots))


def contact_sheet(outcomes: Sequence[Outcome]) -> Image.Image:
    """A row for each case. Circles: green where it must be, red where it was found."""
    names = tuple(outcomes[0].pictures)
    height, width = outcomes[0].pictures[names[0]].shape[:2]
    sheet = Image.new("RGB", (len(names) * (width + 4) - 4, 16 + len(outcomes) * (height + 4) - 4), "white")
    pen = ImageDraw.Draw(sheet)
    for row, outcome in enumerate(outcomes):
        rings = {
            "looked at again": (outcome.projected, outcome.found),
            "without it": (outcome.projected, outcome.absent),
            "carried aside": (outcome.carried, outcome.elsewhere),
        }
        for column, name in enumerate(names):
            x, y = column * (width + 4), 16 + row * (height + 4)
            pen.text((x + 2, 2), name, fill="black")
            sheet.paste(Image.fromarray(outcome.pictures[name]), (x, y))
            for point, radius, colour in zip(rings.get(name, ()), (NEAR * width, 4), ("#30ff50", "#ff3030")):
                if point is not None:
                    pen.circle((x + point[0], y + point[1]), radius, outline=colour, width=2)
        case = outcome.case
        pen.text((2, 18 + row * (height + 4)), f"{case.kind} {case.seed}", fill="white")
    return sheet
