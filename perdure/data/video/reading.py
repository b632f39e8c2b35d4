"""Reading video: any file that PyAV opens, as upright pictures of one size at 24 a second.

The chunk of four frames is a sixth of a second everywhere, so a film is taken at 24: each picture is the frame
that is nearest in time, whatever rate the film has or varies to. The whole picture is kept in its proportions and
what sticks out over the asked size is cropped, half on either side; bars would be lies about what a camera saw.

Shapes: N frames, H height, W width.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.data.clip import Skipped
from perdure.world.action import FRAMES_PER_SECOND

Frames = NDArray[np.uint8]  # (N, H, W, 3)

ENDINGS = (".mp4", ".webm", ".mov", ".m4v", ".mkv", ".avi")
THUMBNAIL = 48, 27  # width and height that cuts are looked for at
HOLE = 2.0  # seconds between two frames that are no slow frame but a hole: what comes after follows at once


@dataclass(frozen=True)
class Film:
    """What a file says of itself, as it is to be shown."""

    path: Path
    width: int  # upright, with square pixels
    height: int
    fps: float  # of the source, on average
    codec: str


@dataclass(frozen=True)
class Box:
    """A part of a picture, in shares of it: what lies between."""

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0


def films(paths: list[Path]) -> list[Path]:
    """All films among files and below folders, by name."""
    found: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise ValueError(f"expected a film or a folder of films, got {path}, which is not there")
        inside = path.rglob("*") if path.is_dir() else [path]
        found |= {p for p in inside if p.is_file() and (p == path or p.suffix.lower() in ENDINGS)}
    return sorted(found)


def describe(path: Path) -> Film:
    """What a film is; `Skipped` says why it cannot be read."""
    with _opened(path) as (container, stream):
        frame = next(_decoded(path, container, stream), None)
        if frame is None:
            raise Skipped(f"{path.name}: there is no picture in it")
        width, height = _upright(frame, stream)
        fps = float(stream.average_rate or stream.guessed_rate or 0)
        return Film(path, width, height, fps, str(stream.codec_context.name))


@dataclass(frozen=True)
class Seen:
    """One picture of a film, not yet unpacked."""

    frame: Any
    stream: Any

    def sized(self, size: tuple[int, int], box: Box = Box()) -> NDArray[np.uint8]:
        """(H, W, 3) upright, the middle of what counts of it, at `size` (width, height)."""
        return _fitted(self.frame, self.stream, size, box)

    def small(self) -> NDArray[np.uint8]:
        """(27, 48, 3) all of it, as whoever looks for cuts wants it."""
        return self.frame.reformat(*THUMBNAIL, "rgb24").to_ndarray()


def pictures(path: Path) -> Iterator[Seen]:
    """The pictures of a film, 24 a second. A file that breaks off gives what comes before."""
    return (Seen(*each) for each in _nearest(path))


def frames(path: Path, size: tuple[int, int], start: int = 0, stop: int | None = None) -> Frames:
    """(N, H, W, 3) the pictures `start` up to `stop`."""
    found = [seen.sized(size) for seen in islice(pictures(path), start, stop)]
    return np.stack(found) if found else np.empty((0, size[1], size[0], 3), np.uint8)


def thumbnails(path: Path) -> Frames:
    """(N, 27, 48, 3) a whole film small: what cuts are found in. 4 KB a frame."""
    found = [seen.small() for seen in pictures(path)]
    return np.stack(found) if found else np.empty((0, *THUMBNAIL[::-1], 3), np.uint8)


def glimpses(path: Path, shares: Sequence[float]) -> list[NDArray[np.uint8]]:
    """(27, 48, 3) thumbnails at shares of a film's length, found without reading all of it."""
    with _opened(path) as (container, stream):
        begin = (stream.start_time or 0) * stream.time_base
        length = stream.duration * stream.time_base if stream.duration else Fraction(container.duration or 0, 10**6)
        out = []
        for share in shares:
            wanted = begin + Fraction(share).limit_denominator(100) * length
            container.seek(int(wanted / stream.time_base), stream=stream)
            frame = None
            for frame in _decoded(path, container, stream):
                if frame.pts is None or frame.pts * stream.time_base >= wanted:
                    break
            if frame is not None:
                out.append(Seen(frame, stream).small())
        return out


