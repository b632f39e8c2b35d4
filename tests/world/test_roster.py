"""Nobody is taken for somebody else: not for standing in his place, not for looking like him, not little by little."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from perdure.world.bank import BOUND, FINEST, Look, distance, kept
from perdure.world.identity import UNKNOWN, Entity
from perdure.world.roster import (
    LINKS,
    POOR,
    STRANGERS,
    Entities,
    Place,
    Sighting,
    acquainted,
    agreement,
    associate,
    merge,
    next_id,
    query,
    renamed,
    resolve,
    split,
)

RADIUS = 0.5
D = 8
AHEAD = (1.0, 0.0, 0.0)


def face(number: int, off: float = 0.0, seed: int = 0) -> NDArray[np.float64]:
    """A point in the space of looks: those of different numbers are far apart; `off` is how far from the middle."""
    way = np.random.default_rng((number, seed)).standard_normal(D)
    out = off * way / np.linalg.norm(way)
    out[number % D] += 3.0 * (1 + number // D)
    return out


def look(
    number: int, off: float = 0.0, seed: int = 0, view: object = AHEAD, quality: float = 1.0, step: int = 0
) -> Look:
    return Look.of("made up", face(number, off, seed), np.array(view), quality, step)


def sighting(
    number: int, position: tuple[float, float, float] = (0, 0, 0), time: float = 0.0, off: float = 0.1, **more: object
) -> Sighting:
    return Sighting(look(number, off, step=round(6 * time), **more), position, time)  # type: ignore[arg-type]


def somebody(id: int, number: int, name: str = "", body: str = "body") -> Entity:
    """One whose looks from eight sides are vouched for."""
    sides = [(np.cos(a), np.sin(a), 0.1) for a in np.arange(8) * np.pi / 4]
    sure = [look(number, 0.1, seed, view, 0.8, -1) for seed, view in enumerate(sides)]
    return acquainted(Entity(id, "creature", name or f"body {id}", f"{body}{id}" if body else ""), sure)


CAST: Entities = (Entity(0, "player", "you", "player"), somebody(1, 1, "Ada"), somebody(2, 2, "Bo"))
PLACES = {1: Place((0, 0, 0), 0.0), 2: Place((5, 0, 0), 0.0)}


def by_id(entities: Entities, number: int) -> Entity:
    return next(entity for entity in entities if entity.id == number)


def test_one_who_looks_the_same_and_is_in_place_is_known() -> None:
    after, (match,) = associate(CAST, [sighting(1, (0.3, 0.2, 0))], PLACES, RADIUS)
    assert (match.id, match.new) == (1, False)
    assert match.score > 0.5 and match.margin == match.score
    assert len(by_id(after, 1).bank) == 9
    assert by_id(after, 2) is CAST[2]
    assert by_id(after, 1).exemplar == CAST[1].exemplar


def test_what_looks_different_in_the_same_place_is_a_stranger() -> None:
    after, (match,) = associate(CAST, [sighting(3, (0.1, 0, 0))], PLACES, RADIUS)
    assert match.new and match.id == 3
    assert by_id(after, 1).digest == CAST[1].digest
    new = by_id(after, 3)
    assert (new.kind, new.name, new.known, new.body) == (UNKNOWN, "stranger 3", False, "")
    assert new.exemplar in new.bank


def test_a_double_elsewhere_is_a_stranger() -> None:
    after, (match,) = associate(CAST, [sighting(1, (8, 8, 0))], PLACES, RADIUS)
    assert match.new and match.reason == "nobody can be there"
    assert by_id(after, 1).digest == CAST[1].digest


def test_a_double_beside_it_is_nobody_and_neither_is_it() -> None:
    """Two alike and as near: which is which cannot be seen, so neither is taken for Ada."""
    two = [sighting(1, (0.3, 0, 0)), sighting(1, (-0.3, 0, 0), seed=4)]
    after, matches = associate(CAST, two, PLACES, RADIUS)
    assert all(match.new for match in matches)
    assert by_id(after, 1).digest == CAST[1].digest


def test_between_two_who_are_as_likely_nobody_is_guessed() -> None:
    twins = (somebody(1, 1, "Ada"), somebody(2, 1, "Eda"))
    places = {1: Place((0, 0, 0), 0.0), 2: Place((1, 0, 0), 0.0)}
    after, (match,) = associate(twins, [sighting(1, (0.5, 0, 0))], places, RADIUS)
    assert match.new and match.margin < 0.15
    # Seen again it is that same stranger, and the world does not fill with them.
    again, (match,) = associate(after, [sighting(1, (0.5, 0.1, 0), 0.2)], places, RADIUS)
    assert (match.id, match.new, len(again)) == (3, False, 3)
    assert [by_id(again, n).digest for n in (1, 2)] == [twin.digest for twin in twins]


def test_one_without_a_body_is_where_it_can_have_gone() -> None:
    first, (match,) = associate((), [sighting(1, (0, 0, 0), 0.0)], None, RADIUS)
    number = match.id
    for time, x, same in ((1.0, 3.5, True), (1.0, 30.0, False), (10.0, 30.0, True)):
        _, (match,) = associate(first, [sighting(1, (x, 0, 0), time)], None, RADIUS)
        assert (match.id == number) == same
    # While it is seen here, its double is somebody else, however alike.
    here, there = sighting(1, (1, 0, 0), 5.0), sighting(1, (9, 0, 0), 5.0)
    after, matches = associate(first, [there, here], None, RADIUS)
    assert {match.id for match in matches} >= {number}
    assert len(after) == 2


@given(st.permutations(range(6)))
def test_the_order_of_sightings_does_not_matter(order: list[int]) -> None:
    seen = [
        sighting(1, (0.2, 0, 0)), sighting(2, (5.1, 0, 0)), sighting(1, (0.25, 0, 0), seed=3), sighting(4, (0, 0, 0)),
        sighting(4, (0.1, 0, 0), seed=9), sighting(2, (9, 0, 0)),
    ]  # fmt: skip
    straight, matches = associate(CAST, seen, PLACES, RADIUS)
    shuffled, others = associate(CAST, [seen[n] for n in order], PLACES, RADIUS)
    assert [entity.digest for entity in straight] == [entity.digest for entity in shuffled]
    assert [matches[n] for n in order] == list(others)
    taken = [match.id for match in matches if match.id is not None]
    assert len(set(taken)) == len(taken)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.02, 0.45), st.booleans())
def test_slow_drift_does_not_walk_a_bank_away(seed: int, stride: float, walks_round: bool) -> None:
    """Something that changes a little at a time, one look to the next, is followed a little way and no farther."""
    rng = np.random.default_rng(seed)
    way = rng.standard_normal(D)
    way /= np.linalg.norm(way)
    (one,), _ = associate((), [Sighting(Look.of("made up", face(1), AHEAD, 1, 0), (0, 0, 0), 0)], None, RADIUS)
    first, entities, at = one.exemplar, (one,), face(1)
    assert first is not None
    for step in range(1, 60):
        at = at + stride * way
        turn = 0.12 * step if walks_round else 0.0
        now = Look.of("made up", at, (np.cos(turn), np.sin(turn), 0), 1, step)
        entities, _ = associate(entities, [Sighting(now, (0, 0, 0), step / 6)], None, RADIUS)
    old = by_id(entities, one.id)
    assert old.exemplar == first
    farthest = max(distance(first, look) for look in old.bank)
    assert farthest <= (LINKS if walks_round else 1) * RADIUS * 1.001
    assert float(np.linalg.norm(at - face(1))) > 1.0
    if stride * 59 > 2 * LINKS * RADIUS:
        assert len(entities) > 1  # who it became is somebody else


def test_a_new_side_is_learned_when_several_looks_speak_for_it() -> None:
    (one,), _ = associate((), [sighting(1)], None, RADIUS)
    behind = (-1, 0, 0)
    back = Look.of("made up", face(1, 0.9, 5), behind, 1, 60)
    assert agreement(one, back, RADIUS) is None
    half = [Look.of("made up", face(1, 0.45, 5), view, 1, step) for step, view in ((20, (0, 1, 0)), (30, (-0.3, 1, 0)))]
    links = [agreement(one, look, RADIUS) for look in half]
    assert links == [1, 1]
    one = replace(one, bank=kept((*one.bank, *(msgspec.structs.replace(look, links=1) for look in half))))
    assert agreement(one, back, RADIUS) == 2
    single = replace(one, bank=kept((one.bank[0], msgspec.structs.replace(half[0], links=1))))
    assert agreement(single, back, RADIUS) is None


def test_a_vouched_side_is_what_counts_from_there() -> None:
    """Though the bank has what speaks for it: what was vouched for from this side says otherwise."""
    ada = CAST[1]
    other = face(1) + 0.8 * np.eye(D)[3]
    grown = [Look.of("made up", other, AHEAD, 1, step) for step in (1, 2, 3)]
    led = replace(ada, bank=kept((*ada.bank, *(msgspec.structs.replace(look, links=2) for look in grown))))
    assert agreement(led, Look.of("made up", other, AHEAD, 1, 9), RADIUS) is None


def test_a_body_that_turns_is_seen_from_another_side() -> None:
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # it faces along +y
    after, _ = associate(CAST, [sighting(1, view=(0, 1, 0))], {1: Place((0, 0, 0), 0, 0, quarter)}, RADIUS)
    (new,) = set(by_id(after, 1).bank) - set(CAST[1].bank)
    assert (new.azimuth, new.elevation, new.links) == (0, 0, 1)


def test_poor_looks_teach_nothing() -> None:
    poor = (POOR - 0.6) / FINEST
    after, matches = associate(CAST, [sighting(1, quality=poor), sighting(4, quality=poor)], PLACES, RADIUS)
    assert matches[0].id == 1
    assert matches[1].id is None and not matches[1].new
    assert [entity.digest for entity in after] == [entity.digest for entity in CAST]


def test_looks_of_another_embedding_say_nothing() -> None:
    other = Look.of("another", face(1), AHEAD, 1, 0)
    _, (match,) = associate(CAST, [Sighting(other, (0, 0, 0), 0)], PLACES, RADIUS)
    assert match.new


def test_strangers_are_bounded_and_the_named_stay() -> None:
    entities = CAST
    for n in range(STRANGERS + 10):
        entities, (match,) = associate(entities, [sighting(n + 3, (100 + 9.0 * n, 0, 0), n / 10)], PLACES, RADIUS)
        assert match.new
        if n == 0:
            named = match.id or 0
            entities = tuple(renamed(e, "Cy") if e.id == named else e for e in entities)
    assert len(entities) == 3 + 1 + STRANGERS
    assert resolve(entities, named)
    ids = [entity.id for entity in entities if not entity.known]
    assert ids == list(range(max(ids) - STRANGERS + 1, max(ids) + 1))  # the latest


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_nothing_grows_for_ever(seed: int) -> None:
    rng = np.random.default_rng(seed)
    entities = CAST
    for step in range(60):
        seen = [
            Sighting(
                Look.of("made up", face(int(rng.integers(5)), 0.3, step), rng.standard_normal(3), rng.random(), step),
                (float(rng.uniform(-9, 9)), float(rng.uniform(-9, 9)), 0.0),
                step / 6,
            )
            for _ in range(4)
        ]
        entities, _ = associate(entities, seen, PLACES, RADIUS)
    assert len(entities) <= 3 + STRANGERS
    assert all(len(entity.bank) <= BOUND for entity in entities)
    for entity, before in zip(entities, CAST):
        assert (entity.id, entity.exemplar) == (before.id, before.exemplar)
    again = [Entity.from_bytes(entity.to_bytes()).digest for entity in entities]
    assert again == [entity.digest for entity in entities]


def test_two_ids_were_one() -> None:
    met, (match,) = associate(CAST, [sighting(1, (8, 8, 0), 2.0)], PLACES, RADIUS)
    stranger = match.id or 0
    merged = merge(met, 1, stranger)
    assert [entity.id for entity in merged] == [0, 1, 2]
    ada = by_id(merged, 1)
    assert (ada.name, ada.kind, ada.body, ada.exemplar) == ("Ada", "creature", "body1", CAST[1].exemplar)
    assert ada.merged == (stranger,) and ada.aliases == () and ada.seen is None
    assert resolve(merged, stranger) is ada is resolve(merged, 1)
    assert next_id(merged) == stranger + 1
    # The other way round the id of the stranger stays, and is Ada.
    other = merge(met, stranger, 1)
    now = by_id(other, stranger)
    assert (now.name, now.kind, now.body, now.merged) == ("Ada", "creature", "body1", (1,))
    assert now.exemplar == by_id(met, stranger).exemplar
    assert resolve(other, 1) is now


def test_chains_of_merges_resolve() -> None:
    four = tuple(somebody(n, n, f"body {n}", body="") for n in (1, 2, 3, 4))
    two = merge(merge(merge(four, 2, 1), 4, 3), 4, 1)  # 1 means 2 by then
    assert [resolve(two, n) for n in (1, 2, 3, 4)] == [two[0]] * 4
    assert two[0].merged == (1, 2, 3)
    assert set(two[0].aliases) == {"body 1", "body 2", "body 3"}
    assert resolve(two, 9) is None


@given(st.integers(1, 5), st.integers(6, 9))
def test_what_was_merged_can_be_split_again(a: int, b: int) -> None:
    one, other = somebody(1, a, "Ada"), somebody(2, b, "Bo", body="")
    both = merge((one, other), 1, 2)
    bank = by_id(both, 1).bank
    assert len(bank) == len(one.bank) + len(other.bank)  # nothing had to go
    apart = split(both, 1, other.looks, "Bo", new=2)
    again, back = apart
    assert (again.bank, again.exemplar, again.merged) == (one.bank, one.exemplar, ())
    assert (back.id, back.name, back.bank, back.exemplar) == (2, "Bo", other.bank, other.exemplar)
    assert resolve(apart, 2) is back
    fresh = split(both, 1, other.bank[:2], "")
    assert (fresh[1].id, fresh[1].name, len(fresh[1].bank)) == (3, "stranger 3", 2)
    assert resolve(fresh, 2) is fresh[0]


def test_merging_and_splitting_refuse_what_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="both Ada"):
        merge(CAST, 1, 2)
    with pytest.raises(ValueError, match=r"no entity 7: there are 0 \(you\), 1 \(Ada\)"):
        merge(CAST, 1, 7)
    with pytest.raises(ValueError, match="twice"):
        merge(CAST, 1, 1)
    with pytest.raises(ValueError, match="player"):
        merge(CAST, 0, 1)
    ada = CAST[1]
    with pytest.raises(ValueError, match="exemplar of Ada"):
        split(CAST, 1, [look for look in ada.bank if look == ada.exemplar], "Eda")
    with pytest.raises(ValueError, match="out of the bank of Ada"):
        split(CAST, 1, [look(5)], "Eda")
    with pytest.raises(ValueError, match="somebody has"):
        split(CAST, 1, [look for look in ada.bank if look != ada.exemplar], "Eda", new=2)


def test_the_renamed_answer_to_their_old_names() -> None:
    ada = renamed(renamed(CAST[1], "Countess"), "Ada")
    assert (ada.name, ada.aliases) == ("Ada", ("Countess",))
    stranger = Entity(7, UNKNOWN, "stranger 7", "")
    assert not stranger.known
    assert renamed(stranger, "Cy").known and renamed(stranger, "Cy").aliases == ()


KNIGHTS = (
    Entity(0, "player", "you", "player"),
    Entity(1, "knight", "Ser Bo", "a", attributes=("red", "tall"), tags=("guard",)),
    Entity(2, "knight", "Ser Ada", "b", attributes=("blue",), aliases=("The Lark",)),
    Entity(3, "crate", "crate", "c", attributes=("red", "wooden")),
    Entity(4, "crate", "Red", "d"),
    Entity(5, "creature", "Éowyn's hound", "e"),
)
WHERE = {1: Place((0, 0, 0), 0), 2: Place((1, 0, 0), 0), 3: Place((4, 0, 0), 0), 4: Place((9, 0, 0), 0)}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("the red knight", [1]), ("the red one", [4, 1, 3]), ("red", [4, 1, 3]), ("RED", [4, 1, 3]), ("Ser", [1, 2]),
        ("the lark", [2]), ("éowyn", [5]), ("guard", [1]), ("a green knight", []), ("the tall red guard", [1]),
        ("crate", [3, 4]), ("you", [0]), ("", [0, 1, 2, 3, 4, 5]), ("the one", [0, 1, 2, 3, 4, 5]),
    ],
)  # fmt: skip
def test_words_find_whom_they_fit(asked: str, found: list[int]) -> None:
    assert [entity.id for entity in query(KNIGHTS, asked)] == found
    assert [entity.id for entity in query(KNIGHTS[::-1], asked)] == found


def test_the_nearest_of_a_kind_come_first() -> None:
    def ids(*args: object, **more: object) -> list[int]:
        return [entity.id for entity in query(KNIGHTS, *args, places=WHERE, **more)]  # type: ignore[arg-type]

    assert ids("crate", near=(10, 0, 0)) == [3, 4]  # a name fits better than a kind, however near
    assert ids(kind="crate", near=(10, 0, 0)) == [4, 3]
    assert ids("knight", near=(2, 0, 0)) == [2, 1]
    assert ids("knight", near=(2, 0, 0), within=1.5) == [2]
    assert ids(near=(0, 0, 0), within=4.0) == [1, 2, 3]
    assert ids(kind="Knight") == [1, 2]
