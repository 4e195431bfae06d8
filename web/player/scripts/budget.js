/**
 * Measures what the first play costs, against the page's budgets: JavaScript ≤ 260 kB gzipped (hls.js and
 * media-chrome are 230 of them), of which what guards the picture, loaded after its first frame, ≤ 12 kB; the shell's
 * HTML < 14 kB, which is what fits into the first round trip. Also
 * refuses what the content security policy would: inline script, inline style, data: and other origins.
 */
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const dist = new URL("../../dist/player/", import.meta.url);
const html = readFileSync(new URL("index.html", dist), "utf8");
const assets = new URL("assets/player/", dist);
const files = readdirSync(assets);

const gzip = (name) => gzipSync(readFileSync(new URL(name, assets))).length;
const sum = (ending, begins = /^/) =>
  files
    .filter((name) => name.endsWith(ending) && begins.test(name))
    .reduce((total, name) => total + gzip(name), 0);

const rows = [
  ["JavaScript, gzip", sum(".js"), 260_000],
  ["over the picture, gzip", sum(".js", /^(guard|pause)-/), 12_000],
  ["CSS, gzip", sum(".css"), 14_000],
  ["shell HTML", Buffer.byteLength(html), 14_000],
];
let failed = false;
for (const [what, size, limit] of rows) {
  const over = size > limit;
  failed ||= over;
  process.stdout.write(
    `${over ? "OVER" : "ok  "} ${what}: ${(size / 1000).toFixed(1)} kB of ${limit / 1000} kB\n`,
  );
}
for (const [what, pattern] of [
  ["inline script", /<script(?![^>]*\ssrc=)[^>]*>/i],
  ["inline style", /<style|\sstyle=/i],
  ["event attribute", /<[^>]+\son\w+=/i],
  ["other origin", /(?:src|href)="(?:https?:)?\/\//i],
  ["asset outside /assets/player/", /<(?:script|link)[^>]+(?:src|href)="(?!\/assets\/player\/)/i],
]) {
  if (!pattern.test(html)) continue;
  failed = true;
  process.stdout.write(`BAD  index.html has ${what}\n`);
}
process.exitCode = failed ? 1 : 0;