class _opened:
    """A container and its first video stream; what PyAV raises becomes `Skipped`, named by the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> tuple[Any, Any]:
        av = video_library()
        if not self.path.stat().st_size:
            raise Skipped(f"{self.path.name}: the file is empty")
        try:
            self.container = av.open(str(self.path))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise Skipped(f"{self.path.name}: not a video that can be read ({_reason(error)})") from None
        if not self.container.streams.video:
            self.container.close()
            raise Skipped(f"{self.path.name}: there is no picture in it")
        stream = self.container.streams.video[0]
        stream.codec_context.thread_count = 1  # as many as there are workers is enough
        return self.container, stream

    def __exit__(self, *_: object) -> None:
        self.container.close()


def video_library() -> Any:
    try:
        import av
        import av.error
    except ModuleNotFoundError:
        raise ValueError("reading video needs PyAV: pip install 'perdure[data]'") from None
    return av


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _decoded(path: Path, container: Any, stream: Any) -> Iterator[Any]:
    """All frames that decode; a film that breaks off ends there, one that never begins is skipped."""
    av = video_library()
    any_yet = False
    try:
        for frame in container.decode(stream):
            if not frame.is_corrupt:
                any_yet = True
                yield frame
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if not any_yet:
            raise Skipped(f"{path.name}: no frame of it can be decoded ({_reason(error)})") from None


def _nearest(path: Path) -> Iterator[tuple[Any, Any]]:
    """The frame that is nearest to each 24th of a second, and the stream."""
    with _opened(path) as (container, stream):
        usual = 1 / Fraction(stream.average_rate or stream.guessed_rate or FRAMES_PER_SECOND)
        last, at, seen, due = None, Fraction(0), Fraction(0), 0
        for frame in _decoded(path, container, stream):
            stamp = seen + usual if frame.pts is None else frame.pts * stream.time_base
            # Time that stands, goes back or leaps is a fault of the file, or a splice.
            step = stamp - seen if 0 < stamp - seen <= Fraction(HOLE) else usual
            seen = stamp
            if last is not None:
                while Fraction(due, FRAMES_PER_SECOND) <= at + step / 2:
                    yield last, stream
                    due += 1
                at += step
            last = frame
        while last is not None and Fraction(due, FRAMES_PER_SECOND) < at + usual:
            yield last, stream
            due += 1


def _turns(frame: Any) -> int:
    """Quarter turns, counter-clockwise, that set a frame upright."""
    return round(getattr(frame, "rotation", 0) / 90) % 4


def _upright(frame: Any, stream: Any) -> tuple[int, int]:
    """Width and height as shown."""
    pixel = float(stream.sample_aspect_ratio or 1)
    width, height = (round(frame.width * pixel), frame.height) if pixel > 0 else (frame.width, frame.height)
    return (height, width) if _turns(frame) % 2 else (width, height)


def _fitted(frame: Any, stream: Any, size: tuple[int, int], box: Box) -> NDArray[np.uint8]:
    """(H, W, 3) the middle of what counts of a frame, upright."""
    width, height = _upright(frame, stream)
    part = width * (box.right - box.left), height * (box.bottom - box.top)
    scale = max(size[0] / part[0], size[1] / part[1])
    whole = max(size[0], round(width * scale)), max(size[1], round(height * scale))
    turns = _turns(frame)
    raw = whole[::-1] if turns % 2 else whole
    # Area averages when a picture shrinks: nothing flickers that lies between the pixels.
    picture = frame.reformat(raw[0], raw[1], "rgb24", interpolation="AREA" if scale < 1 else "BICUBIC").to_ndarray()
    picture = np.rot90(picture, turns)
    x = round(whole[0] * 0.5 * (box.left + box.right) - 0.5 * size[0])
    y = round(whole[1] * 0.5 * (box.top + box.bottom) - 0.5 * size[1])
    x, y = min(max(x, 0), whole[0] - size[0]), min(max(y, 0), whole[1] - size[1])
    return np.ascontiguousarray(picture[y : y + size[1], x : x + size[0]])


def kept(film: Film, size: tuple[int, int], box: Box = Box()) -> float:
    """The share of a film's picture that is left when it is cropped to `size`."""
    aspect = film.width * (box.right - box.left) / (film.height * (box.bottom - box.top)) / (size[0] / size[1])
    return min(aspect, 1 / aspect)
