"""A world's folder: its name, its one writer, and the disk that it lies on."""

import errno
import fcntl
import os
import re
import sqlite3
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Kinds of file systems, and of helpers of FUSE (`fuse.sshfs`), behind which other machines may be.
_NETWORK = {
    *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "curlftpfs", "davfs", "davfs2", "gcsfuse", "gfs2", "glusterfs"),
    *("juicefs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "rclone", "s3fs", "smb3", "smbfs"),
    *("sshfs", "virtiofs"),
}


def home() -> Path:
    """Where worlds are kept: $PERDURE_HOME, or ~/.perdure/worlds."""
    named = os.environ.get("PERDURE_HOME")
    return Path(named) if named else Path.home() / ".perdure" / "worlds"


def check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"expected letters, digits, '-', '_' or '.' as the name of a {what}, got {name!r}")


def files(folder: Path) -> list[os.stat_result]:
    """Of its files that are there: SQLite's own go when whoever reads beside us closes."""
    found: list[os.stat_result] = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            found.append(path.stat())
    return [it for it in found if S_ISREG(it.st_mode)]


def lock(folder: Path) -> int:
    """The open lock file, locked by this process, or a `ValueError` that names the one that has it."""
    with writing(folder.name):
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(handle, 500).decode(errors="replace").strip() or "another process"
        os.close(handle)
        raise ValueError(f"{folder.name} is open for writing in {holder}: close it there, or open it to read") from None
    try:
        with writing(folder.name):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} ({' '.join(sys.argv)[:300]})\n".encode(), 0)
    except BaseException:
        unlock(handle)
        raise
    return handle


def unlock(handle: int) -> None:
    """Give a lock back, even while a process that another thread is just starting still has our files; but not that of
    a process that we were forked from."""
    if os.pread(handle, 500, 0).startswith(f"process {os.getpid()} ".encode()):
        fcntl.flock(handle, fcntl.LOCK_UN)
    os.close(handle)


def holder(folder: Path, locks: Path = Path("/proc/locks")) -> str:
    """Who writes to a world now, as `lock` has it; nothing where nobody does, or nobody tells. It locks nothing."""
    try:
        inode = str((folder / "lock").stat().st_ino)
        lines = [line.split() for line in locks.read_text().splitlines()]
        held = any(it[1] == "FLOCK" and it[5].rpartition(":")[2] == inode for it in lines)
        return (folder / "lock").read_text(errors="replace").strip() if held else ""
    except (OSError, IndexError):
        return ""


@contextmanager
def writing(name: str) -> Generator[None]:
    """Say what to do where the disk did not take what was to be written; what was written before is whole."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        code = getattr(error, "errno", None)
        full = code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "full" in str(error)
        read_only = code in (errno.EACCES, errno.EPERM, errno.EROFS) or "readonly" in str(error)
        remedy = "free some space, then go on from there" if full else "see to the disk, then go on from there"
        remedy = "open it to read, or see to its permissions" if read_only else remedy
        raise ValueError(f"{name} could not be written ({error}) and stays as it was: {remedy}") from error


def refuse_network(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> None:
    """Raise `ValueError` where a folder lies on a file system that other machines may write to.

    Neither its locks nor its syncs are sure to hold there, and SQLite's log is shared memory, which they do not share.
    """
    try:
        table = mounts.read_text(errors="replace")
    except OSError:
        return  # not Linux: nobody tells
    kind, point = filesystem(folder, table)
    base, _, helper = kind.partition(".")
    if base in _NETWORK or helper in _NETWORK:
        raise ValueError(
            f"expected a disk of this machine for {folder.name}, got {kind} at {point}: its locks and syncs cannot be "
            f"trusted with a world; keep it on a local disk (PERDURE_HOME) and copy it with `perdure export`"
        )


def filesystem(folder: Path, table: str) -> tuple[str, str]:
    """The kind of file system that a folder lies on, and where that is mounted, by the lines of `mountinfo`."""
    path, best = os.path.realpath(folder), ("", "")
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), before.split()[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[1]):  # of two at one place, the later lies over the earlier
            best = after.split()[0], point
    return best
