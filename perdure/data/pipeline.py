"""The pipeline: jobs in, shards out, with a report and a card beside them.

A folder is begun with a plan, the list of its jobs, and goes on with that one until all are done; it grows by a plan
that goes on after the same jobs. Each job becomes a part (`work.py`), eight of them a shard, which ones is fixed by
their numbers: so the same plan gives the same bytes whoever works, however many, and however often it was stopped.
What cannot be made is skipped, counted, and named: what its source refuses for good, what befell the process that made
it (out of memory, killed, too slow) until the next run.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from perdure.data import profile, workers
from perdure.data.card import captioned, card, filtered
from perdure.data.clip import Job
from perdure.data.processes import Broken, cores
from perdure.data.shards import whole
from perdure.data.work import (
    PARTS,
    Record,
    Shard,
    halves,
    joined,
    note,
    noted,
    part_of,
    parted,
    read_record,
    record_of,
    replacing,
    size_of,
)
from perdure.world.folder import lock, unlock

Run = Callable[[Sequence[Job], Path, int], Iterator[Record]]

PER_SHARD = 8  # jobs
PLAN, REPORT, CARD, FILTERED = "plan.json", "report.json", "card.md", "filter-report.json"


@dataclass(frozen=True)
class Progress:
    jobs: int
    done: int  # of the jobs
    clips: int
    seconds: float  # that the clips last
    skipped: int
    asked: float  # seconds that all jobs were to last
    gone: float  # of those, what belongs to jobs that are done
    damaged: tuple[str, ...] = ()  # shards that were not as they were made, so that their clips are made anew


def make(
    folder: Path,
    jobs: Sequence[Job],
    count: int = 0,
    told: Callable[[Progress], None] = lambda progress: None,
    run: Run = workers.run,
) -> dict[str, Any]:
    """Do all jobs of a plan that are not done yet, `count` at a time (0: one for each core); gives the report.

    `run` is who does them: worker processes of this machine, or `cluster.run`. Raises `ValueError` where it cannot
    go on; what was made until then stays, and the same call goes on from there.
    """
    numbers = {job.number for job in jobs}
    if count < 0:
        raise ValueError(f"expected a number of workers, or 0 for one on each core, got {count}")
    if not jobs:
        raise ValueError("there is nothing to make clips of: no job was planned")
    if len(numbers) != len(jobs):
        raise ValueError(f"expected a plan of jobs with a number each, got {len(jobs)} with {len(numbers)} numbers")
    (folder / PARTS).mkdir(parents=True, exist_ok=True)
    handle = lock(folder)
    try:
        _agree(folder, jobs)
        for stale in (*halves(folder), *halves(folder / PARTS)):
            stale.unlink()
        return _make(folder, jobs, run, min(count or cores(), len(jobs)), told)
    except Broken as broken:
        raise ValueError(
            f"{folder} is not complete: {broken}. What is made is kept: see to it, and the same command goes on"
        ) from broken
    finally:
        unlock(handle)


def _make(folder: Path, jobs: Sequence[Job], run: Run, count: int, told: Callable[[Progress], None]) -> dict[str, Any]:
    groups = [jobs[i : i + PER_SHARD] for i in range(0, len(jobs), PER_SHARD)]
    group_of = {job.number: number for number, group in enumerate(groups) for job in group}
    records, shards, damaged = dict[int, Record](), dict[int, Shard](), list[str]()
    for number, group in enumerate(groups):
        path = shard_of(folder, number)
        known = [record for job in group if (record := read_record(folder, job.number)) and not record.again]
        if path.exists():
            due = noted(folder, path.name)
            if due is None and not any(read_record(folder, job.number) for job in group):
                raise ValueError(
                    f"{folder} has {path.name}, and nothing in {PARTS} tells of it: bring that folder back, "
                    "which a copy may have left behind, or name another one"
                )
            shard = Shard.of(path)
            if shard != due if due else shard.bytes != whole(sum(record.size for record in known)):
                damaged += [path.name] if known else []
                path.unlink()
            elif len(known) == len(group):
                shards[number] = shard
                if due is None:
                    note(folder, shard)
            else:
                known = parted(folder, known, path)
        if number not in shards:  # a record holds only as long as there is what it speaks of
            known = [record for record in known if not record.clips or size_of(folder, record.job) == record.size]
        records |= {record.job: record for record in known}

    def tell() -> None:
        clips = [clip for record in records.values() for clip in record.clips]
        told(
            Progress(
                len(jobs),
                len(records),
                len(clips),
                sum(clip.seconds for clip in clips),
                sum(len(record.skipped) for record in records.values()),
                sum(job.seconds for job in jobs),
                sum(job.seconds for job in jobs if job.number in records),
                tuple(damaged),
            )
        )

    def settle(number: int) -> None:
        """Make the shard of a group that is done."""
        done = [records[job.number] for job in groups[number] if job.number in records]
        if len(done) < len(groups[number]):
            return
        if number not in shards and any(record.clips for record in done):
            shards[number] = joined(folder, done, shard_of(folder, number))
        for record in done:
            part_of(folder, record.job).unlink(missing_ok=True)

    tell()
    for number in range(len(groups)):
        settle(number)
    missing = [job for job in jobs if job.number not in records]
    for job in missing:
        record_of(folder, job.number).unlink(missing_ok=True)
    for record in run(missing, folder, count):
        records[record.job] = record
        settle(group_of[record.job])
        tell()
    fresh = {clip.name for job in missing for clip in records[job.number].clips}
    ordered = [records[job.number] for job in jobs]
    return _report(folder, jobs, ordered, [shards[number] for number in sorted(shards)], fresh)


def shard_of(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:06d}.tar"


def _agree(folder: Path, jobs: Sequence[Job]) -> None:
    """Begin a plan, or see that it is the one that was begun, or that one and more."""
    plan = msgspec.json.encode({"per_shard": PER_SHARD, "jobs": jobs})
    try:
        begun = (folder / PLAN).read_bytes()
    except FileNotFoundError:
        if any(folder.glob("shard-*.tar")):
            raise ValueError(
                f"{folder} has shards and no {PLAN}: name another folder, to leave them as they are"
            ) from None
        with replacing(folder / PLAN) as beside:
            beside.write_bytes(plan)
        return
    if begun == plan:
        return
    before = _jobs(begun)
    if not before or before != list(jobs[: len(before)]):
        names = ", ".join(sorted({job.source for job in before}))
        said = f"{len(before)} of {names}, the first with seed {before[0].seed}" if before else f"{PLAN} cannot be read"
        raise ValueError(f"{folder} was begun with another plan ({said}): finish that, or name another folder")
    with replacing(folder / PLAN) as beside:  # it grows
        beside.write_bytes(plan)


def planned(folder: Path) -> list[Job]:
    """The jobs that a folder was begun with, if any were."""
    return _jobs((folder / PLAN).read_bytes()) if (folder / PLAN).exists() else []


def _jobs(plan: bytes) -> list[Job]:
    """The jobs of a plan; none of one that cannot be read, or that makes shards of another length."""
    try:
        raw = msgspec.json.decode(plan, type=dict[str, msgspec.Raw])
        known = msgspec.json.decode(raw["per_shard"]) == PER_SHARD
        return msgspec.json.decode(raw["jobs"], type=list[Job]) if known else []
    except (msgspec.DecodeError, KeyError):
        return []


def _report(
    folder: Path, jobs: Sequence[Job], records: Sequence[Record], shards: Sequence[Shard], fresh: Set[str]
) -> dict[str, Any]:
    """What was made and what was not; nothing of when, where, or by how many. Captions that were written since stay
    said, and what a filter keeps as long as no clip is `fresh`."""
    clips = [clip for record in records for clip in record.clips]
    skipped = [lost for record in records for lost in record.skipped]
    twice = [name for name, times in Counter(clip.name for clip in clips).items() if times > 1]
    if twice:
        whose = [job.options.get("tape", job.options.get("path", f"job {job.number}")) for job, record in
                 zip(jobs, records) if any(clip.name == twice[0] for clip in record.clips)]  # fmt: skip
        raise ValueError(f"two clips are named {twice[0]}, of {' and '.join(map(str, whose))}: make them apart")
    if not clips:
        raise ValueError(f"nothing came of {len(jobs)} jobs: {skipped[0].what}: {skipped[0].why}")
    report = {
        "jobs": len(jobs),
        "clips": len(clips),
        "frames": sum(clip.frames for clip in clips),
        "seconds": round(sum(clip.seconds for clip in clips), 3),
        "sources": dict(sorted(Counter(clip.source for clip in clips).items())),
        "licences": dict(sorted(Counter(clip.licence for clip in clips).items())),
        "skipped": len(skipped),
        "why": msgspec.to_builtins(skipped),
        "shards": msgspec.to_builtins(shards),
    }
    said = card(folder.name, jobs, clips, skipped)
    if captions := _read(folder / REPORT).get("captions"):
        report["captions"] = captions
        said = captioned(said, captions)
    if not fresh and (chosen := _read(folder / FILTERED)):
        said = filtered(said, chosen)
    if rows := [clip.profile for clip in clips if clip.profile]:
        path = folder / profile.PROFILE
        known = profile.read(path) if captions and path.exists() else []
        told = {str(row["name"]) for row in known if row["captions"]} - fresh
        rows = [row | ({"captions": True} if row["name"] in told else {}) for row in rows]
        profile.write(path, rows)
    with replacing(folder / REPORT) as beside:
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    with replacing(folder / CARD) as beside:
        beside.write_text(said, "utf-8")
    return report


def _read(path: Path) -> dict[str, Any]:
    """What an earlier run or filter said; nothing if there was none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}
