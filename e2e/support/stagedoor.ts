/** The real binary, started the way the documentation says. */

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Child, type Ended } from "./process.ts";

export const BINARY =
  process.env.STAGEDOOR_BINARY ?? resolve(import.meta.dirname, "../../target/debug/stagedoor");
const RESULTS = resolve(import.meta.dirname, "../results");
/** What programs say of an address that somebody else listens on. */
export const ADDRESS_TAKEN = /Address (already )?in use/i;

/** The one line that `stagedoor demo --json` prints when it is ready. */
export interface Demo {
  viewer_url: string;
  code: string;
  event: string;
  admin_url: string;
  admin_user: string;
  admin_password: string;
  api_token: string;
  rtmp_url: string;
  stream_key: string;
  hls_url: string;
  /** With a certificate only. */
  https_url?: string;
  rtmps_url?: string;
}

export interface Event {
  id: string;
  title: string;
  viewer_url: string;
  stream: { state: "idle" | "live" | "away" | "ended" };
  watching: number;
}

export interface Invitation {
  id: string;
  name: string;
  code: string;
  link: string;
}

export interface ViewerSession {
  id: string;
  state: string;
  playback: { hls: string };
}

export class Stagedoor {
  private constructor(
    private child: Child,
    /** What the last start printed: the password and the API token are new each time. */
    public demo: Demo,
    readonly folder: string,
    /** Environment variables it is started with. */
    private readonly settings: Record<string, string>,
  ) {}

  /**
   * Starts with an empty data folder, on free ports unless somebody must know the address before, and waits until it says
   * that it is ready.
   */
  static async start(settings: Record<string, string> = {}, http = "127.0.0.1:0"): Promise<Stagedoor> {
    const folder = mkdtempSync(join(tmpdir(), "stagedoor-e2e-"));
    const { child, demo } = await launch(folder, http, "127.0.0.1:0", settings);
    return new Stagedoor(child, demo, folder, settings);
  }

  /** Starts again where the same people will look: same data folder, same ports. */
  async startAgain(): Promise<void> {
    const { child, demo } = await launch(
      this.folder,
      new URL(this.demo.viewer_url).host,
      rtmpHost(this.demo.rtmp_url),
      this.settings,
    );
    this.child = child;
    this.demo = demo;
  }

  get origin(): string {
    return new URL(this.demo.viewer_url).origin;
  }

  get pid(): number {
    return this.child.pid;
  }

  /** What it logged so far. */
  get log(): string {
    return this.child.output;
  }

  /** kill -9: nothing is flushed, nobody is told. */
  kill(): Promise<Ended> {
    return this.child.kill();
  }

  /** Asks it to end as Ctrl-C does. */
  interrupt(): Promise<Ended> {
    return this.child.stop("SIGINT");
  }

  async stop(): Promise<void> {
    await this.child.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Calls the public API with the demo's token; fails on any status that is not a success. */
  async api<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(`${this.origin}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${this.demo.api_token}`, "content-type": "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text ? JSON.parse(text) : undefined) as T;
  }

  createEvent(
    title: string,
    options: {
      latency?: "ultra" | "low" | "standard";
      reconnect_window_ms?: number;
      policy?: Record<string, unknown>;
    } = {},
  ) {
    return this.api<Event>("POST", "/events", { title, ...options });
  }

  event(id: string) {
    return this.api<Event>("GET", `/events/${id}`);
  }

  invite(event: string, name: string, phone: string | null = null) {
    return this.api<Invitation>("POST", `/events/${event}/invitations`, { name, phone });
  }

  async publishUrl(event: string): Promise<string> {
    const ingest = await this.api<{ rtmp: { url: string } }>("GET", `/events/${event}/ingest`);
    return ingest.rtmp.url;
  }

  /** Redeems a code as a program would; the address of the stream is in the answer. */
  async redeem(event: string, code: string): Promise<ViewerSession> {
    const response = await fetch(`${this.origin}/api/v1/events/${event}/sessions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ code }),
    });
    if (response.status !== 201) throw new Error(`redeem: ${response.status} ${await response.text()}`);
    return (await response.json()) as ViewerSession;
  }
}

/** A port of this machine that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts a program on a free port; on another one when somebody else was faster, which it says. */
export async function onFreePort<T>(start: (port: number) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await start(await freePort());
    } catch (error) {
      if (tries === 3 || !ADDRESS_TAKEN.test(String(error))) throw error;
    }
  }
}

function rtmpHost(url: string): string {
  return new URL(url.replace(/^rtmp:/, "http:")).host;
}

async function launch(
  folder: string,
  http: string,
  rtmp: string,
  settings: Record<string, string>,
): Promise<{ child: Child; demo: Demo }> {
  mkdirSync(RESULTS, { recursive: true });
  let ready: (demo: Demo) => void = () => {};
  const line = new Promise<Demo>((resolve) => {
    ready = resolve;
  });
  const args = ["demo", "--json", "--no-sample", "--http", http, "--rtmp", rtmp, "--data-dir", folder];
  const child = new Child("stagedoor", BINARY, args, {
    log: join(RESULTS, "stagedoor.log"),
    env: { ...process.env, ...settings },
    onLine: (text) => {
      if (text.startsWith("{") && text.includes('"viewer_url"')) ready(JSON.parse(text) as Demo);
    },
  });
  const limit = new Promise<never>((_, reject) => {
    setTimeout(
      () => reject(new Error(`stagedoor is not ready after 20 s:\n${child.output}`)),
      20_000,
    ).unref();
  });
  const early = child.ended.then((ended): never => {
    throw new Error(`stagedoor ended before it was ready (${ended.code ?? ended.signal}):\n${ended.output}`);
  });
  return { child, demo: await Promise.race([line, early, limit]) };
}
