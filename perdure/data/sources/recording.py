"""Recordings: what was played in a world becomes clips, exactly as it was.

A stored world's log holds all that was done, where everyone was and what was drawn. So its clips have the very actions
and poses, states that are found by living it again, tick by tick, and frames that are drawn again from what was kept.
Who draws is named by the option `draw`, a module with `drawing() -> Callable[[World], frames]`: the engine is not
known here. What was kept by `perdure play --record` has frames as they were shown, and when each control came.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from perdure.data.clip import LONGEST, SHORTEST, Clip, Job, Recipe, Skipped, check_seconds
from perdure.data.recorder import Recorder
from perdure.data.tapes import ABOUT, pieces, plain, played_back, taped
from perdure.data.views import view_of
from perdure.memory.replay import again
from perdure.world.action import FRAMES_PER_CHUNK, FRAMES_PER_SECOND
from perdure.world.state import World
from perdure.world.store import Store

NAME = "recording"
LICENCE = "unstated"

CHUNK = FRAMES_PER_CHUNK / FRAMES_PER_SECOND  # seconds
BRANCH = "main"


def plan(
    count: int = 0,
    seed: int = 0,
    paths: Sequence[str | Path] = (),
    seconds: float = LONGEST,
    **options: str | float | int | bool,
) -> list[Job]:
    """A job for each piece of `seconds` at most of all that was played in these folders of worlds.

    Options: `draw` (who draws it again), `licence`, `branch` of the worlds.
    """
    if not paths:
        raise ValueError("expected worlds that were played in, to make clips of: name some")
    if strange := {*options} - {"draw", "licence", "branch"}:
        raise ValueError(f"expected options out of draw, licence, branch, got {', '.join(sorted(strange))}")
    check_seconds(seconds)
    called: dict[str, Path] = {}
    for path in map(Path, paths):
        other = called.setdefault(plain(path.name), path)
        if other != path:
            raise ValueError(
                f"{other} and {path} would be named alike in their clips: take them in apart, or rename one"
            )
    jobs: list[Job] = []
    for path in map(Path, paths):
        if (path / ABOUT).is_file():
            jobs += [
                Job(NAME, len(jobs) + n, seed, (last - first) / FRAMES_PER_SECOND,
                    {"tape": str(path.absolute()), "world": path.name, "first": first, "last": last, **options})
                for n, (first, last) in enumerate(taped(path, seconds))
            ]  # fmt: skip
            continue
        if "draw" not in options:
            raise ValueError("expected who draws the frames of recordings again, as draw=perdure.runtime.drawing")
        with Store.open(path, write=False) as store:
            branch = str(options.get("branch", BRANCH))
            known = store.branches()
            if branch not in known:
                raise ValueError(f"expected a branch of {path.name} out of {', '.join(sorted(known))}, got {branch!r}")
            steps = known[branch]
        where = {"path": str(path.absolute()), "world": path.name, "branch": branch, **options}
        for first, last in pieces(steps, seconds):
            jobs.append(Job(NAME, len(jobs), seed, (last - first) * CHUNK, {**where, "first": first, "last": last}))
    return jobs[: count or None]


def make(job: Job) -> Iterator[Clip]:
    """The clip of a piece of a world's past, or of a tape."""
    asked = job.options
    if "tape" in asked:
        path = Path(str(asked["tape"]))
        yield played_back(path, int(asked["first"]), int(asked["last"]), NAME, str(asked.get("licence", LICENCE)))
        return
    name, branch, first, last = str(asked["world"]), str(asked["branch"]), int(asked["first"]), int(asked["last"])
    if (last - first) * CHUNK < SHORTEST:
        raise Skipped(f"{name} was played for {(last - first) * CHUNK:.1f} s only", name)
    draw = _drawing(str(asked["draw"]))
    with Store.open(Path(str(asked["path"])), write=False) as store:
        before = start = store.world_at(first, branch)
        recorder = Recorder(start, None, last - first, view_of(start))
        for made, world in again(store, branch, first, recorder.watched):
            if world.state != made.state:
                raise Skipped(f"step {made.step} of {name} comes out otherwise here than where it was played", name)
            if world.step > before.step:
                recorder.told(before, world, world.history.memories[-1].action, draw(world))
            before = world
            if recorder.full:
                break
        data = {"path": str(asked["path"]), "branch": branch, "step": first}
        tags = {"scene": start.scene[0], "world": name, "steps": f"{first}-{last}", "frames": "drawn again"}
        called = f"{NAME}-{plain(f'{name}-{branch}')}-{first:06d}"
        licence = str(asked.get("licence", LICENCE))
        yield recorder.clip(called, NAME, licence, start.seed, tags, Recipe(data, start.state, begin))


def begin(data: Mapping[str, Any]) -> World:
    """The world that a clip began in: it is read where it is kept."""
    with Store.open(Path(str(data["path"])), write=False) as store:
        return store.world_at(int(data["step"]), str(data["branch"]))


@lru_cache(maxsize=1)
def _drawing(module: str) -> Any:
    # By its name: who draws stands a floor above, and not everyone who makes clips has models.
    return import_module(module).drawing()
