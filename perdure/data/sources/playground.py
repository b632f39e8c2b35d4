"""The playground: the built-in engine as a source of clips, of which everything is known.

Options, all of them optional: scene, creatures, trajectory, drama, weather, season, style, view (of each one or some,
"court,hall", which clips then take in turn); density (0 to 1), hour, seconds; carried (a file of a measured trajectory,
to be flown where it fits).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from perdure.data.clip import LONGEST, SHORTEST, Clip, Job, Recipe, Skipped
from perdure.data.directing.director import Director
from perdure.data.directing.schedule import DRAMAS, direct, length
from perdure.data.directing.staging import recipe, stage
from perdure.data.recorder import TOLD, Recorder
from perdure.data.scenes import KINDS, creatures
from perdure.data.trajectories import CATEGORIES, SCRIPTS, revisit_density, trajectory
from perdure.data.views import VIEWS
from perdure.world import formats
from perdure.world.events import EVENTS
from perdure.world.setting import SEASONS, STYLES, WEATHERS
from perdure.world.state import World

NAME = "playground"
LICENCE = "Apache-2.0"

CHOICES = {
    "scene": tuple(KINDS),
    "creatures": tuple(creatures.KINDS),
    "trajectory": (*SCRIPTS, "dense"),
    "drama": DRAMAS,
    "weather": WEATHERS,
    "season": SEASONS,
    "style": STYLES,
    "view": VIEWS,
}
"""What options may say, each one of these or several, with commas."""

INTEREST = {"fight": 0.8, "dance": 0.7, "crossing": 0.6, "quiet": 0.1}
"""How often a walker would rather look at creatures than elsewhere, by what they are about."""

NUMBERS = {"density": (0.0, 1.0), "hour": (0.0, 23.99), "seconds": (SHORTEST, LONGEST)}


def plan(count: int, seed: int, **options: str | float | int | bool) -> list[Job]:
    """One job a clip. What is not asked for is dealt by number: see `directing/schedule.py`."""
    if count < 1:
        raise ValueError(f"expected one clip or more, got {count}")
    _check(options)
    seconds = options.pop("seconds", None)
    return [
        Job(NAME, number, seed, length(number, seed) if seconds is None else float(seconds), options)
        for number in range(count)
    ]


def everything() -> dict[str, list[str]]:
    """All that clips could show: what of it is not there is to be seen in a data set's counts."""
    ways = [name for name in CATEGORIES if name != "carried"]
    return {
        "views": [*VIEWS],
        "cast": [*creatures.KINDS],
        "events": [*EVENTS, *TOLD],
        "scene": [*KINDS],
        "trajectory": ways,
        "category": [*{CATEGORIES[name]: 0 for name in ways}],
        "drama": [*dict.fromkeys(DRAMAS)],
        "weather": [*WEATHERS],
        "season": [season or "none" for season in SEASONS],
        "style": [style or "plain" for style in STYLES],
    }


def make(job: Job) -> Iterator[Clip]:
    """The clip of a job."""
    direction = direct(job)
    data = recipe(direction, job.number)
    scene, world, painter = stage(data)
    kind, carried = direction.trajectory, None
    if "carried" in job.options:
        kind, carried = "carried", formats.read(str(job.options["carried"]))
    walker = trajectory(kind, scene, job.number, direction.density, carried)
    walker.interest = INTEREST.get(direction.drama, walker.interest)
    director = Director(scene, direction, walker, job.number)
    recorder = Recorder(world, painter, direction.chunks, direction.view)
    while not recorder.full:
        world = recorder.advance(world, director(world, recorder.frames))
    if carried is not None and not any(action.path for action in recorder.actions):
        raise Skipped(f"carried: {job.seconds:g} s were over before one came to where the trajectory could begin")
    density = revisit_density(recorder.poses, recorder.intrinsics)
    tags = {
        "scene": direction.scene,
        "trajectory": kind,
        "category": CATEGORIES[kind],
        "drama": direction.drama,
        "hour": f"{direction.hour:g}",
        "weather": direction.weather,
        "season": direction.season or "none",
        "style": direction.style or "plain",
        "revisit_density": f"{density:.3f}",
        "stopped": f"{walker.stopped / max(1, walker.asked):.4f}",
    }
    if direction.density is not None:
        tags["density"] = f"{direction.density:g}"
    start = Recipe(data, recorder.start.state, begin)
    yield recorder.clip(f"{NAME}-{job.number:06d}", NAME, LICENCE, job.seed, tags, start)


def begin(data: Mapping[str, Any]) -> World:
    """The world that a clip began in, made again of its recipe."""
    return stage(data)[1]


def _check(options: Mapping[str, str | float | int | bool]) -> None:
    if options.get("trajectory") == "fight" and options.get("view", "third") in ("first", "vehicle"):
        raise ValueError(f"expected view=third or animal for a fight, which needs a body, got {options['view']}")
    known = (*CHOICES, *NUMBERS, "carried")
    for name, value in options.items():
        if name not in known:
            raise ValueError(f"expected options out of {', '.join(known)}, got {name!r}")
        if name in NUMBERS:
            low, high = NUMBERS[name]
            if isinstance(value, str | bool) or not low <= value <= high:
                raise ValueError(f"expected {name} as a number from {low:g} to {high:g}, got {value!r}")
        elif name in CHOICES:
            for word in str(value).split(","):
                if word.strip() not in CHOICES[name]:
                    raise ValueError(f"expected {name} out of {', '.join(CHOICES[name])}, got {word.strip()!r}")
        else:
            formats.read(str(value))  # raises what is wrong with it, before any job does
