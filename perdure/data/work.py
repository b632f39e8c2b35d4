"""The work on one job, wherever it is done: clips out of a source, into a part of a shard.

A part is a file of tar members, and a record beside it, which says that it is whole. Both have names by the number
of the job and bytes by the job alone, so that it does not matter who did the work, or whether it was done twice.
"""

import errno
import hashlib
import os
import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from perdure.data import shards
from perdure.data.captions import caption
from perdure.data.clip import LONGEST, SHORTEST, Clip, Job, Skipped
from perdure.data.processes import Broken
from perdure.data.profile import Row, profile
from perdure.data.sources import source
from perdure.world.action import FRAMES_PER_CHUNK

PARTS = ".jobs"
"""The folder, in that of the data set, where parts and records are."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


Noted = TypeVar("Noted")


class Kept(msgspec.Struct, frozen=True):
    """What a record says of a clip."""

    name: str
    source: str
    licence: str
    seed: int | None
    frames: int
    fps: float
    size: int  # bytes in the shard
    profile: dict[str, Any] = {}

    @property
    def seconds(self) -> float:
        return self.frames / self.fps


class Lost(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was skipped, and why."""

    job: int
    what: str
    why: str
    again: bool = False  # it befell the process, not the clip: the next run tries it again


class Record(msgspec.Struct, frozen=True):
    job: int
    clips: tuple[Kept, ...] = ()
    skipped: tuple[Lost, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of its part."""
        return sum(clip.size for clip in self.clips)

    @property
    def again(self) -> bool:
        return any(lost.again for lost in self.skipped)


class Shard(msgspec.Struct, frozen=True):
    """What a report says of a shard, and what is written beside the parts as long as there is one."""

    name: str
    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "Shard":
        with path.open("rb") as file:
            return cls(path.name, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def part_of(folder: Path, number: int) -> Path:
    return folder / PARTS / f"{number:06d}.part"


def size_of(folder: Path, number: int) -> int:
    """Bytes of a part; -1 where there is none."""
    try:
        return part_of(folder, number).stat().st_size
    except FileNotFoundError:
        return -1


def record_of(folder: Path, number: int) -> Path:
    return folder / PARTS / f"{number:06d}.json"


def read_record(folder: Path, number: int) -> Record | None:
    return _read(record_of(folder, number), Record)


def write_record(folder: Path, record: Record) -> None:
    with replacing(record_of(folder, record.job)) as beside:
        beside.write_bytes(msgspec.json.encode(record))


def called(job: Job) -> str:
    """How a report names a job."""
    path = job.options.get("path")
    return f"{job.source}-{job.number:06d}" + (f" ({Path(str(path)).name})" if path else "")


def work(job: Job, folder: Path) -> Record:
    """Do a job: what goes wrong in it is in its record, and only what would go wrong again is raised, as `Broken`."""
    kept, lost = list[Kept](), list[Lost]()
    with replacing(part_of(folder, job.number)) as beside, beside.open("wb") as out:
        for item in _tried(job):
            if isinstance(item, Lost):
                lost.append(item)
                continue
            clip, files, row = item
            size = shards.append(out, clip.name, files)
            n = len(clip.rgb)
            kept.append(Kept(clip.name, clip.source, clip.licence, clip.seed, n, float(clip.fps), size, row))
    record = Record(job.number, tuple(kept), tuple(lost))
    write_record(folder, record)
    return record


def _tried(job: Job) -> Iterator[tuple[Clip, dict[str, bytes], Row] | Lost]:
    """The clips of a job as files, captioned and profiled, and what was skipped."""
    name = called(job)
    try:
        for item in source(job.source).make(job):
            if isinstance(item, Skipped):
                yield Lost(job.number, item.what or name, str(item))
            elif why := unfit(item):
                yield Lost(job.number, item.name, why)
            else:
                if item.captions is None and (captions := caption(item)) is not None:
                    item = replace(item, captions=captions)
                yield item, shards.files(item), profile(item)
    except Skipped as skipped:
        yield Lost(job.number, skipped.what or name, str(skipped))
    except ModuleNotFoundError as error:
        raise Broken(f"the source {job.source} needs {error.name}, which is not installed") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise Broken(str(error)) from error
        where = traceback.extract_tb(error.__traceback__)[-1]
        says = str(error) or "no more is said"
        why = f"{type(error).__name__}: {says} ({Path(where.filename).name}:{where.lineno})"
        yield Lost(job.number, name, why, again=isinstance(error, MemoryError))


def unfit(clip: Clip) -> str:
    """Why a clip has no place in a data set; nothing if it has."""
    room = FRAMES_PER_CHUNK / clip.fps
    if not SHORTEST - room < clip.seconds < LONGEST + room:
        return f"lasts {clip.seconds:.1f} s, expected {SHORTEST:.0f} to {LONGEST:.0f}"
    return ""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` when all went well, and of nothing otherwise."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        yield beside
        beside.replace(path)
    except OSError as error:
        if error.errno in FULL:
            raise Broken(str(error)) from error
        raise
    finally:
        beside.unlink(missing_ok=True)


def halves(folder: Path) -> list[Path]:
    """What `replacing` has left half written in a folder, where its process was killed."""
    return [path for path in folder.glob("*.new") if _HALF.fullmatch(path.name) and path.is_file()]


_HALF = re.compile(r".+\.\d+\.new")


def joined(folder: Path, records: Sequence[Record], path: Path) -> Shard:
    """Parts become a shard. What it is to be is noted before it is there: one that is otherwise is damaged."""
    with replacing(path) as beside:
        with beside.open("wb") as out:
            for record in records:
                if record.clips:
                    with part_of(folder, record.job).open("rb") as part:
                        while block := part.read(1 << 20):
                            out.write(block)
            shards.close(out)
        shard = msgspec.structs.replace(Shard.of(beside), name=path.name)
        note(folder, shard)
    return shard


def parted(folder: Path, records: Sequence[Record], path: Path) -> list[Record]:
    """A shard becomes parts again, for others to join them; gives the records as they are then."""
    places, out = dict(shards.places(path)), list[Record]()
    for record in records:
        sizes = dict[str, int]()
        with replacing(part_of(folder, record.job)) as beside, beside.open("wb") as part:
            for clip in record.clips:
                files = {kind: shards.taken(place) for kind, place in places[clip.name].items()}
                sizes[clip.name] = shards.append(part, clip.name, files)
        changed = [msgspec.structs.replace(clip, size=sizes[clip.name]) for clip in record.clips]
        out.append(msgspec.structs.replace(record, clips=tuple(changed)))
        write_record(folder, out[-1])
    path.unlink()
    return out


def note(folder: Path, shard: Shard) -> None:
    with replacing(_note_of(folder, shard.name)) as beside:
        beside.write_bytes(msgspec.json.encode(shard))


def noted(folder: Path, name: str) -> Shard | None:
    """What a shard is to be, if that was noted."""
    return _read(_note_of(folder, name), Shard)


def _read(path: Path, kind: type[Noted]) -> Noted | None:
    """None where there is none, or one that was cut short."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _note_of(folder: Path, name: str) -> Path:
    return folder / PARTS / f"{name}.json"
