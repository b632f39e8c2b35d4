"""The pipeline: the same bytes however the work is done, and what cannot be made costs itself alone."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from perdure.data import cluster, pipeline, workers
from perdure.data.clip import Job
from perdure.data.dataset import Dataset
from perdure.data.pipeline import Progress
from perdure.data.processes import Broken
from perdure.data.sources import source
from perdure.data.work import Record, work
from tests.data import made_up

ROOT = Path(__file__).parents[2]
BAD: dict[str, Any] = {
    "n1": "raises",
    "n2": "memory",
    "n3": "skips",
    "n4": "exits",
    "n5": "killed",
    "n6": "crashes",
    "n7": "short",
}
BAD |= {"n9": "two"}


def here(jobs: Sequence[Job], folder: Path, count: int) -> Iterator[Record]:
    """All the work in this process, the last job first: the plainest twin of the workers."""
    return (work(job, folder) for job in reversed(jobs))


def shown(folder: Path) -> dict[str, bytes]:
    """All that a run leaves to be seen."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name not in (".jobs", "lock")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """Twenty clips, made here, one after the other."""
    folder = tmp_path_factory.mktemp("whole") / "set"
    pipeline.make(folder, made_up.plan(20, 100), run=here)
    return folder, shown(folder)


def test_a_run_leaves_shards_a_report_and_a_card(whole: tuple[Path, dict[str, bytes]]):
    folder, files = whole
    names = ["card.md", "plan.json", "profile.parquet", "report.json"]
    assert sorted(files) == [*names, *(f"shard-00000{n}.tar" for n in range(3))]
    assert Dataset(folder).names == [f"made-up-{n:06d}" for n in range(20)]
    report = json.loads(files["report.json"])
    assert report["clips"] == 20 and report["skipped"] == 0 and report["seconds"] == 100.0
    card = files["card.md"].decode()
    assert "| made-up | CC0-1.0 | 20 | 0.03 | 100 to 119 |" in card and "Nothing." in card


def test_two_workers_make_the_same_bytes(whole: tuple[Path, dict[str, bytes]], tmp_path: Path):
    told = list[Progress]()
    pipeline.make(tmp_path / "set", made_up.plan(20, 100), 2, told.append)
    assert shown(tmp_path / "set") == whole[1]
    assert [p.done for p in told] == list(range(21)) and told[-1].clips == 20 and told[-1].gone == told[-1].asked


def test_what_goes_wrong_costs_its_own_clip(tmp_path: Path):
    """Raised, skipped, out of memory, ended, killed, crashed, too short, or only half of it: the run goes on."""
    report = pipeline.make(tmp_path / "set", made_up.plan(12, 0, **BAD), 2)
    assert Dataset(tmp_path / "set").names == [
        *(f"made-up-{n:06d}" for n in (0, 8)),
        *("made-up-000009-a", "made-up-000009-b", "made-up-000010", "made-up-000011"),
    ]
    why = {lost["job"]: lost["why"] for lost in report["why"]}
    assert set(why) == {1, 2, 3, 4, 5, 6, 7, 9} and report["skipped"] == 9
    assert why[1].startswith("RuntimeError: the sky fell (made_up.py:") and why[2].startswith("MemoryError: ")
    assert why[3] == "too dark" and why[7] == "lasts 2.0 s, expected 5 to 60" and why[9] == "the rest is empty"
    assert "exit code 3" in why[4] and "SIGKILL" in why[5] and "SIGSEGV" in why[6]
    assert {"job": 9, "what": "the second of them", "why": "blurred"} in report["why"]
    assert "too dark" in (tmp_path / "set" / "card.md").read_text()
    assert "test" in (tmp_path / "set" / workers.LOG).read_text(), "where a crash was is in the log"


def test_what_befell_a_process_is_tried_again(whole: tuple[Path, dict[str, bytes]], tmp_path: Path):
    """Killed, out of memory, too slow: named by the run, and tried by the next; what a source refuses stays refused."""
    once, asked = tmp_path / "once", list[int]()
    once.mkdir()
    bad: dict[str, Any] = {"n1": "hangs", "n2": "killed", "n3": "memory", "n9": "skips", "once": str(once)}
    jobs, patient = made_up.plan(20, 100, **bad), partial(workers.run, patience=3.0)
    report = pipeline.make(tmp_path / "set", jobs, 2, run=patient)
    why = {lost["job"]: (lost["why"].partition(":")[0], lost.get("again", False)) for lost in report["why"]}
    killed = "the process that made it was killed by SIGKILL (was there enough memory?)"
    assert why[1] == ("took longer than 3 s", True) and why[9] == ("too dark", False)
    assert why[2] == (killed, True) and why[3] == ("MemoryError", True) and report["clips"] == 16

    def counted(jobs: Sequence[Job], folder: Path, count: int) -> Iterator[Record]:
        asked.extend(job.number for job in jobs)
        return here(jobs, folder, count)

    report = pipeline.make(tmp_path / "set", jobs, run=counted)
    assert asked == [1, 2, 3] and [lost["job"] for lost in report["why"]] == [9]
    made, first = shown(tmp_path / "set"), "shard-000000.tar"
    assert made[first] == whole[1][first], "as if nothing had ever befallen them"
    assert pipeline.make(tmp_path / "set", jobs, run=counted) == report and len(asked) == 3


@pytest.mark.parametrize("how", ["cut", "flipped", "gone"])
def test_a_damaged_shard_is_made_anew(how: str, whole: tuple[Path, dict[str, bytes]], tmp_path: Path):
    folder, told, asked = tmp_path / "set", list[Progress](), list[int]()
    shutil.copytree(whole[0], folder)
    path = folder / "shard-000001.tar"
    payload = bytearray(path.read_bytes())
    payload[len(payload) // 2] ^= 1
    path.write_bytes(payload if how == "flipped" else payload[: len(payload) // 2])
    if how == "gone":
        path.unlink()

    def counted(jobs: Sequence[Job], folder: Path, count: int) -> Iterator[Record]:
        asked.extend(job.number for job in jobs)
        return here(jobs, folder, count)

    pipeline.make(folder, made_up.plan(20, 100), told=told.append, run=counted)
    assert shown(folder) == whole[1] and asked == list(range(8, 16))
    assert told[0].damaged == (() if how == "gone" else ("shard-000001.tar",))


def test_a_set_of_before_is_held_to_its_sizes(whole: tuple[Path, dict[str, bytes]], tmp_path: Path):
    """Shards that nothing was noted of are whole if they are as long as their clips are."""
    folder, told = tmp_path / "set", list[Progress]()
    shutil.copytree(whole[0], folder)
    for noted in (folder / ".jobs").glob("shard-*"):
        noted.unlink()
    with (folder / "shard-000002.tar").open("r+b") as file:
        file.truncate(10240)
    pipeline.make(folder, made_up.plan(20, 100), told=told.append, run=here)
    assert shown(folder) == whole[1] and told[0].damaged == ("shard-000002.tar",) and told[0].done == 16


def test_workers_and_patience_have_bounds(tmp_path: Path):
    jobs = made_up.plan(1, 0)
    with pytest.raises(ValueError, match="or 0 for one on each core, got -1"):
        pipeline.make(tmp_path / "set", jobs, -1)
    with pytest.raises(ValueError, match="one worker or more, got -1"):
        next(workers.run(jobs, tmp_path, -1))
    with pytest.raises(ValueError, match="0 for no end of it, got -1"):
        next(workers.run(jobs, tmp_path, 1, patience=-1.0))


def test_a_run_that_is_killed_is_taken_up_where_it_was(whole: tuple[Path, dict[str, bytes]], tmp_path: Path):
    """Killed in the middle, with a half part and a half shard about: only what was not whole is made again."""
    folder, traces = tmp_path / "set", tmp_path / "traces"
    traces.mkdir()
    program = (
        "from tests.data import made_up\nfrom perdure.data import pipeline\nfrom pathlib import Path\n"
        f"if __name__ == '__main__':\n    pipeline.make(Path({str(folder)!r}), made_up.plan(20, 100, "
        f"beside={str(traces)!r}, pause=0.05), 1)\n"
    )
    script = tmp_path / "run.py"
    script.write_text(program)
    going = subprocess.Popen([sys.executable, script], env=os.environ | {"PYTHONPATH": str(ROOT)})
    while not (folder / "shard-000000.tar").exists():
        assert going.poll() is None
        time.sleep(0.02)
    going.send_signal(signal.SIGKILL)
    going.wait()
    begun = len(list(traces.iterdir()))
    assert 8 <= begun < 20
    time.sleep(0.3)  # for the worker to see that its parent is gone
    (folder / ".jobs" / "000019.part.1.new").write_bytes(b"half")
    (folder / "shard-000001.tar.1.new").write_bytes(b"half")
    jobs = made_up.plan(20, 100, beside=str(traces), pause=0.05)
    pipeline.make(folder, jobs, run=here)
    made = [len((traces / str(n)).read_text().splitlines()) for n in range(20)]
    assert made[:8] == [1] * 8 and sum(made) <= 22, "what was whole was made once"
    tars = {name: data for name, data in shown(folder).items() if name.endswith(".tar")}
    assert tars == {name: data for name, data in whole[1].items() if name.endswith(".tar")}
    assert not list(folder.rglob("*.new"))


def test_shards_whose_records_stayed_behind_are_left_alone(whole: tuple[Path, dict[str, bytes]], tmp_path: Path):
    """A copy by `cp set/* there` leaves out what is hidden."""
    there = shutil.copytree(whole[0], tmp_path / "there", ignore=shutil.ignore_patterns(".jobs"))
    with pytest.raises(ValueError, match=r"nothing in \.jobs tells of it: bring that folder back"):
        pipeline.make(there, pipeline.planned(there), run=here)
    assert all((there / name).exists() for name in whole[1] if name.endswith(".tar"))


def test_what_others_write_is_none_of_its_business(whole: tuple[Path, dict[str, bytes]], tmp_path: Path):
    out = shutil.copytree(whole[0], tmp_path / "out")
    below = out / "other" / ".jobs" / "000001.77.new"
    below.parent.mkdir(parents=True)
    ours, theirs = out / "report.json.77.new", [below, out / "thesis.new", out / "www.1.new" / "index.html"]
    theirs[-1].parent.mkdir()
    for path in (ours, *theirs):
        path.write_text("half")
    pipeline.make(out, pipeline.planned(out), run=here)
    assert not ours.exists() and all(path.exists() for path in theirs)


def test_a_part_that_is_gone_is_made_again(whole: tuple[Path, dict[str, bytes]], tmp_path: Path):
    def five(jobs: Sequence[Job], folder: Path, count: int) -> Iterator[Record]:
        yield from here(jobs[:5], folder, count)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.make(tmp_path / "set", made_up.plan(20, 100), run=five)
    (tmp_path / "set" / ".jobs" / "000002.part").unlink()
    (tmp_path / "set" / ".jobs" / "000003.json").write_text("{")
    pipeline.make(tmp_path / "set", made_up.plan(20, 100), run=here)
    assert shown(tmp_path / "set") == whole[1]


def test_a_folder_holds_one_plan(whole: tuple[Path, dict[str, bytes]]):
    with pytest.raises(ValueError, match=r"another plan \(20 of tests.data.made_up, the first with seed 100\)"):
        pipeline.make(whole[0], made_up.plan(20, 101), run=here)
    with pytest.raises(ValueError, match="a number each"):
        pipeline.make(whole[0], made_up.plan(1, 0) * 2, run=here)


def test_a_set_grows(whole: tuple[Path, dict[str, bytes]], tmp_path: Path):
    """From twelve to twenty: the half shard is filled up, and it is as if twenty had been asked for at once."""
    asked = list[int]()

    def counted(jobs: Sequence[Job], folder: Path, count: int) -> Iterator[Record]:
        asked.extend(job.number for job in jobs)
        return here(jobs, folder, count)

    pipeline.make(tmp_path / "set", made_up.plan(12, 100), run=here)
    pipeline.make(tmp_path / "set", made_up.plan(20, 100), run=counted)
    assert shown(tmp_path / "set") == whole[1] and asked == list(range(12, 20))
    with pytest.raises(ValueError, match=r"another plan \(20 of "):
        pipeline.make(tmp_path / "set", made_up.plan(12, 100), run=here)


def test_two_runs_on_one_folder_are_refused(tmp_path: Path):
    def again(jobs: Sequence[Job], folder: Path, count: int) -> Iterator[Record]:
        with pytest.raises(ValueError, match=r"set is open for writing in process \d+"):
            pipeline.make(folder, jobs, run=here)
        return here(jobs, folder, count)

    pipeline.make(tmp_path / "set", made_up.plan(1, 0), run=again)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_stops_the_run_and_nothing_is_lost(tmp_path: Path):
    folder, jobs = tmp_path / "set", made_up.plan(20, 100)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file that may grow no further fails like a full disk

    def fills(jobs: Sequence[Job], folder: Path, count: int) -> Iterator[Record]:
        yield from here(jobs[10:], folder, count)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        yield from here(jobs[:10], folder, count)

    try:
        with pytest.raises(ValueError, match=r"File too large.*the same command goes on"):
            pipeline.make(folder, jobs, run=fills)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    done = list[int]()

    def counted(jobs: Sequence[Job], folder: Path, count: int) -> Iterator[Record]:
        done.append(len(jobs))
        return here(jobs, folder, count)

    pipeline.make(folder, jobs, run=counted)
    assert done == [10] and len(Dataset(folder)) == 20


def test_a_package_that_is_missing_stops_the_run(tmp_path: Path):
    with pytest.raises(ValueError, match="needs nowhere, which is not installed"):
        pipeline.make(tmp_path / "set", made_up.plan(3, 0, n1="lacks"), 1)


def test_nothing_at_all_is_a_mistake(tmp_path: Path):
    with pytest.raises(ValueError, match=r"nothing came of 1 jobs: tests.data.made_up-000000: too dark"):
        pipeline.make(tmp_path / "set", made_up.plan(1, 0, n0="skips"), run=here)


@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: pip install 'perdure[cluster]'")
@pytest.mark.filterwarnings("ignore")
def test_ray_makes_the_same_bytes_and_loses_no_more(whole: tuple[Path, dict[str, bytes]], tmp_path: Path):
    pipeline.make(tmp_path / "set", made_up.plan(20, 100), 2, run=cluster.run)
    assert shown(tmp_path / "set") == whole[1]
    report = pipeline.make(tmp_path / "bad", made_up.plan(12, 0, **BAD), 2, run=cluster.run)
    assert {lost["job"] for lost in report["why"]} == {1, 2, 3, 4, 5, 6, 7, 9} and report["clips"] == 6


class RayError(Exception):
    def __init__(self, says: str, cause: Exception | None = None) -> None:
        super().__init__(says)
        self.cause = cause


@dataclass(eq=False)
class Task:
    job: Job
    folder: Path


def stand_in(befalls: Mapping[int, Exception]) -> Any:
    """Ray as far as `cluster` knows it: tasks do their work when asked for it, unless something befalls them."""

    def get(task: Task) -> Record:
        if task.job.number in befalls:
            raise befalls[task.job.number]
        return work(task.job, task.folder)

    return SimpleNamespace(
        is_initialized=lambda: True, exceptions=SimpleNamespace(RayError=RayError), get=get,
        remote=lambda **_: lambda work: SimpleNamespace(remote=Task),
        wait=lambda tasks, num_returns: (tasks[:1], tasks[1:]),
    )  # fmt: skip


def test_whatever_ends_a_task_of_ray_is_its_jobs_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", stand_in({1: RayError("the node is gone\nand more")}))
    report = pipeline.make(tmp_path / "set", made_up.plan(3, 100), 2, run=cluster.run)
    why = "the process that made it died (RayError: the node is gone)"
    assert report["clips"] == 2 and report["why"][0]["why"] == why and report["why"][0]["again"]
    monkeypatch.setitem(sys.modules, "ray", stand_in({1: RayError("of the task", Broken("the disk is full"))}))
    with pytest.raises(ValueError, match="set is not complete: the disk is full"):
        pipeline.make(tmp_path / "set", made_up.plan(3, 100), 2, run=cluster.run)

    def init(**_: object) -> None:
        raise Exception("the node timed out")

    ray = SimpleNamespace(is_initialized=lambda: False, init=init)
    monkeypatch.setitem(sys.modules, "ray", ray)
    with pytest.raises(ValueError, match=r"Ray could not be started \(Exception: the node timed out\)"):
        pipeline.make(tmp_path / "set", made_up.plan(3, 100), 2, run=cluster.run)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("moon", "no source named 'moon': there are "),
        ("tests.nowhere", "no module named 'tests.nowhere' to make clips with"),
        ("os.path", "expected NAME, LICENCE, plan and make in the source"),
    ],
)
def test_a_source_is_found_by_name(name: str, says: str):
    assert source(made_up.__name__) is made_up
    with pytest.raises(ValueError, match=says):
        source(name)


def test_jobs_are_plain_data():
    job: Any = made_up.plan(1, 5, beside="x")[0]
    decoded = pipeline.msgspec.json.decode(pipeline.msgspec.json.encode(job), type=Job)
    assert decoded == job
