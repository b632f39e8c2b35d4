"""The commands, on worlds made from a small stand-in for a scene; the real ones are slow to found."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from websockets.sync.client import connect

from perdure import cli
from perdure.cli.worlds import FIRST
from perdure.data import founding
from perdure.memory.commit import commit
from perdure.presets.nano import Preset
from perdure.runtime import backends
from perdure.runtime import engine as runtime
from perdure.server.protocol import VERSION
from perdure.world.action import Action, Keys
from perdure.world.history import LATENT
from perdure.world.state import World
from perdure.world.store import Store

ROOT = Path(__file__).parents[1]

FLOOR = """
<mujoco>
  <option timestep="0.010416666666666666"/>
  <worldbody>
    <geom type="plane" size="20 20 1"/>
    <body name="player" gravcomp="1">
      <joint name="player_x" type="slide" axis="1 0 0"/>
      <joint name="player_y" type="slide" axis="0 1 0"/>
      <geom name="player" type="capsule" size="0.3" fromto="0 0 0.35 0 0 1.4" mass="60"/>
    </body>
  </worldbody>
</mujoco>
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and models and scenes that cost nothing."""

    def found_kind(kind: str, seed: int, preset: Preset, name: str, spots: int) -> World:
        if kind not in ("court", "hall", "rooms"):
            raise ValueError(f"expected a scene out of court, hall, rooms, got {kind!r}")
        return World.create(name, kind, seed, FLOOR, seed=seed)

    engine = SimpleNamespace(preset=None, backend=SimpleNamespace(fingerprint=lambda: {"weights": "abc"}))
    monkeypatch.setattr(runtime, "load", lambda: engine)
    monkeypatch.setattr(founding, "found_kind", found_kind)
    monkeypatch.setenv("PERDURE_HOME", str(tmp_path))
    return tmp_path


def run(*arguments: str) -> int:
    """The exit code of a command, as a shell would see it."""
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return int(ended.value.code or 0)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is said of a mistake: one line, and exit code 2."""
    capsys.readouterr()
    assert run(*arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def walk(home: Path, name: str, steps: int) -> World:
    with Store.open(home / name) as store:
        world = store.world()
        for _ in range(steps):
            action = Action(Keys.FORWARD)
            world = commit(world.advance(action), action, np.zeros(LATENT), store)
    return world


def test_a_world_from_making_it_to_forking_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ls") == 0
    assert "No worlds" in capsys.readouterr().out
    assert run("new", "garden", "--scene", "hall", "--seed", "7") == 0
    assert "perdure play garden" in capsys.readouterr().out
    world = walk(home, "garden", 3)

    assert run("info", "garden", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["scene"] == {"kind": "hall", "seed": 7}
    assert (facts["steps"], facts["state"], facts["head"]) == (3, world.state, world.head)
    assert facts["made with"] == {"weights": "abc"}

    assert run("fork", "garden", "snow", "--at", "2") == 0
    assert "step 2" in capsys.readouterr().out
    assert run("fork", "garden/snow", "ice") == 0
    assert "perdure play garden/ice" in capsys.readouterr().out
    assert run("ls", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["branches"] == {"main": 3, "snow": 2, "ice": 2}
    assert run("info", "garden/ice", "--json") == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 2


def test_listings_and_facts_for_a_person(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("new", "garden")
    walk(home, "garden", 6)
    run("fork", "garden", "snow")
    capsys.readouterr()
    assert run("ls") == 0
    first, second = capsys.readouterr().out.splitlines()[1:]
    assert first.split()[:5] == ["garden", "court", "0", "6", "0:01"]
    assert second.split()[:2] == ["garden/snow", "6"]
    assert run("info", "garden") == 0
    assert "made with weights" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("info", "nowhere"), "perdure new nowhere"),
        (("play", "nowhere", "--no-open", "--port", "0"), "perdure new nowhere"),
        (("fork", "nowhere", "snow"), "perdure new nowhere"),
        (("info", "garden/nothing"), "it has main"),
        (("fork", "garden", "main"), "another name"),
        (("fork", "garden", "snow", "--at", "9"), "a step in 0..0"),
        (("new", "garden"), "exists already"),
        (("new", "other", "--scene", "moon"), "court, hall, rooms"),
        (("new", "a b"), "letters, digits"),
        (("bench", "nothing"), "there are live"),
        (("eval", "nothing"), "there are return, movers and film"),
    ],
)
def test_mistakes_are_told_in_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    run("new", "garden")
    assert says in refused(capsys, *arguments)


def test_a_port_that_is_taken(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "another --port" in refused(capsys, "play", "--no-open", "--port", str(port))


def test_a_world_that_is_being_played_cannot_be_forked_from_outside(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("new", "garden")
    with Store.open(home / "garden"):
        assert "open for writing" in refused(capsys, "fork", "garden", "snow")
        assert run("info", "garden") == 0


def test_missing_weights_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected exported graphs"):
        backends.OpenVINO(tmp_path)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("perdure 0.")


@pytest.mark.skipif(not (backends.WEIGHTS / "weights.bin").exists(), reason="no weights are trained yet")
def test_play_shows_a_world_and_keeps_it(tmp_path: Path) -> None:
    """The real thing, as a person starts it: a world is made, drawn, walked in, and there afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = os.environ | {"PERDURE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "perdure.cli", "play", "--no-open", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as server:
        try:
            step = watch(port, server)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)
    with Store.open(tmp_path / FIRST, write=False) as store:
        assert store.world().step >= step > 1


def watch(port: int, server: "subprocess.Popen[str]") -> int:
    """Walk forward in the first world; the step of the first frame that is not of its first step."""
    await_listening(port, server)
    with connect(f"ws://127.0.0.1:{port}/ws", proxy=None) as page:
        page.send(json.dumps({"type": "hello", "version": VERSION}))
        page.send(json.dumps({"type": "open", "world": FIRST}))
        while True:
            message = page.recv(timeout=90)
            if isinstance(message, str):
                assert json.loads(message)["type"] != "error", message
                continue
            (length,) = struct.unpack_from("<I", message)
            header = json.loads(message[4 : 4 + length])
            if header["step"] > 1:
                return header["step"]
            page.send(json.dumps({"type": "input", "keys": 1, "turn": 0.0, "tilt": 0.0, "time": 0.0}))
            page.send(json.dumps({"type": "ack", "seq": header["seq"]}))


def await_listening(port: int, server: "subprocess.Popen[str]") -> None:
    """The first start also compiles what draws, so this may take a while."""
    until = time.monotonic() + 150
    while time.monotonic() < until:
        if server.poll() is not None:
            assert server.stderr is not None
            pytest.fail(f"the server ended with {server.returncode}: {server.stderr.read()}")
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.2)
    pytest.fail("the server did not listen within 150 s")
