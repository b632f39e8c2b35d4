"""Prompts as Wan reads them: what its text encoder makes of them, computed once and kept by hash.

The encoder is a large thing that is needed for a moment. A prompt's states are therefore written down, under a
name made of the prompt, the encoder and the precision; where all that is asked for is there already, the encoder
is not even read.

Shapes: P prompts, S tokens of a prompt with its padding, E channels of the encoder.
"""

import html
import os
import re
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import ftfy
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from perdure.models import pretrained
from perdure.models.tensors import finite

KEPT = 64  # prompts in memory: 0.3 GB at the longest, in half precision
SAMPLES, SAMPLE = 16, 65_536  # places at which a file of weights is looked at, and bytes of each


class PromptEncoder:
    """The text encoder and the tokenizer of a Wan folder (`text_encoder/`, `tokenizer/`), as diffusers lays it out."""

    def __init__(
        self,
        folder: Path,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
        length: int = 512,
        cache: Path | None = None,
    ) -> None:
        """`dtype` None is that of the files; a prompt is padded or cut to `length` tokens; what was encoded is kept
        in the folder `cache`, or below `~/.cache` unless one is given.
        """
        for part in ("text_encoder", "tokenizer"):
            if not (folder / part).is_dir():
                raise ValueError(f"expected a folder {part}/ in {folder}, as diffusers lays Wan out; found none")
        self.folder, self.device, self.dtype, self.length = folder, device, dtype, length
        self.cache = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "perdure" / "prompts"
        self.name = fingerprint(folder)
        self.held: OrderedDict[str, Tensor] = OrderedDict()  # (tokens, E) of prompts, without their padding
        self.loaded: tuple[Any, Any] | None = None  # tokenizer and encoder

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """(P, S, E): a state for each token of each prompt, then zeros."""
        if not prompts:
            raise ValueError("expected at least one prompt, got none")
        return torch.stack([self._padded(self._states(clean(prompt))) for prompt in prompts])

    def key(self, prompt: str) -> str:
        """Names what is kept of a prompt; prompts that read the same share it."""
        told = self.name, str(self.dtype), str(self.length), clean(prompt)
        return sha256("\0".join(told).encode()).hexdigest()

    def forget(self) -> None:
        """Let go of the encoder, not of what it made: it is read again when a new prompt comes."""
        self.loaded = None

    def _padded(self, states: Tensor) -> Tensor:
        out = states.new_zeros(self.length, states.shape[1])
        out[: len(states)] = states
        return out

    def _states(self, prompt: str) -> Tensor:
        key = self.key(prompt)
        if key not in self.held:
            self.held[key] = self._kept(self.cache / f"{key}.safetensors", prompt).to(self.device)
            while len(self.held) > KEPT:
                self.held.popitem(last=False)
        self.held.move_to_end(key)
        return self.held[key]

    def _kept(self, path: Path, prompt: str) -> Tensor:
        try:
            if finite(states := load_file(path)["states"]):
                return states
        except (OSError, KeyError, SafetensorError):
            pass  # not there, or cut short: it is made, and made again
        states = self._encode(prompt)
        if not finite(states):
            kind = f"{self.folder / 'text_encoder'} makes NaN or infinity of {prompt!r}, as {states.dtype}"
            raise ValueError(f"{kind}: it overflows, or was spoilt: take float32 or bfloat16, or fetch it again")
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}")  # and renamed, so that nobody reads half of it
        save_file({"states": states.cpu()}, beside)
        beside.replace(path)
        return states

    def _encode(self, prompt: str) -> Tensor:
        """(tokens, E). Padding is never shown to the encoder: its mask would only hide it again."""
        tokenizer, encoder = self.loaded = self.loaded or self._load()
        ids = tokenizer(prompt, max_length=self.length, truncation=True, return_tensors="pt").input_ids.to(self.device)
        with torch.no_grad():
            return encoder(ids, torch.ones_like(ids)).last_hidden_state[0].contiguous()

    def _load(self) -> tuple[Any, Any]:
        from transformers import AutoTokenizer, UMT5EncoderModel  # slow to import, and perhaps not needed

        try:
            tokenizer = AutoTokenizer.from_pretrained(self.folder / "tokenizer", local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"expected a tokenizer in {self.folder / 'tokenizer'}: {error}") from None
        # Of a whole UMT5 only the encoder is needed.
        told = {"beyond": ("decoder.", "lm_head."), "dtype": self.dtype or "auto"}
        return tokenizer, pretrained.opened(UMT5EncoderModel, self.folder / "text_encoder", self.device, **told)


def clean(prompt: str) -> str:
    """As Wan was taught to read prompts: characters mended, entities of HTML resolved, blanks made one."""
    return re.sub(r"\s+", " ", html.unescape(html.unescape(ftfy.fix_text(prompt)))).strip()


def fingerprint(folder: Path) -> str:
    """Tells one text encoder from another: small files are read whole, of large ones their size, and bytes here
    and there.
    """
    digest = sha256()
    for path in sorted(p for part in ("text_encoder", "tokenizer") for p in (folder / part).rglob("*") if p.is_file()):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder)}\0{size}\0".encode())
        with path.open("rb") as file:
            if size <= SAMPLES * SAMPLE:
                digest.update(file.read())
                continue
            for i in range(SAMPLES):
                file.seek((size - SAMPLE) * i // (SAMPLES - 1))
                digest.update(file.read(SAMPLE))
    return digest.hexdigest()
