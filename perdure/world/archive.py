"""One file that holds a world: what `export` writes and `import` opens.

A zip, so that anyone can look into it. Its first member, manifest.json, says what the others are, how long
and with which digests, and where each branch stands. Nothing of it is believed before it has been held to
that: a file from a stranger may be cut short, changed, or made to fill the disk or to write outside it.
"""

import errno
import hashlib
import os
import re
import shutil
import sqlite3
import stat
import struct
import zipfile
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from perdure import __version__
from perdure.world.check import Progress, check, quiet
from perdure.world.excerpt import excerpt
from perdure.world.folder import check_name, refuse_network
from perdure.world.rows import FORMAT, connect
from perdure.world.segment import Place, Segments, make_folder, sync_folder
from perdure.world.store import Store

ARCHIVE = 1  # how the zip is laid out; what lies in world.db has a format of its own
MANIFEST = "manifest.json"
DATABASE = "world.db"
LONGEST = 1 << 24  # bytes of a manifest
RATIO = 50  # worlds come to a fifth of their size at best: what promises more than this is no world
SLACK = 1 << 26  # bytes that any archive may come to
_CHUNK = 1 << 20
_MEMBER = re.compile(r"world\.db|\d{6}\.segment")
_STAMP = (1980, 1, 1, 0, 0, 0)  # of each member: the same world gives the same file on any day


class Member(msgspec.Struct, frozen=True):
    name: str
    size: int
    sha256: str


class End(msgspec.Struct, frozen=True):
    """Where a branch stands."""

    step: int
    state: str
    head: str


class Manifest(msgspec.Struct, frozen=True):
    archive: int
    format: int
    made_by: str
    name: str
    branches: dict[str, End]
    members: list[Member]


class _Version(msgspec.Struct, frozen=True):
    archive: int
    format: int


@dataclass(frozen=True)
class Imported:
    name: str
    folder: Path
    branches: Mapping[str, int]  # name -> steps made
    size: int  # bytes on the disk


def export(store: Store, file: Path, branches: Sequence[str] | None = None, progress: Progress = quiet) -> Manifest:
    """Write a world as it is now into one new file, all of it or some branches; it may be played meanwhile."""
    if branches is not None and not branches:
        raise ValueError("expected at least one branch to export")
    if file.exists():
        raise ValueError(f"{file} exists already: remove it, or say another name")
    if not file.parent.is_dir():
        raise ValueError(f"there is no folder {file.parent} to write {file.name} into: make it, or say another place")
    making = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with _told(f"{file} could not be written"):
            making.mkdir()
            copy, whole = making / store.folder.name, making / "archive.part"
            copy.mkdir()
            sources, manifest = _held(store.folder, copy, branches, progress)
            try:
                _pack(whole, manifest, sources, progress)
                os.rename(whole, file)
                sync_folder(file.parent)
            finally:
                for source in sources.values():
                    source.close()
        return manifest
    finally:
        shutil.rmtree(making, ignore_errors=True)


def import_(file: Path, home: Path, name: str | None = None, progress: Progress = quiet) -> Imported:
    """Bring the world of an archive into a home folder, whole or not at all."""
    try:
        archive = zipfile.ZipFile(file)
    except FileNotFoundError:
        raise ValueError(f"there is no file {file} to import") from None
    except _BROKEN as error:
        raise ValueError(f"{file} is not a whole archive of a world ({error}): {_AGAIN}") from None
    with archive:
        manifest = _read_manifest(archive, file)
        members = _checked_members(archive, manifest, file)
        name = name or manifest.name
        check_name("world", name)
        if (home / name).exists():
            raise ValueError(f"a world named {name!r} exists already in {home}: import it under another name")
        with _told(f"{file} could not be imported, and nothing was"):
            make_folder(home)
        refuse_network(home)
        total = sum(member.size for member in manifest.members)
        free = shutil.disk_usage(home).free
        if total > free:
            raise ValueError(f"{file} needs {total:,} bytes and {home} has {free:,} left: free some, then import again")
        making = home / f".{name}.{os.getpid()}"
        try:
            with _told(f"{file} could not be imported, and nothing was"):
                making.mkdir()
                _unpack(archive, file, manifest, members, making, progress)
                _verify(making, file, manifest, progress)
                if name != manifest.name:
                    _rename(making, name)
                sync_folder(making)
                making.rename(home / name)
                sync_folder(home)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
    steps = {branch: end.step for branch, end in manifest.branches.items()}
    return Imported(name, home / name, steps, total)


_AGAIN = "fetch or export it again"
# What zipfile raises where what a zip says of itself makes no sense.
_BROKEN = zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, OverflowError, RuntimeError, ValueError


