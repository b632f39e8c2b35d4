"""How `nano` is made: clips, lessons, codec, latents, transformer, graphs. Each stage resumes.

    python -m perdure.recipes.nano all --runs ~/perdure-runs
    python -m perdure.recipes.nano flow --runs ~/perdure-runs --train lora --rank 8   # on top of what is there
    python -m perdure.recipes.nano all --runs ~/more --begin ~/perdure-runs           # going on, with new lessons
    python -m perdure.recipes.nano flow --runs ~/perdure-runs --train setting   # clear noon stays, to the bit

Stages may run apart (`lessons`, `codec`, `latents`, `decoder`, `flow`, `export`), so that one can go on in the
background while another is looked at. Clips come from the playground's schedule, which deals scenes, hours, weathers,
creatures and events by number; it never touches the held-out scenes, of seeds below 1000.
"""

import re
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from safetensors import safe_open
from torch import Tensor

from perdure.data.clip import SHORTEST
from perdure.data.scenes import KINDS
from perdure.data.sources import playground
from perdure.models.adapters.lora import drop_lora, load_lora, merge_lora, save_lora
from perdure.models.config import NANO
from perdure.models.decoder import Decoder, Encoder
from perdure.models.dit import Transformer
from perdure.models.export import examples, export, graphs
from perdure.models.weights import absent
from perdure.presets.nano import Preset, nano
from perdure.runtime.backends import WEIGHTS
from perdure.training.codec import Codec, codec_loss
from perdure.training.flow import TRAINS, flow_loss, prepare
from perdure.training.lessons import Lessons, make
from perdure.training.trainer import TrainConfig, Trainer, load_average

SEED = 1
"""Of the clips: another set than the one that `perdure data make` gives unless told otherwise."""
LORA = "lora.safetensors"
PLAIN = {"hour": 12.0, "weather": "clear", "season": "", "style": ""}
LIGHTS: tuple[dict[str, str | float], ...] = (
    {"weather": "fog"}, {"hour": 22.5}, {"style": "sketch"}, {"weather": "rain"}, {"hour": 18.5}, {"weather": "snow"},
    {"style": "pixel"}, {"weather": "storm"}, {"season": "winter"}, {"weather": "fog", "hour": 16.5}, {"hour": 6.5},
    {"style": "sepia"}, {"season": "autumn"}, {"weather": "rain", "hour": 10.0},
)  # fmt: skip
"""What a place is shown in beside clear noon, each in every kind of scene."""


@dataclass(frozen=True)
class Recipe:
    preset: Preset
    clips: int = 100
    seconds: float = 12.0  # a clip: long enough for something to happen in most
    lights: int = len(LIGHTS) * len(KINDS)  # short clips in one light each
    codec: TrainConfig = TrainConfig(minutes=60, learning_rate=8e-4)
    codec_batch: int = 4
    decoder: TrainConfig = TrainConfig(minutes=60, learning_rate=5e-4, cooldown=0.5)
    flow: TrainConfig = TrainConfig(minutes=60, learning_rate=8e-4, average=0.995)
    setting: TrainConfig = TrainConfig(minutes=60, learning_rate=2e-3, average=0.995)  # few, that begin at zero
    flow_batch: int = 2
    flow_run: int = 5
    train: str = "all"  # of the transformer; or "adapters", "lora", "setting", on top of one that was trained before
    rank: int = 16  # of LoRA
    begin: Path | None = None  # runs whose weights are gone on from; their encoder stays, and so do latents
    blend: float = 1.0  # the share of a transformer that went on in the one that is used; the rest is its beginning
    device: str = "cpu"


