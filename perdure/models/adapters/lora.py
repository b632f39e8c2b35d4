"""LoRA: low-rank corrections of any linear layers, and the choice of what trains.

A corrected layer keeps its weight under its old name, so the base's file stays the base's. Corrections are
saved as peft and diffusers name them, and load there. Merged into the weights they cost nothing; what the
weights were is kept, since taking a product away again would not give the same bits.
"""

import json
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perdure.models.names import diffusers_name
from perdure.models.tensors import beside, open_tensors, save

PREFIX = "transformer."  # as diffusers' pipelines call the model
PREFIXES = (PREFIX, "diffusion_model.", "base_model.model.", "model.")
METADATA = "lora_adapter_metadata"  # where diffusers keeps rank and alpha


class Lora(nn.Linear):
    """weight x + bias + scale * B (A x); B starts at zero."""

    lora_A: nn.Linear
    lora_B: nn.Linear

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        nn.Module.__init__(self)  # the weight is the base's own, not a new one
        if rank < 1:
            raise ValueError(f"expected a rank of 1 or more, got {rank}")
        self.in_features, self.out_features = base.in_features, base.out_features
        self.weight, self.bias = base.weight, base.bias
        like = {"bias": False, "device": base.weight.device, "dtype": base.weight.dtype}
        self.lora_A, self.lora_B = nn.Linear(self.in_features, rank, **like), nn.Linear(rank, self.out_features, **like)
        nn.init.zeros_(self.lora_B.weight)
        self.alpha = alpha
        self.unmerged: Tensor | None = None  # the weight before it was merged

    @property
    def rank(self) -> int:
        return self.lora_A.out_features

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    def forward(self, input: Tensor) -> Tensor:
        out = F.linear(input, self.weight, self.bias)
        return out if self.unmerged is not None else out + self.scale * self.lora_B(self.lora_A(input))

    @torch.no_grad()
    def merge(self) -> None:
        if self.unmerged is None:
            self.unmerged = self.weight.clone()
            product = self.lora_B.weight.float() @ self.lora_A.weight.float()
            self.weight.copy_(self.weight.float() + self.scale * product)

    @torch.no_grad()
    def unmerge(self) -> None:
        if self.unmerged is not None:
            self.weight.copy_(self.unmerged)
            self.unmerged = None

    def base(self) -> nn.Linear:
        """The layer without its correction; with it, if it is merged."""
        out = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        out.weight, out.bias = self.weight, self.bias
        return out


def loras(model: nn.Module) -> dict[str, Lora]:
    return {name: module for name, module in model.named_modules() if isinstance(module, Lora)}


def add_lora(model: nn.Module, patterns: Sequence[str], rank: int, alpha: float | None = None) -> list[str]:
    """Correct the linear layers whose names fit: `to_q`, `attn1.to_*`, `blocks.0.ffn.*`. Names of those, in order."""
    linears = {n: m for n, m in model.named_modules() if isinstance(m, nn.Linear) and not _part_of_lora(n)}
    for pattern in patterns:
        if not any(fits(name, pattern) for name in linears):
            raise ValueError(f"expected a linear layer that fits {pattern!r}, got none among {len(linears)}")
    chosen = [name for name in linears if any(fits(name, pattern) for pattern in patterns)]
    for name in chosen:
        if isinstance(linears[name], Lora):
            raise ValueError(f"expected a layer without LoRA, got {name}, which has one: merge and drop it first")
    for name in chosen:
        _replace(model, name, Lora(linears[name], rank, rank if alpha is None else alpha))
    return chosen


def merge_lora(model: nn.Module) -> None:
    for lora in loras(model).values():
        lora.merge()


def unmerge_lora(model: nn.Module) -> None:
    """To the very bits of the weights before."""
    for lora in loras(model).values():
        lora.unmerge()


def drop_lora(model: nn.Module) -> None:
    """Plain layers again: without the corrections, or for good with them if they are merged."""
    for name, lora in loras(model).items():
        _replace(model, name, lora.base())


def save_lora(model: nn.Module, path: Path) -> None:
    found = loras(model)
    if not found:
        raise ValueError("expected a model with LoRA, got one without")
    tensors: dict[str, Tensor] = {}
    for name, lora in found.items():
        for part in ("lora_A", "lora_B"):
            tensors[f"{PREFIX}{name}.{part}.weight"] = getattr(lora, part).weight.detach().contiguous()
    first = next(iter(found.values()))
    told = {
        "r": first.rank,
        "lora_alpha": first.alpha,
        "target_modules": sorted(found),
        "rank_pattern": {n: m.rank for n, m in found.items() if m.rank != first.rank},
        "alpha_pattern": {n: m.alpha for n, m in found.items() if m.alpha != first.alpha},
    }
    told = {PREFIX + key: value for key, value in told.items() if value}
    with beside(path) as partial:
        save(tensors, partial, {"format": "pt", METADATA: json.dumps(told, sort_keys=True)})


