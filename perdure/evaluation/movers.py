"""Movers: turn away from a creature for a thousand frames, look again, and see whether it is where it must be.

    perdure eval movers --cases 50 --json

A case is an outing in a held-out scene (`outing.py`): a creature is seen, is out of every frame while it wanders on,
and is looked for where it is by then. The first chunk that ends with nearly all of it in the frame is examined.

Where it must be: the centroid of its silhouette in physics, by a ray from the eye through every pixel, what hides
it counted. Where it is: read off the pixels alone. The chunk is drawn again from the same world, noise and memories,
but with the creature gone from view and physics; the largest blob in which the two frames differ is the creature as
drawn, its centroid the place. That such a blob tells of the creature and of nothing else is put to the test in each
case by two controls, examined in the same way:

- absent: the creature gone from both frames, which differ by their noise. What is found, if anything, is not there.
- elsewhere: the creature carried round the eye to another part of the picture. It should be found there instead.

Which cases are examined is settled by physics alone, before anything is drawn: where the creature is hidden when the
player looks for it, say, another seed takes the place of the skipped one.

Shapes: T frames a chunk, H W frame size.
"""

import sys
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

from perdure.camera import Array, Intrinsics
from perdure.data.founding import SPOTS, found
from perdure.data.scenes import build
from perdure.evaluation.outing import FIRST, HELD_OUT, LEAST, Mask, Outing, bodies, choose, shows, silhouette
from perdure.memory.commit import commit
from perdure.memory.recall import recall
from perdure.models.cache import Cache
from perdure.presets.nano import Preset, nano
from perdure.runtime.backends import WEIGHTS, Backend, OpenVINO
from perdure.runtime.engine import Engine
from perdure.world.action import Action
from perdure.world.state import World

Frame = NDArray[np.uint8]  # (H, W, 3)
Point = tuple[float, float]  # column and row, in pixels

NEAR = 0.05  # of the picture's width: how far from where it must be it may be found
LEVEL = 24  # of 255, mean of the colours: frames that differ by more show different things
BLOB = 1 / 512  # of the picture: less than this is nothing
ASIDE = 0.3  # of the picture's width by which a creature is carried aside
GONE = np.eye(4)
GONE[2, 3] = -1000.0  # metres: below all that can be seen


@dataclass(frozen=True, eq=False)
class Outcome:
    outing: Outing
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
        outing = self.outing
        points = {"projected": self.projected, "found": self.found, "elsewhere": self.elsewhere, "absent": self.absent}
        return {
            "kind": outing.kind,
            "seed": outing.seed,
            "entity": outing.entity,
            "away": outing.away,
            "error": rounded(self.error),
            "overlap": rounded(self.overlap),
            "control_error": rounded(self.apart(self.elsewhere, self.carried)),
            **{name: point and [round(x, 1) for x in point] for name, point in points.items()},
        }

    def line(self) -> str:
        error = "not found" if self.error is None else f"off by {100 * self.error:.1f}% of the width"
        return f"{self.outing.kind} {self.outing.seed}: {error}, {self.false_hits} false hits"


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
    preset, weights = preset or nano(), weights or WEIGHTS
    chosen, skipped = choose(cases, away, Intrinsics.from_fov(preset.width, preset.height, preset.horizontal_degrees))
    outcomes = list[Outcome]()
    for outcome in take_all(chosen, jobs, spots, weights, preset, backend):
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
        "fingerprint": (backend or OpenVINO(weights)).fingerprint(),
        "seconds": round(perf_counter() - began, 1),
    }


def take_all(
    outings: Sequence[Outing], jobs: int, spots: int, weights: Path, preset: Preset, backend: Backend | None
) -> Iterator[Outcome]:
    """Each played and examined, in order; a backend that is given plays them all in this process."""
    if backend is not None or jobs == 1:
        engine = Engine(preset, backend or OpenVINO(weights))
        yield from (take(outing, engine, spots) for outing in outings)
    else:
        with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
            yield from pool.map(partial(take_apart, preset=preset, weights=weights, spots=spots), outings)


def take_apart(outing: Outing, preset: Preset, weights: Path, spots: int) -> Outcome:
    """The same in a process that may take others after it."""
    return take(outing, engine_of(preset, weights), spots)


@cache
def engine_of(preset: Preset, weights: Path) -> Engine:
    return Engine(preset, OpenVINO(weights))


def take(outing: Outing, engine: Engine, spots: int) -> Outcome:
    """Play an outing up to its last chunk, and examine that."""
    scene = replace(build(outing.kind, outing.seed), spawn=outing.spawn)
    world, _ = found(scene, engine.preset, seed=outing.seed, spots=spots)
    memories, shown = engine.cache(), list[Frame]()
    for action in outing.actions[:-1]:
        world, frames = engine.step(world, action, memories)
        shown.append(frames[-1])
    world = world.advance(outing.actions[-1])
    assert shows(world, outing.entity), "physics went another way than it was planned to"
    first = {"seen at first": shown[FIRST - 1], "away": shown[-outing.turning]}
    return examine(world, outing, engine, memories, first)


def examine(world: World, outing: Outing, engine: Engine, memories: Cache, pictures: dict[str, Frame]) -> Outcome:
    """Where the creature is drawn in the chunk that the world has advanced to, and what the controls say."""
    lens = world.motion.intrinsics
    outline = silhouette(world, outing.entity, lens)
    projected = centroid(outline)
    assert projected is not None, "a creature that is in the frame has a silhouette"
    side = ASIDE * lens.width * (1 if projected[0] < lens.cx else -1)
    gone = carry(world, outing.entity, GONE)
    aside = carry(world, outing.entity, around(world.motion.cameras[-1], lens, projected[0], projected[0] + side))
    drawn, without, another, moved = (
        draw(it, outing.actions[-1], engine, memories) for it in (world, gone, gone.fork("another"), aside)
    )
    blob, outline_aside = difference(drawn, without), silhouette(aside, outing.entity, lens)
    return Outcome(
        outing=outing,
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
        outing = outcome.outing
        pen.text((2, 18 + row * (height + 4)), f"{outing.kind} {outing.seed}", fill="white")
    return sheet
