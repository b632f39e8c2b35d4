"""What others call the adapters: names of parameters in published checkpoints, and ours.

HY-WorldPlay's Wan 5B has 81 motions (`keys="81-way"`) and PRoPE with focal lengths alone (`camera="fx_fy"`);
beside them its names are diffusers'. LingBot-World has rays (`rays="rays"`; `act`: `"directions-keys"` with
four keys); beside them its names are Wan's own.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from perdure.models.config import Adapters

PUBLISHED = [
    (r"condition_embedder\.action_embedder\.linear_([12])", r"adapters.keys.linear_\1"),
    (r"blocks\.(\d+)\.attn1\.to_out_prope\.0", r"adapters.blocks.\1.camera"),
    (r"patch_embedding_wancamctrl", r"adapters.rays.patch_embedding"),
    (r"c2ws_hidden_states_layer([12])", r"adapters.rays.linear_\1"),
    (r"blocks\.(\d+)\.cam_injector_layer([12])", r"adapters.blocks.\1.rays.linear_\2"),
    (r"blocks\.(\d+)\.cam_(scale|shift)_layer", r"adapters.blocks.\1.rays.\2"),
]


def adapter_name(published: str) -> str:
    """Our name of an adapter's parameter; any other name comes back as it is."""
    for theirs, ours in PUBLISHED:
        found = re.fullmatch(rf"{theirs}\.(weight|bias)", published)
        if found:
            return f"{found.expand(ours)}.{found[found.re.groups]}"
    return published


def published(names: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]) -> Adapters:
    """Which adapters are on in a checkpoint of others: by our names, what each tensor is called there, and its shape.

    Only their names tell. Of what is called as we call it, shapes do not say all, and `perdure.json` lies beside it.
    """
    theirs = {ours for ours, name in names.items() if ours.startswith("adapters.") and not name.endswith(ours)}
    on: dict[str, Any] = {}
    if any(name.startswith("adapters.keys.") for name in theirs):
        on["keys"] = "81-way"
    if any(name.endswith((".camera.weight", ".camera.bias")) for name in theirs):
        on["camera"] = "fx_fy"
    if (rays := "adapters.rays.patch_embedding.weight") in theirs:
        cell = Adapters().ray_fold ** 2 * math.prod(shapes.get("patch_embedding.weight", ())[2:])
        channels, left = divmod(shapes[rays][-1], cell)
        if left or channels < 4:
            raise ValueError(
                f"expected rays of 6 channels, or directions of 3 and keys, for {cell} pixels each, "
                f"got {names[rays]} of {shapes[rays]}"
            )
        on |= {"rays": "rays"} if channels == 6 else {"rays": "directions-keys", "key_features": channels - 3}
    return Adapters(**on)
