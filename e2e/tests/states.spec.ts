import type { Page, Route } from "@playwright/test";
import { glance } from "../support/looks.ts";
import { Organiser } from "../support/people.ts";
import { expect, test } from "../support/test.ts";

// Every page of the control room before its content, instead of it, and with nothing in it.

/** What each page asks for; the rest of the house answers as always. */
const PAGES = [
  ["events", "/", /\/events($|\?)/],
  ["room", "/events/EVENT", /\/(concurrency|preview|ingest|invitations|incidents)\b/],
  ["invitations", "/events/EVENT/invitations", /\/invitations\b/],
  ["import", "/events/EVENT/invitations/import", /\/imports\b/],
  ["sends", "/events/EVENT/messages", /\/(sends|messaging)\b/],
  ["templates", "/events/EVENT/messages/templates", /\/templates\b/],
  ["outbox", "/events/EVENT/messages/outbox", /\/messages\b/],
  ["event-settings", "/events/EVENT/settings", /\/(geo|teams)\b/],
  ["account", "/settings", /\/me\/(sign-in|browsers)\b/],
  ["tokens", "/settings/tokens", /\/tokens\b/],
  ["people", "/settings/people", /\/(users|teams)\b/],
  ["log", "/log", /\/log\b/],
  ["webhooks", "/webhooks", /\/webhooks\b/],
] as const;

/** Pages that do without what they asked for: it is only a help there. */
const HELPED = ["import", "event-settings"];

/** Visits each page while the server does `what` to its questions, and looks once it has settled. */
async function visit(
  page: Page,
  { origin, event }: { origin: string; event: string },
  state: string,
  what: (route: Route) => Promise<void>,
  settled: (name: string) => Promise<void>,
) {
  for (const [name, path, asks] of PAGES) {
    await page.route("**/api/v1/**", (route) => {
      const { pathname, search } = new URL(route.request().url());
      return asks.test(pathname + search) ? what(route) : route.continue();
    });
    await page.goto(origin + path.replace("EVENT", event));
    await expect(page.getByRole("main")).toBeVisible();
    await settled(name);
    await glance(page, `state-${name}-${state}`);
    await page.unrouteAll({ behavior: "ignoreErrors" });
  }
}

test("pages say that they are on their way", async ({ context, stagedoor }) => {
  test.setTimeout(360_000);
  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const { id } = await stagedoor.createEvent("Opening night");
  const { page } = await Organiser.signIn(context, admin_url, admin_user, admin_password);
  const held: Route[] = [];
  const hold = async (route: Route) => {
    held.push(route);
  };
  await visit(page, { origin: stagedoor.origin, event: id }, "loading", hold, async () => {
    await expect(page.locator("main")).not.toBeEmpty();
    // The grey lines wait a moment, so that quick answers do not flash.
    const drawn = () =>
      page
        .locator(".loading")
        .evaluateAll((all) => all.every((lines) => getComputedStyle(lines).opacity === "1"));
    await expect.poll(drawn).toBe(true);
  });
  await Promise.all(held.map((route) => route.abort().catch(() => {})));
});

test("pages say what went wrong, and how to go on", async ({ context, stagedoor }) => {
  test.setTimeout(360_000);
  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const { id } = await stagedoor.createEvent("Opening night");
  const { page } = await Organiser.signIn(context, admin_url, admin_user, admin_password);
  const fail = (route: Route) =>
    route.fulfill({
      status: 503,
      contentType: "application/problem+json",
      body: JSON.stringify({ type: "about:blank", title: "", detail: "", status: 503, code: "unavailable" }),
    });
  await visit(page, { origin: stagedoor.origin, event: id }, "failed", fail, async (name) => {
    if (HELPED.includes(name)) return;
    const again = page.getByRole("button", { name: "Try again" }).or(page.getByRole("alert"));
    await expect(again.first()).toBeAttached();
  });
});

test("pages with nothing in them say what comes first", async ({ context, stagedoor }) => {
  test.setTimeout(360_000);
  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const { id } = await stagedoor.createEvent("Opening night");
  const { page } = await Organiser.signIn(context, admin_url, admin_user, admin_password);
  const asIs = (route: Route) => route.continue();
  await visit(page, { origin: stagedoor.origin, event: id }, "first", asIs, async () => {
    await expect(page.getByText("Loading", { exact: true })).toHaveCount(0);
  });
  await page.goto(`${stagedoor.origin}/settings/nowhere`);
  await expect(page.getByRole("heading", { name: "There is nothing here" })).toBeVisible();
  await glance(page, "state-nowhere");
  await page.goto(`${stagedoor.origin}/events/evt_00000000000000000000000000`);
  await expect(page.getByRole("heading", { name: "There is nothing here" })).toBeVisible();
});
