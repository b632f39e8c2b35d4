"""Shards: clips in WebDataset's tar files, a file for each kind of thing that is known.

    NAME.json         all in words and numbers: `Sheet`
    NAME.mp4          frames: H.264 with colour at full resolution, about 41 dB from what was painted
    NAME.depth.mkv    depth: FFV1, 16 bits, millimetres along z
    NAME.entity.mkv   entity map: FFV1, 8 bits
    NAME.npz          poses, and states as `states/ENTITY/NAME`

What a clip does not know has no file. Equal clips have equal bytes: no file holds a time, and one thread encodes.

Shapes: N frames, H W frame size.
"""

import io
import os
import platform
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path as File
from typing import Any, BinaryIO

import av
import msgspec
import numpy as np
from av.codec.context import Flags
from numpy.typing import NDArray

from perdure.camera import Intrinsics
from perdure.data.clip import Actor, Captions, Clip, Moment, Recipe
from perdure.data.sources import source
from perdure.world.action import Action, Hand, Path, Word
from perdure.world.edit import Edit
from perdure.world.geometry import MILLIMETRES
from perdure.world.state import World

# Measured on walks through courts, halls and rooms: 40 to 42 dB at 2.7 to 4.4 kB a frame. With colour at half the
# resolution the size is the same and the loss 6 dB greater; slower presets gain 1 dB and take twice the time.
PICTURES = {"crf": "10", "preset": "faster", "g": "48"}
if platform.machine() in ("x86_64", "AMD64"):
    # With AVX-512 x264 reads past frames whose sizes are no multiples of 16, so that equal frames gave other bytes.
    PICTURES["x264-params"] = "asm=SSE4.2"
LOSSLESS = {"level": "3", "coder": "1", "context": "0", "g": "24", "slices": "4"}
BLOCK, RECORD = 512, 10240  # bytes that tar counts in


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """An action as it is written down."""

    keys: int = 0
    turn: float = 0.0
    tilt: float = 0.0
    hand: Hand = Hand.NONE
    words: tuple[Word, ...] = ()
    events: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    path: bytes | None = None

    @classmethod
    def of(cls, action: Action) -> "Said":
        path = None if action.path is None else action.path.payload
        a = action
        return cls(a.keys, a.turn, a.tilt, a.hand, a.words, a.events, a.edits, path)

    def action(self) -> Action:
        path = None if self.path is None else Path(self.path)
        return Action(self.keys, self.turn, self.tilt, self.hand, self.words, self.events, self.edits, path)


class Begun(msgspec.Struct, frozen=True):
    """A recipe as it is written down."""

    data: dict[str, Any]
    state: str


class Sheet(msgspec.Struct, frozen=True, omit_defaults=True):
    """All of a clip but its arrays: what one reads to choose by, quickly."""

    name: str
    source: str
    licence: str
    fps: float
    frames: int
    width: int
    height: int
    seed: int | None = None
    view: str = ""
    intrinsics: tuple[float, float, float, float] | None = None  # fx, fy, cx, cy in pixels
    actions: tuple[Said, ...] | None = None
    cast: tuple[Actor, ...] = ()
    commands: dict[int, tuple[str, ...]] = {}
    events: tuple[Moment, ...] = ()
    captions: Captions | None = None
    tags: dict[str, str] = {}
    recipe: Begun | None = None

    @property
    def seconds(self) -> float:
        return self.frames / self.fps

    @classmethod
    def of(cls, clip: Clip) -> "Sheet":
        lens, n = clip.intrinsics, len(clip.rgb)
        return cls(
            name=clip.name,
            source=clip.source,
            licence=clip.licence,
            fps=float(clip.fps),
            frames=n,
            width=clip.rgb.shape[2],
            height=clip.rgb.shape[1],
            seed=clip.seed,
            view=clip.view,
            intrinsics=None if lens is None else (lens.fx, lens.fy, lens.cx, lens.cy),
            actions=None if clip.actions is None else tuple(map(Said.of, clip.actions)),
            cast=clip.cast,
            commands={int(entity): clip.commands[entity] for entity in sorted(clip.commands)},
            events=clip.events,
            captions=clip.captions,
            tags={key: clip.tags[key] for key in sorted(clip.tags)},
            recipe=None if clip.recipe is None else Begun(dict(clip.recipe.data), clip.recipe.state),
        )

    @classmethod
    def from_json(cls, payload: bytes) -> "Sheet":
        return msgspec.json.decode(payload, type=cls)

    def to_json(self) -> bytes:
        return msgspec.json.encode(self, enc_hook=_plain)


