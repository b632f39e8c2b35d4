"""What trains: all of a transformer, its adapters alone or LoRA; the rest stays as it is, to the bit."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from perdure.models.adapters.lora import loras
from perdure.models.config import CodecConfig
from perdure.models.dit import Transformer
from perdure.presets.nano import nano
from perdure.presets.preset import Preset
from perdure.recipes import nano as recipes
from perdure.recipes.nano import Recipe, drawn, train_flow
from perdure.training.flow import FlowBatch, prepare
from perdure.training.trainer import TrainConfig, Trainer
from tests.training import test_methods
from tests.training.test_methods import flow_batch

DIT = replace(test_methods.DIT, adapters=replace(test_methods.DIT.adapters, setting=0))
PRESET: Preset[CodecConfig] = replace(nano(), dit=DIT)


class Steps(Trainer):
    """Time is counted in steps."""

    limit = 3

    @property
    def progress(self) -> float:
        return 1.0 if self.steps >= self.limit else 0.0


class Batches:
    def __init__(self, *_: object, **__: object) -> None:
        pass

    def flow_batches(self, *_: int) -> Iterator[FlowBatch]:
        while True:
            yield flow_batch()


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a transformer that was trained, every number of which says something."""
    monkeypatch.setattr(recipes, "Lessons", Batches)
    monkeypatch.setattr(recipes, "Trainer", Steps)
    torch.manual_seed(5)
    model = Transformer(DIT)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.1)
    Trainer(TrainConfig(minutes=1), model, tmp_path / "flow").save()
    return tmp_path


@torch.no_grad()
def velocity(model: Transformer, light: float | None = None) -> torch.Tensor:
    """In this light, of a model that is told it."""
    scene = flow_batch().scene
    if light is not None:
        scene = scene._replace(setting=torch.full_like(scene.setting, light))
    x = torch.randn(4, 16, 1, 4, 6, generator=torch.Generator().manual_seed(1))
    return model.eval()(x, torch.full((4,), 9.0), given=scene.given(light is not None))


@pytest.mark.parametrize("train", ["adapters", "lora"])
def test_a_few_steps_move_what_is_to_train_and_leave_the_base_to_the_bit(train: str, runs: Path) -> None:
    recipe = Recipe(PRESET, flow=TrainConfig(minutes=1, warmup=1), train=train, rank=2)
    before = drawn(replace(recipe, train="all"), runs)
    base = dict(before.named_parameters())
    train_flow(recipe, runs)
    with safe_open(runs / f"flow-{train}" / "checkpoint.safetensors", "pt") as file:
        kept = {name for name in file.keys() if name.startswith("module.")}  # noqa: SIM118
    marks = {"adapters": "module.adapters.", "lora": ".lora_"}
    assert kept and all(marks[train] in name for name in kept), "the checkpoint holds what trains"
    after = drawn(recipe, runs)
    moved = {name for name, p in after.named_parameters() if not p.equal(base[name])}
    if train == "adapters":
        assert moved == {name for name in base if name.startswith("adapters.")}
    else:
        assert {name.rsplit(".", 1)[0] for name in moved} == set(loras(prepared(train)))
    assert not velocity(after).equal(velocity(before))


def prepared(train: str) -> Transformer:
    model = Transformer(DIT)
    prepare(model, train, 2)
    return model


def test_lora_of_no_step_is_the_base(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Steps, "limit", 0)
    recipe = Recipe(PRESET, train="lora", rank=2)
    base = drawn(replace(recipe, train="all"), runs)
    asked = velocity(base)
    prepare(base, "lora", 2)
    assert velocity(base).equal(asked), "before it is merged"
    train_flow(recipe, runs)
    assert velocity(drawn(recipe, runs)).equal(asked), "and where it was kept and merged"


