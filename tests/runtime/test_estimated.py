"""A user's own estimator stands in for the small one: in the state's units, and as sure as it turns out to be."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray

from perdure.runtime.backends import Backend
from perdure.runtime.estimated import Estimated, estimated

H, W = 48, 64
TRUE = (2 + np.arange(H)[::-1, None] / 12 + np.arange(W)[None] / 40).astype(np.float32)


class Small:
    """A backend whose own guess is of no use."""

    def __call__(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        if graph != "decode":
            return {"latent": np.zeros(3, np.float32)}
        frames = np.random.default_rng(0).integers(0, 256, (4, H, W, 3)).astype(np.uint8)
        one = np.ones((H, W), np.float32)
        return {"frames": frames, "depth": one, "unsure": one, "moving": 0 * one}

    def fingerprint(self) -> dict[str, str]:
        return {"weights": "small"}

    def shapes(self) -> dict[str, dict[str, tuple[int, ...]]]:
        return {}  # it takes any


def inputs(known: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    depth = np.where(known, TRUE, 0)
    return {
        "view_depth": np.stack([depth * 0, depth * 0, depth * 0, depth]),
        "confidence": np.where(known, 255, 0).astype(np.uint8)[None].repeat(4, 0),
    }


@pytest.mark.parametrize("inverse", [False, True])
def test_any_unit_becomes_metres_and_its_error_is_seen(inverse: bool) -> None:
    known = np.arange(H)[:, None] + np.zeros((H, W)) > 20  # the lower part of the picture
    sees = TRUE.copy()
    sees[:, : W // 2] *= 1 + 0.15 * np.sin(np.arange(H))[:, None]  # it is wrong on the left
    said = (5 / sees + 3) if inverse else (0.3 * sees - 2)
    backend: Backend = Estimated(Small(), lambda _: said.astype(np.float32), "mine")
    made = backend("decode", inputs(known))
    off = np.abs(np.log(made["depth"] / TRUE))
    assert off[:, W // 2 :].mean() < 0.05 and made["depth"].dtype == np.float32
    left, right = (made["unsure"][24:, part].mean() for part in (slice(0, W // 4), slice(3 * W // 4, W)))
    assert left > 2 * right and abs(left / off[24:, : W // 4].mean() - 1) < 0.6
    assert backend.fingerprint() == {"weights": "small", "estimator": "mine"}
    assert list(backend("encode", {})) == ["latent"]


def test_where_the_view_knows_too_little_the_small_ones_guess_stands() -> None:
    backend = Estimated(Small(), lambda _: TRUE, "mine")
    made = backend("decode", inputs(np.zeros((H, W), np.bool_)))
    assert (made["depth"] == 1).all() and (made["unsure"] == 1).all()


def test_a_folder_of_weights_is_one_and_is_named_by_what_is_in_it(tmp_path: Path) -> None:
    names = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        config = transformers.GLPNConfig(
            hidden_sizes=[8] * 4, depths=[1] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8
        )
        transformers.GLPNForDepthEstimation(config).save_pretrained(tmp_path / str(seed))
        transformers.GLPNImageProcessorPil(size_divisor=32).save_pretrained(tmp_path / str(seed))
        backend = estimated(Small(), tmp_path / str(seed))
        names.append(backend.fingerprint()["estimator"])
        made = backend("decode", inputs(np.ones((H, W), np.bool_)))
        assert made["depth"].shape == (H, W) and np.isfinite(made["depth"]).all() and made["depth"].std() > 0
        assert abs(np.median(made["depth"] / TRUE) - 1) < 0.3  # knows nothing, but is in metres
    assert len(set(names)) == 2
    with pytest.raises(ValueError, match="expected AutoModelForDepthEstimation as transformers saves it"):
        estimated(Small(), tmp_path / "nowhere")
