"""What tensors are called: Wan's own names, diffusers' (and ours), and how to tell whose a checkpoint is.

Both may stand behind a prefix that training or a user interface put before them.
"""

import re
from collections.abc import Iterable, Mapping

from perdure.models.adapters.names import adapter_name

Shape = tuple[int, ...]

PARTS = {  # Wan's own -> diffusers'
    "time_embedding.0": "condition_embedder.time_embedder.linear_1",
    "time_embedding.2": "condition_embedder.time_embedder.linear_2",
    "time_projection.1": "condition_embedder.time_proj",
    "text_embedding.0": "condition_embedder.text_embedder.linear_1",
    "text_embedding.2": "condition_embedder.text_embedder.linear_2",
    "img_emb.proj.0": "condition_embedder.image_embedder.norm1",
    "img_emb.proj.1": "condition_embedder.image_embedder.ff.net.0.proj",
    "img_emb.proj.3": "condition_embedder.image_embedder.ff.net.2",
    "img_emb.proj.4": "condition_embedder.image_embedder.norm2",
    "img_emb.emb_pos": "condition_embedder.image_embedder.pos_embed",
    "patch_embedding": "patch_embedding",
    "head.head": "proj_out",
    "head.modulation": "scale_shift_table",
}
BLOCK = {  # the same within a block
    "self_attn": "attn1",
    "cross_attn": "attn2",
    "norm3": "norm2",  # before cross-attention; the other two norms have no weights
    "ffn.0": "ffn.net.0.proj",
    "ffn.2": "ffn.net.2",
    "modulation": "scale_shift_table",
}
ATTENTION = {
    "q": "to_q",
    "k": "to_k",
    "v": "to_v",
    "o": "to_out.0",
    "norm_q": "norm_q",
    "norm_k": "norm_k",
    "k_img": "add_k_proj",
    "v_img": "add_v_proj",
    "norm_k_img": "norm_added_k",
}
UNUSED = re.compile(r"\.norm_(added_q|q_img)\.")
"""What some checkpoints carry along and nobody computes with."""

STRANGERS = (  # a part of a name, and whose it is
    ("lora_", "a LoRA, which is attached to a transformer and not loaded as one"),
    ("scale_weight", "weights in fp8 with scales, which are not read: take bf16 or fp16"),
    ("vace_blocks.", "Wan VACE, which has more than a transformer of Wan"),
    ("motion_encoder.", "Wan Animate, which has more than a transformer of Wan"),
    ("decoder.middle.", "a VAE of Wan"),
    ("quant_conv.", "a VAE"),
    ("MemBlock", "a TAEHV"),
    ("double_blocks.", "a HunyuanVideo"),
    ("shared.weight", "a text encoder"),
    ("token_embedding.weight", "a text encoder"),
    ("vision_model.", "an image encoder"),
    ("transformer_blocks.", "another transformer of diffusers"),
    ("module.", "a checkpoint of training"),
)


def diffusers_name(name: str) -> str:
    """What diffusers calls what Wan calls `name`; a name that is not Wan's stays."""
    if block := re.match(r"(blocks\.\d+\.)(.+)", name):
        start, rest = block.groups()
        part = next((part for part in BLOCK if rest == part or rest.startswith(part + ".")), None)
        if part is None:
            return name
        leaf = rest.removeprefix(part)
        if part in ("self_attn", "cross_attn"):
            which, _, kind = leaf[1:].rpartition(".")
            leaf = f".{ATTENTION.get(which, which)}.{kind}"
        return start + BLOCK[part] + leaf
    part = next((part for part in PARTS if name == part or name.startswith(part + ".")), None)
    return name if part is None else PARTS[part] + name.removeprefix(part)


def wans_names(names: Iterable[str]) -> dict[str, str]:
    """By our name what each tensor of a Wan transformer is called where it is; {} if they are not of one.

    Ours are diffusers' names, and for what others have published of the adapters, those of `adapters/`.
    """
    names = list(names)
    marks = [name for name in names if name.endswith("patch_embedding.weight")]
    if len(marks) != 1 or any(mark in name for mark, _ in STRANGERS[:4] for name in names):
        return {}
    prefix = marks[0].removesuffix("patch_embedding.weight")
    out: dict[str, str] = {}
    own = f"{prefix}blocks.0.self_attn.q.weight" in names
    for name in names:
        bare = name.removeprefix(prefix)
        if not UNUSED.search(bare):
            ours = adapter_name(bare)
            out[diffusers_name(bare) if own and ours == bare else ours] = name
    return out


def stranger(names: Iterable[str]) -> str:
    """Whose tensors these are, that are not of a Wan transformer."""
    names = list(names)
    told = next((what for mark, what in STRANGERS if any(mark in name for name in names)), "something else")
    some = ", ".join(names[:3])
    return f"{told} ({len(names)} tensors, such as {some})"


def sizes(shapes: Mapping[str, Shape]) -> dict[str, int]:
    """What shapes, by diffusers' names, tell of a transformer, as `TransformerConfig` calls it; `dim` with it."""
    found: dict[str, int] = {}

    def tell(field: str, name: str, axis: int) -> None:
        if len(shapes.get(name, ())) > axis:
            found[field] = shapes[name][axis]

    embed = "condition_embedder."
    tell("dim", "patch_embedding.weight", 0)
    tell("in_channels", "patch_embedding.weight", 1)
    tell("ffn", "blocks.0.ffn.net.0.proj.weight", 0)
    tell("frequency_dim", embed + "time_embedder.linear_1.weight", 1)
    tell("text_dim", embed + "text_embedder.linear_1.weight", 1)
    tell("image_dim", embed + "image_embedder.norm1.weight", 0)
    tell("image_tokens", embed + "image_embedder.pos_embed", 1)
    found["layers"] = 1 + max((int(it[1]) for name in shapes if (it := re.match(r"blocks\.(\d+)\.", name))), default=-1)
    patch = shapes.get("patch_embedding.weight", ())[2:]
    if len(patch) == 3 and shapes.get("proj_out.weight"):
        found["out_channels"] = shapes["proj_out.weight"][0] // (patch[0] * patch[1] * patch[2])
    return found


KNOWN = {  # (layers, dim, channels in): what presets call it
    (30, 1536, 16): "wan-1.3b",
    (30, 1536, 36): "wan-1.3b image-to-video",
    (30, 3072, 48): "wan-5b",
    (40, 5120, 16): "wan-14b",
    (40, 5120, 36): "wan-14b image-to-video",
}


def title(sizes: Mapping[str, int]) -> str:
    """A model by its name and its sizes: "wan-5b (30 layers of 3072, 48 channels)"."""
    layers, dim, channels = (sizes.get(field, 0) for field in ("layers", "dim", "in_channels"))
    name = KNOWN.get((layers, dim, channels), "a transformer")
    out = sizes.get("out_channels", channels)
    said = f"{layers} layers of {dim}, {channels} channels" + (f" in and {out} out" if out != channels else "")
    return f"{name} ({said}{', reading an image' if sizes.get('image_dim') else ''})"
