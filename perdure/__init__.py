"""Perdure: worlds that last. The world is explicit state; frames are observations of it."""

__version__ = "0.1.0.dev0"
