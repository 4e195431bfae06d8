// What the figures were measured on.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";

function first(program, args, pattern) {
  // nginx tells its version on standard error.
  const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  return `${stdout}${stderr}`.match(pattern)?.[1] ?? "not found";
}

export function facts() {
  const distribution = readFileSync("/etc/os-release", "utf8").match(/PRETTY_NAME="(.*)"/)?.[1] ?? "unknown";
  const json = {
    date: new Date().toISOString(),
    processor: `${cpus().length} × ${cpus()[0].model.trim()}`,
    memory_gib: Math.round(totalmem() / 2 ** 30),
    kernel: readFileSync("/proc/sys/kernel/osrelease", "utf8").trim(),
    distribution,
    load_before: loadavg()[0],
    ffmpeg: first("ffmpeg", ["-version"], /version (\S+)/),
    nginx: first("/usr/sbin/nginx", ["-v"], /nginx\/(\S+)/),
    chromium: first("chromium", ["--version"], /Chromium (\S+)/),
    node: process.version,
  };
  const lines = [
    `Machine: ${json.processor}, ${json.memory_gib} GiB, ${distribution}, Linux ${json.kernel}`,
    `Tools:   ffmpeg ${json.ffmpeg}, nginx ${json.nginx}, Chromium ${json.chromium}, Node ${json.node}`,
  ];
  if (json.load_before > 0.5) {
    lines.push(`Warning: the machine is not idle (load ${json.load_before.toFixed(2)}); the figures will suffer.`);
  }
  return { json, lines };
}
