"""What the model may see is of numbers: a NaN stops at this window."""

from dataclasses import replace

import numpy as np
import pytest

from perdure.models.context import Context

F32 = np.float32
SEEN = Context(
    action=np.zeros(10, F32),
    noise_seed=0,
    memories=(),
    memory_cameras=np.zeros((8, 4, 4), F32),
    memory_ages=np.zeros(8, F32),
    to_clip=np.eye(4, dtype=F32),
    from_clip=np.eye(4, dtype=F32),
    view=np.zeros((4, 8, 8, 3), np.uint8),
    confidence=np.zeros((4, 8, 8), np.uint8),
    depth=np.zeros((4, 8, 8), F32),
    view_latent=np.zeros((16, 1, 1), F32),
    coverage=np.zeros((1, 1, 1), F32),
    proxy=np.zeros((5, 1, 1), F32),
    setting=np.zeros(15, F32),
)


FLOATS = "action", "memory_cameras", "memory_ages", "to_clip", "view_latent", "proxy", "setting"


@pytest.mark.parametrize("name", FLOATS)
def test_a_nan_stops_here(name: str):
    wrong = getattr(SEEN, name).copy()
    wrong.flat[-1] = np.nan
    with pytest.raises(ValueError, match=f"expected finite numbers as {name} of a context, got NaN"):
        replace(SEEN, **{name: wrong})
