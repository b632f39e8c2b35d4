"""A data set on the disk: shards in a folder, read clip by clip when they are asked for."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from perdure.data.choosing import Choice, choose
from perdure.data.clip import Clip
from perdure.data.profile import Row, profiles
from perdure.data.shards import Place, Sheet, arrays_of, clip_of, places, taken

SHARDS = "shard-*.tar"

T = TypeVar("T")


class TwoOfAName(ValueError):
    """Clips that cannot be told apart."""


class Damaged(ValueError):
    """A clip that cannot be read: which, and in which shard."""


class Dataset:
    """The clips of a folder and of those below it, in order.

    data = Dataset("data/playground")
    for clip in data: ...
    clip = data["playground-000007"]
    some = Dataset("data", where="sharpness > 40 and 'snow' in events")
    """

    def __init__(self, folder: str | Path, where: str = "") -> None:
        self.folder = Path(folder)
        self.shards = sorted(self.folder.rglob(SHARDS))
        if not self.shards:
            raise ValueError(f"expected shards in {folder}, found none: make some with `perdure data make`")
        self._places: dict[str, dict[str, Place]] = {}
        self.broken: dict[Path, str] = {}
        """Shards that are damaged, and how: of theirs the clips before that are here."""
        for shard in self.shards:
            try:
                self._add(shard)
            except TwoOfAName:
                raise
            except ValueError as error:
                self.broken[shard] = str(error)
        if not self._places:
            raise ValueError(next(iter(self.broken.values())))
        self.chosen: Choice | None = None
        """What of the folder was chosen by `where`, if that was said."""
        if where:
            self.chosen = chosen = choose(self.profiles(), where)
            if not chosen.kept:
                raise ValueError(f"no clip of {len(self)} in {folder} is left by {where!r}: see `perdure data profile`")
            self._places = {name: self._places[name] for name in chosen.kept}

    def _add(self, shard: Path) -> None:
        for name, found in places(shard):
            if name in self._places:
                other = self._places[name]["json"][0]
                raise TwoOfAName(f"two clips are named {name}, in {other} and {shard}: read their folders apart")
            self._places[name] = found

    def profiles(self) -> list[Row]:
        """The profiles of these clips, in their order."""
        rows = {row["name"]: row for row in profiles(self.folder, self.shards)}
        lacks = [name for name in self._places if name not in rows]
        if lacks:
            raise ValueError(f"{lacks[0]} has no profile: `perdure data profile {self.folder} --again` makes it")
        return [rows[name] for name in self._places]

    @property
    def names(self) -> list[str]:
        return list(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __getitem__(self, which: str | int) -> Clip:
        return self._read(which, lambda found: clip_of({kind: taken(place) for kind, place in found.items()}))

    def __iter__(self) -> Iterator[Clip]:
        return map(self.__getitem__, self.names)

    clips = __iter__

    def sheet(self, which: str | int) -> Sheet:
        """All of a clip but its arrays."""
        return self._read(which, lambda found: Sheet.from_json(taken(found["json"])))

    def sheets(self) -> Iterator[Sheet]:
        return map(self.sheet, self.names)

    def arrays(
        self, which: str | int, only: str = ""
    ) -> tuple[NDArray[np.float64] | None, dict[int, dict[str, NDArray[Any]]]]:
        """Poses and states of a clip, without its pictures; states `only` of that name, if one is said."""
        return self._read(which, lambda f: arrays_of({"npz": taken(f["npz"])} if "npz" in f else {}, only))

    def _read(self, which: str | int, how: Callable[[Mapping[str, Place]], T]) -> T:
        found = self.files(which)
        try:
            return how(found)
        except Exception as error:  # of msgspec, numpy, zlib or FFmpeg, whatever is damaged
            shard = next(iter(found.values()))[0]
            name = self.names[which] if isinstance(which, int) else which
            raise Damaged(f"{name} in {shard} is damaged ({type(error).__name__}: {error})") from error

    def files(self, which: str | int) -> Mapping[str, Place]:
        """Where the files of a clip lie."""
        name = self.names[which] if isinstance(which, int) else which
        if name not in self._places:
            first = ", ".join(self.names[:3])
            raise ValueError(f"no clip named {name!r} in {self.folder}: it has {len(self)}, the first are {first}")
        return self._places[name]
