import type { Page } from "@playwright/test";
import type { Page as FirefoxPage } from "puppeteer-core";
import { firefox } from "../support/firefox.ts";
import { found, PAYLOADS, watch } from "../support/payloads.ts";
import { Organiser } from "../support/people.ts";
import { expect, streamBecomes, test } from "../support/test.ts";

// Names, titles, notes, devices and letters that are code: every page shows them as they were typed, and nothing runs.

/** Counts what a page runs, what its policy had to stop, and elements that nobody of us makes. */
async function watched(page: Page) {
  const ran: string[] = [];
  page.on("dialog", (dialog) => {
    ran.push(dialog.message());
    void dialog.dismiss();
  });
  await page.addInitScript(watch);
  return async () => ({ ran, ...(await page.evaluate(found)) });
}

/** The same of a page in Firefox. */
async function watchedInFirefox(page: FirefoxPage) {
  const ran: string[] = [];
  page.on("dialog", (dialog) => {
    ran.push(dialog.message());
    void dialog.dismiss();
  });
  await page.evaluateOnNewDocument(watch);
  return async () => ({ ran, ...(await page.evaluate(found)) });
}

const NOTHING = { ran: [], stopped: [], made: [] };

test("a page that draws them as markup is noticed", async ({ page }) => {
  const told = await watched(page);
  await page.goto("about:blank");
  await page.evaluate(
    (payloads) => {
      for (const payload of payloads)
        document.body.appendChild(document.createElement("div")).innerHTML = payload;
    },
    PAYLOADS.slice(0, 25),
  );
  await expect.poll(async () => (await told()).ran.length).toBeGreaterThanOrEqual(5);
  expect((await told()).made.length).toBeGreaterThan(10);
});

test("two hundred titles, names, tags and devices that are code are text to the organiser", async ({
  context,
  stagedoor,
}) => {
  test.setTimeout(360_000);
  const event = await stagedoor.createEvent("Evening");
  const about = `/events/${event.id}`;
  const invited: { id: string; code: string }[] = [];
  for (const [number, payload] of PAYLOADS.entries()) {
    await stagedoor.createEvent(payload);
    const one = await stagedoor.api<{ id: string; code: string }>("POST", `${about}/invitations`, {
      name: payload,
      note: payload,
      tags: [payload.slice(-40).replaceAll(",", "")],
      phone: `+336123${String(45_000 + number)}`,
    });
    invited.push(one);
    const came = await fetch(`${stagedoor.origin}/api/v1${about}/sessions`, {
      method: "POST",
      headers: { "content-type": "application/json", "user-agent": payload },
      body: JSON.stringify({ code: one.code }),
    });
    expect(came.status, payload).toBe(201);
  }
  const written = invited.slice(0, 25);
  for (const [number, { id }] of written.entries()) {
    await stagedoor.api("POST", `${about}/invitations/${id}/message`, {
      channel: "sms",
      body: PAYLOADS[number],
    });
  }

  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const { page } = await Organiser.signIn(context, admin_url, admin_user, admin_password);
  const told = await watched(page);
  /** Scrolls through a page until it has shown so many of the payloads, letter by letter as they are. */
  const shows = async (path: string, count: number) => {
    await page.goto(`${stagedoor.origin}${path}`);
    const more = page.getByRole("button", { name: "Show more" });
    const seen = new Set<string>();
    let [step, before, still] = [600, "", 0];
    await expect
      .poll(
        async () => {
          if (await more.isVisible()) await more.click({ timeout: 1_000 }).catch(() => {});
          await page.mouse.move(640, 1_000);
          await page.mouse.wheel(0, step);
          const text = await page.locator("body").innerText();
          const shown = PAYLOADS.filter((payload) => text.includes(payload));
          for (const payload of shown) seen.add(payload);
          // At an end: back, for what went by before it was drawn.
          still = shown.join() === before ? still + 1 : 0;
          before = shown.join();
          if (still === 10) [step, still] = [-step, 0];
          return seen.size;
        },
        { message: path, timeout: 90_000, intervals: [50] },
      )
      .toBe(count);
    expect(await told(), path).toEqual(NOTHING);
  };
  const pages: [string, number][] = [
    ["/", PAYLOADS.length],
    [about, PAYLOADS.length],
    [`${about}/invitations`, PAYLOADS.length],
    [`${about}/messages/outbox`, written.length],
    ["/log", PAYLOADS.length],
  ];
  await page.setViewportSize({ width: 1280, height: 1400 });
  for (const [path, count] of pages) await shows(path, count);

  // And the pages as another engine draws them; what it shows first is enough, the pages are the same.
  const browser = await firefox();
  try {
    const other = await browser.newPage();
    const told = await watchedInFirefox(other);
    await other.setViewport({ width: 1280, height: 1400 });
    await other.goto(admin_url);
    await other.locator('input[autocomplete^="username"]').fill(admin_user);
    await other.locator('input[type="password"]').fill(admin_password);
    await other.locator("button[type=submit]").click();
    await other.waitForSelector("a[href*='/events/']");
    for (const [path] of pages) {
      await other.goto(`${stagedoor.origin}${path}`);
      await expect
        .poll(
          async () => {
            const text = await other.evaluate(() => {
              const buttons = [...document.querySelectorAll("button")];
              buttons.find((button) => button.innerText === "Show more")?.click();
              return document.body.innerText;
            });
            return PAYLOADS.filter((payload) => text.includes(payload)).length;
          },
          { message: `${path} in Firefox` },
        )
        .toBeGreaterThanOrEqual(10);
      expect(await told(), `${path} in Firefox`).toEqual(NOTHING);
    }
  } finally {
    await browser.close();
  }
});

