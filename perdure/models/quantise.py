"""Eight bits: layers in float8 for GPUs that multiply it, and attention whose scores are products of int8.

A number is kept as eight bits and a scale that it shares with its row. The scale of weights is found once, that
of what comes in anew each time. On a GPU the product is one kernel; elsewhere the same formula is worked out in
full precision, to be compared with. For OpenVINO's int8 see `int8.py`.

Shapes: B batch, Q S tokens, H heads, D head size, I O channels in and out.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perdure.models.adapters.lora import drop_lora, loras
from perdure.models.attention import Mask, by_head

FP8 = torch.float8_e4m3fn
LARGEST = torch.finfo(FP8).max  # 448
FINEST = 2.0**-10  # half a step between the smallest numbers, of which 1 is the scale
ROUNDING = 2.0**-4  # relative, of all larger ones: three bits follow the first
ALIGNED = 16  # channels that kernels come in


class Scaled(NamedTuple):
    """Numbers of eight bits, and the scale that they are to be multiplied by."""

    values: Tensor
    scale: Tensor  # float32, of a shape that spreads over them

    def restored(self) -> Tensor:
        return self.values.float() * self.scale


def in_fp8(x: Tensor, rows: bool = True) -> Scaled:
    """Each row by its own scale, or all by one; what was 0 stays 0."""
    most = x.abs().amax(-1, keepdim=True) if rows else x.abs().amax().expand(1)
    scale = most.float().clamp_min(torch.finfo(torch.float32).tiny * LARGEST) / LARGEST
    return Scaled((x.float() / scale).clamp(-LARGEST, LARGEST).to(FP8), scale)


class Fp8Linear(nn.Module):
    """A linear layer that is kept and multiplied in float8: half the memory of bf16."""

    weight: Tensor  # (O, I) float8
    scale: Tensor  # (O, 1) or (1,)
    bias: Tensor | None

    def __init__(self, linear: nn.Linear, rows: bool = True) -> None:
        super().__init__()
        if linear.in_features % ALIGNED or linear.out_features % ALIGNED:
            raise ValueError(
                f"expected channels in {ALIGNED}s, as float8 kernels do, got a layer of {linear.in_features} to "
                f"{linear.out_features}: leave it as it is"
            )
        kept = in_fp8(linear.weight.detach(), rows)
        self.rows = rows
        self.register_buffer("weight", kept.values)
        self.register_buffer("scale", kept.scale)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """In the precision that x has; on a GPU by way of bf16, which is what the kernel gives."""
        flat = in_fp8(x.flatten(0, -2), self.rows)
        if x.is_cuda:
            bias = None if self.bias is None else self.bias.bfloat16()
            scale = self.scale.view(1, -1) if self.rows else self.scale
            # The public name of it is younger than the torch that we ask for.
            y = torch._scaled_mm(  # pyright: ignore[reportPrivateImportUsage]
                flat.values, self.weight.t(), flat.scale, scale, bias, out_dtype=torch.bfloat16
            )
        else:
            y = flat.restored() @ (self.weight.float() * self.scale).t()
            y = y if self.bias is None else y + self.bias.float()
        return y.to(x.dtype).view(*x.shape[:-1], -1)


def to_fp8(model: nn.Module, rows: bool = True) -> int:
    """Put `Fp8Linear` in the place of every linear layer below `model.blocks`, and say how many there were.

    What embeds time, text and what is given stays as it is: it is small, and all that follows hangs on it. LoRA is to
    be part of the weights by then.
    """
    if adrift := [name for name, lora in loras(model).items() if lora.unmerged is None]:
        raise ValueError(
            f"expected a model whose LoRA is merged, got {len(adrift)} layers that would lose it, the first of them "
            f"{adrift[0]}: call merge_lora first, or drop_lora to go without it"
        )
    drop_lora(model)
    found = 0
    for holder in list(model.get_submodule("blocks").modules()):
        for name, layer in list(holder.named_children()):
            if isinstance(layer, nn.Linear) and not (layer.in_features % ALIGNED or layer.out_features % ALIGNED):
                setattr(holder, name, Fp8Linear(layer, rows))
                found += 1
    return found


# Attention, after SageAttention (Zhang et al. 2024): queries and keys in int8, block by block. What all keys have in
# common is taken off first, since it moves every score of a query by the same and so changes nothing, while it is
# what makes keys hard to round.

QUERIES, KEYS = 128, 64  # tokens that share a scale


def in_int8(x_BHSD: Tensor, block: int) -> Scaled:
    """Blocks of tokens, each by its own scale; the last may be shorter."""
    tokens = x_BHSD.shape[2]
    padded = F.pad(x_BHSD.float(), (0, 0, 0, -tokens % block))
    most = padded.unflatten(2, (-1, block)).abs().amax((-1, -2))  # (B, H, blocks)
    scale = (most.clamp_min(1e-30) / 127).repeat_interleave(block, 2)[:, :, :tokens, None]
    return Scaled((x_BHSD.float() / scale).round().to(torch.int8), scale)


def attend_int8(q_BQHD: Tensor, k_BSHD: Tensor, v_BSHD: Tensor, mask: Mask | None = None) -> Tensor:
    """What `attention.attend` gives, nearly; set as a transformer's `attend`, it is what its self-attention uses.

    This is the formula, by torch's own products: a kernel that fuses it, as SageAttention's, goes in the same place.
    """
    if mask is not None and not isinstance(mask, Tensor):
        raise ValueError(
            "expected a mask as a tensor for attention in int8, got flex's, which its own kernel alone can read: "
            "leave flex out, or set the transformer's attend to None"
        )
    q, k, v = (x.transpose(1, 2) for x in (q_BQHD, k_BSHD, v_BSHD))
    q8 = in_int8(q.float() / q.shape[-1] ** 0.5, QUERIES)
    k8 = in_int8(k.float() - k.float().mean(2, keepdim=True), KEYS)
    # Sums of products of int8 are whole numbers that float32 holds exactly.
    scores = (q8.values.float() @ k8.values.float().transpose(-1, -2)) * q8.scale * k8.scale.transpose(-1, -2)
    if (by_heads := by_head(mask)) is not None:
        scores = scores.masked_fill(~by_heads, float("-inf"))
    half = torch.bfloat16
    return (scores.softmax(-1).to(half) @ v.to(half)).to(v_BSHD.dtype).transpose(1, 2)
