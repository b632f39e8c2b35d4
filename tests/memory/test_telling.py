"""Telling: slots say what the action says, then what is being obeyed, for those who matter most."""

import math
from dataclasses import replace

import numpy as np
import pytest

from perdure.camera import Intrinsics, look
from perdure.memory.recall import recall
from perdure.memory.telling import Ear, anchor, told
from perdure.models.config import Adapters
from perdure.models.context import Slot
from perdure.models.tokens import table
from perdure.models.words import template
from perdure.presets.nano import nano
from perdure.world.action import Action, Word
from perdure.world.identity import Entity
from perdure.world.state import World
from tests.world import ring, yard

KNIGHTS = [ring.knight(number, (2.0 + number, 0.4 * number)) for number in (1, 2, 3)]
XML = yard.XML.replace("</worldbody>", "".join(map(ring._bodies, KNIGHTS)) + "</worldbody>")


def read(text: str) -> np.ndarray:
    """A vector for each word, by its letters."""
    return np.array([[len(word), ord(word[0])] for word in text.replace(",", " ").split()], np.float32)


@pytest.fixture(scope="module")
def world() -> World:
    entities = (
        Entity(0, "player", "you", "player"),
        *(Entity(knight.entity, "creature", f"knight {knight.entity}", knight.body) for knight in KNIGHTS),
    )
    return World.create("ring", "yard", 3, XML, tuple(KNIGHTS), (0.0, 0.0, 0.0), entities)


def slots(world: World, action: Action, count: int = 4) -> dict[int, Slot]:
    heard = told(world, action, Ear(read, count))
    assert [slot.entity for slot in heard] == sorted(slot.entity for slot in heard)
    return {slot.entity: slot for slot in heard}


def test_nobody_hears_anything_until_someone_is_told_and_then_for_as_long_as_it_obeys(world: World) -> None:
    assert slots(world, Action()) == {}
    action = Action(words=(Word(2, "slam twice"), Word(2, "wave"), Word(1, "yodel")))
    now = world.advance(action)
    heard = slots(now, action)
    assert heard.keys() == {1, 2}  # what the state does not know how to do is said all the same
    np.testing.assert_array_equal(heard[2].tokens, read("slam twice wave"))
    assert heard[2].kind == "knight" and heard[2].deed == "slam" and heard[1].deed == ""
    later = slots(now, Action())
    assert later.keys() == {2}
    np.testing.assert_array_equal(later[2].tokens, read("slam"))
    for _ in range(60):
        now = now.advance(Action())
    assert slots(now, Action()) == {}  # it has done what it was told


def test_what_others_are_told_leaves_a_slot_as_it_is(world: World) -> None:
    alone = Action(words=(Word(2, "leap"),))
    beside = Action(words=(Word(1, "dance"), Word(2, "leap"), Word(3, "sit down")))
    one, other = slots(world, alone)[2], slots(world, beside)[2]
    np.testing.assert_array_equal(one.tokens, other.tokens)
    np.testing.assert_array_equal(one.anchor, other.anchor)


def test_where_there_are_few_slots_the_nearest_hear_and_first_of_all_who_is_spoken_to(world: World) -> None:
    everyone = Action(words=tuple(Word(number, "sit down") for number in (1, 2, 3)))
    assert slots(world, everyone, 2).keys() == {1, 2}
    now = world.advance(everyone)
    assert slots(now, Action(words=(Word(3, "leap"),)), 2).keys() == {1, 3}


def test_an_anchor_says_where_it_is_seen(world: World) -> None:
    lens = Intrinsics.from_fov(200, 100, 90.0)
    body = np.eye(4)
    body[:3, 3] = 4.0, 1.0, 1.0
    cameras = look(np.array([0.0, 0.0, 1.0]), 0.0, 0.0)[None]
    seen = replace(world, motion=replace(world.motion, cameras=cameras, intrinsics=lens, bodies={5: body[None]}))
    # 4 m ahead, where the picture is 8 m across and 4 m high; 1 m to the left, as high as the eye, 2 m tall.
    np.testing.assert_allclose(anchor(seen, 5, 2.0), [-0.25, 0.0, 0.25, 0.5, 1.0], atol=1e-6)
    turned = look(np.array([0.0, 0.0, 1.0]), math.radians(90), 0.0)[None]
    aside = replace(seen, motion=replace(seen.motion, cameras=turned))
    assert anchor(aside, 5, 2.0).tolist()[3:] != [0.5, 1.0] and anchor(aside, 5, 2.0)[4] == 0  # beside the picture
    behind = replace(seen, motion=replace(seen.motion, cameras=look(np.array([9.0, 0.0, 1.0]), 0.0, 0.0)[None]))
    assert not anchor(behind, 5, 2.0).any() and not anchor(behind, 6, 2.0).any()


def test_all_together_is_one_sentence_for_each(world: World) -> None:
    action = Action(words=(Word(2, "leap"), Word(1, "sit down")))
    (slot,) = told(world, action, Ear(read, together=True))
    np.testing.assert_array_equal(slot.tokens, read("Knight 1 performs sit down. Knight 2 performs leap."))
    assert told(world, Action(), Ear(read, together=True)) == []
    long = Action(words=(Word(2, "leap"), Word(1, " and ".join(["sit down"] * 9))))
    (slot,) = told(world, long, Ear(read, 2, together=True, length=5))
    sentences = template([("Knight 1", long.words[1].text)]), template([("Knight 2", "leap")])
    np.testing.assert_array_equal(slot.tokens, np.concatenate([read(sentence)[:5] for sentence in sentences]))
    (slot,) = told(world, action, Ear(read, 1, together=True))
    assert len(slot.tokens) < len(read("Knight 1 performs sit down. Knight 2 performs leap.")), "the nearer alone"


def test_an_ear_is_that_of_the_adapters() -> None:
    assert Ear.of(Adapters()) is None
    ear = Ear.of(Adapters(words="slots", word_slots=2))
    assert ear and ear.slots == 2 and not ear.together and ear.read("leap").shape == (1, Adapters().word_dim)
    assert ear.read is table() and (other := Ear.of(Adapters(words="template"))) and other.together


class Blind:
    def encode(self, frames: np.ndarray) -> np.ndarray:
        return np.zeros(nano().latent_shape, np.float32)


def test_a_model_without_an_ear_is_told_nothing(world: World) -> None:
    action = Action(words=(Word(2, "leap"),))
    now = world.advance(action)
    assert recall(now, action, Blind(), nano()).words == ()
    (slot,) = recall(now, action, Blind(), nano(), Ear(read)).words
    np.testing.assert_array_equal(slot.tokens, told(now, action, Ear(read))[0].tokens)
