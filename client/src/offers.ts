// What hands can do now with what is looked at, and in a line of its own what could not be done.
import type { Offer } from "./protocol";
import { Hand } from "./protocol";

const KEYS: Record<number, string> = { [Hand.USE]: "E", [Hand.PLACE]: "Q", [Hand.THROW]: "F" };
const TOLD_FOR = 3000; // milliseconds

export class Offers {
  private timer: number | undefined;

  constructor(
    private readonly list: HTMLElement,
    private readonly line: HTMLElement,
  ) {}

  show(offers: Offer[]): void {
    this.list.replaceChildren(
      ...offers.map(({ hand, text }) => {
        const offer = document.createElement("span");
        const key = document.createElement("kbd");
        key.textContent = KEYS[hand] ?? "";
        offer.append(key, text);
        return offer;
      }),
    );
  }

  tell(text: string): void {
    clearTimeout(this.timer);
    this.line.textContent = text;
    this.line.classList.add("on");
    this.timer = setTimeout(() => this.line.classList.remove("on"), TOLD_FOR);
  }

  clear(): void {
    clearTimeout(this.timer);
    this.line.classList.remove("on");
    this.list.replaceChildren();
  }
}
