// Child processes that cannot outlive the benchmark, and what they have used.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";

const running = new Set();

export class Child {
  constructor(program, args, { onLine, stdin = "ignore", env } = {}) {
    this.started = process.hrtime.bigint();
    this.text = "";
    this.child = spawn(program, args, { stdio: [stdin, "pipe", "pipe"], env: { ...process.env, ...env } });
    this.pid = this.child.pid;
    this.name = program;
    running.add(this);
    let partial = "";
    const take = (chunk) => {
      this.text = (this.text + chunk).slice(-100_000);
      const lines = (partial + chunk).split("\n");
      partial = lines.pop();
      for (const line of lines) onLine?.(line);
    };
    this.child.stdout.setEncoding("utf8").on("data", take);
    this.child.stderr.setEncoding("utf8").on("data", take);
    this.ended = new Promise((resolve) => {
      this.child.on("close", (code, signal) => {
        running.delete(this);
        resolve({ code, signal });
      });
      this.child.on("error", (error) => {
        this.text += error.message;
        running.delete(this);
        resolve({ code: -1 });
      });
    });
  }

  get alive() {
    return running.has(this);
  }

  async end(signal = "SIGTERM") {
    if (!running.has(this)) return;
    this.child.kill(signal);
    const insist = setTimeout(() => this.child.kill("SIGKILL"), 8000);
    await this.ended;
    clearTimeout(insist);
  }
}

export async function endAll() {
  await Promise.all([...running].map((child) => child.end()));
}

// Runs a program to its end and returns what it printed on standard output.
export function output(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    let err = "";
    child.stdout.on("data", (chunk) => (out += chunk));
    child.stderr.on("data", (chunk) => (err += chunk));
    child.on("error", reject);
    child.on("close", (code) =>
      code === 0 ? resolve(out) : reject(new Error(`${program} ${args.join(" ")}: exit ${code}\n${err.slice(-2000)}`)),
    );
  });
}

// Processor seconds and resident bytes of a process so far.
export function usage(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return {
    cpu: (Number(fields[11]) + Number(fields[12])) / 100,
    rss: Number(status.match(/VmRSS:\s+(\d+)/)?.[1] ?? 0) * 1024,
  };
}

// Per cent of one core that a process uses over so many seconds, and its memory at the end.
export async function watch(pid, seconds) {
  const before = usage(pid);
  const started = process.hrtime.bigint();
  await sleep(seconds * 1000);
  const after = usage(pid);
  const elapsed = Number(process.hrtime.bigint() - started) / 1e9;
  return { percent: ((after.cpu - before.cpu) / elapsed) * 100, rss: after.rss };
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
