"""The recogniser learns who does what, from a small made-up game, and says it of films in which nobody told."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is in the extra `train`")

from perdure.data.clip import Actor, Clip
from perdure.data.video.recogniser import Recogniser, Spotter, agreement, confused, samples

WORDS = {"goes left": (-2, 0), "goes right": (2, 0), "glows": (0, 0), "stands": (0, 0)}
COLOURS = {0: (200, 60, 60), 1: (60, 80, 210)}


def game(seed: int, chunks: int = 60) -> Clip:
    """Two squares on a gray floor with a red rim that never moves; each is told something every four frames."""
    random = np.random.default_rng(seed)
    n = 4 * chunks
    rgb = np.full((n, 48, 80, 3), 120, np.uint8) + random.integers(0, 3, (n, 48, 80, 1)).astype(np.uint8)
    rgb[:, :3] = COLOURS[0]
    entity = np.zeros((n, 48, 80), np.uint8)
    commands = {}
    for who, row in ((0, 8), (1, 30)):
        said, x = list[str](), 40
        for chunk in range(chunks):
            word = str(random.choice(list(WORDS)))
            if not 12 <= x + 4 * WORDS[word][0] <= 68:
                word = "stands"
            said.append(word)
            for frame in range(4 * chunk, 4 * chunk + 4):
                x += WORDS[word][0]
                place = slice(row, row + 8), slice(x - 4, x + 4)
                rgb[frame][place] = np.minimum(np.add(COLOURS[who], 40 if word == "glows" else 0), 255)
                entity[frame][place] = 1 + who
        commands[who] = tuple(said)
    cast = tuple(Actor(who, "square", f"square {who}", "player") for who in (0, 1))
    return Clip(f"game-{seed}", "game", "ours", 24.0, rgb, entity=entity, cast=cast, commands=commands)


def untold(clip: Clip) -> Clip:
    return replace(clip, commands={}, entity=None, cast=())


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser.taught([game(seed) for seed in range(5)], epochs=8)


def test_commands_are_recognised_and_agreement_is_what_it_is(recogniser: Recogniser):
    held = [game(100), game(101)]
    told = agreement([recogniser(replace(clip, commands={})) for clip in held], held)
    assert told["agreement"] > 0.85 and told["always_the_commonest"] < 0.6
    assert told["chunks"] == 240 and told["words"] == 4
    wrong = agreement([{0: ("stands",) * 60, 1: ("goes left",) * 60}] * 2, held)
    assert confused([{0: game(100).commands[0], 1: ("goes up",) * 60}], held[:1], 1)[0].startswith("'goes up' for")
    by_hand = np.mean([w == s for c in held for e, s in ((0, "stands"), (1, "goes left")) for w in c.commands[e]])
    assert wrong["agreement"] == pytest.approx(by_hand)


def test_without_an_entity_map_colours_tell_who_is_who(recogniser: Recogniser):
    clip = game(102)
    found = recogniser.spotter(clip.rgb)
    assert clip.entity is not None
    for value in (1, 2):
        both, either = (found == value) & (clip.entity == value), (found == value) | (clip.entity == value)
        assert both.sum() / either.sum() > 0.9
    said = recogniser(untold(clip))
    assert set(said) == {0, 1} and agreement([said], [clip])["agreement"] > 0.8


def test_a_label_says_that_it_is_a_guess(recogniser: Recogniser):
    clip = replace(recogniser, measured=0.9).labelled(untold(game(103)))
    assert (clip.tags["commands"], clip.tags["agreement"]) == ("recognised", "0.900")
    assert all(len(words) == 60 for words in clip.commands.values())


def test_it_is_the_same_again_and_after_keeping(recogniser: Recogniser, tmp_path: Path):
    clips = [game(seed, 30) for seed in range(2)]
    one, other = (Recogniser.taught(clips, epochs=1, seed=3) for _ in range(2))
    assert all((a == b).all() for a, b in zip(one.net.state_dict().values(), other.net.state_dict().values()))
    recogniser.save(tmp_path / "it.pt")
    with pytest.raises(ValueError, match="eval recogniser"):
        Recogniser.load(tmp_path / "nothing.pt")
    clip = untold(game(104))
    assert Recogniser.load(tmp_path / "it.pt")(clip) == recogniser(clip)


def test_who_is_not_in_view_is_told_nothing(recogniser: Recogniser):
    clip = game(105)
    assert clip.entity is not None
    gone = np.where((clip.entity == 1) & (np.arange(240)[:, None, None] >= 120), 0, clip.entity).astype(np.uint8)
    assert [sample is None for sample in samples(clip, gone, 0)][31:] == [True] * 29
    assert set(recogniser(replace(clip, entity=gone))[0][31:]) == {""}
    with pytest.raises(ValueError, match="at least two commands"):
        Recogniser.taught([replace(clip, commands={0: ("",) * 60})])


def test_a_spotter_knows_only_what_it_was_shown():
    spotter = Spotter.taught([game(1)])
    assert spotter.entities == (0, 1) and (np.abs(spotter.sizes - 8) <= 1).all()
    assert not spotter(np.full((4, 48, 80, 3), 120, np.uint8)).any()
