"""The contact sheet holds all that it shows, bounded in size, and a browser draws it."""

import base64
import io
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perdure.bench.live import find_chromium
from perdure.data import shards, view
from perdure.data.clip import Clip
from perdure.data.dataset import Dataset
from perdure.data.profile import profile
from tests.data.test_profile import clip


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    one = clip()
    tags = {**one.tags, "note": "</script><b>"}
    film = Clip("film", "video", "unstated", 24.0, one.rgb, tags={"file": "</script><i>.mp4"})
    shards.write(folder / "shard-000000.tar", [replace(one, tags=tags), replace(one, name="two"), film])
    data = Dataset(folder)
    shown = view.write(data, folder / "page.html", [profile(it) for it in data], 2, "a <set>")
    assert shown == 2
    return folder / "page.html"


def test_the_page_holds_all_that_it_shows(sheet: Path):
    page = sheet.read_text()
    assert "</script><" not in page.replace("</script>\n<script>", "").replace("</script>\n</html>", "")
    assert not re.findall(r"(?:src|href)=\"?(?:https?:)?//|url\((?!\$)", page), "nothing from elsewhere"
    found = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S).group(1))  # type: ignore[union-attr]
    assert found["clips"] == 3 and found["title"] == "a <set>" and len(found["sources"]) == 2
    one, film = found["shown"]
    assert (one["name"], film["name"]) == ("one", "film"), "one of each source before two of any"
    assert one["told"][0]["who"] == "the red knight" and one["told"][0]["spans"][0][2] == "slam"
    assert [event[2] for event in one["events"]] == ["snow", "hit"]
    assert film["map"] is None and one["map"]["metres"]
    strip = one["strip"]
    picture = Image.open(io.BytesIO(base64.b64decode(strip["url"].partition(",")[2])))
    assert picture.size == (6 * strip["width"], 4 * strip["height"]) and strip["count"] == 24
    for it in found["shown"]:
        assert len(json.dumps(it)) < view.MOST * 1.01


def test_the_way_is_drawn_where_it_went():
    found = view.chart(clip())
    assert found is not None
    xs = [x for x, _, _ in found["way"]]
    assert xs[0] == 0 and xs[-1] == pytest.approx(4.8) and found["way"][-1][2] == pytest.approx(np.pi / 2, abs=0.01)
    x0, y0, x1, y1 = found["box"]
    assert x0 < 0 and x1 > 4.8 and y0 < 0 < y1
    assert found["picture"].startswith("data:image/png")


def test_clips_are_spread_over_sources_and_scenes():
    rows = [{"name": f"{source}{n}", "source": source, "scene": f"s{n % 3}", "view": "first"}
            for source in ("a", "b") for n in range(9)]  # fmt: skip
    chosen = view.spread(rows, 6)  # type: ignore[arg-type]
    assert sorted((str(row["source"]), str(row["scene"])) for row in chosen) == [
        (source, scene) for source in "ab" for scene in ("s0", "s1", "s2")
    ]
    assert len(view.spread(rows, 99)) == 18 and view.spread([], 3) == []  # type: ignore[arg-type]


def test_histograms_count_every_clip():
    rows = [{"name": str(n), "path": float(n) if n else None, "events": ["snow"] * n} for n in range(10)]
    found = view.histogram(rows, "path", "m")  # type: ignore[arg-type]
    assert found is not None and sum(found["bins"]) == 9 and found["unknown"] == 1 and found["median"] == 5
    counted = view.counts(rows, "events", "")  # type: ignore[arg-type]
    assert counted is not None and counted["counts"] == [("snow", 9)]
    assert view.histogram(rows[:1], "path", "m") is None  # type: ignore[arg-type]


@pytest.mark.skipif(find_chromium() is None, reason="needs Chromium: apt-get install chromium")
def test_a_browser_draws_it(sheet: Path, tmp_path: Path):
    command = [str(find_chromium()), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    drawn = subprocess.run(
        [*command, "--virtual-time-budget=500", "--dump-dom", sheet.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert drawn.count('<article class="clip"') == 2 and "2 of 3 clips shown" in drawn
    assert 'class="now" style="left:' in drawn and "slam" in drawn
