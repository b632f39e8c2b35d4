"""Doom: levels of Freedoom, played by scripted explorers and fighters in ViZDoom.

A frame is a tic, 35 a second, so a chunk is 4/35 s. Doom's player is 56 units high, which is taken for 1.75 m. Depth is
cast through the level's own walls, floors and ceilings as they stand in that tic; sprites stand upright where their
owners are. The player's weapon hangs before the eye and is nowhere: its depth is 0, not known. Gratings, which Doom
paints between two rooms, are looked through. Of creatures only what they are and where they were seen is known, not
what they were about: nobody commands them.

Shapes: N frames, H W picture.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.camera import FAR, look, project
from perdure.data.clip import SHORTEST, Actor, Clip, Job, Moment, Skipped, check_seconds
from perdure.data.sources.doom_engine import begun, port, together
from perdure.data.sources.doom_game import LENS, SETTLING, TICS, Tape, play, pushed, roll, roll_both, wad, warm
from perdure.data.sources.doom_level import UNIT, Level, cast, read_level, stand
from perdure.data.sources.doom_player import TEMPERS, TOGETHER, Player, Press
from perdure.world.action import FRAMES_PER_CHUNK

NAME = "doom"
LICENCE = "Freedoom's levels and pictures: BSD-3-Clause; drawn by ViZDoom (MIT, on ZDoom)"
MAPS = tuple(f"MAP{n:02d}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 20))
LENGTHS = (10, 20, 30, 60)
"""Seconds of clips, where nobody asks for another length."""
GUNS = ("Pistol", "Shotgun", "Chaingun")
EFFECTS = (
    254  # in the entity map, whatever is neither somebody nor something: blood, puffs, sparks; and too many things
)
KINDS = {
    "DoomImp": "imp", "Zombieman": "soldier", "ShotgunGuy": "shotgun soldier", "ChaingunGuy": "chaingun soldier",
    "Demon": "flesh worm", "Spectre": "spectre", "Cacodemon": "floating eye", "LostSoul": "flying skull",
    "HellKnight": "pain bringer", "BaronOfHell": "pain lord", "Revenant": "dark soldier", "Fatso": "combat slug",
    "Arachnotron": "technospider", "PainElemental": "summoner", "Archvile": "flame bringer",
    "ExplosiveBarrel": "barrel", "DoomPlayer": "marine",
}  # fmt: skip
"""What Freedoom's creatures look like; others are called as their class is."""
SPARKS = {"Blood", "BulletPuff", "RevenantTracerSmoke", "RocketSmokeTrail", "TeleportFog", "ItemFog"}
STILL_LIFE = {"LightSource", "Vegetation", "Decoration", "Gore"}
"""Categories of what only stands or lies there."""
STATES = (
    ("health", "HEALTH", 0.01), ("armor", "ARMOR", 0.01), ("kills", "KILLCOUNT", 1), ("hits", "HITCOUNT", 1),
    ("hits_taken", "HITS_TAKEN", 1), ("damage", "DAMAGECOUNT", 0.01),
)  # fmt: skip
"""Of the player: our name, Doom's, and what one of Doom's is of ours."""
COUNTED = (
    ("HITS_TAKEN", "hit", "{} is hit", True), ("HITCOUNT", "strike", "{}'s shot hits", True),
    ("KILLCOUNT", "kill", "a monster dies", False), ("ITEMCOUNT", "take", "{} takes something up", True),
)  # fmt: skip
COLOURS = (("red", 3), ("green", 0))
"""Of two players in one game, with Doom's number for each."""
TRAJECTORIES = {
    "explorer": "free",
    "follower": "along walls",
    "returner": "there-and-back",
    "fighter": "fight",
    "rival": "fight",
}
ORDINALS = ("", "second ", "third ", "fourth ", "fifth ", "sixth ", "seventh ", "eighth ", "ninth ", "tenth ")


