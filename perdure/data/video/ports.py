"""Ports for the user's own models: a folder of weights in, a plain function out.

Depth, people, repair, bodies' keypoints and captions come from whatever model the user has the weights of, in a folder
as transformers saves them. Nothing is ever fetched: a folder that is not there is a mistake, told in one line. What a
function gives is in the picture's own pixels. Processors run on Pillow: torchvision is not needed.

Shapes: H height, W width, K keypoints, P known points, N boxes.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from perdure.camera import FAR, Array, Intrinsics, project
from perdure.models import pretrained

Picture = NDArray[np.uint8]  # (H, W, 3)
Mask = NDArray[np.bool_]  # (H, W)
F32 = NDArray[np.float32]

PERSON = ("person", "people", "pedestrian", "human")
CELLS = 24  # across a picture: one point in each is enough
LEAST = 20  # points that a depth is fitted to
WORDS = 40  # of a caption, at most


def depth(folder: Path) -> Callable[[Picture], F32]:
    """(H, W) depth as the model has it, which may be metres, or only nearer and farther: `fitted` settles it."""
    torch, model, prepare = _opened(folder, "AutoModelForDepthEstimation")

    def estimate(picture: Picture) -> F32:
        with torch.inference_mode():
            found = model(**prepare(images=[picture], return_tensors="pt")).predicted_depth
            return _sized(torch, found[:, None].float(), picture)[0, 0].numpy()

    return estimate


def fitted(raw: F32, pixels: NDArray[np.float64], known: NDArray[np.float64]) -> F32:
    """(H, W) metres along z: a model's depth brought to what is known at a few pixels (P, 2).

    Some models say depth and some its inverse, by an unknown scale and shift. Both are tried, by the medians of two
    halves so that no outlier weighs, and the better is taken.
    """
    h, w = raw.shape
    x, y = pixels[:, 0].astype(int), pixels[:, 1].astype(int)
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h) & (known > 0)
    if inside.sum() < LEAST:
        raise ValueError(f"expected {LEAST} points in view to fit a depth to, got {inside.sum()}")
    said, true = raw[y[inside], x[inside]].astype(np.float64), known[inside]
    best, least = raw, np.inf
    for inverse in (False, True):
        wanted = 1 / true if inverse else true
        half = said <= np.median(said)
        if half.all() or not half.any():
            half = np.arange(len(said)) < len(said) // 2
        low, high = (np.median(said[part]) for part in (half, ~half))
        a, b = (np.median(wanted[part]) for part in (half, ~half))
        slope = (b - a) / (high - low) if high > low else 0.0
        line = np.maximum(a + slope * (raw.astype(np.float64) - low), 1e-3)
        made = 1 / line if inverse else line
        off = float(np.median(np.abs(np.log(made[y[inside], x[inside]] / true))))
        if off < least:
            best, least = made.astype(np.float32), off
    return best


def depths(
    frames: NDArray[np.uint8], poses: Array, lens: Intrinsics, points: Array, estimate: Callable[[Picture], F32]
) -> F32:
    """(N, H, W) metres along z of a film, a model's depth of each frame fitted to points (P, 3) that are in view.

    A frame that shows too few of them has none: 0.
    """
    out = []
    for frame, pose in zip(frames, poses):
        pixels, far = project(points, lens, pose)
        seen = (far > 0) & (pixels >= 0).all(1) & (pixels < (lens.width, lens.height)).all(1)
        order = np.flatnonzero(seen)[np.argsort(far[seen], kind="stable")]
        # Of those that fall together the nearest: the others may be hidden behind it.
        cells = (pixels[order] * CELLS / lens.width).astype(np.int64) @ np.array([1, 1 << 20])
        first = order[np.unique(cells, return_index=True)[1]]
        known = len(first) >= LEAST
        out.append(
            fitted(estimate(frame), pixels[first], far[first]) if known else np.zeros(frame.shape[:2], np.float32)
        )
    return np.minimum(np.stack(out), np.float32(FAR))


def people(folder: Path) -> Callable[[Picture], Mask]:
    """(H, W) where people are, by a model that names what each pixel is of."""
    torch, model, prepare = _opened(folder, "AutoModelForSemanticSegmentation")
    names = {int(i): str(name).lower() for i, name in model.config.id2label.items()}
    wanted = [i for i, name in names.items() if name in PERSON]
    if not wanted:
        raise ValueError(f"expected a model that knows people by one of {', '.join(PERSON)}: {folder} does not")

    def find(picture: Picture) -> Mask:
        with torch.inference_mode():
            scores = model(**prepare(images=[picture], return_tensors="pt")).logits
            best = _sized(torch, scores.float(), picture)[0].argmax(0).numpy()
        return np.isin(best, wanted)

    return find


def repair(folder: Path) -> Callable[[Picture, Mask], Picture]:
    """A picture with what a mask covers drawn anew, by a masked autoencoder, in whole patches of the model's."""
    torch, model, prepare = _opened(folder, "AutoModelForPreTraining")
    config = model.config
    if not hasattr(config, "mask_ratio") or config.norm_pix_loss:
        raise ValueError(f"expected a masked autoencoder that draws colours as they are, got {config.model_type}")
    side = config.image_size // config.patch_size

    def mend(picture: Picture, mask: Mask) -> Picture:
        if mask.shape != picture.shape[:2]:
            raise ValueError(f"expected a mask of the picture's size {picture.shape[:2]}, got {mask.shape}")
        if not mask.any():
            return picture.copy()
        small = Image.fromarray(mask).resize((config.image_size,) * 2, Image.Resampling.BOX)
        patches = np.asarray(small).reshape(side, config.patch_size, side, config.patch_size).any((1, 3)).ravel()
        if patches.all():
            raise ValueError("expected something to go by: the mask covers all of the picture")
        # A hair less than the share that is hidden, so that rounding down keeps as many as are seen.
        model.config.mask_ratio = (patches.sum() - 0.5) / patches.size
        noise = torch.from_numpy(patches.astype(np.float32) + np.arange(patches.size, dtype=np.float32) * 1e-6)[None]
        with torch.inference_mode():
            size = {"height": config.image_size, "width": config.image_size}
            inputs = prepare(images=[picture], return_tensors="pt", size=size)
            drawn = model.unpatchify(model(**inputs, noise=noise).logits)
        mean, deviation = (np.array(v, np.float32)[:, None, None] for v in (prepare.image_mean, prepare.image_std))
        colours = _sized(torch, drawn.float(), picture)[0].numpy() * deviation + mean
        made = np.clip(np.rint(255 * colours.transpose(1, 2, 0)), 0, 255).astype(np.uint8)
        return np.where(mask[..., None], made, picture)

    return mend


