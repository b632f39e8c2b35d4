"""The page in a real Chromium: frames move, keys are felt, the address opens worlds."""

import sys
from collections.abc import Iterator

import pytest

from perdure.bench.live import Browser, find_chromium, open_in, serving, wait_for, wait_until_drawn, walk
from perdure.server.app import PAGE

SERVER = [sys.executable, "-m", "tests.server.fake_app", "--seconds", "0.1", "--opening", "0.1"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="needs Chromium: apt-get install chromium"),
    pytest.mark.skipif(not (PAGE / "index.html").is_file(), reason="needs the built page: make page"),
]

# What the canvas shows, as 32 samples of its red channel.
SAMPLES = """(() => {
  const canvas = document.getElementById("picture");
  const pixels = canvas.getContext("2d").getImageData(0, 60, canvas.width, 1).data;
  return Array.from({ length: 32 }, (_, i) => pixels[4 * Math.floor((i * canvas.width) / 32)]);
})()"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with serving(SERVER) as address, Browser(address) as browser:
        yield browser


def test_the_page_lists_worlds_opens_one_and_frames_move(browser: Browser):
    wait_for(lambda: browser.ask("document.querySelectorAll('.card').length") == 3, 30, "three worlds on the page")
    assert open_in(browser, "first") == "first"
    drawn = browser.ask("perdure.state().drawn")
    wait_for(lambda: browser.ask("perdure.state().drawn") > drawn + 8, 20, "frames that follow each other")
    wait_for(lambda: browser.ask("perdure.state().maps") > 0, 20, "a map")
    assert browser.ask("document.getElementById('connection').dataset.state") == "connected"


def test_a_key_turns_the_view_and_its_latency_is_measured(browser: Browser):
    open_in(browser, "first")
    before = browser.ask(SAMPLES)
    browser.ask("perdure.reset()")
    browser.key("ArrowLeft", True)
    wait_for(lambda: browser.ask(SAMPLES) != before, 20, "another view")
    assert browser.ask("document.querySelector('kbd[data-key=\"16\"]').classList.contains('held')")
    browser.key("ArrowLeft", False)
    wait_for(lambda: browser.ask("perdure.figures().latencies") >= 2, 20, "both events to be answered")
    figures = browser.ask("perdure.figures()")
    assert 50 < figures["latency_p50_ms"] < 3000
    assert figures["queued_max"] <= 2
    assert figures["in_flight_max"] <= 2


def test_a_crate_is_taken_and_thrown_with_keys_and_the_mouse(browser: Browser):
    """E takes it; the right button puts it down, F throws it, and so does a click once the mouse is taken."""
    offered = "document.getElementById('offers').textContent"
    told = "document.getElementById('told').textContent"

    def press(key: str) -> None:
        browser.key(key, True)
        browser.key(key, True)  # as a key repeats that is held down
        browser.key(key, False)

    def take_in(world: str) -> None:
        open_in(browser, world)
        wait_for(lambda: browser.ask(offered) == "Etake the crate", 20, "the crate to be offered")
        press("KeyE")
        wait_for(lambda: browser.ask(offered) == "Qput the crate downFthrow", 20, "the crate to be held")

    take_in("walled-garden")
    browser.mouse("mousePressed", 400, 300, held=True, button="right")
    browser.mouse("mouseReleased", 400, 300, button="right")
    wait_for(lambda: "throw" not in browser.ask(offered), 20, "the crate to be put down")
    assert browser.ask(told) == ""  # nothing was refused, so nothing was done twice
    take_in("long-hall")
    press("KeyF")
    wait_for(lambda: "throw" not in browser.ask(offered), 20, "the crate to be thrown")
    assert browser.ask(told) == ""
    press("KeyF")
    wait_for(lambda: browser.ask(told) == "nothing is held", 20, "to be told why not")
    take_in("first")
    for done in ("document.pointerLockElement !== null", f"!{offered}.includes('throw')"):
        browser.mouse("mousePressed", 400, 300, held=True)  # the first takes hold of the mouse, the second throws
        browser.mouse("mouseReleased", 400, 300)
        wait_for(lambda done=done: browser.ask(done) is True, 20, done)
    browser.ask("document.exitPointerLock()")


def test_t_begins_a_saying_and_enter_sends_it(browser: Browser):
    open_in(browser, "first")
    browser.key("KeyT", True)
    browser.key("KeyT", False)
    assert browser.ask("document.activeElement === document.querySelector('#say input')")
    browser.key("ArrowLeft", True)  # typing does not walk
    assert not browser.ask("document.querySelector('kbd[data-key=\"16\"]').classList.contains('held')")
    browser.key("ArrowLeft", False)
    browser.ask("(document.activeElement.value = 'x'.repeat(9), document.getElementById('say').requestSubmit())")
    assert browser.ask("document.querySelector('#say input').value") == ""
    assert browser.ask("document.activeElement === document.getElementById('stage')")


def test_dragging_turns_the_view(browser: Browser):
    open_in(browser, "first")
    before = browser.ask(SAMPLES)
    browser.mouse("mousePressed", 400, 300, held=True)
    for x in range(400, 700, 20):
        browser.mouse("mouseMoved", x, 300, held=True)
    browser.mouse("mouseReleased", 700, 300)
    wait_for(lambda: browser.ask(SAMPLES) != before, 20, "another view")


def test_space_pauses_and_goes_on(browser: Browser):
    open_in(browser, "first")
    for paused in (True, False):
        browser.key("Space", True)
        browser.key("Space", False)
        on = "document.getElementById('paused').classList.contains('on')"
        wait_for(lambda paused=paused, on=on: browser.ask(on) is paused, 20, f"paused to be {paused}")


def test_a_new_world_is_made_and_entered(browser: Browser):
    browser.ask("location.hash = ''")
    browser.ask("document.querySelector('#new [name=name]').value = 'mine'")
    browser.ask("document.querySelector('#new .primary').click()")
    wait_until_drawn(browser, "mine")
    walk(browser, 0.5)
    assert "mine" in browser.ask("perdure.state().worlds")


def test_a_fork_is_offered_a_name_that_is_free_in_a_fork_too(browser: Browser):
    offered = "(document.getElementById('fork').click(), document.querySelector('#fork-dialog input').value)"
    open_in(browser, "first")
    assert browser.ask(offered) == "fork-1"
    browser.ask("document.querySelector('#fork-dialog form button:not([value=no])').click()")
    wait_for(lambda: browser.ask("perdure.state().worlds.includes('first/fork-1')"), 20, "the fork to be listed")
    open_in(browser, "first/fork-1")
    assert browser.ask(offered) == "fork-2"
    browser.ask("document.querySelector('#fork-dialog button[value=no]').click()")


def test_a_link_may_name_its_world(browser: Browser):
    browser.ask("location.href = '/?world=long-hall'")
    wait_for(lambda: bool(browser.ask("window.perdure?.state().world === 'long-hall'")), 20, "the page anew")
    wait_until_drawn(browser, "long-hall")
    assert browser.ask("location.search + location.hash") == "#long-hall"


def test_a_world_that_is_not_there_is_told_in_words(browser: Browser):
    browser.ask("perdure.open('nowhere')")
    wait_for(lambda: browser.ask("document.querySelectorAll('.toast.bad').length") > 0, 20, "a complaint")
    assert "nowhere" in browser.ask("document.querySelector('.toast.bad').textContent")
    wait_for(lambda: browser.ask("document.body.dataset.view") == "home", 20, "the list of worlds")
