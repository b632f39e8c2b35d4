"""Atari: what a clip says of two players is what the console's memory and its pictures say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.data.clip import Clip
from perdure.data.sources import atari
from perdure.data.sources.atari_games import GAMES, Move
from perdure.world.action import Keys

pytest.importorskip("multi_agent_ale_py", reason='needs the games: pip install "perdure[worlds]"')
pytest.importorskip("ale_py", reason='needs the games: pip install "perdure[worlds]"')


def made(game: str, seed: int = 5, seconds: float = 10.0) -> Clip:
    (job,) = atari.plan(1, seed, seconds, game=game)
    return next(iter(atari.make(job)))


@pytest.fixture(scope="module")
def clips() -> dict[str, Clip]:
    return {game: made(game) for game in GAMES}


def test_plans_are_the_same_and_wide():
    jobs = atari.plan(30, 1)
    assert jobs == atari.plan(30, 1) and {job.options["game"] for job in jobs} == set(GAMES)
    with pytest.raises(ValueError, match="expected a game out of boxing, pong, tennis, got 'chess'"):
        atari.plan(1, 0, game="chess")


@pytest.mark.parametrize("game", GAMES)
def test_the_same_seed_gives_the_same_bytes(clips: dict[str, Clip], game: str):
    again, clip = made(game), clips[game]
    np.testing.assert_array_equal(again.rgb, clip.rgb)
    assert again.commands == clip.commands and again.events == clip.events
    assert not np.array_equal(made(game, seed=6).rgb, clip.rgb)


@pytest.mark.parametrize("game", GAMES)
def test_a_clip_is_whole_and_says_what_it_cannot_know(clips: dict[str, Clip], game: str):
    clip = clips[game]
    assert clip.rgb.shape == (300, 210, 160, 3) and clip.fps == 30 and clip.view == "screen"
    assert clip.poses is None and clip.depth is None and clip.intrinsics is None
    assert set(clip.commands) == {0, 1} and all(len(said) == 75 and all(said) for said in clip.commands.values())
    assert clip.actions and [w.text for w in clip.actions[3].words] == [clip.commands[0][3], clip.commands[1][3]]


@pytest.mark.parametrize("game", ["boxing", "pong"])
def test_positions_in_memory_are_where_colours_are(clips: dict[str, Clip], game: str):
    clip = clips[game]
    assert clip.entity is not None
    for entity in (0, 1):
        off = []
        for i in range(0, len(clip.rgb), 7):
            rows, columns = np.nonzero(clip.entity[i] == 1 + entity)
            if len(rows) > (200 if game == "boxing" else 60):  # in full view
                middle = np.array([np.median(columns), np.median(rows)])
                off.append(np.abs(middle - clip.states[entity]["position"][i]).max())
        assert len(off) > 10 and np.median(off) < 4


def test_the_ball_is_where_memory_has_it(clips: dict[str, Clip]):
    clip, off = clips["pong"], []
    assert clip.entity is not None
    for i, where in enumerate(clip.states[2]["position"]):
        rows, columns = np.nonzero(clip.entity[i] == 3)
        if len(rows) and np.isfinite(where).all():
            off.append(np.abs(np.array([columns.mean(), rows.mean()]) - where).max())
    assert len(off) > 40 and np.median(off) < 3


def test_tennis_players_keep_their_colours(clips: dict[str, Clip]):
    """They change ends; pink stays the first."""
    clip, right = clips["tennis"], []
    for i in range(0, len(clip.rgb), 10):
        for entity, channel in ((0, 0), (1, 2)):
            x, y = clip.states[entity]["position"][i].astype(int)
            around = clip.rgb[i, max(40, y - 12) : y + 12, max(0, x - 8) : x + 9]
            if around.size:
                right.append((around[..., channel] == 240).sum() >= (around[..., 2 - channel] == 240).sum())
    assert np.mean(right) > 0.9


@pytest.mark.parametrize("game", GAMES)
def test_words_agree_with_what_positions_do(clips: dict[str, Clip], game: str):
    clip, told = clips[game], 0
    ways = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
    for entity in (0, 1):
        position = clip.states[entity]["position"]
        for k, said in enumerate(clip.commands[entity]):
            way = ways.get(said.split()[-1])
            if k == 0 or way is None:
                continue
            assert (position[4 * k + 3] - position[4 * k - 1]) @ way > 0, (entity, k, said)
            told += 1
    assert told > 20


@pytest.mark.parametrize("game", GAMES)
def test_points_are_moments(clips: dict[str, Clip], game: str):
    clip = clips[game]
    for i in (0, 1):
        score = clip.states[i]["score"]
        gained = {int(f) + 1 for f in np.flatnonzero(np.diff(score) > 0)}
        kind = (1 - i, "hit") if game == "boxing" else (i, "point")
        assert {m.start for m in clip.events if (m.entity, m.kind) == kind} == gained
    assert game == "tennis" or clip.events, "chosen for its points"


def test_a_jab_that_goes_nowhere_is_a_jab():
    here, there = np.array([50.0, 90.0]), np.array([80.0, 90.0])
    east, south = np.array([6.0, 0.0]), np.array([0.0, 4.0])
    still = [(0, 0, 0)] * 8
    words = GAMES["boxing"].words
    assert words(Move(still, here, here, there, True)) == "stands"
    assert words(Move([(0, 0, 1), *still[1:]], here, here, there, True)) == "jabs"
    assert words(Move([(1, 0, 0)] * 8, here, here + east, there, True)) == "advances right"
    assert words(Move([(-1, 0, 1)] * 8, here, here - east, there, True)) == "jabs, retreats left"
    assert words(Move([(0, 1, 0)] * 8, here, here + south, there, True)) == "circles down"
    assert words(Move([(-1, 0, 0)] * 8, here, here + east, there, True)) == "pushes on", "a blow threw him"
    assert words(Move([(-1, 1, 0)] * 8, here, here + east + south, there, True)) == "circles down"


WAYS = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}
"""Which axis of a stick, and which way along it."""
MOTIONS = ("advances", "retreats", "circles", "slides", "darts", "runs", "comes", "falls")


def backed(game: str, said: str, held: np.ndarray) -> bool:
    """Whether what is said of a player's motion is what his stick (raw frames, 2) was held for."""
    if game == "pong":  # its stick is turned on its side
        held = np.stack([0 * held[:, 0], -held[:, 0]], -1)
    if not any(motion in said for motion in MOTIONS):
        return True
    axis, way = WAYS.get(said.split()[-1], (1, 0))
    return bool(held[:, axis].sum() * way > 0) if way else bool(held[:, axis].any())


