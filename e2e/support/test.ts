/** What every test gets: a running server, events of its own, publishers that end with the test. */

import { test as base, expect, type Locator } from "@playwright/test";
import { type Picture, readPicture } from "./barcode.ts";
import type { Child } from "./process.ts";
import { type Content, ffmpeg } from "./publisher.ts";
import { type Event, type Invitation, Stagedoor } from "./stagedoor.ts";

/** One event with one invitee and the address to publish to. */
export interface Show {
  event: Event;
  invitation: Invitation;
  publishUrl: string;
}

interface PerTest {
  /** An event of the test's own, so that tests share the server and nothing else. */
  show: Show;
  /** Starts ffmpeg on an address; it ends with the test at the latest. */
  publish: (url: string, content?: Content) => Child;
}

interface PerWorker {
  stagedoor: Stagedoor;
}

export const test = base.extend<PerTest, PerWorker>({
  stagedoor: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the dependencies from this pattern.
    async ({}, use) => {
      const stagedoor = await Stagedoor.start();
      await use(stagedoor);
      await stagedoor.stop();
    },
    { scope: "worker" },
  ],
  show: async ({ stagedoor }, use) => {
    const event = await stagedoor.createEvent("Opening night");
    const invitation = await stagedoor.invite(event.id, "Ada Lovelace");
    const publishUrl = await stagedoor.publishUrl(event.id);
    await use({ event, invitation, publishUrl });
  },
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the dependencies from this pattern.
  publish: async ({}, use) => {
    const started: Child[] = [];
    await use((url, content) => {
      const child = ffmpeg(url, content);
      started.push(child);
      return child;
    });
    await Promise.all(started.map((child) => child.kill()));
  },
});

export { expect };

/** Waits until the server calls the event's stream `state`. */
export async function streamBecomes(stagedoor: Stagedoor, event: string, state: Event["stream"]["state"]) {
  await expect
    .poll(async () => (await stagedoor.event(event)).stream.state, {
      message: `the stream becomes ${state}`,
      intervals: [100],
    })
    .toBe(state);
}

/** Waits until the picture carries a frame number after `after`, and returns that picture. */
export async function pictureAfter(
  video: Locator,
  after: number,
  timeout = 40_000,
): Promise<Picture & { frame: number }> {
  let picture: Picture = { frame: null, width: 0, height: 0 };
  await expect
    .poll(
      async () => {
        picture = await readPicture(video);
        return picture.frame ?? -1;
      },
      { message: `a frame after ${after} is shown`, timeout, intervals: [50] },
    )
    .toBeGreaterThan(after);
  return { ...picture, frame: picture.frame ?? -1 };
}

/** The picture moves on: two seconds of the publisher's frames go by on the screen. */
export async function pictureAdvances(video: Locator, rate = 30): Promise<void> {
  const first = await pictureAfter(video, -1);
  await pictureAfter(video, first.frame + 2 * rate);
}
