"""Structure from motion: where the camera of a film was, by COLMAP, and whether that can be believed.

Frames are taken where the picture has moved by a little, their features matched with those of their neighbours, and
all cameras solved for at once (COLMAP's global mapper), with one focal length for the whole film. What comes out is
a guess that can go badly wrong without a word, so it is held to what a carried camera can do: jumps cut it to
pieces, of which the longest is kept, and too little of it is nothing. Poses of the other frames lie between.

Nobody knows how long a metre is in a film. Lengths are set so that the usual speed is that of walking here.

Shapes: N frames, K frames that are solved for, M points, H W picture size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from perdure.camera import Array, Intrinsics, apart, interpolate, invert
from perdure.data.clip import Skipped
from perdure.data.video.filters import APART, F32, step
from perdure.data.video.filters import small as shrunk
from perdure.data.video.reading import Frames
from perdure.world.action import FRAMES_PER_SECOND, WALK
from perdure.world.formats import at_home

WIDTH = 512  # pixels across that features are looked for in; at half of that COLMAP drifts
MOVED = 0.02  # share of the width that the picture moves by from one solved frame to the next
SELDOM = 12  # frames between two of them at most
MOST = 240  # of them, in one clip
NEIGHBOURS = 10  # with which a frame is matched, and others in growing steps
FEATURES = 2048  # of a frame
FAINT = 0.003  # contrast of the least of them
FOCAL = 0.8  # of the width, to begin with

ENOUGH = 0.6  # share of frames that must be found a place for
FEW = 8  # of them
TURN = np.radians(300.0)  # a second: what turns faster is no camera that a person carries
LEAP = 8.0  # times the usual speed: a leap
NEAR = 2 * SELDOM  # frames over which poses are put in between
ERROR = 2.5  # pixels, on average, between where points are and where they should be
SEEN = 12  # points that a frame shows, on average
LINK = 20  # points that it must share with the next: over fewer, drift is a matter of degrees
TIES = 8  # that carry the scale from each frame to the next
LOST = 3  # frames after which a point that is seen again was lost
SIDES = np.radians(1.0)  # between two lines of sight that see a point from two sides
PARALLAX = 0.02  # of the distance of what is seen, that the camera moved at least
FIELD = 20.0, 140.0  # degrees


class Collapsed(Skipped):
    """Why no poses are known of a film."""


@dataclass(frozen=True, eq=False)
class Solution:
    """What COLMAP found, in its own axes and units."""

    numbers: NDArray[np.int64]  # (K,) which frames, ascending
    poses: Array  # (K, 4, 4) camera to world
    intrinsics: Intrinsics  # of the pictures that it was given
    points: Array  # (M, 3)
    colours: NDArray[np.uint8]  # (M, 3)
    links: NDArray[np.int64]  # (K - 1,) points that one frame shares with the next
    ties: NDArray[np.int64]  # (K - 1,) points that carry the scale over from one frame to the next
    asked: int  # how many frames it was given
    error: float  # pixels
    seen: float  # points in a frame


@dataclass(frozen=True, eq=False)
class Structure:
    """Where the camera was in the frames `start` up to `stop`, in our axes, at walking speed."""

    start: int
    stop: int
    poses: Array  # (stop - start, 4, 4)
    intrinsics: Intrinsics
    points: Array  # (M, 3)
    colours: NDArray[np.uint8]
    solution: Solution

    def tags(self) -> dict[str, str]:
        it = self.solution
        return {
            "poses": "pycolmap",
            "scale": "arbitrary",
            "pose_share": f"{len(it.numbers) / it.asked:.3f}",
            "pose_error": f"{it.error:.3f}",
            "pose_points": f"{it.seen:.1f}",
        }


class Picker:
    """Which frames of a film to solve for, as they come: each has moved a little since the one before."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.gone = 0.0
        self.last: F32 | None = None

    def __call__(self, number: int, frame: NDArray[np.uint8]) -> bool:
        if number % APART:
            return False
        gray = shrunk(frame[None])
        if self.last is not None:
            self.gone += step(np.concatenate([self.last, gray]))
        self.last = gray
        if self.numbers and self.gone < MOVED and number - self.numbers[-1] < SELDOM:
            return False
        self.numbers.append(number)
        self.gone = 0.0
        return True


def picks(frames: Frames) -> list[int]:
    """The frames of a film that are solved for."""
    picker = Picker()
    return [number for number, frame in enumerate(frames) if picker(number, frame)]


