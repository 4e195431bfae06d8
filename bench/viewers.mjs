// The largest audience that holds: 0 errors, 0 stalls, playlist wait past due p99 ≤ 150 ms, generator included.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { prepare, publish } from "./lib/publisher.mjs";
import { Stagedoor, load } from "./lib/stagedoor.mjs";

const KBPS = 1000;
const STEPS = [500, 1000, 2000, 2500, 3000, 3500, 4000, 5000, 6000, 7000, 8000];
const BAR = 2000;

function say(report) {
  const ms = (spread) => (spread ? `${spread.p50.toFixed(0)}/${spread.p99.toFixed(0)}` : "–");
  console.log(
    `   ${String(report.viewers).padStart(5)} viewers: ${report.holds ? "holds" : "FAILS"}, ${report.errors} errors, ${report.stalls} stalls, ` +
      `wait p50/p99 ${ms(report.wait_past_due_clock_ms)} ms by clock, ${ms(report.wait_past_due_first_ms)} ms by first viewer, ` +
      `${report.answers_per_s.toFixed(0)} req/s, ${report.mbit_per_s.toFixed(0)} Mb/s, server ${report.server.cpu_percent.toFixed(0)} % ` +
      `(${report.server.cpu_us_per_answer.toFixed(1)} µs/req, ${(report.server.rss_bytes / 2 ** 20).toFixed(0)} MiB), ` +
      `generator ${report.generator.cpu_percent.toFixed(0)} % (${report.generator.cpu_us_per_answer.toFixed(1)} µs/req)`,
  );
  if (report.errors) console.log(`         ${JSON.stringify(report.errors_by_kind)}`);
}

export async function measure({ bars, scratch, quick }) {
  const folder = join(scratch, "viewers");
  mkdirSync(folder);
  const server = await Stagedoor.start(folder);
  const { id } = await server.event("Audience", "low");
  publish(await prepare(scratch, KBPS), await server.publishUrl(id));
  await server.live(id);

  const runs = [];
  const run = async (viewers) => {
    const report = await load([
      ...["--api", server.origin, "--api-token", server.demo.api_token, "--event", id],
      ...["--viewers", viewers, "--ramp", 10, "--settle", 5, "--duration", quick ? 10 : 40, "--server-pid", server.pid],
    ]);
    say(report);
    runs.push(report);
    return report;
  };
  let largest = 0;
  let failed;
  for (const viewers of quick ? STEPS.slice(0, 3) : STEPS) {
    const report = await run(viewers);
    if (report.holds) {
      largest = viewers;
      continue;
    }
    // Once more, so that one busy moment of the machine does not decide.
    if ((await run(viewers)).holds) {
      largest = viewers;
      continue;
    }
    failed = viewers;
    break;
  }
  const at = runs.find((report) => report.viewers === BAR && report.holds) ?? runs.find((report) => report.viewers === BAR);
  bars.keep("viewers", runs);
  bars.add("viewers that hold on this machine", largest, {
    least: BAR,
    digits: 0,
    peer: failed ? `${failed} do not` : "more were not tried",
  });
  bars.add(`${BAR} viewers: playlist wait past due p99`, at?.wait_past_due_clock_ms?.p99 ?? Number.NaN, {
    most: 150,
    unit: "ms",
    digits: 0,
    peer: at ? `by the first viewer ${at.wait_past_due_first_ms?.p99.toFixed(0)} ms` : "",
  });
  bars.add(`${BAR} viewers: errors and stalls`, at ? at.errors + at.stalls : Number.NaN, { most: 0, digits: 0 });
}
