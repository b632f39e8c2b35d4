"""One game of Doom, and what is seen and known of it in every tic.

Shapes: N frames, H W picture, K sectors. Lengths are Doom's units, angles radians.
"""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perdure.camera import Intrinsics
from perdure.data.clip import Skipped
from perdure.data.sources.doom_engine import Kill, together
from perdure.data.sources.doom_level import Level
from perdure.data.sources.doom_player import Player, Press, Seen, Sense
from perdure.world.action import FRAMES_PER_CHUNK, TURN, Action

TICS = 35  # a second
LENS = Intrinsics(256, 144, 96.0, 115.2, 128.5, 71.5)
"""Doom's 90 degrees across a 4:3 picture are 106 across this one. Its pixels are 1.2 times as high as broad, and it
looks through the corners of pixels, not their middles: both were found again by reprojection."""
BUTTONS = ("MOVE_FORWARD", "MOVE_BACKWARD", "MOVE_LEFT", "MOVE_RIGHT", "TURN_LEFT_RIGHT_DELTA", "USE", "ATTACK")
EYE = ("CAMERA_POSITION_X", "CAMERA_POSITION_Y", "CAMERA_POSITION_Z", "CAMERA_ANGLE", "CAMERA_PITCH")
FEET = ("POSITION_X", "POSITION_Y", "POSITION_Z")
COUNTS = ("HEALTH", "ARMOR", "KILLCOUNT", "HITCOUNT", "HITS_TAKEN", "DAMAGECOUNT", "ITEMCOUNT", "DEAD")
FOES = {"Monster", "Player"}
RESTLESS = 6  # chunks in which heights are read each time, after something moved or a hand was laid on
SETTLING = 12  # tics before the first frame
CALM = 4  # chunks between readings otherwise: one costs as much as six frames


def vizdoom() -> Any:
    try:
        import vizdoom
    except ModuleNotFoundError as error:
        raise ValueError('the source "doom" needs ViZDoom: pip install "perdure[worlds]"') from error
    return vizdoom


def wad(name: str = "freedoom2.wad") -> Path:
    """Freedoom's levels, which ViZDoom ships."""
    return Path(vizdoom().__file__).parent / name


def play(
    level: str, seed: int, skill: int, weapon: bool, arguments: str = "", pictures: bool = True, heights: bool = False
) -> Any:
    """A running game. `arguments` are ZDoom's own, for games of several."""
    viz = vizdoom()
    game = viz.DoomGame()
    game.set_doom_game_path(str(wad()))
    game.set_doom_config_path(os.devnull)  # or it would keep, and read, one in the working directory
    game.set_doom_map(level.lower())
    game.set_doom_skill(skill)
    small, full = viz.ScreenResolution.RES_160X120, viz.ScreenResolution.RES_256X144
    game.set_screen_resolution(full if pictures else small)
    game.set_screen_format(viz.ScreenFormat.RGB24)
    game.set_labels_buffer_enabled(pictures)
    game.set_sectors_info_enabled(heights)
    game.set_window_visible(False)
    game.set_sound_enabled(False)
    for part in ("hud", "crosshair", "messages", "corpses", "decals", "particles", "effects_sprites"):
        getattr(game, f"set_render_{part}")(part in ("corpses", "decals", "effects_sprites"))
    game.set_render_weapon(weapon)
    game.set_available_buttons([getattr(viz.Button, name) for name in BUTTONS])
    game.set_available_game_variables([getattr(viz.GameVariable, name) for name in (*EYE, *FEET, *COUNTS)])
    game.set_mode(viz.Mode.PLAYER)
    game.set_episode_timeout(0)
    game.set_seed(seed & 0x7FFFFFFF)
    if arguments:
        game.add_game_args(arguments)
    game.init()
    return game