def structure(pictures: Sequence[NDArray[np.uint8]], numbers: Sequence[int], size: tuple[int, int]) -> Structure:
    """The structure of a film of which the frames `numbers` are `pictures`; intrinsics are for `size`.

    `Collapsed` says why there is none.
    """
    some = np.linspace(0, len(numbers) - 1, min(MOST, len(numbers))).astype(int)
    return believed(solve([pictures[i] for i in some], [numbers[i] for i in some]), size)


def solve(pictures: Sequence[NDArray[np.uint8]], numbers: Sequence[int]) -> Solution:
    """What COLMAP makes of a few frames of a film; on one thread, so that equal frames give equal poses."""
    colmap = _colmap()
    with TemporaryDirectory() as place:
        folder = Path(place)
        images, database = folder / "images", folder / "database"
        images.mkdir()
        for number, picture in zip(numbers, pictures):
            Image.fromarray(picture).save(images / f"{number:08d}.png", compress_level=1)
        cpu = colmap.Device.cpu
        reader, extraction = colmap.ImageReaderOptions(), colmap.FeatureExtractionOptions()
        reader.camera_model, reader.default_focal_length_factor = "SIMPLE_PINHOLE", FOCAL
        extraction.num_threads, extraction.use_gpu = 1, False
        extraction.sift.max_num_features, extraction.sift.peak_threshold = FEATURES, FAINT
        matching, pairing = colmap.FeatureMatchingOptions(), colmap.SequentialPairingOptions()
        matching.num_threads, matching.use_gpu = 1, False
        pairing.overlap, pairing.quadratic_overlap, pairing.num_threads = NEIGHBOURS, True, 1
        verifying = colmap.TwoViewGeometryOptions()
        verifying.ransac.random_seed = 0
        mapping = colmap.GlobalPipelineOptions()
        mapping.num_threads, mapping.random_seed = 1, 0
        colmap.set_random_seed(0)
        try:
            colmap.extract_features(
                database, images, camera_mode=colmap.CameraMode.SINGLE, reader_options=reader,
                extraction_options=extraction, device=cpu,
            )  # fmt: skip
            colmap.match_sequential(database, matching, pairing, verifying, device=cpu)
            models = colmap.global_mapping(database, images, folder / "out", mapping)
        except (RuntimeError, ValueError, IndexError) as error:
            raise Collapsed(f"COLMAP gave up: {str(error).splitlines()[0][:100]}") from None
        best = max(models.values(), key=lambda model: model.num_reg_images(), default=None)
        if best is None or not best.num_reg_images():
            raise Collapsed("COLMAP found no two frames that show the same place")
        return _read(best, len(numbers))


def _colmap() -> Any:
    import pycolmap  # of the extra `video`

    pycolmap.logging.minloglevel = 3  # it talks a great deal
    pycolmap.logging.stderrthreshold = 3
    return pycolmap


def _read(model: Any, asked: int) -> Solution:
    images = sorted((image for image in model.images.values() if image.has_pose), key=lambda image: image.name)
    poses = np.tile(np.eye(4), (len(images), 1, 1))
    for pose, image in zip(poses, images):
        pose[:3] = image.cam_from_world().inverse().matrix()
    lens = next(iter(model.cameras.values()))
    points = [model.points3D[key] for key in sorted(model.points3D)]
    shown: list[set[int]] = [{point.point3D_id for point in image.get_observation_points2D()} for image in images]
    seen_by: dict[int, list[int]] = {}
    for k, ids in enumerate(shown):
        for key in ids:
            seen_by.setdefault(key, []).append(k)
    return Solution(
        numbers=np.array([int(image.name[:8]) for image in images]),
        poses=poses,
        intrinsics=Intrinsics(lens.width, lens.height, *(float(lens.params[i]) for i in (0, 0, 1, 2))),
        points=np.array([point.xyz for point in points], np.float64).reshape(-1, 3),
        colours=np.array([point.color for point in points], np.uint8).reshape(-1, 3),
        ties=tied(poses[:, :3, 3], [(model.points3D[key].xyz, seers) for key, seers in sorted(seen_by.items())]),
        links=np.array([len(one & other) for one, other in pairwise(shown)], np.int64),
        asked=asked,
        error=float(model.compute_mean_reprojection_error()),
        seen=float(model.compute_mean_observations_per_reg_image()),
    )


