"""The troupe: all creatures of a world, moved on by a tick together. What they feel comes from MuJoCo; what they do to
one another, to things and to doors is done here, once everyone has moved, so that nobody comes first.

Notes tell of it: `hit`, `block` and `death` with who struck and whom, `kick` for things, `act` for hands.
"""

import math
from collections.abc import Sequence

import mujoco
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from perdure.world import acting, hands, limbs
from perdure.world.action import Word
from perdure.world.deed import Act, Stroke
from perdure.world.history import Note
from perdure.world.measure import radius
from perdure.world.mechanism import THING, TICK, WORLD, Compiled, Seat, standing
from perdure.world.mover import BEARINGS, LEDGE, PERSON, RAYS, REACH, Gait, Mover, Point, felt_of, wander

Array = NDArray[np.float64]
Movers = tuple[Mover, ...]
Gaits = tuple[Gait, ...]

TALL = 1.7  # metres: the player, to strokes
KICK = 30.0  # newton seconds that a stroke gives a thing for each metre of its push
LOFT = 0.35  # of a kick's way goes up, and of a throw's
ARM = 0.8  # metres beyond its girth that a creature can take hold of something
HANDY = ("grab", "drop", "throw", "open")
"""Names of deeds that do something to things."""
NEAR = REACH + PERSON  # metres beyond which nobody is felt
AHEAD = math.radians(100.0)  # to either side, where what it takes hold of may be
_ALONG = np.linspace(0.1, REACH, 16)  # metres along a ray at which the ground is felt for

_STANDS, _WALLS = np.zeros(mujoco.mjNGROUP, np.uint8), np.zeros(mujoco.mjNGROUP, np.uint8)
_STANDS[[WORLD, THING]] = _WALLS[WORLD] = 1


def told(movers: Movers, gaits: Gaits, words: Sequence[Word]) -> tuple[Gaits, list[Note]]:
    """Those that are spoken to heed it, if they have deeds at all; refusals are noted."""
    if not words:
        return gaits, []
    out, notes = list(gaits), list[Note]()
    order = {mover.entity: i for i, mover in enumerate(movers)}
    for word in words:
        i = order.get(word.entity, -1)
        if i >= 0 and movers[i].deeds:
            out[i], why = acting.heed(movers[i], out[i], word.text)
            if why:
                said = {"words": word.text}
                notes.append(Note("command", "player", (word.entity,), said, verdict=f"refused: {why}"))
    return tuple(out), notes


def moved(
    compiled: Compiled, data: mujoco.MjData, movers: Movers, gaits: Gaits, seed: int, tick: int, held: int
) -> tuple[Gaits, list[Note]]:
    """Everyone a tick later but the player's own body, which goes where the player went: `led`. `held` is what the
    player holds."""
    player = float(data.xpos[compiled.player, 0]), float(data.xpos[compiled.player, 1])
    points: list[Point] = [(gait.x, gait.y) for gait in gaits]
    floors, here = [_floor(compiled, data, mover) for mover in movers], _footing(compiled, data)
    out: list[Gait] = []
    for i, (mover, gait) in enumerate(zip(movers, gaits)):
        if gait.act is not None and gait.act.held >= 0 and not _holds(compiled, gait.act.held, held):
            gait = replace(gait, act=replace(gait.act, held=-1))
        if mover.entity == 0:
            out.append(gait)
            continue
        # Nobody minds those on other levels.
        near = [j for j, floor in enumerate(floors) if j != i and abs(floor - floors[i]) < TALL]
        one = [player] if abs(here - floors[i]) < TALL else []
        others = [*one, *(points[j] for j in near)]
        act = gait.act
        if act is None:
            out.append(wander(mover, gait, felt(compiled, data, mover, gait), others, seed, tick, TICK))
            continue
        marks = [*one, *(points[j] for j in near if (a := gaits[j].act) and a.alive)]
        sense = _Sense(compiled, data, mover, gait, others)
        out.append(acting.live(mover, compiled.rigs[mover.entity], gait, sense, marks, seed, tick, TICK))
    if not compiled.rigs:
        return tuple(out), []
    notes = _handle(compiled, data, movers, gaits, out, held)
    notes += _strike(compiled, data, movers, gaits, out, player, held)
    return tuple(out), notes


def _holds(compiled: Compiled, entity: int, held: int) -> bool:
    """Whether what was taken can still be held: it may be gone, fixed where it is, or in the player's hands."""
    seat = compiled.seats.get(entity)
    return entity != held and seat is not None and seat.kind == "free"


