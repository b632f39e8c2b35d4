"""What is said to happen, happens: understood however it is said, logged, undone, replayed."""

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

from perdure.memory.replay import replay
from perdure.world import body, edit
from perdure.world.action import Action
from perdure.world.body import Pose
from perdure.world.events import EVENTS, bare, happening, understood
from perdure.world.happenings import FADE
from perdure.world.identity import Entity
from perdure.world.setting import Onset
from perdure.world.state import World
from perdure.world.store import Store
from tests.world import yard

POND = yard.XML.replace(
    '<body name="player">',
    '<geom type="cylinder" size="1 .2" pos="2 3 .2" material="water"/><body name="player">',
).replace("<worldbody>", '<asset><material name="water"/></asset><worldbody>')


def with_door(world: World) -> World:
    door = body.door(7, (2.0, -1.0, 0.0), yaw=np.pi / 2)
    return world.edit(edit.add(Entity(7, "door", "the door", door.name, ()), door))


def test_each_kind_is_said_in_many_ways_that_all_mean_it() -> None:
    assert len(EVENTS) >= 25
    for kind, event in EVENTS.items():
        assert len({bare(phrase) for phrase in event.phrases}) >= 6, kind
        for phrase in event.phrases:
            assert (found := understood(f"  The {phrase.upper()}! ")) is not None and found.kind == kind
            # By its pattern too, so that what is said nearly like it is understood.
            assert next(other.kind for other in EVENTS.values() if other.matches(bare(phrase))) == kind, phrase
            assert re.fullmatch(r"[a-z ]+", phrase), "captions put it into sentences"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Heavy snow is falling now.", "snow"),
        ("The blizzard lets up", "clear"),
        ("please stop the rain", "clear"),
        ("a thunderstorm, with hail", "storm"),
        ("Put out that fire!", "fire_out"),
        ("there goes a huge firework", "fireworks"),
        ("could somebody open the big door", "door_opens"),
        ("a seagull... birds!", "birds"),
        ("a big red ball materialises", "object"),
        ("the crab walks in", "creature"),
        ("the sun is setting over the yard", "dusk"),
        ("hello there", None),
        ("springs squeak", None),
        ("", None),
    ],
)
def test_what_is_said_otherwise_is_understood_too(text: str, kind: str | None) -> None:
    found = understood(text)
    assert (found.kind if found else None) == kind


def test_an_event_is_an_edit_that_sets_in_now_and_can_be_undone() -> None:
    world = yard.world()
    for _ in range(2):
        world = yard.step(world, Action())
    before = world.state
    after = world.happens("It starts to snow.")
    assert after.setting.environment.weather == "snow"
    assert after.setting.onset("weather") == Onset(8, "clear")
    event = after.history.events[-1]
    assert (event.kind, event.args["said"], event.verdict) == ("event", "It starts to snow.", "applied")
    assert after.undo().state == before
    undone = after.undo()
    assert undone.undo(undone.history.events[-1].seq).state == after.state
    # Said again it changes nothing, and sets in no later.
    assert yard.step(after, Action()).happens("snow falls").setting.onset("weather") == Onset(8, "clear")
    night = after.happens("night falls").happens("spring comes").happens("pixel style").setting
    assert (night.environment.hour, night.environment.season, night.environment.style) == (23.0, "spring", "pixel")


def test_what_is_not_understood_is_rejected_and_says_what_is() -> None:
    world = yard.world().advance(Action(events=("bananas dance", "night falls")))
    rejected, event = world.history.events[-2:]
    assert rejected.kind == "reject" and rejected.args["said"] == "bananas dance"
    assert "it starts to snow" in rejected.verdict and "a fire breaks out" in rejected.verdict
    assert event.kind == "event" and world.setting.environment.hour == 23.0
    for said, why in [
        ("the fire goes out", "no fire"),
        ("fish leap", "need water"),
        ("the door opens", "no door"),
        ("a creature walks in", "brought along"),
    ]:
        assert why in yard.world().happens(said).history.events[-1].verdict
    with pytest.raises(ValueError, match="expected something that can happen, got 'x'"):
        happening("x", yard.world())


def test_spectacles_take_place_before_the_player_and_end() -> None:
    world = yard.world().happens("fireworks go up").happens("birds fly over").happens("a fire breaks out")
    fire = world.setting.spectacle("fire")
    assert fire is not None and fire.seconds == np.inf and abs(fire.place[2]) < 1e-6
    eye = world.motion.cameras[-1]
    assert 1.0 < (np.array(fire.place) - eye[:3, 3]) @ eye[:3, 2] < 4.0
    assert len({s.seed for s in world.setting.spectacles}) == len(world.setting.spectacles) == 3
    # Another of its kind gets a name of its own, while the first lasts.
    assert {s.name for s in world.happens("a bonfire is lit").setting.spectacles} >= {"fire", "fire 2"}
    out = world.happens("the fire dies down")
    fire = out.setting.spectacle("fire")
    assert fire is not None and fire.seconds == FADE and fire.over(48) and not fire.over(47)
    assert out.undo().setting.spectacle("fire") == world.setting.spectacle("fire")