def plan(count: int, seed: int, seconds: float | None = None, **options: Any) -> list[Job]:
    """Jobs: `map=MAP03`, `temper=explorer|follower|returner|fighter`, `skill=1..5`, `weapon`, `monsters`.

    `players=2`: two in one game, a clip of each, and `temper=rival` as well, who goes for the other.
    """
    known = {"map", "temper", "skill", "weapon", "monsters", "players"}
    if unknown := sorted(set(options) - known):
        raise ValueError(f"expected options of doom out of {', '.join(sorted(known))}, got {', '.join(unknown)}")
    if options.get("map", MAPS[0]) not in MAPS:
        raise ValueError(f"expected a map out of {', '.join(MAPS)}, got {options['map']!r}")
    if (players := options.get("players", 1)) not in (1, 2):
        raise ValueError(f"expected 1 or 2 players, got {players!r}")
    for name in ("weapon", "monsters"):
        if not isinstance(options.get(name, True), bool):
            raise ValueError(f"expected {name} as true or false, got {options[name]!r}")
    skill = options.get("skill", 1)
    if not isinstance(skill, int) or isinstance(skill, bool) or not 1 <= skill <= 5:
        raise ValueError(f"expected skill as a whole number from 1 to 5, got {skill!r}")
    if seconds is not None:
        check_seconds(seconds)
    tempers = TOGETHER if players == 2 else TEMPERS
    if options.get("temper", "explorer") not in tempers:
        raise ValueError(f"expected a temper out of {', '.join(tempers)}, got {options['temper']!r}")
    jobs: list[Job] = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        temper = str(options.get("temper", rng.choice(list(TEMPERS), p=(0.3, 0.15, 0.25, 0.3))))
        if players == 2:
            temper = str(options.get("temper", "rival"))
        said = {
            "map": str(options.get("map", rng.choice(MAPS))),
            "temper": temper,
            "skill": int(options.get("skill", rng.integers(2, 5) if temper == "fighter" else 1)),
            "weapon": bool(options.get("weapon", temper == "fighter")),
            "monsters": bool(options.get("monsters", temper == "fighter" or rng.random() < 0.4)),
        }
        if players == 2:
            said |= {"players": 2, "weapon": True, "monsters": bool(options.get("monsters", False))}
        jobs.append(Job(NAME, number, int(rng.integers(1 << 31)), float(seconds or rng.choice(LENGTHS)), said))
    return jobs


def make(job: Job) -> Iterator[Clip]:
    """The clip of a job; two for two players."""
    level = read_level(wad(), str(job.options["map"]))
    for attempt in range(4):
        rng = np.random.default_rng([job.seed, attempt])
        if job.options.get("players", 1) == 2:
            tapes, gun = _together(level, job, rng), "Pistol"
        else:
            tape, gun = _played(level, job, rng)
            tapes = [tape]
        if tapes[0].frames >= SHORTEST * TICS:
            yield from (_clip(job, tape, gun, tapes[1 - i] if len(tapes) > 1 else None) for i, tape in enumerate(tapes))
            return
    raise Skipped(f"the player of {job.options['map']} was dead or away within {SHORTEST:.0f} s, four times")


def _played(level: Level, job: Job, rng: np.random.Generator) -> tuple[Tape, str]:
    name, weapon = str(job.options["map"]), bool(job.options["weapon"])
    chunks = max(1, round(job.seconds * TICS / FRAMES_PER_CHUNK))
    seed, gun = int(rng.integers(1 << 31)), str(rng.choice(GUNS)) if weapon else ""
    commands: list[str] = []
    if len(level.places) and rng.random() < 0.8:
        x, y = level.places[rng.integers(len(level.places))]
        commands.append(f"warp {x:.0f} {y:.0f}")
    if weapon:
        commands += [f"give {gun}", "give backpack", f"use {gun}"]
    turn = float(rng.uniform(-math.pi, math.pi))
    player: Player = TEMPERS[str(job.options["temper"])](level, rng)
    tape = Tape(level, chunks * FRAMES_PER_CHUNK)
    skill, arguments = int(job.options["skill"]), "" if job.options["monsters"] else "-nomonsters"
    start = partial(play, name, seed, skill, weapon, arguments)
    with begun((start, partial(start, pictures=False, heights=True))) as ((game, survey), _):
        for one in (game, survey):
            warm(one, commands, turn)
        roll(tape, game, survey, player, chunks)
    return tape, gun


def _together(level: Level, job: Job, rng: np.random.Generator) -> list[Tape]:
    """Two in one game, each with his own view of it. Who of them is heard first, the engines do not settle by seed."""
    chunks = max(1, round(job.seconds * TICS / FRAMES_PER_CHUNK))
    seed = int(rng.integers(1 << 31))
    monsters = "" if job.options["monsters"] else "-nomonsters"
    start = partial(play, str(job.options["map"]), seed, int(job.options["skill"]), True)

    def starts(port: int) -> list[Callable[[], Any]]:
        ways = [
            f"{how} {monsters} -port {port} +teamdamage 0.2 +colorset {colour}"
            for how, (_, colour) in zip(("-host 2", "-join 127.0.0.1"), COLOURS)
        ]
        return [partial(start, way, heights=i == 0) for i, way in enumerate(ways)]

    with port() as number, begun(starts(number), at_once=True) as (games, kill):
        for _ in range(SETTLING):  # tic by tic: of several at a stroke, one engine ends its last while the other waits
            together([partial(game.make_action, pushed(Press())) for game in games], kill)
        tapes = [Tape(level, chunks * FRAMES_PER_CHUNK, who=name) for name, _ in COLOURS]
        temper = TOGETHER[str(job.options["temper"])]
        players = [temper(level, np.random.default_rng([seed, i])) for i in (0, 1)]
        roll_both(tapes, games, players, chunks, kill)
    return tapes