def led(
    compiled: Compiled, data: mujoco.MjData, movers: Movers, gaits: Gaits, heading: float, held: int
) -> tuple[Gaits, list[Note]]:
    """The player's own body, where the player has gone in a tick; what it strikes and what it does with its hands."""
    player = float(data.xpos[compiled.player, 0]), float(data.xpos[compiled.player, 1])
    mine = [i for i, mover in enumerate(movers) if mover.entity == 0]
    out = list(gaits)
    for i in mine:
        out[i] = acting.led(movers[i], gaits[i], player, heading, TICK)
    notes = _handle(compiled, data, movers, gaits, out, held, mine)
    notes += _strike(compiled, data, movers, gaits, out, player, held, mine)
    return tuple(out), notes


def carry(compiled: Compiled, data: mujoco.MjData, movers: Movers, before: Gaits, gaits: Gaits) -> "list[Load]":
    """What creatures hold as a tick begins, and where it should be."""
    out: list[Load] = []
    for mover, old, gait in zip(movers, before, gaits):
        if gait.act is None or gait.act.held < 0:
            continue
        rig, seat = compiled.rigs[mover.entity], compiled.seats[gait.act.held]
        target = limbs.grip(rig, gait)
        ahead = radius(compiled, seat) + 0.02
        target += ahead * np.array((math.cos(gait.heading), math.sin(gait.heading), 0.0))
        floor = _floor(compiled, data, mover)
        if mover.entity == 0:  # who is posed as if it stood at 0, and then lifted
            target[2] += floor
        target[2] = max(target[2], floor + ahead)
        velocity = np.array(((gait.x - old.x) / TICK, (gait.y - old.y) / TICK, 0.0))
        out.append(Load(seat, target, velocity, gait.heading))
    return out


class Load:
    """A thing that a creature holds, where it should be and how that moves, for a tick."""

    def __init__(self, seat: Seat, target: Array, velocity: Array, yaw: float) -> None:
        self.seat, self.target, self.velocity, self.yaw = seat, target, velocity, yaw

    def pull(self, compiled: Compiled, data: mujoco.MjData) -> None:
        """For one substep; a hold that is out of reach waits."""
        if not hands.pull(compiled, data, self.seat, self.target, self.velocity, self.yaw):
            self.let_go(data)

    def let_go(self, data: mujoco.MjData) -> None:
        data.qfrc_applied[self.seat.dofs] = 0.0


def felt(compiled: Compiled, data: mujoco.MjData, mover: Mover, gait: Gait, without: int = -1) -> Array:
    """(RAYS,) how far off the next wall or thing is, or the edge of its level, at BEARINGS from the heading."""
    low = np.array([gait.x, gait.y, mover.ground + min(0.35, mover.hover)])  # whatever stands, stands on the floor
    ways = np.zeros((RAYS, 3))
    ways[:, 0], ways[:, 1] = np.cos(gait.heading + BEARINGS), np.sin(gait.heading + BEARINGS)
    geoms, far = np.empty(RAYS, np.int32), np.empty(RAYS)
    mujoco.mj_multiRay(
        compiled.sight, data, low, ways.ravel(), _STANDS, True, without, geoms, far, None, RAYS, 2 * REACH
    )
    free = np.where(geoms >= 0, np.minimum(far, REACH), REACH)
    if compiled.rise is None and mover.ground == 0.0:
        return free  # all is even
    points = low[:2] + ways[:, None, :2] * _ALONG[:, None]
    level = compiled.terrain.level(points.reshape(-1, 2), mover.ground, LEDGE).reshape(RAYS, -1)
    return np.minimum(free, np.where(level.all(1), REACH, _ALONG[np.argmin(level, 1)]))


def _footing(compiled: Compiled, data: mujoco.MjData) -> float:
    """How high the player stands, as everyone else does where all is even."""
    return 0.0 if compiled.rise is None else standing(compiled, data)


def _floor(compiled: Compiled, data: mujoco.MjData, mover: Mover) -> float:
    """How high the floor is that a creature stands on."""
    return mover.ground if mover.entity else _footing(compiled, data)


