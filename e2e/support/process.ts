/** Child processes that cannot outlive the test that started them. */

import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  output: string;
}

/** The last part of what a child printed that is kept in memory for assertions. */
const OUTPUT_CHARACTERS_MAX = 200_000;

export class Child {
  /** Settles when the process has ended; never rejects. */
  readonly ended: Promise<Ended>;
  readonly pid: number;
  private readonly child: ChildProcess;
  private text = "";
  private done = false;

  constructor(
    readonly name: string,
    program: string,
    args: string[],
    options: { log?: string; env?: NodeJS.ProcessEnv; onLine?: (line: string) => void } = {},
  ) {
    this.child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: options.env ?? process.env });
    this.pid = this.child.pid ?? 0;
    const log = options.log ? createWriteStream(options.log, { flags: "a" }) : undefined;
    let partial = "";
    const take = (chunk: Buffer) => {
      const text = chunk.toString();
      this.text = (this.text + text).slice(-OUTPUT_CHARACTERS_MAX);
      log?.write(text);
      const lines = (partial + text).split("\n");
      partial = lines.pop() ?? "";
      for (const line of lines) options.onLine?.(line);
    };
    this.child.stdout?.on("data", take);
    this.child.stderr?.on("data", take);
    this.ended = new Promise((resolve) => {
      const finish = (code: number | null, signal: NodeJS.Signals | null) => {
        this.done = true;
        log?.end();
        resolve({ code, signal, output: this.text });
      };
      this.child.on("close", finish);
      this.child.on("error", (error) => {
        this.text += String(error);
        finish(null, null);
      });
    });
  }

  get running(): boolean {
    return !this.done;
  }

  /** Everything printed so far, on both streams. */
  get output(): string {
    return this.text;
  }

  /** Asks it to end, and insists after five seconds. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<Ended> {
    if (!this.done) {
      this.child.kill(signal);
      const insist = setTimeout(() => this.child.kill("SIGKILL"), 5_000);
      await this.ended;
      clearTimeout(insist);
    }
    return this.ended;
  }

  /** Ends it without a word, like a power cut. */
  async kill(): Promise<Ended> {
    return this.stop("SIGKILL");
  }
}

/** Runs a program to its end, or kills it after `timeoutMs`. */
export async function run(
  program: string,
  args: string[],
  timeoutMs: number,
  env?: NodeJS.ProcessEnv,
): Promise<Ended> {
  const child = new Child(program, program, args, env ? { env } : {});
  const limit = setTimeout(() => void child.kill(), timeoutMs);
  const ended = await child.ended;
  clearTimeout(limit);
  return ended;
}
