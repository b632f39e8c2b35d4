"""Trajectories: keys become poses, poses become keys, and where a camera went becomes actions that play here.

Both ways use the arithmetic of physics in free space: half of a turn, the step, the other half. Walls
are not known here.

Shapes: N poses. Poses are 4x4 float64, camera to world.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from perdure.camera import angles, check_pose, interpolate, look, yaw_pitch
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND, STANDARD, Action, Keys, Path, Rates

Array = NDArray[np.float64]

CHUNK = FRAMES_PER_CHUNK / FRAMES_PER_SECOND  # seconds
NEAR = 1e-9  # radians: a turn that differs from a key's by less is that key's
WAYS = sorted(((f, s) for f in (-1, 0, 1) for s in (-1, 0, 1)), key=lambda way: abs(way[0]) + abs(way[1]))


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Where a camera was, at even times from 0."""

    poses: Array  # (N, 4, 4)
    fps: float = FRAMES_PER_SECOND  # poses a second
    lens: Array | None = None  # (N, 4) intrinsics as fractions of the picture, where they are known

    def __post_init__(self) -> None:
        if self.poses.ndim != 3 or not len(self.poses):
            raise ValueError(f"expected poses of shape (N, 4, 4), N >= 1, got {self.poses.shape}")
        for i, pose in enumerate(self.poses):
            try:
                check_pose(pose)
            except ValueError as error:
                raise ValueError(f"pose {i}: {error}") from None
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"expected a positive number of poses a second, got {self.fps}")
        if self.lens is not None and (self.lens.shape != (len(self.poses), 4) or not (self.lens[:, :2] > 0).all()):
            raise ValueError(f"expected positive intrinsics for each of {len(self.poses)} poses, got {self.lens.shape}")

    @property
    def seconds(self) -> float:
        return (len(self.poses) - 1) / self.fps

    def at(self, times: Array) -> Array:
        """(..., 4, 4) where the camera is at these seconds; it stands before the first pose and after the last."""
        return interpolate(self.poses, np.arange(len(self.poses)) / self.fps, times)

    def placed(self, start: Array, scale: float = 1.0) -> "Trajectory":
        """The same way, gone from where `start` stands and faces; what is level stays so. `scale` is metres a unit."""
        turn = yaw_pitch(start)[0] - yaw_pitch(self.poses[0])[0]
        spin = np.array([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
        poses = self.poses.copy()
        poses[:, :3, :3] = spin @ self.poses[:, :3, :3]
        poses[:, :3, 3] = start[:3, 3] + scale * (self.poses[:, :3, 3] - self.poses[0, :3, 3]) @ spin.T
        return replace(self, poses=poses)

    def flown(self, rates: Rates = STANDARD) -> list[Action]:
        """Actions that lead the eye along these very poses, through whatever stands there, by a path for each chunk.

        Keys and mouse say the nearest walk, for a model that reads those.
        """
        chunks = _chunks(self.seconds)
        frames = np.arange(1, chunks * FRAMES_PER_CHUNK + 1, dtype=np.float64)
        poses = self.at(frames / FRAMES_PER_SECOND)
        paths = poses.reshape(chunks, FRAMES_PER_CHUNK, 4, 4)
        return [replace(action, path=Path.of(path)) for action, path in zip(self.walked(rates), paths)]

    def walked(self, rates: Rates = STANDARD) -> list[Action]:
        """The actions of a walk that keeps nearest to these poses."""
        return keys_from_poses(self.poses, rates, self.fps)


def poses_from_keys(
    actions: Sequence[Action], start: Array, rates: Rates = STANDARD, fps: float = FRAMES_PER_SECOND
) -> Array:
    """(N, 4, 4) where actions lead from `start` with nothing in the way: `start`, then `fps` poses a second.

    At 24 a second these are the poses of physics. At any other the way is the same but for how arcs are cut
    into steps: two rates differ by at most the sum over the way of its length times (turn a step)^2 / 12, that
    is 0.04% of what is walked while turning by keys, at 24 a second or more.
    """
    here, (yaw, pitch) = start[:3, 3], yaw_pitch(start)
    stand, height = (float(here[0]), float(here[1]), yaw, pitch), float(here[2])
    stands = [stand]
    chunk, frame = Fraction(FRAMES_PER_CHUNK, FRAMES_PER_SECOND), 1 / Fraction(fps)
    time, due = Fraction(0), frame
    for number, action in enumerate(actions, 1):
        while time < number * chunk:
            until = min(due, number * chunk)
            stand = _gone(stand, action, rates, float(until - time), float((until - time) / chunk))
            time = until
            if time == due:
                stands.append(stand)
                due += frame
    x, y, yaws, pitches = np.array(stands).T
    return look(np.stack([x, y, np.full(len(x), height)], -1), yaws, pitches)


def keys_from_poses(poses: Array, rates: Rates = STANDARD, fps: float = FRAMES_PER_SECOND) -> list[Action]:
    """The actions of the walk that keeps nearest to `poses` (N, 4, 4), `fps` a second, from the first on.

    Poses that keys led to give those keys again (opposite keys, which cancel, left out). Other ways of facing
    are met exactly by mouse travel, as far as the rates allow. Steps are of one length: each chunk takes that
    of the nine which ends nearest to where the camera then is, so errors do not add up. Of a way on level
    ground, up to 0.76 of walking speed, the walk is never farther off than 0.55 of a chunk's step (22 cm at
    2.4 m/s). Height and roll are not followed.
    """
    if fps == FRAMES_PER_SECOND and (len(poses) - 1) % FRAMES_PER_CHUNK == 0:
        targets = poses[FRAMES_PER_CHUNK::FRAMES_PER_CHUNK]
    else:
        way = Trajectory(poses, fps)
        targets = way.at(CHUNK * np.arange(1, _chunks(way.seconds) + 1, dtype=np.float64))
    yaw, pitch = yaw_pitch(poses[0])
    stand = float(poses[0, 0, 3]), float(poses[0, 1, 3]), yaw, pitch
    key = rates.turn * CHUNK
    actions: list[Action] = []
    for target, facing, rise in zip(targets, *angles(targets)):
        turns, turn = _pressed(math.remainder(float(facing) - stand[2], 2 * math.pi), rates)
        up = rates.level(float(rise))
        ups, tilt = _pressed(up - stand[3], rates)
        if not ups and abs(up) > rates.pitch_limit - NEAR and NEAR < abs(tilt) < key:
            ups, tilt = int(math.copysign(1, tilt)), 0.0  # a key, held until the limit
        actions.append(_nearest(stand, target, turns, turn, ups, tilt, rates))
        for _ in range(FRAMES_PER_CHUNK):
            stand = _gone(stand, actions[-1], rates, 1 / FRAMES_PER_SECOND, 1 / FRAMES_PER_CHUNK)
    return actions


Stand = tuple[float, float, float, float]
"""x, y, yaw and pitch."""


def _gone(stand: Stand, action: Action, rates: Rates, seconds: float, share: float) -> Stand:
    """Where one is after `seconds` of an action, which are `share` of it."""
    x, y, yaw, pitch = stand
    forward, sideways, turns, ups = action.axes
    pace = rates.walk / math.hypot(forward, sideways) if forward or sideways else 0.0
    turn = turns * rates.turn * seconds + rates.swung(action.turn) * share
    tilt = ups * rates.turn * seconds + rates.swung(action.tilt) * share
    middle = yaw + 0.5 * turn
    return (
        x + pace * (forward * math.cos(middle) - sideways * math.sin(middle)) * seconds,
        y + pace * (forward * math.sin(middle) + sideways * math.cos(middle)) * seconds,
        math.remainder(yaw + turn, 2 * math.pi),
        rates.level(pitch + tilt),
    )


def _pressed(wanted: float, rates: Rates) -> tuple[int, float]:
    """The key (-1, 0, 1) and the mouse travel that turn by this much in a chunk."""
    side, key = 1 if wanted > 0 else -1, rates.turn * CHUNK
    if abs(wanted) <= NEAR:
        return 0, 0.0
    if abs(wanted - side * key) <= NEAR:
        return side, 0.0
    if rates.swung(wanted) == wanted:
        return 0, wanted
    return side, rates.swung(wanted - side * key)


def _nearest(stand: Stand, target: Array, turns: int, turn: float, ups: int, tilt: float, rates: Rates) -> Action:
    """The action that faces as wanted and steps to where the target is nearest."""
    found: list[tuple[float, Action]] = []
    for forward, sideways in WAYS:
        action = Action(_keys(forward, sideways, turns, ups), turn, tilt)
        end = stand
        for _ in range(FRAMES_PER_CHUNK):
            end = _gone(end, action, rates, 1 / FRAMES_PER_SECOND, 1 / FRAMES_PER_CHUNK)
        found.append((math.hypot(end[0] - target[0, 3], end[1] - target[1, 3]), action))
    return min(found, key=lambda item: item[0])[1]


def _keys(*axes: int) -> int:
    pairs = zip(axes, ((Keys.FORWARD, Keys.BACK), (Keys.LEFT, Keys.RIGHT), (Keys.TURN_LEFT, Keys.TURN_RIGHT),
                       (Keys.LOOK_UP, Keys.LOOK_DOWN)))  # fmt: skip
    return sum(int(one if axis > 0 else other) for axis, (one, other) in pairs if axis)


def _chunks(seconds: float) -> int:
    """Chunks that it takes to come to the end."""
    return math.ceil(seconds / CHUNK - 1e-9)
