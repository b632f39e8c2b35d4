"""Weights of the transformer: Wan's folders in, diffusers' layout out.

`open_transformer` makes the model of a folder; `load` fills one that is there. Both take diffusers' folders
and Wan's own, whole pipelines as well as the transformer alone, and read one tensor at a time, straight to
its device and kind: a model built on `meta` needs the memory of its weights once. `save` writes what
diffusers loads; what is ours lies beside it in `adapters.safetensors` and `perdure.json`.

Of a model with two experts, `experts` tells the folders: the one for high noise first.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from perdure.models import tensors as files
from perdure.models.adapters.added import Added
from perdure.models.adapters.names import published
from perdure.models.config import Adapters, TransformerConfig
from perdure.models.dit import Transformer
from perdure.models.names import Shape, sizes, stranger, title, wans_names
from perdure.models.quantise import Fp8Linear
from perdure.models.tensors import Tensors, open_tensors

STEM = "diffusion_pytorch_model"
ADAPTERS = "adapters.safetensors"
OURS = "perdure.json"
EXPERTS = (("transformer", "transformer_2"), ("high_noise_model", "low_noise_model"))
PREFIX = "adapters."  # of the names of all that is ours
TELLING = ("layers", "dim", "in_channels", "out_channels", "image_dim")  # a model by
TOLD = 3  # tensors of a kind that an error names

EXACT = re.compile(r"time_embedder\.|scale_shift_table|blocks\.\d+\.norm2\.")
"""What stays in float32 where a model is loaded in 16 bits, as in diffusers: little memory, and much hangs on it."""

Model = TypeVar("Model", bound=nn.Module)


# Where


def experts(folder: Path | str) -> list[Path]:
    """The transformers in a folder: one, or two of which the first is for high noise. A file is one."""
    folder = Path(folder)
    for high, low in EXPERTS:
        if (folder / high).is_dir():
            return [folder / name for name in (high, low) if (folder / name).is_dir()]
    return [folder]


def only(folder: Path | str) -> Path:
    found = experts(folder)
    if len(found) > 1:
        names = " and ".join(it.name for it in found)
        raise ValueError(f"{folder}: expected one transformer, got two experts, {names}: load each by itself")
    return found[0]


def opened(place: Path) -> tuple[Tensors, dict[str, str]]:
    """The tensors of a transformer, and by diffusers' name what each is called there."""
    held = open_tensors(place)
    names = wans_names(held)
    if not names:
        raise ValueError(f"{place}: expected a transformer of Wan, got {stranger(held)}")
    return held, names


# How large


