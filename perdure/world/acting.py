"""Acting: how a creature that has deeds lives through a tick. It does what it was asked to, and wanders else.

Pure functions of its gait, of what it feels about it and of who else is there. What is forced upon it comes first:
death, then stagger; then its command, deed after deed; then, for a moment, it waits for more; then it wanders.
A creature never goes into what it feels ahead, whatever its deed would have it do.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from perdure.world.command import known, understood
from perdure.world.deed import Act, Condition, Deed, Stroke, Vitals
from perdure.world.limbs import BLEND, Rig, borne
from perdure.world.mover import BEARINGS, CLEARANCE, HASTE, REACH, TURNING, Gait, Mover, Point, fit, wander, way

Array = NDArray[np.float64]
Feel = Callable[[], tuple[Array, Array]]
"""What it feels about it when it has to: (RAYS,) metres to what stands there, at BEARINGS from the heading; and the
same with others, too, in the way."""

CHUNK = 1 / 6  # seconds that a command holds
LINGER = 0.75  # seconds more that what loops goes on, or that it stands and waits, once a command has been said
SPELL = 2.0  # seconds that what loops goes on where a command has more to follow
DAZED = 0.45  # seconds of stagger of a creature that has no deed for it
BRAKE = 8.0  # metres a second each second, to come to a stand
DYING = 8.0  # a second: how fast a push dies away
AIMED = 2.0  # times the reach of a stroke within which it is aimed at someone
MARGIN = 0.2  # metres beyond its own girth that a creature keeps from what is there
GUARDED = math.radians(75.0)  # to either side of ahead, from which a guard keeps strokes off
SHOULDER = 0.05  # metres more than its girth that a creature needs on each side of its way


def heed(mover: Mover, gait: Gait, text: str) -> tuple[Gait, str]:
    """A creature that was told something, and why it does not obey; "" where it does."""
    act = gait.act
    if act is None:
        return gait, f"{mover.kind or mover.body} heeds no words"
    if not act.alive:
        return gait, f"the {mover.kind or mover.body} is dead"
    order = understood(mover.deeds, text)
    if not order:
        return gait, f"the {mover.kind or mover.body} knows {known(mover.deeds) or 'nothing'}"
    act = replace(act, asked=CHUNK + LINGER)
    done = act.step + 1 == len(order) and act.deed == order[-1]
    if order != act.order or (done and _over(mover, act)):
        act = replace(act, order=order, step=0)
        if not act.stagger:
            act = _begin(act, order[0])
    return replace(gait, act=act), ""


def condition(mover: Mover, act: Act) -> Condition:
    name = mover.deeds[act.deed].name if act.deed >= 0 else ""
    commanded = act.alive and not act.stagger and bool(act.order)
    return Condition(name, act.clock, act.health, act.stagger > 0, act.alive, commanded, act.held)


def restored(mover: Mover, gait: Gait, vitals: Vitals) -> Gait:
    """A creature of this health; who is given some again rises, and who is left none dies."""
    act = gait.act
    if act is None:
        raise ValueError(f"{mover.kind or mover.body} (entity {mover.entity}) has no deeds, and so no health")
    if vitals.act is not None:
        return fit(mover, replace(gait, act=vitals.act))
    was, act = act.alive, replace(act, health=vitals.health)
    if was and not act.alive:
        act = _begin(replace(act, order=(), step=0, asked=0.0, stagger=0.0, held=-1), death(mover))
    elif act.alive and not was:
        act = _begin(act, number(mover, "idle"))
    return replace(gait, act=act)


def live(
    mover: Mover, rig: Rig, gait: Gait, feel: Feel, others: Sequence[Point], seed: int, tick: int, dt: float
) -> Gait:
    """The gait of a creature that has deeds, one tick later; whom it strikes and what it takes up is told elsewhere."""
    act = gait.act
    assert act is not None
    shove, act = act.shove, _passed(mover, act, dt)
    forced = _forced(mover, act)
    if forced is None and act.asked > 0:
        forced = number(mover, "idle")
    if forced is None:
        gait = _wander(mover, replace(gait, act=act), feel, seed, tick, dt)
    else:
        gait = _go_on(mover, rig, replace(gait, act=_doing(act, forced)), feel, others, dt)
    if shove != (0.0, 0.0):
        gait = _shifted(mover, gait, shove[0] * dt, shove[1] * dt, feel)
    return gait


def led(mover: Mover, gait: Gait, at: Point, heading: float, dt: float) -> Gait:
    """A creature whom another leads, as the player its own body: it is where that one is. It does what it was told,
    as far as that goes on the spot; else what follows from how it is led: idle, walk, run, turn."""
    act = gait.act
    assert act is not None
    act = _passed(mover, act, dt)
    dx, dy = at[0] - gait.x, at[1] - gait.y
    far, turned = math.hypot(dx, dy), math.remainder(heading - gait.heading, 2 * math.pi)
    deed = _forced(mover, act)
    if deed is None:
        deed = _gone(mover, far / dt, turned / dt)
    act = _doing(act, deed)
    clock = act.clock
    if deed >= 0:
        told = mover.deeds[deed]
        back = dx * math.cos(heading) + dy * math.sin(heading) < -1e-9
        share = math.copysign(far, -1.0 if back else 1.0) / abs(told.pace) if told.pace else dt
        clock += share / told.seconds
        clock = clock % 1.0 if told.loops else min(1.0, clock)
    struck = act.struck if clock >= act.clock else ()
    act = replace(act, clock=clock, ran=act.ran + dt, struck=struck, shove=(0.0, 0.0))
    strides = gait.strides + far / mover.stride
    return replace(gait, x=at[0], y=at[1], heading=heading, strides=strides, pace=far / dt, act=act)


def joined(gait: Gait, at: Point, heading: float) -> Gait:
    """Put where the one is who leads it, without having gone there."""
    return replace(gait, x=at[0], y=at[1], heading=heading, pace=0.0)


def _gone(mover: Mover, pace: float, turning: float) -> int:
    """The deed that goes with such a pace and such a turning."""
    idle, walk, run = (number(mover, name) for name in ("idle", "walk", "run"))
    if pace > 0.05:
        fast = run >= 0 and pace > 0.5 * (mover.deeds[run].pace + (mover.deeds[walk].pace if walk >= 0 else 0.0))
        return run if fast else walk
    if abs(turning) > 0.2:
        return number(mover, "turn left" if turning > 0 else "turn right", idle)
    return idle


def _passed(mover: Mover, act: Act, dt: float) -> Act:
    """A tick later, and at the deed of its order that then comes."""
    act = replace(
        act,
        blend=max(0.0, act.blend - dt),
        asked=max(0.0, act.asked - dt),
        stagger=max(0.0, act.stagger - dt) if act.alive else 0.0,
        shove=_fading(act.shove, dt),
    )
    return _next(mover, act) if act.order and act.alive and not act.stagger else act


def _forced(mover: Mover, act: Act) -> int | None:
    """The deed that it cannot but do: what befell it, or what it was told; None where it is free."""
    if not act.alive:
        return death(mover)
    if act.stagger > 0:
        return number(mover, "hit", number(mover, "idle"))
    return act.order[act.step] if act.order else None


def number(mover: Mover, name: str, other: int = -1) -> int:
    """Of the deed of this name; `other` where there is none."""
    for i, deed in enumerate(mover.deeds):
        if deed.name == name:
            return i
    return other


def death(mover: Mover) -> int:
    return number(mover, "die", number(mover, "fall"))


def _next(mover: Mover, act: Act) -> Act:
    """At the deed of its order that comes now; without an order once all is done."""
    if act.deed != act.order[act.step] or not _over(mover, act):
        return act
    if act.step + 1 == len(act.order):
        return replace(act, order=(), step=0)
    act = replace(act, step=act.step + 1)
    return _begin(act, act.order[act.step])


def _over(mover: Mover, act: Act) -> bool:
    """Whether the deed of its order that it is at has come to its end."""
    deed, last = mover.deeds[act.order[act.step]], act.step + 1 == len(act.order)
    if deed.loops:
        return act.asked <= 0 if last else act.ran >= max(SPELL, deed.seconds)
    return act.clock >= 1 and not (deed.holds and last)


def _doing(act: Act, deed: int) -> Act:
    return act if act.deed == deed else _begin(act, deed)


def _begin(act: Act, deed: int) -> Act:
    """At the start of a deed, out of the pose of the one before."""
    return replace(act, deed=deed, clock=0.0, ran=0.0, struck=(), was=act.deed, was_clock=act.clock, blend=BLEND)


def _go_on(mover: Mover, rig: Rig, gait: Gait, feel: Feel, others: Sequence[Point], dt: float) -> Gait:
    """On with the present deed, and where it takes the creature."""
    act = gait.act
    assert act is not None
    if act.deed < 0:
        return _still(mover, replace(gait, act=replace(act, ran=act.ran + dt)), feel, dt)
    deed = mover.deeds[act.deed]
    if deed.loops:
        return _cycle(mover, rig, gait, act, deed, feel, dt)
    if act.clock >= 1:
        return replace(gait, pace=0.0)
    begun, clock = act.clock, min(1.0, act.clock + dt / deed.seconds)
    heading = gait.heading
    if deed.strokes and clock < deed.strokes[0].start:
        heading += _aim(deed.strokes[0], gait, others, dt)
    gait = replace(gait, heading=heading, pace=0.0, act=replace(act, clock=clock, ran=act.ran + dt))
    return _carried(mover, rig, gait, act.deed, begun, clock, feel)


def _aim(stroke: Stroke, gait: Gait, others: Sequence[Point], dt: float) -> float:
    """Radians by which it turns, before it strikes, to the nearest whom it could reach with a step or two."""
    near = min(others, key=lambda other: math.dist(other, (gait.x, gait.y)), default=None)
    if near is None or math.dist(near, (gait.x, gait.y)) > AIMED * stroke.reach:
        return 0.0
    off = math.remainder(math.atan2(near[1] - gait.y, near[0] - gait.x) - gait.heading, 2 * math.pi)
    return max(-TURNING * dt, min(TURNING * dt, off)) if abs(off) < math.pi / 2 else 0.0


def _cycle(mover: Mover, rig: Rig, gait: Gait, act: Act, deed: Deed, feel: Feel, dt: float) -> Gait:
    """On with a deed that loops. One that goes somewhere turns aside before what is in its way, and its clock follows
    the ground that it covers, so that feet do not slide."""
    act = replace(act, ran=act.ran + dt)
    if not deed.pace:
        clock = act.clock + dt / deed.seconds
        heading = math.remainder(gait.heading + deed.turn * dt, 2 * math.pi)
        struck = () if clock >= 1 else act.struck
        act, begun = replace(act, clock=clock % 1.0, struck=struck), act.clock
        gait = replace(_still(mover, gait, feel, dt), heading=heading, act=act)
        return _carried(mover, rig, gait, act.deed, begun, clock, feel) if deed.root else gait
    (walls, felt), ahead = feel(), 0.0 if deed.pace > 0 else math.pi
    turn = 0.0 if deed.turn else way(0.0, free(mover, walls, np.asarray(ahead + BEARINGS, np.float64)))
    turned = deed.turn * dt + max(-TURNING, min(TURNING, 3.0 * turn)) * dt
    room = max(0.0, float(free(mover, felt, np.array([ahead]))[0]) - mover.girth - MARGIN)
    wish = abs(deed.pace) * min(1.0, 2.0 * room) * max(0.15, math.cos(turn))
    pace = min(gait.pace + max(-BRAKE * dt, min(HASTE * dt, wish - gait.pace)), room / dt)
    heading = gait.heading + turned
    on = math.copysign(pace, deed.pace) * dt
    clock = act.clock + abs(on) / (abs(deed.pace) * deed.seconds)
    gait = replace(
        gait,
        x=gait.x + on * math.cos(heading),
        y=gait.y + on * math.sin(heading),
        heading=math.remainder(heading, 2 * math.pi),
        strides=gait.strides + abs(on) / mover.stride,
        pace=pace,
        act=replace(act, clock=clock % 1.0, struck=() if clock >= 1 else act.struck),
    )
    return _carried(mover, rig, gait, act.deed, act.clock, clock, feel) if deed.root else gait


def _wander(mover: Mover, gait: Gait, feel: Feel, seed: int, tick: int, dt: float) -> Gait:
    """Left to itself, as creatures without deeds are; the legs by its walk, if it has one."""
    before = gait
    wide = max(0.0, mover.girth + MARGIN - CLEARANCE)  # more than what wandering keeps clear of
    gait = wander(mover, gait, np.maximum(0.0, feel()[1] - wide), (), seed, tick, dt)
    act = gait.act
    assert act is not None
    walk, idle = number(mover, "walk"), number(mover, "idle")
    if walk < 0 and idle < 0:
        return replace(gait, act=_doing(act, -1))
    goes = gait.pace > (0.03 if act.deed == walk else 0.08)
    act = _doing(act, walk if goes else idle)
    if act.deed >= 0:
        deed = mover.deeds[act.deed]
        length = abs(deed.pace) * deed.seconds or mover.stride
        gone = math.hypot(gait.x - before.x, gait.y - before.y) / length if act.deed == walk else dt / deed.seconds
        act = replace(act, clock=(act.clock + gone) % 1.0 if deed.loops else min(1.0, act.clock + gone))
    return replace(gait, act=act)


def _still(mover: Mover, gait: Gait, feel: Feel, dt: float) -> Gait:
    """Coming to a stand."""
    pace = max(0.0, gait.pace - BRAKE * dt)
    if not pace:
        return replace(gait, pace=0.0)
    on = pace * dt
    moved = _shifted(mover, gait, on * math.cos(gait.heading), on * math.sin(gait.heading), feel)
    return replace(moved, pace=pace)


def _carried(mover: Mover, rig: Rig, gait: Gait, deed: int, before: float, now: float, feel: Feel) -> Gait:
    """Moved as a deed's root does between two shares of it."""
    if not mover.deeds[deed].root:
        return gait
    a, b = borne(rig, deed, max(0.0, before)), borne(rig, deed, now % 1.0 if mover.deeds[deed].loops else now)
    start = gait.heading - float(a[3])  # where it faced as the deed began
    ahead, left = float(b[0] - a[0]), float(b[1] - a[1])
    cos, sin = math.cos(start), math.sin(start)
    gait = _shifted(mover, gait, cos * ahead - sin * left, sin * ahead + cos * left, feel)
    return replace(gait, heading=math.remainder(gait.heading + float(b[3] - a[3]), 2 * math.pi))


