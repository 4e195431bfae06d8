/** Who has the seat, and who loses it: the stories in which somebody goes out of the picture, with real browsers. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "@playwright/test";
import { look } from "../support/looks.ts";
import { Organiser, Viewer } from "../support/people.ts";
import { BERLIN, writePlaces } from "../support/places.ts";
import { Stagedoor } from "../support/stagedoor.ts";
import { test as base, expect, pictureAdvances, streamBecomes } from "../support/test.ts";

/** A phone, held upright. */
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
/** Seconds after which whoever was not heard from counts as gone. */
const GRACE_S = 5;

/** A server that knows places, believes a proxy on this machine, and does not wait long for those who are gone. */
const test = base.extend<object, { stagedoor: Stagedoor }>({
  stagedoor: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the dependencies from this pattern.
    async ({}, use) => {
      const folder = mkdtempSync(join(tmpdir(), "stagedoor-places-"));
      const places = join(folder, "places.mmdb");
      writePlaces(places);
      const stagedoor = await Stagedoor.start({
        STAGEDOOR_ACCESS_GRACE_S: String(GRACE_S),
        STAGEDOOR_GEO_DATABASE: places,
        STAGEDOOR_HTTP_TRUSTED_PROXIES: '["127.0.0.1"]',
      });
      await use(stagedoor);
      await stagedoor.stop();
      rmSync(folder, { recursive: true, force: true });
    },
    { scope: "worker" },
  ],
});

async function phone(browser: Browser, headers: Record<string, string> = {}) {
  const context = await browser.newContext({ ...PHONE, extraHTTPHeaders: headers });
  await context.addInitScript(() => {
    const away = () => "away" in window;
    Object.defineProperty(Document.prototype, "hidden", { configurable: true, get: away });
    Object.defineProperty(Document.prototype, "visibilityState", {
      configurable: true,
      get: () => (away() ? "hidden" : "visible"),
    });
  });
  return context;
}

