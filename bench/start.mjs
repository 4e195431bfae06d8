// Start of the process to ready, on a data folder that has been used before.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { median } from "./lib/bars.mjs";
import { prepare, publish } from "./lib/publisher.mjs";
import { sleep } from "./lib/process.mjs";
import { Stagedoor } from "./lib/stagedoor.mjs";

export async function measure({ bars, scratch, quick }) {
  const folder = join(scratch, "start");
  mkdirSync(folder);
  // A folder with a past: an event that was broadcast, and people invited to it.
  const first = await Stagedoor.start(folder);
  const event = await first.event("Before", "low");
  for (let number = 0; number < 50; number += 1) await first.invite(event.id, `Guest ${number}`);
  const publisher = publish(await prepare(scratch, 1000), await first.publishUrl(event.id));
  await first.live(event.id);
  await sleep(quick ? 5_000 : 30_000);
  await publisher.end();
  await first.stop();
  const times = [];
  for (let run = 0; run < (quick ? 3 : 10); run += 1) {
    const server = await Stagedoor.start(folder);
    times.push(server.readyMs);
    await server.stop();
  }
  bars.keep("start_ms", { first: first.readyMs, again: times });
  bars.add("start to ready, existing data folder, worst of runs", Math.max(...times), {
    most: 500,
    unit: "ms",
    digits: 0,
    peer: `median ${median(times).toFixed(0)} ms`,
  });
}
