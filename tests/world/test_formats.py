"""Trajectories of others. What their programs do is told here again, in their own axes, as the oracle."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.camera import angles, apart, look, quaternion, rotation
from perdure.world.action import FRAMES_PER_CHUNK
from perdure.world.formats import HOME, Format, read, write
from perdure.world.trajectory import CHUNK, Trajectory, poses_from_keys
from tests.world.test_trajectory import free_walks, played

EXAMPLE = "w-10,a-10,d-10,iw-15,none-10,j-10,l-10,s-15"  # of LingBot-World's own manual
DOWN = HOME[:3, :3].T  # from our world to one of OpenCV's axes

lingbot_names = st.sets(st.sampled_from(("w", "s", "a", "d")), max_size=2).map("".join)
lingbot_names = st.tuples(lingbot_names, st.sampled_from(("", "i", "k", "j", "l", "ij"))).map("".join)
lingbot_names = lingbot_names.map(lambda n: "none" if not set(n) or {"w", "s"} <= set(n) or {"a", "d"} <= set(n) else n)
worldplay_names = st.sampled_from(("w", "s", "a", "d", "up", "down", "left", "right"))


def runs(names: st.SearchStrategy[str], between: str, count: int) -> st.SearchStrategy[str]:
    """Strings in which no two neighbours are the same, so that there is one way to write each."""
    items = st.lists(st.tuples(names, st.integers(1, count)), min_size=1, max_size=8)
    distinct = items.map(lambda got: [g for i, g in enumerate(got) if not i or sorted(g[0]) != sorted(got[i - 1][0])])
    return distinct.map(lambda got: between.join(f"{name}-{count}" for name, count in got))


def theirs(way: Trajectory) -> np.ndarray:
    """(N, 4, 4) the poses in a world whose first camera is the identity, y down."""
    out = way.poses.copy()
    out[:, :3] = DOWN @ way.poses[:, :3]
    return out


def turn(axis: int, angle: float) -> np.ndarray:
    """About x or y, right-handed, in OpenCV's axes."""
    c, s = math.cos(angle), math.sin(angle)
    out = np.eye(3)
    i, j = ((1, 2), (2, 0))[axis]
    out[i, i] = out[j, j] = c
    out[j, i], out[i, j] = s, -s
    return out


def lingbot(text: str) -> np.ndarray:
    """LingBot-World's rule, in its axes: 0.05 and 2 degrees a frame, yaw outside and pitch inside, on the flat."""
    pose, pitch, out = np.eye(4), 0.0, [np.eye(4)]
    for token in text.split(","):
        keys, count = token.split("-")
        held = set() if keys == "none" else set(keys)
        for _ in range(int(count)):
            rise = math.radians(2) * (("i" in held) - ("k" in held))
            rise = rise if abs(pitch + rise) <= math.radians(85) else 0.0
            pitch += rise
            turned = turn(1, math.radians(2) * (("l" in held) - ("j" in held))) @ pose[:3, :3] @ turn(0, rise)
            ahead, right = turned[:, 2] * (1, 0, 1), turned[:, 0] * (1, 0, 1)
            step = 0.05 * (("w" in held) - ("s" in held)) * ahead / np.linalg.norm(ahead)
            step = step + 0.05 * (("d" in held) - ("a" in held)) * right / np.linalg.norm(right)
            pose = np.block([[turned, (pose[:3, 3] + step)[:, None]], [np.zeros((1, 3)), np.ones((1, 1))]])
            out.append(pose)
    return np.stack(out)


def worldplay(text: str) -> np.ndarray:
    """HY-WorldPlay's rule, in its axes: 0.08 along and 3 degrees about the camera's own axes, a latent each."""
    pose, out = np.eye(4), [np.eye(4)]
    for token in text.split(","):
        key, count = token.strip().split("-")
        for _ in range(int(count)):
            pose = pose.copy()
            if key in ("up", "down"):
                pose[:3, :3] = pose[:3, :3] @ turn(0, math.radians(3 if key == "up" else -3))
            elif key in ("left", "right"):
                pose[:3, :3] = pose[:3, :3] @ turn(1, math.radians(3 if key == "right" else -3))
            else:
                axis, sign = {"w": (2, 1), "s": (2, -1), "d": (0, 1), "a": (0, -1)}[key]
                pose[:3, 3] += pose[:3, axis] * 0.08 * sign
            out.append(pose)
    return np.stack(out)


@settings(deadline=None)
@given(runs(lingbot_names, ",", 40))
def test_lingbot_strings_lead_where_lingbot_says(text: str):
    way = read(text, "lingbot")
    assert way.fps == 16
    np.testing.assert_allclose(theirs(way), lingbot(text), rtol=0, atol=1e-9)