@contextmanager
def _told(what: str) -> Generator[None]:
    """Say in one line why a disk did not take it."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "full" in str(error)
        remedy = "free some space" if full else "see to the disk and its permissions"
        raise ValueError(f"{what} ({error}): {remedy}, then try again") from error


# Writing


def _held(
    folder: Path, making: Path, branches: Sequence[str] | None, progress: Progress
) -> tuple[dict[str, IO[bytes]], Manifest]:
    """The members of one moment, open, and the manifest of them. A writer may go on, or even prune."""

    def copied(_: int, left: int, of: int) -> None:
        progress(0.2 * (1 - left / max(of, 1)), "copying the tables")

    for attempt in range(5):
        for path in making.iterdir():
            path.unlink()
        with closing(connect(folder)) as source, closing(sqlite3.connect(making / DATABASE)) as target:
            source.execute("BEGIN")  # one moment: a copy of what goes on begins anew with each commit of another's
            source.execute("SELECT count(*) FROM meta").fetchone()
            source.backup(target, pages=1024, progress=copied)
            target.execute("PRAGMA journal_mode = DELETE")
        needed = _segments(making).keys()
        try:
            if branches is None:
                for name in needed:
                    (making / name).symlink_to((folder / name).absolute())
            else:
                with closing(Segments(folder)) as segments:
                    excerpt(making, segments, branches, lambda _, what: progress(0.2, what))
            return _opened(making, progress)
        except (FileNotFoundError, ValueError):
            if attempt == 4 or all((folder / name).exists() for name in needed):
                raise  # not because segments were replaced meanwhile
    raise AssertionError("unreachable")


def _segments(folder: Path) -> dict[str, int]:
    """How much of each segment the tables in a folder name."""
    query = "SELECT segment, max(offset), length FROM records GROUP BY segment ORDER BY segment"
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        return {f"{row[0]:06d}.segment": Place(*row).end for row in db.execute(query)}


def _opened(folder: Path, progress: Progress) -> tuple[dict[str, IO[bytes]], Manifest]:
    """Members, which can be read once they are open, even when they have been unlinked."""
    sizes = {**_segments(folder), DATABASE: (folder / DATABASE).stat().st_size}
    sources: dict[str, IO[bytes]] = {}
    try:
        for name in sorted(sizes):
            sources[name] = (folder / name).open("rb")
        with closing(sqlite3.connect(folder / DATABASE)) as db:
            (found,) = map(int, db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone())
        with Store.open(folder, write=False, own=True) as copy:
            ends, name = _ends(copy), copy.summary().name
        members = [Member(n, size, _digest(sources[n], size, progress)) for n, size in sorted(sizes.items())]
        return sources, Manifest(ARCHIVE, found, __version__, name, ends, members)
    except BaseException:
        for file in sources.values():
            file.close()
        raise


def _ends(store: Store) -> dict[str, End]:
    ends: dict[str, End] = {}
    for branch in store.branches():
        lineage = store.rows.lineage(branch)
        row = store.rows.row(lineage, lineage.last)
        ends[branch] = End(row.step, row.state.hex(), row.head.hex())
    return ends


def _digest(file: IO[bytes], size: int, progress: Progress) -> str:
    digest, left = hashlib.sha256(), size
    file.seek(0)
    while left and (chunk := file.read(min(left, _CHUNK))):
        digest.update(chunk)
        left -= len(chunk)
        progress(0.2 + 0.2 * (1 - left / size), f"reading {Path(file.name).name}")
    if left:
        raise ValueError(f"{file.name} ends {left:,} bytes before its last record: see `perdure check`")
    return digest.hexdigest()


def _pack(path: Path, manifest: Manifest, sources: Mapping[str, IO[bytes]], progress: Progress) -> None:
    total, done = sum(member.size for member in manifest.members), 0
    with path.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr(_info(MANIFEST), msgspec.json.format(msgspec.json.encode(manifest)))
            for member in manifest.members:
                source, left = sources[member.name], member.size
                source.seek(0)
                with archive.open(_info(member.name), "w", force_zip64=True) as target:
                    while left:
                        chunk = source.read(min(left, _CHUNK))
                        target.write(chunk)
                        left -= len(chunk)
                        done += len(chunk)
                        progress(0.4 + 0.6 * done / total, f"packing {member.name}")
        file.flush()
        os.fsync(file.fileno())


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _STAMP)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


# Reading what a stranger may have written


def _read_manifest(archive: zipfile.ZipFile, file: Path) -> Manifest:
    infos = archive.infolist()
    if not infos or infos[0].filename != MANIFEST or infos[0].file_size > LONGEST:
        raise ValueError(f"{file} is not the archive of a world: expected one that `perdure export` wrote")
    text = b"".join(_read(archive, infos[0], file))
    try:
        version = msgspec.json.decode(text, type=_Version)
        if version.archive > ARCHIVE or version.format > FORMAT:
            raise ValueError(f"{file} was made by a newer Perdure, which alone can open it: pip install -U perdure")
        return msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError as error:
        wrong = f"{file} is not the archive of a world ({error})"
        raise ValueError(f"{wrong}: expected one that `perdure export` wrote") from None


def _checked_members(archive: zipfile.ZipFile, manifest: Manifest, file: Path) -> dict[str, zipfile.ZipInfo]:
    """Each member by name, once nothing about them is amiss that can be known before reading them."""

    def refuse(why: str) -> ValueError:
        return ValueError(f"{file} is refused: {why}; ask whoever made it for one that `perdure export` wrote")

    infos = archive.infolist()[1:]
    listed = {member.name: member for member in manifest.members}
    for member in manifest.members:
        if not _MEMBER.fullmatch(member.name):
            raise refuse(f"its manifest names {member.name!r}, which is no part of a world")
        if member.size < 0:
            raise refuse(f"its manifest says that {member.name} has {member.size} bytes")
    if len(listed) != len(manifest.members):
        raise refuse("its manifest names a member twice")
    for info in infos:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.filename not in listed:
            raise refuse(f"it has a member {info.filename!r} that its manifest does not name")
        if kind not in (0, stat.S_IFREG) or info.is_dir():
            raise refuse(f"{info.filename} is not a plain file")
        if info.flag_bits & 1:
            raise refuse(f"{info.filename} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise refuse(f"{info.filename} is packed in a way that is not known here")
        if info.file_size != listed[info.filename].size:
            expected = f"expected {listed[info.filename].size:,} bytes of {info.filename}"
            raise refuse(f"{expected}, got {info.file_size:,}")
    names = [info.filename for info in infos]
    if len(set(names)) != len(names):
        raise refuse("it has two members of one name")
    missing = sorted(listed.keys() - set(names))
    if missing or DATABASE not in listed:
        raise ValueError(f"{file} lacks {', '.join(missing) or DATABASE}: {_AGAIN}")
    total, packed = sum(member.size for member in manifest.members), file.stat().st_size
    if total > SLACK + RATIO * packed:
        raise refuse(f"its {packed:,} bytes would come to {total:,} on the disk, which no world does")
    return {info.filename: info for info in infos}


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, file: Path) -> Iterator[bytes]:
    """The bytes of a member, never more than it says that it has."""
    left = info.file_size
    try:
        with archive.open(info) as source:
            while left >= 0 and (chunk := source.read(min(_CHUNK, left + 1))):
                left -= len(chunk)
                if left >= 0:
                    yield chunk
    except _BROKEN as error:
        raise ValueError(f"{file} is damaged in {info.filename} ({error}): {_AGAIN}") from None
    if left < 0:
        raise ValueError(f"{file} is refused: {info.filename} is longer than it says")
    if left:
        raise ValueError(f"{file} is damaged: {info.filename} ends {left:,} bytes too soon: {_AGAIN}")


def _unpack(
    archive: zipfile.ZipFile,
    file: Path,
    manifest: Manifest,
    infos: Mapping[str, zipfile.ZipInfo],
    folder: Path,
    progress: Progress,
) -> None:
    total, done = sum(member.size for member in manifest.members) or 1, 0
    for member in manifest.members:
        digest = hashlib.sha256()
        with (folder / member.name).open("xb") as target:
            for chunk in _read(archive, infos[member.name], file):
                digest.update(chunk)
                target.write(chunk)
                done += len(chunk)
                progress(0.5 * done / total, f"unpacking {member.name}")
            target.flush()
            os.fsync(target.fileno())
        if digest.hexdigest() != member.sha256:
            raise ValueError(f"{file} is damaged: {member.name} is not what the manifest says: {_AGAIN}")


def _verify(folder: Path, file: Path, manifest: Manifest, progress: Progress) -> None:
    """Hold the world itself to its hashes, and to where the manifest says that each branch stands."""
    report = check(folder, lambda share, what: progress(0.5 + 0.5 * share, what))
    if report.faults:
        first = report.faults[0]
        raise ValueError(f"{file} holds a damaged world, in {first.where}: {first.what}; {_AGAIN}")
    with Store.open(folder, write=False) as store:
        found = _ends(store)
    if found != manifest.branches:
        raise ValueError(f"{file} is damaged: its branches do not stand where its manifest says: {_AGAIN}")


def _rename(folder: Path, name: str) -> None:
    with closing(sqlite3.connect(folder / DATABASE)) as db, db:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("UPDATE meta SET value = ? WHERE key = 'name'", (msgspec.json.encode(name).decode(),))
