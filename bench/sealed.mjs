// What encryption costs: the same audience on a clear and on a sealed broadcast of one server, and the key gate with
// every page asking for the newest key once in a period.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { prepare, publish } from "./lib/publisher.mjs";
import { Stagedoor, load } from "./lib/stagedoor.mjs";

const KBPS = 1000;
const VIEWERS = 2000;
const PAGES = 10_000;
const PERIOD_S = 10;

export async function measure({ bars, scratch, quick }) {
  const folder = join(scratch, "sealed");
  mkdirSync(folder);
  const server = await Stagedoor.start(folder);
  const source = await prepare(scratch, KBPS);
  const [viewers, pages, seconds] = quick ? [VIEWERS / 4, PAGES / 10, 20] : [VIEWERS, PAGES, 40];
  const delivered = {};
  for (const method of ["off", "aes-128", "cbcs"]) {
    const encryption = { method, key_period_s: PERIOD_S };
    const { id } = await server.api("POST", "/events", { title: method, latency: "low", policy: { encryption } });
    publish(source, await server.publishUrl(id));
    await server.live(id);
    const report = await load([
      ...["--api", server.origin, "--api-token", server.demo.api_token, "--event", id],
      // Behind the settling every playlist is long enough for updates that leave its old part out.
      ...["--viewers", viewers, "--ramp", 10, "--settle", 15, "--duration", seconds, "--server-pid", server.pid],
    ]);
    // Nobody's picture stands still, nothing fails: then what it costs may be compared. How soon a part is there is the
    // viewers' benchmark.
    const whole = report.errors === 0 && report.stalls === 0 && report.joined === viewers;
    delivered[method] = whole ? report.server.answers_per_cpu_s : Number.NaN;
    console.log(
      `   ${method}: ${whole ? "whole" : "NOT WHOLE"}, ${report.server.cpu_us_per_answer.toFixed(1)} µs/req, ` +
        `${report.mbit_per_s.toFixed(0)} Mbit/s, p99 wait ${report.wait_past_due_clock_ms.p99.toFixed(0)} ms`,
    );
    bars.keep(`sealed ${method}`, report);
    if (method === "aes-128") await keys(bars, server, id, pages, seconds);
    await server.api("POST", `/events/${id}/broadcast/end`);
  }
  for (const method of ["aes-128", "cbcs"]) {
    bars.add(`${viewers} viewers by ${method}: answers per second of the server's processor, to clear`,
      delivered[method] / delivered.off, { least: 0.9, digits: 2 });
  }
}

async function keys(bars, server, id, pages, seconds) {
  const report = await load([
    ...["--join-storm", "--keys", PERIOD_S, "--api", server.origin, "--api-token", server.demo.api_token, "--event", id],
    ...["--viewers", pages, "--rate", 350, "--settle", 5, "--duration", seconds, "--server-pid", server.pid],
  ]);
  bars.keep("keys", report);
  bars.add(`${pages} pages with a new key every ${PERIOD_S} s: key p99`, report.key_ms?.p99 ?? Number.NaN, {
    most: 50,
    unit: "ms",
    digits: 1,
    peer: `${report.key_ms?.count ?? 0} keys, p50 ${report.key_ms?.p50.toFixed(1)} ms`,
  });
  bars.add(`${pages} pages with a new key every ${PERIOD_S} s: errors`, report.errors, { most: 0, digits: 0 });
}
