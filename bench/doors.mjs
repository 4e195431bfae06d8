// Doors open: 10,000 codes redeemed at 350 a second, 10,000 pages held open, and the end of all their sessions.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Stagedoor, load } from "./lib/stagedoor.mjs";

const PAGES = 10_000;
const RATE = 350;

export async function measure({ bars, scratch, quick }) {
  const folder = join(scratch, "doors");
  mkdirSync(folder);
  const server = await Stagedoor.start(folder);
  const { id } = await server.event("Doors", "low");
  const pages = quick ? PAGES / 10 : PAGES;
  const report = await load([
    ...["--join-storm", "--end-all", "--api", server.origin, "--api-token", server.demo.api_token, "--event", id],
    ...["--viewers", pages, "--rate", RATE, "--settle", 5, "--duration", quick ? 5 : 20, "--server-pid", server.pid],
  ]);
  bars.keep("doors", report);
  const p99 = (spread) => spread?.p99 ?? Number.NaN;
  const n = pages.toLocaleString("en");
  bars.add(`${n} redemptions at ${RATE}/s: errors`, report.errors + report.lost, { most: 0, digits: 0 });
  // The time to a session is of those who came straight in.
  bars.add(`${n} redemptions at ${RATE}/s: stood in line or told to wait`, report.queued + report.told_to_wait, {
    most: 0,
    digits: 0,
  });
  bars.add(`${n} redemptions at ${RATE}/s: due to session, p99`, p99(report.redemption_ms), {
    most: 500,
    unit: "ms",
    digits: 0,
    peer: `p50 ${report.redemption_ms?.p50.toFixed(0)} ms; server ${report.coming.cpu_percent.toFixed(0)} % of a core`,
  });
  bars.add(`${n} pages open: server memory for each`, report.server_bytes_per_page / 1024, {
    most: 20,
    unit: "KiB",
    digits: 1,
  });
  bars.add(`${n} pages open: server`, report.holding.cpu_percent, { most: 10, unit: "% of a core", digits: 1 });
  bars.add(`${n} sessions ended at once: answered to last refusal`, report.end_all_to_refusal_ms?.max ?? Number.NaN, {
    most: 1000,
    unit: "ms",
    digits: 0,
    peer: `answered in ${report.end_all_ms?.toFixed(0)} ms; still in: ${report.still_in}`,
  });
  bars.add(`${n} sessions ended at once: answered to last page told`, report.end_all_to_bye_ms?.max ?? Number.NaN, {
    most: 1000,
    unit: "ms",
    digits: 0,
    peer: Object.entries(report.byes).map(([reason, count]) => `${count} × ${reason}`).join(", "),
  });
}
