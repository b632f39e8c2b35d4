"""Splats: pages that are shared, and writes that can be taken back to the byte."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.world.edit import Change, Edit
from perdure.world.splats import HARMONICS, PAGE, Rows, SplatPage, Splats, blank, pack, unpack
from perdure.world.store import Store
from tests.world import yard


def rows(ids: list[int], seed: int = 0, harmonics: int = 0) -> Rows:
    random = np.random.default_rng(seed)
    out = blank(len(ids), harmonics=harmonics)
    out["id"] = ids
    for name in ("mean", "rotation", "scale", "opacity", "colour", "harmonics"):
        out[name] = random.normal(size=out[name].shape)
    out["event"], out["entity"] = random.integers(0, 99, len(ids)), random.integers(-1, 5, len(ids))
    return out


NUMBERS = st.lists(st.integers(0, 4 * PAGE), unique=True, max_size=20)
CHANGES = st.lists(st.tuples(NUMBERS, NUMBERS, st.integers(0, 99)), max_size=6)


def changed(splats: Splats, written: list[int], gone: list[int], seed: int) -> tuple[Splats, bytes]:
    value = pack(rows(written, seed), [number for number in gone if number not in written])
    return splats.write(value), value


def digests(splats: Splats) -> list[bytes]:
    return [page.digest for page in splats.pages]


@settings(max_examples=60, deadline=None)
@given(CHANGES)
def test_any_writes_and_removals_leave_what_a_dictionary_would_hold(changes: list) -> None:
    splats, plain = Splats(), dict[int, bytes]()
    for written, gone, seed in changes:
        splats, _ = changed(splats, written, gone, seed)
        for number in gone:
            plain.pop(number, None)
        plain |= {int(row["id"]): row.tobytes() for row in rows(written, seed)}
    assert [row.tobytes() for row in splats.rows] == [plain[number] for number in sorted(plain)]
    assert len(splats) == len(plain) and splats.free == max(plain, default=-1) + 1
    assert all(page.rows["id"].min() // PAGE == page.number == page.rows["id"].max() // PAGE for page in splats.pages)
    whole = Splats().write(pack(splats.rows))  # the order of the writes leaves no trace
    assert digests(whole) == digests(splats)


@settings(max_examples=60, deadline=None)
@given(NUMBERS, NUMBERS, NUMBERS)
def test_writing_back_what_was_read_restores_every_byte(there: list[int], written: list[int], gone: list[int]) -> None:
    splats = Splats().write(pack(rows(there, 1)))
    after, value = changed(splats, written, gone, 2)
    old = splats.read(value)
    assert digests(after.write(old)) == digests(splats)
    assert digests(after.write(old).write(after.read(value))) == digests(after)
    assert after.read(value) == pack(rows(written, 2), [number for number in gone if number not in written])


def test_pages_that_were_not_touched_are_shared() -> None:
    splats = Splats().write(pack(rows(list(range(10 * PAGE)))))
    after = splats.write(pack(rows([3 * PAGE, 7 * PAGE + 5], 1)))
    assert [a is b for a, b in zip(splats.pages, after.pages)] == [i not in (3, 7) for i in range(10)]
    with pytest.raises(ValueError, match="read-only"):
        after.pages[3].rows["mean"] = 0


@pytest.mark.parametrize("harmonics", HARMONICS)
def test_a_page_comes_back_from_its_bytes(harmonics: int) -> None:
    (page,) = Splats().write(pack(rows([5, 9, 200], 3, harmonics))).pages
    payload = page.to_bytes()
    again = SplatPage.from_bytes(payload, page.digest)
    assert page.digest == hashlib.sha256(payload).digest()
    assert again.to_bytes() == payload and again.number == page.number
    assert np.shares_memory(again.rows, np.frombuffer(payload, np.uint8))
    assert Splats((again,)).harmonics == harmonics


def test_splats_of_a_lower_degree_find_room_and_of_a_higher_one_are_refused() -> None:
    splats = Splats().write(pack(rows([1], 0, 3)))
    after = splats.write(pack(rows([2], 1, 0)))
    assert not after.rows["harmonics"][1].any() and after.rows["harmonics"][0].any()
    assert after.rows["mean"][1].tobytes() == rows([2], 1)["mean"].tobytes()
    with pytest.raises(ValueError, match="at most 3 harmonics"):
        splats.write(pack(rows([2], 1, 8)))


@pytest.mark.parametrize("name", ["mean", "rotation", "scale", "opacity", "colour"])
def test_what_is_no_splat_is_refused(name: str) -> None:
    bad = rows([1, 2])
    bad[name][1] = np.nan
    with pytest.raises(ValueError, match=f"finite {name}"):
        unpack(pack(bad))


def test_values_that_are_not_packed_splats_are_refused() -> None:
    good = pack(rows([1, 2]), [7])
    for value in (b"", good[:-1], good + b"x", b"\xff" * len(good), pack(rows([1]))[:30]):
        with pytest.raises(ValueError, match="expected packed splats"):
            unpack(value)
    for value in (pack(rows([1, 1])), pack(rows([1]), [1]), pack(rows([-1]))):
        with pytest.raises(ValueError, match="once"):
            unpack(value)
    nowhere = rows([1])
    nowhere["rotation"] = 0
    with pytest.raises(ValueError, match="quaternion of zeros"):
        unpack(pack(nowhere))
    with pytest.raises(ValueError, match="0, 3, 8, 15 harmonics"):
        blank(1, harmonics=4)


def test_splats_come_and_go_by_edits_and_are_found_again_in_the_store(tmp_path: Path) -> None:
    world = yard.world()
    with Store.create(tmp_path, world) as store:
        written = world.edit(Edit((Change("splats", pack(rows(list(range(600))))),)))
        store.commit(written)
        moved = written.edit(Edit((Change("splats", pack(rows([7, 300], 1), [599])),)))
        store.commit(moved)
        assert len({world.state, written.state, moved.state}) == 3
        back = moved.undo()
        assert back.state == written.state and back.undo().state == world.state
        found = store.world()
        assert found.state == moved.state
        assert found.geometry.splats.rows.tobytes() == moved.geometry.splats.rows.tobytes()
