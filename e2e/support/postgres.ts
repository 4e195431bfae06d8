/** A PostgreSQL of one's own, to be stopped while somebody depends on it. */

import { execFileSync } from "node:child_process";
import { chownSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const VERSIONS = "/usr/lib/postgresql";

export class Postgres {
  private constructor(
    private readonly folder: string,
    private readonly port: number,
  ) {}

  static async start(): Promise<Postgres> {
    const folder = mkdtempSync(join(tmpdir(), "stagedoor-postgres-"));
    if (isRoot()) chownSync(folder, id("-u"), id("-g"));
    const postgres = new Postgres(folder, await freePort());
    postgres.run("initdb", "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--no-sync");
    postgres.on();
    return postgres;
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`;
  }

  on() {
    const options = `-p ${this.port} -k ${this.folder} -c listen_addresses=127.0.0.1 -c fsync=off`;
    this.run("pg_ctl", "--wait", "--log", join(this.folder, "log"), "--options", options, "start");
  }

  /** As when the machine it runs on loses its power. */
  off() {
    this.run("pg_ctl", "--wait", "--mode", "immediate", "stop");
  }

  remove() {
    try {
      this.off();
    } catch {
      // It was off already.
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  private run(program: string, ...args: string[]) {
    const newest = readdirSync(VERSIONS).sort((a, b) => Number(b) - Number(a))[0] ?? "";
    const command = [join(VERSIONS, newest, "bin", program), "--pgdata", join(this.folder, "data"), ...args];
    // PostgreSQL refuses to run as root.
    const words = isRoot() ? ["runuser", "-u", "postgres", "--", ...command] : command;
    execFileSync(words[0] ?? "", words.slice(1), { cwd: this.folder, stdio: "ignore" });
  }
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

function id(which: "-u" | "-g"): number {
  return Number(execFileSync("id", [which, "postgres"], { encoding: "utf8" }));
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
