"""Sees every write and sync of this process below a folder, and notes them in order.

    log = watch(folder)      # for the rest of this process's life

SQLite is seen through a VFS of its own kind: a copy of the one that it uses, made its default, whose
writes, syncs and lengths pass through here. It is put into the very library that Python's sqlite3
runs on, by `ctypes`, so no compiler and no tracer is needed. What Python itself does is seen in the
functions of `os`, and copies of files. Code that is watched need not know. What goes past both (a file
object's own writes) is not seen: so compare `Disk.whole` with the folder when all is done.
"""

import _sqlite3  # the module that is linked with the library meant
import ctypes
import os
import shutil
import stat
import threading
import traceback
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_int64, c_void_p, cast, string_at
from pathlib import Path
from typing import Any

from perdure.bench.disk import Op

_OK, _IOERR = 0, 10
_WRITTEN = 0x100 | 0x800 | 0x4000 | 0x80000  # SQLITE_OPEN_MAIN_DB, MAIN_JOURNAL, SUPER_JOURNAL, WAL

_Write = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Truncate = CFUNCTYPE(c_int, c_void_p, c_int64)
_Sync = CFUNCTYPE(c_int, c_void_p, c_int)
_Open = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_Delete = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
_OpenFolder = CFUNCTYPE(c_int, c_void_p, c_void_p)
_SetCall = CFUNCTYPE(c_int, c_void_p, c_char_p, c_void_p)
_GetCall = CFUNCTYPE(c_void_p, c_void_p, c_char_p)


class _Methods(Structure):
    """sqlite3_io_methods; those of later versions are copied with the rest."""

    _fields_ = (
        ("version", c_int),
        ("close", c_void_p),
        ("read", c_void_p),
        ("write", c_void_p),
        ("truncate", c_void_p),
        ("sync", c_void_p),
        ("others", c_void_p * 13),  # up to version 3
    )