def test_fireworks_need_the_sky_and_fish_need_water() -> None:
    roof = yard.XML.replace('<body name="player">', '<geom type="box" size="6 6 .1" pos="0 0 3"/><body name="player">')
    indoors = World.create("in", "yard", 3, roof, (), intrinsics=yard.SMALL)
    for said in ("fireworks go up", "birds fly over"):
        assert "open sky" in indoors.happens(said).history.events[-1].verdict
    pond = World.create("pond", "yard", 3, POND, (), intrinsics=yard.SMALL).happens("fish leap")
    fish = pond.setting.spectacle("fish")
    assert fish is not None and fish.place[2] == pytest.approx(0.4)
    assert 0.3 < np.hypot(fish.place[0] - 2, fish.place[1] - 3) < 0.8, "in the water, on the near side of it"


def test_doors_open_and_close_when_it_is_said() -> None:
    world = with_door(yard.world()).advance(Action(events=("the door opens",)))
    angles = []
    for said in [(), (), (), ("the door closes",), *[()] * 9]:
        world = world.advance(Action(events=said))
        payload = world.physics.pose(7)
        assert payload is not None
        angles.append(abs(Pose.from_bytes(payload).place[0]))
    assert max(angles) > 0.5 and angles[-1] < 0.2
    assert "no door that could close" in world.happens("the door shuts").history.events[-1].verdict


def test_something_new_appears_by_words_or_is_brought_along() -> None:
    world = yard.world().happens("an urn appears")
    new = world.entities[-1]
    assert (new.id, new.kind, new.body) == (2, "urn", "urn2")
    place = world.motion.bodies[2][-1, :3, 3]
    assert 0.8 < np.hypot(*place[:2]) < 2.5
    assert world.undo().state == yard.world().state
    # An edit that brings something makes the words a telling, and no more is put in.
    ball = body.ball(5, (1.5, 0.0, 0.0))
    brought = Action(edits=(edit.add(Entity(5, "ball", "a ball", "ball5", ()), ball),), events=("a ball appears",))
    world = yard.world().advance(brought)
    assert [entity.id for entity in world.entities] == [0, 1, 5]
    assert world.history.events[-1].kind == "event" and world.history.events[-1].targets == (5,)


def test_something_new_takes_the_number_of_nobody_not_even_of_who_was_merged() -> None:
    entities = Entity(0, "player", "you", "player"), Entity(1, "creature", "the beast", "beast", merged=(2,))
    world = World.create("yard", "yard", 3, yard.XML, (yard.BEAST,), (0.0, -2.0, 0.0), entities)
    assert world.happens("a crate appears").entities[-1].id == 3


def test_what_was_said_is_replayed_to_the_same_state_and_history(tmp_path: Path) -> None:
    with Store.create(tmp_path / "w", yard.world()) as store:
        world = store.world()
        for n in range(8):
            said = {1: ("it starts to rain", "a fire breaks out"), 3: ("bananas",), 5: ("a crate appears",)}.get(n, ())
            world = yard.step(world, Action(1, events=said), store)
        store.commit(world.happens("night falls"))
        assert all(made.state and made.head for made in replay(store))
        kept = store.world()
        assert kept.setting.environment.weather == "rain" and kept.setting.spectacle("fire") is not None
        assert kept.setting.environment.hour == 23.0


def test_words_that_meant_nothing_when_they_were_said_still_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Worlds from before there were events have words in their actions, and nothing of them in their logs."""
    with Store.create(tmp_path / "w", yard.world()) as store:
        with monkeypatch.context() as patch:
            patch.setattr(World, "happens", lambda self, said, new=(): self)
            world = yard.step(store.world(), Action(events=("night falls",)), store)
        yard.step(world, Action(events=("day comes",)), store)
        assert store.world().setting.environment.hour == 12.0
        assert all(made.state and made.head for made in replay(store))


def test_slots_refuse_what_is_none(tmp_path: Path) -> None:
    world = yard.world()
    for slot, value, why in [
        ("onset/colour", Onset(0, 1.0).to_bytes(), "expected one of hour"),
        ("onset/hour", b"no", "bytes of an onset"),
        ("spectacle/fire", b"no", "bytes of a spectacle"),
        ("spectacle/fire", msgspec.msgpack.encode({"name": "fire", "kind": "war", "place": (0, 0, 0), "start": 0}), ""),
    ]:
        with pytest.raises(ValueError, match=why or "spectacle"):
            world.edit(edit.Edit((edit.Change(slot, value),)))
