"""Jobs done by worker processes of this machine, one at a time each. One that dies costs the job that it was at."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from perdure.data.clip import Job
from perdure.data.processes import Gone, each
from perdure.data.work import PARTS, Lost, Record, called, read_record, work

LOG = f"{PARTS}/workers.log"
"""Where what they print goes."""


def run(jobs: Sequence[Job], folder: Path, count: int, patience: float = 0.0) -> Iterator[Record]:
    """Do all jobs in `count` processes; gives records as they come.

    A job that takes longer than `patience` seconds (0: no matter how long) is given up, with its process.
    """
    for at, said in each(partial(work, folder=folder), jobs, count, patience, folder / LOG):
        yield died(jobs[at], folder, str(said)) if isinstance(said, Gone) else said


def died(job: Job, folder: Path, why: str) -> Record:
    """The record of a job whose worker is gone: its own, if it had come to write one."""
    lost = Lost(job.number, called(job), why, again=True)
    return read_record(folder, job.number) or Record(job.number, skipped=(lost,))
