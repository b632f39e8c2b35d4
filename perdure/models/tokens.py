"""Words as `nano` hears them: a vector for each piece of a word, looked up in a table that comes with Perdure.

Vectors that mean alike lie near each other, so that words that were never learnt are heard as those that were;
how the table came about, and how well it does, is in `recipes/words.py`. Nothing of it needs torch, and nothing
depends on the processor: equal words are equal bytes everywhere.

Shapes: V pieces known, S pieces of a text, E channels.
"""

import re
import unicodedata
import zipfile
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

WORDS = Path(__file__).parent.parent / "weights" / "words.npz"


class Tokens:
    """A table of vectors, and the pieces that words are cut into."""

    def __init__(self, path: Path = WORDS) -> None:
        try:
            with path.open("rb") as file, np.load(file) as kept:
                pieces, self.codes, self.scales = kept["pieces"].tobytes(), kept["codes"], kept["scales"]
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"expected a table of words in {path}, got none: {error}") from None
        self.pieces = {piece: i for i, piece in enumerate(pieces.decode().split("\n"))}
        v, _ = self.codes.shape
        if self.codes.dtype != np.int8 or self.scales.shape != (v,) or len(self.pieces) != v:
            raise ValueError(
                f"expected a code of bytes and a scale for each piece in {path}, got {self.codes.shape} "
                f"{self.codes.dtype}, {self.scales.shape} and {len(self.pieces)} pieces"
            )
        self.name = sha256(pieces + self.codes.tobytes() + self.scales.tobytes()).hexdigest()[:16]

    @property
    def width(self) -> int:
        return self.codes.shape[1]

    def __call__(self, text: str) -> F32:
        """(S, E), in the order of the words; what is in no way known is left out."""
        rows = [self.pieces[piece] for word in words(text) for piece in cut(word, self.pieces)]
        return self.codes[rows].astype(np.float32) * self.scales[rows, None].astype(np.float32)

    def meaning(self, text: str) -> F32:
        """(E,) of the text as a whole, of length 1; zeros where none of it is known."""
        total = self(text).sum(0, dtype=np.float32)
        return total / max(float(np.linalg.norm(total)), 1e-9)


def words(text: str) -> list[str]:
    """Lower case, without accents; marks are words of their own."""
    plain = unicodedata.normalize("NFD", text.lower())
    plain = "".join(c for c in plain if unicodedata.category(c) != "Mn")
    return re.findall(r"[^\W_]+|[^\w\s]|_", plain)


def cut(word: str, pieces: dict[str, int]) -> list[str]:
    """The longest piece that is known first, then the longest of what is left, marked as going on; none if it ends
    in nothing known.
    """
    out: list[str] = []
    while word:
        mark = "##" if out else ""
        end = next((n for n in range(len(word), 0, -1) if mark + word[:n] in pieces), 0)
        if not end:
            return []
        out.append(mark + word[:end])
        word = word[end:]
    return out


@lru_cache(maxsize=1)
def table() -> Tokens:
    """That which comes with Perdure."""
    return Tokens()
