// The real binary, started as the documentation says, and its public API.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { Child, output, sleep } from "./process.mjs";

export const BINARY = process.env.STAGEDOOR_BINARY ?? join(import.meta.dirname, "../../target/release/stagedoor");

/** All viewers of a measurement come from one address, and one token invites them all. */
const ONE_FOR_ALL = {
  STAGEDOOR_HTTP_CONNECTIONS_PER_ADDRESS: "60000",
  STAGEDOOR_RTMP_CONNECTIONS_PER_ADDRESS: "8192",
  STAGEDOOR_ACCESS_REQUESTS_PER_ADDRESS: "10000000",
  STAGEDOOR_ACCESS_REQUESTS_PER_SESSION: "10000000",
};

export class Stagedoor {
  // Starts on free ports in the given data folder; resolves when it says that it is ready.
  static async start(folder, { flags = [], env = {} } = {}) {
    if (!existsSync(BINARY)) throw new Error(`${BINARY} is not there: make bench`);
    let ready;
    const line = new Promise((resolve) => (ready = resolve));
    const args = ["demo", "--json", "--no-sample", "--http", "127.0.0.1:0", "--rtmp", "127.0.0.1:0"];
    const child = new Child(BINARY, [...args, "--data-dir", folder, ...flags], {
      // The server refuses variables of ours that it does not know.
      env: { RUST_LOG: process.env.RUST_LOG ?? "warn", STAGEDOOR_BINARY: undefined, STAGEDOOR_CHROMIUM: undefined, ...ONE_FOR_ALL, ...env },
      onLine: (text) => {
        if (text.startsWith("{") && text.includes('"viewer_url"')) ready(JSON.parse(text));
      },
    });
    const demo = await Promise.race([
      line,
      child.ended.then(() => Promise.reject(new Error(`stagedoor ended before it was ready:\n${child.text}`))),
      sleep(20_000).then(() => Promise.reject(new Error(`stagedoor is not ready after 20 s:\n${child.text}`))),
    ]);
    const server = new Stagedoor();
    Object.assign(server, { child, demo, pid: child.pid, origin: new URL(demo.viewer_url).origin });
    server.readyMs = Number(process.hrtime.bigint() - child.started) / 1e6;
    return server;
  }

  stop() {
    return this.child.end();
  }

  async api(method, path, body, tries = 5) {
    const response = await fetch(`${this.origin}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${this.demo.api_token}`, "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    // A disk that others keep busy: it says so itself.
    if (response.status === 503 && tries > 1) {
      await sleep(2_000);
      return this.api(method, path, body, tries - 1);
    }
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  }

  event(title, latency) {
    return this.api("POST", "/events", { title, latency });
  }

  async publishUrl(event) {
    return (await this.api("GET", `/events/${event}/ingest`)).rtmp.url;
  }

  invite(event, name) {
    return this.api("POST", `/events/${event}/invitations`, { name });
  }

  // The playlist URL of a new session.
  async session(event) {
    const { code } = await this.invite(event, "Bench");
    const session = await this.api("POST", `/events/${event}/sessions`, { code });
    return session.playback.hls;
  }

  async live(event) {
    for (let tries = 0; tries < 100; tries += 1) {
      if ((await this.api("GET", `/events/${event}`)).stream.state === "live") return;
      await sleep(100);
    }
    throw new Error(`event ${event} did not go live in 10 s:\n${this.child.text.slice(-2000)}`);
  }

  // Value of a metric, or undefined.
  async metric(name) {
    const text = await (await fetch(`${this.origin}/metrics`)).text();
    const line = text.split("\n").find((entry) => entry.startsWith(`${name} `) || entry.startsWith(`${name}{`));
    return line === undefined ? undefined : Number(line.split(" ").pop());
  }
}

// Runs `stagedoor load` and returns its report.
export async function load(args) {
  return JSON.parse(await output(BINARY, ["load", "--json", ...args.map(String)]));
}