@settings(deadline=None)
@given(runs(worldplay_names, ", ", 20))
def test_worldplay_strings_lead_where_worldplay_says(text: str):
    way = read(text, "worldplay")
    assert way.fps * 4 == 24, "a latent is four frames at 24 a second"
    np.testing.assert_allclose(theirs(way), worldplay(text), rtol=0, atol=1e-9)


def test_what_keys_mean_here():
    """w is ahead, a left, i up, j left; the axes are ours: yaw to the left, pitch upward."""
    way = read("w-10,a-10,none-1")
    assert way.poses[20, :3, 3] == pytest.approx((0.5, 0.5, 0.0))
    yaw, pitch = angles(read("i-5,j-10").poses[-1])
    assert (yaw, pitch) == pytest.approx((math.radians(20), math.radians(10)))
    end = read("up-2, w-5").poses[-1]
    assert end[:3, 3] == pytest.approx((0.4 * math.cos(math.radians(6)), 0, 0.4 * math.sin(math.radians(6))))
    assert angles(read("right-10").poses[-1])[0] == pytest.approx(math.radians(-30))


@settings(deadline=None, max_examples=50)
@given(runs(lingbot_names, ",", 20))
def test_a_lingbot_string_comes_back(text: str):
    way = read(text, "lingbot")
    again = write(way, "lingbot")
    np.testing.assert_allclose(read(again, "lingbot").poses, way.poses, rtol=0, atol=1e-9)
    ends = np.abs(angles(way.poses)[1]).max() > math.radians(83)  # there, keys that do nothing are left out
    spelled = [[(sorted(t.split("-")[0]), t.split("-")[1]) for t in s.split(",")] for s in (text, again)]
    assert ends or spelled[0] == spelled[1]


@settings(deadline=None, max_examples=50)
@given(runs(worldplay_names, ", ", 20))
def test_a_worldplay_string_comes_back(text: str):
    assert write(read(text, "worldplay"), "worldplay") == text


def test_the_manuals_examples(tmp_path: Path):
    assert write(read(EXAMPLE), "lingbot", tmp_path / "way.txt") == EXAMPLE.replace("iw", "wi")
    assert len(read(tmp_path / "way.txt").poses) == 91
    assert len(read("w-31", "worldplay").poses) == 32, "1 + 31 latents, which are 125 frames"
    assert read("w-31", "worldplay").seconds * 24 == 124
    assert write(read("w-2, right-1, d-2, up-4"), "worldplay") == "w-2, right-1, d-2, up-4"


@settings(deadline=None, max_examples=25)
@given(free_walks)
def test_folders_and_json_say_a_way_as_it_is(tmp_path_factory: pytest.TempPathFactory, actions: list):
    folder = tmp_path_factory.mktemp("way")
    way = Trajectory(poses_from_keys(actions, look(np.array([3.0, 1.0, 1.55]), 2.0, 0.1)))
    home = way.placed(HOME)
    again = read(write(way, "lingbot-folder", folder / "poses"))
    frames = np.arange(len(again.poses), dtype=np.float64) / 16
    np.testing.assert_allclose(again.placed(way.poses[0]).poses, way.at(frames), rtol=0, atol=1e-9)
    again = read(write(way, "worldplay-json"))
    np.testing.assert_allclose(again.poses, home.poses[::FRAMES_PER_CHUNK], rtol=0, atol=1e-9)
    again = read(write(way, "tum"))
    assert again.fps == 24
    np.testing.assert_allclose(again.poses, home.poses, rtol=0, atol=1e-7)


@pytest.mark.parametrize("up", [2, 1, 0])
def test_a_carried_camera_is_read_with_its_jitter_and_gaps(up: int):
    """Measured at uneven times, with roll, in a world whose up is any of its axes."""
    rng = np.random.default_rng(up)
    times = np.cumsum(rng.uniform(0.02, 0.03, 400)) + 1305031102.0
    poses = look(np.cumsum(rng.normal(0, 0.01, (400, 3)), 0), np.cumsum(rng.normal(0, 0.01, 400)), -0.2)
    roll = np.convolve(rng.normal(0, 0.1, 400), np.full(12, 1 / 12), "same")
    poses[:, :3, :3] = poses[:, :3, :3] @ rotation(np.array([[1.0, 0, 0, r] for r in roll]))
    theirs = np.eye(4)[[(2 - up + i) % 3 for i in range(3)] + [3]] @ poses  # the axes handed round: z comes to be `up`
    w, x, y, z = quaternion(theirs[:, :3, :3]).T
    rows = np.stack([times, *theirs[:, :3, 3].T, x, y, z, w], 1)
    kept = np.r_[0:100, 130:400]  # it was lost for a while
    lines = ["# ground truth", *(" ".join(f"{v:.6f}" for v in row) for row in rows[kept])]
    way = read("\n".join(lines))
    assert way.fps == pytest.approx(40, rel=0.05)
    assert way.seconds == pytest.approx(times[-1] - times[0], abs=0.03)
    moved, turned = apart(way.placed(poses[0]).at(times[kept] - times[0]), poses[kept])
    assert moved.max() < 0.02 and np.median(turned) < 0.01


