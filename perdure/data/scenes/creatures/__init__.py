"""Creatures: ten kinds of body, and what each can do.

    populate(blocks, rng, homes, 3.0, ["knight", "golem", "crab"])

A creature is a mocap root body and mocap parts that hang on it or on one another; +x is forward, z up.
"""

from perdure.data.scenes.creatures.kinds import KINDS, built, deeds, described, figure, name, populate, surfaces
from perdure.data.scenes.creatures.vocabulary import VOCABULARY

__all__ = ["KINDS", "VOCABULARY", "built", "deeds", "described", "figure", "name", "populate", "surfaces"]
