"""A disk as it may be after the power went: what was synced is there; of the rest, anything may be.

It does what a process did, from a log (watch.py), and `left` draws one of the disks that a cut at
that moment may leave. Of each write that was not synced, each sector of 512 bytes got there or did
not; so it is whole, gone or torn, and may be there without those before it. Lengths of files change
in order, up to some point. New names, renames and removals that no sync of their folder covered are
each there or not. This is harsher than any one file system, on purpose.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import msgspec

SECTOR = 512
LIKELY = (0.0, 0.1, 0.5, 0.9, 1.0)  # that a write got there: one of these for each file of each cut
TORN = 0.2  # of the writes that got there


class Op(msgspec.Struct, frozen=True, array_like=True):
    """Something that a process did to a disk, or said while it did. Paths are below the folder watched.

    create path file | found path file (was there before) | write file offset data | length file offset |
    room file offset (at least so long) | sync path file | folder path | link path other | rename path other |
    remove path |
    names path (a folder, synced) | say data
    """

    kind: str
    path: str = ""
    other: str = ""
    file: int = -1
    offset: int = 0
    data: bytes = b""


class _File:
    def __init__(self, durable: bytes = b"") -> None:
        self.durable = bytearray(durable)
        self.pending: list[Op] = []

    def sync(self) -> None:
        _change(self.durable, self.pending, [1.0] * len(self.pending), len(self.pending))
        self.pending = []

    def whole(self) -> bytes:
        out = self.durable.copy()
        _change(out, self.pending, [1.0] * len(self.pending), len(self.pending))
        return bytes(out)

    def left(self, chance: random.Random) -> bytes:
        out, count = self.durable.copy(), len(self.pending)
        likely = chance.choice(LIKELY)
        fates = [(0.5 if chance.random() < TORN else 1.0) if chance.random() < likely else 0.0 for _ in self.pending]
        lengths = chance.randint(0, count) if 0 < likely < 1 else int(likely) * count
        _change(out, self.pending, fates, lengths, chance)
        return bytes(out)


def _change(
    held: bytearray, ops: Sequence[Op], fates: Sequence[float], lengths: int, chance: random.Random | None = None
) -> None:
    """Do to a file the first so many changes of its length; and of each write, each sector as its fate has it."""
    size = len(held)
    for op, fate in zip(ops, fates, strict=True):
        end = op.offset + len(op.data)
        if op.kind == "length" or end > size:
            lengths -= 1
            if lengths >= 0:
                held[end:] = b"" if op.kind == "length" else held[end:]
                size = end
        if len(held) < end:
            held += bytes(end - len(held))
        if fate == 1.0:
            held[op.offset : end] = op.data
            continue
        at = op.offset
        while fate and chance and at < end:
            to = min(end, at - at % SECTOR + SECTOR)
            if chance.random() < fate:
                held[at:to] = op.data[at - op.offset : to - op.offset]
            at = to
    del held[size:]
    held += bytes(size - len(held))


_Tree = dict[int, dict[str, int]]  # folder -> name -> what it leads to, a file or a folder


class Disk:
    """What is surely there, and what was done since. The folder watched is number 0."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` holds what is there, surely, in the beginning."""
        self._files: dict[int, _File] = {}
        self._known: dict[int, int] = {}  # numbers in the log of files that were there before, to our own
        self._own = 0  # our own numbers are negative, those of files in the log positive
        self._live: _Tree = {0: {}}
        if folder is not None:
            self._load(0, folder)
        self._durable: _Tree = {number: dict(names) for number, names in self._live.items()}
        self._pending: list[Mapping[tuple[int, str], int | None]] = []  # (folder, name) to what it leads to now

    def do(self, op: Op) -> None:
        match op.kind:
            case "say":
                pass
            case "write" | "length" | "room":
                self._file(op).pending.append(op)
            case "sync":
                self._file(op).sync()
            case "create":
                self._files[op.file] = _File()
                self._name({self._place(op.path): op.file})
            case "found":
                folder, name = self._place(op.path)
                self._known[op.file] = self._live[folder][name]
            case "folder":
                self._name({self._place(op.path): self._new_folder()})
            case "remove":
                self._name({self._place(op.path): None})
            case "link":
                folder, name = self._place(op.path)
                self._name({self._place(op.other): self._live[folder][name]})
            case "rename":
                folder, name = self._place(op.path)
                self._name({(folder, name): None, self._place(op.other): self._live[folder][name]})
            case "names":
                self._sync_names(self._folder(op.path))
            case _:
                raise ValueError(f"expected something that is done to a disk, got {op.kind!r}")

    def whole(self) -> dict[str, bytes]:
        """Every file, as the process itself sees it."""
        return {path: self._files[number].whole() for path, number in _walk(self._live) if number in self._files}

    def left(self, folder: Path, chance: random.Random) -> None:
        """Make in `folder` a disk that a cut may leave now."""
        tree = {number: dict(names) for number, names in self._durable.items()}
        likely = chance.choice(LIKELY)
        for change in self._pending:
            if chance.random() < likely:
                _apply(tree, change)
        folder.mkdir(parents=True, exist_ok=True)
        for path, number in _walk(tree):
            if number in self._files:
                (folder / path).write_bytes(self._files[number].left(chance))
            else:
                (folder / path).mkdir()

    def _file(self, op: Op) -> _File:
        return self._files[self._known.get(op.file, op.file)]

    def _new_folder(self) -> int:
        self._own -= 1
        self._live[self._own] = {}
        return self._own

    def _load(self, number: int, folder: Path) -> None:
        for path in sorted(folder.iterdir()):
            if path.is_dir():
                self._live[number][path.name] = inner = self._new_folder()
                self._load(inner, path)
            else:
                self._own -= 1
                self._live[number][path.name] = self._own
                self._files[self._own] = _File(path.read_bytes())

    def _folder(self, path: str) -> int:
        number = 0
        for name in PurePosixPath(path).parts:
            number = self._live[number][name]
        return number

    def _place(self, path: str) -> tuple[int, str]:
        at = PurePosixPath(path)
        return self._folder(str(at.parent)), at.name

    def _name(self, change: Mapping[tuple[int, str], int | None]) -> None:
        _apply(self._live, change)
        self._pending.append(change)

    def _sync_names(self, folder: int) -> None:
        rest: list[Mapping[tuple[int, str], int | None]] = []
        for change in self._pending:
            if any(place[0] == folder for place in change):
                _apply(self._durable, change)
            else:
                rest.append(change)
        self._pending = rest


def _apply(tree: _Tree, change: Mapping[tuple[int, str], int | None]) -> None:
    for (folder, name), number in change.items():
        names = tree.setdefault(folder, {})
        if number is None:
            names.pop(name, None)
        else:
            names[name] = number


def _walk(tree: _Tree, folder: int = 0, above: str = "") -> Iterator[tuple[str, int]]:
    """Every path, a folder before what is in it."""
    for name, number in tree.get(folder, {}).items():
        yield above + name, number
        if number < 0:
            yield from _walk(tree, number, f"{above}{name}/")