def _clip(job: Job, tape: Tape, gun: str, other: Tape | None = None) -> Clip:
    frames = tape.frames // FRAMES_PER_CHUNK * FRAMES_PER_CHUNK
    presses = tape.presses[: frames // FRAMES_PER_CHUNK]
    floors, ceilings = tape.positions()
    who, cast_ = _cast(tape, frames, other)
    depth = np.empty((frames, LENS.height, LENS.width), np.float32)
    entity = np.empty(depth.shape, np.uint8)
    eyes = np.stack([tape.variable(f"CAMERA_POSITION_{axis}") for axis in "XYZ"], -1)[:frames]
    yaws = np.radians(tape.variable("CAMERA_ANGLE"))[:frames]
    marks = _by_frame(tape)

    def measure(some: range) -> None:
        """Depth and entities of these frames."""
        for i in some:
            x, y, z = eyes[i]
            depth[i], entity[i] = cast(tape.level, floors[i], ceilings[i], (x, y, z), yaws[i], LENS)
            numbers, far = np.zeros(256, np.uint8), np.zeros(256, np.float32)
            shown = np.zeros(256, np.bool_)
            for _, label, number, px, py, _, _ in marks.get(i, ()):
                at = int(label)
                ahead = UNIT * (math.cos(yaws[i]) * (px - x) + math.sin(yaws[i]) * (py - y))
                shown[at], numbers[at], far[at] = True, who.get(int(number), 0), min(FAR, max(0.0, ahead))
            stand(depth[i], entity[i], tape.labels[i], shown, numbers, far)

    with ThreadPoolExecutor(2) as pool:  # the engine that the other core was busy with is at rest now
        list(pool.map(measure, (range(0, frames, 2), range(1, frames, 2))))
    mine = _mine(tape, frames)
    poses = look(UNIT * eyes, yaws, 0.0)
    events = [*_counted(tape, frames), *_moved(tape, floors, ceilings, poses, depth)]
    commands = {0: tuple(press.words() for press in presses)}
    states = {0: mine, **_seen(tape, frames, who)}
    if other is not None:
        events += _counted(other, frames, 1)
        commands[1] = tuple(press.words() for press in other.presses[: len(presses)])
        states[1] = _mine(other, frames)
    temper = str(job.options["temper"])
    tags = {
        "map": str(job.options["map"]),
        "scene": "doom",
        "temper": temper,
        "trajectory": TRAJECTORIES[temper],
        "skill": str(job.options["skill"]),
        "monsters": "yes" if job.options["monsters"] else "no",
        "weapon": gun or "none",
        **({} if other is None else {"players": "2", "repeatable": "no"}),
    }
    return Clip(
        f"{NAME}-{job.number:06d}" + ("" if other is None else f"-{tape.who}"),
        NAME,
        LICENCE,
        float(TICS),
        tape.rgb[:frames],
        seed=job.seed,
        view="first",
        intrinsics=LENS,
        poses=poses,
        depth=depth,
        entity=entity,
        actions=tuple(press.action() for press in presses),
        cast=cast_,
        commands=commands,
        states=states,
        events=tuple(sorted(events, key=lambda m: (m.start, m.kind, m.words))),
        tags=tags,
    )


def _mine(tape: Tape, frames: int) -> dict[str, NDArray[Any]]:
    """The states of the player whose tape it is."""
    position = UNIT * np.stack([tape.variable(f"POSITION_{axis}") for axis in "XYZ"], -1)[:frames]
    out: dict[str, NDArray[Any]] = {"position": position, "heading": np.radians(tape.variable("CAMERA_ANGLE")[:frames])}
    for state, name, unit in STATES:
        out[state] = (tape.variable(name)[:frames] * unit).astype(np.float32)
    return out


def _by_frame(tape: Tape) -> dict[int, list[tuple[float, ...]]]:
    out: dict[int, list[tuple[float, ...]]] = {}
    for mark in tape.marks:
        out.setdefault(int(mark[0]), []).append(mark)
    return out


def _cast(tape: Tape, frames: int, other: Tape | None = None) -> tuple[dict[int, int], tuple[Actor, ...]]:
    """The value in the entity map of every object that was seen, and who they are; what only stands there is still."""
    actors, who, kinds = [Actor(0, "marine", tape.name, "player")], {}, dict[str, int]()
    if other is not None:
        actors.append(Actor(1, "marine", other.name, "player"))
    sparks = False
    for mark in tape.marks:
        number = int(mark[2])
        if mark[0] >= frames or number in who:
            continue
        name, category = tape.names[number]
        if category == "Self":
            who[number] = 1
        elif category == "Player" and other is not None:
            who[number] = 2
        elif category in STILL_LIFE:
            who[number] = 0
        elif name in SPARKS or len(actors) >= EFFECTS - 1:
            who[number], sparks = EFFECTS, True
        else:
            kind = KINDS.get(name) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()
            before = kinds.get(kind, 0)
            kinds[kind] = before + 1
            ordinal = ORDINALS[before] if before < len(ORDINALS) else f"{before + 1}th "
            role = "player" if category == "Player" else "creature" if category == "Monster" else "thing"
            actors.append(Actor(len(actors), kind, f"the {ordinal}{kind}", role))
            who[number] = len(actors)
    if sparks:
        actors.append(Actor(EFFECTS - 1, "spark", "blood, smoke and sparks", "thing"))
    return who, tuple(actors)


def _seen(tape: Tape, frames: int, who: Mapping[int, int]) -> dict[int, dict[str, NDArray[Any]]]:
    """Where others were, in the frames in which they were seen; not a number in those where nobody knows."""
    out: dict[int, dict[str, NDArray[Any]]] = {}
    for frame, _, number, x, y, z, degrees in tape.marks:
        value = who.get(int(number), 0)
        if frame >= frames or value in (0, 1, EFFECTS):
            continue
        known = out.setdefault(
            value - 1, {"position": np.full((frames, 3), np.nan), "heading": np.full(frames, np.nan)}
        )
        known["position"][int(frame)] = UNIT * x, UNIT * y, UNIT * z
        known["heading"][int(frame)] = math.radians(degrees)
    return out


def _counted(tape: Tape, frames: int, me: int = 0) -> list[Moment]:
    """What Doom counts: hits and deaths, what was taken up, and how it ended."""
    out: list[Moment] = []
    for name, kind, words, mine in COUNTED:
        for i in np.flatnonzero(np.diff(tape.variable(name)[:frames]) > 0) + 1:
            out.append(Moment(int(i), int(i) + 1, kind, words.format(tape.name), me if mine else None))
    hits = {m.start for m in out if m.kind == "hit"}
    for i in np.flatnonzero(np.diff(tape.variable("HEALTH")[:frames]) < 0) + 1:
        if int(i) not in hits:
            out.append(Moment(int(i), int(i) + 1, "hurt", f"{tape.name} is hurt", me))
    if tape.died:
        out.append(Moment(frames - 1, frames, "death", f"{tape.name} dies", me))
    if tape.left:
        out.append(Moment(frames - 1, frames, "exit", f"{tape.name} leaves the level", me))
    return out


def _moved(
    tape: Tape, floors: NDArray[np.float64], ceilings: NDArray[np.float64], poses: NDArray[np.float64],
    depth: NDArray[np.float32],
) -> list[Moment]:  # fmt: skip
    """Doors and lifts that moved and were seen to."""
    out: list[Moment] = []
    frames, level = len(depth), tape.level
    for heights, up, down in ((ceilings, "opens", "closes"), (floors, "goes up", "goes down")):
        steps = np.diff(heights[:frames], axis=0)
        for sector in np.flatnonzero(steps.any(0)):
            sides = level.around[level.first[sector] : level.first[sector + 1]]
            thing = "a door" if heights is ceilings else "a lift"
            way = np.sign(steps[:, sector])
            edges = np.flatnonzero(np.diff(np.concatenate([[0], way, [0]])))
            for start, end in pairwise(edges):
                if way[start] and any(_visible(level, sides, i, poses, depth) for i in range(start, end + 1, 4)):
                    words = f"{thing} {up if way[start] > 0 else down}"
                    out.append(Moment(int(start), int(end) + 1, thing[2:], words))
    return out


def _visible(level: Level, sides: NDArray[np.int64], frame: int, poses: NDArray[np.float64], depth: Any) -> bool:
    """Whether the middle of any of these lines is in the picture, with nothing before it."""
    middles = UNIT * 0.5 * (level.lines[sides, :2] + level.lines[sides, 2:])
    points = np.concatenate([middles, np.full((len(middles), 1), poses[frame, 2, 3])], 1)
    pixels, away = project(points, LENS, poses[frame])
    column = np.floor(pixels[:, 0]).astype(int)
    inside = (away > 0.1) & (column >= 0) & (column < LENS.width)
    seen = depth[frame, LENS.height // 2, np.clip(column, 0, LENS.width - 1)] > away - 0.25
    return bool((inside & seen).any())
