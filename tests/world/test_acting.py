import hashlib
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.memory.replay import replay
from perdure.world import acting, edit
from perdure.world.action import Action, Keys, Word
from perdure.world.body import Body
from perdure.world.command import addressed, known, understood
from perdure.world.deed import at
from perdure.world.diff import diff
from perdure.world.identity import Entity
from perdure.world.limbs import borne
from perdure.world.mover import settle
from perdure.world.physics import Physics
from perdure.world.rules import Rule
from perdure.world.state import World
from perdure.world.store import Store
from tests.world import ring, yard
from tests.world.ring import DEEDS, act, go, placed, say, turned
from tests.world.test_physics import WALK_ABOUT, run, start

NAMES = {deed.name: i for i, deed in enumerate(DEEDS)}
ASKED = [deed.words[0] for deed in DEEDS if deed.name not in ("hit", "die")]


# Words


@pytest.mark.parametrize(
    ("text", "deeds"),
    [
        ("slam", ["slam"]),
        ("The knight slams the ground!", ["slam"]),
        ("please slam the ground with your hammer", ["slam"]),
        ("leaps, then sits down", ["leap", "sit"]),
        ("to leap and roll", ["leap", "roll"]),
        ("rolling", ["roll"]),
        ("sat down", ["sit"]),
        ("turned to the left", ["turn left"]),
        ("jump twice", ["leap", "leap"]),
        ("picks up the ball and throws it", ["grab", "throw"]),
        ("sing", []),
        ("leap and sing", []),
        ("do not leap", []),
        ("is hit", []),
        ("die", []),
        ("stagger", []),
    ],
)
def test_words_are_understood_in_whatever_form(text: str, deeds: list[str]):
    assert [DEEDS[i].name for i in understood(DEEDS, text)] == deeds


def test_what_is_not_understood_is_refused_and_says_what_would_be():
    _, notes, _ = say(ring.ring(), (1, "sing"))
    (note,) = notes
    assert (note.kind, note.targets) == ("command", (1,))
    assert note.verdict.startswith("refused: the knight knows walk, stand, turn left, slam")
    assert "die" not in known(DEEDS) and "hit" not in known(DEEDS)


# Commands


@pytest.mark.parametrize("text", ASKED)
def test_every_command_shows_in_the_state_from_its_first_frame(text: str):
    physics, _, frames = go(ring.ring(), 1, (1, text))
    (number,) = understood(DEEDS, text)
    assert {frame[1].deed for frame in frames} == {DEEDS[number].name}
    assert all(frame[1].commanded for frame in frames)
    told = physics.condition(1)
    assert told is not None and told.deed == DEEDS[number].name


def test_a_deed_runs_to_its_end_though_the_command_is_not_repeated():
    _, _, frames = go(ring.ring(), 6, (1, "leap"), once=True)
    clocks = [frame[1].clock for frame in frames if frame[1].deed == "leap"]
    assert len(clocks) == math.ceil(ring.LEAP.seconds * 24) and clocks == sorted(clocks) and clocks[-1] == 1.0


def test_a_repeated_command_does_not_begin_again_before_its_end():
    _, _, frames = go(ring.ring(), 8, (1, "slam"))
    clocks = np.array([frame[1].clock for frame in frames if frame[1].deed == "slam"])
    begun = np.flatnonzero(np.diff(clocks) < 0)
    assert len(begun) == 1 and clocks[begun[0]] == 1.0


@pytest.mark.parametrize("text", ["slam", "leap", "roll", "slam and leap", "grab"])
def test_whatever_was_going_on_each_chunk_begins_with_what_is_commanded(text: str):
    physics = ring.ring()
    wanted = {DEEDS[i].name for i in understood(DEEDS, text)}
    for _ in range(20):
        physics, _, frames = go(physics, 1, (1, text))
        assert frames[0][1].deed in wanted