class _Vfs(Structure):
    """sqlite3_vfs"""

    _fields_ = (
        ("version", c_int),
        ("file_size", c_int),
        ("longest", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
        ("others", c_void_p * 11),  # access .. current_time_int64
        ("set_call", c_void_p),
        ("get_call", c_void_p),
        ("next_call", c_void_p),
    )


class Log:
    """What was seen, in order. `say` adds a word of the process's own: the moments that it will be held to."""

    def __init__(self, root: Path) -> None:
        self.ops: list[Op] = []
        self.root = os.path.realpath(root)
        self.lock = threading.RLock()  # held while a thing is done and noted: so the order is the true one
        self._numbers: dict[int, int] = {}  # inode -> the file's number in the log
        self._count = 0

    def say(self, data: bytes) -> None:
        self.note("say", data=data)

    def note(
        self, kind: str, path: str = "", other: str = "", file: int = -1, offset: int = 0, data: bytes = b""
    ) -> None:
        with self.lock:
            self.ops.append(Op(kind, path, other, file, offset, data))

    def below(self, path: Any, folder: int | None = None) -> str | None:
        """The path within the folder watched, or None outside of it."""
        if isinstance(path, int):
            full = os.readlink(f"/proc/self/fd/{path}")
        else:
            full = os.fsdecode(path)
            base = os.getcwd() if folder is None else os.readlink(f"/proc/self/fd/{folder}")
            full = os.path.join(base, full)
            full = os.path.join(os.path.realpath(os.path.dirname(full)), os.path.basename(full))
        return os.path.relpath(full, self.root) if full == self.root or full.startswith(self.root + "/") else None

    def opened(self, path: str, inode: int, new: bool) -> int:
        """Note that a file was opened, if it was not known; its number."""
        if new or inode not in self._numbers:
            self._count += 1
            self._numbers[inode] = self._count
            self.note("create" if new else "found", path, file=self._count)
        return self._numbers[inode]

    def number(self, handle: int) -> int | None:
        """Of an open file that is watched."""
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or self.below(handle) is None:
            return None
        return self._numbers.get(found.st_ino)


def watch(root: Path) -> Log:
    log = Log(root)
    _watch_python(log)
    _watch_sqlite(log)
    return log


def _watch_python(log: Log) -> None:
    def around(name: str, seen: Callable[..., Any]) -> None:
        plain = getattr(os, name)

        def call(*args: Any, **named: Any) -> Any:
            with log.lock:
                return seen(plain, *args, **named)

        setattr(os, name, call)

    def open_(plain: Any, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        where = log.below(path, dir_fd)
        new = where is not None and not os.path.lexists(os.path.join(log.root, where))
        handle = plain(path, flags, mode, dir_fd=dir_fd)
        found = os.fstat(handle)
        if where is not None and stat.S_ISREG(found.st_mode):
            number = log.opened(where, found.st_ino, new)
            if flags & os.O_TRUNC and not new:
                log.note("length", file=number)
        return handle

    def write(plain: Any, handle: int, data: Any) -> int:
        number, at = log.number(handle), 0
        if number is not None:
            at = os.lseek(handle, 0, os.SEEK_CUR)
        written = plain(handle, data)
        if number is not None:
            log.note("write", file=number, offset=at, data=bytes(memoryview(data).cast("B")[:written]))
        return written

    def pwrite(plain: Any, handle: int, data: Any, at: int) -> int:
        written = plain(handle, data, at)
        number = log.number(handle)
        if number is not None:
            log.note("write", file=number, offset=at, data=bytes(memoryview(data).cast("B")[:written]))
        return written

    def ftruncate(plain: Any, handle: int, length: int) -> None:
        plain(handle, length)
        number = log.number(handle)
        if number is not None:
            log.note("length", file=number, offset=length)

    def fallocate(plain: Any, handle: int, at: int, length: int) -> None:
        plain(handle, at, length)
        number = log.number(handle)
        if number is not None:
            log.note("room", file=number, offset=at + length)

    def sync(plain: Any, handle: int) -> None:
        plain(handle)
        where, number = log.below(handle), log.number(handle)
        if number is not None:
            log.note("sync", where or "", file=number)
        elif where is not None and stat.S_ISDIR(os.fstat(handle).st_mode):
            log.note("names", where)

    def rename(plain: Any, source: Any, target: Any, **folders: int) -> None:
        old, new = log.below(source, folders.get("src_dir_fd")), log.below(target, folders.get("dst_dir_fd"))
        plain(source, target, **folders)
        if old is not None and new is not None:
            log.note("rename", old, new)

    def remove(plain: Any, path: Any, *, dir_fd: int | None = None) -> None:
        where = log.below(path, dir_fd)
        plain(path, dir_fd=dir_fd)
        if where is not None:
            log.note("remove", where)

    def make_folder(plain: Any, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        where = log.below(path, dir_fd)
        plain(path, mode, dir_fd=dir_fd)
        if where is not None:
            log.note("folder", where)

    def link(plain: Any, source: Any, target: Any, **named: Any) -> None:
        old, new = log.below(source, named.get("src_dir_fd")), log.below(target, named.get("dst_dir_fd"))
        plain(source, target, **named)
        if old is not None and new is not None:
            log.opened(old, os.stat(source).st_ino, False)
            log.note("link", old, new)

    copyfile = shutil.copyfile

    def copy(source: Any, target: Any, **named: Any) -> Any:
        with log.lock:
            where, new = log.below(target), not os.path.lexists(target)
            copyfile(source, target, **named)
            if where is not None:
                number = log.opened(where, os.stat(target).st_ino, new)
                log.note("length", file=number)
                log.note("write", file=number, data=Path(target).read_bytes())
        return target

    shutil.copyfile = copy
    around("link", link)
    around("open", open_)
    around("write", write)
    around("pwrite", pwrite)
    around("ftruncate", ftruncate)
    around("posix_fallocate", fallocate)
    for name in ("fsync", "fdatasync"):
        around(name, sync)
    for name in ("rename", "replace"):
        around(name, rename)
    for name in ("unlink", "remove", "rmdir"):
        around(name, remove)
    around("mkdir", make_folder)


_kept: list[Any] = []  # what SQLite points to from now on


def _watch_sqlite(log: Log) -> None:
    library = ctypes.CDLL(_sqlite3.__file__)
    try:
        find, register = library.sqlite3_vfs_find, library.sqlite3_vfs_register
    except AttributeError:
        raise ValueError("this Python hides its SQLite: run the bench with one that has it as a library") from None
    find.restype = POINTER(_Vfs)
    plain = find(None)
    vfs = _Vfs()
    ctypes.memmove(byref(vfs), plain, ctypes.sizeof(_Vfs))
    if vfs.version < 3 or vfs.name != b"unix":
        raise ValueError(f"expected SQLite's own way to the disk, named unix, got {vfs.name!r}")
    vfs.name = b"watched"
    plain_open, plain_delete = _Open(vfs.open), _Delete(vfs.delete)
    numbers: dict[int, tuple[int, str]] = {}  # an open sqlite3_file -> the file's number and path
    tables: dict[int, _Methods] = {}  # the plain methods -> ours

    def guarded(kind: Any, body: Callable[..., int]) -> Any:
        def call(*args: Any) -> int:
            try:
                with log.lock:
                    return body(*args)
            except BaseException:  # it cannot pass through SQLite
                traceback.print_exc()
                return _IOERR

        _kept.append(kind(call))
        return _kept[-1]

    def methods(address: int) -> _Methods:
        if address in tables:
            return tables[address]
        table = _Methods.from_buffer_copy(string_at(address, ctypes.sizeof(_Methods)))
        write, truncate, sync = _Write(table.write), _Truncate(table.truncate), _Sync(table.sync)

        def watched_write(file: int, data: int, length: int, at: int) -> int:
            result = write(file, data, length, at)
            if result == _OK:
                log.note("write", file=numbers[file][0], offset=at, data=string_at(data, length))
            return result

        def watched_truncate(file: int, length: int) -> int:
            result = truncate(file, length)
            if result == _OK:
                log.note("length", file=numbers[file][0], offset=length)
            return result

        def watched_sync(file: int, flags: int) -> int:
            result = sync(file, flags)
            if result == _OK:
                log.note("sync", numbers[file][1], file=numbers[file][0])
            return result

        for name, kind, body in (
            ("write", _Write, watched_write),
            ("truncate", _Truncate, watched_truncate),
            ("sync", _Sync, watched_sync),
        ):
            setattr(table, name, cast(guarded(kind, body), c_void_p))
        tables[address] = table
        return table

    # Names go through as the pointers that they are: SQLite keeps more behind the end of the string.
    def watched_open(_: int, name: int | None, file: int, flags: int, out: int) -> int:
        path = os.fsdecode(string_at(name)) if name else ""
        where = log.below(path) if flags & _WRITTEN else None
        new = not os.path.lexists(path)
        result = plain_open(ctypes.addressof(plain.contents), name, file, flags, out)
        if result == _OK and where is not None:
            numbers[file] = log.opened(where, os.stat(path).st_ino, new), where
            first = cast(file, POINTER(c_void_p))  # pMethods is all that a sqlite3_file begins with
            first[0] = ctypes.addressof(methods(first[0] or 0))
        return result

    def watched_delete(_: int, name: int, sync: int) -> int:
        path = os.fsdecode(string_at(name))
        where, there = log.below(path), os.path.lexists(path)
        result = plain_delete(ctypes.addressof(plain.contents), name, 0)
        if result == _OK and where is not None and there:
            log.note("remove", where)
            if sync:
                log.note("names", os.path.dirname(where) or ".")
        return result

    # How SQLite opens a folder; it does so to sync it, and for nothing else.
    get_call, set_call = _GetCall(vfs.get_call), _SetCall(vfs.set_call)
    plain_folder = _OpenFolder(get_call(ctypes.addressof(plain.contents), b"openDirectory"))

    def watched_folder(name: int, handle: int) -> int:
        result = plain_folder(name, handle)
        where = log.below(os.fsdecode(string_at(name)))
        if result == _OK and where is not None:
            log.note("names", os.path.dirname(where) or ".")
        return result

    vfs.open = cast(guarded(_Open, watched_open), c_void_p)
    vfs.delete = cast(guarded(_Delete, watched_delete), c_void_p)
    address = cast(guarded(_OpenFolder, watched_folder), c_void_p)
    set_call(ctypes.addressof(plain.contents), b"openDirectory", address)
    _kept.extend((library, vfs, tables, plain_open, plain_delete, plain_folder, get_call, set_call))
    register(byref(vfs), 1)
