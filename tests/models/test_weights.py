"""Wan's weights go in and out as they are: diffusers reads what we write, and says the same of names and sizes."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from perdure.models import weights
from perdure.models.config import Adapters, TransformerConfig
from perdure.models.conversion import convert, examine
from perdure.models.dit import Transformer
from perdure.models.names import sizes, title, wans_names
from perdure.models.tensors import INDEX
from perdure.models.weights import experts, load, open_transformer, read_config, save
from tests.models.test_dit import KINDS, TINY, theirs

ROOT = Path(__file__).parents[2]
OURS = replace(TINY, text_dim=0, rotary=(8, 4, 4), head_dim=32, adapters=Adapters(camera="heads"), recent=4)


def filled(config: TransformerConfig, seed: int = 0) -> Transformer:
    torch.manual_seed(seed)
    model = Transformer(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.2)
    return model


def alike(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and a[k].equal(b[k]) for k in a)


def asked(config: TransformerConfig) -> dict[str, Any]:
    """What diffusers' model is asked in the test of a round trip."""
    draw = torch.Generator().manual_seed(1)
    rows, tokens = (4, 7) if config.image_tokens else (2, 7)
    image = torch.randn(rows, tokens, config.image_dim, generator=draw) if config.image_dim else None
    return {
        "hidden_states": torch.randn(2, config.in_channels, 2, 4, 4, generator=draw),
        "timestep": torch.tensor([999.0, 431.0]),
        "encoder_hidden_states": torch.randn(2, 512, config.text_dim, generator=draw),
        "encoder_hidden_states_image": image,
        "return_dict": False,
    }


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shard", [10**9, 20_000], ids=["one file", "shards"])
def test_diffusers_reads_what_we_write(kind: str, shard: int, tmp_path: Path):
    config = KINDS[kind]
    oracle = theirs(config)
    oracle.save_pretrained(tmp_path / "theirs", max_shard_size=shard)
    assert read_config(tmp_path / "theirs") == config
    model = open_transformer(tmp_path / "theirs")
    save(model, tmp_path / "ours", shard)
    assert (tmp_path / "ours" / f"{weights.STEM}{INDEX}").exists() == (shard < 10**9)
    found: Any = WanTransformer3DModel.from_pretrained(tmp_path / "ours", output_loading_info=True)
    back, said = found
    assert not any(said.values()), said
    told = [{k: v for k, v in json.loads(it.to_json_string()).items() if k[0] != "_"} for it in (back, oracle)]
    assert alike(back, oracle) and told[0] == told[1]
    assert back(**asked(config))[0].equal(oracle(**asked(config))[0])


def wans_own(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights as Wan's own repositories name them."""
    table = (
        (r"condition_embedder\.time_embedder\.linear_(\d)", lambda m: f"time_embedding.{2 * int(m[1]) - 2}"),
        (r"condition_embedder\.text_embedder\.linear_(\d)", lambda m: f"text_embedding.{2 * int(m[1]) - 2}"),
        (r"condition_embedder\.time_proj", "time_projection.1"),
        (r"condition_embedder\.image_embedder\.norm1", "img_emb.proj.0"),
        (r"condition_embedder\.image_embedder\.ff\.net\.0\.proj", "img_emb.proj.1"),
        (r"condition_embedder\.image_embedder\.ff\.net\.2", "img_emb.proj.3"),
        (r"condition_embedder\.image_embedder\.norm2", "img_emb.proj.4"),
        (r"condition_embedder\.image_embedder\.pos_embed", "img_emb.emb_pos"),
        (r"^scale_shift_table", "head.modulation"),
        (r"scale_shift_table", "modulation"),
        (r"^proj_out", "head.head"),
        (r"attn1\.", "self_attn."),
        (r"attn2\.", "cross_attn."),
        (r"add_([kv])_proj", r"\1_img"),
        (r"norm_added_k", "norm_k_img"),
        (r"to_out\.0", "o"),
        (r"to_([qkv])", r"\1"),
        (r"norm2\.", "norm3."),
        (r"ffn\.net\.0\.proj", "ffn.0"),
        (r"ffn\.net\.2", "ffn.2"),
    )
    out: dict[str, Tensor] = {}
    for name, it in state.items():
        protected = name.startswith("condition_embedder")
        for pattern, new in table:
            if protected and not pattern.startswith("condition_embedder"):
                continue
            name = re.sub(pattern, new, name)
        out[name] = it
    return out


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "model."])
def test_wans_own_names_are_read_as_diffusers_reads_them(kind: str, prefix: str, tmp_path: Path):
    model = filled(KINDS[kind])
    own = wans_own(model.state_dict())
    assert "blocks.1.self_attn.q.weight" in own and "head.modulation" in own and "blocks.0.norm3.bias" in own
    if kind != "2.1 first-and-last-frame":  # the name of whose places diffusers' table does not have
        assert set(convert_wan_transformer_to_diffusers(dict(own))) == set(model.state_dict())
    save_file({prefix + name: it for name, it in own.items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "WanModel", "num_heads": KINDS[kind].heads}))
    assert read_config(tmp_path) == KINDS[kind]
    assert alike(open_transformer(tmp_path), model)
    assert alike(load(filled(KINDS[kind], seed=1), tmp_path), model), "in the place of weights that were there"


