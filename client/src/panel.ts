// The panel beside the picture: numbers, the trace of intervals, and how long each stage takes.
import type { Figures, Summary } from "./figures";
import { element } from "./page";
import type { Status } from "./protocol";

const TRACE = 120; // frames
const BESIDE = "jpeg"; // after the step, for each frame
const HIDDEN = new Set(["step", "held"]); // the sum, and the wait for the frame's own time

export class Panel {
  private readonly trace = element<HTMLCanvasElement>("trace");
  private readonly rows = new Map<string, { bar: HTMLElement; value: HTMLElement }>();

  constructor(private readonly figures: Figures) {}

  clear(): void {
    for (const id of ["fps", "p99", "latency", "step"]) element(id).textContent = "–";
    for (const id of ["known", "watching"]) element(id).textContent = "";
    element("stages").replaceChildren();
    this.rows.clear();
  }

  status(status: Status): void {
    element("step").textContent = status.step_ms.toFixed(0);
    element("known").textContent = `${status.keyframes} keyframes`;
    element("watching").textContent = status.viewers > 1 ? `${status.viewers} watching` : "";
    const live = this.figures.live();
    if (live.frames > 1) this.show(live);
  }

  private show(live: Summary): void {
    element("fps").textContent = live.fps.toFixed(1);
    element("p99").textContent = live.interval_p99_ms.toFixed(0);
    element("latency").textContent = live.latencies ? live.latency_p50_ms.toFixed(0) : "–";
    const stages = Object.entries(live.stage_ms).filter(([stage]) => !HIDDEN.has(stage));
    const longest = Math.max(...stages.map(([, ms]) => ms), 1);
    for (const [stage, ms] of stages) {
      const { bar, value } = this.row(stage);
      bar.style.transform = `scaleX(${ms / longest})`;
      value.textContent = ms.toFixed(ms < 10 ? 1 : 0);
    }
    this.drawTrace();
  }

  private row(stage: string): { bar: HTMLElement; value: HTMLElement } {
    const known = this.rows.get(stage);
    if (known) return known;
    const row = document.createElement("li");
    row.classList.toggle("beside", stage === BESIDE);
    const [name, bar, value] = [document.createElement("span"), document.createElement("i"), document.createElement("b")];
    name.textContent = stage;
    row.append(name, bar, value);
    element("stages").append(row);
    this.rows.set(stage, { bar, value });
    return { bar, value };
  }

  /** One thin bar a frame, as high as the time since the one before; full height is 100 ms. */
  private drawTrace(): void {
    const { trace } = this;
    const [width, height] = [trace.clientWidth * devicePixelRatio, trace.clientHeight * devicePixelRatio];
    if (trace.width !== width || trace.height !== height) [trace.width, trace.height] = [width, height];
    const context = trace.getContext("2d");
    if (!context) return;
    context.clearRect(0, 0, width, height);
    const each = width / TRACE;
    this.figures.recentIntervals(TRACE).forEach((ms, i) => {
      const tall = Math.min(1, ms / 100) * height;
      context.fillStyle = ms > 70 ? "#ec8a7c" : "#596073";
      context.fillRect(i * each, height - tall, Math.max(1, each - devicePixelRatio), tall);
    });
  }
}
