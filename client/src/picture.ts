// The picture: frames are decoded off the main thread and drawn the moment they are there.
import type { FrameHeader } from "./protocol";

// The browser scales a canvas linearly, which shows the pixels' grid on a small picture. Drawn at twice its
// size with the canvas's own better filter first, it does not.
const ENLARGED = 2;

export class Picture {
  private readonly context: CanvasRenderingContext2D;
  private drawn = 0; // seq of the newest frame that was drawn

  constructor(
    readonly canvas: HTMLCanvasElement,
    private readonly done: (header: FrameHeader, shown: boolean) => void,
  ) {
    const context = canvas.getContext("2d", { alpha: false });
    if (!context) throw new Error("this browser gives no 2d canvas");
    this.context = context;
  }

  /** Before the frames of another connection or world: their numbers start anew. */
  reset(): void {
    this.drawn = 0;
  }

  async show(header: FrameHeader, jpeg: Blob): Promise<void> {
    const bitmap = await createImageBitmap(jpeg).catch(() => undefined);
    const late = header.seq < this.drawn;
    if (bitmap && !late) this.draw(bitmap, header.seq);
    bitmap?.close();
    this.done(header, bitmap !== undefined && !late);
  }

  /** The picture as a small JPEG, to remember the world by. */
  look(): string {
    const small = document.createElement("canvas");
    [small.width, small.height] = [320, 180];
    small.getContext("2d")?.drawImage(this.canvas, 0, 0, small.width, small.height);
    return small.toDataURL("image/jpeg", 0.75);
  }

  private draw(bitmap: ImageBitmap, seq: number): void {
    const [width, height] = [ENLARGED * bitmap.width, ENLARGED * bitmap.height];
    if (this.canvas.width !== width || this.canvas.height !== height) {
      [this.canvas.width, this.canvas.height] = [width, height];
      this.context.imageSmoothingQuality = "high";
    }
    this.context.drawImage(bitmap, 0, 0, width, height);
    this.drawn = seq;
  }
}
