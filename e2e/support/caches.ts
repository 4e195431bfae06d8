/** nginx and Varnish in front of a server, with the configurations that we ship and other addresses in them. */

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Child, type Ended } from "./process.ts";
import { ADDRESS_TAKEN, onFreePort } from "./stagedoor.ts";

const DEPLOY = resolve(import.meta.dirname, "../../deploy");

export interface Cache {
  name: "nginx" | "Varnish";
  origin: string;
  /** What it has said. */
  log(): string;
  stop(): Promise<void>;
}

/** `text` with each of these replaced, all of which must be there. */
function changed(text: string, changes: [RegExp, string][]): string {
  let out = text;
  for (const [from, to] of changes) {
    if (out.search(from) < 0) throw new Error(`the shipped configuration has no ${from}`);
    out = out.replace(from, to);
  }
  return out;
}

/** Waits until it answers; one that does not is stopped. */
async function answers(origin: string, child: Child): Promise<void> {
  const hopeful = () => child.running && !ADDRESS_TAKEN.test(child.output);
  for (let tries = 0; tries < 100 && hopeful(); tries += 1) {
    const signal = AbortSignal.timeout(2_000);
    const answer = await fetch(`${origin}/livez`, { signal }).catch(() => undefined);
    if (answer?.ok && hopeful()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await child.stop();
  throw new Error(`the cache does not answer:\n${child.output}`);
}

export function nginx(server: string): Promise<Cache> {
  return onFreePort((port) => nginxOn(port, server));
}

export function varnish(server: string): Promise<Cache> {
  return onFreePort((port) => varnishOn(port, server));
}

/** A folder for nginx with our configuration, changed like this, and what it needs around it. */
function nginxFolder(changes: (folder: string) => [RegExp, string][]): string {
  const folder = mkdtempSync(join(tmpdir(), "stagedoor-nginx-"));
  const conf = changed(readFileSync(join(DEPLOY, "nginx/stagedoor.conf"), "utf8"), [
    [/\/var\/cache\/nginx\/stagedoor/, join(folder, "cache")],
    ...changes(folder),
  ]);
  writeFileSync(join(folder, "stagedoor.conf"), conf);
  const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  writeFileSync(
    join(folder, "nginx.conf"),
    `daemon off; master_process off; pid ${folder}/pid; error_log stderr warn;
    events { worker_connections 4000; }
    http { ${temp.map((name) => `${name}_temp_path ${folder}/${name};`).join(" ")} include ${folder}/stagedoor.conf; }`,
  );
  mkdirSync(join(folder, "cache"));
  return folder;
}

/** What nginx itself says to our configuration as it is, with a certificate of its own. */
export function nginxJudges(): Promise<Ended> {
  return onFreePort(async (port) => {
    const folder = nginxFolder((made) => [
      [/listen 443 /, `listen 127.0.0.1:${port} `],
      [/\/etc\/letsencrypt\/.*\/fullchain\.pem/, join(made, "cert.pem")],
      [/\/etc\/letsencrypt\/.*\/privkey\.pem/, join(made, "key.pem")],
    ]);
    const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    const files = ["-keyout", join(folder, "key.pem"), "-out", join(folder, "cert.pem")];
    const named = ["-subj", "/CN=localhost"];
    execFileSync("openssl", ["req", "-x509", ...kind, ...named, ...files], { stdio: "pipe" });
    const args = ["-t", "-p", folder, "-c", join(folder, "nginx.conf")];
    const ended = await new Child("nginx -t", "/usr/sbin/nginx", args, {}).ended;
    rmSync(folder, { recursive: true, force: true });
    if (ADDRESS_TAKEN.test(ended.output)) throw new Error(ended.output);
    return ended;
  });
}

async function nginxOn(port: number, server: string): Promise<Cache> {
  const folder = nginxFolder(() => [
    [/127\.0\.0\.1:8080/, new URL(server).host],
    [/listen 443 ssl http2;/, `listen 127.0.0.1:${port};`],
    [/ssl_certificate .*\n/, "\n"],
    [/ssl_certificate_key .*\n/, "\n"],
  ]);
  const child = new Child("nginx", "/usr/sbin/nginx", ["-p", folder, "-c", join(folder, "nginx.conf")], {});
  const origin = `http://127.0.0.1:${port}`;
  await answers(origin, child);
  const stop = async () => {
    await child.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return { name: "nginx", origin, log: () => child.output, stop };
}

async function varnishOn(port: number, server: string): Promise<Cache> {
  const folder = mkdtempSync(join(tmpdir(), "stagedoor-varnish-"));
  const { hostname, port: origins } = new URL(server);
  const vcl = changed(readFileSync(join(DEPLOY, "varnish/stagedoor.vcl"), "utf8"), [
    [/\.host = "127\.0\.0\.1"/, `.host = "${hostname}"`],
    [/\.port = "8080"/, `.port = "${origins}"`],
  ]);
  writeFileSync(join(folder, "stagedoor.vcl"), vcl);
  const args = ["-F", "-j", "none", "-n", join(folder, "work"), "-a", `127.0.0.1:${port}`, "-T", "none"];
  const child = new Child(
    "varnish",
    "/usr/sbin/varnishd",
    [...args, "-f", join(folder, "stagedoor.vcl"), "-s", "malloc,64m"],
    {},
  );
  const origin = `http://127.0.0.1:${port}`;
  await answers(origin, child);
  const stop = async () => {
    await child.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return { name: "Varnish", origin, log: () => child.output, stop };
}

/** The path of an address without its token. */
export function nameless(url: string): string {
  return new URL(url).pathname.replace(/^\/live\/[^/]+\//, "");
}
