// The small map: what is known of the place from above, the player's arrow and where they came along.
import type { FrameHeader, Map as MapMessage } from "./protocol";

const METRES_ACROSS = 16;
const TRAIL = 600; // points
const TRAIL_STEP = 0.15; // metres between two of them
const VIEW = (75 * Math.PI) / 180; // the camera's horizontal field of view

export class SmallMap {
  private readonly context: CanvasRenderingContext2D;
  private known: { picture: ImageBitmap; message: MapMessage } | undefined;
  private trail: { x: number; y: number }[] = [];
  private here: FrameHeader | undefined;
  private waiting = false;

  constructor(private readonly canvas: HTMLCanvasElement) {
    const context = canvas.getContext("2d");
    if (!context) throw new Error("this browser gives no 2d canvas");
    this.context = context;
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  clear(): void {
    this.known?.picture.close();
    this.known = this.here = undefined;
    this.trail = [];
    this.redraw();
  }

  async learn(message: MapMessage): Promise<void> {
    const bytes = Uint8Array.from(atob(message.png), (c) => c.charCodeAt(0));
    const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    this.known?.picture.close();
    this.known = { picture, message };
    this.redraw();
  }

  move(header: FrameHeader): void {
    this.here = header;
    const last = this.trail.at(-1);
    if (!last || Math.hypot(header.x - last.x, header.y - last.y) > TRAIL_STEP) {
      this.trail.push({ x: header.x, y: header.y });
      if (this.trail.length > TRAIL) this.trail.shift();
    }
    // The map need not keep up with the picture: one frame of each chunk will do.
    if (header.index === 0) this.redraw();
  }

  private redraw(): void {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  private draw(): void {
    const { canvas, context, here } = this;
    const [width, height] = [canvas.clientWidth * devicePixelRatio, canvas.clientHeight * devicePixelRatio];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    if (!here) return;

    // From here on in metres, x to the right and y up, the player in the middle.
    const scale = width / METRES_ACROSS;
    context.translate(width / 2, height / 2);
    context.scale(scale, -scale);
    context.translate(-here.x, -here.y);

    if (this.known) {
      const { picture, message } = this.known;
      context.save();
      context.translate(message.left, message.top);
      context.scale(message.metres, -message.metres);
      context.imageSmoothingEnabled = false;
      context.drawImage(picture, 0, 0);
      context.restore();
    }

    context.lineJoin = context.lineCap = "round";
    context.lineWidth = (2 * devicePixelRatio) / scale;
    context.strokeStyle = "rgba(240, 190, 110, 0.7)";
    context.beginPath();
    for (const { x, y } of this.trail) context.lineTo(x, y);
    context.stroke();

    context.translate(here.x, here.y);
    context.rotate(here.yaw);
    const reach = 4;
    const cone = context.createRadialGradient(0, 0, 0, 0, 0, reach);
    cone.addColorStop(0, "rgba(255, 255, 255, 0.22)");
    cone.addColorStop(1, "rgba(255, 255, 255, 0)");
    context.fillStyle = cone;
    context.beginPath();
    context.moveTo(0, 0);
    context.arc(0, 0, reach, -VIEW / 2, VIEW / 2);
    context.fill();

    const size = (9 * devicePixelRatio) / scale;
    context.fillStyle = "#fff";
    context.strokeStyle = "rgba(10, 11, 14, 0.8)";
    context.lineWidth = (1.5 * devicePixelRatio) / scale;
    context.beginPath();
    context.moveTo(size, 0);
    context.lineTo(-0.7 * size, 0.65 * size);
    context.lineTo(-0.35 * size, 0);
    context.lineTo(-0.7 * size, -0.65 * size);
    context.closePath();
    context.fill();
    context.stroke();
  }
}