@torch.no_grad()
def load_lora(model: nn.Module, path: Path) -> list[str]:
    """Correct the layers that a file names, as peft, diffusers or Wan call them. Names of those, in order.

    Read are `lora_A` and `lora_B`, or `lora_down` and `lora_up`, with `alpha` beside them or in the metadata.
    """
    tensors, alphas = _read(path)
    layers = sorted({name for name, _ in tensors})
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    ready: dict[str, Lora] = {}
    for name in layers:
        base, a, b = linears.get(name), tensors.get((name, "A")), tensors.get((name, "B"))
        if base is None or isinstance(base, Lora):
            what = "this model has none of that name" if base is None else "it has one already: merge and drop it first"
            raise ValueError(f"{path}: expected LoRA of linear layers, got {name}, but {what}")
        if a is None or b is None:
            raise ValueError(f"{path}: expected lora_A and lora_B of {name}, got only one of them")
        shape = (base.out_features, a.shape[0]), (a.shape[0], base.in_features)
        if (tuple(b.shape), tuple(a.shape)) != shape:
            raise ValueError(f"{path}: expected shapes {shape} of B and A of {name}, got {b.shape} and {a.shape}")
        ready[name] = Lora(base, len(a), alphas.get(name, alphas.get("", float(len(a)))))
        ready[name].lora_A.weight.copy_(a)
        ready[name].lora_B.weight.copy_(b)
    for name, lora in ready.items():
        _replace(model, name, lora)
    return layers


def trainable(model: nn.Module, which: str | Iterable[str]) -> list[str]:
    """Let these parameters train, and no others: "adapters", "lora", "all", or patterns of names. Their names."""
    known = {"adapters": ["adapters.*"], "lora": ["*.lora_[AB].*"], "all": ["*"]}
    patterns = known.get(which, [which]) if isinstance(which, str) else list(which)
    patterns = [part for pattern in patterns for part in known.get(pattern, [pattern])]
    chosen: list[str] = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(fnmatchcase(name, pattern) for pattern in patterns))
        if parameter.requires_grad:
            chosen.append(name)
    if not chosen:
        raise ValueError(f"expected parameters that fit {patterns}, got none in this model")
    return chosen


def fits(name: str, pattern: str) -> bool:
    """Whether a name, or its end after a dot, is as a pattern says."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"*.{pattern}")


def _part_of_lora(name: str) -> bool:
    return name.rpartition(".")[2] in ("lora_A", "lora_B")


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, module)


def _read(path: Path) -> tuple[dict[tuple[str, str], Tensor], dict[str, float]]:
    """By layer and "A" or "B"; and alphas by layer, "" for those that are not named."""
    with open_tensors(path) as file:
        said, raw = file.metadata, {key: file.read(key) for key in file}
    tensors: dict[tuple[str, str], Tensor] = {}
    alphas: dict[str, float] = {}
    try:
        told = {key.removeprefix(PREFIX): value for key, value in json.loads(said.get(METADATA, "{}")).items()}
        if "lora_alpha" in told:
            alphas[""] = float(told["lora_alpha"])
        alphas |= {name.removeprefix("^"): float(value) for name, value in (told.get("alpha_pattern") or {}).items()}
    except (AttributeError, TypeError, ValueError) as error:
        wanted = f"expected {METADATA} as peft writes it, a JSON object with lora_alpha in numbers"
        raise ValueError(f"{path}: {wanted}: {error}: save it again, or remove that from its metadata") from None
    parts = {"lora_A.weight": "A", "lora_down.weight": "A", "lora_B.weight": "B", "lora_up.weight": "B", "alpha": ""}
    for key, tensor in raw.items():
        name = key.removeprefix(next((p for p in PREFIXES if key.startswith(p)), ""))
        end = next((end for end in parts if name.endswith(f".{end}")), None)
        if end is None:
            raise ValueError(f"{path}: expected names that end in {', '.join(parts)}, got {key}")
        layer = diffusers_name(name.removesuffix(end) + "weight").removesuffix(".weight")
        if end == "alpha":
            alphas[layer] = float(tensor)
        else:
            tensors[layer, parts[end]] = tensor
    if told.get("use_rslora"):  # of strength alpha / sqrt(rank), so the same as plain LoRA of a larger alpha
        ranks = {layer: len(tensor) for (layer, part), tensor in tensors.items() if part == "A"}
        alphas |= {name: alphas.get(name, alphas.get("", rank)) * rank**0.5 for name, rank in ranks.items()}
    return tensors, alphas
