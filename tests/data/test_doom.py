"""Doom: what a clip says of itself is what its pictures show."""

import math
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from perdure.camera import FAR, Intrinsics, angles, project, unproject
from perdure.data.clip import Clip, Job
from perdure.data.sources import doom
from perdure.data.sources.doom_engine import begun, engines, port, together
from perdure.data.sources.doom_game import LENS, TICS, Tape, play, roll, wad, warm
from perdure.data.sources.doom_level import UNIT, cast, read_level
from perdure.data.sources.doom_player import Press, Sense
from perdure.world.action import TURN

pytest.importorskip("vizdoom", reason='needs ViZDoom: pip install "perdure[worlds]"')


def made(seed: int, seconds: float = 6.0, **options: object) -> Clip:
    (job,) = doom.plan(1, seed, seconds, **options)
    return next(iter(doom.make(job)))


@pytest.fixture(scope="module")
def walk() -> Clip:
    return made(3, map="MAP16", temper="explorer", monsters=False)


@pytest.fixture(scope="module")
def fight() -> Clip:
    return made(1, map="MAP18", temper="fighter", skill=4, seconds=8.0)


def test_plans_are_the_same_and_wide():
    jobs = doom.plan(40, 7)
    assert jobs == doom.plan(40, 7) != doom.plan(40, 8)
    assert jobs[:10] == doom.plan(10, 7), "a longer plan begins with the shorter one"
    assert len({job.options["map"] for job in jobs}) > 8 and {job.options["temper"] for job in jobs} == set(
        doom.TEMPERS
    )
    with pytest.raises(ValueError, match="expected a map out of MAP01"):
        doom.plan(1, 0, map="E1M1")


def test_the_same_seed_gives_the_same_bytes(walk: Clip):
    again = made(3, map="MAP16", temper="explorer", monsters=False)
    for name in ("rgb", "depth", "entity", "poses"):
        np.testing.assert_array_equal(getattr(again, name), getattr(walk, name))
    assert again.commands == walk.commands and again.actions == walk.actions and again.events == walk.events


def test_turns_are_those_of_the_poses(walk: Clip):
    """The mouse exactly, keys at the rate of every world here."""
    assert walk.actions and walk.poses is not None
    yaw = np.unwrap(angles(walk.poses)[0])
    assert walk.fps == TICS
    for i, action in enumerate(walk.actions[1:], 1):
        wanted = action.turn + action.axes[2] * TURN * 4 / TICS
        assert yaw[4 * i + 3] - yaw[4 * i - 1] == pytest.approx(wanted, abs=2e-3)


def test_keys_lead_where_they_say(walk: Clip):
    """Doom's marine gathers speed and slides: where a key was held for three chunks and he moved, he moved that way."""
    assert walk.actions and walk.poses is not None
    keys = [action.axes[:2] for action in walk.actions]
    agree = []
    for i in range(3, len(keys)):
        step = walk.poses[4 * i + 3, :3, 3] - walk.poses[4 * i - 1, :3, 3]
        if keys[i] == keys[i - 1] == keys[i - 2] == (1, 0) and math.hypot(*step[:2]) > 0.5:
            ahead = walk.poses[4 * i + 1, :3, 2]
            agree.append(float(step[:2] @ ahead[:2]) / math.hypot(*step[:2]))
    assert len(agree) > 8 and np.median(agree) > 0.95 and min(agree) > 0.3