class _Sense:
    """What a creature feels at a tick, asked for once or not at all."""

    def __init__(
        self, compiled: Compiled, data: mujoco.MjData, mover: Mover, gait: Gait, others: Sequence[Point]
    ) -> None:
        self._at = compiled, data, mover, gait
        self._others = others
        self._felt: tuple[Array, Array] | None = None

    def __call__(self) -> tuple[Array, Array]:
        if self._felt is None:
            compiled, data, mover, gait = self._at
            held = gait.act.held if gait.act else -1
            walls = felt(compiled, data, mover, gait, compiled.seats[held].body if held >= 0 else -1)
            near = [p for p in self._others if abs(p[0] - gait.x) < NEAR and abs(p[1] - gait.y) < NEAR]
            self._felt = walls, np.minimum(walls, felt_of(near, gait)) if near else walls
        return self._felt


# What they do to others


def _strike(
    compiled: Compiled,
    data: mujoco.MjData,
    movers: Movers,
    before: Gaits,
    gaits: list[Gait],
    player: Point,
    held: int,
    those: Sequence[int] | None = None,
) -> list[Note]:
    """Strokes meet whom they meet: all as everyone stands now, then all have their effect. `those` are who strike, by
    number; all but the player's own body, unless said."""
    blows: list[tuple[int, int, Stroke, str]] = []  # who, whom (-1: the player), how, by which deed
    notes: list[Note] = []
    floors, feet = [_floor(compiled, data, mover) for mover in movers], _footing(compiled, data)
    bare = compiled.avatar < 0  # a player without a body of its own can be struck, too
    for i, (mover, old, gait) in enumerate(zip(movers, before, gaits)):
        if mover.entity == 0 if those is None else i not in those:
            continue
        floor = floors[i]
        for n, stroke in acting.strokes(mover, old, gait):
            act = gait.act
            assert act is not None
            name = mover.deeds[act.deed].name
            done = {whom for number, whom in act.struck if number == n}
            met: list[int] = []
            for j, (other, there) in enumerate(zip(movers, gaits)):
                if j == i or other.entity in done or there.act is None or not there.act.alive:
                    continue
                up, at = acting.lifted(compiled.rigs[other.entity], there), (there.x, there.y)
                up += floors[j] - floor
                within = acting.within(stroke, gait, at, other.girth, up, up + other.height)
                if within and _clear(compiled, data, stroke, gait, at, floor):
                    blows.append((i, j, stroke, name))
                    met.append(other.entity)
            up = feet - floor
            within = bare and 0 not in done and acting.within(stroke, gait, player, PERSON, up, up + TALL)
            if within and _clear(compiled, data, stroke, gait, player, floor):
                blows.append((i, -1, stroke, name))
                met.append(0)
            for seat in compiled.things:
                loose = seat.kind == "free" and seat.entity not in (held, act.held)
                if loose and seat.entity not in done and _kicked(compiled, data, stroke, gait, seat, floor):
                    notes.append(Note("kick", "creature", (mover.entity, seat.entity), {"deed": name}))
                    met.append(seat.entity)
            if met:
                gait = replace(gait, act=replace(act, struck=(*act.struck, *((n, whom) for whom in met))))
                gaits[i] = gait
    places = [(gait.x, gait.y) for gait in gaits]
    for i, j, stroke, name in blows:
        who = movers[i].entity
        if j < 0:
            notes.append(Note("hit", "creature", (who, 0), {"deed": name, "harm": stroke.harm}))
            continue
        now = gaits[j].act
        if now is None or not now.alive:
            continue  # another was quicker, in the same tick
        gaits[j], what = acting.suffer(movers[j], gaits[j], stroke, places[i])
        after = gaits[j].act
        assert after is not None
        harm = 0.0 if what == "block" else min(stroke.harm, now.health)
        said = {"deed": name, "harm": harm, "health": after.health}
        notes.append(Note(what, "creature", (who, movers[j].entity), said))
    return notes


def _clear(compiled: Compiled, data: mujoco.MjData, stroke: Stroke, gait: Gait, at: Point, floor: float) -> bool:
    """Whether no wall is between a creature and whom it would strike."""
    far = math.dist(at, (gait.x, gait.y))
    if far < 1e-6:
        return True
    height = floor + min(1.5, max(0.2, 0.5 * (stroke.low + stroke.high)))
    way = np.array(((at[0] - gait.x) / far, (at[1] - gait.y) / far, 0.0))
    geom = np.full(1, -1, np.int32)
    met = mujoco.mj_ray(compiled.sight, data, np.array((gait.x, gait.y, height)), way, _WALLS, True, -1, geom)
    return geom[0] < 0 or met >= far