def test_what_nobody_computes_with_is_passed_over(tmp_path: Path):
    model = filled(KINDS["2.1 image-to-video"])
    extra = {"blocks.0.attn2.norm_added_q.weight": torch.ones(48)}
    save_file(model.state_dict() | extra, tmp_path / "x.safetensors")
    assert alike(load(filled(model.config, 1), tmp_path / "x.safetensors"), model)


@pytest.mark.parametrize("names", [("transformer", "transformer_2"), ("high_noise_model", "low_noise_model")])
def test_experts_are_told_apart(names: tuple[str, str], tmp_path: Path):
    for seed, name in enumerate(names):
        save(filled(TINY, seed), tmp_path / name)
    high, low = experts(tmp_path)
    assert (high.name, low.name) == names
    assert alike(open_transformer(high), filled(TINY, 0)) and alike(open_transformer(low), filled(TINY, 1))
    with pytest.raises(ValueError, match=f"expected one transformer, got two experts, {names[0]} and {names[1]}"):
        open_transformer(tmp_path)
    low.rename(tmp_path / "text_encoder")
    assert alike(open_transformer(tmp_path), filled(TINY, 0)), "a whole pipeline has other parts as well"


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_halves_but_for_what_must_be_exact(kind: torch.dtype, tmp_path: Path):
    config = KINDS["2.1 image-to-video"]
    save(filled(config), tmp_path / "it")
    found = open_transformer(tmp_path / "it", dtype=kind).state_dict()
    oracle = WanTransformer3DModel.from_pretrained(tmp_path / "it", torch_dtype=kind).state_dict()
    for name, it in found.items():
        if "image_embedder.norm" not in name:  # which we hold as the rest
            assert it.dtype == oracle[name].dtype and it.equal(oracle[name]), name
    save(open_transformer(tmp_path / "it", dtype=kind), tmp_path / "halves")
    assert {k: v.dtype for k, v in open_transformer(tmp_path / "halves").state_dict().items()} == {
        k: v.dtype for k, v in found.items()
    }


def test_what_diffusers_cannot_say_is_kept_beside(tmp_path: Path):
    for name, config in {"ours": OURS, "memory": replace(TINY, recent=3, history="full")}.items():
        save(filled(config), tmp_path / name)
        assert read_config(tmp_path / name) == config and alike(open_transformer(tmp_path / name), filled(config))
    assert not (tmp_path / "ours" / "config.json").exists(), "diffusers has nothing like it"
    assert WanTransformer3DModel.from_pretrained(tmp_path / "memory").config["num_layers"] == TINY.layers
    said = json.loads((tmp_path / "memory" / "perdure.json").read_text())
    (tmp_path / "memory" / "perdure.json").write_text(json.dumps(said | {"taste": 3}))
    with pytest.raises(ValueError, match=r"perdure\.json: .*taste is not known: it was written by a later version"):
        read_config(tmp_path / "memory")


ADDED = replace(TINY, adapters=Adapters(keys="81-way", camera="fx_fy", rays="rays", view=5, identity=6))


