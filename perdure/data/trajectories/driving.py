"""Driving: how one goes about on wheels, who turn only as they roll. Forward in arcs; back and about where there is no
room to turn."""

import math
from collections.abc import Iterator

import numpy as np

from perdure.data.trajectories.walker import CHUNK, SPACING, WAIT, Walker, drawn
from perdure.world.action import Action, Keys

AHEAD = 1.8  # metres along its way that a driver aims at
ARRIVED = 1.2  # metres from a goal at which one is there
FAR = 4.0  # metres that a goal is away, if there are such
ASKEW = 1.3  # radians off its way from which one backs up to come about


def drive(walker: Walker) -> Iterator[Action]:
    """From place to place, wherever there is room for wheels."""
    while True:
        spots = walker.ground.spots[walker.ground.room[tuple(walker.ground.cells.T)] >= 0.4]
        away = spots[np.hypot(*(spots - walker.here).T) > FAR] if len(spots) else spots
        if not len(away):
            yield from _about(walker, walker.yaw + math.pi)
            continue
        x, y = away[int(walker.random.integers(len(away)))]
        way = walker.ground.way(walker.here, (float(x), float(y)), walker.crowd())
        if len(way) < 2:
            yield Action()
            continue
        yield from _along(walker, drawn(way))
        if walker.random.random() < 0.3:
            yield from walker.stand(walker.chunks(0.5, 1.5))


def _along(walker: Walker, track: np.ndarray) -> Iterator[Action]:
    at, waited = 0, 0
    while walker.far(track[-1]) > ARRIVED:
        near = track[at : at + 30]
        at += int(np.argmin(np.hypot(*(near - walker.here).T)))
        aim = track[min(len(track) - 1, at + round(AHEAD / SPACING))]
        heading = walker.bearing(aim)
        if walker.meets(walker.yaw):
            waited += 1
            if waited > WAIT:
                return (yield from _about(walker, walker.yaw + 0.5 * math.pi * walker.either()))
            yield Action()
            continue
        off = math.remainder(heading - walker.yaw, 2 * math.pi)
        if walker.blocked or abs(off) > ASKEW:
            yield from _about(walker, heading)
            if walker.blocked:
                return
            continue
        yield _steer(walker, Keys.FORWARD, off)


def _about(walker: Walker, heading: float) -> Iterator[Action]:
    """Back, and forward again, until it faces there or so."""
    for gear in (Keys.BACK, Keys.FORWARD, Keys.BACK):
        for step in range(int(walker.random.integers(5, 9))):
            off = math.remainder(heading - walker.yaw, 2 * math.pi)
            if abs(off) < 0.4:
                return
            yield _steer(walker, gear, off)
            if walker.blocked and step:
                break


def _steer(walker: Walker, gear: Keys, off: float) -> Action:
    most = walker.world.physics.mechanism.rates.turn * CHUNK
    tilt = 0.4 * (walker.level - walker.pitch)
    return Action(gear, max(-most, min(most, 0.6 * off)), tilt if abs(tilt) > 1e-3 else 0.0)