def offsets(one: Clip, frame: int, later: int, size: int = 16) -> Iterator[float]:
    """How many pixels off the patches of a frame land on a later one, by depth and poses; found by sliding them."""
    assert one.depth is not None and one.poses is not None and one.entity is not None and one.intrinsics
    points = unproject(one.depth[frame].astype(float), one.intrinsics, one.poses[frame])
    pixels, away = project(points.reshape(-1, 3), one.intrinsics, one.poses[later])
    pixels, away = pixels.reshape(*one.depth[frame].shape, 2) - 0.5, away.reshape(one.depth[frame].shape)
    target, source = one.rgb[later].astype(float).mean(-1), one.rgb[frame].astype(float).mean(-1)
    height, width = source.shape
    for top in range(0, height - size + 1, size):
        for left in range(0, width - size + 1, size):
            patch = np.s_[top : top + size, left : left + size]
            x, y = pixels[patch][..., 0], pixels[patch][..., 1]
            inside = (x > 5) & (x < width - 6) & (y > 5) & (y < height - 6) & (away[patch] > 0)
            if not inside.all() or one.entity[frame][patch].any() or source[patch].std() < 8:
                continue

            def cost(dx: float, dy: float, patch: tuple[slice, slice] = patch, x=x, y=y) -> float:
                u, v = x + dx, y + dy
                i, j = np.floor(u).astype(int), np.floor(v).astype(int)
                a, b = u - i, v - j
                seen = (1 - b) * ((1 - a) * target[j, i] + a * target[j, i + 1])
                seen += b * ((1 - a) * target[j + 1, i] + a * target[j + 1, i + 1])
                return float(np.abs(seen - source[patch]).mean())

            whole = min(((dx, dy) for dx in range(-2, 3) for dy in range(-2, 3)), key=lambda shift: cost(*shift))
            halves = [(whole[0] + dx, whole[1] + dy) for dx in (-0.5, 0.0, 0.5) for dy in (-0.5, 0.0, 0.5)]
            yield math.hypot(*min(halves, key=lambda shift: cost(*shift)))


def test_a_frame_lands_on_the_next_through_depth_and_pose(walk: Clip):
    found = [d for i in range(20, len(walk.rgb) - 3, 60) for d in offsets(walk, i, i + 1)]
    assert len(found) > 30 and np.median(found) < 1.0
    assert walk.poses is not None
    moved = walk.poses.copy()  # and a pose that is off by little shows
    moved[:, :3, 3] += np.arange(len(moved))[:, None] * [0.05, 0.05, 0.05]

    wrong = [d for i in range(20, len(walk.rgb) - 3, 60) for d in offsets(replace(walk, poses=moved), i, i + 1)]
    assert np.median(wrong) > np.median(found)


def test_depth_of_a_room_is_what_its_corners_say():
    """A square room with a step and a sky, cast, against distances worked out by hand."""
    level = read_level(wad(), "MAP01")
    depth, sky = cast(level, level.floors, level.ceilings, (-192.0, -192.0, 41.0), 0.0, LENS)
    points = unproject(
        depth.astype(float), LENS, np.array([[0, 0, 1, -6.0], [-1, 0, 0, -6.0], [0, -1, 0, 41 * UNIT], [0, 0, 0, 1]])
    )
    here = level.sector(-192, -192)
    below = points[-1, :, 2][sky[-1] == 0]
    heights = set(np.round(below / UNIT).astype(int))
    assert heights & {int(level.floors[here])} and (depth > 0).all() and depth.max() <= np.float32(FAR)


def test_sprites_stand_where_their_owners_are(fight: Clip):
    """Who is in the entity map is in the cast, and the points of his pixels are around his position."""
    assert fight.entity is not None and fight.depth is not None and fight.poses is not None
    actors, checked = {actor.entity: actor for actor in fight.cast}, 0
    shown = set(np.unique(fight.entity).tolist()) - {0, 255}
    assert shown <= {entity + 1 for entity in actors}
    for entity, actor in actors.items():
        if actor.role != "creature" or entity not in fight.states:
            continue
        position = fight.states[entity]["position"]
        for i in range(0, len(fight.rgb), 25):
            mask = fight.entity[i] == entity + 1
            if mask.sum() < 30:
                continue
            points = unproject(fight.depth[i].astype(float), LENS, fight.poses[i])[mask]
            assert np.linalg.norm(np.median(points, 0)[:2] - position[i, :2]) < 1.2, actor.name
            checked += 1
    assert checked > 3


def test_hits_show_in_health(fight: Clip):
    health, hits = fight.states[0]["health"], [m for m in fight.events if m.kind == "hit"]
    assert hits, "this fight was chosen for its hits"
    armor = fight.states[0]["armor"]
    hurt = [m for m in hits if health[m.start] < health[m.start - 1] or armor[m.start] < armor[m.start - 1]]
    assert len(hurt) >= 0.8 * len(hits)
    assert any("shoot" in said for said in fight.commands[0]) and set(fight.commands) == {0}, "nobody commands monsters"


