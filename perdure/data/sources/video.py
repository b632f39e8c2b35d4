"""Films as a source: any folder of mp4, webm or mov becomes clips of 5 to 60 seconds.

A film is one job. It is read once to find its shots and once to cut them out; each piece is sifted by numbers that
its tags keep, and given camera poses where COLMAP finds some that can be believed. What a film cannot tell, such as
how long a metre is, what was pressed, or who obeys whom, is left out or said to be unknown: keys are those of the
nearest walk, at a scale at which its usual speed is that of walking.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np
from numpy.typing import NDArray

from perdure.camera import invert
from perdure.data.clip import LONGEST, SHORTEST, Clip, Job, Skipped, check_seconds
from perdure.data.processes import Gone, each
from perdure.data.video import ports
from perdure.data.video.filters import Limits, copies, fingerprint, profile, verdict
from perdure.data.video.reading import Film, describe, films, glimpses, kept, pictures, thumbnails
from perdure.data.video.rerender import again
from perdure.data.video.shots import Shot, shots
from perdure.data.video.structure import WIDTH, Collapsed, Picker, structure
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND, Action
from perdure.world.trajectory import keys_from_poses

NAME = "video"
LICENCE = "unstated"

SIZE = 256, 144
POSES = "try", "need", "no"
OPTIONS = "width", "height", "poses", "licence", "depth", "again", "recogniser"
SMALLEST, LARGEST = 16, 4096  # pixels
LOOKS = (0.15, 0.4, 0.65, 0.9)  # shares of a film at which it is looked at to tell copies


def plan(
    count: int = 0,
    seed: int = 0,
    paths: Sequence[str | Path] = (),
    seconds: float = LONGEST,
    workers: int = 0,
    told: Callable[[int, int], None] = lambda done, of: None,
    **options: str | float | int | bool,
) -> list[Job]:
    """A job for each film among files and folders, `count` of them at most unless it is 0.

    Options: `width` and `height` of the frames, `poses` (try, need or no), `licence`, `depth` (a folder of weights of
    a model that estimates it), `again` (how many times each clip with poses and depth is seen again, along new ways
    that come back), `recogniser` (a file that `perdure eval recogniser` kept: it says who does what). A copy of an
    earlier film, whatever its size or codec, is planned to be skipped, so that it is named. Films are looked at for
    that by `workers` processes (0: by this one); one that ends a process has no copies, and is named when it is made.
    """
    if not paths:
        raise ValueError("expected films or folders of films to take in: name some")
    check_seconds(seconds)
    _check(options)
    found = films([Path(path) for path in paths])
    if not found:
        raise ValueError(f"no films below {', '.join(str(path) for path in paths)}")
    files = {name: str(Path(str(options[name])).absolute()) for name in ("depth", "recogniser") if name in options}
    options |= files  # a plan means the same wherever it is gone on with from
    known: list[tuple[Path, list[int]]] = []
    jobs: list[Job] = []
    chosen = found[:count] if count else found
    seen = dict[int, list[int]]()
    for at, marks in each(looks, chosen, min(workers, len(chosen))) if workers else enumerate(map(looks, chosen)):
        seen[at] = [] if isinstance(marks, Gone) else marks
        told(len(seen), len(chosen))
    for number, path in enumerate(chosen):
        more: dict[str, str | float | int | bool] = {"path": str(path.absolute())}
        marks = seen[number]
        twin = next((other for other, theirs in known if copies(marks, theirs) and copies(theirs, marks)), None)
        if twin is None:
            known.append((path, marks))
        else:
            more["copy"] = twin.name
        jobs.append(Job(NAME, number, seed, seconds, {**options, **more}))
    return jobs


def _check(options: Mapping[str, str | float | int | bool]) -> None:
    if unknown := sorted(set(options) - set(OPTIONS)):
        raise ValueError(f"expected options of video out of {', '.join(OPTIONS)}, got {', '.join(unknown)}")
    if options.get("poses", "try") not in POSES:
        raise ValueError(f"expected poses to be one of {', '.join(POSES)}, got {options['poses']!r}")
    for name, low, high in (("width", SMALLEST, LARGEST), ("height", SMALLEST, LARGEST), ("again", 0, 100)):
        value = options.get(name, low)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"expected {name} as a whole number from {low} to {high}, got {value!r}")
    if "depth" in options and not (Path(str(options["depth"])) / "config.json").is_file():
        raise ValueError(f"expected depth to be a folder of weights, with its config.json, got {options['depth']}")
    if "recogniser" in options and not is_zipfile(str(options["recogniser"])):  # as torch keeps things
        raise ValueError(
            f"expected recogniser to be a file that `perdure eval recogniser` kept, got {options['recogniser']}"
        )
    if options.get("again") and ("depth" not in options or options.get("poses", "try") == "no"):
        raise ValueError("films are seen again only with poses and depth: name a model's folder by depth=FOLDER")
    if options.get("poses", "try") != "no" and find_spec("pycolmap") is None:
        raise ValueError("camera poses of films need pycolmap: pip install 'perdure[video]', or say poses=no")


def make(job: Job) -> Iterator[Clip | Skipped]:
    """The clips of a film, and in a clip's place why there is none of a piece of it."""
    path = Path(str(job.options["path"]))
    if "copy" in job.options:
        raise Skipped(f"{path.name}: duplicate: the same film as {job.options['copy']}")
    film = describe(path)
    spans = list(cut(shots(thumbnails(path)), job.seconds))
    if not spans:
        raise Skipped(f"{path.name}: length: no shot of {SHORTEST:g} s in it")
    size = int(job.options.get("width", SIZE[0])), int(job.options.get("height", SIZE[1]))
    seen: list[tuple[int, ...]] = []
    stream, at = pictures(path), 0
    for number, span in enumerate(spans):
        where = f"{path.name} at {span.start / FRAMES_PER_SECOND:.1f} s"
        picker, frames, large = Picker(), list[NDArray[np.uint8]](), list[NDArray[np.uint8]]()
        for picture in islice(stream, span.start - at, span.stop - at):
            frames.append(picture.sized(size))
            if job.options.get("poses", "try") != "no" and picker(len(frames) - 1, frames[-1]):
                large.append(picture.sized((max(WIDTH, size[0]), max(WIDTH, size[0]) * size[1] // size[0])))
        at = span.stop
        rgb = np.stack(frames)
        it = profile(rgb, film.height, kept(film, size))
        why = verdict(it, Limits(height=min(Limits.height, size[1])))
        if why is None and any(copies(it.hashes, other) for other in seen):
            why = "duplicate: like an earlier piece of this film"
        if why is not None:
            yield Skipped(f"{where}: {why}")
            continue
        seen.append(it.hashes)
        try:
            clip = _clip(job, film, number, span, rgb, large, picker.numbers, it.tags())
            yield (
                clip if "recogniser" not in job.options else _recogniser(str(job.options["recogniser"])).labelled(clip)
            )
            if job.options.get("again") and clip.depth is not None:
                yield from again(clip, job.seed, int(job.options["again"]))
        except Skipped as why:
            yield Skipped(f"{where}: {why}")


def _clip(job: Job, film: Film, number: int, span: Shot, rgb: NDArray[np.uint8], large: list[NDArray[np.uint8]],
          numbers: list[int], numbers_known: dict[str, str]) -> Clip:  # fmt: skip
    name = f"video-{job.number:06d}-{number:03d}"
    tags = numbers_known | {
        "file": film.path.name, "codec": film.codec, "source_fps": f"{film.fps:.3f}",
        "source_size": f"{film.width}x{film.height}", "from_second": f"{span.start / FRAMES_PER_SECOND:.3f}",
    }  # fmt: skip
    licence = str(job.options.get("licence", LICENCE))
    wanted = job.options.get("poses", "try")
    if wanted != "no":
        try:
            it = structure(large, numbers, (rgb.shape[2], rgb.shape[1]))
            whole = (it.stop - it.start) // FRAMES_PER_CHUNK * FRAMES_PER_CHUNK
            if whole < SHORTEST * FRAMES_PER_SECOND:
                raise Collapsed(f"they hold for {whole / FRAMES_PER_SECOND:.1f} s only")
            poses, rgb = it.poses[:whole], rgb[it.start : it.start + whole]
            depth = None
            if "depth" in job.options:
                depth = ports.depths(rgb, poses, it.intrinsics, it.points, _estimator(str(job.options["depth"])))
                tags["depth"] = "a model's, fitted to points"
            return Clip(
                name, NAME, licence, float(FRAMES_PER_SECOND), rgb, seed=job.seed, depth=depth,
                intrinsics=it.intrinsics, poses=poses, actions=tuple(pressed(poses)), tags=tags | it.tags(),
            )  # fmt: skip
        except Collapsed as why:
            if wanted == "need":
                raise Collapsed(f"poses: {why}") from None
            tags["poses"] = f"none: {why}"
    return Clip(name, NAME, licence, float(FRAMES_PER_SECOND), rgb, seed=job.seed, tags=tags)


@lru_cache(maxsize=1)
def _recogniser(path: str) -> Any:
    # By its name: torch comes with it, which a film that nobody labels does not need.
    return import_module("perdure.data.video.recogniser").Recogniser.load(Path(path))


@lru_cache(maxsize=1)
def _estimator(folder: str) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    return ports.depth(Path(folder))


def pressed(poses: NDArray[np.float64]) -> list[Action]:
    """Keys and mouse of the nearest walk along poses (N, 4, 4); before the first it went as after it."""
    before = poses[0] @ invert(poses[1]) @ poses[0]
    return keys_from_poses(np.concatenate([before[None], poses]))


def cut(found: Sequence[Shot], seconds: float) -> Iterator[Shot]:
    """Shots as pieces of `seconds` at most, equally long, of whole chunks; what is too short falls away."""
    most = int(min(max(seconds, SHORTEST), LONGEST) * FRAMES_PER_SECOND)
    for shot in found:
        length = shot.stop - shot.start
        parts = -(-length // most)
        each = length // parts // FRAMES_PER_CHUNK * FRAMES_PER_CHUNK
        if each >= SHORTEST * FRAMES_PER_SECOND:
            yield from (Shot(shot.start + i * each, shot.start + (i + 1) * each) for i in range(parts))


def looks(path: Path) -> list[int]:
    """Marks by which copies of a film know each other; none of what cannot be read, which is told when it is made."""
    try:
        return [fingerprint(frame) for frame in glimpses(path, LOOKS)]
    except Skipped:
        return []
