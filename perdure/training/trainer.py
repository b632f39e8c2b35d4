"""The loop: batches in, a trained module and its average out, resumable after any kill.

It knows no method. A recipe brings a module, its batches and a loss, and says how long.
Checkpoints are safetensors, written beside and then renamed, so a kill leaves the old or the new. They
hold what trains: what is frozen is not moved, and not kept.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

Batch = TypeVar("Batch")
Loss = Callable[[nn.Module, Batch], tuple[Tensor, Mapping[str, float]]]


@dataclass(frozen=True)
class TrainConfig:
    minutes: float  # time to train for in all, resumptions included
    steps: int = 0  # or so many steps, if that is not 0: the same on a machine that has other things to do
    learning_rate: float = 5e-4
    warmup: int = 100  # steps
    cooldown: float = 0.3  # last share of the time in which the rate falls to zero
    weight_decay: float = 0.01
    clip: float = 1.0
    average: float = 0.998  # decay of the moving average that is kept as the result
    save_every: float = 120.0  # seconds
    log_every: int = 50  # steps


class Trainer:
    def __init__(self, config: TrainConfig, module: nn.Module, folder: Path) -> None:
        self.config, self.module, self.folder = config, module, folder
        self.trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.optimizer = torch.optim.AdamW(
            self.trained.values(), lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay
        )
        self.average = {name: p.detach().clone() for name, p in self.trained.items()}
        self.steps, self.seconds = 0, 0.0
        folder.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self.load()

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    @property
    def progress(self) -> float:
        c = self.config
        done, whole = (self.steps, c.steps) if c.steps else (self.seconds, 60 * c.minutes)
        return min(1.0, done / whole) if whole else 1.0

    def rate(self) -> float:
        """Warm up, hold, fall to zero: a hold can be prolonged, a cosine cannot."""
        warm = min(1.0, (self.steps + 1) / self.config.warmup)
        fall = min(1.0, (1 - self.progress) / self.config.cooldown)
        return self.config.learning_rate * warm * fall

    def fit(self, batches: Iterator[Batch], loss: Loss[Batch]) -> None:
        saved = time.monotonic()
        seen: dict[str, list[float]] = {}  # figures since the last row of the log; not every step has all of them
        while self.progress < 1:
            start = time.monotonic()
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate()
            value, figures = loss(self.module, next(batches))
            value.backward()
            nn.utils.clip_grad_norm_(self.trained.values(), self.config.clip)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            # Early on the average follows closely, so that it does not remember the start.
            decay = min(self.config.average, (1 + self.steps) / (10 + self.steps))
            with torch.no_grad():
                for name, p in self.trained.items():
                    self.average[name].lerp_(p, 1 - decay)
            self.steps += 1
            self.seconds += time.monotonic() - start
            for key, figure in {"loss": value.item(), **figures}.items():
                seen.setdefault(key, []).append(figure)
            if self.steps % self.config.log_every == 0:
                self.log({key: sum(figures) / len(figures) for key, figures in seen.items()})
                seen.clear()
            if time.monotonic() - saved > self.config.save_every:
                self.save()
                saved = time.monotonic()
        self.save()

    def log(self, figures: Mapping[str, float]) -> None:
        row = {
            "step": self.steps,
            "minutes": round(self.seconds / 60, 2),
            **{k: round(v, 5) for k, v in figures.items()},
        }
        print(json.dumps(row), flush=True)
        with open(self.folder / "log.jsonl", "a") as file:
            file.write(json.dumps(row) + "\n")

    def save(self) -> None:
        tensors: dict[str, Tensor] = {}
        frozen = sum(name not in self.trained for name, _ in self.module.named_parameters())
        for name, p in self.trained.items():
            tensors["module." + name] = p.detach()
            tensors["average." + name] = self.average[name]
            for key, value in self.optimizer.state.get(p, {}).items():
                tensors[f"optimizer.{key}.{name}"] = value
        beside = self.checkpoint.with_suffix(".new")
        save_file(
            {k: v.contiguous() for k, v in tensors.items()},
            beside,
            {"steps": str(self.steps), "seconds": str(self.seconds), "frozen": str(frozen)},
        )
        beside.replace(self.checkpoint)

    def load(self) -> None:
        with safe_open(self.checkpoint, "pt") as file:
            meta = file.metadata()
            self.steps, self.seconds = int(meta["steps"]), float(meta["seconds"])
            names = set(file.keys())
            if lacking := [name for name in self.trained if "module." + name not in names]:
                raise ValueError(
                    f"{self.checkpoint}: expected a run that trained {lacking[0]} and all else that is to train now, "
                    f"got one without {len(lacking)} of {len(self.trained)}: name another folder"
                )
            for name, p in self.trained.items():
                p.data.copy_(file.get_tensor("module." + name))
                self.average[name].copy_(file.get_tensor("average." + name))
                state = {k: f"optimizer.{k}.{name}" for k in ("step", "exp_avg", "exp_avg_sq")}
                if all(key in names for key in state.values()):
                    # As torch has them: the moments where the parameter is, the count on the processor.
                    moments = {
                        k: file.get_tensor(key).to("cpu" if k == "step" else p.device) for k, key in state.items()
                    }
                    self.optimizer.state[p] = moments


def load_average(module: nn.Module, folder: Path) -> None:
    """Give `module` the averaged weights of a run; what was frozen in it stays as it is."""
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        raise ValueError(f"expected a checkpoint at {path}, found none: train that stage first")
    with safe_open(path, "pt") as file, torch.no_grad():
        held = set(file.keys())
        named = {f"average.{name}": p for name, p in module.named_parameters()}
        lacking, strange = named.keys() - held, {name for name in held if name.startswith("average.")} - named.keys()
        if strange or len(lacking) != int(file.metadata().get("frozen", "0")):
            raise ValueError(
                f"{path}: expected a checkpoint of such a module, got one that lacks {len(lacking)} of its "
                f"{len(named)} parameters and has {len(strange)} others"
            )
        for name in named.keys() & held:
            named[name].copy_(file.get_tensor(name))
