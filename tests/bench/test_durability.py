"""The bench of durability: nothing acknowledged is lost, and the bench would find out if it were."""

import random
import sqlite3
from pathlib import Path

import pytest

from perdure.bench.disk import Disk, Op
from perdure.bench.durability import HOME, NAME, Ledger, check_log, judge, run
from perdure.bench.writer import Life, Word


def test_nothing_is_lost_by_kills_or_power_cuts_but_much_without_syncs():
    found = run(kills=4, power_cuts=10, seed=3)
    assert (found["lost"], found["damaged"], found["faults"]) == (0, 0, []) and found["passed"]
    assert (found["kills"], found["power_cuts"]) == (4, 10)
    assert found["acknowledged"] > 50 and found["checked"] > 100
    assert found["lost_without_sync"] > 0
    assert all(it["lost"] or it["damaged"] for it in found["without_syncs_of"].values())


@pytest.fixture
def lived(tmp_path: Path) -> tuple[Path, Ledger]:
    ledger = Ledger()
    Life(tmp_path, 5, ledger.hear).live(20).close()
    assert judge(tmp_path, ledger, {}).faults == []
    return tmp_path, ledger


def test_a_commit_that_is_gone_is_found_out(lived: tuple[Path, Ledger]):
    home, ledger = lived
    branch = max(ledger.commits, key=lambda name: len(ledger.commits[name]))
    db = sqlite3.connect(home / HOME / NAME / "world.db")
    (number,) = db.execute("SELECT id FROM branches WHERE name = ?", (branch,)).fetchone()
    last = "(SELECT max(number) FROM commits WHERE branch = ?)"
    db.execute(f"DELETE FROM commits WHERE branch = ? AND number = {last}", [number] * 2)
    db.commit()
    db.close()
    assert judge(home, ledger, {}).lost >= 1


def test_a_changed_byte_is_found_out(lived: tuple[Path, Ledger]):
    home, ledger = lived
    path = home / HOME / NAME / "000000.segment"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert judge(home, ledger).damaged == 1


def test_what_was_never_begun_is_found_out(lived: tuple[Path, Ledger]):
    home, ledger = lived
    del ledger.commits["main"][max(ledger.commits["main"])]
    verdict = judge(home, ledger, {})
    assert verdict.damaged == 1 and "was never begun" in verdict.faults[0]


@pytest.mark.parametrize("kept", [True, False])
def test_going_back_is_done_or_not_done(tmp_path: Path, kept: bool):
    """What was begun and not acknowledged may be there, but then wholly."""
    ledger, life = Ledger(), Life(tmp_path, 5, lambda _: None)
    life.say = ledger.hear
    store = life.live(4)
    words: list[Word] = []
    life.say = words.append
    if kept:
        life.go_back(store, random.Random(1))
    else:
        then = store.world_at(0)
        words.append(Word("goto", False, "main", len(then.history.events) + 1, then.state, "", "main@9"))
    store.close()
    ledger.hear(words[0])
    assert judge(tmp_path, ledger, {}).faults == []
    assert judge(tmp_path, ledger).faults == []  # and it is not done twice
    assert (words[0].left in ledger.commits) == kept


def test_a_world_that_is_gone_is_lost_and_one_that_was_not_acknowledged_is_not(tmp_path: Path):
    ledger = Ledger()
    ledger.hear(Word("create", False, "main", 1, "state", "head"))
    assert judge(tmp_path, ledger).faults == []
    ledger.hear(Word("create", True, "main", 1, "state", "head"))
    assert judge(tmp_path, ledger).lost == 1


def test_a_write_that_was_not_seen_ends_the_bench(tmp_path: Path):
    start, disk = tmp_path / "start", tmp_path / "disk"
    start.mkdir()
    disk.mkdir()
    (disk / "a").write_bytes(b"seen")
    ops = [Op("create", "a", file=1), Op("write", file=1, data=b"seen")]
    check_log(start, ops, disk)
    (disk / "a").write_bytes(b"not seen")
    with pytest.raises(RuntimeError, match="this was not seen: a"):
        check_log(start, ops, disk)
    Disk(start).left(tmp_path / "left", random.Random(0))
    assert list((tmp_path / "left").iterdir()) == []


def test_a_bench_of_nothing_is_refused():
    with pytest.raises(ValueError, match="expected kills or power cuts to make"):
        run(0, 0)
