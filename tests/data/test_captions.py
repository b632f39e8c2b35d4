"""Captions tell what the state says, in many ways, in three layers that keep apart; probe words are in none."""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import perdure
from perdure.camera import Intrinsics, look
from perdure.data import phrases
from perdure.data.captions import caption, colour, forms, held_back, legs, moves, probe, shown, timed
from perdure.data.clip import Actor, Captions, Clip, Moment, Recipe
from perdure.data.phrases import listed, said, sentence, third, ways
from perdure.data.scenes import KINDS, build, creatures
from perdure.data.sources.atari_games import GAMES
from perdure.data.trajectories import CATEGORIES
from perdure.world.events import EVENTS

HOME = Path(perdure.__file__).parent
N = 240
TABLES = {
    name: table
    for name, table in vars(phrases).items()
    if name in ("BEFALLS", "MET", "EVENTS", "CAMERA", "WAYS", "KINDS")
}
LINES = {"DEED": phrases.DEED, "PLAYED": phrases.PLAYED, "OPENS": phrases.OPENS, "SCENE": phrases.SCENE,
         "DETAILS": phrases.DETAILS, "CAST_ONE": phrases.CAST_ONE, "CAST_MANY": phrases.CAST_MANY,
         "ENDS": phrases.ENDS}  # fmt: skip


