// A list of 100,000 invitees through the API, a new master key for all of them while somebody watches, and the memory that
// a list of a gibibyte takes on its way in.

import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { list, read, upload } from "./lib/list.mjs";
import { sleep, usage } from "./lib/process.mjs";
import { Stagedoor } from "./lib/stagedoor.mjs";

const MIB = 2 ** 20;
// Bytes of a list at most, as the server takes them.
const LIST_MAX = 2 ** 30;
// Seconds that something takes, and the most that the server's memory grew meanwhile.
async function watched(server, work) {
  const before = usage(server.pid).rss;
  let most = before;
  let over = false;
  const watching = (async () => {
    while (!over) {
      most = Math.max(most, usage(server.pid).rss);
      await sleep(50);
    }
  })();
  const started = process.hrtime.bigint();
  const result = await work();
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  over = true;
  await watching;
  return { result, seconds, grown: (most - before) / MIB };
}

// A new master key for everybody who was read, and how often a viewer was refused meanwhile.
async function rotate(server, bars, folder, event, rows) {
  const playlist = await server.session(event);
  const file = join(folder, "master.key");
  writeFileSync(file, `${randomBytes(32).toString("hex")}\n${readFileSync(file, "utf8")}`);
  let refused = 0;
  const work = async () => {
    for (;;) {
      // Nobody broadcasts: those who may watch are told "not yet", others "no".
      if ((await fetch(playlist)).status === 403) refused += 1;
      const { data } = await server.api("GET", "/log?limit=20");
      if (data.some((fact) => fact.type === "master_key.rotated")) return;
      await sleep(100);
    }
  };
  const { seconds, grown } = await watched(server, work);
  bars.add(`a new master key for ${rows} people: refusals of a viewer`, refused, {
    most: 0,
    digits: 0,
    peer: `${seconds.toFixed(0)} s from the file to the end, + ${grown.toFixed(1)} MiB`,
  });
}

export async function measure({ bars, scratch, quick, long }) {
  const folder = join(scratch, "import");
  mkdirSync(folder);
  const server = await Stagedoor.start(folder);
  const rows = quick ? 10_000 : 100_000;
  // Telephone metadata and the pages of the database are there once somebody was imported.
  const before = await server.event("Before", "low");
  await read(server, before.id, await upload(server, before.id, list({ rows: 1_000 })));
  await sleep(2_000);

  const event = await server.event("Evening", "low");
  const spent = usage(server.pid).cpu;
  const whole = await watched(server, async () => {
    const made = await upload(server, event.id, list({ rows }));
    return read(server, event.id, made);
  });
  const cpu = usage(server.pid).cpu - spent;
  const { state, created } = whole.result;
  if (state !== "done" || created !== rows) throw new Error(`the list is ${state} with ${created} of ${rows} people`);
  bars.add(`${rows} people: upload and reading, SQLite`, whole.seconds, {
    most: 10,
    unit: "s",
    peer: `${Math.round(rows / whole.seconds)} rows/s, + ${whole.grown.toFixed(1)} MiB`,
  });

  await rotate(server, bars, folder, event.id, rows);

  const large = await server.event("Large", "low");
  const bytes = quick ? 64 * MIB : LIST_MAX;
  const arrived = await watched(server, () => upload(server, large.id, list({ bytes })));
  bars.add(`${bytes / MIB} MiB on their way in: memory`, arrived.grown, {
    most: 32,
    unit: "MiB",
    digits: 1,
    peer: `${(arrived.result.bytes / MIB / arrived.seconds).toFixed(0)} MiB/s`,
  });
  const some = quick ? 20_000 : long ? 10_000_000 : 200_000;
  const begun = await watched(server, () => read(server, large.id, arrived.result, { until: ({ rows }) => rows >= some }));
  bars.add(`the first ${some} rows of it read: memory`, begun.grown, {
    most: 32,
    unit: "MiB",
    digits: 1,
    peer: `${Math.round(some / begun.seconds)} rows/s`,
  });
  bars.keep("import", { rows, seconds: whole.seconds, cpu_s: cpu, upload_s: arrived.seconds, first_rows_s: begun.seconds });
  await server.api("DELETE", `/events/${large.id}/imports/${arrived.result.id}`);
  await server.stop();
}
