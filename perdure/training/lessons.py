"""Lessons: clips walked through as serving would walk them, kept as plain arrays to learn from.

For each chunk: the true frames, and all that `recall` would have shown of them, the state having
been told the truth so far (with its depth spoilt a little, as an estimate would be). A folder a
clip, a .npy file a field, opened as memory maps.

Shapes: S chunks, T frames a chunk, H W frame size, h w latent size, M memory slots, C latent
channels, P proxy channels, A action features.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from perdure.data.clip import Clip
from perdure.memory.commit import commit
from perdure.memory.notice import UNSURE, enlarged, notice
from perdure.memory.recall import choose_memories, look, recall
from perdure.models.decoder import Encoder
from perdure.presets.nano import Preset
from perdure.training.codec import CodecBatch
from perdure.training.flow import FlowBatch, Scene
from perdure.world.setting import FEATURES, Environment

F32 = NDArray[np.float32]


ERRORS = (0.0, 0.5 * UNSURE, 0.7 * UNSURE, 0.95 * UNSURE)
"""Relative errors of a lesson's depth, one for each: of what is less sure, a state keeps nothing."""


class NoEncoder:
    """Stands in while there is no codec yet: lessons keep the view itself."""

    def __init__(self, preset: Preset) -> None:
        self.latent = np.zeros(preset.latent_shape, np.float32)

    def encode(self, frames: NDArray[np.uint8]) -> F32:
        return self.latent


def spoilt(depth: F32, amount: float, random: np.random.Generator) -> F32:
    """`depth` with a relative error, smooth but for a little grain, as an estimator would make it."""
    h, w = depth.shape
    field = random.normal(0, amount, (6, 8)).astype(np.float32)
    return depth * np.exp(enlarged(field, h, w)) * np.exp(random.normal(0, amount / 20, depth.shape).astype(np.float32))