def test_adapters_lie_beside_and_what_is_not_there_starts_at_zero(tmp_path: Path):
    save(filled(ADDED), tmp_path / "it")
    base = WanTransformer3DModel.from_pretrained(tmp_path / "it")
    assert base.state_dict().keys() == filled(TINY).state_dict().keys(), "diffusers sees a Wan"
    assert alike(open_transformer(tmp_path / "it"), filled(ADDED)) and read_config(tmp_path / "it") == ADDED
    beside = tmp_path / "it" / weights.ADAPTERS
    held = load_file(beside)
    more = replace(ADDED, adapters=replace(ADDED.adapters, setting=3))
    found = open_transformer(tmp_path / "it", more).state_dict()
    assert not found["adapters.setting.linear_2.weight"].any(), "a new adapter changes nothing"
    assert all(found[name].equal(it) for name, it in held.items())
    save_file({name: it for name, it in held.items() if name != "adapters.blocks.1.camera.weight"}, beside)
    with pytest.raises(ValueError, match=r"got 1 missing: blocks\.1\.camera\.weight"):
        open_transformer(tmp_path / "it")
    save(filled(TINY), tmp_path / "bare")
    fresh = open_transformer(tmp_path / "bare", ADDED)
    assert not any(it.is_meta for it in fresh.state_dict().values())


def test_a_folder_that_has_lost_adapters_is_not_whole_and_does_not_open(tmp_path: Path):
    save(filled(ADDED), tmp_path / "it")
    beside = tmp_path / "it" / weights.ADAPTERS
    held, camera = load_file(beside), "adapters.blocks.1.camera.weight"
    keys = {name for name in held if ".keys." in name}
    for changed, told in (
        ({name: it for name, it in held.items() if name not in keys}, f"got {len(keys)} missing: .*keys"),
        ({name: it for name, it in held.items() if name != camera}, r"got 1 missing: .*blocks\.1\.camera\.weight"),
        (held | {camera: held[camera][:3].contiguous()}, r"got 1 of another shape: .*blocks\.1\.camera\.weight"),
        (None, r"expected adapters\.safetensors beside perdure\.json, which says that camera, .* are on"),
    ):
        beside.unlink()
        if changed is not None:
            save_file(changed, beside)
        for use in (open_transformer, examine):
            with pytest.raises(ValueError, match=told):
                use(tmp_path / "it")
    with pytest.raises(ValueError, match=r"expected adapters\.safetensors beside"):
        convert(tmp_path / "it", tmp_path / "other")
    assert not (tmp_path / "other").exists()


PUBLISHED = {  # whose: which adapters are on
    "worldplay": Adapters(keys="81-way", camera="fx_fy"),
    "lingbot": Adapters(rays="rays"),
    "lingbot act": Adapters(rays="directions-keys", key_features=4),
}
OUR_NAMES = (  # of adapters, and those that were published
    (r"adapters\.blocks\.(\d)\.camera", r"blocks.\1.attn1.to_out_prope.0"),
    (r"adapters\.keys", "condition_embedder.action_embedder"),
    (r"adapters\.rays\.patch_embedding", "patch_embedding_wancamctrl"),
    (r"adapters\.rays\.linear_(\d)", r"c2ws_hidden_states_layer\1"),
    (r"adapters\.blocks\.(\d)\.rays\.linear_(\d)", r"blocks.\1.cam_injector_layer\2"),
    (r"adapters\.blocks\.(\d)\.rays\.(scale|shift)", r"blocks.\1.cam_\2_layer"),
)


def as_published(model: Transformer, whose: str) -> dict[str, Tensor]:
    """The same weights as HY-WorldPlay (a base by diffusers' names) or LingBot-World (by Wan's own) have them."""
    state = model.state_dict()
    base = {name: it for name, it in state.items() if not name.startswith("adapters.")}
    out = {f"model.{name}": it for name, it in base.items()} if whose == "worldplay" else wans_own(base)
    for name in state.keys() - base.keys():
        theirs = next(re.sub(ours, new, name) for ours, new in OUR_NAMES if re.match(ours, name))
        out["model." * (whose == "worldplay") + theirs] = state[name]
    return out


