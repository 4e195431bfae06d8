// Measures the bars one after the other and prints them. Nothing else should run on the machine meanwhile.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { facts } from "./lib/machine.mjs";
import { endAll } from "./lib/process.mjs";
import { Bars } from "./lib/bars.mjs";

const PARTS = {
  start: ["time from start to ready", () => import("./start.mjs")],
  publishers: ["cost of 1 and 20 publishers", () => import("./publishers.mjs")],
  static: ["parts and playlists beside nginx, and the price of the token check", () => import("./static.mjs")],
  import: ["100,000 invitees from a list, and a list of a gibibyte", () => import("./import.mjs")],
  lists: ["100,000 invitees looked through and taken away, on SQLite and PostgreSQL", () => import("./lists.mjs")],
  sheets: ["lists opened and saved by LibreOffice in between", () => import("./sheets.mjs")],
  viewers: ["the largest audience that holds", () => import("./viewers.mjs")],
  doors: ["10,000 people come in at once, and are sent out at once", () => import("./doors.mjs")],
  sealed: ["what encryption costs, and the key gate", () => import("./sealed.mjs")],
  kicks: ["viewers sent out while a thousand play", () => import("./kicks.mjs")],
  stuck: ["5,000 connections at each door that do not get on with it", () => import("./stuck.mjs")],
  honest: ["a thousand honest people, and what watching over the picture costs them", () => import("./honest.mjs")],
  tamper: ["how often each signal comes when somebody does what it is for", () => import("./tamper.mjs")],
  timing: ["whether the time of a refusal tells how nearly right a secret was", () => import("./timing.mjs")],
  table: ["the room's table in Chromium: 10,000 rows, 2,000 changes a second", () => import("./table/table.mjs")],
  glass: ["glass to glass and join time in Chromium", () => import("./glass/glass.mjs")],
};

const HELP = `bench/run [OPTIONS] [PARTS]

Parts (all when none is named):
${Object.entries(PARTS).map(([name, [text]]) => `  ${name.padEnd(12)} ${text}`).join("\n")}

Options:
  --quick       shorter phases: to see that everything works, not to quote
  --long        import reads 10,000,000 rows of its gibibyte instead of 200,000: half an hour
  --at-once N   so many browsers at a time in honest and tamper (default 2 for each processor)
  --out FILE    write the figures as JSON as well (default bench/results/latest.json)
  --help        this text

STAGEDOOR_BINARY names another binary than target/release/stagedoor.`;

const names = [];
const options = { quick: false, long: false, atOnce: 2 * availableParallelism(), out: join(import.meta.dirname, "results/latest.json") };
for (let at = 2; at < process.argv.length; at += 1) {
  const word = process.argv[at];
  if (word === "--help") {
    console.log(HELP);
    process.exit(0);
  } else if (word === "--quick") options.quick = true;
  else if (word === "--long") options.long = true;
  else if (word === "--at-once" && Number(process.argv[at + 1]) >= 1) options.atOnce = Math.trunc(Number(process.argv[++at]));
  else if (word === "--out") options.out = process.argv[++at];
  else if (word in PARTS) names.push(word);
  else {
    console.error(`unknown word: ${word}\n\n${HELP}`);
    process.exit(2);
  }
}

const machine = facts();
console.log(machine.lines.join("\n"));
const bars = new Bars();
const scratch = mkdtempSync(join(tmpdir(), "stagedoor-bench-"));
let failed = false;
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, async () => {
    await endAll();
    rmSync(scratch, { recursive: true, force: true });
    process.exit(130);
  });
}
for (const name of names.length ? names : Object.keys(PARTS)) {
  console.log(`\n== ${name}: ${PARTS[name][0]}`);
  const started = Date.now();
  try {
    const part = await PARTS[name][1]();
    const { quick, long, atOnce } = options;
    await part.measure({ bars, scratch, quick, long, atOnce });
  } catch (error) {
    failed = true;
    console.error(`   ${name} could not be measured: ${error.stack ?? error}`);
  } finally {
    await endAll();
  }
  console.log(`   (${Math.round((Date.now() - started) / 1000)} s)`);
}
rmSync(scratch, { recursive: true, force: true });

console.log(`\n${bars.table()}`);
mkdirSync(join(options.out, ".."), { recursive: true });
writeFileSync(options.out, `${JSON.stringify({ machine: machine.json, quick: options.quick, ...bars.json() }, null, 2)}\n`);
console.log(`\nWritten to ${options.out}`);
process.exit(failed ? 1 : 0);
