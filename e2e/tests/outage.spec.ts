import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { BrowserContext } from "@playwright/test";
import { Viewer } from "../support/people.ts";
import { Postgres } from "../support/postgres.ts";
import type { Child } from "../support/process.ts";
import type { Content } from "../support/publisher.ts";
import { Stagedoor } from "../support/stagedoor.ts";
import { expect, pictureAdvances, pictureAfter, streamBecomes, test } from "../support/test.ts";

const OUTAGE_MS = 60_000;
const RATE = 15;

/** Presents a code as a program would, and says what came back. */
async function knock(stagedoor: Stagedoor, event: string, code: string) {
  const response = await fetch(`${stagedoor.origin}/api/v1/events/${event}/sessions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ code }),
  });
  const body = (await response.json()) as { code?: string };
  return { status: response.status, code: body.code, retryAfter: response.headers.get("retry-after") };
}

/** The first media playlist of a session. */
async function mediaPlaylist(url: string): Promise<string> {
  const lines = (await (await fetch(url)).text()).split("\n");
  return new URL(lines.find((line) => line !== "" && !line.startsWith("#")) ?? "", url).href;
}

/** One minute without the database: those who watch notice nothing, those who come are told to come back. */
async function survives(
  stagedoor: Stagedoor,
  context: BrowserContext,
  publish: (url: string, content?: Content) => Child,
  down: () => Promise<() => Promise<void>>,
) {
  // With seconds in hand, as a busy machine needs them: an encoder that pauses is not the database's fault.
  const event = await stagedoor.createEvent("Without a net", { latency: "standard" });
  const ada = await stagedoor.invite(event.id, "Ada Lovelace");
  const grace = await stagedoor.invite(event.id, "Grace Hopper");
  const mary = await stagedoor.invite(event.id, "Mary Somerville");
  const charles = await stagedoor.invite(event.id, "Charles Babbage");
  publish(await stagedoor.publishUrl(event.id), { rate: RATE });
  await streamBecomes(stagedoor, event.id, "live");
  const viewer = await Viewer.comeIn(context, ada.link);
  await pictureAdvances(viewer.video, RATE);
  await viewer.video.evaluate((video) => {
    (video as HTMLVideoElement & { waits: number }).waits = 0;
    video.addEventListener("waiting", () => {
      const { buffered, currentTime, waits } = video as HTMLVideoElement & { waits: number };
      let ahead = 0;
      for (let i = 0; i < buffered.length; i += 1)
        if (buffered.start(i) <= currentTime) ahead = buffered.end(i) - currentTime;
      // Waiting for pictures that are there is waiting for a processor that three encoders share.
      Object.assign(video, { waits: waits + Number(ahead < 0.5) });
    });
  });

  const disturbing = await stagedoor.redeem(event.id, charles.code);
  expect((await fetch(disturbing.playback.hls)).status).toBe(200);

  const watching = await stagedoor.redeem(event.id, mary.code);
  const playlist = await mediaPlaylist(watching.playback.hls);

  const up = await down();
  const before = await pictureAfter(viewer.video, -1);
  const began = Date.now();
  // Whoever disturbs is out now, and not when the database is back.
  const kick = `/events/${event.id}/viewers/${disturbing.id}/kick`;
  const sent = await stagedoor.api<object>("POST", kick, { reason: "Not now." });
  expect(sent).toEqual({ sessions: 1, recorded: false });
  expect((await fetch(disturbing.playback.hls)).status, "refused at once").toBe(403);
  expect(Date.now() - began, "and soon").toBeLessThan(8_000);
  const took: number[] = [];
  // Somebody keeps knocking for the whole minute, as people do.
  while (Date.now() - began < OUTAGE_MS) {
    const answer = await knock(stagedoor, event.id, grace.code);
    expect(answer.status, "nobody gets in unchecked").toBe(503);
    expect(answer.code).toBe("unavailable");
    expect(Number(answer.retryAfter), "and is told when to try again").toBeGreaterThan(0);
    // Whoever watches is answered as ever.
    const asked = performance.now();
    expect((await fetch(playlist)).status).toBe(200);
    took.push(performance.now() - asked);
    // Whoever waits for the database waits for five seconds.
    expect(took.at(-1), "without waiting for anybody").toBeLessThan(5_000);
    await new Promise((resolve) => setTimeout(resolve, 1_000 * Number(answer.retryAfter)));
  }
  const median = took.sort((a, b) => a - b)[Math.floor(took.length / 2)];
  expect(median, "and at once, as a rule").toBeLessThan(1_000);
  const seconds = (Date.now() - began) / 1_000;
  const after = await pictureAfter(viewer.video, before.frame + Math.floor(seconds * RATE * 0.95));
  expect(after.frame).toBeGreaterThan(before.frame);
  const waits = await viewer.video.evaluate((video) => (video as HTMLVideoElement & { waits: number }).waits);
  expect(waits, "the picture never waited for the server").toBe(0);

  await up();
  await expect
    .poll(async () => (await knock(stagedoor, event.id, grace.code)).status, { timeout: 60_000 })
    .toBe(201);
  const { data } = await stagedoor.api<{ data: { name: string }[] }>("GET", `/events/${event.id}/viewers`);
  expect(data.map((person) => person.name).sort(), "each of them once").toEqual([
    "Ada Lovelace",
    "Grace Hopper",
    "Mary Somerville",
  ]);
  await pictureAdvances(viewer.video, RATE);
}

async function withoutPostgres(context: BrowserContext, publish: (url: string, content?: Content) => Child) {
  const postgres = await Postgres.start();
  const stagedoor = await Stagedoor.start({ STAGEDOOR_DATABASE_URL: postgres.url });
  try {
    await survives(stagedoor, context, publish, async () => {
      await postgres.off();
      return () => postgres.on();
    });
  } finally {
    await stagedoor.stop();
    await postgres.remove();
  }
}

async function withSqliteLocked(context: BrowserContext, publish: (url: string, content?: Content) => Child) {
  const stagedoor = await Stagedoor.start();
  try {
    await survives(stagedoor, context, publish, async () => {
      const holder = spawn("sqlite3", [join(stagedoor.folder, "stagedoor.db")], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      holder.stdin.write(".timeout 10000\nBEGIN EXCLUSIVE;\nSELECT 'held';\n");
      await once(holder.stdout, "data");
      return async () => {
        holder.stdin.end("ROLLBACK;\n.quit\n");
        await once(holder, "close");
      };
    });
  } finally {
    await stagedoor.stop();
  }
}

// At the same time, each with an audience of its own: what takes a minute is the waiting.
test("PostgreSQL is away or SQLite locked for a minute, and the audience does not notice", async ({
  browser,
  publish,
}) => {
  test.setTimeout(OUTAGE_MS + 150_000);
  const [one, other] = [await browser.newContext(), await browser.newContext()];
  const both = await Promise.allSettled([withoutPostgres(one, publish), withSqliteLocked(other, publish)]);
  await Promise.all([one.close(), other.close()]);
  for (const end of both) if (end.status === "rejected") throw end.reason;
});