@pytest.mark.parametrize("whose", PUBLISHED)
def test_adapters_that_others_have_published_are_seen_by_their_names(whose: str, tmp_path: Path):
    config = replace(TINY, adapters=PUBLISHED[whose])
    save_file(as_published(filled(config), whose), tmp_path / "x.safetensors")
    settings = {"_class_name": "WanModel", "num_heads": 2}
    if whose == "worldplay":
        settings = weights.config_to_diffusers(TINY)
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert read_config(tmp_path) == config
    assert alike(open_transformer(tmp_path), filled(config))
    save(open_transformer(tmp_path), tmp_path / "ours")
    assert read_config(tmp_path / "ours") == config and alike(open_transformer(tmp_path / "ours"), filled(config))


def test_published_adapters_that_are_not_whole_are_told(tmp_path: Path):
    state = as_published(filled(replace(TINY, adapters=PUBLISHED["worldplay"])), "worldplay")
    path = tmp_path / "x.safetensors"
    (tmp_path / "config.json").write_text(json.dumps({"num_heads": 2}))
    gone = "model.blocks.1.attn1.to_out_prope.0.bias"
    save_file({name: it for name, it in state.items() if name != gone}, path)
    with pytest.raises(ValueError, match=r"got 1 missing: adapters\.blocks\.1\.camera\.bias"):
        open_transformer(tmp_path)
    save_file(state | {"model.condition_embedder.action_embedder.linear_1.weight": torch.ones(48, 9)}, path)
    with pytest.raises(ValueError, match=r"action_embedder\.linear_1\.weight in x\.safetensors is \(48, 9\) and not"):
        open_transformer(tmp_path)
    state = as_published(filled(replace(TINY, adapters=PUBLISHED["lingbot"])), "lingbot")
    save_file(state | {"patch_embedding_wancamctrl.weight": torch.ones(48, 2 * 64 * 4)}, path)
    with pytest.raises(ValueError, match=r"expected rays of 6 channels, or .* got patch_embedding_wancamctrl\.weight"):
        open_transformer(tmp_path)


