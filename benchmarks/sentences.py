"""The table of words that comes with Perdure beside MiniLM whole, in OpenVINO.

    python benchmarks/sentences.py --minilm FOLDER

FOLDER is all-MiniLM-L6-v2. Both read 141 paraphrases of 47 deeds; told are how often they name the deed, how many
bytes they take, and how long a phrase takes on one thread (the median of some rounds, both in turns).
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import openvino as ov
import torch
from transformers import AutoModel, AutoTokenizer

from perdure.models.int8 import to_int8
from perdure.models.tokens import WORDS, Tokens
from perdure.recipes.words import judged, read_paraphrases

PARAPHRASES = Path(__file__).parent / "words" / "paraphrases.txt"
ROUNDS = 9
Meaning = Callable[[str], np.ndarray]


class Sentence(torch.nn.Module):
    """As sentence-transformers has it: the mean over the pieces, of length 1. Alone, so nothing is padding."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.model = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, attn_implementation="eager"
        )

    def forward(self, ids_1S: torch.Tensor) -> torch.Tensor:
        states = self.model(input_ids=ids_1S, attention_mask=torch.ones_like(ids_1S)).last_hidden_state
        return torch.nn.functional.normalize(states.mean(1), dim=-1)[0]


def main() -> None:
    parse = argparse.ArgumentParser()
    parse.add_argument("--minilm", type=Path, required=True)
    given = parse.parse_args()
    paraphrases = read_paraphrases(PARAPHRASES)
    texts = [text for of in paraphrases.values() for text in of]
    tokenizer: Any = AutoTokenizer.from_pretrained(given.minilm, local_files_only=True)
    sentence = Sentence(given.minilm).eval()
    example = torch.arange(1, 8).unsqueeze(0)
    with torch.no_grad():
        traced = torch.jit.trace(sentence, example, check_trace=False)
    read: dict[str, tuple[Meaning, int]] = {"table": (Tokens().meaning, WORDS.stat().st_size)}
    for name, hint, small in (("f32", "f32", False), ("bf16", "bf16", False), ("int8 weights", "bf16", True)):
        graph = ov.convert_model(traced, example_input=example, input=[("ids_1S", [1, -1])])
        if small:
            to_int8(graph)
        settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": 1}
        request = ov.Core().compile_model(graph, "CPU", settings).create_infer_request()

        def meaning(text: str, request: Any = request) -> np.ndarray:
            ids = np.array([tokenizer(text).input_ids], np.int64)
            return np.array(next(iter(request.infer([ids]).values())), np.float32)

        with tempfile.TemporaryDirectory() as scratch:
            ov.save_model(graph, Path(scratch) / "graph.xml", compress_to_fp16=hint != "f32")
            size = sum(file.stat().st_size for file in Path(scratch).iterdir())
        read[f"MiniLM, {name}"] = meaning, size
    with torch.no_grad():
        ids = torch.tensor([tokenizer(texts[0]).input_ids])
        error = float(np.abs(read["MiniLM, f32"][0](texts[0]) - sentence(ids).numpy()).max())
    told = {name: judged(meaning, paraphrases) | {"bytes": size} for name, (meaning, size) in read.items()}
    times: dict[str, list[float]] = {name: [] for name in read}
    for _ in range(ROUNDS):
        for name, (meaning, _) in read.items():
            start = perf_counter()
            for text in texts:
                meaning(text)
            times[name].append(1000 * (perf_counter() - start) / len(texts))
    for name, of in times.items():
        told[name] |= {"ms a phrase": median(of), "ms a phrase, best": min(of)}
    print(json.dumps({"error_to_torch": error} | told, indent=2))


if __name__ == "__main__":
    main()