def read_config(folder: Path | str, settings: Path | None = None) -> TransformerConfig:
    """What the transformer in a folder is: as `save` or diffusers wrote it, else as its tensors show.

    Adapters that others have published are seen by their names. `settings` is where its config.json lies, if not
    with it.
    """
    place = only(folder)
    settings = settings or place / "config.json"
    if (place / OURS).is_file():
        return config_from_json(place / OURS)
    said = _json(settings) if settings.is_file() else {}
    wans = said.get("_class_name", "WanModel") == "WanModel"
    config = None if wans else config_from_diffusers(said, settings)
    held, names = opened(place)
    with held:
        shapes = {ours: held.shapes[theirs] for ours, theirs in names.items()}
    adapters = published(names, shapes)
    if config is not None:
        return replace(config, adapters=adapters)
    found: dict[str, Any] = sizes(shapes)
    dim = found.pop("dim")
    heads = int(said.get("num_heads", dim // 128))
    if not heads or dim % heads:
        raise ValueError(f"{place}: expected heads of 128 channels, or a config.json with num_heads that divide {dim}")
    return TransformerConfig(**{"text_dim": 0, "heads": heads, "head_dim": dim // heads, **found, "adapters": adapters})


def config_from_diffusers(said: Mapping[str, Any], where: Path | str = "config.json") -> TransformerConfig:
    kind = said.get("_class_name")
    if kind != "WanTransformer3DModel":
        raise ValueError(f"{where}: expected a WanTransformer3DModel, got {kind or 'something else'}")
    fixed = {"cross_attn_norm": True, "qk_norm": "rms_norm_across_heads"}
    for name, value in fixed.items():
        if said.get(name, value) != value:
            raise ValueError(f"{where}: expected {name} to be {value!r}, got {said[name]!r}")
    try:
        patch_t, patch_h, patch_w = said.get("patch_size", (1, 2, 2))
        return TransformerConfig(
            in_channels=int(said.get("in_channels", 16)),
            out_channels=int(said.get("out_channels") or said.get("in_channels", 16)),
            heads=int(said.get("num_attention_heads", 40)),
            head_dim=int(said.get("attention_head_dim", 128)),
            layers=int(said.get("num_layers", 40)),
            ffn=int(said.get("ffn_dim", 13824)),
            patch=(int(patch_t), int(patch_h), int(patch_w)),
            eps=float(said.get("eps", 1e-6)),
            frequency_dim=int(said.get("freq_dim", 256)),
            text_dim=int(said.get("text_dim", 4096)),
            image_dim=int(said.get("image_dim") or 0),
            image_tokens=int(said.get("pos_embed_seq_len") or 0),
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: expected the sizes of a WanTransformer3DModel: {error}") from None


def config_to_diffusers(config: TransformerConfig) -> dict[str, Any]:
    """`config.json` as diffusers reads it."""
    return {
        "_class_name": "WanTransformer3DModel",
        "patch_size": list(config.patch),
        "num_attention_heads": config.heads,
        "attention_head_dim": config.head_dim,
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "text_dim": config.text_dim,
        "freq_dim": config.frequency_dim,
        "ffn_dim": config.ffn,
        "num_layers": config.layers,
        "cross_attn_norm": True,
        "qk_norm": "rms_norm_across_heads",
        "eps": config.eps,
        "image_dim": config.image_dim or None,
        "added_kv_proj_dim": config.dim if config.image_dim else None,
        "rope_max_seq_len": 1024,
        "pos_embed_seq_len": config.image_tokens or None,
    }


def is_wans(config: TransformerConfig) -> bool:
    """Whether diffusers can say what is below the adapters: else it is ours alone."""
    plain = TransformerConfig()
    alike = ("rotary", "rotary_base", "rotary_pairs", "timesteps", "time_base")
    return config.text_dim > 0 and all(getattr(config, name) == getattr(plain, name) for name in alike)


def config_from_json(path: Path) -> TransformerConfig:
    said = _json(path)
    known = {field.name for field in fields(TransformerConfig)}, {field.name for field in fields(Adapters)}
    try:
        adapters = dict(said.pop("adapters"))
        for names, got in zip(known, (said, adapters)):
            if unknown := sorted(set(got) - names):
                raise ValueError(f"{', '.join(unknown)} is not known: it was written by a later version")
        lists = {name: tuple(value) for name, value in said.items() if isinstance(value, list)}
        return TransformerConfig(**{**said, **lists}, adapters=Adapters(**adapters))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected the settings of a transformer: {error}") from None


def _json(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON: {error}") from None
    if not isinstance(said, dict):
        raise ValueError(f"{path}: expected a JSON object, got a {type(said).__name__}")
    return said


# In


def open_transformer(
    folder: Path | str,
    config: TransformerConfig | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> Transformer:
    """The transformer of a folder. A `config` may add adapters to those that it says it has: they start at zero."""
    config = config or read_config(folder)
    with torch.device("meta"):
        model = Transformer(config)
    model.adapters = Added(config).to(device, dtype)  # real from the start: it may find nothing to load
    return load(model, folder, device, dtype)


def load(
    model: Model, folder: Path | str, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
) -> Model:
    """Give `model` the weights of a folder or file, in its place; its parameters may be on `meta`."""
    place = only(folder)
    held, names = opened(place)
    with held:
        wanted = sizes({name: tuple(it.shape) for name, it in model.state_dict().items()})
        got = sizes({ours: held.shapes[theirs] for ours, theirs in names.items()})
        if any(wanted.get(field) != got.get(field) for field in TELLING):
            raise ValueError(f"{place}: expected the weights of {title(wanted)}, got those of {title(got)}")
        fill(model, held, names, device, dtype, absent(names))
    added = getattr(model, "adapters", None)
    if isinstance(added, nn.Module) and (ours := apart(place, names)):
        with open_tensors(ours.path) as held:
            names, gone = {name.removeprefix(PREFIX): name for name in held}, absent(held, ours.said)
            fill(added, held, names, device, dtype, lambda name: gone(PREFIX + name))
    empty = [name for name, it in [*model.named_parameters(), *model.named_buffers()] if it.is_meta]
    if empty:
        raise ValueError(f"{place}: expected weights for the whole model, found none for {_some(empty)}")
    return model


def adapter(name: str) -> str:
    """Which adapter a tensor is of: "camera" of "adapters.blocks.3.camera.weight"."""
    parts = name.removeprefix(PREFIX).split(".")
    return next(part for part in parts if part != "blocks" and not part.isdigit())


class Apart(NamedTuple):
    """Where adapters lie beside a transformer, and which of them the folder says of itself that it has."""

    path: Path
    said: set[str]


def apart(place: Path, names: Iterable[str]) -> Apart | None:
    """What lies beside the tensors of these names, if anything; raises where the folder says so, and it does not."""
    said: set[str] = set()
    if (place / OURS).is_file():
        with torch.device("meta"):
            said = {adapter(name) for name in Added(config_from_json(place / OURS)).state_dict()}
    said -= {adapter(name) for name in names if name.startswith(PREFIX)}
    if (place / ADAPTERS).is_file():
        return Apart(place / ADAPTERS, said)
    if said:
        lost = f"expected {ADAPTERS} beside {OURS}, which says that {', '.join(sorted(said))} are on; there is none"
        raise ValueError(f"{place}: {lost}: copy the whole folder again")
    return None


def absent(names: Iterable[str], said: Iterable[str] = ()) -> Callable[[str], bool]:
    """Whether a parameter is of an adapter that these names have nothing of, nor is it said to be there: then it
    starts at zero.
    """
    known = {*said, *(adapter(name) for name in names if name.startswith(PREFIX))}
    return lambda name: name.startswith(PREFIX) and adapter(name) not in known


def fill(
    module: nn.Module,
    held: Tensors,
    names: Mapping[str, str] | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    optional: Callable[[str], bool] = lambda name: False,
    exact: re.Pattern[str] | None = EXACT,
) -> None:
    """Put the tensors of a checkpoint in the place of a module's, which may be on `meta`.

    `names` says for ours what theirs is; the same unless given. What is `optional` may be missing, what is `exact`
    stays in float32 among halves. What is missing, left over or misshapen is told before anything is read.
    """
    names = {name: name for name in held} if names is None else names
    own = {name: it for name, it in module.state_dict(keep_vars=True).items() if ".lora_" not in name}
    wanted = {name: tuple(it.shape) for name, it in own.items() if name in names or not optional(name)}
    check(type(module).__name__, wanted, held, names)
    ours = {theirs: name for name, theirs in names.items()}
    for theirs in held:  # in the order of the bytes on the disk
        if theirs not in ours:
            continue
        name = ours[theirs]
        tensor = held.read(theirs, device, becomes(name, held.dtypes[theirs], dtype, exact))
        old = own.pop(name)
        if isinstance(old, nn.Parameter):
            tensor = nn.Parameter(tensor, old.requires_grad and tensor.is_floating_point())
        del old  # is let go of as it is replaced
        owner, _, leaf = name.rpartition(".")
        setattr(module.get_submodule(owner), leaf, tensor)


def becomes(
    name: str, now: torch.dtype, dtype: torch.dtype | None, exact: re.Pattern[str] | None = EXACT
) -> torch.dtype:
    """The kind of a tensor's numbers, where floats are to become `dtype`."""
    if dtype is None or not now.is_floating_point:
        return now
    half = dtype in (torch.float16, torch.bfloat16)
    return torch.float32 if half and exact and exact.search(name) else dtype


def check(whose: str, shapes: Mapping[str, Shape], held: Tensors, names: Mapping[str, str]) -> None:
    """Raise `ValueError` unless all that is expected is there, in its shape, and nothing else."""
    missing = [f"{name} {it}" for name, it in shapes.items() if name not in names]
    extra = [f"{theirs} in {held.files[theirs].name}" for name, theirs in names.items() if name not in shapes]
    odd = [
        f"{theirs} in {held.files[theirs].name} is {held.shapes[theirs]} and not {shapes[name]}"
        for name, theirs in names.items()
        if name in shapes and held.shapes[theirs] != shapes[name]
    ]
    faults = {"missing": missing, "not known": extra, "of another shape": odd}
    said = [f"{len(it)} {fault}: {_some(it)}" for fault, it in faults.items() if it]
    if said:
        raise ValueError(f"{held.path}: expected the {len(shapes)} tensors of {whose}, got {'; '.join(said)}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:TOLD]) + (", …" if len(names) > TOLD else "")


# Out


def save(model: Transformer, folder: Path | str, shard: int = files.SHARD) -> None:
    """Write a model as diffusers has it, into a new folder; sharded where a file would be larger than `shard` bytes."""
    if eighths := [name for name, module in model.named_modules() if isinstance(module, Fp8Linear)]:
        raise ValueError(
            f"expected weights that can be opened again, got {len(eighths)} layers in float8, the first of them "
            f"{eighths[0]}: save the model before to_fp8, and call that whenever it was opened"
        )
    state = {name: it for name, it in model.state_dict().items() if ".lora_" not in name}  # which lie apart
    added = {name: it for name, it in state.items() if name.startswith(PREFIX)}
    base = {name: files.size(tuple(it.shape), it.dtype) for name, it in state.items() if name not in added}
    with files.beside(Path(folder)) as partial:
        partial.mkdir()
        write_config(model.config, partial)
        files.write(partial, STEM, base, state.__getitem__, shard)
        if added:
            files.save(added, partial / ADAPTERS, {"format": "pt"})


def write_config(config: TransformerConfig, folder: Path) -> None:
    if is_wans(config):
        said = config_to_diffusers(config)
        (folder / "config.json").write_text(json.dumps(said, indent=2) + "\n", "utf-8")
        if config == config_from_diffusers(said):
            return
    (folder / OURS).write_text(json.dumps(asdict(config), indent=2) + "\n", "utf-8")