def _shifted(mover: Mover, gait: Gait, dx: float, dy: float, feel: Feel) -> Gait:
    """Moved so far, or as far as there is room."""
    far = math.hypot(dx, dy)
    if far < 1e-12:
        return gait
    bearing = math.atan2(dy, dx) - gait.heading
    room = max(0.0, float(free(mover, feel()[1], np.array([bearing]))[0]) - mover.girth - MARGIN)
    share = min(1.0, room / far)
    return replace(gait, x=gait.x + share * dx, y=gait.y + share * dy)


def free(mover: Mover, felt: Array, ways: Array) -> Array:
    """(N,) how far each of these ways, radians off the heading, is free for one as wide as this creature."""
    apart = BEARINGS - ways[:, None]
    along, across = np.cos(apart) * felt, np.abs(np.sin(apart)) * felt
    return np.where((along > 0) & (across < mover.girth + SHOULDER), along, REACH).min(1)


def _fading(shove: Point, dt: float) -> Point:
    x, y = (value * max(0.0, 1.0 - DYING * dt) for value in shove)
    return (x, y) if math.hypot(x, y) > 0.01 else (0.0, 0.0)


# Strokes


def strokes(mover: Mover, before: Gait, gait: Gait) -> list[tuple[int, Stroke]]:
    """Those that a creature's deed made between two ticks, by number."""
    act, old = gait.act, before.act
    if act is None or old is None or act.deed < 0 or not act.alive or act.stagger:
        return []
    deed = mover.deeds[act.deed]
    begun = old.clock if old.deed == act.deed and old.clock <= act.clock and old.ran < act.ran else 0.0
    if not deed.loops and begun == act.clock == 1.0:
        return []
    return [(i, stroke) for i, stroke in enumerate(deed.strokes) if begun < stroke.end and act.clock > stroke.start]


