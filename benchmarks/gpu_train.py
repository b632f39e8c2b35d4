"""Make data and train `nano` in one sitting where a GPU is at hand: under 25 minutes, figures as JSON.

    python benchmarks/gpu_train.py --runs RUNS --out WEIGHTS

Lessons are made by all processor cores at once, then codec, decoder and transformer train on the
GPU, and the graphs are exported. Without a GPU it says so and does nothing.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from perdure.presets.nano import nano
from perdure.recipes.nano import Recipe, encode_latents, export_graphs, train_codec, train_decoder, train_flow

MINUTES = {"lessons": 6.0, "codec": 6.5, "decoder": 4.0, "flow": 6.0}


def make_lessons(runs: Path, clips: int, minutes: float) -> int:
    """One process a core; stopped when the time is up, since a lesson that stands is whole."""
    shares = max(1, (os.cpu_count() or 2) - 1)
    command = [sys.executable, "-m", "perdure.recipes.nano", "lessons", "--runs", str(runs), "--clips", str(clips)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([*command, "--share", str(i), "--shares", str(shares), "--threads", "1"], env=env)
        for i in range(shares)
    ]
    end = time.monotonic() + 60 * minutes
    for process in processes:
        try:
            process.wait(max(1.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
    return sum(1 for p in (runs / "lessons").iterdir() if p.suffix != ".new")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--runs", type=Path, required=True, help="folder for lessons and checkpoints; tens of gigabytes"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the exported graphs")
    parser.add_argument("--clips", type=int, default=700)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no GPU here: train on the processor with `python -m perdure.recipes.nano all --runs RUNS`")
    torch.backends.cudnn.benchmark = True
    base = Recipe(nano())
    recipe = replace(
        base,
        device="cuda",
        codec=replace(base.codec, minutes=MINUTES["codec"]),
        decoder=replace(base.decoder, minutes=MINUTES["decoder"]),
        flow=replace(base.flow, minutes=MINUTES["flow"]),
        codec_batch=32,
        flow_batch=16,
    )
    figures: dict[str, object] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    figures["lessons"] = make_lessons(options.runs, options.clips, MINUTES["lessons"])
    for stage in (train_codec, encode_latents, train_decoder, train_flow):
        start = time.monotonic()
        stage(recipe, options.runs)
        figures[stage.__name__ + "_minutes"] = round((time.monotonic() - start) / 60, 2)
        torch.cuda.empty_cache()
    for run in ("codec", "decoder", "flow"):
        figures[run] = json.loads((options.runs / run / "log.jsonl").read_text().splitlines()[-1])
    export_graphs(recipe, options.runs, options.out)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
