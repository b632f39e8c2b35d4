"""The vocabulary of deeds, in tiers: how much of one creature's motion says about another's.

Whoever learns to act from some creatures is to be asked of others: what all do; what one group does and nothing like
it the other; what is the same motion in another style; and what has the same name and takes another time or reach.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    kinds: tuple[str, ...]
    deeds: tuple[str, ...]  # that nobody outside it has anything like


@dataclass(frozen=True)
class Style:
    """One motion twice: the second's curves are the first's in a mirror, or the same, and leave a trail of light."""

    deed: str
    plain: str
    styled: str
    mirrored: bool


@dataclass(frozen=True)
class Vocabulary:
    shared: tuple[str, ...]  # by every kind
    groups: Mapping[str, Group]
    styles: tuple[Style, ...]
    contrasts: Mapping[str, tuple[str, str]]  # one name; the quick or far kind first, then the slow or near one


VOCABULARY = Vocabulary(
    shared=("idle", "walk", "run", "turn left", "turn right", "leap", "wave", "dance", "sit", "hit", "die"),
    groups={
        "armed": Group(("knight", "mage", "golem"), ("slam", "sweep", "thrust", "throw", "block", "grab", "drop")),
        "wild": Group(
            ("serpent", "crab", "bird", "frog", "strider"),
            ("strike", "coil", "lash", "rattle", "pinch", "clap", "hide", "peck", "fly", "glide", "flutter", "swoop",
             "tongue", "pounce", "rear", "kick", "butt"),
        ),
    },
    styles=(
        Style("slam", "knight", "mage", True),
        Style("sweep", "knight", "mage", True),
        Style("thrust", "knight", "mage", True),
    ),
    contrasts={
        "slam": ("knight", "golem"),
        "sweep": ("knight", "golem"),
        "thrust": ("knight", "golem"),
        "throw": ("knight", "golem"),
        "leap": ("frog", "golem"),
        "rise": ("bird", "golem"),
    },
)  # fmt: skip
