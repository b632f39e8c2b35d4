// The list of worlds, and the form that makes a new one.
import type { WorldInfo } from "./protocol";

const FRAMES_PER_SECOND = 24;
const FRAMES_PER_STEP = 4;
const LOOKS = 24; // worlds whose last picture is remembered

// What each scene is, in a few strokes.
const SIGNS: Record<string, string> = {
  court: '<rect x="4" y="4" width="24" height="24" rx="1"/><circle cx="16" cy="16" r="4"/><path d="M9 9h2M21 9h2M9 23h2M21 23h2"/>',
  hall: '<path d="M3 27h26M5 9h22M5 9l11-5 11 5M8 9v18M13.300 9v18M18.700 9v18M24 9v18"/>',
  rooms: '<rect x="4" y="4" width="24" height="24" rx="1"/><path d="M4 14h9M17 14h11M18 14v5M18 23v5M11 4v4"/>',
  garden: '<path d="M4 28h24M10 28v-6M10 22a6 6 0 1 1 0-12 6 6 0 0 1 0 12zM22 28v-4M22 24a4 4 0 1 1 0-8 4 4 0 0 1 0 8z"/>',
  terraces: '<path d="M3 28h5v-5h5v-5h5v-5h5V8h6v20z"/>',
  maze: '<path d="M4 4h24v24H9M4 28V9h19v14H9v-9h9v4"/>',
  corridors: '<rect x="4" y="4" width="24" height="24" rx="1"/><path d="M4 4l8 8M28 4l-8 8M4 28l8-8M28 28l-8-8M12 12h8v8h-8z"/>',
  table: '<path d="M3 17h26M6 17v11M26 17v11M10 17v-6h5v6M20 17a3 3 0 1 1 4 0"/>',
  island: '<path d="M3 25c3-2 5 2 8 0s5 2 8 0 5 2 8 0M6 21c4-5 16-5 20 0M16 17V7M16 7c3-3 6-2 8 1M16 7c-3-3-6-2-8 1"/>',
};
const ANY_SIGN = '<circle cx="16" cy="16" r="11"/><path d="M5 16h22M16 5c4 4 4 18 0 22M16 5c-4 4-4 18 0 22"/>';

export class Home {
  constructor(
    private readonly cards: HTMLElement,
    private readonly form: HTMLFormElement,
    private readonly scenes: HTMLElement,
    dice: HTMLElement,
    make: (name: string, scene: string, seed: number) => void,
  ) {
    dice.addEventListener("click", () => this.propose());
    scenes.addEventListener("change", () => this.name());
    this.field("seed").addEventListener("input", () => this.name());
    this.field("name").addEventListener("input", () => (this.field("name").dataset.own = "yes"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      make(this.field("name").value, this.scene(), Number(this.field("seed").value));
      delete this.field("name").dataset.own;
      this.propose();
    });
  }

  offer(scenes: string[]): void {
    if (this.scenes.childElementCount) return;
    for (const scene of scenes) {
      const label = document.createElement("label");
      label.innerHTML = `<input type="radio" name="scene"><svg viewBox="0 0 32 32" aria-hidden="true">${sign(scene)}</svg>`;
      label.append(scene);
      const radio = label.querySelector("input")!;
      radio.value = scene;
      radio.checked = scene === scenes[0];
      this.scenes.append(label);
    }
    this.propose();
  }

  list(worlds: WorldInfo[]): void {
    this.cards.replaceChildren(...worlds.map(card));
    if (worlds.length) return;
    const empty = document.createElement("p");
    empty.className = "empty";
    empty.textContent = "None yet. The first one is a few seconds away, below.";
    this.cards.append(empty);
  }

  private propose(): void {
    this.field("seed").value = String(Math.floor(Math.random() * 1000));
    this.name();
  }

  /** A name that says what it is, until the user gives one of their own. */
  private name(): void {
    const field = this.field("name");
    if (!field.dataset.own) field.value = `${this.scene()}-${this.field("seed").value}`;
  }

  private scene(): string {
    return this.scenes.querySelector<HTMLInputElement>("input:checked")?.value ?? "";
  }

  private field(name: string): HTMLInputElement {
    return this.form.elements.namedItem(name) as HTMLInputElement;
  }
}

function sign(scene: string): string {
  return SIGNS[scene] ?? ANY_SIGN;
}

function card(world: WorldInfo): HTMLElement {
  const card = document.createElement("a");
  card.className = "card";
  card.href = `#${encodeURIComponent(world.name)}`;
  card.innerHTML = '<div class="look"></div><div class="about"><b></b><small></small></div>';
  const look = card.querySelector<HTMLElement>(".look")!;
  const picture = lookOf(world.name);
  if (picture) look.style.backgroundImage = `url("${picture}")`;
  else look.innerHTML = `<svg viewBox="0 0 32 32" aria-hidden="true">${sign(world.scene)}</svg>`;
  card.querySelector("b")!.textContent = world.name;
  const kind = world.parent ? `fork of ${world.parent}` : world.scene;
  const parts = [kind, lived(world.step), world.modified === null ? "" : ago(world.modified)];
  card.querySelector("small")!.textContent = parts.filter(Boolean).join(" · ");
  return card;
}

/** How long a world has been lived in. */
function lived(steps: number): string {
  const seconds = (steps * FRAMES_PER_STEP) / FRAMES_PER_SECOND;
  if (seconds === 0) return "untouched";
  if (seconds < 90) return `${Math.round(seconds)} s lived`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min lived` : `${(seconds / 3600).toFixed(1)} h lived`;
}

function ago(when: number): string {
  const minutes = (Date.now() / 1000 - when) / 60;
  if (minutes < 1.5) return "just now";
  if (minutes < 90) return `${Math.round(minutes)} min ago`;
  return minutes < 60 * 36 ? `${Math.round(minutes / 60)} h ago` : `${Math.round(minutes / 1440)} days ago`;
}

// The last picture of a world, kept by this browser alone.

export function lookOf(world: string): string | null {
  return localStorage.getItem(`look/${world}`);
}

export function keepLook(world: string, picture: string): void {
  const keys = Object.keys(localStorage).filter((key) => key.startsWith("look/") && key !== `look/${world}`);
  for (const key of keys.slice(LOOKS - 1)) localStorage.removeItem(key);
  localStorage.setItem(`look/${world}`, picture);
}