def carried(seed: int) -> Trajectory:
    """A camera carried about and turned, that does not roll; its first pose looks down a little."""
    rng = np.random.default_rng(seed)
    yaw, pitch = np.cumsum(rng.normal(0, 0.1, 60)), rng.uniform(-0.5, 0.3, 60)
    return Trajectory(look(np.cumsum(rng.normal(0, 0.1, (60, 3)), 0), yaw, pitch), 16.0)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_what_is_level_is_found_in_a_world_of_any_axes(tmp_path_factory: pytest.TempPathFactory, seed: int):
    """Estimators leave a world as it comes, in single precision."""
    folder, way = tmp_path_factory.mktemp("way"), carried(seed)
    other = look(np.array([100.0, -300.0, 20.0]), *np.random.default_rng(seed).uniform(-3, 3, 2))
    np.save(folder / "poses.npy", (other @ way.poses).astype(np.float32))
    found = read(folder)
    moved, turned = apart(found.placed(way.poses[0]).poses, way.poses)
    assert moved.max() < 1e-3 and turned.max() < 1e-3


def test_intrinsics_are_fractions_of_their_pictures(tmp_path: Path):
    way = read(EXAMPLE)
    folder = Path(write(way, "lingbot-folder", tmp_path / "way"))
    assert np.load(folder / "intrinsics.npy")[0] == pytest.approx((542.1, 542.1, 416, 240), abs=0.1), "75 degrees"
    np.save(folder / "intrinsics.npy", np.tile((502.9, 503.1, 415.8, 239.8), (91, 1)))
    lens = read(folder).lens
    assert lens is not None
    np.testing.assert_allclose(lens[7], (502.9 / 832, 503.1 / 480, 415.8 / 832, 239.8 / 480))
    shot = {"extrinsic": np.eye(4).tolist(), "K": [[970, 0, 960], [0, 970, 540], [0, 0, 1]]}
    lens = read(json.dumps({"0": shot, "1": shot})).lens
    assert lens is not None
    np.testing.assert_allclose(lens, [(970 / 1920, 970 / 1080, 0.5, 0.5)] * 2)
    again = json.loads(write(Trajectory(np.stack([HOME, HOME]), 6.0, lens), "worldplay-json"))
    np.testing.assert_allclose(again["1"]["K"], shot["K"])


def test_a_folder_of_keys_is_the_string_of_them(tmp_path: Path):
    wasd, ijkl = np.zeros((2, 5, 4), np.float32)
    wasd[1:4, 0] = wasd[3, 1] = ijkl[4, 2] = 1
    np.save(tmp_path / "wasd_action.npy", wasd)
    np.save(tmp_path / "ijkl_action.npy", ijkl)
    np.save(tmp_path / "intrinsics.npy", np.tile((500.0, 500, 416, 240), (5, 1)))
    way = read(tmp_path)
    np.testing.assert_array_equal(way.poses, read("none-1,w-2,wa-1,k-1").poses)
    assert way.lens is not None and len(way.lens) == 6


def test_a_string_plays_here_and_ends_where_it_says():
    """At three times its scale LingBot-World's pace, 0.8 a second, is a walk; physics walks it, on free ground."""
    start = look(np.array([4.0, -2.0, 1.55]), 0.7, 0.0)
    way = read("w-32,j-24,w-16,kl-16,none-8,s-8").placed(start, 3.0)
    actions = way.walked()
    assert len(actions) == math.ceil(way.seconds / CHUNK)
    cameras = played(actions, start)
    moved, turned = apart(cameras[-1], way.poses[-1])
    assert turned < 1e-9 and moved < 0.55 * 2.4 * CHUNK
    chunks = cameras[::FRAMES_PER_CHUNK][: int(way.seconds / CHUNK)]
    moved, _ = apart(chunks, way.at(CHUNK * np.arange(len(chunks), dtype=np.float64)))
    assert moved.max() < 2.4 * CHUNK


def test_a_latent_of_worldplay_is_a_chunk_of_ours():
    start = look(np.array([0.0, 0.0, 1.55]), 0.0, 0.0)
    way = read("w-10, right-12, w-5, left-6").placed(start, 2.4 * CHUNK / 0.08)
    actions = way.walked()
    assert len(actions) == 33
    moved, turned = apart(played(actions, start)[::FRAMES_PER_CHUNK], way.poses)
    assert moved.max() < 1e-9 and turned.max() < 1e-6


