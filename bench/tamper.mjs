// The other side of `honest`: people and programs that do what each signal is for, and how often the signal came.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { median, quantile } from "./lib/bars.mjs";
import { SIGNALS as SERVER, copy } from "./lib/copying.mjs";
import { places } from "./lib/places.mjs";
import { prepare, publish } from "./lib/publisher.mjs";
import { Stagedoor } from "./lib/stagedoor.mjs";
import { SIGNALS as PAGE, STAGED, tamper } from "./lib/tampering.mjs";

/** Some visits cannot try everything: what one act has told is not told again for a minute. */
const VISITS = 60;
const COPIERS = 42;
const TRIES_MIN = 40;
const FOUND_MIN = 95;
/** What takes minutes by its nature. */
const SLOW = ["request_pattern", "heartbeat_missed"];

export async function measure({ bars, scratch, quick, atOnce }) {
  const folder = join(scratch, "tamper");
  mkdirSync(folder);
  writeFileSync(join(scratch, "places.mmdb"), places());
  const env = {
    STAGEDOOR_HTTP_TRUSTED_PROXIES: '["127.0.0.1"]',
    STAGEDOOR_GEO_DATABASE: join(scratch, "places.mmdb"),
  };
  const server = await Stagedoor.start(folder, { env });
  const source = await prepare(scratch, 200, { size: "320x180", rate: 5 });
  const live = async (title, policy = {}) => {
    const { id } = await server.event(title, "low");
    // Nothing follows, so that nobody is stopped on the way.
    const event = await server.api("PATCH", `/events/${id}`, { policy: { protection: { guard: true, watermark: true, action: "log" }, ...policy } });
    publish(source, await server.publishUrl(id));
    await server.live(id);
    return event;
  };
  const log = (line) => console.log(`   ${line}`);
  const [visits, copiers] = quick ? [4, 4] : [VISITS, COPIERS];
  const [pages, programs] = await Promise.all([
    tamper(server, await live("Tamper"), visits, { atOnce, log }),
    copy(server, live, copiers, quick ? SERVER.filter((signal) => !SLOW.includes(signal)) : SERVER),
  ]);
  const tries = [...pages.tries, ...programs.tries];
  const troubles = [...pages.troubles, ...programs.troubles];
  for (const { signal, way, turn } of programs.tries.filter(({ ms }) => ms === null)) log(`missed: ${signal}, ${way}, ${turn}`);
  for (const trouble of programs.troubles) log(trouble);
  bars.keep("tamper", { rows: table(tries), troubles });
  console.log(`\n${markdown(tries)}\n`);
  for (const signal of [...PAGE, ...SERVER]) {
    const { count, found, p50, p95 } = row(tries, signal);
    if (quick && SLOW.includes(signal)) continue;
    const enough = quick || count >= TRIES_MIN;
    bars.add(`${signal} is told`, enough ? (found / count) * 100 : Number.NaN, {
      least: FOUND_MIN,
      unit: "%",
      digits: 1,
      peer: `${found} of ${count}, after ${seconds(p50)}, 95 % within ${seconds(p95)}`,
    });
  }
}

function row(tries, signal, way) {
  const mine = tries.filter((one) => one.signal === signal && (way === undefined || one.way === way));
  const times = mine.map(({ ms }) => ms).filter((ms) => ms !== null);
  return { signal, way, count: mine.length, found: times.length, p50: median(times), p95: quantile(times, 0.95) };
}

/** One row for each way that was gone. */
function table(tries) {
  return [...PAGE, ...SERVER].flatMap((signal) => {
    const ways = [...new Set(tries.filter((one) => one.signal === signal).map(({ way }) => way))];
    return ways.map((way) => row(tries, signal, way));
  });
}

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

/** As it is published. */
function markdown(tries) {
  const lines = [...PAGE, ...SERVER].map((signal) => {
    const { count, found, p50, p95 } = row(tries, signal);
    const ways = table(tries).filter((one) => one.signal === signal);
    const missed = ways.filter(({ count, found }) => found < count).map(({ way, count, found }) => `${way}: ${found} of ${count}`);
    const note = [STAGED[signal] && `staged: ${STAGED[signal]}`, ...missed].filter(Boolean).join("; ");
    const told = count > 0 ? `${found} of ${count}` : "";
    return `| \`${signal}\` | ${ways.length} | ${told} | ${seconds(p50)} | ${seconds(p95)} | ${note} |`;
  });
  return ["| signal | ways | told | after, p50 | p95 | missed |", "|---|---|---|---|---|---|", ...lines].join("\n");
}