def _plain(value: Any) -> Any:
    """A number of numpy as one of Python, which recipes and the like may hold unawares."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"expected plain data in a clip, got a {type(value).__name__}: {value!r}")


# A clip in files


def files(clip: Clip) -> dict[str, bytes]:
    """The files of a clip, by what follows its name."""
    out = {"json": Sheet.of(clip).to_json(), "mp4": encoded(clip.rgb, clip.fps, "mp4")}
    if clip.depth is not None:
        known = np.nan_to_num(clip.depth, nan=0.0, posinf=np.inf)
        millimetres = np.clip(np.rint(known * MILLIMETRES), 0, 65535).astype(np.uint16)
        out["depth.mkv"] = encoded(millimetres, clip.fps, "depth.mkv")
    if clip.entity is not None:
        out["entity.mkv"] = encoded(clip.entity, clip.fps, "entity.mkv")
    arrays: dict[str, Any] = {} if clip.poses is None else {"poses": clip.poses}
    for entity in sorted(clip.states):
        arrays |= {f"states/{entity}/{name}": values for name, values in sorted(clip.states[entity].items())}
    if arrays:
        packed = io.BytesIO()
        np.savez_compressed(packed, **arrays)  # numpy dates what it packs 1980
        out["npz"] = packed.getvalue()
    return out


def clip_of(files: Mapping[str, bytes], rgb: NDArray[np.uint8] | None = None) -> Clip:
    """The clip whose files these are; with `rgb` for its pictures, where those are decoded already."""
    sheet = Sheet.from_json(files["json"])
    depth = entity = None
    if "depth.mkv" in files:
        depth = decoded(files["depth.mkv"], "depth.mkv").astype(np.float32) / np.float32(MILLIMETRES)
    if "entity.mkv" in files:
        entity = decoded(files["entity.mkv"], "entity.mkv")
    poses, states = arrays_of(files)
    lens, begun = sheet.intrinsics, sheet.recipe
    return Clip(
        sheet.name,
        sheet.source,
        sheet.licence,
        sheet.fps,
        decoded(files["mp4"], "mp4") if rgb is None else rgb,
        seed=sheet.seed,
        view=sheet.view,
        intrinsics=None if lens is None else Intrinsics(sheet.width, sheet.height, *lens),
        poses=poses,
        depth=depth,
        entity=entity,
        actions=None if sheet.actions is None else tuple(said.action() for said in sheet.actions),
        cast=sheet.cast,
        commands=sheet.commands,
        states=states,
        events=sheet.events,
        captions=sheet.captions,
        tags=sheet.tags,
        recipe=None if begun is None else Recipe(begun.data, begun.state, partial(_begin, sheet.source)),
    )


def arrays_of(
    files: Mapping[str, bytes], only: str = ""
) -> tuple[NDArray[np.float64] | None, dict[int, dict[str, NDArray[Any]]]]:
    """Poses and states, without any picture; states `only` of that name, if one is said."""
    poses, states = None, dict[int, dict[str, NDArray[Any]]]()
    if "npz" in files:
        with np.load(io.BytesIO(files["npz"]), allow_pickle=False) as packed:
            for name in packed.files:
                if name == "poses":
                    poses = packed[name]
                else:
                    _, entity, what = name.split("/", 2)
                    if only in ("", what):
                        states.setdefault(int(entity), {})[what] = packed[name]
    return poses, states


def _begin(name: str, data: Mapping[str, Any]) -> World:
    return source(name).begin(data)


# Pictures

_KINDS = {  # container, codec, how pixels come in and how they are kept, options
    "mp4": ("mp4", "libx264", "rgb24", "yuv444p", PICTURES),
    "depth.mkv": ("matroska", "ffv1", "gray16le", "gray16le", LOSSLESS),
    "entity.mkv": ("matroska", "ffv1", "gray", "gray", LOSSLESS),
}


def encoded(frames: NDArray[Any], fps: float, kind: str) -> bytes:
    """Frames (N, H, W) or (N, H, W, 3) as a file."""
    form, codec, given, kept, options = _KINDS[kind]
    out = io.BytesIO()
    with av.open(out, "w", format=form, options={"fflags": "+bitexact"}) as container:
        stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=dict(options))
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], kept
        stream.codec_context.thread_count = 1
        stream.codec_context.flags |= Flags.bitexact
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=given)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return out.getvalue()


def decoded(payload: bytes, kind: str) -> NDArray[Any]:
    """What `encoded` was given, exactly where that is lossless."""
    with av.open(io.BytesIO(payload), "r") as container:
        return np.stack([frame.to_ndarray(format=_KINDS[kind][2]) for frame in container.decode(video=0)])


# Tar files


def append(out: BinaryIO, name: str, files: Mapping[str, bytes]) -> int:
    """Add a clip's files to a shard that is being written; gives the bytes written."""
    size = 0
    for kind in sorted(files, key=lambda kind: (kind != "json", kind)):
        entry = tarfile.TarInfo(f"{name}.{kind}")
        entry.size, entry.mode = len(files[kind]), 0o644
        size += out.write(entry.tobuf(tarfile.USTAR_FORMAT))
        size += out.write(files[kind])
        size += out.write(bytes(-len(files[kind]) % BLOCK))
    return size