def keypoints(folder: Path) -> Callable[[Picture, Sequence[tuple[float, float, float, float]]], F32]:
    """(N, K, 3) x, y and score of the joints of whoever is in each box (left, top, right, bottom)."""
    torch, model, prepare = _opened(folder, "AutoModelForPoseEstimation")
    h, w = model.config.backbone_config.image_size

    def locate(picture: Picture, boxes: Sequence[tuple[float, float, float, float]]) -> F32:
        whole = Image.fromarray(picture)
        cut = [np.asarray(whole.resize((w, h), Image.Resampling.BILINEAR, box)) for box in boxes]
        mean, deviation = (np.array(values, np.float32) for values in (prepare.image_mean, prepare.image_std))
        pixels = (np.stack(cut).astype(np.float32) / 255 - mean) / deviation
        with torch.inference_mode():
            maps = model(pixel_values=torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())).heatmaps.float().numpy()
        flat = maps.reshape(*maps.shape[:2], -1)
        rows, columns = np.divmod(flat.argmax(-1), maps.shape[-1])
        corner = np.array(boxes, np.float32)[:, None]
        across, down = corner[..., 2] - corner[..., 0], corner[..., 3] - corner[..., 1]
        x = corner[..., 0] + (columns + 0.5) / maps.shape[-1] * across
        y = corner[..., 1] + (rows + 0.5) / maps.shape[-2] * down
        return np.stack([x, y, flat.max(-1)], -1).astype(np.float32)

    return locate


def captions(folder: Path) -> Callable[[Picture], str]:
    """What a picture shows, in words; the likeliest, so that it is always the same."""
    torch, model, prepare = _opened(folder, "AutoModelForImageTextToText", "AutoProcessor")

    def tell(picture: Picture) -> str:
        with torch.inference_mode():
            inputs = prepare(images=Image.fromarray(picture), return_tensors="pt")
            said = model.generate(**inputs, max_new_tokens=WORDS, do_sample=False)
        return prepare.batch_decode(said, skip_special_tokens=True)[0].strip()

    return tell


def _opened(folder: Path, kind: str, processor: str = "AutoImageProcessor") -> tuple[Any, Any, Any]:
    """torch, the model in a folder, and what makes its inputs. Only what lies there is read, and no code of it runs."""
    folder = Path(folder)
    try:
        import torch
        import transformers
    except ModuleNotFoundError as error:
        raise ValueError(f"models of one's own need {error.name}: pip install 'perdure[video,train]'") from None
    here: dict[str, Any] = {"trust_remote_code": False}
    transformers.logging.set_verbosity_error()
    # Heads that are not asked for may lie beside what is: "" begins every name.
    model = pretrained.opened(getattr(transformers, kind), folder, beyond=("",), **here)
    try:
        prepare = getattr(transformers, processor).from_pretrained(folder, local_files_only=True, **here)
    except (OSError, ValueError, KeyError) as error:
        says = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise ValueError(f"expected a processor of pictures beside the model in {folder}: {says}") from None
    return torch, model, prepare


def _sized(torch: Any, maps: Any, picture: Picture) -> Any:
    """Maps (1, C, h, w) at the picture's size."""
    return torch.nn.functional.interpolate(maps, size=picture.shape[:2], mode="bilinear", align_corners=False)
