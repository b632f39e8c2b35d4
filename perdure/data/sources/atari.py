"""Atari: two scripted players in one game of the 2600, each commanded in words.

Every second picture of the console's sixty is kept, so a chunk is eight raw frames. Scores and positions are read from
the console's memory; pictures are as it puts them out, 160 by 210. There is no camera, hence no pose and no depth; an
entity map only where colours tell who is who. Sticks are kept raw, as states: `stick` has for each frame what was held
in the raw frames that led to it. An action's keys are the first player's: the ways that he held his for half of the
chunk or more.

Shapes: N frames, H W screen, M bytes of memory.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.data.clip import Actor, Clip, Job, Moment, Skipped, check_seconds
from perdure.data.sources.atari_games import GAMES, Game, Move, Stick
from perdure.data.sources.atari_player import PLAYERS, Sight
from perdure.world.action import FRAMES_PER_CHUNK, Action, Keys, Word

NAME = "atari"
LICENCE = (
    "games as distributed with ale-py, whose licence (GPL-2.0-only) is of its code; no licence of theirs is stated"
)
EVERY = 2  # raw frames for one that is kept
FPS = 60.0 / EVERY
LENGTHS = (10, 20, 30, 60)
"""Seconds of clips, where nobody asks for another length."""
RAW = FRAMES_PER_CHUNK * EVERY
CODES = {(0, 0): 0, (0, -1): 2, (1, 0): 3, (-1, 0): 4, (0, 1): 5, (1, -1): 6, (-1, -1): 7, (1, 1): 8, (-1, 1): 9}
"""Of sticks, without the button."""


def plan(count: int, seed: int, seconds: float | None = None, **options: Any) -> list[Job]:
    """Jobs: `game=boxing|pong|tennis`."""
    if unknown := sorted(set(options) - {"game"}):
        raise ValueError(f"expected no option of atari but game, got {', '.join(unknown)}")
    if options.get("game", "boxing") not in GAMES:
        raise ValueError(f"expected a game out of {', '.join(GAMES)}, got {options['game']!r}")
    if seconds is not None:
        check_seconds(seconds)
    jobs: list[Job] = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        said = {"game": str(options.get("game", rng.choice(list(GAMES))))}
        jobs.append(Job(NAME, number, int(rng.integers(1 << 31)), float(seconds or rng.choice(LENGTHS)), said))
    return jobs


def make(job: Job) -> Iterator[Clip]:
    """The clip of a job, from somewhere in the first seconds of a game."""
    game, rng = GAMES[str(job.options["game"])], np.random.default_rng(job.seed)
    chunks = max(1, round(job.seconds * FPS / FRAMES_PER_CHUNK))
    console = _console(game, int(rng.integers(1 << 31)))
    players = [PLAYERS[game.name](np.random.default_rng([job.seed, i])) for i in (0, 1)]
    screens = np.empty((chunks * FRAMES_PER_CHUNK, 210, 160, 3), np.uint8)
    memory = np.empty((len(screens), 128), np.uint8)
    before = int(rng.integers(2, 100))  # chunks that are played and not kept
    scratch, kept = (np.empty((FRAMES_PER_CHUNK, *a.shape[1:]), np.uint8) for a in (screens, memory))
    console.getScreenRGB(scratch[-1])
    console.getRAM(kept[-1])
    sticks: list[list[list[Stick]]] = []
    first = last = scratch[-1:].copy(), kept[-1:].copy()
    for chunk in range(before + chunks):
        at = slice((chunk - before) * FRAMES_PER_CHUNK, (chunk - before + 1) * FRAMES_PER_CHUNK)
        seen, known = (scratch, kept) if chunk < before else (screens[at], memory[at])
        held = _asked(game, players, *last)
        for raw in range(RAW):
            console.act([_code(held[0][raw]), _code(held[1][raw])])
            if raw % EVERY == EVERY - 1:
                console.getScreenRGB(seen[raw // EVERY])
                console.getRAM(known[raw // EVERY])
        if console.game_over():
            console.reset_game()
            if chunk >= before:
                raise Skipped(
                    f"the game of {game.name} was over after {(chunk - before) / FPS * FRAMES_PER_CHUNK:.1f} s"
                )
        last = seen[-1:].copy(), known[-1:].copy()
        if chunk < before:
            first = last
        else:
            sticks.append(held)
    yield _clip(job, game, first, screens, memory, sticks)


def _console(game: Game, seed: int) -> Any:
    try:
        import ale_py
        import multi_agent_ale_py
    except ModuleNotFoundError as error:
        raise ValueError('the source "atari" needs the games: pip install "perdure[worlds]"') from error
    multi_agent_ale_py.ALEInterface.setLoggerMode("error")
    console = multi_agent_ale_py.ALEInterface()
    console.setInt("random_seed", seed)
    console.setFloat("repeat_action_probability", 0.0)
    console.loadROM(os.fspath(Path(ale_py.__file__).parent / "roms" / f"{game.rom}.bin"))
    console.setMode(game.mode)
    console.reset_game()
    return console


def _code(stick: Stick) -> int:
    code = CODES[stick[0], stick[1]]
    return code + (0 if not stick[2] else 8 if code else 1)


def _asked(game: Game, players: list[Any], screen: NDArray[np.uint8], memory: NDArray[np.uint8]) -> list[list[Stick]]:
    where = game.positions(memory, screen)[0]
    ball = game.ball(memory)[0] if game.ball else None
    return [player(Sight(where[i], where[1 - i], memory[0], ball), RAW) for i, player in enumerate(players)]


def _clip(
    job: Job, game: Game, first: tuple[NDArray[np.uint8], NDArray[np.uint8]], screens: NDArray[np.uint8],
    memory: NDArray[np.uint8], sticks: list[list[list[Stick]]],
) -> Clip:  # fmt: skip
    where, scores = game.positions(memory, screens), game.scores(memory)
    ends = np.concatenate([game.positions(first[1], first[0]), where[FRAMES_PER_CHUNK - 1 :: FRAMES_PER_CHUNK]])
    ball = game.ball(memory) if game.ball else None
    commands: dict[int, tuple[str, ...]] = {}
    raw = np.array(sticks, np.int8)  # (S, 2, RAW, 3)
    there = np.ones(len(sticks) + 1, bool)  # the ball, before each chunk and after the last
    if game.ball:
        there[0] = np.isfinite(game.ball(first[1])).all()
        there[1:] = np.isfinite(game.ball(memory)[FRAMES_PER_CHUNK - 1 :: FRAMES_PER_CHUNK]).all(1)
    for i in (0, 1):
        said = []
        for k, held in enumerate(sticks):
            served = bool(there[k + 1] and not there[k])
            move = Move(held[i], ends[k, i], ends[k + 1, i], ends[k, 1 - i], bool(there[k]), served)
            said.append(game.words(move))
        commands[i] = tuple(said)
    states: dict[int, dict[str, NDArray[Any]]] = {
        i: {
            "position": where[:, i].copy(),
            "score": scores[:, i].copy(),
            "stick": raw[:, i].reshape(len(screens), EVERY, 3),
        }
        for i in (0, 1)
    }
    cast = [Actor(i, game.kinds[i], game.names[i], "player") for i in (0, 1)]
    if ball is not None:
        cast.append(Actor(2, "ball", "the ball", "thing"))
        states[2] = {"position": ball}
    actions = tuple(
        Action(_keys(held[0]), words=(Word(0, a), Word(1, b))) for held, a, b in zip(sticks, commands[0], commands[1])
    )
    return Clip(
        f"{NAME}-{job.number:06d}",
        NAME,
        LICENCE,
        FPS,
        screens,
        seed=job.seed,
        view="screen",
        entity=game.entities(screens),
        actions=actions,
        cast=tuple(cast),
        commands=commands,
        states=states,
        events=_points(game, scores),
        tags={"game": game.name, "scene": game.name, "players": "2"},
    )


def _keys(held: list[Stick]) -> Keys:
    """Where a stick was held in half of the raw frames or more, as a page of arrow keys has it."""
    right, down = (sum(stick[axis] for stick in held) for axis in (0, 1))
    keys = Keys(0)
    for held_for, key in ((-down, Keys.FORWARD), (down, Keys.BACK), (-right, Keys.LEFT), (right, Keys.RIGHT)):
        if 2 * held_for >= len(held):
            keys |= key
    return keys


def _points(game: Game, scores: NDArray[np.float64]) -> tuple[Moment, ...]:
    out: list[Moment] = []
    for i in (0, 1):
        for frame in np.flatnonzero(np.diff(scores[:, i]) > 0) + 1:
            if game.point == "hit":
                out.append(Moment(int(frame), int(frame) + 1, "hit", f"{game.names[1 - i]} is hit", 1 - i))
            else:
                out.append(Moment(int(frame), int(frame) + 1, "point", f"{game.names[i]} wins a point", i))
    return tuple(sorted(out, key=lambda m: (m.start, m.words)))