@pytest.mark.parametrize("game", GAMES)
@given(data=st.data())
def test_no_motion_is_told_that_no_stick_asked_for(game: str, data: st.DataObject):
    """Wherever one is thrown, by a blow or by the game."""
    stick = st.tuples(st.integers(-1, 1), st.integers(-1, 1), st.integers(0, 1))
    place = st.tuples(st.floats(0, 160), st.floats(0, 210)).map(np.array)
    sticks = data.draw(st.one_of(st.lists(stick, min_size=8, max_size=8), stick.map(lambda s: [s] * 8)))
    move = Move(sticks, data.draw(place), data.draw(place), data.draw(place), data.draw(st.booleans()))
    assert backed(game, GAMES[game].words(move), np.array(sticks)[:, :2])


@pytest.mark.parametrize("game", GAMES)
def test_sticks_are_kept_and_are_what_commands_and_keys_tell(clips: dict[str, Clip], game: str):
    clip, told = clips[game], 0
    assert clip.actions is not None
    for entity in (0, 1):
        raw = clip.states[entity]["stick"]
        assert raw.shape == (len(clip.rgb), atari.EVERY, 3) and set(np.unique(raw)) <= {-1, 0, 1}
        assert raw[..., 2].any() and raw[..., 2].min() == 0
        for said, held in zip(clip.commands[entity], raw.reshape(-1, atari.RAW, 3)):
            assert backed(game, said, held[:, :2]), said
            assert not any(word in said for word in ("jabs", "swings", "serves", "spins")) or held[:, 2].any()
            told += any(motion in said for motion in MOTIONS)
    assert told > 20
    for action, held in zip(clip.actions, clip.states[0]["stick"].reshape(-1, atari.RAW, 3)):
        right, down = held[:, :2].sum(0) / atari.RAW
        assert bool(action.keys & Keys.RIGHT) == (right >= 0.5) and bool(action.keys & Keys.LEFT) == (right <= -0.5)
        assert bool(action.keys & Keys.BACK) == (down >= 0.5) and bool(action.keys & Keys.FORWARD) == (down <= -0.5)


def test_being_hit_is_never_a_command(clips: dict[str, Clip]):
    """Of those who are hit with the stick at rest, and thrown several pixels, nothing is told."""
    thrown = 0
    for clip in (clips["boxing"], made("boxing", 6, 20.0)):
        for entity in (0, 1):
            position, raw = clip.states[entity]["position"], clip.states[entity]["stick"].reshape(-1, atari.RAW, 3)
            for k, said in enumerate(clip.commands[entity][1:], 1):
                if not raw[k, :, :2].any():
                    assert said in ("stands", "jabs")
                    thrown += bool(np.abs(position[4 * k + 3] - position[4 * k - 1]).max() > 4)
    assert thrown >= 3, "chosen for its blows"