def test_a_string_is_the_nearest_that_keys_can_say():
    way = carried(3).placed(HOME)
    again = read(write(way, "lingbot"))
    assert np.abs(again.poses[:, 2, 3]).max() == 0, "they cannot climb"
    spots, turn = np.outer(np.arange(100.0), (0.03, 0.01, 0)), np.linspace(0, 2, 100)
    slow = Trajectory(look(spots, turn, 0.2 * turn), 16)
    moved, turned = apart(read(write(slow, "lingbot")).poses, slow.poses)
    assert moved.max() < 0.71 * 0.05 and turned.max() < math.radians(1.5)


@pytest.mark.parametrize(
    ("text", "format", "message"),
    [
        ("w-10,x-3", None, "expected keys and counts like 'w-10,iw-15,none-10' .* got 'x-3'"),
        ("w-10,iw-3,up-2", None, "got 'up-2'"),
        ("", None, "got ''"),
        ("w10", None, "got 'w10'"),
        ("w-10", None, "a format beside 'w-10', which lingbot and worldplay both know"),
        ("w-10,,s-3", "lingbot", "a dash and a count, got ''"),
        ("iw-1.5", None, "a count of frames in 'iw-1.5', got '1.5'"),
        ("iw-0", None, "a count of frames in 'iw-0', got '0'"),
        ("iw-", None, "a count of frames in 'iw-', got ''"),
        ("up-many", None, "a count of latents in 'up-many', got 'many'"),
        ("none-3", "worldplay", "expected w, s, a, d, up, down, left, right, then a dash and a count, got 'none-3'"),
        ("W-3", "worldplay", "got 'W-3'"),
        ("iw-999999999999", None, "less than 100000 poses, got more at 'iw-999999999999'"),
        ("w-3", "mp4", "expected a format of lingbot, lingbot-folder, worldplay, worldplay-json, tum, got 'mp4'"),
        ("w-3", "lingbot-folder", "a folder with poses.npy in it, got 'w-3'"),
        ("{}", None, "expected 1 to 100000 poses as worldplay-json, got 0"),
        ('{"0": 3}', None, "expected poses as worldplay-json, got"),
        ('{"0": {"extrinsic": [[1]], "K": [[1]]}}', None, "expected 4x4 extrinsic and 3x3 K in pose '0'"),
        ("0 0 0 0 0 0 0 1\n1 0 0 x", None, "expected a time, a place and a quaternion, eight numbers, got '1 0 0 x'"),
        ("0 0 0 0 0 0 0 0", None, "a quaternion, eight numbers, got '0 0 0 0 0 0 0 0'"),
        ("# nothing", "tum", "expected 1 to 100000 poses as tum, got 0"),
        ("{", None, "expected poses as worldplay-json, got '{'"),
        ("no/such/place", None, "got 'no/such/place', which does not exist"),
        ("way.json", None, "got 'way.json', which does not exist"),
    ],
)
def test_broken_text_is_refused_in_one_line(text: str, format: Format | None, message: str):
    with pytest.raises(ValueError, match=message) as caught:
        read(text, format)
    assert "\n" not in str(caught.value)


def test_broken_files_are_refused_in_one_line(tmp_path: Path):
    def refused(message: str) -> None:
        with pytest.raises(ValueError, match=message) as caught:
            read(tmp_path)
        assert "\n" not in str(caught.value)

    refused("expected poses.npy .* got none")
    (tmp_path / "poses.npy").write_bytes(b"not an array")
    refused("expected an array of numbers in poses.npy, got another file")
    np.save(tmp_path / "poses.npy", np.array([{"a": 1}], dtype=object))
    refused("expected an array of numbers in poses.npy")
    np.save(tmp_path / "poses.npy", np.full((3, 4, 4), np.nan))
    refused("expected finite numbers of shape")
    np.save(tmp_path / "poses.npy", np.zeros((3, 3, 4)))
    refused(r"shape \(N, 4, 4\) .* in poses.npy, got \(3, 3, 4\)")
    np.save(tmp_path / "poses.npy", np.stack([np.eye(4), np.diag([1.0, 1, 2, 1])]))
    refused("pose 1: expected a rotation")
    np.save(tmp_path / "poses.npy", np.tile(np.eye(4), (9, 1, 1)))
    np.save(tmp_path / "intrinsics.npy", np.ones((3, 4)))
    refused("intrinsics for each of 9 poses in intrinsics.npy, got 3")
    (tmp_path / "way.bin").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"a trajectory as text in way\.bin"):
        read(tmp_path / "way.bin")


def test_a_camera_that_stands_is_more_than_a_worldplay_string_can_say():
    still = Trajectory(np.tile(HOME, (5, 1, 1)), 6.0)
    with pytest.raises(ValueError, match="one that stands in latent 1, which a worldplay string cannot say"):
        write(still, "worldplay")
    assert write(still, "lingbot") == "none-11"
    with pytest.raises(ValueError, match="expected a path for the folder"):
        write(still, "lingbot-folder")
