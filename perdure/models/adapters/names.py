"""What others call the adapters: names of parameters in published checkpoints, and ours.

HY-WorldPlay's Wan 5B has 81 motions (`keys="81-way"`) and PRoPE with focal lengths alone (`camera="fx_fy"`);
beside them its names are diffusers'. LingBot-World has rays (`rays="rays"`; `act`: `"directions-keys"` with
four keys); beside them its names are Wan's own.
"""

import re

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