def sparse(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """A whole safetensors file of those shapes in bf16, of zeros that take no room on the disk."""
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes.items():
        size = 2 * torch.Size(shape).numel()
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    said = json.dumps(header).encode()
    with path.open("wb") as out:
        out.write(len(said).to_bytes(8, "little") + said)
        out.truncate(8 + len(said) + end)


PRESETS = {
    "wan-1.3b": TransformerConfig(),
    "wan-5b": TransformerConfig(in_channels=48, out_channels=48, heads=24, ffn=14336),
    "wan-14b": TransformerConfig(heads=40, layers=40, ffn=13824),
    "wan-14b image-to-video": TransformerConfig(in_channels=36, heads=40, layers=40, ffn=13824),
}


def on_meta(config: TransformerConfig) -> Transformer:
    with torch.device("meta"):
        return Transformer(config)


@pytest.mark.parametrize("found", PRESETS)
def test_the_wrong_preset_is_told_by_both_names(found: str, tmp_path: Path):
    shapes = {name: tuple(it.shape) for name, it in on_meta(PRESETS[found]).state_dict().items()}
    sparse(tmp_path / "model.safetensors", shapes)
    assert title(sizes(shapes)).startswith(f"{found} (")
    assert read_config(tmp_path) == PRESETS[found]
    wanted = "wan-1.3b" if found != "wan-1.3b" else "wan-5b"
    says = (
        rf"expected the weights of {wanted} \(30 layers of .*, got those of {found} \(\d+ layers of \d+, \d+ channels"
    )
    with pytest.raises(ValueError, match=says):
        load(on_meta(PRESETS[wanted]), tmp_path)


def test_the_two_image_to_videos_of_14b_are_told_apart(tmp_path: Path):
    model, image = on_meta(KINDS["2.1 image-to-video"]), replace(KINDS["2.1 image-to-video"], image_dim=0)
    save(filled(image), tmp_path / "it")
    with pytest.raises(ValueError, match=r"out, reading an image\), got those of a transformer \(.*4 out\)"):
        load(model, tmp_path / "it")


def test_what_does_not_fit_is_told_with_its_file(tmp_path: Path):
    save(filled(TINY), tmp_path / "it", 20_000)
    index = json.loads((tmp_path / "it" / f"{weights.STEM}{INDEX}").read_text())["weight_map"]
    name, other = "blocks.1.attn1.to_q.weight", "blocks.0.ffn.net.2.bias"
    file = tmp_path / "it" / index[name]
    held = load_file(file)
    del held[name]
    save_file(held | {"blocks.1.attn1.to_k.lora": torch.ones(2)}, file)
    (tmp_path / "it" / f"{weights.STEM}{INDEX}").write_text(
        json.dumps({"weight_map": {k: v for k, v in index.items() if k != name}})
    )
    second = tmp_path / "it" / index[other]
    save_file(load_file(second) | {other: torch.zeros(7)}, second)
    with pytest.raises(ValueError, match="expected the") as told:
        open_transformer(tmp_path / "it")
    says = str(told.value)
    assert f"1 missing: {name} (48, 48)" in says and str(tmp_path / "it") in says
    assert f"1 not known: blocks.1.attn1.to_k.lora in {file.name}" in says
    assert f"1 of another shape: {other} in {second.name} is (7,) and not (48,)" in says


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["decoder.middle.0.residual.0.gamma"], "a VAE of Wan"),
        (["blocks.0.attn1.to_q.lora_A.weight", "patch_embedding.weight"], "a LoRA"),
        (["shared.weight"], "a text encoder"),
        (["vace_blocks.0.after_proj.bias", "patch_embedding.weight"], "Wan VACE"),
        (["layer.0.weight"], r"something else \(1 tensors, such as layer.0.weight\)"),
    ],
)
def test_strangers_are_told_by_name(names: list[str], says: str, tmp_path: Path):
    save_file({name: torch.ones(1) for name in names}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=f"expected a transformer of Wan, got {says}"):
        load(filled(TINY), tmp_path)
    assert not wans_names(names)


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"_class_name": "WanVACETransformer3DModel"}, "expected a WanTransformer3DModel, got WanVACE"),
        ({"_class_name": "WanTransformer3DModel", "qk_norm": None}, "expected qk_norm to be 'rms_norm_across_heads'"),
        ({"_class_name": "WanTransformer3DModel", "num_layers": "x"}, "expected the sizes of a WanTransformer3DModel"),
        ([1], "expected a JSON object, got a list"),
    ],
)
def test_a_config_that_is_not_wans(said: object, says: str, tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps(said))
    with pytest.raises(ValueError, match=rf"config\.json: {says}"):
        read_config(tmp_path)


LOADED = """
import resource, sys, torch
from torch import nn
from perdure.models.tensors import open_tensors
from perdure.models.weights import fill

def used():
    fields = dict(line.split(":") for line in open("/proc/self/status") if line.startswith(("VmRSS", "VmHWM")))
    return {name: 1024 * int(value.split()[0]) for name, value in fields.items()}

def small(device):
    with torch.device(device):
        return nn.Sequential(*(nn.Linear(64, 64) for _ in range(2)))

def measured(dtype):
    with open_tensors(sys.argv[1]) as held:
        fill(small("meta"), held, dtype=dtype)  # all that loading itself brings in
    with torch.device("meta"):
        model = nn.Sequential(*(nn.Linear(3200, 3200) for _ in range(10)))
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")
    before = used()["VmRSS"]
    with open_tensors(sys.argv[2]) as held:
        fill(model, held, dtype=dtype)
    return used()["VmHWM"] - before

print(measured(None), measured(torch.bfloat16))
"""


def test_loading_takes_the_memory_of_the_weights_once(tmp_path: Path):
    for name, layers, width in (("small", 2, 64), ("large", 10, 3200)):
        state = nn.Sequential(*(nn.Linear(width, width, device="meta") for _ in range(layers))).state_dict()
        save_file({k: torch.zeros(v.shape) for k, v in state.items()}, tmp_path / f"{name}.safetensors")
    large = (tmp_path / "large.safetensors").stat().st_size
    assert large > 400e6
    command = [sys.executable, "-c", LOADED, *(str(tmp_path / f"{it}.safetensors") for it in ("small", "large"))]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    as_it_is, halved = map(int, done.stdout.split())
    assert as_it_is <= 1.15 * large
    assert halved <= 1.15 * large / 2 + large / 10, "and one tensor as it was"
