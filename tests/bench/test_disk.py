"""The disk that forgets: what was synced is always there, and of the rest anything may be."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.bench.disk import SECTOR, Disk, Op

SEEDS = range(60)


def played(*ops: Op, start: Path | None = None) -> Disk:
    disk = Disk(start)
    for op in ops:
        disk.do(op)
    return disk


def draws(disk: Disk, folder: Path) -> list[dict[str, bytes]]:
    """What many cuts leave."""
    out: list[dict[str, bytes]] = []
    for seed in SEEDS:
        left = folder / str(seed)
        disk.left(left, random.Random(seed))
        out.append({str(p.relative_to(left)): p.read_bytes() for p in left.rglob("*") if p.is_file()})
    return out


def file(data: bytes, path: str = "a") -> list[Op]:
    """A file that is surely there."""
    return [Op("create", path, file=1), Op("write", file=1, data=data), Op("sync", path, file=1), Op("names", ".")]


def test_what_was_synced_is_there_whatever_comes_after(tmp_path: Path):
    disk = played(*file(b"old" * 400), Op("write", file=1, offset=1200, data=b"new" * 400))
    assert disk.whole() == {"a": b"old" * 400 + b"new" * 400}
    found = draws(disk, tmp_path)
    assert all(it["a"][:1200] == b"old" * 400 for it in found)
    assert {len(it["a"]) for it in found} == {1200, 2400}  # the new length is there or not
    tails = {it["a"][1200:] for it in found if len(it["a"]) == 2400}
    assert b"new" * 400 in tails and bytes(1200) in tails and len(tails) > 2  # whole, gone, torn


def test_a_write_is_torn_between_sectors_only(tmp_path: Path):
    disk = played(*file(b"a" * 4 * SECTOR), Op("write", file=1, offset=100, data=b"b" * 3 * SECTOR))
    edges = set()
    for it in draws(disk, tmp_path):
        at = it["a"]
        edges |= {i for i in range(1, len(at)) if at[i] != at[i - 1]}
    assert edges == {100, SECTOR, 2 * SECTOR, 3 * SECTOR, 100 + 3 * SECTOR}


def test_a_later_write_may_be_there_without_an_earlier_one_but_never_under_it(tmp_path: Path):
    first, second = Op("write", file=1, data=b"1" * SECTOR), Op("write", file=1, offset=SECTOR, data=b"2" * SECTOR)
    over = Op("write", file=1, data=b"3" * SECTOR)
    found = {it["a"] for it in draws(played(*file(b"0" * 2 * SECTOR), first, second), tmp_path / "x")}
    assert found == {a * SECTOR + b * SECTOR for a in (b"0", b"1") for b in (b"0", b"2")}
    found = {it["a"] for it in draws(played(*file(b"0" * SECTOR), first, over), tmp_path / "y")}
    assert found == {b"0" * SECTOR, b"1" * SECTOR, b"3" * SECTOR}


def test_names_wait_for_a_sync_of_their_folder(tmp_path: Path):
    made = [Op("folder", "in"), Op("create", "in/a", file=1), Op("write", file=1, data=b"x"), Op("sync", file=1)]
    found = [it.keys() for it in draws(played(*made), tmp_path / "made")]
    assert {frozenset(it) for it in found} == {frozenset(), frozenset({"in/a"})}
    synced = [*made, Op("names", "in"), Op("names", ".")]
    moved = played(*synced, Op("rename", "in", "out"), Op("remove", "out/a"))
    assert moved.whole() == {}
    found = {frozenset(it) for it in draws(moved, tmp_path / "moved")}
    assert found == {frozenset(), frozenset({"in/a"}), frozenset({"out/a"})}
    assert {frozenset(it) for it in draws(played(*synced), tmp_path / "synced")} == {frozenset({"in/a"})}


def test_files_of_before_are_there(tmp_path: Path):
    (tmp_path / "start" / "in").mkdir(parents=True)
    (tmp_path / "start" / "in" / "a").write_bytes(b"before")
    disk = played(Op("found", "in/a", file=7), Op("length", file=7, offset=3), start=tmp_path / "start")
    assert disk.whole() == {"in/a": b"bef"}
    assert {it["in/a"] for it in draws(disk, tmp_path / "left")} == {b"before", b"bef"}


def test_what_is_no_deed_is_told():
    with pytest.raises(ValueError, match="expected something that is done to a disk, got 'swim'"):
        Disk().do(Op("swim"))


writes = st.builds(
    lambda at, data: Op("write", file=1, offset=at, data=data),
    st.integers(0, 3000),
    st.binary(min_size=1, max_size=900),
)
lengths = st.builds(
    lambda kind, at: Op(kind, file=1, offset=at), st.sampled_from(["length", "room"]), st.integers(0, 4000)
)


@settings(max_examples=40, deadline=None)
@given(st.lists(writes | lengths, max_size=12), st.integers(0, 12), st.integers(0, 2**32))
def test_it_is_a_file_and_after_a_sync_nothing_is_in_doubt(
    tmp_path_factory: pytest.TempPathFactory, ops: list[Op], synced: int, seed: int
):
    """The plain twin: a bytearray to which all is done in order."""
    plain = bytearray()
    for op in ops:
        end = op.offset + len(op.data)
        plain[len(plain) :] = bytes(max(0, end - len(plain)))
        if op.kind == "length":
            del plain[end:]
        plain[op.offset : end] = op.data if op.kind == "write" else plain[op.offset : end]
    created = [Op("create", "a", file=1), Op("names", ".")]
    at = min(synced, len(ops))
    disk = played(*created, *ops[:at], Op("sync", file=1), *ops[at:])
    assert disk.whole()["a"] == plain
    disk.do(Op("sync", file=1))
    left = tmp_path_factory.mktemp("left")
    disk.left(left, random.Random(seed))
    assert (left / "a").read_bytes() == plain
