# pyright: basic
"""The loops of `limbs.py`, compiled: they read a creature's `Rig`, whose shapes are told there. No `fastmath`."""

import math
from functools import cache
from typing import Any

import numpy as np

APART = 1 / 36  # seconds between a trail's beads
BURIED = -300.0  # metres: the height of beads that show nothing, too far down for any ray to meet them


@cache
def loops() -> tuple[Any, Any]:
    """`value` and `pose`, compiled when they are first asked for: to load numba takes longer than most commands do."""
    from numba import njit

    for plain in (value, _times, _carried, _turn, _local, _hang, pose):
        globals()[plain.__name__] = njit(cache=True, nogil=True, error_model="numpy")(plain)
    return globals()["value"], globals()["pose"]


def value(keys, first, count, clock, out):
    """A curve's values at a share of its deed, into `out`; zeros where there is no curve."""
    n = len(out)
    if count == 0:
        for v in range(n):
            out[v] = 0.0
        return
    last = first + count - 1
    if clock <= keys[first, 0] or count == 1:
        for v in range(n):
            out[v] = keys[first, 1 + v]
        return
    if clock >= keys[last, 0]:
        for v in range(n):
            out[v] = keys[last, 1 + v]
        return
    i = first
    while keys[i + 1, 0] <= clock:
        i += 1
    h = keys[i + 1, 0] - keys[i, 0]
    s = (clock - keys[i, 0]) / h
    a, b = (1 + 2 * s) * (1 - s) * (1 - s), s * s * (3 - 2 * s)
    c, d = s * (1 - s) * (1 - s) * h, s * s * (s - 1) * h
    for v in range(n):
        out[v] = a * keys[i, 1 + v] + c * keys[i, 7 + v] + b * keys[i + 1, 1 + v] + d * keys[i + 1, 7 + v]


def _times(a, b, out):
    """Hamilton's product of two quaternions."""
    w = a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3]
    x = a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2]
    y = a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1]
    z = a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0]
    out[0], out[1], out[2], out[3] = w, x, y, z


def _carried(q, v, out):
    """A vector turned by a quaternion."""
    tx = 2 * (q[2] * v[2] - q[3] * v[1])
    ty = 2 * (q[3] * v[0] - q[1] * v[2])
    tz = 2 * (q[1] * v[1] - q[2] * v[0])
    x = v[0] + q[0] * tx + q[2] * tz - q[3] * ty
    y = v[1] + q[0] * ty + q[3] * tx - q[1] * tz
    z = v[2] + q[0] * tz + q[1] * ty - q[2] * tx
    out[0], out[1], out[2] = x, y, z


def _turn(v, out):
    """The quaternion of a rotation vector."""
    angle = math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
    # sin(angle / 2) / angle, whose limit is 1/2
    scale = math.sin(0.5 * angle) / angle if angle > 1e-9 else 0.5
    out[0] = math.cos(0.5 * angle)
    out[1], out[2], out[3] = scale * v[0], scale * v[1], scale * v[2]


def _local(parents, rest, turned, moved, borne, keys, own, deed, clock, strides, vigour, quats, shifts):
    """How a deed has each part turned and shifted in its parent's frame, and last the root: pitched, rolled, lifted."""
    count = len(parents)
    turn, bearing = np.empty(3), np.empty(6)
    for p in range(count):
        if deed >= 0:
            value(keys, turned[deed, p, 0], turned[deed, p, 1], clock, turn)
            _turn(turn, quats[p])
            value(keys, moved[deed, p, 0], moved[deed, p, 1], clock, shifts[p])
        else:
            angle = vigour * rest[p, 6] * math.sin(2 * math.pi * strides + rest[p, 7])
            turn[0], turn[1], turn[2] = angle * rest[p, 3], angle * rest[p, 4], angle * rest[p, 5]
            _turn(turn, quats[p])
            shifts[p, 0] = shifts[p, 1] = shifts[p, 2] = 0.0
    shifts[count, 0] = shifts[count, 1] = 0.0
    if deed >= 0:
        value(keys, borne[deed, 0], borne[deed, 1], clock, bearing)
        shifts[count, 2] = bearing[2]
        pitch, roll = -0.5 * bearing[4], 0.5 * bearing[5]  # positive lifts what is in front: turned about what is left
        quats[count, 0], quats[count, 1] = math.cos(pitch) * math.cos(roll), math.cos(pitch) * math.sin(roll)
        quats[count, 2], quats[count, 3] = math.sin(pitch) * math.cos(roll), -math.sin(pitch) * math.sin(roll)
    else:
        shifts[count, 2] = own[2] * math.sin(4 * math.pi * strides)  # two steps to a stride
        quats[count, 0], quats[count, 1], quats[count, 2], quats[count, 3] = 1.0, 0.0, 0.0, 0.0


