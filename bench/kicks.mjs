// Sending viewers out while a thousand play: from the answer to the organiser to the viewer's first refusal.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { prepare, publish } from "./lib/publisher.mjs";
import { Stagedoor, load } from "./lib/stagedoor.mjs";

const VIEWERS = 1000;
const KICKS = 200;

export async function measure({ bars, scratch, quick }) {
  const folder = join(scratch, "kicks");
  mkdirSync(folder);
  const server = await Stagedoor.start(folder);
  const { id } = await server.event("Kicks", "low");
  publish(await prepare(scratch, 1000), await server.publishUrl(id));
  await server.live(id);
  const viewers = quick ? VIEWERS / 4 : VIEWERS;
  const kicks = quick ? KICKS / 4 : KICKS;
  const report = await load([
    ...["--api", server.origin, "--api-token", server.demo.api_token, "--event", id, "--kicks", kicks],
    ...["--viewers", viewers, "--ramp", 5, "--settle", 3, "--duration", quick ? 12 : 30, "--server-pid", server.pid],
  ]);
  bars.keep("kicks", report);
  const { kick_to_refusal_ms: spread } = report;
  bars.add(`${kicks} of ${viewers} playing viewers sent out: answered to first refusal, p99`, spread?.p99 ?? Number.NaN, {
    most: 2000,
    unit: "ms",
    digits: 0,
    peer: `p50 ${spread?.p50.toFixed(0)} ms, largest ${spread?.max.toFixed(0)} ms`,
  });
  bars.add("sent out and not refused", report.kicked - (spread?.count ?? 0), { most: 0, digits: 0 });
  bars.add("the others: errors and stalls", report.errors + report.stalls, { most: 0, digits: 0 });
}
