// What publishers cost when nobody watches: receive, demux, package to LL-HLS.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { prepare, publish } from "./lib/publisher.mjs";
import { sleep, usage, watch } from "./lib/process.mjs";
import { Stagedoor } from "./lib/stagedoor.mjs";

const KBPS = 2650;
const MANY = 20;

export async function measure({ bars, scratch, quick }) {
  const folder = join(scratch, "publishers");
  mkdirSync(folder);
  const file = await prepare(scratch, KBPS);
  const server = await Stagedoor.start(folder);
  const events = [];
  for (let number = 0; number < MANY; number += 1) events.push((await server.event(`Channel ${number}`, "low")).id);
  await sleep(2000);
  const idle = usage(server.pid).rss;
  const settle = quick ? 5_000 : 20_000;
  const seconds = quick ? 10 : 30;

  const publishers = [publish(file, await server.publishUrl(events[0]))];
  await server.live(events[0]);
  await sleep(settle);
  const one = await watch(server.pid, seconds);
  bars.add("1 publisher, 2.65 Mb/s, packaged", one.percent, {
    most: 0.8,
    unit: "% of a core",
    peer: "nginx-rtmp + HLS 0.5–0.6, MediaMTX + LL-HLS 1.2",
  });

  for (const event of events.slice(1)) {
    publishers.push(publish(file, await server.publishUrl(event)));
    // Apart, so that their keyframes do not coincide more than in life.
    await sleep(137);
  }
  for (const event of events) await server.live(event);
  await sleep(settle);
  const held = (await server.metric("live_window_bytes")) ?? Number.NaN;
  const many = await watch(server.pid, seconds);
  bars.add(`${MANY} publishers, 2.65 Mb/s, packaged`, many.percent, {
    most: 8,
    unit: "% of a core",
    peer: "nginx-rtmp + HLS 6.2–7.9, MediaMTX + LL-HLS 10.6",
  });
  const perStream = (many.rss - idle) / MANY / 2 ** 20;
  const beside = perStream - held / MANY / 2 ** 20;
  bars.keep("publishers", { idle_rss: idle, one, many, window_bytes: held, rss_per_stream_mib: perStream });
  bars.add("memory per live stream beside its window", beside, {
    most: 4,
    unit: "MiB",
    peer: `with its window ${perStream.toFixed(1)} MiB; MediaMTX ≈ 9, SRS ≈ 20`,
  });
  const dead = publishers.filter((publisher) => !publisher.alive);
  if (dead.length) throw new Error(`${dead.length} publishers ended:\n${dead[0].text}`);
}