def within(stroke: Stroke, gait: Gait, at: Point, girth: float, low: float, high: float) -> bool:
    """Whether a disc so wide, so low and so high is in a stroke's way."""
    dx, dy = at[0] - gait.x, at[1] - gait.y
    far = math.hypot(dx, dy)
    if far - girth > stroke.reach or high < stroke.low or low > stroke.high:
        return False
    off = abs(math.remainder(math.atan2(dy, dx) - gait.heading, 2 * math.pi))
    return far <= girth or off <= stroke.arc + math.asin(min(1.0, girth / far))


def lifted(rig: Rig, gait: Gait) -> float:
    """Metres that a creature's deed has it above the ground: what passes below does not strike it."""
    return max(0.0, float(borne(rig, gait.act.deed, gait.act.clock)[2])) if gait.act else 0.0


def suffer(mover: Mover, gait: Gait, stroke: Stroke, by: Point) -> tuple[Gait, str]:
    """A creature that was struck from somewhere, and what came of it: hit, block or death."""
    act = gait.act
    assert act is not None
    dx, dy = gait.x - by[0], gait.y - by[1]
    far = math.hypot(dx, dy) or 1.0
    came = math.remainder(math.atan2(-dy, -dx) - gait.heading, 2 * math.pi)
    guard = act.deed >= 0 and mover.deeds[act.deed].guard and not act.stagger and abs(came) <= GUARDED
    # A push that dies away so fast goes as far as was asked in all.
    speed = DYING * stroke.push * (0.4 if guard else 1.0) / far
    act = replace(act, shove=(act.shove[0] + speed * dx, act.shove[1] + speed * dy))
    if guard:
        return replace(gait, act=act), "block"
    health = max(0.0, act.health - stroke.harm)
    if health <= 0:
        act = replace(act, health=0.0, order=(), step=0, asked=0.0, stagger=0.0, held=-1)
        act = _begin(act, death(mover))
        return replace(gait, act=act, pace=0.0), "death"
    if stroke.harm > 0:
        dazed = number(mover, "hit")
        seconds = mover.deeds[dazed].seconds if dazed >= 0 else DAZED
        act = replace(act, health=health, order=(), step=0, asked=0.0, stagger=seconds, held=-1)
        act = _begin(act, dazed if dazed >= 0 else number(mover, "idle"))
    return replace(gait, act=act), "hit"
