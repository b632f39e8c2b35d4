"""Notice: what of a decoded chunk is worth keeping, as a finding for the state.

Only surface that no keyframe covers is kept, only where its depth is trusted, and never what
moves: so nothing that was itself warped is fused again. It is kept as it is at clear noon. What can
move is left out even while it stands, for physics knows where it is: the ground that it hides is kept
when it has gone, and nothing of it or its shadow.
Depth that was only estimated is first fitted to the depth that is known, cell by cell.

Shapes: H W frame size.
"""

import numpy as np
from numpy.typing import NDArray

from perdure.camera import FAR
from perdure.memory.contact import shaded
from perdure.memory.light import light, unlit
from perdure.models.context import Context
from perdure.world.geometry import MILLIMETRES
from perdure.world.state import Finding, World

F32 = NDArray[np.float32]

NEW = 96  # confidence below which a pixel counts as not yet seen
KNOWN = 200  # confidence above which the view's depth corrects the estimate
SKY = 0.7 * FAR  # an estimate beyond this is the sky
STEEP = 0.06  # relative change of depth between neighbours that marks an edge
UNSURE = 0.03  # expected relative error above which a depth is not kept
FINER = 2  # pixels of a picture, each way, for a ray that asks physics what stands there
RIM = 2  # rays about what can move that are left out with it: it is drawn softly there
BEFORE = 0.8  # of its depth: what is nearer stands before it, and is kept
LEAST = 60  # pixels that make a keyframe worth its row


def notice(world: World, context: Context, rgb: NDArray[np.uint8], depth: F32, unsure: F32, moving: F32) -> Finding:
    """What the last frame of a chunk shows that the state did not know.

    rgb (H, W, 3); depth (H, W) metres; unsure (H, W) its expected relative error; moving (H, W) 0..1.
    """
    confidence = context.confidence[-1]
    known = (confidence > KNOWN) & (moving < 0.3) & (depth < SKY) & (context.depth[-1] < SKY)
    depth = np.where(depth > SKY, np.float32(FAR), fitted(depth, context.depth[-1], known))
    keep = (confidence < NEW) & (unsure < UNSURE) & ~near(moving > 0.4, 2) & ~edge(depth) & (depth > 0.2)
    keep &= ~(movable(world, depth) | near(shaded(depth, world), 2))
    shines = light(world)
    if shines is not None:
        rgb, plain = unlit(rgb, depth, shines, world.motion.cameras[-1], world.motion.intrinsics)
        keep &= plain
    if keep.sum() < LEAST:
        keep = np.zeros_like(keep)
    return Finding(
        step=world.step,
        pose=world.motion.cameras[-1],
        intrinsics=world.motion.intrinsics,
        rgb=rgb,
        depth=np.rint(np.clip(depth, 0, FAR) * MILLIMETRES).astype(np.uint16),
        mask=keep,
    )


def movable(world: World, depth: F32) -> NDArray[np.bool_]:
    """(H, W) where a creature or a thing is, or may be, by physics; not where something stands before it."""
    h, w = depth.shape
    solid = world.physics.silhouette(world.motion, w // FINER, h // FINER)
    if not solid.any():
        return np.zeros((h, w), np.bool_)
    for _ in range(RIM):
        padded = np.pad(solid, 1)
        parts = [padded[1 + j : h // FINER + 1 + j, 1 + i : w // FINER + 1 + i] for i in (-1, 0, 1) for j in (-1, 0, 1)]
        solid = np.max(parts, axis=0)
    return (depth * np.repeat(np.repeat(solid, FINER, 0), FINER, 1)) > BEFORE


def fitted(depth: F32, true: F32, known: NDArray[np.bool_], cell: int = 16) -> F32:
    """`depth` scaled, smoothly over the image, to agree with `true` where that is known."""
    if known.sum() < 200:
        return depth
    h, w = depth.shape
    ratio = np.where(known, np.log(np.maximum(true, 0.1) / np.maximum(depth, 0.1)), 0).astype(np.float32)
    ratio = np.clip(ratio, -0.4, 0.4)
    total = ratio.reshape(h // cell, cell, w // cell, cell).sum((1, 3))
    count = known.reshape(h // cell, cell, w // cell, cell).sum((1, 3)).astype(np.float32)
    # Cells that know nothing take the mean of their neighbours, a little at a time.
    field = np.where(count > 0, total / np.maximum(count, 1), total.sum() / count.sum()).astype(np.float32)
    weight = count / (count + 8)
    told = field.copy()
    for _ in range(12):
        p = np.pad(field, 1, mode="edge")
        mean = (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]) / 4
        field = (weight * told + (1 - weight) * mean).astype(np.float32)
    return depth * np.exp(enlarged(field, h, w))


def enlarged(field: F32, h: int, w: int) -> F32:
    """Bilinear, cell centres to pixels."""
    rows, columns = field.shape
    y = np.clip((np.arange(h) + 0.5) * rows / h - 0.5, 0, rows - 1)
    x = np.clip((np.arange(w) + 0.5) * columns / w - 0.5, 0, columns - 1)
    y0, x0 = np.minimum(y.astype(int), rows - 2), np.minimum(x.astype(int), columns - 2)
    fy, fx = (y - y0).astype(np.float32)[:, None], (x - x0).astype(np.float32)[None]
    a, b = field[y0][:, x0], field[y0][:, x0 + 1]
    c, d = field[y0 + 1][:, x0], field[y0 + 1][:, x0 + 1]
    return (a * (1 - fx) + b * fx) * (1 - fy) + (c * (1 - fx) + d * fx) * fy


def edge(depth: F32) -> NDArray[np.bool_]:
    """Where depth jumps between neighbours: an estimate there belongs to neither side."""
    out = np.zeros(depth.shape, np.bool_)
    log = np.log(np.maximum(depth, 0.05))
    for axis in (0, 1):
        # A slope is no edge: compare with what the slope on the other side foretells.
        jump = np.abs(np.diff(log, 2, axis=axis)) > STEEP
        middle = (slice(1, -1), slice(None)) if axis == 0 else (slice(None), slice(1, -1))
        out[middle] |= jump
    return out


def near(mask: NDArray[np.bool_], distance: int) -> NDArray[np.bool_]:
    """`mask` grown by `distance` pixels."""
    out = mask.copy()
    for _ in range(distance):
        grown = out.copy()
        grown[1:] |= out[:-1]
        grown[:-1] |= out[1:]
        grown[:, 1:] |= out[:, :-1]
        grown[:, :-1] |= out[:, 1:]
        out = grown
    return out
