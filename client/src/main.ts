// The page: two views, the list of worlds and the world that is open. The address says which.
import "./style.css";
import { Connection, type State } from "./connection";
import { Figures, type Summary } from "./figures";
import { Hands } from "./hands";
import { Home, keepLook, lookOf } from "./home";
import { SmallMap } from "./map";
import { element, say } from "./page";
import { Panel } from "./panel";
import { Picture } from "./picture";
import { Offers } from "./offers";
import { type Error as Complaint, type FromServer, Hand, type WorldInfo } from "./protocol";

const CONNECTION: Record<State, string> = {
  connecting: "connecting",
  connected: "connected",
  lost: "connection lost, trying again",
  outdated: "this page is out of date: reload it",
};
const TITLES: Record<string, string> = {
  busy: "This server is full",
  "no-world": "That world did not open",
  failed: "The world stopped",
  refused: "That cannot be done",
  version: "This page is out of date",
};
const LOOK_EVERY = 5000; // milliseconds between two pictures to remember a world by

let world: string | undefined; // the one that the address names
let worlds: WorldInfo[] = [];
let opened = false; // the server plays it for us
let driven = false; // by somebody else: here it is only watched
let paused = false;
let alone = true; // nobody else watches this world
let rested = false; // paused because the page was hidden
let mapped = 0;
let complaint = ""; // the last one
let creating: string | undefined; // a world that we asked for, and enter when it is there

// A link may name the world as ?world=; from then on it stands after the #.
const asked = new URLSearchParams(location.search).get("world");
if (asked) history.replaceState(null, "", `${location.pathname}#${encodeURIComponent(asked)}`);

const figures = new Figures();
const panel = new Panel(figures);
const map = new SmallMap(element("map"));
const stage = element("stage");

const picture = new Picture(element("picture"), (header, shown) => {
  connection.send({ type: "ack", seq: header.seq });
  if (!shown || !opened) return;
  figures.drew(header);
  map.move(header);
  stage.classList.add("drawn");
});

const hands = new Hands(
  element("picture"),
  (input) => {
    if (!opened) return;
    figures.sent(input.time);
    connection.send(input);
  },
  (mask) => {
    for (const key of document.querySelectorAll<HTMLElement>("kbd[data-key]"))
      key.classList.toggle("held", (mask & Number(key.dataset.key)) !== 0);
  },
);

const offers = new Offers(element("offers"), element("told"));
const home = new Home(element("worlds"), element("new"), element("scenes"), element("dice"), create);

const connection: Connection = new Connection({
  message: receive,
  frame: (header, jpeg) => void picture.show(header, jpeg),
  state: (state) => {
    const sign = element("connection");
    sign.dataset.state = state;
    sign.querySelector("span")!.textContent = CONNECTION[state];
    if (state !== "connected") close();
  },
});

function receive(message: FromServer): void {
  switch (message.type) {
    case "welcome":
      home.offer(message.scenes);
      list(message.worlds);
      enter();
      break;
    case "worlds":
      list(message.worlds);
      break;
    case "progress":
      veil(message.stage, message.fraction);
      break;
    case "opened":
      if (message.world !== world) break; // it was left before it was there
      complaint = "";
      opened = true;
      driven = message.driven;
      hands.active = !driven;
      document.body.classList.toggle("driven", driven);
      picture.reset();
      figures.reset();
      veil("drawing", 0.95);
      stage.focus({ preventScroll: true });
      break;
    case "left":
      if (message.world === world && opened) location.hash = "";
      break;
    case "created":
      if (message.world === creating || message.parent === null) go(message.world);
      else
        say("Forked", `${message.world} begins where ${message.parent} is now.`, false, {
          label: "Enter the fork",
          run: () => go(message.world),
        });
      creating = undefined;
      break;
    case "map":
      mapped += 1;
      void map.learn(message);
      break;
    case "status":
      paused = message.paused;
      alone = message.viewers === 1;
      element("paused").classList.toggle("on", paused);
      element("pause").querySelector("span")!.textContent = paused ? "Resume" : "Pause";
      panel.status(message);
      break;
    case "offers":
      offers.show(message.offers);
      hands.carrying = message.offers.some((offer) => offer.hand === Hand.THROW);
      break;
    case "told":
      offers.tell(message.text);
      break;
    case "error":
      complain(message);
      break;
  }
}

function list(now: WorldInfo[]): void {
  worlds = now;
  home.list(worlds);
}

/** Go to a world, by way of the address. */
function go(name: string): void {
  location.hash = encodeURIComponent(name);
}