def _kicked(compiled: Compiled, data: mujoco.MjData, stroke: Stroke, gait: Gait, seat: Seat, floor: float) -> bool:
    """Sends off a thing that is in a stroke's way."""
    x, y, z = (float(value) for value in data.qpos[seat.qpos][:3])
    if math.dist((x, y), (gait.x, gait.y)) > stroke.reach + 2.0:
        return False
    wide = radius(compiled, seat)
    if not acting.within(stroke, gait, (x, y), wide, z - wide - floor, z + wide - floor):
        return False
    if not _clear(compiled, data, stroke, gait, (x, y), floor):
        return False
    out = np.array((x - gait.x, y - gait.y, 0.0))
    out /= float(np.linalg.norm(out)) or 1.0
    out[2] = LOFT
    hands.fling(compiled, data, seat, out / math.hypot(1.0, LOFT), KICK * stroke.push / max(seat.mass, 0.1))
    return True


# What they do to things


def _handle(
    compiled: Compiled,
    data: mujoco.MjData,
    movers: Movers,
    before: Gaits,
    gaits: list[Gait],
    held: int,
    those: Sequence[int] | None = None,
) -> list[Note]:
    """Deeds that take up, put down, throw or open come to it at their own moment."""
    notes: list[Note] = []
    for i, (mover, old, gait) in enumerate(zip(movers, before, gaits)):
        act = gait.act
        if mover.entity == 0 if those is None else i not in those:
            continue
        if act is None or act.deed < 0 or not act.alive or act.stagger:
            continue
        deed = mover.deeds[act.deed]
        begun = old.act.clock if old.act and old.act.deed == act.deed and old.act.ran < act.ran else -1.0
        if deed.name not in HANDY or not begun < deed.when <= act.clock:
            continue
        taken = {g.act.held for g in gaits if g.act and g.act.held >= 0} | {held}
        outcome = _done(compiled, data, mover, gait, act, deed.name, taken)
        gaits[i] = replace(gait, act=replace(act, held=outcome.held))
        targets = (mover.entity, outcome.entity) if outcome.entity >= 0 else (mover.entity,)
        verdict = f"refused: {outcome.refused}" if outcome.refused else "applied"
        notes.append(Note("act", "creature", targets, {"hand": outcome.did}, verdict=verdict))
    return notes


def _done(
    compiled: Compiled, data: mujoco.MjData, mover: Mover, gait: Gait, act: Act, name: str, taken: set[int]
) -> hands.Outcome:
    """What comes of a creature's hands, as they do what this deed is for."""
    if name == "open":
        doors = [seat for seat in compiled.things if seat.aim >= 0]
        door = _nearest(compiled, data, mover, gait, doors)
        if door is None:
            return hands.Outcome("open", held=act.held, refused="no door within reach")
        eye = np.eye(4)
        eye[:2, 3] = gait.x, gait.y
        return hands.swing(compiled, data, door, eye, act.held)
    if name == "grab":
        if act.held >= 0:
            return hands.Outcome("take", held=act.held, refused=f"it holds entity {act.held} already")
        things = [seat for seat in compiled.things if seat.kind == "free" and seat.entity not in taken]
        thing = _nearest(compiled, data, mover, gait, [seat for seat in things if seat.mass <= hands.CARRY])
        if thing is None:
            return hands.Outcome("take", refused="nothing within reach that can be carried")
        return hands.Outcome("take", thing.entity, thing.entity)
    did = "place" if name == "drop" else "throw"
    if act.held < 0:
        return hands.Outcome(did, refused="nothing is held")
    seat = compiled.seats[act.held]
    if name == "throw":
        way = np.array((math.cos(gait.heading), math.sin(gait.heading), LOFT)) / math.hypot(1.0, LOFT)
        hands.fling(compiled, data, seat, way, math.inf)
    else:
        data.qvel[seat.dofs] = 0.0
    return hands.Outcome(did, act.held, -1)


def _nearest(compiled: Compiled, data: mujoco.MjData, mover: Mover, gait: Gait, seats: Sequence[Seat]) -> Seat | None:
    """The nearest of these that it can take hold of."""
    best, found, floor = mover.girth + ARM, None, _floor(compiled, data, mover)
    for seat in seats:
        x, y, z = (float(value) for value in data.xpos[seat.body])
        wide = radius(compiled, seat)
        far = math.dist((x, y), (gait.x, gait.y))
        off = abs(math.remainder(math.atan2(y - gait.y, x - gait.x) - gait.heading, 2 * math.pi))
        if far - wide < best and off <= AHEAD and z - wide <= mover.height + 0.3 + floor:
            best, found = far - wide, seat
    return found
