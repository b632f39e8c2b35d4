"""Offers: what hands can do is said as it is, and what was refused is told."""

import numpy as np
import pytest

from perdure.data import props
from perdure.server.offers import offers, told
from perdure.world import edit
from perdure.world.action import Action, Hand
from perdure.world.body import Pose, crate
from perdure.world.history import Note
from perdure.world.identity import Entity
from perdure.world.state import World
from tests.world import yard


def world(*things: tuple[Entity, edit.Body], pitch: float = -0.7) -> World:
    made = World.create("yard", "yard", 0, yard.XML)
    for thing in things:
        made = made.edit(edit.add(*thing))
    return made.edit(edit.move(0, Pose((0.0, 0.0, 0.0, pitch))))


def said(world: World) -> list[tuple[int, str]]:
    return [(offer.hand, offer.text) for offer in offers(world)]


def test_nothing_is_offered_where_nothing_is_in_reach() -> None:
    assert said(world()) == []
    assert said(world(props.prop("crate", 5, (1.4, 0.0, 0.0)), pitch=0.3)) == []


def test_a_crate_is_taken_and_then_put_down_or_thrown() -> None:
    before = world(props.prop("crate", 5, (1.4, 0.0, 0.0)))
    assert said(before) == [(Hand.USE, "take the crate")]
    after = before.advance(Action(hand=Hand.USE))
    assert said(after) == [(Hand.PLACE, "put the crate down"), (Hand.THROW, "throw")]
    assert said(before) == [(Hand.USE, "take the crate")]  # asking does nothing
    named = after.edit(edit.rename(5, "Ada"))
    assert said(named)[0] == (Hand.PLACE, "put Ada down")


def test_a_door_is_opened_and_closed() -> None:
    shut = world(props.prop("door", 5, (1.2, -0.45, 0.0), yaw=np.pi / 2), pitch=-0.3)
    assert said(shut) == [(Hand.USE, "open the door")]
    assert said(shut.advance(Action(hand=Hand.USE))) == [(Hand.USE, "close the door")]


@pytest.mark.parametrize(
    ("thing", "why"),
    [
        (props.prop("statue", 5, (1.4, 0.0, 0.0)), "it cannot be taken up"),
        ((Entity(5, "crate", "crate", "crate5"), crate(5, (1.4, 0, 0), mass=40.0)), "40 kg is too heavy"),
    ],
)
def test_what_was_refused_is_told(thing: tuple[Entity, edit.Body], why: str) -> None:
    before = world(thing)
    assert said(before) == []
    after = before.advance(Action(hand=Hand.USE))
    assert [text[: len(why)] for text in told(after.motion.notes, after.entities)] == [why]


def test_words_that_nobody_heeds_blows_and_what_breaks_are_told() -> None:
    refused = Note("reject", "player", (), {"said": "sing"}, verdict="rejected: the knight knows walk, slam")
    struck = Note("hit", "creature", (5, 0), {"deed": "slam", "harm": 0.2})
    aside = Note("hit", "creature", (5, 6), {"deed": "slam", "harm": 0.2})
    entities = (Entity(5, "creature", "red knight", "knight"),)
    broken = Note("break", "physics", (6,), {"frame": 2})
    entities = (*entities, Entity(6, "urn", "urn", "urn6"))
    assert list(told((refused, struck, aside, broken), entities)) == [
        "the knight knows walk, slam",
        "the red knight strikes you",
        "the urn breaks",
    ]
