import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { BrowserContext } from "@playwright/test";
import { Viewer } from "../support/people.ts";
import { Postgres } from "../support/postgres.ts";
import type { Child } from "../support/process.ts";
import { Stagedoor } from "../support/stagedoor.ts";
import { expect, pictureAdvances, pictureAfter, streamBecomes, test } from "../support/test.ts";

const OUTAGE_MS = 60_000;
const RATE = 30;

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

/** One minute without the database: those who watch notice nothing, those who come are told to come back. */
async function survives(
  stagedoor: Stagedoor,
  context: BrowserContext,
  publish: (url: string) => Child,
  down: () => Promise<() => Promise<void>>,
) {
  const event = await stagedoor.createEvent("Without a net");
  const ada = await stagedoor.invite(event.id, "Ada Lovelace");
  const grace = await stagedoor.invite(event.id, "Grace Hopper");
  publish(await stagedoor.publishUrl(event.id));
  await streamBecomes(stagedoor, event.id, "live");
  const viewer = await Viewer.comeIn(context, ada.link);
  await pictureAdvances(viewer.video);
  await viewer.video.evaluate((video) => {
    (video as HTMLVideoElement & { waits: number }).waits = 0;
    video.addEventListener("waiting", () => {
      (video as HTMLVideoElement & { waits: number }).waits += 1;
    });
  });

  const up = await down();
  const before = await pictureAfter(viewer.video, -1);
  const began = Date.now();
  // Somebody keeps knocking for the whole minute, as people do.
  while (Date.now() - began < OUTAGE_MS) {
    const answer = await knock(stagedoor, event.id, grace.code);
    expect(answer.status, "nobody gets in unchecked").toBe(503);
    expect(answer.code).toBe("unavailable");
    expect(Number(answer.retryAfter), "and is told when to try again").toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, 1_000 * Number(answer.retryAfter)));
  }
  const seconds = (Date.now() - began) / 1_000;
  const after = await pictureAfter(viewer.video, before.frame + Math.floor(seconds * RATE * 0.95));
  expect(after.frame).toBeGreaterThan(before.frame);
  const waits = await viewer.video.evaluate((video) => (video as HTMLVideoElement & { waits: number }).waits);
  expect(waits, "the picture never stood still").toBe(0);

  await up();
  await expect
    .poll(async () => (await knock(stagedoor, event.id, grace.code)).status, { timeout: 30_000 })
    .toBe(201);
  const { data } = await stagedoor.api<{ data: { name: string }[] }>("GET", `/events/${event.id}/viewers`);
  expect(data.map((person) => person.name).sort(), "each of them once").toEqual([
    "Ada Lovelace",
    "Grace Hopper",
  ]);
  await pictureAdvances(viewer.video);
}

test("PostgreSQL is away for a minute, and the audience does not notice", async ({ context, publish }) => {
  test.setTimeout(OUTAGE_MS + 120_000);
  const postgres = await Postgres.start();
  const stagedoor = await Stagedoor.start({ STAGEDOOR_DATABASE_URL: postgres.url });
  try {
    await survives(stagedoor, context, publish, async () => {
      postgres.off();
      return async () => postgres.on();
    });
  } finally {
    await stagedoor.stop();
    postgres.remove();
  }
});

test("the SQLite file is locked for a minute, and the audience does not notice", async ({
  context,
  publish,
}) => {
  test.setTimeout(OUTAGE_MS + 120_000);
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
});
