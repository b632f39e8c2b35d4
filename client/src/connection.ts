// The one WebSocket: typed messages both ways, and back again by itself when the line drops.
import { type FrameHeader, type FromPage, type FromServer, VERSION } from "./protocol";

export type State = "connecting" | "connected" | "lost" | "outdated";

export interface Listener {
  message(message: FromServer): void;
  frame(header: FrameHeader, jpeg: Blob): void;
  state(state: State): void;
}

const RETRY_FIRST = 500; // milliseconds, doubled up to the last
const RETRY_LAST = 8000;

export class Connection {
  private socket: WebSocket | undefined;
  private retry = RETRY_FIRST;
  private outdated = false;

  constructor(private readonly listener: Listener) {
    this.connect();
  }

  send(message: FromPage): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  private connect(): void {
    this.listener.state("connecting");
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.retry = RETRY_FIRST;
      this.send({ type: "hello", version: VERSION });
      this.listener.state("connected");
    };
    socket.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) this.listener.frame(...readFrame(data));
      else this.read(JSON.parse(data as string) as FromServer);
    };
    socket.onclose = () => {
      this.socket = undefined;
      this.listener.state(this.outdated ? "outdated" : "lost");
      if (this.outdated) return;
      setTimeout(() => this.connect(), this.retry);
      this.retry = Math.min(2 * this.retry, RETRY_LAST);
    };
    this.socket = socket;
  }

  private read(message: FromServer): void {
    if (message.type === "error" && message.code === "version") this.outdated = true;
    this.listener.message(message);
  }
}

/** A frame is a little-endian length, a JSON header of that length, and a JPEG. */
function readFrame(data: ArrayBuffer): [FrameHeader, Blob] {
  const length = new DataView(data).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length))) as FrameHeader;
  return [header, new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" })];
}
