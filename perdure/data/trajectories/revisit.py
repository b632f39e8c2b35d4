"""Revisits: how much of a walk is seen again, and walks that see as much again as they are asked to.

Shapes: N poses, S of them that are compared.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics, look, overlap
from perdure.data.ground import Point
from perdure.data.trajectories.walker import CHUNK, Walker
from perdure.world.action import FRAMES_PER_SECOND, Action

Array = NDArray[np.float64]

AGO = 3.0  # seconds after which a view counts as seen again
STRONG = 0.6  # overlap from which two views count as one
SAMPLES = 96  # poses that are compared, at most
NEAR = 4.5  # metres beyond which no two views overlap strongly
TRIED = 16  # places that one might go to, and of which the newest is taken
ASIDE = math.radians(75.0)  # the same for the angle between them


def revisit_density(
    poses_N44: Array, intrinsics: Intrinsics, fps: float = FRAMES_PER_SECOND, ago: float = AGO, strong: float = STRONG
) -> float:
    """The share of frames whose view overlaps strongly with one of at least `ago` seconds before.

    Of long clips so many frames are taken, evenly: the cost is bounded, the share is good to about one in SAMPLES.
    """
    at = np.unique(np.linspace(0, len(poses_N44) - 1, min(len(poses_N44), SAMPLES)).round().astype(int))
    poses = poses_N44[at]
    again = [seen_before(poses[: np.searchsorted(at, i - ago * fps, "right")], pose, intrinsics, strong)
             for i, pose in zip(at, poses)]  # fmt: skip
    return float(np.mean(again))


def seen_before(past_S44: Array, pose: Array, intrinsics: Intrinsics, strong: float = STRONG) -> bool:
    """Whether one of these views overlaps strongly with that of a pose."""
    if not len(past_S44):
        return False
    near = np.linalg.norm(past_S44[:, :3, 3] - pose[:3, 3], axis=1)
    near = np.where(past_S44[:, :3, 2] @ pose[:3, 2] > math.cos(ASIDE), near, np.inf)
    order = np.argsort(near, kind="stable")  # the nearest first: it is found soon, if at all
    for some in np.array_split(order[: np.searchsorted(near[order], NEAR)], 1 + len(order) // 8):
        if len(some) and (overlap(past_S44[some], pose, intrinsics) > strong).any():
            return True
    return False


class Tally:
    """The revisits of a walk so far, counted as it goes."""

    EVERY = 3  # chunks between two views that are compared

    def __init__(self, walker: Walker) -> None:
        self.walker = walker
        self.counted = 0  # poses
        self.views = self.again = 0

    def share(self) -> float:
        poses, lens = self.walker.poses, self.walker.world.motion.intrinsics
        gap = math.ceil(AGO / CHUNK)
        while self.counted < len(poses):
            past = np.array(poses[: max(0, self.counted - gap + 1) : self.EVERY]).reshape(-1, 4, 4)
            self.again += seen_before(past, poses[self.counted], lens)
            self.views += 1
            self.counted += self.EVERY
        return self.again / max(1, self.views)


def dense(walker: Walker, target: float) -> Iterator[Action]:
    """Walk so that `target` of what is seen was seen before: new ground while it is more than that, else back."""
    tally = Tally(walker)
    if target >= 0.95:
        return (yield from walker.stand(walker.chunks(20.0, 30.0)))
    while True:
        if tally.share() < target:
            yield from _back(walker)
        else:
            yield from _on(walker)


def _back(walker: Walker) -> Iterator[Action]:
    """A stretch of the way walked backwards: what one sees is what one saw."""
    if len(walker.walked) >= 6:
        yield from walker.retrace(walker.chunks(1.5, 4.0))
    else:
        yield from walker.stand(walker.chunks(0.5, 1.5))


def _on(walker: Walker) -> Iterator[Action]:
    """A stretch to where least was seen before; where all was, at least a look to where one has not looked."""
    spots, lens = walker.ground.spots, walker.world.motion.intrinsics
    been, past = np.array([pose[:2, 3] for pose in walker.poses[::4]]), np.array(walker.poses[::3])
    best, goal = -math.inf, None
    for x, y in spots[walker.random.integers(len(spots), size=TRIED)]:
        far = walker.far((x, y))
        if far < 1.0:
            continue
        heading = walker.bearing((x, y))
        stretch = np.linspace(0.4, 1.0, 3)[:, None] * min(far, 5.0) * np.array([[math.cos(heading), math.sin(heading)]])
        eyes = [np.array([walker.here[0] + dx, walker.here[1] + dy, walker.eye]) for dx, dy in stretch]
        old = sum(seen_before(past, look(eye, heading, walker.level), lens) for eye in eyes)
        new = float(np.linalg.norm(been - (x, y), axis=1).min())
        if min(new, 2.0) - 2.0 * old > best:
            best, goal = min(new, 2.0) - 2.0 * old, (float(x), float(y))
    way = [] if goal is None else walker.ground.way(walker.here, goal, walker.crowd())
    if len(way) > 1 and best > -4.5:
        yield from _some(walker, walker.follow(way), walker.chunks(1.5, 3.0))
    else:
        yield from walker.turn(_unseen(walker) - walker.yaw)


def _some(walker: Walker, leg: Iterator[Action], chunks: int) -> Iterator[Action]:
    for _, action in zip(range(chunks), leg):
        yield action


def _unseen(walker: Walker) -> float:
    """The bearing that one looked along least, from near here."""
    near = [pose for pose in walker.poses[::3] if math.dist((pose[0, 3], pose[1, 3]), walker.here) < 2.0]
    looked = np.array([math.atan2(pose[1, 2], pose[0, 2]) for pose in near])
    ways = walker.yaw + np.linspace(-2.5, 2.5, 21)
    off = np.abs(np.remainder(ways[:, None] - looked + math.pi, 2 * math.pi) - math.pi).min(1)
    return float(ways[int(np.argmax(off))])


__all__ = ["AGO", "STRONG", "Point", "Tally", "dense", "revisit_density", "seen_before"]