def make(clip: Clip, preset: Preset, seed: int, folder: Path) -> None:
    """Walk through a clip and write its lesson; a folder that exists is whole."""
    random = np.random.default_rng(seed)
    error = float(random.choice(ERRORS))
    actions, true_depth, moving, t = clip.way(), clip.depth, clip.moving, preset.frames
    if true_depth is None:
        raise ValueError(f"expected a clip with depth to make a lesson of, got {clip.name}, whose source knows none")
    count = len(actions)
    h, w = preset.height, preset.width
    c, lh, lw = preset.latent_shape
    slots = preset.dit.memories
    shapes: dict[str, tuple[tuple[int, ...], type]] = {
        "frames": ((count, t, h, w, 3), np.uint8),
        "view": ((count, t, h, w, 3), np.uint8),
        "plain": ((count, t, h, w, 3), np.uint8),  # the view at clear noon, where the light is another
        "confidence": ((count, t, h, w), np.uint8),
        "view_depth": ((count, t, h, w), np.float16),
        "depth": ((count, h, w), np.float16),
        "moving": ((count, h, w), np.bool_),
        "proxy": ((count, 5, lh, lw), np.float16),
        "coverage": ((count, 1, lh, lw), np.float16),
        "action": ((count, preset.dit.adapters.key_features), np.float32),
        "setting": ((count, FEATURES), np.float32),
        "slots": ((count, slots), np.int16),
        "ages": ((count, slots), np.float32),
        "cameras": ((count, slots, 4, 4), np.float32),
        "clip": ((count, 2, 4, 4), np.float32),
    }
    beside = folder.with_name(folder.name + ".new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    out = {k: open_memmap(beside / f"{k}.npy", "w+", dtype=d, shape=s) for k, (s, d) in shapes.items()}
    world, encoder = clip.as_world(), NoEncoder(preset)
    for i, action in enumerate(actions):
        world = world.advance(action)
        context = recall(world, action, encoder, preset)
        last = slice(i * t, (i + 1) * t), (i + 1) * t - 1
        trail, camera = world.history.trail, world.motion.cameras[-1]
        picked = choose_memories(trail, world.step - 1, camera, preset.dit.recent, preset.dit.recalled)
        row = {
            "frames": clip.rgb[last[0]],
            "view": context.view,
            "confidence": context.confidence,
            "view_depth": context.depth,
            "depth": true_depth[last[1]],
            "moving": moving[last[1]],
            "proxy": context.proxy,
            "coverage": context.coverage,
            "action": context.action,
            "setting": context.setting,
            "slots": np.pad(np.array(picked, np.int16), (0, slots - len(picked)), constant_values=-1),
            "ages": context.memory_ages,
            "cameras": context.memory_cameras,
            "clip": np.stack([context.to_clip, context.from_clip]),
        }
        for key, value in row.items():
            out[key][i] = value
        if context.setting.any():
            noon = replace(world.setting, environment=Environment(), onsets=())
            out["plain"][i] = look(replace(world, setting=noon), preset, context.proxy).rgb
        # The truth stands in for what the model would have drawn and found.
        world = commit(world, action, np.zeros(preset.latent_shape, np.float32))
        depth = spoilt(true_depth[last[1]], error, random) if error else true_depth[last[1]]
        unsure = np.full((h, w), error, np.float32)
        world = world.expect(
            notice(world, context, clip.rgb[last[1]], depth, unsure, moving[last[1]].astype(np.float32))
        )
    for array in out.values():
        array.flush()
    beside.replace(folder)


class Lessons:
    """All lessons in a folder, as random batches on a device; with `changed`, those alone in which the light is ever
    another than clear noon's."""

    def __init__(
        self,
        folder: Path,
        preset: Preset,
        seed: int | tuple[int, ...] = 0,
        device: str = "cpu",
        changed: bool = False,
    ) -> None:
        self.preset, self.random, self.device = preset, np.random.default_rng(seed), torch.device(device)
        self.folders = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.endswith(".new"))
        if changed:
            self.folders = [p for p in self.folders if np.load(p / "setting.npy").any()]
        if not self.folders:
            raise ValueError(f"expected lessons in {folder}, found none: make them first")
        self.clips = [{f.stem: np.load(f, mmap_mode="r") for f in p.glob("*.npy")} for p in self.folders]
        if old := [p.name for p, clip in zip(self.folders, self.clips, strict=True) if "plain" not in clip]:
            raise ValueError(
                f"expected lessons with views of clear noon in {folder}, got {len(old)} of before those were kept, "
                f"such as {old[0]}: remove them and make them again"
            )
        chunks = np.array([len(clip["frames"]) for clip in self.clips])
        self.shares = chunks / chunks.sum()

    def any(self) -> dict[str, NDArray]:
        """One of the clips, the longer the likelier."""
        return self.clips[self.random.choice(len(self.clips), p=self.shares)]

    def codec_batches(self, size: int) -> Iterator[CodecBatch]:
        while True:
            rows = []
            for _ in range(size):
                clip = self.any()
                rows.append(codec_row(clip, int(self.random.integers(len(clip["frames"])))))
            yield CodecBatch(*(torch.stack(column) for column in zip(*rows, strict=True))).to(self.device)

    def flow_batches(self, size: int, run: int) -> Iterator[FlowBatch]:
        """Runs of `run` consecutive chunks; needs the latents that `encode_all` adds."""
        while True:
            rows = []
            for _ in range(size):
                clip = self.any()
                start = int(self.random.integers(len(clip["frames"]) - run + 1))
                rows.append(self.flow_row(clip, start, run))
            widest = max(len(r["past"]) for r in rows)
            for r in rows:
                for key in ("past", "past_action"):
                    pad = widest - len(r[key])
                    r[key] = np.concatenate([r[key], np.zeros((pad, *r[key].shape[1:]), np.float32)])
            b = {key: torch.from_numpy(np.stack([r[key] for r in rows])) for key in rows[0]}
            scene = Scene(
                *(
                    b[k].flatten(0, 1)
                    for k in ("view_latent", "coverage", "proxy", "to_clip", "from_clip", "action", "setting")
                )
            )
            batch = FlowBatch(b["past"], b["past_action"], b["slots"], b["ages"], b["cameras"], b["latent"], scene)
            yield batch.to(self.device)

    def flow_row(self, clip: dict[str, NDArray], start: int, run: int) -> dict[str, NDArray]:
        rows = slice(start, start + run)
        slots = clip["slots"][rows].astype(np.int64)
        union = np.unique(slots[slots >= 0])
        if len(union) == 0:
            union = np.array([0])
        index = np.where(slots >= 0, np.searchsorted(union, slots), -1)
        f = {
            k: clip[k][rows].astype(np.float32)
            for k in ("latent", "view_latent", "coverage", "proxy", "action", "setting")
        }
        # A model remembers what it has drawn. Were that always in the light that is told, it would learn the light from
        # memories alone, and one that has drawn clear noon would go on so, whatever it is told. So where the light is
        # another, some memories are of clear noon, as the state's view would be then.
        share = min(1.0, 2 * self.random.random()) if f["setting"].any() else 0.0
        before = self.random.random((len(union), 1, 1, 1)) < share
        return {
            "past": np.where(before, clip["plain_latent"][union], clip["latent"][union]).astype(np.float32),
            "past_action": clip["action"][union].astype(np.float32),
            "slots": index,
            "ages": clip["ages"][rows].copy(),
            "cameras": clip["cameras"][rows].copy(),
            "to_clip": clip["clip"][rows, 0].copy(),
            "from_clip": clip["clip"][rows, 1].copy(),
            **f,
        }

    def encode_all(self, encoder: Encoder) -> None:
        """Write each lesson's latents, of the frames and of the views."""
        for folder, clip in zip(self.folders, self.clips, strict=True):
            changed = clip["setting"].any(1)
            for source, name in (("frames", "latent"), ("view", "view_latent"), ("plain", "plain_latent")):
                chunks = clip[source]
                with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16):
                    latents = [
                        encoder(pictures(chunks[i : i + 4]).to(self.device)).float().cpu()
                        for i in range(0, len(chunks), 4)
                    ]
                array = torch.cat(latents).numpy().astype(np.float16)
                if source == "plain":  # nothing is kept of it where the view itself is of clear noon
                    array = np.where(changed[:, None, None, None], array, clip["view_latent"])
                path, beside = folder / f"{name}.npy", folder / f"{name}.new"
                with open(beside, "wb") as file:  # what is cut short is no lesson's field
                    np.save(file, array)
                beside.replace(path)
                clip[name] = np.load(path, mmap_mode="r")


def pictures(array: NDArray[np.uint8]) -> Tensor:
    """(..., H, W, 3) bytes to (..., 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.array(array)).movedim(-1, -3).float() / 255


def codec_row(clip: dict[str, NDArray], i: int) -> tuple[Tensor, ...]:
    """The fields of a `CodecBatch`, without the batch axis."""
    return (
        pictures(clip["frames"][i]),
        pictures(clip["view"][i]),
        torch.from_numpy(clip["confidence"][i].astype(np.float32)) / 255,
        torch.from_numpy(clip["view_depth"][i].astype(np.float32)),
        torch.from_numpy(clip["proxy"][i].astype(np.float32)),
        torch.from_numpy(clip["depth"][i].astype(np.float32)),
        torch.from_numpy(clip["moving"][i].astype(np.float32)),
    )
