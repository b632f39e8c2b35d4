"""Trajectories that were measured, not made up: put into a place where they fit, with all that a hand adds to them."""

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perdure.camera import interpolate, look
from perdure.data.clip import Skipped
from perdure.data.trajectories.navigation import free
from perdure.data.trajectories.walker import Walker
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND, Action, Path
from perdure.world.trajectory import Trajectory

Array = NDArray[np.float64]

SCALES = (1.0, 0.8, 0.6, 0.45, 0.3, 0.2)
"""Of what was measured: as it was, if there is room."""
TRIES = 60  # places and ways to face that are tried for each
STARTS = 4  # places to begin that one tries to come to
NEAR = 0.6  # metres from there at which one has come
LOWEST, HIGHEST = 0.45, 0.12  # metres above the ground, and above the eye, between which the eye stays
SETTLE = 1.0  # seconds in which the eye comes to where the way begins
FASTEST = 4.0  # metres a second


@dataclass
class Carried:
    """A script that carries the camera along a trajectory, to and fro; walked, where it is not to fly.

    All of it is on free ground, and so is the way from where one stands to where it begins. A way that fits nowhere,
    or whose beginning one does not come to, is refused: `Skipped` says why. Once it was flown, one walks on instead.
    """

    trajectory: Trajectory
    flies: bool = True
    flown: bool = False

    def __call__(self, walker: Walker) -> Iterator[Action]:
        placed = yield from self._begun(walker)
        if isinstance(placed, str):
            if not self.flown:
                raise Skipped(f"carried: {placed}")
            return (yield from free(walker))
        self.flown = True
        if not self.flies:
            track = placed.at(np.arange(0.0, placed.seconds, 0.25))
            yield from walker.follow([(float(p[0, 3]), float(p[1, 3])) for p in track])
            return
        here = look(np.array([*walker.here, walker.eye]), walker.yaw, walker.pitch)
        there = _frames(placed)
        to = np.concatenate([_blended(here, there), there])
        way = Trajectory(np.concatenate([to, there[::-1]]))
        actions = way.walked(walker.world.physics.mechanism.rates)
        poses = np.concatenate([way.poses[1:], np.repeat(way.poses[-1:], FRAMES_PER_CHUNK, 0)])
        for n, action in enumerate(actions):
            path = Path.of(poses[n * FRAMES_PER_CHUNK : (n + 1) * FRAMES_PER_CHUNK])
            yield Action(action.keys, action.turn, action.tilt, path=path)
        walker.walked.clear()  # it is not by keys that one comes back here

    def _begun(self, walker: Walker) -> Generator[Action, None, Trajectory | str]:
        """Go to where it can begin; gives it as it is placed there, or why there is no such place."""
        for _ in range(STARTS):
            placed = fitted(walker, self.trajectory)
            if placed is None:
                return "the trajectory fits nowhere on free ground here, at no scale that was tried"
            start = placed.poses[0]
            yield from walker.go((float(start[0, 3]), float(start[1, 3])))
            yield from walker.face(math.atan2(start[1, 2], start[0, 2]))
            if arrived(walker, placed):
                return placed
        return f"one came to none of {STARTS} places where the trajectory could begin"


def arrived(walker: Walker, placed: Trajectory) -> bool:
    """Whether one stands where a trajectory begins, or so near that the eye comes there over free ground."""
    blend = np.linspace(walker.here, placed.poses[0, :2, 3], 12)
    return walker.far(blend[-1]) < NEAR and bool(walker.ground.holds_all(blend).all())


def fitted(walker: Walker, trajectory: Trajectory) -> Trajectory | None:
    """The trajectory scaled, turned and put where all of it is on free ground; None where it does not fit."""
    ground, eye = walker.ground, walker.eye
    steps = np.linalg.norm(np.diff(trajectory.poses[:, :3, 3], axis=0), axis=1)
    fastest = float(np.quantile(steps, 0.98)) * trajectory.fps if len(steps) else 0.0
    rng = walker.random
    for scale in SCALES:
        if fastest * scale > FASTEST:
            continue
        for _ in range(TRIES):
            x, y = ground.spots[int(rng.integers(len(ground.spots)))]
            start = look(np.array([x, y, eye]), float(rng.uniform(-math.pi, math.pi)), 0.0)
            placed = trajectory.placed(start, scale)
            if ground.holds_all(placed.poses[:, :2, 3]).all():
                poses = placed.poses.copy()
                poses[:, 2, 3] = _between(poses[:, 2, 3], eye - 1.55 + LOWEST, eye + HIGHEST)
                return Trajectory(poses, placed.fps, placed.lens)
    return None


def _between(heights: Array, low: float, high: float) -> Array:
    """The same ups and downs within bounds: shifted if that is enough, else flattened too."""
    span = heights.max() - heights.min()
    if span > high - low:
        heights = low + (heights - heights.min()) * (high - low) / span
    return heights + max(0.0, low - heights.min()) - max(0.0, heights.max() - high)


def _frames(way: Trajectory) -> Array:
    """(N, 4, 4) at our frame rate."""
    return way.at(np.arange(1 + int(way.seconds * FRAMES_PER_SECOND)) / FRAMES_PER_SECOND)


def _blended(here: Array, there: Array) -> Array:
    """(N, 4, 4) softly from where the eye is to where a way begins."""
    share = np.linspace(0.0, 1.0, round(SETTLE * FRAMES_PER_SECOND))
    return interpolate(np.stack([here, there[0]]), np.array([0.0, 1.0]), share * share * (3 - 2 * share))
