"""A world is verified from its first event on: what is not as it was is found, wherever it lies."""

import contextlib
import shutil
import sqlite3
import tarfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.world.check import check
from perdure.world.rows import MOST, unpacked
from perdure.world.store import Store, list_worlds
from tests.world import lived, yard

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be written to."""
    return lived.live(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def world(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "yard"))


def test_a_world_is_whole_and_what_was_read_is_told(kept: Path):
    told: list[float] = []
    report = check(kept, lambda share, _: told.append(share))
    assert report.whole and not report.faults
    assert {name: (it.steps, it.good_steps) for name, it in report.branches.items()} == {
        "main@10": (10, 10), "left": (11, 11), "main": (9, 9),
    }  # fmt: skip
    with Store.open(kept, write=False) as store:
        assert report.commits == store.rows.ask("SELECT count(*) FROM commits")[0][0]
        assert report.records == store.rows.ask("SELECT count(*) FROM records")[0][0]
    assert report.events > report.commits and report.size > 100_000
    assert told == sorted(told) and told[0] == 0 and told[-1] == 1


def test_a_world_that_is_played_meanwhile_is_whole(world: Path):
    with Store.open(world) as store:
        now = [yard.reopened(store)]

        def play(_: float, __: str) -> None:
            now[0] = yard.step(now[0], lived.PATH[0], store)
            if now[0].step == 12:
                store.fork("main", 11, "new")
                store.goto("left", 4)

        before = check(world).commits
        report = check(world, play)
        assert report.faults == () and report.commits == before
        assert check(world).whole and store.branches()["new"] == 11


def test_a_world_of_the_first_format_is_whole(tmp_path: Path):
    with tarfile.open(DATA / "world-format-1.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = (path.parent for path in tmp_path.rglob("world.db"))
    assert check(folder).faults == ()
    Store.open(folder).close()  # brought into this format
    assert check(folder).faults == ()


def test_no_world_is_told(tmp_path: Path):
    with pytest.raises(ValueError, match="no world at"):
        check(tmp_path / "mars")


@pytest.mark.parametrize(
    ("statement", "where", "what"),
    [
        ("UPDATE commits SET state = zeroblob(32) WHERE branch = 0 AND number = 2", "branch main@10", "give its state"),
        (
            "UPDATE commits SET head = zeroblob(32) WHERE branch = 0 AND number = 2",
            "branch main@10",
            "lead to its head",
        ),
        ("UPDATE commits SET moving = motion WHERE branch = 0 AND number = 2", "branch main@10", "give its state"),
        ("UPDATE commits SET motion = NULL WHERE branch = 0 AND number = 2", "branch main@10", "where all was"),
        ("UPDATE commits SET step = 7 WHERE branch = 0 AND number = 2", "branch main@10", "does not follow"),
        ("UPDATE commits SET key = zeroblob(32) WHERE branch = 0 AND number = 2", "branch main@10", "give its key"),
        (
            "UPDATE commits SET action = x'93000000' WHERE branch = 0 AND number = 2",
            "branch main@10",
            "not of the action",
        ),
        (
            "UPDATE commits SET eye = (SELECT eye FROM commits WHERE branch = 0 AND number = 1) "
            "WHERE branch = 0 AND number = 2",
            "branch main@10",
            "where its camera was",
        ),
        ("UPDATE commits SET events = x'00' WHERE branch = 1 AND number = 9", "branch left", "commit 9"),
        ("DELETE FROM commits WHERE branch = 0 AND number = 3", "branch main@10", "commit 3: it is missing"),
        (
            "DELETE FROM records WHERE digest = (SELECT latent FROM commits WHERE branch = 0 AND number = 4)",
            "step 4 of main@10",
            "its latent is not there",
        ),
        ("UPDATE branches SET parent = 77 WHERE name = 'left'", "branch left", ""),
        ("UPDATE branches SET parent = id, at = 3 WHERE name = 'left'", "branch left", "it goes on from commit 3"),
        ("UPDATE branches SET parent = 3 - id, at = 3 WHERE id > 0", "its tables", "'main' comes from itself"),
        ("UPDATE fingerprints SET value = 'x'", "the fingerprint of 0 from 0", ""),
        ("UPDATE records SET offset = offset + 64 WHERE segment = 0", "", "another record at byte"),
    ],
)
def test_a_damaged_row_is_found(world: Path, statement: str, where: str, what: str):
    db = sqlite3.connect(world / "world.db")
    db.execute(statement)
    db.commit()
    db.close()
    faults = check(world).faults
    assert any(where in fault.where and what in fault.what for fault in faults), faults


@pytest.mark.parametrize("column", ["events", "motion", "moving"])
def test_what_unpacks_to_more_than_memory_is_damage(world: Path, column: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("perdure.world.rows.LARGEST", 1 << 20)
    db = sqlite3.connect(world / "world.db")
    large = zlib.compress(bytes(1 << 24))
    db.execute(f"UPDATE commits SET {column} = ? WHERE branch = 0 AND number = 3", (large,))
    db.commit()
    db.close()
    assert any("unpacks to more than 1,048,576 bytes" in fault.what for fault in check(world).faults)
    with pytest.raises(ValueError, match=r"yard is damaged in .*: it unpacks to more than 1,048,576 bytes"):
        Store.open(world, "main@10", write=False).world_at(3, "main@10")


def test_line_ends_alone_are_not_made_events():
    assert len(unpacked(zlib.compress(b"\n" * (2 * MOST)))) == MOST + 1


def test_what_goes_on_from_damage_is_not_whole_either(world: Path):
    db = sqlite3.connect(world / "world.db")
    db.execute("UPDATE commits SET head = zeroblob(32) WHERE branch = 0 AND number = 2")
    db.commit()
    db.close()
    report = check(world)
    assert {name: it.good for name, it in report.branches.items()} == {"main@10": 1, "left": 1, "main": 1}
    assert any("it goes on from commit 8 of main@10" in fault.what for fault in report.faults)


def test_a_wrong_snapshot_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("perdure.world.tip.SNAPSHOT_COMMITS", 4)
    folder = lived.live(tmp_path)
    assert check(folder).whole
    db = sqlite3.connect(folder / "world.db")
    assert db.execute("SELECT count(*) FROM snapshots").fetchone()[0] >= 3
    db.execute("UPDATE snapshots SET digest = (SELECT digest FROM snapshots ORDER BY number DESC) WHERE number = 3")
    db.commit()
    db.close()
    report = check(folder)
    assert [fault.what for fault in report.faults] == ["it is not what its commits come to"]
    assert report.snapshots == {(0, 3)}


@settings(max_examples=60, deadline=None)
@given(data=st.data(), where=st.sampled_from(["world.db", "000000.segment"]), bits=st.integers(1, 4))
def test_a_flipped_bit_is_found_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, kept: Path, data: st.DataObject, where: str, bits: int
):
    folder = Path(shutil.copytree(kept, tmp_path_factory.mktemp("flipped") / "yard"))
    payload = bytearray((folder / where).read_bytes())
    for _ in range(bits):
        payload[data.draw(st.integers(0, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (folder / where).write_bytes(payload)
    assert len(list_worlds(folder.parent)) == 1  # a damaged one too
    with contextlib.suppress(ValueError), Store.open(folder, write=False) as store:  # and nothing but a ValueError
        store.world()
    if check(folder).whole:
        assert lived.everything(folder) == lived.everything(kept)
    shutil.rmtree(folder)