/** Do what the address says: open the world that it names, or show them all. */
function enter(): void {
  const name = decodeURIComponent(location.hash.slice(1)) || undefined;
  if (opened && name !== world) remember();
  close();
  for (const toast of document.querySelectorAll(".toast:not(.bad)")) toast.remove(); // it was about where we were
  world = name;
  document.body.dataset.view = name ? "play" : "home";
  document.title = name ? `${name} · Perdure` : "Perdure";
  element("crumb").textContent = name ?? "";
  if (!name) {
    connection.send({ type: "leave" });
    return;
  }
  panel.clear();
  map.clear();
  const look = lookOf(name);
  stage.style.backgroundImage = look ? `url("${look}")` : "none";
  veil("opening", 0);
  connection.send({ type: "open", world: name });
}

function close(): void {
  hands.letGo();
  opened = hands.active = hands.carrying = false;
  offers.clear();
  paused = false;
  element("paused").classList.remove("on");
  if (document.pointerLockElement) document.exitPointerLock();
}

function create(name: string, scene: string, seed: number): void {
  creating = name;
  connection.send({ type: "new", name, scene, seed });
}

function veil(text: string, fraction: number): void {
  stage.classList.remove("drawn");
  element("veil-stage").textContent = `${text} …`;
  element("veil-bar").style.transform = `scaleX(${fraction})`;
}

function complain(error: Complaint): void {
  complaint = `${error.code}: ${error.came}`;
  const text = [error.came, error.todo && `${error.todo[0]?.toUpperCase()}${error.todo.slice(1)}.`];
  say(TITLES[error.code] ?? "Something went wrong", text.filter(Boolean).join(". "), true);
  if ((error.code === "busy" || error.code === "no-world" || error.code === "failed") && world) {
    opened = false;
    location.hash = "";
  }
}

function remember(): void {
  if (world && opened) keepLook(world, picture.look());
}

function togglePause(): void {
  if (opened && !driven) connection.send({ type: paused ? "resume" : "pause" });
}

// A world that nobody looks at need not cost anything.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) rested = opened && !driven && alone && !paused;
  if (rested && paused !== document.hidden) togglePause();
});
addEventListener("hashchange", enter);
addEventListener("pagehide", remember);
setInterval(remember, LOOK_EVERY);

element("pause").addEventListener("click", togglePause);
addEventListener("keydown", (event) => {
  if (event.code !== "Space" || !opened || event.repeat || event.target instanceof HTMLInputElement) return;
  if (event.target instanceof HTMLButtonElement || element<HTMLDialogElement>("fork-dialog").open) return;
  event.preventDefault();
  togglePause();
});
// What is said is sent with Enter; T begins it and Escape leaves it, so that the keys walk again.
const sayForm = element<HTMLFormElement>("say");
const words = sayForm.querySelector("input")!;
sayForm.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = words.value.trim();
  if (text && opened && !driven) connection.send({ type: "say", text });
  words.value = "";
  stage.focus({ preventScroll: true });
});
words.addEventListener("focus", () => hands.letGo());
addEventListener("keydown", (event) => {
  if (event.target === words && event.code === "Escape") stage.focus({ preventScroll: true });
  if (event.code !== "KeyT" || !opened || driven || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target instanceof HTMLInputElement || element<HTMLDialogElement>("fork-dialog").open) return;
  event.preventDefault();
  if (document.pointerLockElement) document.exitPointerLock();
  words.focus({ preventScroll: true });
});
element("wide").addEventListener("click", () => void stage.requestFullscreen().then(() => stage.focus()));

const dialog = element<HTMLDialogElement>("fork-dialog");
const forkName = dialog.querySelector("input")!;
element("fork").addEventListener("click", () => {
  hands.letGo();
  const [root] = (world ?? "").split("/"); // whatever it was forked from, its fork is one of the root's
  let number = 1;
  while (worlds.some((w) => w.name === `${root}/fork-${number}`)) number++;
  forkName.value = `fork-${number}`;
  dialog.showModal();
  forkName.select();
});
dialog.querySelector<HTMLButtonElement>("button[value=no]")!.addEventListener("click", () => dialog.close());
dialog.querySelector("form")!.addEventListener("submit", () => connection.send({ type: "fork", name: forkName.value }));

declare global {
  interface Window {
    perdure: {
      /** Figures since `reset`, or since the world was opened. */
      figures(): Summary;
      reset(): void;
      open(world: string): void;
      create(name: string, scene: string, seed: number): void;
      state(): {
        world: string | undefined;
        worlds: string[];
        opened: boolean;
        drawn: number;
        maps: number;
        complaint: string;
      };
    };
  }
}
window.perdure = {
  figures: () => figures.all(),
  reset: () => figures.reset(),
  open: go,
  create,
  state: () => ({
    world,
    worlds: worlds.map((w) => w.name),
    opened,
    drawn: figures.all().frames,
    maps: mapped,
    complaint,
  }),
};
