/** A PostgreSQL of one's own, to be stopped while somebody depends on it. */

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./stagedoor.ts";

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
    const options = "--username postgres --auth trust --encoding UTF8 --no-sync".split(" ");
    await postgres.run("initdb", ...options);
    await postgres.on();
    return postgres;
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`;
  }

  async on() {
    const options = `-p ${this.port} -k ${this.folder} -c listen_addresses=127.0.0.1 -c fsync=off`;
    await this.run("pg_ctl", "--wait", "--log", join(this.folder, "log"), "--options", options, "start");
  }

  /** As when the machine it runs on loses its power. */
  async off() {
    await this.run("pg_ctl", "--wait", "--mode", "immediate", "stop");
  }

  async remove() {
    try {
      await this.off();
    } catch {
      // It was off already.
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async run(program: string, ...args: string[]) {
    const newest = readdirSync(VERSIONS).sort((a, b) => Number(b) - Number(a))[0] ?? "";
    const command = [join(VERSIONS, newest, "bin", program), "--pgdata", join(this.folder, "data"), ...args];
    // PostgreSQL refuses to run as root.
    const words = isRoot() ? ["runuser", "-u", "postgres", "--", ...command] : command;
    // Without pipes: the server that `pg_ctl` leaves behind would keep them open.
    const child = spawn(words[0] ?? "", words.slice(1), { cwd: this.folder, stdio: "ignore" });
    const [code] = await once(child, "exit");
    if (code !== 0) throw new Error(`${program} ended with ${code}`);
  }
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

function id(which: "-u" | "-g"): number {
  return Number(execFileSync("id", [which, "postgres"], { encoding: "utf8" }));
}
