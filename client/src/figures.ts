// The figures: what was drawn and when, and how long a hand's motion took to be seen.
import type { FrameHeader } from "./protocol";

const KEPT = 100_000; // draws, over an hour
const RECENT = 5000; // milliseconds that the live figures look back

export interface Summary {
  seconds: number;
  frames: number; // of new model steps, drawn
  fps: number;
  interval_p50_ms: number;
  interval_p99_ms: number;
  latency_p50_ms: number;
  latency_p95_ms: number;
  latencies: number;
  queued_max: number;
  in_flight_max: number;
  stage_ms: Record<string, number>;
}

interface Draw {
  at: number;
  queued: number;
  inFlight: number;
  step: number;
  stages: Record<string, number>;
}

export class Figures {
  private began = performance.now();
  private draws: Draw[] = [];
  private latencies: { at: number; ms: number }[] = [];
  private pending: number[] = []; // times of input that no frame has answered yet

  /** Forget all, and count from now. */
  reset(): void {
    this.began = performance.now();
    this.draws = [];
    this.latencies = [];
    this.pending = [];
  }

  sent(time: number): void {
    this.pending.push(time);
  }

  drew(header: FrameHeader): void {
    const at = performance.now();
    const { echo } = header;
    if (echo !== null) {
      const answered = this.pending.filter((time) => time <= echo);
      this.pending = this.pending.filter((time) => time > echo);
      for (const time of answered) this.latencies.push({ at, ms: at - time });
    }
    if (!header.new) return; // a frame of old: not the model's work
    this.draws.push({
      at,
      queued: header.queued,
      inFlight: header.in_flight,
      step: header.step,
      stages: header.stages,
    });
    if (this.draws.length > KEPT) this.draws.splice(0, KEPT / 2);
    if (this.latencies.length > KEPT) this.latencies.splice(0, KEPT / 2);
  }

  /** Of the last seconds. */
  live(): Summary {
    return this.summary(performance.now() - RECENT);
  }

  /** Since the last reset. */
  all(): Summary {
    return this.summary(this.began);
  }

  /** Times of day of the last draws, for the trace. */
  recentIntervals(count: number): number[] {
    return intervals(this.draws.slice(-count - 1));
  }

  private summary(since: number): Summary {
    const from = Math.max(since, this.began);
    const draws = this.draws.filter((draw) => draw.at >= from);
    const gaps = intervals(draws).sort((a, b) => a - b);
    const latencies = this.latencies.filter((l) => l.at >= from).map((l) => l.ms).sort((a, b) => a - b);
    const seconds = (performance.now() - from) / 1000;
    const span = ((draws.at(-1)?.at ?? 0) - (draws[0]?.at ?? 0)) / 1000;
    return {
      seconds,
      frames: draws.length,
      fps: span > 0 ? (draws.length - 1) / span : 0,
      interval_p50_ms: quantile(gaps, 0.5),
      interval_p99_ms: quantile(gaps, 0.99),
      latency_p50_ms: quantile(latencies, 0.5),
      latency_p95_ms: quantile(latencies, 0.95),
      latencies: latencies.length,
      queued_max: draws.reduce((most, draw) => Math.max(most, draw.queued), 0),
      in_flight_max: draws.reduce((most, draw) => Math.max(most, draw.inFlight), 0),
      stage_ms: stageMedians(draws),
    };
  }
}

function intervals(draws: Draw[]): number[] {
  return draws.slice(1).map((draw, i) => draw.at - (draws[i]?.at ?? draw.at));
}

/** The nearest rank; 0 of nothing. */
export function quantile(sorted: number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? 0;
}

/** Each stage's median over the steps that were seen: one frame of a step speaks for it. */
function stageMedians(draws: Draw[]): Record<string, number> {
  const values: Record<string, number[]> = {};
  let step = -1;
  for (const draw of draws) {
    if (draw.step === step) continue;
    step = draw.step;
    for (const [stage, ms] of Object.entries(draw.stages)) (values[stage] ??= []).push(ms);
  }
  return Object.fromEntries(
    Object.entries(values).map(([stage, ms]) => [stage, quantile(ms.sort((a, b) => a - b), 0.5)]),
  );
}
