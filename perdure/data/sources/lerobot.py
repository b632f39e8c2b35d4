"""LeRobot's data sets as a source: each episode a clip, or several where it is long.

Options: camera (observation.images.NAME; the first unless said), licence (of the data set; it does not say its own).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from perdure.data import lerobot
from perdure.data.captions import held_back
from perdure.data.clip import LONGEST, SHORTEST, Clip, Job, Skipped
from perdure.world.action import FRAMES_PER_CHUNK

NAME = "lerobot"
LICENCE = "unstated"


def plan(
    count: int = 0, seed: int = 0, paths: Sequence[str | Path] = (), **options: str | float | int | bool
) -> list[Job]:
    """A job an episode of each data set in `paths`; the first `count` of them, if that is not 0."""
    if unknown := sorted(set(options) - {"camera", "licence"}):
        raise ValueError(f"expected options of lerobot out of camera, licence, got {', '.join(unknown)}")
    jobs: list[Job] = []
    for path in map(Path, paths):
        info = lerobot.described(path)
        for row in lerobot.rows_of(path):
            said = {"path": str(path.absolute()), "episode": int(row["episode_index"]), **options}
            jobs.append(Job(NAME, len(jobs), seed, int(row["length"]) / float(info["fps"]), said))
    return jobs[: count or None]


def make(job: Job) -> Iterator[Clip | Skipped]:
    """The clips of an episode. Ours are as they were; of others the frames and their numbers are known.

    A task with a word in it that is held back for tests is left out, and counted; the frames stay.
    """
    folder = Path(str(job.options["path"]))
    info = lerobot.described(folder)
    row = next(row for row in lerobot.rows_of(folder) if row["episode_index"] == job.options["episode"])
    clip = lerobot.episode(folder, info, row, str(job.options.get("camera", "")))
    if row.get(lerobot.SHEET):  # it was exported by us
        yield clip
        return
    clip = replace(clip, name=f"{NAME}-{job.number:06d}", licence=str(job.options.get("licence", LICENCE)))
    if clip.seconds < SHORTEST:
        raise Skipped(f"episode {job.options['episode']} of {folder.name}: length: {clip.seconds:.1f} s")
    if words := held_back(clip.tags["task"]):
        told = f"episode {job.options['episode']} of {folder.name}"
        yield Skipped(
            f"task: {', '.join(words)}: held back for tests; the clip comes without it", f"the task of {told}"
        )
        clip = replace(clip, commands={}, tags={**clip.tags, "task": ""})
    yield from pieces(clip)


def pieces(clip: Clip) -> Iterator[Clip]:
    """A clip in equal pieces of whole chunks, of a minute at most."""
    parts = -(-len(clip.rgb) // int(LONGEST * clip.fps))
    each = len(clip.rgb) // parts // FRAMES_PER_CHUNK * FRAMES_PER_CHUNK
    for part in range(parts):
        a, b = part * each, (part + 1) * each
        yield replace(
            clip,
            name=clip.name if parts == 1 else f"{clip.name}-{part:03d}",
            rgb=clip.rgb[a:b],
            commands={who: said[a // FRAMES_PER_CHUNK : b // FRAMES_PER_CHUNK] for who, said in clip.commands.items()},
            states={who: {what: it[a:b] for what, it in known.items()} for who, known in clip.states.items()},
        )


__all__ = ["LICENCE", "NAME", "make", "pieces", "plan"]