def test_what_loops_goes_on_while_it_is_asked_for_and_a_moment_more():
    physics, _, frames = go(ring.ring(), 12, (1, "turn left"))
    assert {frame[1].deed for frame in frames} == {"turn left"}
    _, _, frames = go(physics, 8)
    assert frames[8][1].deed == "turn left" and frames[-1][1].deed != "turn left"


def test_one_deed_follows_another():
    _, _, frames = go(ring.ring(), 12, (1, "slam, then leap and sit"), once=True)
    told = [frame[1].deed for frame in frames]
    assert [name for i, name in enumerate(told) if i == 0 or name != told[i - 1]] == ["slam", "leap", "sit"]


def test_a_new_command_comes_at_once_and_out_of_the_pose_that_was():
    """No part jumps where one deed passes into another."""
    physics, _, _ = go(ring.ring(), 3, (1, "slam"), once=True)
    turns = [_quats(physics)]
    for tick in range(2):
        physics, _, frames = go(physics, 1, (1, "block"))
        assert frames[0][1].deed == "block", tick
        turns.append(_quats(physics))
    still = 2 * np.arccos(np.clip(np.abs((turns[1] * turns[2]).sum(-1)), 0, 1))
    assert still.max() < 1.2


def _quats(physics: Physics) -> np.ndarray:
    return physics.posed()[1].mocap_quat.copy()


def test_a_creature_left_alone_walks_and_stands_by_its_deeds():
    _, _, frames = go(ring.ring(), 150)
    told = {frame[1].deed for frame in frames}
    assert told == {"walk", "idle"} and not any(frame[1].commanded for frame in frames)


def test_feet_do_not_slide():
    """While a foot is down, it stays where it is: the walk's clock follows the ground that is covered."""
    physics = turned(ring.ring(), 1, 0.3, (-3.5, -3.0))
    physics = turned(physics, 2, 0.0, (4.0, 4.0))
    physics, _, _ = go(physics, 6, (1, "walk"))
    model, feet, clocks = physics.mechanism.compiled.model, [], []

    def watch(_: object, data: mujoco.MjData, __: object) -> None:
        leg = data.body("knight1/left")
        feet.append(leg.xpos + leg.xmat.reshape(3, 3) @ (0, 0, -ring.LEG))

    assert model.nmocap
    for _ in range(8):
        physics, motion = physics.advance(Action(words=(Word(1, "walk"),)), watch)
        clocks += [told.clock for told in motion.conditions[1]]
    share, place = np.array(clocks), np.array(feet)[:, :2]
    down = (share > 0.05) & (share < 0.45)
    stance = [r for r in np.split(np.arange(len(share)), np.flatnonzero(np.diff(down)) + 1) if down[r].all()]
    assert len([r for r in stance if len(r) > 5]) >= 1
    for r in stance:
        assert np.ptp(place[r], axis=0).max() < 0.03
    assert np.linalg.norm(place[-1] - place[0]) > 0.7


def test_the_root_curve_carries_the_body_and_stays():
    begin = turned(turned(ring.ring(), 2, 0, (4, 4)), 1, 0.5, (0.0, -3.0))
    physics, _, _ = go(begin, 5, (1, "roll"), once=True)
    a, b = begin.gaits[0], physics.gaits[0]
    np.testing.assert_allclose((b.x - a.x, b.y - a.y), 1.2 * np.array((math.cos(0.5), math.sin(0.5))), atol=1e-6)
    assert b.heading - a.heading == pytest.approx(0.5, abs=1e-6)


def test_a_leap_lifts_and_comes_down():
    physics, heights = ring.ring(), []
    for n in range(7):
        physics, motion = physics.advance(Action(words=(Word(1, "leap"),) if n == 0 else ()))
        heights += list(motion.bodies[1][:, 2, 3])
    assert max(heights) > ring.LEG + 0.7 and heights[-1] == pytest.approx(ring.LEG, abs=0.02)


