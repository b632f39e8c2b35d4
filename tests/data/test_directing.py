"""Directing: in a few hundred clips everything comes, and what creatures are told is what they understand."""

import math
from collections import Counter
from itertools import combinations

import msgspec
import numpy as np
import pytest

from perdure.data.casting import recast
from perdure.data.clip import LONGEST, SHORTEST, Job
from perdure.data.directing.roles import phrased, third
from perdure.data.directing.schedule import AFTER, FIELDS, HELD_OUT, LINES, STYLES, WEATHERS, Direction, dealt, direct
from perdure.data.directing.staging import recipe
from perdure.data.scenes import KINDS, build, creatures
from perdure.data.sources.playground import NAME, plan
from perdure.data.trajectories import CATEGORIES, SCRIPTS, trajectory
from perdure.world.command import FORCED, understood
from perdure.world.events import EVENTS
from perdure.world.physics import Physics

COUNT = 400


@pytest.fixture(scope="module")
def schedule() -> list[Direction]:
    return [direct(job) for job in plan(COUNT, seed=5)]


def test_cards_are_dealt_each_once_before_any_comes_again() -> None:
    cards = ("a", "b", "c", "d", "e")
    rounds = [[dealt(n, cards, 3, "deck") for n in range(5 * r, 5 * r + 5)] for r in range(6)]
    assert all(sorted(one) == list(cards) for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1, "shuffled anew"
    assert [dealt(n, cards, 4, "deck") for n in range(30)] != [card for one in rounds for card in one]


def test_everything_comes_in_a_few_hundred_clips(schedule: list[Direction]) -> None:
    scenes = Counter(it.scene for it in schedule)
    assert set(scenes) == set(KINDS) and max(scenes.values()) - min(scenes.values()) <= 1
    assert {it.trajectory for it in schedule} == {*SCRIPTS, "dense", "drive"}
    views = Counter(it.view for it in schedule)
    assert set(views) == {"first", "third", "animal", "vehicle"} and min(views.values()) > 0.06 * COUNT
    assert all((it.trajectory == "drive") == (it.view == "vehicle") for it in schedule)
    assert {CATEGORIES[it.trajectory] for it in schedule} == set(CATEGORIES.values())
    assert {it.weather for it in schedule} >= set(WEATHERS)
    assert {it.style for it in schedule} >= set(STYLES)
    assert {kind for it in schedule for _, kind in it.events} == set(EVENTS)
    kinds = Counter(part.kind for it in schedule for part in it.cast)
    assert set(kinds) == set(creatures.KINDS) and max(kinds.values()) < 1.5 * min(kinds.values())
    assert sum(len(it.cast) > 1 for it in schedule) > 0.6 * COUNT
    assert all(it.scene_seed >= HELD_OUT for it in schedule)
    assert len({(it.scene, it.scene_seed) for it in schedule}) == COUNT


def test_clips_are_of_all_lengths_and_many_of_a_minute(schedule: list[Direction]) -> None:
    seconds = np.array([it.seconds for it in schedule])
    assert (seconds >= SHORTEST).all() and (seconds <= LONGEST).all()
    assert (seconds == 60).sum() >= 100
    assert all(((seconds >= low) & (seconds < low + 15)).sum() > 20 for low in (5, 20, 35))
    assert all(it.chunks * 4 / 24 == pytest.approx(it.seconds) for it in schedule)


def test_every_creature_is_asked_for_every_deed_that_it_has(schedule: list[Direction]) -> None:
    """As far as there is time for it: a line in about four seconds."""
    asked: dict[str, set[str]] = {kind: set() for kind in creatures.KINDS}
    for it in schedule:
        if it.drama != "each":
            continue
        for part, lines in zip(it.cast, it.deeds):
            asked[part.kind] |= set(lines[: min(LINES, int(it.seconds // 4))])
    for kind, names in asked.items():
        known = {deed.name for deed in creatures.deeds(kind, 0)} - set(FORCED)
        assert names == known, (kind, known - names)


def test_what_happens_is_to_be_seen(schedule: list[Direction]) -> None:
    """Fires are lit before they die down; nothing becomes what it already is; all within the clip."""
    for it in schedule:
        kinds = [kind for _, kind in it.events]
        assert all(0 < at < it.seconds - 1 for at, _ in it.events)
        assert all(AFTER[kind] in kinds[: kinds.index(kind)] for kind in kinds if kind in AFTER)
        now = {"hour": it.hour, "weather": it.weather, "season": it.season, "style": it.style}
        for kind in kinds:
            if kind in FIELDS:
                name, value = FIELDS[kind]
                assert now[name] != value, (kinds, it)
                now[name] = value


def test_a_direction_depends_on_its_number_alone(schedule: list[Direction]) -> None:
    assert direct(Job(NAME, 123, 5, schedule[123].seconds, {})) == schedule[123]
    assert direct(Job(NAME, 123, 6, schedule[123].seconds, {})) != schedule[123]
    assert plan(7, 5) == plan(COUNT, 5)[:7]


@pytest.mark.parametrize("number", [0, 9, 18, 27])
def test_a_recipe_is_plain_and_fits_its_scene(number: int, schedule: list[Direction]) -> None:
    it = schedule[number]
    data = recipe(it, number)
    assert msgspec.json.decode(msgspec.json.encode(data)) == data
    assert [part for part, *_ in data["cast"]] == [part.kind for part in it.cast]
    half = build(it.scene, it.scene_seed).extent
    spots = [data["spawn"][:2], *(place[2:4] for place in data["cast"])]
    assert all(abs(x) < half[0] and abs(y) < half[1] for x, y in spots)
    assert all(math.dist(a, b) > 0.5 for a, b in combinations(spots, 2))
    assert recipe(it, number) == data


def test_everyone_of_the_cast_stands_on_a_floor_that_is_level() -> None:
    """Where there are stairs and terraces, too; and so does the scene as it is then cast."""
    heights: list[float] = []
    for number, job in enumerate(plan(3, 2, scene="terraces")):
        data = recipe(it := direct(job), number)
        scene = build(it.scene, it.scene_seed)
        homes, grounds = [(x, y) for _, _, x, y, *_ in data["cast"]], [z for *_, z in data["cast"]]
        scene = recast(scene, it.cast, homes, grounds)
        physics = Physics.from_xml(scene.xml, scene.movers, scene.spawn)
        assert physics.terrain is not None
        for mover, home in zip(scene.movers, homes):
            about = home + np.array([[a, b] for a in (-0.3, 0.0, 0.3) for b in (-0.3, 0.0, 0.3)])
            assert physics.terrain.level(about, mover.ground, 0.1).mean() > 0.8, (number, home)
            root = physics.still().bodies[mover.entity][0, 2, 3]
            assert root == pytest.approx(mover.ground + mover.hover, abs=0.1)
        heights += grounds
    assert max(heights) > 0.9


def test_what_is_asked_for_is_given() -> None:
    options = {"scene": "hall, court", "drama": "fight", "weather": "snow", "density": 0.4, "seconds": 10.0}
    got = [direct(job) for job in plan(20, 1, **options)]
    assert {it.scene for it in got} == {"hall", "court"}
    assert {(it.drama, it.weather, it.density, it.trajectory) for it in got} == {("fight", "snow", 0.4, "dense")}
    assert all(len(it.cast) > 1 and it.seconds == 10 for it in got)
    for wrong in ({"scene": "moon"}, {"hour": 25.0}, {"colour": "red"}, {"density": "much"}, {"carried": "no/such.tum"},
                  {"carried": "nonsense"}, {"weather": "rain,hail"}):  # fmt: skip
        with pytest.raises(ValueError, match="expected"):
            plan(1, 1, **wrong)  # type: ignore[arg-type]


def test_of_several_that_are_asked_for_each_clip_has_one() -> None:
    options = {"weather": "rain, snow", "season": "winter,autumn", "style": "pixel,sketch", "drama": "fight,dance",
               "trajectory": "free,orbit,door"}  # fmt: skip
    got = [direct(job) for job in plan(48, 1, **options)]
    for name, words in options.items():
        wanted = {word.strip() for word in words.split(",")}
        counts = Counter(getattr(it, name) for it in got if it.view != "vehicle")
        assert set(counts) == wanted and min(counts.values()) > 3, name
    assert all(trajectory(it.trajectory, build(it.scene, 1001), 0) for it in got[:3]), "and there is such a way"


@pytest.mark.parametrize("kind", creatures.KINDS)
def test_every_phrase_is_understood_as_the_deed_that_it_means(kind: str) -> None:
    deeds, rng = creatures.deeds(kind, 1), np.random.default_rng(2)
    name = creatures.name(kind, 1)
    for number, deed in enumerate(deeds):
        if deed.name in FORCED:
            continue
        said = {phrased(deeds, number, name, rng) for _ in range(40)}
        assert all(understood(deeds, text) == (number,) for text in said)
        assert len(said) >= 12, (deed.name, said)


def test_a_verb_of_someone_else() -> None:
    assert [third(verb) for verb in ("slam", "thrash about", "carry it", "stay", "go", "crouch", "bow")] == [
        "slams", "thrashes about", "carries it", "stays", "goes", "crouches", "bows",
    ]  # fmt: skip


def test_fights_are_fought_by_who_has_a_body(schedule: list[Direction]) -> None:
    fights = [it for it in schedule if it.trajectory == "fight"]
    assert len(fights) >= 8
    assert all(
        it.avatar and it.view in ("third", "animal") and it.drama == "fight" and len(it.cast) > 1 for it in fights
    )
    asked = [direct(job) for job in plan(10, 2, trajectory="fight")]
    assert all(it.avatar and it.view in ("third", "animal") for it in asked)