@dataclass(eq=False)
class Tape:
    """What one player saw, frame by frame."""

    level: Level
    room: int  # for so many frames
    who: str = ""  # "green", where there are two
    frames: int = 0
    marks: list[tuple[float, ...]] = field(default_factory=list)  # frame, label, object, x, y, z, degrees
    presses: list[Press] = field(default_factory=list)
    names: dict[int, tuple[str, str]] = field(default_factory=dict)  # object -> class and category, as first seen
    readings: list[tuple[int, NDArray[np.float64], NDArray[np.float64]]] = field(default_factory=list)
    restless: int = 0
    died: bool = False  # and that ended it before its time
    left: bool = False  # the level, and so on
    seen: tuple[Seen, ...] = ()

    def __post_init__(self) -> None:
        self.rgb = np.empty((self.room, LENS.height, LENS.width, 3), np.uint8)
        self.labels = np.empty((self.room, LENS.height, LENS.width), np.uint8)
        self.values = np.empty((self.room, len(EYE) + len(FEET) + len(COUNTS)))
        self.readings.append((-1, self.level.floors, self.level.ceilings))

    @property
    def name(self) -> str:
        return f"the {self.who} marine" if self.who else "the marine"

    def variable(self, name: str) -> NDArray[np.float64]:
        return self.values[: self.frames, (*EYE, *FEET, *COUNTS).index(name)]

    def heights(self, state: Any) -> None:
        """Keep where floors and ceilings are now."""
        floors = np.array([s.floor_height for s in state.sectors])
        ceilings = np.array([s.ceiling_height for s in state.sectors])
        _, before, above = self.readings[-1]
        moved = not (np.array_equal(floors, before) and np.array_equal(ceilings, above))
        self.restless = RESTLESS if moved else max(0, self.restless - 1)
        self.readings.append((self.frames - 1, floors, ceilings))

    def see(self, state: Any) -> None:
        i = self.frames
        self.rgb[i], self.labels[i], self.values[i] = state.screen_buffer, state.labels_buffer, state.game_variables
        seen: list[Seen] = []
        for label in state.labels:
            number, x, y = label.object_id, label.object_position_x, label.object_position_y
            if number not in self.names:
                self.names[number] = label.object_name, label.object_category
            self.marks.append((i, label.value, number, x, y, label.object_position_z, label.object_angle))
            if label.object_category in FOES:
                seen.append(Seen(number, x, y, label.width))
        self.frames, self.seen = i + 1, tuple(seen)

    def sense(self, state: Any, other: tuple[float, float] | None = None) -> Sense:
        """What the player knows after this state."""
        values = dict(zip((*EYE, *FEET, *COUNTS), state.game_variables))
        _, floors, ceilings = self.readings[-1]
        yaw = math.radians(values["CAMERA_ANGLE"])
        return Sense(
            values["POSITION_X"],
            values["POSITION_Y"],
            yaw,
            floors,
            ceilings,
            int(values["KILLCOUNT"]),
            self.seen,
            other,
        )

    def due(self) -> bool:
        """Whether heights are to be read at the end of this chunk."""
        if self.presses[-1].use:
            self.restless = RESTLESS
        return self.restless > 0 or len(self.presses) % CALM == 0

    def positions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(N, K) floors and (N, K) ceilings in each frame: between readings they went evenly."""
        times = [reading[0] for reading in self.readings]
        at = np.arange(self.frames)
        after = np.minimum(np.searchsorted(times, at), len(times) - 1)
        before = np.maximum(after - 1, 0)
        start, end = np.array(times)[before], np.array(times)[after]
        share = np.clip((at - start) / np.maximum(1, end - start), 0, 1)[:, None]
        floors, ceilings = (np.stack([reading[k] for reading in self.readings]) for k in (1, 2))
        return tuple(h[before] + share * (h[after] - h[before]) for h in (floors, ceilings))  # type: ignore[return-value]


def pushed(press: Press) -> list[float]:
    """The buttons of one tic: keys turn as fast as in any world here, and mouse travel is spread over the chunk."""
    forward, left, turn, _ = Action(press.keys).axes
    turned = math.degrees(turn * TURN / TICS + press.turn / 4)
    return [
        float(forward > 0), float(forward < 0), float(left > 0), float(left < 0), -turned, float(press.use),
        float(press.attack),
    ]  # fmt: skip


def roll(tape: Tape, game: Any, survey: Any, player: Player, chunks: int) -> None:
    """Let a player play for so long, or until his game ends. `survey` is the same game again, played alike at the
    same time.
    """

    def surveyed(buttons: Sequence[float], due: bool) -> Any:
        survey.set_action(buttons)
        survey.advance_action(FRAMES_PER_CHUNK, due)
        return survey.get_state() if due else None

    sense = tape.sense(game.get_state())
    with ThreadPoolExecutor(1) as aside:
        for _ in range(chunks):
            press = player(sense)
            buttons = pushed(press)
            tape.presses.append(press)
            due = tape.due()
            beside = aside.submit(surveyed, buttons, due)
            for _ in range(FRAMES_PER_CHUNK):
                game.make_action(buttons)
                state = game.get_state()
                if state is None:
                    tape.died = game.is_player_dead()
                    tape.left = not tape.died
                    return
                tape.see(state)
            known = beside.result()
            if due:
                if known is None or not np.array_equal(known.game_variables, state.game_variables):
                    raise Skipped("the same game, played again alike, went another way")
                tape.heights(known)
            sense = tape.sense(state)


def roll_both(tapes: Sequence[Tape], games: Sequence[Any], players: Sequence[Player], chunks: int, kill: Kill) -> None:
    """The same for two in one game, tic by tic, until one dies. The first game tells heights."""
    buttons: list[list[float]] = []

    def act(i: int) -> Any:
        games[i].make_action(buttons[i])
        return games[i].get_state()

    acts = [partial(act, i) for i in (0, 1)]
    states = [game.get_state() for game in games]
    for _ in range(chunks):
        feet = [tuple(state.game_variables[len(EYE) : len(EYE) + 2]) for state in states]
        for tape, state, player, other in zip(tapes, states, players, feet[::-1]):
            tape.presses.append(player(tape.sense(state, other)))
        buttons = [pushed(tape.presses[-1]) for tape in tapes]
        for _ in range(FRAMES_PER_CHUNK):
            states = together(acts, kill)
            for tape, game, state in zip(tapes, games, states):
                tape.died = game.is_player_dead()
                tape.left = state is None and not tape.died
            if any(tape.died or tape.left for tape in tapes):
                return
            if states[0].tic != states[1].tic:
                raise Skipped("two players came out of step")
            for tape, state in zip(tapes, states):
                tape.see(state)
        for tape in tapes:
            tape.heights(states[0])


def warm(game: Any, commands: Sequence[str], turn: float, tics: int = SETTLING) -> None:
    """Before the first frame: be somewhere, have something, face some way, and let it settle."""
    for command in commands:
        game.send_game_command(command)
    game.make_action([0, 0, 0, 0, -math.degrees(turn), 0, 0], 1)
    game.make_action([0.0] * len(BUTTONS), tics)
