// A PostgreSQL of its own, as its packages configure it; gone when the benchmark is.

import { execFileSync } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const VERSIONS = "/usr/lib/postgresql";
const root = process.getuid?.() === 0;
const id = (which) => Number(execFileSync("id", [which, "postgres"], { encoding: "utf8" }));

export class Postgres {
  // `null` where none is installed.
  static async start() {
    if (!existsSync(VERSIONS)) return null;
    const folder = mkdtempSync(join(tmpdir(), "stagedoor-bench-postgres-"));
    if (root) chownSync(folder, id("-u"), id("-g"));
    const postgres = new Postgres();
    Object.assign(postgres, { folder, port: await freePort() });
    process.once("exit", () => postgres.remove());
    postgres.run("initdb", "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--no-sync");
    const options = `-p ${postgres.port} -k ${folder} -c listen_addresses=127.0.0.1`;
    postgres.run("pg_ctl", "--wait", "--log", join(folder, "log"), "--options", options, "start");
    postgres.on = true;
    return postgres;
  }

  get url() {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`;
  }

  remove() {
    if (this.on) this.run("pg_ctl", "--wait", "--mode", "immediate", "stop");
    this.on = false;
    rmSync(this.folder, { recursive: true, force: true });
  }

  run(program, ...args) {
    const newest = readdirSync(VERSIONS).sort((a, b) => Number(b) - Number(a))[0];
    const command = [join(VERSIONS, newest, "bin", program), "--pgdata", join(this.folder, "data"), ...args];
    // PostgreSQL refuses to run as root.
    const words = root ? ["runuser", "-u", "postgres", "--", ...command] : command;
    execFileSync(words[0], words.slice(1), { cwd: this.folder, stdio: "ignore" });
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