def test_a_new_adapter_goes_on_a_base_without_it(runs: Path) -> None:
    heard = replace(DIT, adapters=replace(DIT.adapters, words="slots", word_dim=6))
    recipe = Recipe(replace(PRESET, dit=heard), train="adapters", flow=TrainConfig(minutes=1))
    assert velocity(drawn(replace(recipe, train="all"), runs)).equal(velocity(drawn(Recipe(PRESET), runs)))
    smaller = Recipe(replace(PRESET, dit=replace(DIT, layers=1)))
    with pytest.raises(ValueError, match=r"expected this recipe.s transformer, got another: blocks\.1"):
        drawn(smaller, runs)


def test_a_run_goes_on_from_another_with_adapters_that_it_had_not(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = replace(PRESET, dit=replace(DIT, adapters=replace(DIT.adapters, setting=15)))
    recipe, base = Recipe(told, begin=runs, flow=TrainConfig(minutes=1)), velocity(drawn(Recipe(PRESET), runs))
    monkeypatch.setattr(Steps, "limit", 0)
    train_flow(recipe, runs / "more")
    assert velocity(drawn(recipe, runs / "more")).equal(base), "it begins where the other ended"
    monkeypatch.setattr(Steps, "limit", 3)
    train_flow(recipe, runs / "more")
    assert not velocity(drawn(recipe, runs / "more")).equal(base)


def test_what_does_not_fit_is_told(runs: Path) -> None:
    with pytest.raises(ValueError, match="expected to train all, adapters, lora, setting, got 'head'"):
        prepare(Transformer(DIT), "head")
    train_flow(Recipe(PRESET, train="lora", rank=2), runs)
    with pytest.raises(ValueError, match=r"expected a run that trained .* and all else"):
        Trainer(TrainConfig(minutes=1), Transformer(DIT), runs / "flow-lora")
    with pytest.raises(ValueError, match="expected a checkpoint of such a module, got one that lacks"):
        recipes.load_average(Transformer(DIT), runs / "flow-lora")


def test_what_is_learnt_of_the_setting_leaves_clear_noon_as_it_was(runs: Path) -> None:
    told = replace(PRESET, dit=replace(DIT, adapters=replace(DIT.adapters, setting=15)))
    recipe, base = Recipe(told, train="setting"), velocity(drawn(Recipe(PRESET), runs))
    train_flow(recipe, runs)
    with safe_open(runs / "flow-setting" / "checkpoint.safetensors", "pt") as file:
        assert {n for n in file.keys() if n.startswith("average.")} == {  # noqa: SIM118
            f"average.adapters.setting.{name}" for name in ("linear_1.weight", "linear_1.bias", "linear_2.weight")
        }
    learnt = drawn(recipe, runs)
    assert velocity(learnt, 0.0).equal(base)
    assert not velocity(learnt, 1.0).equal(base)


@torch.no_grad()
def test_what_went_on_is_blended_with_what_it_began_as(runs: Path, tmp_path: Path):
    went_on = tmp_path / "more"
    recipe = Recipe(PRESET, begin=runs)
    with torch.enable_grad():
        train_flow(recipe, went_on)
    first, last = drawn(recipe, runs), drawn(recipe, went_on)
    half = drawn(replace(recipe, blend=0.5), went_on)
    for name, mine in half.named_parameters():
        assert torch.allclose(mine, 0.5 * (first.get_parameter(name) + last.get_parameter(name)), atol=1e-6), name
    assert not torch.equal(velocity(half), velocity(last))
    with pytest.raises(ValueError, match="expected the runs that these went on from"):
        drawn(replace(Recipe(PRESET), blend=0.5), went_on)


def test_an_adapter_that_the_beginning_had_not_is_kept_whole(runs: Path, tmp_path: Path):
    told = replace(PRESET, dit=replace(DIT, adapters=replace(DIT.adapters, setting=15)))
    went_on = tmp_path / "more"
    model = Transformer(told.dit)
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(0.25)
    Trainer(TrainConfig(minutes=1), model, went_on / "flow").save()
    half = drawn(Recipe(told, begin=runs, blend=0.5), went_on)
    settings = {name: p for name, p in half.named_parameters() if name.startswith("adapters.setting")}
    assert settings and all((p == 0.25).all() for p in settings.values())
    assert not any((p == 0.25).all() for name, p in half.named_parameters() if name not in settings)
