"""The bench of the promise: that it holds for a tiny model, and that the bench would find out if it did not."""

import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
import torch

from perdure.bench.mortal import ANY, FORK, PROMISED, STAGES, Kill, Life, Line
from perdure.bench.promise import APART, PLAYER, Findings, Lane, Trial, lay_out, play_scene, run
from perdure.data.founding import found
from perdure.data.scenes import build
from perdure.models.config import NANO, CodecConfig
from perdure.models.decoder import Decoder, Encoder
from perdure.models.dit import Transformer
from perdure.models.export import examples, export, graphs
from perdure.presets.preset import Preset
from perdure.runtime.backends import OpenVINO
from perdure.world.store import Store

CODEC = CodecConfig(encoder_widths=(16, 24), decoder_widths=(24, 16, 8), blocks=1)
DIT = replace(NANO, heads=2, head_dim=32, rotary=(4, 6, 6), layers=2, ffn=128, recent=1, recalled=2)
PRESET = Preset("tiny", 256, 144, 75.0, CODEC, DIT)
CARELESS = Path(__file__).with_name("careless.py")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that draws noise, and whose observer is sure of smooth depth: so it goes on finding things."""
    torch.manual_seed(0)
    encoder, decoder, dit = Encoder(CODEC), Decoder(CODEC), Transformer(DIT)
    torch.nn.init.normal_(dit.proj_out.weight, std=0.1)  # it starts at zero, and would draw the noise alone
    head = decoder.observer.head
    with torch.no_grad():
        head.weight *= 0.01
        assert head.bias is not None
        head.bias[4:] = -6.0  # neither unsure nor moving
    folder = tmp_path_factory.mktemp("weights")
    export(graphs(encoder, decoder, dit), examples(CODEC, DIT, 144, 256), folder)
    return folder


def test_the_promise_holds(weights: Path) -> None:
    figures = run(cases=2, chunks=12, weights=weights, preset=PRESET)
    assert (figures["cases"], figures["different"], figures["forked_cases"]) == (2, 0, 1), figures
    assert figures["chunks_compared"] == 24
    assert figures["past_three_turnovers"] == 1
    assert figures["recalled_memories"] > 0


def test_a_broken_promise_is_found_out(weights: Path, tmp_path: Path) -> None:
    court = found(build("court", 0), PRESET, "twin", looks=1)[0]
    Store.create(tmp_path, court, OpenVINO(weights).fingerprint()).close()
    life = Life(str(tmp_path / "twin"), str(tmp_path / "log"), str(weights), PRESET, (), 0)
    lane = Lane("court", 0, "main", (Kill(4, "commit"),))
    findings = Findings()
    play_scene(tmp_path, court, life, [lane], 3, (sys.executable, str(CARELESS)), findings)
    assert findings.cases == len(findings.different) == 1
    assert findings.different[0]["what"].startswith(PROMISED), findings


def test_kills_are_dealt_out_to_all_stages_and_worlds() -> None:
    lanes = lay_out(60, 32, True, 8)
    assert Counter(lane.scene for lane in lanes) == {"court": 4, "hall": 4, "rooms": 4}
    kills = [kill for lane in lanes for kill in lane.kills]
    assert len(kills) == 60
    assert {kill.stage for kill in kills} == {*STAGES, ANY}
    assert sum(lane.branch == FORK for lane in lanes) == 6
    for lane in lanes:
        steps = [kill.step for kill in lane.kills]
        assert all(b - a == 32 + APART for a, b in pairwise(steps))
    assert sum(kill.step > 24 for kill in kills) >= 50
    assert not any(lane.branch == FORK for lane in lay_out(60, 32, False, 8))
    with pytest.raises(ValueError, match="at least one case"):
        lay_out(0, 32, True, 8)


def line(step: int, opened: bool = False, other: str = "") -> Line:
    latent, frames, state, head = ("other" if name == other else f"{name} {step}" for name in PROMISED)
    return Line(step, "main", opened, latent, frames, state, head, recalled=1)


def trial(*kills: Kill, player: tuple[str, ...] = PLAYER) -> Trial:
    life = Life("folder", "log", "weights", PRESET, (), 0)
    twin = {("main", step): line(step) for step in range(1, 12)}
    return Trial(Lane("court", 0, "main", kills), life, 10, 2, player, twin, Findings())


@pytest.mark.parametrize(
    ("lines", "stage", "says"),
    [
        ([line(4, True), line(5), line(6)], "sample", ""),
        ([line(5, True), line(6), line(7)], "commit", ""),
        ([line(5, True), line(6), line(7)], ANY, ""),
        ([line(4, True), line(5), line(6)], "commit", "went on with chunk 5"),
        ([line(5, True), line(6), line(7)], "recall", "went on with chunk 6"),
        ([line(5, True), line(6)], "send", "expected 2 chunks"),
        ([line(6), line(7)], "send", "showed nothing"),
        ([line(5, True, "frames"), line(6), line(7)], "decode", "frames of chunk 5 when opened"),
        *[([line(5, True), line(6), line(7, other=name)], "send", f"{name} of chunk 7") for name in PROMISED],
    ],
)
def test_what_differs_is_named(lines: list[Line], stage: str, says: str) -> None:
    judge = trial(Kill(5, stage))
    what = judge.differs(lines, judge.lane.kills[0])
    assert what.startswith(says) if says else what == ""
    assert judge.findings.compared == (0 if says else 2)


def test_a_world_that_cannot_be_played_on_is_different(tmp_path: Path) -> None:
    judge = trial(Kill(5, "send"), Kill(9, "send"), player=(sys.executable, "-c", "raise ValueError('damaged')"))
    judge = replace(judge, life=msgspec.structs.replace(judge.life, log=str(tmp_path / "log")))
    judge.play()
    assert judge.findings.cases == 2
    assert all("damaged" in case["what"] for case in judge.findings.different)


def test_a_life_is_read_as_it_was_written() -> None:
    life = Life("folder", "log", "weights", PRESET, (), 9, kill=Kill(5, ANY, 0.1), fork=(3, 7))
    assert msgspec.json.decode(msgspec.json.encode(life), type=Life) == life
    assert PLAYER[-1] == "perdure.bench.mortal"