def make_lessons(recipe: Recipe, runs: Path, share: int = 0, shares: int = 1) -> None:
    """Clip by clip; several processes may each take a share.

    Every other clip begins at clear noon, as worlds are founded: there the state's view is to be trusted, and a
    model that saw nothing but changed light would trust it nowhere. In a hundred clips it sees fog under an open sky
    two or three times; so there are short ones as well, for it to see every light in every kind of scene.
    """
    clips = playground.plan(recipe.clips, SEED, seconds=recipe.seconds)
    jobs = [(f"{job.number:05d}", replace(job, options={} if job.number % 2 else PLAIN)) for job in clips]
    for job in playground.plan(recipe.lights, SEED + 1, seconds=SHORTEST):
        light = LIGHTS[job.number // len(KINDS) % len(LIGHTS)]
        jobs.append((f"light-{job.number:05d}", replace(job, options=PLAIN | light)))
    for name, job in jobs[share::shares]:
        folder = runs / "lessons" / name
        if folder.exists():
            continue
        (clip,) = playground.make(job)
        make(clip, recipe.preset, job.number, folder)
        said = ", ".join(clip.tags[tag] for tag in ("scene", "trajectory", "drama", "weather"))
        print(f"lesson {name} of {len(jobs)}: {said}", flush=True)


def lessons(recipe: Recipe, runs: Path, stage: int, trainer: Trainer, changed: bool = False) -> Lessons:
    """To draw batches from; a run that goes on after a kill does not see the same again."""
    torch.manual_seed(trainer.steps)
    return Lessons(runs / "lessons", recipe.preset, (stage, trainer.steps), recipe.device, changed)


def fresh_codec(recipe: Recipe) -> Codec:
    """Channels last: convolutions on a processor are a quarter faster so."""
    return Codec(recipe.preset.codec).to(recipe.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def train_codec(recipe: Recipe, runs: Path) -> None:
    """Or, where it goes on from another run, that one's: its latents are what the transformer knows."""
    if recipe.begin:
        shutil.copytree(recipe.begin / "codec", runs / "codec", dirs_exist_ok=True)
        return
    codec = fresh_codec(recipe)
    trainer = Trainer(recipe.codec, codec, runs / "codec")
    trainer.fit(lessons(recipe, runs, 0, trainer).codec_batches(recipe.codec_batch), codec_loss)


def train_decoder(recipe: Recipe, runs: Path) -> None:
    """The decoder goes on by itself, its encoder frozen, while the transformer learns the encoder's latents."""
    codec = fresh_codec(recipe)
    load_average(codec, runs / "codec")
    if recipe.begin:
        load_average(codec, recipe.begin / "decoder")
    codec.encoder.requires_grad_(False)
    trainer = Trainer(recipe.decoder, codec, runs / "decoder")
    trainer.fit(lessons(recipe, runs, 1, trainer).codec_batches(recipe.codec_batch), codec_loss)


def encode_latents(recipe: Recipe, runs: Path) -> None:
    codec = fresh_codec(recipe)
    load_average(codec, runs / "codec")
    Lessons(runs / "lessons", recipe.preset, device=recipe.device).encode_all(codec.encoder.eval())


def train_flow(recipe: Recipe, runs: Path) -> None:
    dit, folder = Transformer(recipe.preset.dit), tuned(recipe, runs)
    if recipe.train != "all":
        dit = trained(recipe, runs)
    elif recipe.begin:
        load_flow(dit, recipe.begin / "flow")
    prepare(dit.to(recipe.device), recipe.train, recipe.rank)
    alone = recipe.train == "setting"
    trainer, sigmas = Trainer(recipe.setting if alone else recipe.flow, dit, folder), recipe.preset.sigmas
    some = lessons(recipe, runs, 0, trainer, changed=alone)
    batches = some.flow_batches(recipe.flow_batch, recipe.flow_run)
    trainer.fit(batches, lambda module, batch: flow_loss(module, batch, sigmas))
    if recipe.train == "lora":
        load_average(dit, folder)
        save_lora(dit, folder / LORA)


def tuned(recipe: Recipe, runs: Path) -> Path:
    """Where the flow stage keeps what it trains."""
    return runs / ("flow" if recipe.train == "all" else f"flow-{recipe.train}")


def trained(recipe: Recipe, runs: Path) -> Transformer:
    """The transformer before anything was trained on top of it."""
    dit = Transformer(recipe.preset.dit)
    load_flow(dit, runs / "flow")
    return dit if recipe.blend == 1.0 else blended(recipe, dit)


def drawn(recipe: Recipe, runs: Path) -> Transformer:
    """And what was trained on top of it made part of it."""
    dit = trained(recipe, runs)
    if recipe.train in ("adapters", "setting"):
        prepare(dit, recipe.train)
        load_average(dit, tuned(recipe, runs))
    if recipe.train == "lora":
        load_lora(dit, tuned(recipe, runs) / LORA)
        merge_lora(dit)
        drop_lora(dit)
    return dit


def blended(recipe: Recipe, dit: Transformer) -> Transformer:
    """The weights between a transformer and the one that it began as: what both knew is kept better than by either.
    What it did not have then is as it is now.
    """
    if recipe.begin is None:
        raise ValueError("expected the runs that these went on from (--begin) to blend with, got none")
    before = Transformer(recipe.preset.dit)
    added = load_flow(before, recipe.begin / "flow")
    was, now = before.state_dict(), dit.state_dict()
    dit.load_state_dict({n: it if n in added else torch.lerp(was[n], it, recipe.blend) for n, it in now.items()})
    return dit


def export_graphs(recipe: Recipe, runs: Path, folder: Path = WEIGHTS) -> None:
    preset = recipe.preset
    codec = Codec(preset.codec)
    load_average(codec, runs / "codec")
    load_average(codec, runs / "decoder")
    write(codec.encoder, codec.decoder, drawn(recipe, runs), preset, folder)


def load_flow(dit: Transformer, folder: Path) -> frozenset[str]:
    """The averaged weights of a run, of whichever version of this recipe; adapters that it had not start at zero, and
    are named."""
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        raise ValueError(f"expected a checkpoint at {path}, found none: train that stage first")
    with safe_open(path, "pt") as file:
        prefix = "average."
        weights = {n.removeprefix(prefix): file.get_tensor(n) for n in file.keys() if n.startswith(prefix)}  # noqa: SIM118
    weights = renamed(weights) if "time_embedder.0.weight" in weights else weights
    lacking, strange = dit.load_state_dict(weights, strict=False)
    gone = absent(weights)
    if faults := [*strange, *(name for name in lacking if not gone(name))]:
        raise ValueError(f"{path}: expected this recipe's transformer, got another: {', '.join(faults[:3])}")
    return frozenset(lacking)


RENAMED = (
    (r"^time_embedder\.0", "condition_embedder.time_embedder.linear_1"),
    (r"^time_embedder\.2", "condition_embedder.time_embedder.linear_2"),
    (r"^time_proj", "condition_embedder.time_proj"),
    (r"^action_embedder\.0", "adapters.keys.linear_1"),
    (r"^action_embedder\.2", "adapters.keys.linear_2"),
    (r"\.attn1\.to_out\.", ".attn1.to_out.0."),
    (r"\.ffn\.0\.", ".ffn.net.0.proj."),
    (r"\.ffn\.2\.", ".ffn.net.2."),
)
"""Of the transformer that `nano` had to itself in version 0.1, as patterns, to Wan's names and those of adapters."""


def renamed(old: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same function: the first patch embedding saw latent, view, coverage and proxy as one picture."""
    weights: dict[str, Tensor] = {}
    for name, tensor in old.items():
        for pattern, now in RENAMED:
            name = re.sub(pattern, now, name)
        weights[name] = tensor
    both, latents = weights.pop("patch_embedding.weight").unsqueeze(2), NANO.in_channels
    weights["patch_embedding.weight"], weights["adapters.view.weight"] = both[:, :latents], both[:, latents:]
    return weights


def write(encoder: Encoder, decoder: Decoder, dit: Transformer, preset: Preset, folder: Path) -> None:
    export(graphs(encoder, decoder, dit), examples(preset.codec, preset.dit, preset.height, preset.width), folder)


STAGES = {
    "lessons": make_lessons,
    "codec": train_codec,
    "latents": encode_latents,
    "decoder": train_decoder,
    "flow": train_flow,
    "export": export_graphs,
}


def main(
    stage: str,
    runs: Annotated[Path, typer.Option(help="folder for lessons and checkpoints; tens of gigabytes")],
    clips: int = 100,
    codec_minutes: float = 60,
    decoder_minutes: float = 60,
    flow_minutes: float = 60,
    codec_steps: Annotated[int, typer.Option(help="instead of minutes: the same on a busy machine")] = 0,
    decoder_steps: int = 0,
    flow_steps: int = 0,
    begin: Annotated[Path | None, typer.Option(help="the folder of runs to go on from; their encoder stays")] = None,
    blend: Annotated[float, typer.Option(min=0, max=1, help="the share of what went on from --begin")] = 1.0,
    train: Annotated[str, typer.Option(help="what of it: all, or on top of it adapters, lora or setting")] = "all",
    rank: Annotated[int, typer.Option(min=1, help="of LoRA")] = 16,
    threads: int = 2,
    share: Annotated[int, typer.Option(help="which share of the lessons this process makes")] = 0,
    shares: int = 1,
) -> None:
    """Run one stage, or `all` in order."""
    if train not in TRAINS:
        sys.exit(f"expected --train out of {', '.join(TRAINS)}, got {train!r}")
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    base = Recipe(nano())
    recipe = replace(
        base,
        clips=clips,
        codec=replace(base.codec, minutes=codec_minutes, steps=codec_steps),
        decoder=replace(base.decoder, minutes=decoder_minutes, steps=decoder_steps),
        flow=replace(base.flow, minutes=flow_minutes, steps=flow_steps),
        setting=replace(base.setting, minutes=flow_minutes, steps=flow_steps),
        begin=begin,
        blend=blend,
        train=train,
        rank=rank,
    )
    if stage == "lessons":
        make_lessons(recipe, runs, share, shares)
        return
    if stage != "all" and stage not in STAGES:
        sys.exit(f"expected a stage out of all, {', '.join(STAGES)}, got {stage!r}")
    for name in STAGES if stage == "all" else [stage]:
        STAGES[name](recipe, runs)


if __name__ == "__main__":
    typer.run(main)
