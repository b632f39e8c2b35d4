"""Edits: changes of the state that someone asks for, each a list of slots and their new values.

A slot names one field of the state ("entity/3/name"), a value is that field as bytes, None where there is none.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    slot: str
    value: bytes | None


@dataclass(frozen=True)
class Edit:
    changes: tuple[Change, ...]
    kind: str = "edit"
    actor: str = "player"