def test_a_player_who_dies_at_once_is_no_clip(monkeypatch: pytest.MonkeyPatch):
    job = Job("doom", 0, 1, 6.0, {**doom.plan(1, 1)[0].options, "map": "MAP01"})
    monkeypatch.setattr(doom, "SHORTEST", 7.0)
    with pytest.raises(doom.Skipped, match="dead or away within 7 s"):
        list(doom.make(job))


def test_who_leaves_the_level_is_not_dead():
    """Put before the switch that ends a level, a marine who lays his hand on it."""
    level, chunks = read_level(wad(), "MAP01"), iter(range(100))
    x1, y1, x2, y2 = level.lines[np.flatnonzero(level.special == 11)[0]]
    far = math.dist((x1, y1), (x2, y2))
    x, y = (x1 + x2) / 2 + 36 * (y2 - y1) / far, (y1 + y2) / 2 - 36 * (x2 - x1) / far
    ahead = math.atan2(x2 - x1, y1 - y2)

    def go(sense: Sense) -> Press:
        wrong = math.remainder(ahead - sense.yaw, 2 * math.pi)
        return Press(int(abs(wrong) < 0.1), max(-0.4, min(0.4, wrong)), use=next(chunks) % 2 == 1)

    start = partial(play, "MAP01", 1, 1, False, "-nomonsters")
    with begun((start, partial(start, pictures=False, heights=True))) as ((game, survey), _):
        for one in (game, survey):
            warm(one, [f"warp {x:.0f} {y:.0f}"], 0.0)
        tape = Tape(level, 400)
        roll(tape, game, survey, go, 100)
    assert tape.left and not tape.died and tape.frames < 100
    assert [m.words for m in doom._counted(tape, tape.frames) if m.kind in ("exit", "death")] == [
        "the marine leaves the level"
    ]
    assert not engines()


def test_two_games_at_once_have_a_port_each():
    """Held for as long as the game lasts, and free for its engines to bind."""
    with ExitStack() as stack:
        numbers = [stack.enter_context(port()) for _ in range(20)]
        assert len(set(numbers)) == 20
        for number in numbers:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as engine:
                engine.bind(("", number))
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", number))  # no other worker is given it
    with socket.socket() as other:
        other.bind(("127.0.0.1", number))


def test_two_players_see_one_another():
    one, two = doom.make(doom.plan(1, 5, 6.0, players=2, map="MAP13")[0])
    assert len(one.rgb) == len(two.rgb) and one.tags["repeatable"] == "no" and one.name != two.name
    assert [a.name for a in one.cast[:2]] == ["the red marine", "the green marine"] == [a.name for a in two.cast[1::-1]]
    for mine, other in ((one, two), (two, one)):
        assert mine.commands[0] == other.commands[1] and mine.entity is not None and mine.depth is not None
        np.testing.assert_array_equal(mine.states[0]["position"], other.states[1]["position"])
        seen = [i for i in range(len(mine.rgb)) if (mine.entity[i] == 2).sum() > 100]
        assert seen, "rivals go for one another"
        assert mine.poses is not None
        for i in seen[::20]:
            points = unproject(mine.depth[i].astype(float), LENS, mine.poses[i])[mine.entity[i] == 2]
            assert np.linalg.norm(np.median(points, 0)[:2] - mine.states[1]["position"][i, :2]) < 1.2
    assert not engines(), "nothing is left behind"


def test_engines_that_hang_are_given_up():
    stop = Event()
    with pytest.raises(doom.Skipped, match="waited for one another for"):
        together([lambda: stop.wait(20.0), lambda: True], stop.set, 0.1)
    assert stop.is_set()


def test_what_is_no_wad_is_told(tmp_path: Path):
    (tmp_path / "a.wad").write_bytes(b"PNG." + bytes(60))
    with pytest.raises(ValueError, match="expected a WAD file"):
        read_level(tmp_path / "a.wad", "MAP01")
    with pytest.raises(ValueError, match="one of MAP01 to MAP32, got 'MAP99'"):
        read_level(wad(), "MAP99")


def test_the_lens_is_square_on_a_screen():
    """Doom's pixels are 1.2 times as high as broad."""
    assert isinstance(LENS, Intrinsics) and LENS.fy / LENS.fx == pytest.approx(1.2)
