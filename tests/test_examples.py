"""The examples are the manual, so they run as they stand."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize(
    ("name", "made", "says"),
    [
        ("01_walk.py", "walk.png", "12 steps"),
        ("02_keep_and_fork.py", "home", "the same frames: True"),
        ("03_agent.py", "agent.png", "the same bytes again: True"),
        ("04_data.py", "clip.png", "the same way: True"),
    ],
)
def test_example(name: str, made: str, says: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), str(tmp_path / made)], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
    if made.endswith(".png"):
        with Image.open(tmp_path / made) as picture:
            assert picture.size == (4 * 256, 144)
