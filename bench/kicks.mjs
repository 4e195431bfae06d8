// Sending viewers out while a thousand play: from the answer to the organiser to the viewer's first refusal, on a clear
// broadcast and on an encrypted one; and how much of the latter they can still decrypt, whatever a cache hands them.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { sleep } from "./lib/process.mjs";
import { prepare, publish } from "./lib/publisher.mjs";
import { Stagedoor, load } from "./lib/stagedoor.mjs";

const VIEWERS = 1000;
const KICKS = 200;
const PERIOD_S = 10;
/** Of those who are sent out, so many go on asking for keys. */
const STUBBORN = 40;

export async function measure({ bars, scratch, quick }) {
  const folder = join(scratch, "kicks");
  mkdirSync(folder);
  const server = await Stagedoor.start(folder);
  const source = await prepare(scratch, 1000);
  const share = quick ? 4 : 1;
  const [viewers, kicks, stubborn, seconds] = [VIEWERS / share, KICKS / share, STUBBORN / share, quick ? 15 : 30];
  for (const method of ["off", "aes-128"]) {
    const encryption = { method, key_period_s: PERIOD_S };
    const { id } = await server.api("POST", "/events", { title: method, latency: "low", policy: { encryption } });
    const publisher = publish(source, await server.publishUrl(id));
    await server.live(id);
    const [report, after] = await Promise.all([
      load([
        ...["--api", server.origin, "--api-token", server.demo.api_token, "--event", id, "--kicks", kicks],
        ...["--viewers", viewers, "--ramp", 5, "--settle", 3, "--duration", seconds, "--server-pid", server.pid],
      ]),
      method === "off" ? [] : sentOut(server, id, stubborn, seconds),
    ]);
    await publisher.end();
    bars.keep(`kicks ${method}`, { ...report, after });
    const { kick_to_refusal_ms: spread } = report;
    const what = method === "off" ? "a clear broadcast" : `one by ${method}`;
    bars.add(`${kicks} of ${viewers} playing viewers of ${what} sent out: answered to first refusal, p99`, spread?.p99 ?? Number.NaN, {
      most: 2000,
      unit: "ms",
      digits: 0,
      peer: `p50 ${spread?.p50.toFixed(0)} ms, largest ${spread?.max.toFixed(0)} ms`,
    });
    bars.add("sent out and not refused", report.kicked - (spread?.count ?? 0), { most: 0, digits: 0 });
    bars.add("the others: errors and stalls", report.errors + report.stalls, { most: 0, digits: 0 });
    if (method === "off") continue;
    const left = after.map(({ decryptableS }) => decryptableS).sort((one, other) => one - other);
    bars.add(`${stubborn} who go on asking: media that can be decrypted after the answer, largest`, left.at(-1), {
      most: PERIOD_S,
      unit: "s",
      digits: 1,
      peer: `a key every ${PERIOD_S} s; median ${left[left.length >> 1].toFixed(1)} s`,
    });
    bars.add("the same: keys given after the answer", after.reduce((sum, { given }) => sum + given, 0), { most: 0, digits: 0 });
  }
}

/** Viewers who come, take every key, are sent out at some moment of a period, and go on asking for a period and more. */
function sentOut(server, event, count, seconds) {
  return Promise.all(
    Array.from({ length: count }, async (_, number) => {
      await sleep(((number * seconds) / count) * 1000);
      const { code } = await server.invite(event, "Stubborn");
      const session = await server.api("POST", `/events/${event}/sessions`, { code });
      // What is sealed is there for everybody who may watch, and a cache gives it to this one as well.
      const cached = await server.session(event);
      const known = new Set();
      const ask = async () => {
        for (const { key } of await segments(cached)) {
          if (known.has(key)) continue;
          const answer = await fetch(new URL(`key/${key}`, session.playback.hls));
          await answer.arrayBuffer();
          if (answer.status === 200) known.add(key);
        }
      };
      const until = async (end) => {
        while (Date.now() < end) {
          await ask();
          await sleep(250);
        }
      };
      await until(Date.now() + ((number % 20) / 20) * PERIOD_S * 1000);
      await ask();
      const before = known.size;
      await server.api("POST", `/events/${event}/viewers/${session.id}/kick`, {});
      const answered = Date.now();
      await until(answered + (PERIOD_S + 4) * 1000);
      const ends = (await segments(cached)).filter(({ key }) => known.has(key)).map(({ endMs }) => endMs);
      return { given: known.size - before, decryptableS: (Math.max(...ends) - answered) / 1000 };
    }),
  );
}

/** The finished segments of a playlist: whose key each has, and when it ends by the wall. */
async function segments(hls) {
  const text = await (await fetch(new URL("video/index.m3u8", hls))).text();
  const found = [];
  let [key, date] = [null, 0];
  for (const line of text.split("\n")) {
    const [tag, value] = [line.slice(0, line.indexOf(":") + 1), line.slice(line.indexOf(":") + 1)];
    if (tag === "#EXT-X-KEY:") key = /key\/(\d+)/.exec(value)?.[1] ?? null;
    else if (tag === "#EXT-X-PROGRAM-DATE-TIME:") date = Date.parse(value);
    else if (tag === "#EXTINF:") found.push({ key, endMs: date + Number.parseFloat(value) * 1000 });
    else if (tag === "#EXT-X-PART:" && found.at(-1)?.key !== key) found.push({ key, endMs: 0 });
  }
  return found.filter((segment) => segment.key !== null);
}
