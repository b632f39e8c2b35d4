// The hands: keys by their place on the keyboard, the mouse by pointer lock or by dragging.
import { Hand, type Input, Keys } from "./protocol";

const KEYS: Record<string, number> = {
  KeyW: Keys.FORWARD,
  ArrowUp: Keys.FORWARD,
  KeyS: Keys.BACK,
  ArrowDown: Keys.BACK,
  KeyA: Keys.LEFT,
  KeyD: Keys.RIGHT,
  ArrowLeft: Keys.TURN_LEFT,
  ArrowRight: Keys.TURN_RIGHT,
  KeyR: Keys.LOOK_UP,
  PageUp: Keys.LOOK_UP,
  KeyV: Keys.LOOK_DOWN,
  PageDown: Keys.LOOK_DOWN,
};
export const DEEDS: Record<string, number> = { KeyE: Hand.USE, KeyQ: Hand.PLACE, KeyF: Hand.THROW };
const RADIANS_PER_PIXEL = 0.0024;
const GATHER = 12; // milliseconds of mouse travel that go out as one message

export class Hands {
  private readonly held = new Set<string>();
  private turn = 0;
  private tilt = 0;
  private since = 0; // time of the oldest event that was not sent yet
  private timer: number | undefined;
  private dragging = false;
  active = false;
  carrying = false; // something that a click would throw

  constructor(
    private readonly surface: HTMLElement,
    private readonly send: (input: Input) => void,
    private readonly heldChanged: (mask: number) => void,
  ) {
    addEventListener("keydown", (event) => this.key(event, true));
    addEventListener("keyup", (event) => this.key(event, false));
    addEventListener("blur", () => this.letGo());
    document.addEventListener("visibilitychange", () => document.hidden && this.letGo());
    surface.addEventListener("pointerdown", (event) => this.press(event));
    surface.addEventListener("pointermove", (event) => this.move(event));
    surface.addEventListener("pointerup", (event) => this.release(event));
    surface.addEventListener("pointercancel", () => (this.dragging = false));
    surface.addEventListener("contextmenu", (event) => this.active && event.preventDefault());
  }

  /** Let go of everything, as when the window loses the keyboard. */
  letGo(): void {
    if (this.held.size === 0) return;
    this.held.clear();
    this.flush(performance.now());
  }

  private key(event: KeyboardEvent, down: boolean): void {
    const deed = DEEDS[event.code];
    if ((KEYS[event.code] === undefined && deed === undefined) || !this.active) return;
    // Typing, or a shortcut of the browser: not ours. What is held must still be let go of.
    if (down && (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target))) return;
    if (down) event.preventDefault();
    if (down === this.held.has(event.code)) return; // a repeat
    if (down) this.held.add(event.code);
    else this.held.delete(event.code);
    if (deed === undefined) this.flush(event.timeStamp);
    else if (down) this.flush(event.timeStamp, deed);
  }

  private press(event: PointerEvent): void {
    if (!this.active) return;
    if (event.button === 2) this.flush(event.timeStamp, Hand.PLACE);
    if (event.button !== 0) return;
    if (this.carrying && document.pointerLockElement === this.surface) this.flush(event.timeStamp, Hand.THROW);
    this.dragging = true;
    if (!document.pointerLockElement) this.surface.setPointerCapture(event.pointerId);
    if (event.pointerType === "mouse" && !document.pointerLockElement) {
      // May be refused (just after Escape, or in a frame): dragging works all the same.
      void Promise.resolve(this.surface.requestPointerLock()).catch(() => undefined);
    }
  }

  private release(event: PointerEvent): void {
    this.dragging = false;
    if (this.surface.hasPointerCapture(event.pointerId)) this.surface.releasePointerCapture(event.pointerId);
  }

  private move(event: PointerEvent): void {
    const locked = document.pointerLockElement === this.surface;
    if (!this.active || !(locked || this.dragging)) return;
    // A dragged picture follows the hand; a locked mouse turns the head.
    const sign = locked ? -1 : 1;
    this.turn += sign * event.movementX * RADIANS_PER_PIXEL;
    this.tilt += sign * event.movementY * RADIANS_PER_PIXEL;
    this.since ||= event.timeStamp;
    this.timer ??= setTimeout(() => this.flush(this.since), GATHER);
  }

  private flush(time: number, hand: number = Hand.NONE): void {
    clearTimeout(this.timer);
    const mask = [...this.held].reduce((all, code) => all | (KEYS[code] ?? 0), 0);
    this.send({ type: "input", keys: mask, turn: this.turn, tilt: this.tilt, time: this.since || time, hand });
    this.heldChanged(mask);
    this.turn = this.tilt = this.since = 0;
    this.timer = undefined;
  }
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input, select, textarea, dialog") !== null;
}
