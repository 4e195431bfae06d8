/** The load tool against the real server: what it says of others it must be able to say of us. */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { BINARY, type Stagedoor } from "../support/stagedoor.ts";
import { expect, streamBecomes, test } from "../support/test.ts";

// As long as the tool may take, and as long again.
test.setTimeout(480_000);

async function load(stagedoor: Stagedoor, event: string, args: readonly string[]): Promise<Report> {
  const door = ["--api", stagedoor.origin, "--api-token", stagedoor.demo.api_token, "--event", event];
  const { stdout } = await promisify(execFile)(BINARY, ["load", "--json", ...door, ...args], {
    timeout: 60_000,
  });
  return JSON.parse(stdout) as Report;
}

interface Report {
  errors: number;
  errors_by_kind: Record<string, number>;
  redeemed: number;
  queued: number;
  pushed_back: number;
  eta_off_ms: { p95: number } | null;
  open: number;
  lost: number;
  byes: Record<string, number>;
  still_in: number;
  end_all_to_refusal_ms: { count: number } | null;
  joined: number;
  kicked: number;
  kick_to_refusal_ms: { count: number } | null;
}

test("a storm comes in, stays, and is out when all sessions are ended", async ({ stagedoor }) => {
  const event = await stagedoor.createEvent("Doors open");
  const storm = ["--join-storm", "--viewers", "120", "--rate", "100", "--settle", "0", "--duration", "0.5"];
  const report = await load(stagedoor, event.id, [...storm, "--end-all"]);
  expect(report.errors_by_kind).toEqual({});
  expect(report).toMatchObject({ redeemed: 120, open: 120, lost: 0, still_in: 0 });
  // Each page is told why, and the pages that ask without pause (every fiftieth) are refused.
  expect(report.byes).toEqual({ ended: 120 });
  expect(report.end_all_to_refusal_ms?.count).toBe(3);
  expect((await stagedoor.event(event.id)).watching).toBe(0);
});

test("a storm at a door that lets in thirty a second stands in line, in order, and comes in", async ({
  stagedoor,
}) => {
  const event = await stagedoor.createEvent("Narrow door", { policy: { admission: { per_second: 30 } } });
  const storm = ["--join-storm", "--viewers", "150", "--rate", "300", "--settle", "0", "--duration", "0.5"];
  const report = await load(stagedoor, event.id, storm);
  expect(report.errors_by_kind).toEqual({});
  expect(report).toMatchObject({ redeemed: 150, open: 150, lost: 0, pushed_back: 0 });
  expect(report.queued, "most of them waited").toBeGreaterThan(60);
  // Pages ask every two seconds whether it is their turn: what they were told is right to about that.
  expect(report.eta_off_ms?.p95).toBeLessThan(4_000);
});

test("viewers who are sent out while they play are refused, and the others are not", async ({
  stagedoor,
  publish,
}) => {
  const event = await stagedoor.createEvent("One by one");
  publish(await stagedoor.publishUrl(event.id));
  await streamBecomes(stagedoor, event.id, "live");
  const times = ["--ramp", "1", "--settle", "0.5", "--duration", "5"];
  const report = await load(stagedoor, event.id, ["--viewers", "12", "--kicks", "4", ...times]);
  expect(report.errors_by_kind).toEqual({});
  expect(report).toMatchObject({ joined: 12, kicked: 4 });
  expect(report.kick_to_refusal_ms?.count).toBe(4);
});