def test_beads_show_a_trail_while_its_deed_runs_and_are_else_under_the_ground():
    physics, _, _ = go(ring.ring(), 3, (1, "slam"), once=True)
    _, data = physics.posed()
    beads = [data.body(f"knight1/bead{n}").xpos for n in range(2)]
    assert all(bead[2] > 0 for bead in beads)
    assert all(math.dist(bead, data.body("knight1/fist").xpos) < 1.5 for bead in beads)
    physics, _, _ = go(physics, 4)
    assert physics.posed()[1].body("knight1/bead0").xpos[2] < -1


# Walls

programs = st.lists(st.tuples(st.sampled_from([*ASKED, "slam and leap", "sing", ""]), st.integers(1, 6)), max_size=8)


@settings(deadline=None, max_examples=12)
@given(programs, st.floats(-3.1, 3.1), st.floats(-4.3, 4.3), st.floats(-4.3, 0.9))
def test_whatever_is_commanded_nobody_comes_into_a_wall(
    todo: list[tuple[str, int]], heading: float, x: float, y: float
):
    physics = turned(ring.ring(), 1, heading, (x, y))
    healths = [1.0]
    for text, chunks in todo:
        for _ in range(chunks):
            physics, _, conditions = say(physics, *([(1, text), (2, "slam")] if text else []))
            gait = physics.gaits[0]
            assert max(abs(gait.x), abs(gait.y)) < yard.HALF - 0.3
            assert math.dist((gait.x, gait.y), (-2, 2.5)) > 0.4 + 0.2
            told = conditions[1][-1]
            assert math.isfinite(told.clock) and 0 <= told.clock <= 1
            healths.append(told.health)
    assert np.isfinite(physics.state).all()
    assert (np.diff(healths) <= 0).all()


# Led


def test_whom_another_leads_goes_as_it_is_led_and_does_what_it_is_told():
    mover = ring.KNIGHTS[0]
    gait, told = settle(mover, 3), []
    for tick in range(60):
        x = 0.8 / 24 * min(max(tick - 10, 0), 20)
        if tick == 40:
            gait, why = acting.heed(mover, gait, "slam")
            assert not why
        gait = acting.led(mover, gait, (x, 0.0), 0.0, 1 / 24)
        assert gait.act is not None and (gait.x, gait.y) == (x, 0.0)
        told.append((DEEDS[gait.act.deed].name, gait.act.clock))
    assert {name for name, _ in told[1:10]} == {"idle"} == {name for name, _ in told[32:40]}
    walked = [clock for name, clock in told[11:31]]
    assert {name for name, _ in told[11:31]} == {"walk"}
    np.testing.assert_allclose(np.diff(walked) % 1.0, 0.8 / 24 / (ring.PACE * ring.CYCLE), atol=1e-9)
    assert {name for name, _ in told[40:58]} == {"slam"}


# Things


def test_it_takes_up_carries_and_throws_the_ball():
    physics = turned(turned(ring.ring(things=True), 1, math.pi), 2, 0.0, (4, 4))
    physics, notes, _ = go(physics, 6, (1, "pick up the ball"), once=True)
    assert [(note.targets, note.verdict) for note in notes if note.kind == "act"] == [((1, 7), "applied")]
    assert act(physics).held == 7
    assert placed(physics, 7)[2] > 0.3
    before = placed(physics, 7)
    physics, _, _ = go(physics, 6, (1, "turn left"))
    assert math.dist(placed(physics, 7)[:3], before[:3]) > 0.3
    physics, _, _ = go(physics, 4, (1, "throw it"), once=True)
    assert act(physics).held == -1
    assert math.dist(placed(physics, 7)[:2], (physics.gaits[0].x, physics.gaits[0].y)) > 1.0


def test_it_opens_a_door_and_is_told_where_there_is_none():
    physics = turned(turned(ring.ring(things=True), 2, 0.0, (4, 4)), 1, math.pi, (-2.0, -0.6))
    physics, notes, _ = go(physics, 8, (1, "open the door"), once=True)
    assert [(note.targets, note.args["hand"]) for note in notes if note.kind == "act"] == [((1, 8), "open")]
    assert abs(placed(physics, 8)[0]) > 0.5
    physics = turned(physics, 1, 0.0, (3.0, -3.0))
    _, notes, _ = go(physics, 3, (1, "open the door"), once=True)
    assert [note.verdict for note in notes if note.kind == "act"] == ["refused: no door within reach"]