def clip(number: int) -> Clip:
    """A clip of the playground as its director might make it: who is there, what they do, and what happens."""
    rng = np.random.default_rng([5, number])
    kind = list(KINDS)[number % len(KINDS)]
    players = [str(k) for k in rng.choice(np.array(list(creatures.KINDS)), 2, replace=False)]
    cast = [Actor(0, "player", "you", "player")]
    states, tags = {}, {"scene": kind, "trajectory": str(rng.choice(np.array(list(phrases.WAYS))))}
    for entity, player in enumerate(players, 1):
        cast.append(Actor(entity, player, creatures.name(player, number), "creature"))
        names = [deed.name for deed in creatures.deeds(player, 0)]
        deed = np.repeat(rng.integers(0, len(names), 6), N // 6)
        states[entity] = {"deed": deed.astype(np.int16), "commanded": np.ones(N, np.int16)}
        tags[f"deeds {entity}"] = ",".join(names)
    a, b = cast[1].name, cast[2].name
    happens = str(rng.choice(np.array(list(EVENTS))))
    events = (
        Moment(30, N, happens, str(rng.choice(np.array(EVENTS[happens].phrases)))),
        Moment(100, 112, "hit", f"{a} strikes {b}", 2),
        Moment(150, 186, "death", f"{a} falls to {b}", 1),
        Moment(190, 200, "take", "you take up the crate", 5),
    )
    hours, weathers = ["12.0", "6.5", "22.5"], list(phrases.WEATHERS)
    environment = {"hour": float(rng.choice(np.array(hours))), "weather": str(rng.choice(np.array(weathers)))}
    data = {"scene": kind, "scene_seed": 7, "environment": environment}
    yaw = np.cumsum(np.repeat(rng.choice([0.0, 0.0, 0.05, -0.05], 6), N // 6))
    flat = np.cumsum(np.stack([np.cos(yaw), np.sin(yaw)], -1) * 0.08, 0)
    poses = look(np.concatenate([flat, np.full((N, 1), 1.5)], 1), yaw, 0.0)
    return Clip(
        f"made-{number}", "playground", "CC0-1.0", 24.0, np.zeros((N, 4, 6, 3), np.uint8), seed=number, view="first",
        intrinsics=Intrinsics(6, 4, 4.0, 4.0, 3.0, 2.0), poses=poses, cast=tuple(cast), states=states, events=events,
        tags=tags, recipe=Recipe(data, "", lambda data: pytest.fail("nothing is founded to caption a clip")),
    )  # fmt: skip


@pytest.fixture(scope="module")
def many() -> list[tuple[Clip, Captions]]:
    made = [clip(number) for number in range(200)]
    told = [caption(it) for it in made]
    return [(it, captions) for it, captions in zip(made, told) if captions is not None]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def strings(path: Path) -> Iterator[str]:
    """What a module says: its strings, but for those that explain it."""
    tree = ast.parse(path.read_text("utf-8"))
    explained = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in explained:
            yield node.value


def test_common_things_can_be_said_in_twenty_ways():
    counts = {f"{name} {key}": ways(entry) for name, table in TABLES.items() for key, entry in table.items()}
    counts |= {name: ways(entry) for name, entry in LINES.items()}
    assert {name: n for name, n in counts.items() if n < 20} == {}
    assert set(phrases.WAYS) >= set(CATEGORIES)
    assert set(phrases.EVENTS) == set(EVENTS) and set(phrases.KINDS) >= {*KINDS, *GAMES, "doom"}


def test_every_way_is_as_likely_as_any_other():
    rng, entry = np.random.default_rng(0), ("[a|b|c] {who}", "d {who}")
    counts = Counter(said(entry, rng, who="x") for _ in range(4000))
    assert set(counts) == {"a x", "b x", "c x", "d x"} and ways(entry) == 4
    assert max(counts.values()) < 1.2 * min(counts.values())


def test_every_clip_is_told_in_three_layers(many: list[tuple[Clip, Captions]]):
    assert len(many) == 200
    for it, told in many:
        assert len(told.narrative.split(". ")) >= 6 and len(told.dense) >= 6
        for text in (told.narrative, told.scene, *(passage.caption for passage in told.dense)):
            assert text[0].isupper() and text.endswith(".") and "{" not in text and "[" not in text, text
            assert "  " not in text and "None" not in text
        plain = json.loads(json.dumps(timed(told, it.fps)))
        assert all(set(p) == {"start", "end", "event", "caption"} and 0 <= p["start"] < p["end"] <= 10 for p in plain)
        assert [p["start"] for p in plain] == sorted(p["start"] for p in plain)


def test_a_scene_has_nothing_that_moves_or_is_done(many: list[tuple[Clip, Captions]]):
    assert moves("the knight walks, the door swung open and it is turning") == ["walks", "turning"]
    found = Counter(word for _, told in many for word in moves(told.scene))
    assert found == {}
    names = {actor.name for it, _ in many for actor in it.cast if actor.role == "creature"}
    assert not any(name in told.scene for _, told in many for name in names)


def test_what_happens_is_told_when_it_does(many: list[tuple[Clip, Captions]]):
    for it, told in many[:40]:
        spans = {(p.start, p.end, p.event) for p in told.dense}
        assert {(m.start, m.end, m.kind) for m in it.events} <= spans
        a, b = it.cast[1].name, it.cast[2].name
        blow = next(p.caption for p in told.dense if p.event == "hit")
        assert a.lower() in blow.lower() and b.lower() in blow.lower()
        taken = next(p.caption for p in told.dense if p.event == "take")
        assert "the player" in taken.lower() and "crate" in taken and " you " not in f" {taken.lower()}"
        assert blow.rstrip(".")[1:] in told.narrative, "a story tells the blows"
        deeds = {p.event for p in told.dense if ": " in p.event and not p.event.startswith("camera")}
        for entity in (1, 2):
            known = it.tags[f"deeds {entity}"].split(",")
            done = {known[n] for n in it.states[entity]["deed"]} - {"idle"}
            assert {f"{it.cast[entity].kind}: {name}" for name in done} <= deeds


def test_the_same_clip_has_the_same_words_and_another_seed_others():
    assert caption(clip(3)) == caption(clip(3))
    assert caption(clip(3), 1) != caption(clip(3)) and caption(clip(3), 1) != caption(clip(4), 1)


def test_captions_differ(many: list[tuple[Clip, Captions]]):
    """Of 200: hardly two sentences are the same, and words come in many orders."""
    lines = [p.caption for _, told in many for p in told.dense]
    assert len(set(lines)) > 0.8 * len(lines)
    assert len({told.scene for _, told in many}) > 190 and len({told.narrative for _, told in many}) == 200
    text = [words(told.narrative) for _, told in many]
    grams = [tuple(it[i : i + 4]) for it in text for i in range(len(it) - 3)]
    assert len(set(grams)) > 0.3 * len(grams)
    openings = Counter(" ".join(it[:3]) for it in text)
    assert max(openings.values()) < 30


def test_of_what_is_not_known_nothing_is_told():
    rgb = np.zeros((N, 4, 6, 3), np.uint8)
    assert caption(Clip("film", "video", "?", 24.0, rgb, tags={"file": "a.mp4"})) is None
    told, dropped = shown(Clip("film", "video", "?", 24.0, rgb), lambda picture: "a table with a red cloth")
    assert dropped == 0
    assert told.narrative == told.scene == "A table with a red cloth." and len(told.dense) == 2
    told, _ = shown(Clip("film", "video", "?", 24.0, rgb), lambda picture: "a man walks by")
    assert told.scene == "" and told.narrative == "A man walks by."


def test_what_a_model_says_with_a_word_that_is_held_back_is_dropped():
    pictures = np.zeros((N, 4, 6, 3), np.uint8)
    pictures[N // 2 :] = 1
    film = Clip("film", "video", "?", 24.0, pictures)
    told, dropped = shown(film, lambda picture: "A man Saunters by" if picture.any() else "a lawn")
    assert dropped == 1 and [p.caption for p in told.dense] == ["a lawn"] and told.narrative == "A lawn."
    told, dropped = shown(film, lambda picture: "two robots")
    assert dropped == 2 and told == Captions("", "", ())


def test_the_cameras_way_is_told_as_it_went():
    forward = np.zeros((72, 3))
    forward[:, 0] = np.arange(72) * 0.1
    yaw = np.concatenate([np.zeros(72), np.linspace(0, 2, 48)])
    place = np.concatenate([forward, forward[-1:].repeat(48, 0)])
    found = legs(look(place, yaw, 0.0), 24.0)
    assert [name for name, _, _ in found] == ["forward", "turn left"]
    assert abs(found[1][1] - 72) <= 6 and found[1][2] == 120
    assert [name for name, _, _ in legs(look(-forward, 0.0 * forward[:, 0], 0.0), 24.0)] == ["back"]
    aside = legs(look(forward, np.full(72, -np.pi / 2), 0.0), 24.0)
    assert [name for name, _, _ in aside] == ["left"]


def test_a_games_players_are_told_of():
    said_ = {0: ("advances left",) * 5 + ("jabs, circles up",) * 5, 1: ("stands",) * 10}
    boxers = (Actor(0, "boxer", "the white boxer", "player"), Actor(1, "boxer", "the black boxer", "player"))
    rgb = np.zeros((40, 4, 6, 3), np.uint8)
    game = Clip("a", "atari", "?", 30.0, rgb, view="screen", cast=boxers, commands=said_, tags={"scene": "boxing"},
                events=(Moment(9, 10, "hit", "the black boxer is hit", 1),))  # fmt: skip
    told = caption(game)
    assert told is not None
    spoken = {p.event: p.caption.lower() for p in told.dense}
    assert (
        "white boxer" in spoken["boxer: jabs, circles up"]
        and "jabs and circles up" in spoken["boxer: jabs, circles up"]
    )
    assert ("black boxer" in spoken["hit"] and "ring" in told.scene.lower()) or "boxing" in told.scene.lower()


def test_probe_words_are_nowhere(many: list[tuple[Clip, Captions]]):
    held = probe()
    assert len(held) >= 60 and len(set(held)) == len(held)
    assert {"lobs", "lobbed", "lobbing"} <= forms("lob") and {"nudged", "nudging"} <= forms("nudge")
    every = {form: word for word in held for form in forms(word)}

    def used(texts: Iterator[str] | list[str]) -> set[str]:
        return {word for text in texts for word in held_back(text)}

    assert used(["he lobs it"]) == {"lob"} and all(held_back(form) == [word] for form, word in every.items())
    assert used([phrase for event in EVENTS.values() for phrase in event.phrases]) == set()
    modules = set((HOME / "data").rglob("*.py")) - {HOME / "data" / "lerobot.py"}  # its format says "robot_type"
    phrased = {"phrases", "atari", "atari_games", "doom", "doom_player", "props", "furnishing", "recorder", "roles"}
    assert phrased <= {path.stem for path in modules}
    assert {path.name: found for path in modules if (found := used(strings(path)))} == {}
    for kind in creatures.KINDS:
        assert used([text for deed in creatures.deeds(kind, 0) for text in (deed.name, *deed.words)]) == set()
    told = [text for _, it in many for text in (it.narrative, it.scene, *(p.caption for p in it.dense))]
    assert used(told) == set()


def test_small_things():
    assert (
        third("slam the ground") == "slams the ground" and third("fly") == "flies" and third("say hello")[:4] == "says"
    )
    assert third("push") == "pushes" and third("go") == "goes"
    assert listed(["a, b", "c"]) == "a, b; and c"
    assert listed(["a", "b", "c"]) == "a, b and c" and listed(["a"]) == "a" and sentence("a b.") == "A b."
    assert [colour(c) for c in ("#ffffff", "#101010", "#808080", "#c02020", "#2040c0", "#6b4428")] == [
        "white", "black", "grey", "red", "blue", "brown",
    ]  # fmt: skip
    assert build("court", 7).surfaces