/** The page is behind another one, as far as it can tell: no window manager hides one in a test. */
async function hide(page: Page): Promise<void> {
  await page.evaluate(() => {
    Object.assign(window, { away: true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
}

/** No media arrives any more, and no picture is left on the page. */
async function isDark(viewer: Viewer): Promise<void> {
  await expect(viewer.page.locator("stagedoor-player[src]")).toHaveCount(0);
  let media = 0;
  viewer.page.on("response", (response) => {
    if (response.url().includes("/live/") && response.status() === 200) media += 1;
  });
  const before = await viewer.video.evaluate((video) => (video as HTMLVideoElement).currentTime);
  await viewer.page.waitForTimeout(1_500);
  expect(await viewer.video.evaluate((video) => (video as HTMLVideoElement).currentTime)).toBe(before);
  expect(media, "media after the end").toBe(0);
}

/** Watches a page for its end; what it answers with asks when that was. */
async function end({ page }: Viewer): Promise<() => Promise<number>> {
  const watch = await page.evaluateHandle(() => {
    const main = document.querySelector("main") as HTMLElement;
    const at = new Promise<number>((resolve) => {
      new MutationObserver(() => {
        if (main.dataset.state === "out") resolve(Date.now());
      }).observe(main, { attributeFilter: ["data-state"] });
    });
    return { at };
  });
  return () => watch.evaluate(({ at }) => at);
}

test("a page in the background cannot say no: after the time to answer the other screen goes on", async ({
  browser,
  stagedoor,
  show,
  publish,
}) => {
  await stagedoor.api("PATCH", `/events/${show.event.id}`, { policy: { takeover: { answer_s: 15 } } });
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const [home, pocket] = [await phone(browser), await phone(browser)];
  const first = await Viewer.comeIn(home, show.invitation.link);
  await pictureAdvances(first.video);
  const viewers = `/events/${show.event.id}/viewers`;
  await hide(first.page);
  await expect
    .poll(
      async () => (await stagedoor.api<{ data: { visible: boolean }[] }>("GET", viewers)).data[0]?.visible,
    )
    .toBe(false);

  const second = await Viewer.comeIn(pocket, show.invitation.link);
  await second.sees("asking");
  await expect(second.page.getByRole("heading", { name: "Waiting for the other screen" })).toBeVisible();
  // Asked all the same: somebody may come back to the page in time.
  const question = first.page.getByRole("alertdialog", { name: "Watch on another screen?" });
  await expect(question).toContainText("Lyon, France");
  expect(await question.innerText(), "never an address").not.toContain("127.0.0");
  await look(second.page, "seats-asking-phone");
  await second.sees("live", 25_000);
  await pictureAdvances(second.video);
  await first.sees("out");
  await first.reads("The event goes on on your other screen. Thank you for letting it.");
  await isDark(first);
  expect((await stagedoor.event(show.event.id)).watching, "never two").toBe(1);
  await home.close();
  await pocket.close();
});

test("whoever is gone is replaced after the grace, and nobody is asked", async ({
  browser,
  stagedoor,
  show,
  publish,
}) => {
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const [home, pocket, desk] = [await phone(browser), await phone(browser), await browser.newContext()];
  const first = await Viewer.comeIn(home, show.invitation.link);
  await pictureAdvances(first.video);
  await home.close();
  // Too soon, one waits for what is left of the grace and not for an answer that nobody gives.
  const second = await Viewer.comeIn(pocket, show.invitation.link);
  await second.sees("live", (GRACE_S + 20) * 1_000);
  await pictureAdvances(second.video);

  const viewers = `/events/${show.event.id}/viewers`;
  const seen = async () => {
    const { data } = await stagedoor.api<{ data: { last_seen_at: string }[] }>("GET", viewers);
    return Date.now() - Date.parse(data[0]?.last_seen_at ?? "");
  };
  await pocket.close();
  await expect.poll(seen, { timeout: 30_000 }).toBeGreaterThan((GRACE_S + 1) * 1_000);
  const third = await Viewer.follow(desk, show.invitation.link);
  const answer = third.page.waitForResponse(
    (response) => response.request().method() === "POST" && response.url().endsWith("/sessions"),
  );
  await third.watch();
  expect((await answer).status(), "in, without a question").toBe(201);
  await third.sees("live");
  await pictureAdvances(third.video);
  await desk.close();
});

test("the organiser ends all sessions, and everybody is told at once and sees no more", async ({
  browser,
  context,
  stagedoor,
  show,
  publish,
}) => {
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const guests = await Promise.all(
    ["Grace Hopper", "Alan Turing"].map((name) => stagedoor.invite(show.event.id, name)),
  );
  const links = [show.invitation.link, ...guests.map(({ link }) => link)];
  const homes = [await phone(browser), await browser.newContext(), await browser.newContext()];
  const viewers: Viewer[] = [];
  for (const [number, home] of homes.entries()) viewers.push(await Viewer.comeIn(home, links[number] ?? ""));
  for (const viewer of viewers) await pictureAdvances(viewer.video);

  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const { page } = await Organiser.signIn(context, admin_url, admin_user, admin_password);
  await page.goto(`${stagedoor.origin}/events/${show.event.id}`);
  await expect(page.getByRole("grid", { name: "Who is watching" }).getByRole("row")).toHaveCount(4);
  await page.getByRole("button", { name: "End all sessions…" }).click();
  const sure = page.getByRole("alertdialog", { name: "End all 3 sessions?" });
  await sure.getByLabel("What they are told (optional)").fill("The second half is tomorrow at eight.");
  await look(page, "seats-end-all");
  // Each page takes the time itself: while it draws a picture it is slow to tell.
  const ends = await Promise.all(viewers.map(end));
  await sure.getByRole("button", { name: "End all sessions" }).click();
  const clicked = Date.now();
  for (const viewer of viewers) await viewer.sees("out");
  for (const at of ends) expect((await at()) - clicked, "at once").toBeLessThan(3_000);
  await expect(page.getByText("3 sessions ended")).toBeVisible();
  for (const viewer of viewers) {
    await viewer.reads("The second half is tomorrow at eight.");
    await isDark(viewer);
  }
  const [first] = viewers;
  if (!first) throw new Error("nobody");
  await expect(first.page.getByRole("heading", { name: "You are outside again" })).toBeVisible();
  await look(first.page, "seats-out-all");
  expect((await stagedoor.event(show.event.id)).watching).toBe(0);
  // The codes still work.
  await first.page.getByRole("button", { name: "Enter code" }).click();
  await first.type(show.invitation.code);
  await first.watch();
  await first.sees("live");
  await pictureAdvances(first.video);
  for (const home of homes) await home.close();
});

test("a new code while somebody watches ends the picture, and only the new one opens the door", async ({
  browser,
  context,
  stagedoor,
  show,
  publish,
}) => {
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const home = await phone(browser);
  const viewer = await Viewer.comeIn(home, show.invitation.link);
  await pictureAdvances(viewer.video);
  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const { page } = await Organiser.signIn(context, admin_url, admin_user, admin_password);
  await page.goto(`${stagedoor.origin}/events/${show.event.id}/invitations`);
  await page.getByRole("button", { name: "Ada Lovelace", exact: true }).click();
  await page.getByRole("dialog", { name: "Ada Lovelace" }).getByRole("button", { name: "New code" }).click();
  await page.getByRole("button", { name: "Make new code" }).click();
  await expect(page.getByText("New code made, 1 session ended")).toBeVisible();
  await viewer.sees("out", 3_000);
  await viewer.reads(/Your code was replaced/);
  await look(viewer.page, "seats-code-changed");
  await isDark(viewer);

  await viewer.page.getByRole("button", { name: "Enter code" }).click();
  await viewer.type(show.invitation.code);
  await viewer.watch();
  await viewer.reads(/does not open this event/);
  const path = `/events/${show.event.id}/invitations/${show.invitation.id}/code`;
  const { code } = await stagedoor.api<{ code: string }>("GET", path);
  await viewer.type(code);
  await viewer.watch();
  await viewer.sees("live");
  await pictureAdvances(viewer.video);
  await home.close();
});

test("who is in another country is told so, comes in from home, and is turned back on the way out", async ({
  browser,
  stagedoor,
}) => {
  const policy = { access: { countries: ["DE"] } };
  const event = await stagedoor.createEvent("Nur zu Hause", { policy });
  const { link } = await stagedoor.invite(event.id, "Ada Lovelace");
  const abroad = await phone(browser);
  const viewer = await Viewer.follow(abroad, link);
  await viewer.sees("elsewhere");
  await expect(viewer.page.getByRole("heading", { name: "Not available here" })).toBeVisible();
  await expect(viewer.page.getByLabel("Access code")).toBeHidden();
  await look(viewer.page, "seats-elsewhere-phone");

  await abroad.setExtraHTTPHeaders({ "x-forwarded-for": BERLIN });
  await viewer.page.getByRole("button", { name: "Try again" }).click();
  await viewer.sees("code");
  await viewer.watch();
  await viewer.sees("waiting");
  const { data } = await stagedoor.api<{ data: { place: string }[] }>("GET", `/events/${event.id}/viewers`);
  expect(data[0]?.place).toBe("Berlin, Germany");

  await abroad.setExtraHTTPHeaders({});
  await viewer.page.reload();
  await viewer.sees("elsewhere");
  await abroad.setExtraHTTPHeaders({ "x-forwarded-for": BERLIN });
  await viewer.page.reload();
  await viewer.sees("waiting");
  await abroad.close();
});

test("an event that has not begun says when it does, on a phone and to a screen reader", async ({
  browser,
  stagedoor,
  publish,
}) => {
  const event = await stagedoor.createEvent("Opening night");
  const startsAt = new Date(Date.now() + 90 * 60_000).toISOString();
  await stagedoor.api("PATCH", `/events/${event.id}`, { starts_at: startsAt });
  const { link } = await stagedoor.invite(event.id, "Ada Lovelace");
  const home = await phone(browser);
  const viewer = await Viewer.comeIn(home, link);
  await viewer.sees("waiting");
  await expect(viewer.page.getByRole("heading", { name: "Not started yet" })).toBeVisible();
  await viewer.reads(/^Starts /);
  await viewer.reads(/1:(29|30):/);
  await look(viewer.page, "seats-not-started-phone");
  publish(await stagedoor.publishUrl(event.id));
  await viewer.sees("live", 20_000);
  await pictureAdvances(viewer.video);
  await home.close();
});