def test_a_stroke_sends_a_ball_off():
    physics = turned(turned(ring.ring(things=True), 1, math.pi), 2, 0.0, (4, 4))
    physics, notes, _ = go(physics, 6, (1, "slam"), once=True)
    assert [note.targets for note in notes if note.kind == "kick"] == [(1, 7)]
    assert placed(physics, 7)[0] < -1.4


# State

FIGHT = [(1, "walk"), (2, "block"), (1, "slam"), (2, "leap and slam"), (1, "roll"), (2, "sit"), (1, "turn left")]


def fought(physics: Physics) -> Physics:
    for n in range(42):
        words = (Word(*FIGHT[n // 6]),) if n % 2 else (Word(1, "slam"), Word(2, "slams"))
        physics, _ = physics.advance(Action(Keys.FORWARD, 0.05, words=words))
    return physics


def test_replay_is_bit_for_bit_here_and_in_another_process():
    once = hashlib.sha256(fought(ring.ring(things=True)).to_bytes()).hexdigest()
    script = (
        "import hashlib; from tests.world import ring, test_acting as t; "
        "print(hashlib.sha256(t.fought(ring.ring(things=True)).to_bytes()).hexdigest())"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=yard.ROOT)
    assert once == ran.stdout.strip() == hashlib.sha256(fought(ring.ring(things=True)).to_bytes()).hexdigest()


def test_it_goes_on_from_its_bytes_bit_for_bit():
    physics = fought(ring.ring(things=True))
    again = Physics.from_bytes(physics.mechanism, physics.to_bytes())
    assert again.to_bytes() == physics.to_bytes()
    assert go(again, 4, (1, "slam"))[0].to_bytes() == go(physics, 4, (1, "slam"))[0].to_bytes()


def test_who_is_taken_out_and_put_back_goes_on_as_it_was():
    physics = fought(ring.ring())
    kept = physics.body(2)
    assert kept is not None
    back = physics.with_body(2, None).with_body(2, kept)
    assert back.mechanism.digest == physics.mechanism.digest
    assert back.to_bytes() == physics.to_bytes()


def test_deeds_can_be_given_to_one_that_lives():
    begin = Physics.from_xml(yard.XML, (yard.BEAST,), seed=3)
    old = Body.from_bytes(begin.body(1) or b"")
    assert begin.condition(1) is None
    able = begin.with_body(1, Body(1, old.mjcf, replace(yard.BEAST, deeds=(ring.LEAP,))).to_bytes())
    physics, _, frames = go(able, 1, (1, "leap"))
    assert frames[0][1].deed == "leap"
    assert physics.gaits[0].act is not None


def test_creatures_without_deeds_go_as_they_always_went():
    """Recorded before there were deeds."""
    begin = start()
    physics, _ = run(begin, *WALK_ABOUT * 3)
    xml, _, *rest = msgspec.msgpack.decode(begin.mechanism.to_bytes())  # but for the MJB, which has MuJoCo's version
    written = hashlib.sha256(msgspec.msgpack.encode([xml, *rest])).hexdigest()
    assert written == "6527b5da69f5d29cd358b9bfba9b877e4b77c1cfc9fc70dfc8f1755f0247425c"
    assert hashlib.sha256(physics.to_bytes()).hexdigest().startswith("e3a47e209788289c6774acde260579c5")


def test_curves_are_the_same_in_the_loop_and_in_words():
    """The compiled loop against the plain one."""
    compiled = ring.ring().mechanism.compiled
    for share in np.linspace(0, 1, 23):
        found = borne(compiled.rigs[1], NAMES["leap"], float(share))
        np.testing.assert_allclose(found, at(ring.LEAP.root, float(share)), atol=1e-12)


# Edits and what is said to a world


def told_world() -> World:
    entities = (
        Entity(0, "player", "you", "player"),
        Entity(1, "creature", "the red knight", "knight"),
        Entity(2, "creature", "the blue knight", "knight"),
    )
    return World.create("ring", "yard", 3, ring.XML, ring.KNIGHTS, (-4.0, 4.0, 0.0), entities)


def test_a_creature_is_killed_and_brought_back_by_edits_and_both_are_undone():
    begin = told_world()
    dead = begin.edit(edit.condition(2, 0.0))
    assert not act(dead.physics, 1).alive and act(begin.physics, 1).alive
    gone = dead.advance(Action())
    told = gone.physics.condition(2)
    assert told is not None and told.deed == "die"
    alive = gone.edit(edit.condition(2, 0.5))
    told = alive.physics.condition(2)
    assert told is not None and told.alive and told.health == 0.5 and told.deed == "idle"
    assert alive.undo().state == gone.state
    assert dead.undo().state == begin.state
    assert begin.asked(edit.condition(5, 1.0)).history.events[-1].kind == "reject"
    with pytest.raises(ValueError, match="health of 0 or more"):
        begin.edit(edit.condition(2, -1.0))


@pytest.mark.parametrize(
    ("said", "entity", "deed"),
    [
        ("The red knight slams the ground", 1, "slam"),
        ("blue knight: leap!", 2, "leap"),
        ("the red knight opens the door", 1, "open"),
    ],
)
def test_words_that_begin_with_a_name_are_told_to_who_has_it(said: str, entity: int, deed: str):
    world = told_world().happens(said)
    assert world.history.events[-1].kind == "command" and world.history.events[-1].verdict == "applied"
    told = world.advance(Action()).physics.condition(entity)
    assert told is not None and told.deed == deed and told.commanded


def test_words_are_replayed_from_the_log(tmp_path: Path):
    said = [Action(events=("the red knight slams",)), Action(words=(Word(2, "leap and sing"),)), Action()]
    said += [Action(words=(Word(2, "leap"),)), Action(events=("the blue knight sings", "it starts to snow"))]
    world = told_world()
    with Store.create(tmp_path, world) as store:
        for todo in said * 2:
            world = yard.step(world, todo, store)
        world = world.edit(edit.condition(1, 0.4))
        store.commit(world)
        world = yard.step(world, Action(), store)
        assert all(made.state and made.head for made in replay(store))
        kinds = [event.kind for event in world.history.events]
        assert kinds.count("command") == 2 * 2 and kinds.count("reject") == 2


def test_rules_hold_for_those_who_act():
    rules = (Rule("yard", "bounds", low=(-0.5, None, None), high=(0.5, None, None), entities=(1,)),)
    hard = (Rule("calm", "speed", limit=0.5, entities=(1,), hard=True),)
    for laid in (rules, hard):
        physics = ring.ring()
        for text in ("leap", "walk", "turn left", "leap", "roll"):
            for _ in range(4):
                physics, motion = physics.advance(Action(words=(Word(1, text),)), rules=laid)
                assert np.isfinite(motion.bodies[1]).all()
                if laid is rules:
                    assert abs(physics.gaits[0].x) <= 0.5 + 1e-6
        assert physics.condition(1) is not None


def test_two_worlds_differ_by_health():
    begin = told_world()
    found = {(d.what, d.left, d.right) for d in diff(begin, begin.edit(edit.condition(2, 0.5)))}
    assert found == {("entity 2 health", "1", "0.5")}


def test_what_nobody_heeds_is_rejected_and_an_event_stays_one():
    world = told_world().happens("the red knight sings")
    assert world.history.events[-1].verdict.startswith("rejected: the knight knows walk")
    assert told_world().happens("it starts to snow").setting.environment.weather == "snow"
    assert addressed("the knight slams", {1: ("the red knight", "knight"), 2: ("the blue knight", "knight")}) is None
    assert addressed("golem, slam", {4: ("the lantern golem", "golem")}) == Word(4, "slam")
