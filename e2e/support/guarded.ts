/** A viewer's page that is guarded, with a hand on its wire: what it says to the server, and questions of our own. */

import { inflateSync } from "node:zlib";
import type { BrowserContext, Page, WebSocketRoute } from "@playwright/test";
import { Viewer } from "./people.ts";
import { expect } from "./test.ts";

/** The bits of the heartbeat's `guard`, as the player's page numbers them. */
export const GUARDS = [
  "DOM",
  "style",
  "geometry",
  "occlusion",
  "hit test",
  "pixels",
  "functions",
  "watching",
];
/** The page's own detectors: not about the mark. */
const ALL = 255;
/** Our nonces begin so; the server's never do, because a dot is no base64url. */
const OURS = "test.";

interface Beat {
  nonce: string;
  guard: string;
  position_ms: number | null;
  frames: number;
}

export class Guarded {
  readonly signals: { name: string; detail: string }[] = [];
  readonly beats: Beat[] = [];
  #socket: WebSocketRoute | null = null;
  #asked = 0;
  readonly #answers = new Map<string, (guard: number) => void>();

  private constructor(
    readonly viewer: Viewer,
    readonly page: Page,
  ) {}

  /** Comes in by `link`, or back to `link` with the session that this browser has, and waits for the guards. */
  static async enter(
    context: BrowserContext,
    link: string,
    before?: () => void,
    prepare?: (page: Page) => Promise<void>,
  ): Promise<Guarded> {
    const page = await context.newPage();
    const guarded = new Guarded(Viewer.on(page), page);
    if (before !== undefined) await page.addInitScript(before);
    await prepare?.(page);
    await page.routeWebSocket("**/api/v1/events/**/feed", (socket) => guarded.#join(socket));
    await page.goto(link);
    if (link.includes("#")) await guarded.viewer.watch();
    await guarded.viewer.sees("live");
    return guarded;
  }

  /** Every guard stands, except those that this page was made unfit for. */
  async stands(except = 0): Promise<void> {
    const wanted = ALL & ~except;
    await expect
      .poll(async () => (await this.ask()) & wanted, { message: "the guards stand", intervals: [100] })
      .toBe(wanted);
  }

  /** Asks for a sign of life as the server does; the guards that stand. */
  ask(): Promise<number> {
    this.#asked += 1;
    const nonce = `${OURS}${this.#asked}`;
    return new Promise((resolve) => {
      this.#answers.set(nonce, resolve);
      this.say({ type: "challenge", nonce });
    });
  }

  /** Says something to the page in the server's name. */
  say(message: unknown): void {
    this.#socket?.send(JSON.stringify(message));
  }

  async says(name: string, timeout = 10_000): Promise<void> {
    await expect
      .poll(() => this.signals.map((signal) => signal.name), {
        message: `${name} is told`,
        timeout,
        intervals: [100],
      })
      .toContain(name);
  }

  #join(socket: WebSocketRoute): void {
    this.#socket = socket;
    const server = socket.connectToServer();
    server.onMessage((message) => socket.send(message));
    socket.onMessage((text) => {
      const message = JSON.parse(String(text)) as { type: string } & Beat & { signals: Guarded["signals"] };
      if (message.type === "signals") this.signals.push(...message.signals);
      if (message.type === "heartbeat" && message.nonce.startsWith(OURS)) {
        this.#answers.get(message.nonce)?.(Number.parseInt(message.guard, 16));
        this.#answers.delete(message.nonce);
        return;
      }
      if (message.type === "heartbeat") this.beats.push(message);
      server.send(text);
    });
  }
}

/** The mark is half-transparent white: over black it is a grey that nothing else of the player has. */
const GREY = [105, 175] as const;
/** Round corners and shadows of the page around the player. */
const EDGE = 24;
/** Fewer grey pixels than this are no letters. */
const LETTERS_MIN = 200;

/** Whether the mark is on `png`, a photograph of the player with a black picture. */
export function showsMark(png: Buffer): boolean {
  const { width, height, channels, pixels } = decode(png);
  let count = 0;
  for (let y = EDGE; y < height - EDGE; y += 1) {
    for (let x = EDGE; x < width - EDGE; x += 1) {
      const at = (y * width + x) * channels;
      const [r = 0, g = 0, b = 0] = pixels.subarray(at, at + 3);
      if (r > GREY[0] && r < GREY[1] && Math.abs(r - g) < 9 && Math.abs(r - b) < 9) count += 1;
    }
  }
  return count >= LETTERS_MIN;
}

/** A picture as browsers write it: eight bits, RGB or RGBA, not interlaced. */
function decode(png: Buffer): { width: number; height: number; channels: number; pixels: Uint8Array } {
  const width = png.readUInt32BE(16);
  const height = png.readUInt32BE(20);
  const channels = png[25] === 6 ? 4 : 3;
  const parts: Buffer[] = [];
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    if (png.toString("latin1", at + 4, at + 8) === "IDAT")
      parts.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  }
  const raw = inflateSync(Buffer.concat(parts));
  const line = width * channels;
  const pixels = new Uint8Array(line * height);
  for (let y = 0; y < height; y += 1) {
    const filter = raw[y * (line + 1)];
    for (let x = 0; x < line; x += 1) {
      const left = x >= channels ? (pixels[y * line + x - channels] ?? 0) : 0;
      const up = y > 0 ? (pixels[(y - 1) * line + x] ?? 0) : 0;
      const corner = x >= channels && y > 0 ? (pixels[(y - 1) * line + x - channels] ?? 0) : 0;
      const value = raw[y * (line + 1) + 1 + x] ?? 0;
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter ?? 0] ?? 0;
      pixels[y * line + x] = value + guess;
    }
  }
  return { width, height, channels, pixels };
}

function paeth(left: number, up: number, corner: number): number {
  const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}
