"""Making worlds, listing them, saying what they are, playing them; a small stand-in for a scene is quick to found."""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from websockets.sync.client import connect

from perdure.cli.worlds import FIRST
from perdure.memory.commit import commit
from perdure.runtime import backends
from perdure.runtime import engine as runtime
from perdure.server import app
from perdure.server.protocol import VERSION
from perdure.world.action import Action, Keys
from perdure.world.history import LATENT
from perdure.world.prune import Policy, set_policy
from perdure.world.state import World
from perdure.world.store import Store
from tests.cli.desk import Said, refused, run, said

ROOT = Path(__file__).parents[2]


def walk(home: Path, name: str, steps: int) -> World:
    with Store.open(home / name) as store:
        world = store.world()
        for _ in range(steps):
            action = Action(Keys.FORWARD)
            world = commit(world.advance(action), action, np.zeros(LATENT), store)
    return world


def test_a_world_from_making_it_to_forking_it(home: Path, capsys: Said) -> None:
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


def test_listings_and_facts_for_a_person(home: Path, capsys: Said) -> None:
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
        (("eval", "nothing"), "there are return, movers, film"),
    ],
)
def test_mistakes_are_told_in_one_line(home: Path, capsys: Said, arguments: tuple[str, ...], says: str) -> None:
    run("new", "garden")
    assert says in refused(capsys, *arguments)


def test_a_port_that_is_taken(home: Path, capsys: Said) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]
        for port in (busy, 70000, -1):
            assert "another --port" in refused(capsys, "play", "--no-open", "--port", str(port))


def test_port_0_is_one_that_is_free(home: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    ports: list[int] = []
    monkeypatch.setattr(app, "serve", lambda application, host, port: ports.append(port))
    shown = said(capsys, "play", "--no-open", "--port", "0")
    assert ports[0] > 0 and f"http://127.0.0.1:{ports[0]}/" in shown


def test_a_folder_that_cannot_be_recorded_in(home: Path, capsys: Said) -> None:
    (home / "notes").write_text("no folder")
    for folder in (home / "notes", home / "notes" / "tapes"):
        assert "another folder" in refused(capsys, "play", "--no-open", "--port", "0", "--record", str(folder))


def test_a_world_that_is_being_played_is_looked_at_and_not_changed(yard: Path, capsys: Said) -> None:
    with Store.open(yard):
        for command in (("fork", "yard", "snow"), ("goto", "yard", "2"), ("undo", "yard"), ("edit", "yard", "hour=3"),
                        ("prune", "yard", "--keep-steps", "2", "--yes"), ("repair", "yard")):  # fmt: skip
            says = refused(capsys, *command)
            assert f"process {os.getpid()}" in says and "open for writing" in says
        assert f"process {os.getpid()}" in json.loads(said(capsys, "info", "yard", "--json"))["open in"]
        for command in ("log", "check", "replay", "export"):
            assert run(command, "yard") == 0
    assert json.loads(said(capsys, "info", "yard", "--json"))["open in"] == ""


def test_a_mistyped_command_is_told_in_one_line(home: Path, capsys: Said) -> None:
    assert "Did you mean 'info'" in refused(capsys, "inf")
    assert "--seed" in refused(capsys, "new", "x", "--sede", "4")
    assert "Missing argument" in refused(capsys, "info")
    assert "valid integer" in refused(capsys, "log", "yard", "--last", "many")
    assert "perdure play --help" in refused(capsys, "play", "--port", "x")
    assert "COMMAND" in said(capsys)


def test_facts_of_a_world_with_a_past(yard: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    run("edit", "yard", "weather=snow")
    run("edit", "yard", "rule", "calm", "speed < 2")
    with Store.open(yard) as store:
        set_policy(store, Policy(keep_steps=5, quota=1000))
    facts = json.loads(said(capsys, "info", "yard", "--json"))
    assert facts["entities"][1] == {"id": 1, "kind": "creature", "name": '"Ada"'}
    assert facts["environment"]["weather"] == "snow" and facts["rules"] == {"calm": '"speed < 2"'}
    assert facts["branches"] == {"main": 9, "main@10": 10, "left": 11}
    assert facts["keeps"] == {"steps": 5, "quota": 1000, "over quota": facts["bytes"] - 1000}
    assert facts["bytes an hour"] > 1e6 and facts["format"] == 2
    shown = " ".join(said(capsys, "info", "yard").split())
    assert "the last 5" in shown and "perdure prune" in shown and "weather snow" in shown and "season" not in shown


def test_what_users_named_is_shown_as_they_wrote_it(yard: Path, home: Path, capsys: Said) -> None:
    caption, name = r"see [/b] a [dark] :car: \[red]x", "[bold]well"
    run("edit", "yard", f"caption={caption}")
    run("edit", "yard", "anchor", name)
    shown = said(capsys, "info", "yard")
    assert caption in shown and name in shown
    assert caption in said(capsys, "diff", "yard@9", "yard")
    yard.rename(home / "[red]yard")
    assert "[red]yard" in said(capsys, "ls")


def test_another_model_is_told_and_allowed(home: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    run("new", "garden")
    assert json.loads(said(capsys, "info", "garden", "--json"))["now played with"] == {}
    monkeypatch.setattr(runtime, "drawn_by", lambda: {"weights": "xyz"})
    assert json.loads(said(capsys, "info", "garden", "--json"))["now played with"] == {"weights": "xyz"}
    assert "may be played all the same" in said(capsys, "info", "garden")


def test_a_folder_that_was_copied_is_a_world_of_that_name(yard: Path, home: Path, capsys: Said) -> None:
    shutil.copytree(yard, home / "fen")
    assert [row["name"] for row in json.loads(said(capsys, "ls", "--json"))] == ["fen", "yard"]
    said(capsys, "export", "fen")
    said(capsys, "import", "fen.zip", "--as", "moor")
    assert "perdure play fen/snow" in said(capsys, "fork", "fen", "snow")


def test_a_listing_survives_a_damaged_world(yard: Path, home: Path, capsys: Said) -> None:
    run("new", "garden")
    (yard / "world.db").write_bytes(b"no tables " * 1000)
    (home / "notes").mkdir()
    capsys.readouterr()
    assert run("ls") == 0
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()[1:]] == ["garden", "yard"]
    assert "damaged" in shown.out and "yard is damaged in its tables" in shown.err
    rows = json.loads(said(capsys, "ls", "--json"))
    assert [bool(row["damage"]) for row in rows] == [False, True]
    for command in (("info",), ("log",), ("undo",), ("edit", "hour=3"), ("goto", "2"), ("export",), ("render",)):
        assert "yard is damaged" in refused(capsys, command[0], "yard", *command[1:])


def test_missing_weights_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected exported graphs"):
        backends.OpenVINO(tmp_path)


def test_version(capsys: Said) -> None:
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
