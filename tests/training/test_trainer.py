"""The loop: it learns, and a run that was stopped goes on as if it had not been."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from perdure.training.trainer import TrainConfig, Trainer, load_average

CONFIG = TrainConfig(minutes=1, learning_rate=0.05, warmup=1, save_every=1e9, average=0.5)


def batches(start: int = 0) -> Iterator[Tensor]:
    step = start
    while True:
        yield torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        step += 1


def loss(module: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, float]]:
    return (module(x) - x.sum(1, keepdim=True)).square().mean(), {}


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 1)


class Counted(Trainer):
    """Time is counted in steps, so that a test does not depend on the clock."""

    limit = 0

    @property
    def progress(self) -> float:
        return 1.0 if self.steps >= self.limit else 0.0


def run(folder: Path, stops: list[int]) -> nn.Linear:
    module = linear()
    for stop in stops:
        module = linear()
        trainer = Counted(CONFIG, module, folder)
        trainer.limit = stop
        trainer.fit(batches(trainer.steps), loss)
    return module


def test_it_learns(tmp_path: Path) -> None:
    module = run(tmp_path, [200])
    assert (module.weight - 1).abs().max() < 0.01


def test_a_budget_in_steps_is_the_same_however_slow_the_machine_is(tmp_path: Path) -> None:
    module, rates = linear(), list[float]()
    trainer = Trainer(replace(CONFIG, minutes=1e-9, steps=20, cooldown=0.5), module, tmp_path)

    def watched(module: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, float]]:
        rates.append(trainer.rate())
        return loss(module, x)

    trainer.fit(batches(), watched)
    assert len(rates) == trainer.steps == 20
    assert rates[:11] == [0.05] * 11 and rates[11:] == sorted(rates[11:], reverse=True) and 0 < rates[-1] < 0.01


def test_resumed_equals_undisturbed(tmp_path: Path) -> None:
    whole, parts = run(tmp_path / "whole", [30]), run(tmp_path / "parts", [7, 19, 30])
    assert torch.equal(whole.weight, parts.weight)
    averages = [linear(), linear()]
    for module, name in zip(averages, ("whole", "parts"), strict=True):
        load_average(module, tmp_path / name)
    assert torch.equal(averages[0].weight, averages[1].weight)
    assert not torch.equal(averages[0].weight, whole.weight)


def test_the_rate_warms_up_holds_and_falls_to_zero(tmp_path: Path) -> None:
    trainer = Trainer(TrainConfig(minutes=1, learning_rate=1.0, warmup=10, cooldown=0.5), linear(), tmp_path)
    rates = []
    for steps, seconds in ((0, 0), (4, 1), (100, 20), (200, 45), (300, 60)):
        trainer.steps, trainer.seconds = steps, seconds
        rates.append(round(trainer.rate(), 3))
    assert rates == [0.1, 0.5, 1.0, 0.5, 0.0]


def test_the_log_tells_means_of_what_was_seen(tmp_path: Path) -> None:
    """Of figures that not every step has, too, and of the few steps since a run was gone on with."""
    trainer = Trainer(TrainConfig(minutes=1, steps=7, log_every=10), linear(), tmp_path)

    def odd(module: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, float]]:
        value, _ = loss(module, x)
        return value, {"always": 2.0} | ({"at times": 4.0} if trainer.steps % 2 else {})

    trainer.fit(batches(), odd)
    trainer = Trainer(TrainConfig(minutes=1, steps=10, log_every=10), linear(), tmp_path)
    trainer.fit(batches(), odd)
    (row,) = map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
    assert (row["always"], row["at times"]) == (2.0, 4.0)


def test_no_time_is_no_step(tmp_path: Path) -> None:
    trainer = Trainer(TrainConfig(minutes=0), linear(), tmp_path)
    trainer.fit(batches(), loss)
    assert trainer.steps == 0


def test_moments_are_where_the_parameters_are(tmp_path: Path) -> None:
    """A device without memory stands in for one of its own."""
    Trainer(TrainConfig(minutes=1, steps=3), linear(), tmp_path).fit(batches(), loss)
    again = Trainer(TrainConfig(minutes=1, steps=6), linear().to("meta"), tmp_path)
    state = again.optimizer.state[again.module.get_parameter("weight")]
    there = {name: it.device.type for name, it in state.items()}
    assert there == {"step": "cpu", "exp_avg": "meta", "exp_avg_sq": "meta"}
