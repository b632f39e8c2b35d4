"""The names of what is kept in a home folder.

A name is a world's, or a fork's: a fork is played, forked and listed like any world, and only its
listing says where it came from. So names are unique in a home.
"""

from dataclasses import dataclass
from pathlib import Path

from perdure.world.store import Store, list_worlds

MAIN = "main"  # the branch that a world begins with


@dataclass(frozen=True)
class Listing:
    name: str
    scene: str
    seed: int
    steps: int
    parent: str | None  # the world that it was forked from
    size: int  # bytes on the disk; a fork shares its world's
    modified: float  # seconds since 1970


def listings(home: Path) -> list[Listing]:
    """Every world of a home by name, each followed by its forks."""
    out: list[Listing] = []
    for kept in list_worlds(home):
        scene, seed = kept.scene
        modified = max(path.stat().st_mtime for path in kept.folder.iterdir())
        for branch, steps in kept.branches.items():
            name, parent = (kept.name, None) if branch == MAIN else (branch, kept.name)
            out.append(Listing(name, scene, seed, steps, parent, kept.size, modified))
    return out


def find(home: Path, name: str) -> tuple[Path, str]:
    """The folder and the branch that a name means."""
    if (home / name / "world.db").is_file():
        return home / name, MAIN
    for kept in list_worlds(home):
        if name in kept.branches and name != MAIN:
            return kept.folder, name
    raise ValueError(f"no world named {name!r} in {home}: make one with `perdure new {name}`, or see `perdure ls`")


def refuse_taken(home: Path, name: str) -> None:
    """Raise `ValueError` if something is called so already."""
    if name == MAIN or any(name == listing.name for listing in listings(home)):
        raise ValueError(f"the name {name!r} is taken in {home}: choose another, or see `perdure ls`")


def fork(home: Path, source: str, name: str, at: int | None = None) -> int:
    """Fork the world or fork `source` after step `at`, its last unless said. Gives the step."""
    folder, branch = find(home, source)
    refuse_taken(home, name)
    with Store.open(folder, branch) as store:
        step = store.branches()[branch] if at is None else at
        return store.fork(branch, step, name).step