def tied(eyes: Array, points: Sequence[tuple[Array, list[int]]]) -> NDArray[np.int64]:
    """(K - 1,) how many points carry the scale from frame k to frame k + 1.

    One does that was seen from two sides up to k, and from two sides from k + 1 on: from its distance as the way
    before tells it follows how long the way after is. Where a camera only turns there are none. A point that is lost
    and found again says nothing of the frames between.
    """
    begins = np.zeros(len(eyes) + 1, np.int64)
    for point, seers in (
        (point, part)
        for point, whole in points
        for part in np.split(np.array(whole), np.flatnonzero(np.diff(whole) > LOST) + 1)
    ):
        rays = point - eyes[seers]
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        before, after = np.flatnonzero(rays @ rays[0] < np.cos(SIDES)), np.flatnonzero(rays @ rays[-1] < np.cos(SIDES))
        if len(before) and len(after) and before[0] < after[-1]:
            begins[seers[before[0]]] += 1
            begins[seers[after[-1]]] -= 1
    return np.cumsum(begins)[: len(eyes) - 1]


def believed(it: Solution, size: tuple[int, int]) -> Structure:
    """The part of a solution that a carried camera can have gone, in our axes and at walking speed."""
    if len(it.numbers) < max(FEW, ENOUGH * it.asked):
        raise Collapsed(f"a place was found for {len(it.numbers)} of {it.asked} frames")
    if it.error > ERROR:
        raise Collapsed(f"points are {it.error:.1f} pixels off, on average")
    if it.seen < SEEN:
        raise Collapsed(f"a frame shows {it.seen:.0f} points, on average")
    across = float(2 * np.degrees(np.arctan(0.5 * it.intrinsics.width / it.intrinsics.fx)))
    if not FIELD[0] <= across <= FIELD[1]:
        raise Collapsed(f"a field of view of {across:.0f} degrees")
    first, last = longest(it)
    if last - first < FEW:
        raise Collapsed(f"positions or angles jump: no more than {last - first} frames in a row agree")
    numbers, poses = it.numbers[first:last], it.poses[first:last]
    home = at_home(poses)
    turn = home[0] @ invert(poses[0])
    points = it.points @ turn[:3, :3].T + turn[:3, 3]
    moved = float(np.linalg.norm(home[:, :3, 3] - np.median(home[:, :3, 3], 0), axis=1).max())
    distance = float(np.median(np.linalg.norm(points - np.median(home[:, :3, 3], 0), axis=1)))
    if moved < PARALLAX * distance:
        raise Collapsed("the camera turns but does not move: its places say nothing")
    scale = WALK / usual(speeds(numbers, home))
    home[:, :3, 3] *= scale
    start, stop = int(numbers[0]), int(numbers[-1]) + 1
    frames = np.arange(start, stop, dtype=np.float64)
    lens = it.intrinsics.scaled(*size)
    return Structure(start, stop, interpolate(home, numbers.astype(np.float64), frames), lens, points * scale,
                     it.colours, it)  # fmt: skip


def speeds(numbers: NDArray[np.int64], poses: Array) -> Array:
    """(K - 1,) lengths a second between one solved frame and the next."""
    return apart(poses[:-1], poses[1:])[0] * FRAMES_PER_SECOND / np.diff(numbers)


def usual(speed: Array) -> float:
    """The median of those that are not standing still."""
    going = speed[speed > 0.2 * np.quantile(speed, 0.9)]
    return max(float(np.median(going)) if len(going) else 0.0, 1e-9)


def longest(it: Solution) -> tuple[int, int]:
    """The longest run of frames (first, one after the last) that can be one way of one camera, at one scale.

    It ends at a hole, a weak link, a leap or a turn that no camera makes, and where the scale is lost: where a
    camera turns on the spot until nothing is left in view of what it saw before, how far it goes after that has
    nothing to do with how far it went. Of such a turn, half belongs to either side.
    """
    if len(it.numbers) < 2:
        return 0, len(it.numbers)
    apart_ = np.diff(it.numbers)
    speed = speeds(it.numbers, it.poses)
    turned = apart(it.poses[:-1], it.poses[1:])[1] * FRAMES_PER_SECOND / apart_
    broken = (apart_ > NEAR) | (it.links < LINK) | (turned > TURN) | (speed > LEAP * usual(speed))
    runs = list[tuple[int, int]]()
    for first, last in spans(~broken):
        tied_runs = spans(it.ties[first : last - 1] >= TIES)
        scaled = [(first + a, first + b) for a, b in tied_runs if b - a > 2] or [(first, first + 1)]
        middles = [(b + c) // 2 for (_, b), (c, _) in pairwise(scaled)]
        runs += zip([first, *middles], [*middles, last])
    return max(runs, key=lambda run: int(it.numbers[run[1] - 1] - it.numbers[run[0]]))


def spans(joined: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The runs (first, one after the last) of things that are joined (K - 1,) each to the next."""
    ends = [0, *(np.flatnonzero(~joined) + 1).tolist(), len(joined) + 1]
    return list(pairwise(ends))
