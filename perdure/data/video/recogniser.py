"""The recogniser: learns on engine clips who does what, and says it of video of the same world in which nobody told.

For each entity and chunk it looks at eight frames about it, cut to the entity and shrunk, with marks of what is it and
what is another, and at how it moved; a small network says which of the commands that it was taught that is. In video
without an entity map, pixels are given to entities by their colours, as engine clips have taught them (`Spotter`).

What it says is a guess: a clip that it labels has the tag `commands`: "recognised", and the agreement as measured.

Shapes: N frames, S chunks, T frames of a window, H W picture, E edge of a cut, B samples, C words.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from perdure.data.clip import SKY, Clip
from perdure.world.action import FRAMES_PER_CHUNK

WINDOW, EARLY = 8, 1  # frames that are looked at, and how many of them before the chunk
EDGE = 32  # pixels of a cut, either way
ROOM = 1.6  # sizes of the entity that a cut is wide
PLANES = WINDOW * 5  # red, green, blue, itself, others
NUMBERS = WINDOW * 6  # where it is, where the next one is, and how large it is, in each frame
OFTEN = 20  # samples of a word without which it is not learned
BINS = 16  # of each colour, for a spotter
SAME = 12  # levels by which what never changes may differ, for the codec's sake
LIKELY = 0.3  # share of a colour's pixels that are of an entity, for one to be taken for it
BATCH = 64
RATE = 2e-3

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Sample:
    """One entity in one chunk, as the network sees it."""

    planes: U8  # (PLANES, E, E)
    numbers: F32  # (NUMBERS,)


class Net(nn.Module):
    def __init__(self, words: int) -> None:
        super().__init__()
        sizes = (PLANES, 48, 64, 96)
        self.look = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in pairwise(sizes))
        self.mix = nn.Linear(96 * (EDGE // 8) ** 2 + NUMBERS, 192)
        self.say = nn.Linear(192, words)

    def forward(self, planes: Tensor, numbers: Tensor) -> Tensor:
        x = planes.float() / 127.5 - 1
        for layer in self.look:
            x = F.relu(layer(x))
        x = F.relu(self.mix(torch.cat([x.flatten(1), numbers], 1)))
        return self.say(F.dropout(x, 0.2, self.training))


@dataclass(frozen=True, eq=False)
class Spotter:
    """Whose a pixel is, by its colour alone: what engine clips have shown of each entity and of all else."""

    entities: tuple[int, ...]
    share: F32  # (BINS^3, 1 + entities) of pixels of a colour; nobody first
    sizes: NDArray[np.int64]  # (entities, 2) usual width and height

    @classmethod
    def taught(cls, clips: Sequence[Clip]) -> "Spotter":
        maps = [(clip, clip.entity) for clip in clips if clip.entity is not None]
        entities = tuple(sorted({actor.entity for clip, _ in maps for actor in clip.cast}))
        counts = np.zeros((BINS**3, 1 + len(entities)))
        boxes: dict[int, list[F32]] = {entity: [np.ones((1, 4), np.float32)] for entity in entities}
        for clip, entity in maps:
            colours, who, changing = _colour(clip.rgb[::8]), entity[::8], _changing(clip.rgb)
            nobody = ~np.isin(who, [1 + e for e in entities]) & changing
            counts[:, 0] += np.bincount(colours[nobody], minlength=BINS**3)
            for i, e in enumerate(entities):
                mine = who == 1 + e
                counts[:, 1 + i] += np.bincount(colours[mine], minlength=BINS**3)
                boxes[e].append(_boxes(mine))
        sizes = [np.quantile(all_[all_[:, 2] > 0, 2:], 0.9, 0) for all_ in map(np.concatenate, boxes.values())]
        share = (counts / np.maximum(counts.sum(1, keepdims=True), 1)).astype(np.float32)
        return cls(entities, share, np.ceil(sizes).astype(np.int64).reshape(-1, 2))

    def __call__(self, rgb: U8) -> U8:
        """(N, H, W) an entity map: of each entity, what is of its colours where those are densest."""
        out = np.zeros(rgb.shape[:3], np.uint8)
        colours, changing = _colour(rgb), _changing(rgb)
        for i, (entity, (width, height)) in enumerate(zip(self.entities, self.sizes)):
            likely = self.share[:, 1 + i][colours] * changing
            total = np.pad(likely, ((0, 0), (1, 0), (1, 0))).cumsum(1).cumsum(2)
            width, height = min(width, rgb.shape[2]), min(height, rgb.shape[1])
            sums = total[:, height:, width:] - total[:, :-height, width:] - total[:, height:, :-width]
            sums = (sums + total[:, :-height, :-width]).reshape(len(rgb), -1)
            tops, lefts = np.divmod(sums.argmax(1), rgb.shape[2] - width + 1)
            for frame, (top, left) in enumerate(zip(tops, lefts)):
                part = slice(top, top + height), slice(left, left + width)
                out[frame][part][likely[frame][part] > LIKELY] = 1 + entity
        return out


def _changing(rgb: U8) -> NDArray[np.bool_]:
    """(H, W) where a film is not always the same: nobody stands where it is, as on the rim of a screen."""
    return (rgb.max(0).astype(np.int16) - rgb.min(0) > SAME).any(-1)


def _colour(rgb: U8) -> NDArray[np.int64]:
    small = (rgb // (256 // BINS)).astype(np.int64)
    return (small[..., 0] * BINS + small[..., 1]) * BINS + small[..., 2]


def samples(clip: Clip, entity_map: U8, entity: int) -> list[Sample | None]:
    """(S,) what the network sees of an entity in each chunk; None where it is not in view."""
    mine = entity_map == 1 + entity
    others = (entity_map > 0) & (entity_map < SKY) & ~mine
    boxes, near = _boxes(mine), _boxes(others)
    n, h, w = entity_map.shape
    out: list[Sample | None] = []
    for chunk in range(n // FRAMES_PER_CHUNK):
        at = np.clip(np.arange(WINDOW) - EARLY + chunk * FRAMES_PER_CHUNK, 0, n - 1)
        seen = boxes[at]
        there = seen[:, 2] > 0
        if there.sum() < WINDOW // 2:
            out.append(None)
            continue
        middle = seen[there, :2].mean(0)
        size = max(float(seen[there, 2:].max()) * ROOM, 12.0)
        y = np.clip(np.rint(middle[1] + (np.arange(EDGE) + 0.5) / EDGE * size - 0.5 * size), 0, h - 1).astype(int)
        x = np.clip(np.rint(middle[0] + (np.arange(EDGE) + 0.5) / EDGE * size - 0.5 * size), 0, w - 1).astype(int)
        cut = np.ix_(at, y, x)
        marks = [255 * m[cut].astype(np.uint8)[:, None] for m in (mine, others)]
        planes = np.concatenate([clip.rgb[cut].transpose(0, 3, 1, 2), *marks], 1).reshape(PLANES, EDGE, EDGE)
        place = np.where(there[:, None], (seen[:, :2] - middle) / size, 0)
        known = near[at][:, 2:3] > 0
        away = np.where(known, np.clip((near[at][:, :2] - middle) / size, -4, 4), 0)
        numbers = np.concatenate([4 * place, away, seen[:, 2:] / size], 1)
        out.append(Sample(planes, numbers.astype(np.float32).ravel()))
    return out


def _boxes(mask: NDArray[np.bool_]) -> F32:
    """(N, 4) the middle, width and height of what is marked in each frame; 0 where nothing is."""
    out = np.zeros((len(mask), 4), np.float32)
    for frame, marked in enumerate(mask):
        rows, columns = np.flatnonzero(marked.any(1)), np.flatnonzero(marked.any(0))
        if len(rows):
            size = columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
            out[frame] = columns[0] + 0.5 * size[0], rows[0] + 0.5 * size[1], *size
    return out


@dataclass(frozen=True, eq=False)
class Recogniser:
    words: tuple[str, ...]
    net: Net
    spotter: Spotter
    measured: float | None = None  # its agreement with clips that it was not taught on, without entity maps

    @classmethod
    def taught(cls, clips: Sequence[Clip], epochs: int = 6, seed: int = 0) -> "Recogniser":
        """A recogniser of the commands of these clips; the same clips and seed give the same."""
        found, said = list[Sample](), list[str]()
        for clip in clips:
            if clip.entity is None:
                continue
            for entity, words in clip.commands.items():
                for sample, word in zip(samples(clip, clip.entity, entity), words):
                    if sample is not None and word:
                        found.append(sample)
                        said.append(word)
        counts = Counter(said)
        words = tuple(sorted(word for word, count in counts.items() if count >= OFTEN))
        if len(words) < 2:
            raise ValueError(f"expected clips with at least two commands {OFTEN} times each, got {dict(counts)}")
        kept = [i for i, word in enumerate(said) if word in words]
        planes = torch.from_numpy(np.stack([found[i].planes for i in kept]))
        numbers = torch.from_numpy(np.stack([found[i].numbers for i in kept]))
        truth = torch.tensor([words.index(said[i]) for i in kept])
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            net = Net(len(words))
            optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.01)
            steps = epochs * -(-len(kept) // BATCH)
            rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
            for _ in range(epochs):
                for some in torch.randperm(len(kept)).split(BATCH):
                    loss = F.cross_entropy(net(planes[some], numbers[some]), truth[some])
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
                    rate.step()
        return cls(words, net.eval(), Spotter.taught(clips))

    def __call__(self, clip: Clip, entities: Sequence[int] | None = None) -> dict[int, tuple[str, ...]]:
        """For each entity S commands in words, "" where it is not in view.

        Without an entity map the spotter's is taken, and without `entities` those that it knows.
        """
        seen = self.spotter(clip.rgb) if clip.entity is None else clip.entity
        if entities is None:
            entities = self.spotter.entities if clip.entity is None else [actor.entity for actor in clip.cast]
        out: dict[int, tuple[str, ...]] = {}
        for entity in entities:
            looks = samples(clip, seen, entity)
            there = [i for i, sample in enumerate(looks) if sample is not None]
            said = [""] * len(looks)
            for start in range(0, len(there), BATCH):
                some = there[start : start + BATCH]
                planes = torch.from_numpy(np.stack([looks[i].planes for i in some]))  # type: ignore[union-attr]
                numbers = torch.from_numpy(np.stack([looks[i].numbers for i in some]))  # type: ignore[union-attr]
                with torch.inference_mode():
                    for i, word in zip(some, self.net(planes, numbers).argmax(1).tolist()):
                        said[i] = self.words[word]
            out[entity] = tuple(said)
        return out

    def labelled(self, clip: Clip) -> Clip:
        """A clip with its commands as the recogniser has them, and how far that is to be trusted."""
        known = "unmeasured" if self.measured is None else f"{self.measured:.3f}"
        return replace(clip, commands=self(clip), tags={**clip.tags, "commands": "recognised", "agreement": known})

    def save(self, path: Path) -> None:
        spotter = {"entities": list(self.spotter.entities), "share": torch.from_numpy(self.spotter.share),
                   "sizes": torch.from_numpy(self.spotter.sizes)}  # fmt: skip
        whole = {"words": list(self.words), "net": self.net.state_dict(), "spotter": spotter, "measured": self.measured}
        torch.save(whole, path)

    @classmethod
    def load(cls, path: Path) -> "Recogniser":
        try:
            kept = torch.load(path, weights_only=True)
        except (OSError, RuntimeError, UnpicklingError):
            raise ValueError(f"expected a recogniser that was kept by `perdure eval recogniser`, got {path}") from None
        net = Net(len(kept["words"]))
        net.load_state_dict(kept["net"])
        known = kept["spotter"]
        spotter = Spotter(tuple(known["entities"]), known["share"].numpy(), known["sizes"].numpy())
        return cls(tuple(kept["words"]), net.eval(), spotter, kept["measured"])


def confused(said: Sequence[Mapping[int, tuple[str, ...]]], true: Sequence[Clip], most: int = 5) -> list[str]:
    """What is mistaken for what, the commonest first."""
    counts = Counter(
        (theirs, mine)
        for found, clip in zip(said, true)
        for entity, words in clip.commands.items()
        for mine, theirs in zip(found.get(entity, [""] * len(words)), words)
        if theirs and mine != theirs
    )
    return [f"{mine!r} for {theirs!r}: {count}" for (theirs, mine), count in counts.most_common(most)]


def agreement(said: Sequence[Mapping[int, tuple[str, ...]]], true: Sequence[Clip]) -> dict[str, float]:
    """Of the chunks of clips whose commands are known, the share in which what was said is the very same."""
    pairs = [
        (mine, theirs)
        for found, clip in zip(said, true)
        for entity, words in clip.commands.items()
        for mine, theirs in zip(found.get(entity, [""] * len(words)), words)
        if theirs
    ]
    if not pairs:
        raise ValueError("expected clips in which somebody is told to do something")
    counts = Counter(theirs for _, theirs in pairs)
    right = Counter(theirs for mine, theirs in pairs if mine == theirs)
    return {
        "agreement": sum(right.values()) / len(pairs),
        "mean_over_words": float(np.mean([right[word] / count for word, count in counts.items()])),
        "always_the_commonest": max(counts.values()) / len(pairs),
        "chunks": float(len(pairs)),
        "words": float(len(counts)),
    }
