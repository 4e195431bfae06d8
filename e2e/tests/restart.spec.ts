import { account } from "../support/accounts.ts";
import { Organiser, Viewer } from "../support/people.ts";
import { fetchPlaylist } from "../support/playlist.ts";
import { Stagedoor } from "../support/stagedoor.ts";
import { expect, pictureAdvances, pictureAfter, streamBecomes, test } from "../support/test.ts";

test("after kill -9 the same codes watch the same event, and numbers go on", async ({ context, publish }) => {
  const stagedoor = await Stagedoor.start();
  try {
    const event = await stagedoor.createEvent("The show must go on");
    const { code, link } = await stagedoor.invite(event.id, "Ada Lovelace");
    const other = await stagedoor.invite(event.id, "Grace Hopper");
    const url = await stagedoor.publishUrl(event.id);
    publish(url);
    await streamBecomes(stagedoor, event.id, "live");
    const viewer = await Viewer.comeIn(context, link);
    await pictureAdvances(viewer.video);
    const { playback } = await stagedoor.redeem(event.id, other.code);
    await expect.poll(async () => (await fetchPlaylist(playback.hls)).lastMsn).toBeGreaterThanOrEqual(1);
    const before = await fetchPlaylist(playback.hls);

    await stagedoor.kill();
    await stagedoor.startAgain();

    expect((await stagedoor.event(event.id)).stream.state, "viewers are held, not sent away").toBe("away");
    publish(url);
    await streamBecomes(stagedoor, event.id, "live");
    await viewer.sees("live", 30_000);
    await pictureAdvances(viewer.video);
    await expect
      .poll(async () => (await fetchPlaylist(playback.hls)).lastMsn, { message: "the same token reads on" })
      .toBeGreaterThan(before.lastMsn);

    const again = await stagedoor.api<{ code: string }>(
      "GET",
      `/events/${event.id}/invitations/${other.id}/code`,
    );
    expect(again.code).toBe(other.code);
    expect(code).not.toBe(other.code);
  } finally {
    await stagedoor.stop();
  }
});

test("an organiser's page outlives the server, and what happened meanwhile is on it", async ({
  browser,
  context,
  publish,
}) => {
  test.setTimeout(480_000);
  const stagedoor = await Stagedoor.start();
  try {
    const event = await stagedoor.createEvent("The desk must go on");
    const ada = await stagedoor.invite(event.id, "Ada Lovelace");
    const grace = await stagedoor.invite(event.id, "Grace Hopper");
    const url = await stagedoor.publishUrl(event.id);
    publish(url);
    await streamBecomes(stagedoor, event.id, "live");
    // The demo's own account has another password with each start, and is signed out by that.
    const { username, password } = await account(stagedoor, "desk", "organiser");
    const { page } = await Organiser.signIn(context, stagedoor.origin, username, password);
    await page.goto(`${stagedoor.origin}/events/${event.id}`);
    let loads = 0;
    page.on("domcontentloaded", () => {
      loads += 1;
    });
    const preview = page.getByRole("region", { name: "Preview" });
    await pictureAdvances(preview.locator("video"));
    const home = await browser.newContext();
    const viewer = await Viewer.comeIn(home, ada.link);
    const grid = page.getByRole("grid", { name: "Who is watching" });
    await expect(grid.getByRole("row", { name: /Ada Lovelace/ })).toBeVisible();

    await stagedoor.kill();
    await expect(page.getByText("Connection lost")).toBeVisible();
    await stagedoor.startAgain();
    // Before the page is back, somebody else comes in.
    await stagedoor.redeem(event.id, grace.code);
    publish(url);
    await streamBecomes(stagedoor, event.id, "live");
    await expect(page.getByText("Connection lost")).toHaveCount(0, { timeout: 60_000 });
    await expect(grid.getByRole("row", { name: /Ada Lovelace/ })).toBeVisible();
    await expect(grid.getByRole("row", { name: /Grace Hopper/ })).toBeVisible();
    await viewer.sees("live", 30_000);
    // A new beginning of the picture is tried after twelve seconds of standing still.
    await pictureAfter(preview.locator("video"), -1, 40_000);
    await pictureAdvances(preview.locator("video"));
    expect(loads, "the page was never reloaded").toBe(0);
    await home.close();
  } finally {
    await stagedoor.stop();
  }
});

test("Ctrl-C ends it cleanly, with an encoder and a viewer connected", async ({ context, publish }) => {
  const stagedoor = await Stagedoor.start();
  const event = await stagedoor.createEvent("Curtain");
  const { link } = await stagedoor.invite(event.id, "Ada Lovelace");
  const encoder = publish(await stagedoor.publishUrl(event.id));
  await streamBecomes(stagedoor, event.id, "live");
  const viewer = await Viewer.comeIn(context, link);
  await viewer.sees("live");

  const ended = await stagedoor.interrupt();
  expect(ended.code, ended.output.slice(-2_000)).toBe(0);
  await encoder.ended;
  await viewer.page.close();
  await stagedoor.stop();
});