def close(out: BinaryIO) -> None:
    """End a shard, as tar wants it."""
    out.write(bytes(2 * BLOCK))
    out.write(bytes(-out.tell() % RECORD))


def whole(size: int) -> int:
    """How long a shard is of which so many bytes are clips."""
    return -(-(size + 2 * BLOCK) // RECORD) * RECORD


def write(path: File, clips: Iterable[Clip]) -> None:
    """A whole shard at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        for clip in clips:
            append(out, clip.name, files(clip))
        close(out)


Place = tuple[File, int, int]
"""A shard, and where in it something begins and how long it is."""


def places(path: File) -> Iterator[tuple[str, dict[str, Place]]]:
    """The name of each clip of a shard, and where its files lie.

    Raises `ValueError` where it is damaged, once all before that was given: to tarfile a header that cannot be read is
    an end like any other.
    """
    name, found, end = "", dict[str, Place](), 0
    try:
        with tarfile.open(path, "r:") as tar:
            for entry in tar:
                whose, _, kind = entry.name.partition(".")
                if whose != name and found:
                    yield name, found
                    found = {}
                name, end = whose, entry.offset_data + -(-entry.size // BLOCK) * BLOCK
                found[kind] = path, entry.offset_data, entry.size
    except tarfile.TarError as error:
        raise ValueError(f"{path} is no shard that can be read ({error}): make it anew") from None
    if not found or not _ends(path, end):
        raise ValueError(f"{path} is damaged {end:,} bytes from its beginning: make it anew")
    yield name, found


def _ends(path: File, at: int) -> bool:
    """Whether nothing but the end of a tar comes there."""
    with path.open("rb") as file:
        file.seek(at)
        rest = file.read(RECORD + 2 * BLOCK)
        return len(rest) >= 2 * BLOCK and not any(rest) and not file.read(1)


def taken(place: Place) -> bytes:
    path, offset, size = place
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def relabel(
    path: File,
    change: Callable[[str, Mapping[str, Place]], Sheet | None],
    last: Callable[[File], object] = lambda beside: None,
) -> None:
    """Write a shard again with other sheets, where `change` gives one; all else stays as it is, to the byte. `last` is
    told what is to take its place, just before it does."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with beside.open("wb") as out:
            for name, found in places(path):
                kept = {kind: taken(place) for kind, place in found.items()}
                if (sheet := change(name, found)) is not None:
                    kept["json"] = sheet.to_json()
                append(out, name, kept)
            close(out)
        last(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