def _hang(parents, rest, own, x, y, heading, quats, shifts, places, turns):
    """Parts hung on one another, from how they are turned in their parents' frames."""
    count = len(parents)
    level, offset = np.empty(4), np.empty(3)
    level[0], level[1], level[2], level[3] = math.cos(0.5 * heading), 0.0, 0.0, math.sin(0.5 * heading)
    _times(level, quats[count], turns[0])
    places[0, 0], places[0, 1], places[0, 2] = x, y, own[1] + shifts[count, 2]
    for p in range(count):
        on = parents[p] + 1
        for v in range(3):
            offset[v] = rest[p, v] + shifts[p, v]
        _carried(turns[on], offset, offset)
        for v in range(3):
            places[p + 1, v] = places[on, v] + offset[v]
        _times(turns[on], quats[p], turns[p + 1])


def pose(parents, rest, turned, moved, borne, keys, deeds, own, tips, where, doing, places, turns):
    """Where all bodies are, into `places` and `turns`. `where`: x, y, heading, strides, pace. `doing`: the deed, its
    clock, those of the one before, and that one's weight."""
    count, beads = len(parents), int(own[5])
    x, y, heading, strides, pace = where
    deed, clock, was, was_clock, weight = doing
    vigour = min(1.0, pace / own[0])
    quats, shifts = np.empty((count + 1, 4)), np.empty((count + 1, 3))
    _local(parents, rest, turned, moved, borne, keys, own, deed, clock, strides, vigour, quats, shifts)
    if weight > 0:
        before, moves = np.empty((count + 1, 4)), np.empty((count + 1, 3))
        _local(parents, rest, turned, moved, borne, keys, own, was, was_clock, strides, vigour, before, moves)
        for p in range(count + 1):
            dot = 0.0
            for v in range(4):
                dot += quats[p, v] * before[p, v]
            side = -weight if dot < 0 else weight  # the shorter way
            length = 0.0
            for v in range(4):
                quats[p, v] = (1 - weight) * quats[p, v] + side * before[p, v]
                length += quats[p, v] * quats[p, v]
            length = math.sqrt(length)
            for v in range(4):
                quats[p, v] /= length
            for v in range(3):
                shifts[p, v] += weight * (moves[p, v] - shifts[p, v])
    _hang(parents, rest, own, x, y, heading, quats, shifts, places, turns)

    trail = int(deeds[deed, 4]) if deed >= 0 else -1
    loops = deed >= 0 and deeds[deed, 1] > 0
    now, then, point = np.empty(6), np.empty(6), np.empty(3)
    rooms, spins = np.empty((count + 1, 3)), np.empty((count + 1, 4))
    for b in range(beads):
        row = 1 + count + b
        turns[row, 0], turns[row, 1], turns[row, 2], turns[row, 3] = 1.0, 0.0, 0.0, 0.0
        places[row, 0], places[row, 1], places[row, 2] = own[3], own[4], BURIED
        if trail < 0:
            continue
        ago = (b + 1) * APART
        earlier = clock - ago / deeds[deed, 0]
        if (earlier < 0 or clock >= 1) and not loops:
            continue
        # Where the root then was, off where it is now: by the deed's own way, and by its pace.
        value(keys, borne[deed, 0], borne[deed, 1], clock, now)
        if loops:
            earlier -= math.floor(earlier)
        value(keys, borne[deed, 0], borne[deed, 1], earlier, then)
        facing = heading - (now[3] - then[3]) - deeds[deed, 3] * ago
        start = heading - now[3]
        ahead, left = then[0] - now[0], then[1] - now[1]
        px = x + math.cos(start) * ahead - math.sin(start) * left - pace * ago * math.cos(heading)
        py = y + math.sin(start) * ahead + math.cos(start) * left - pace * ago * math.sin(heading)
        _local(parents, rest, turned, moved, borne, keys, own, deed, earlier, strides, vigour, quats, shifts)
        _hang(parents, rest, own, px, py, facing, quats, shifts, rooms, spins)
        for v in range(3):
            point[v] = tips[trail, v]
        _carried(spins[trail + 1], point, point)
        for v in range(3):
            places[row, v] = rooms[trail + 1, v] + point[v]