test("a viewer's name, title and farewell that are code are text to the viewer", async ({
  browser,
  stagedoor,
}) => {
  for (const payload of PAYLOADS.filter((_, number) => number % 17 === 0)) {
    const event = await stagedoor.createEvent(payload);
    const { link } = await stagedoor.invite(event.id, payload);
    const context = await browser.newContext();
    const page = await context.newPage();
    const told = await watched(page);
    await page.goto(link);
    await page.getByRole("button", { name: "Watch", exact: true }).click();
    await expect(page.locator('main[data-state="waiting"]')).toBeAttached();
    await expect(page.getByText(payload, { exact: true }).first()).toBeVisible();
    const { data } = await stagedoor.api<{ data: { session: string }[] }>(
      "GET",
      `/events/${event.id}/viewers`,
    );
    await stagedoor.api("POST", `/events/${event.id}/viewers/${data[0]?.session}/kick`, { reason: payload });
    await expect(page.locator('main[data-state="out"]')).toBeAttached();
    await expect(page.getByText(payload).first()).toBeVisible();
    expect(await told(), payload).toEqual(NOTHING);
    await context.close();
  }
});

test("Firefox shows the picture, and a viewer's name that is code as text", async ({
  stagedoor,
  show,
  publish,
}) => {
  const [payload = ""] = PAYLOADS;
  const { link } = await stagedoor.invite(show.event.id, payload);
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const browser = await firefox();
  try {
    const page = await browser.newPage();
    const told = await watchedInFirefox(page);
    await page.goto(link);
    await page.locator("button ::-p-text(Watch)").click();
    await page.waitForFunction((name) => document.body.innerText.includes(name), {}, payload);
    // Four seconds of it: the player's own start-up is over by then.
    await page.waitForFunction(
      () => {
        const video = document.querySelector("stagedoor-player")?.shadowRoot?.querySelector("video");
        return (video?.getVideoPlaybackQuality().totalVideoFrames ?? 0) > 120;
      },
      { timeout: 60_000 },
    );
    expect(await told()).toEqual(NOTHING);
  } finally {
    await browser.close();
  }
});
