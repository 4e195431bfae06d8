import type { BrowserContext, Locator, Page } from "@playwright/test";
import { glance, look } from "../support/looks.ts";
import { Organiser } from "../support/people.ts";
import { ffmpeg, gstreamer } from "../support/publisher.ts";
import type { Stagedoor } from "../support/stagedoor.ts";
import { expect, type Show, streamBecomes, test } from "../support/test.ts";

interface Made {
  id: string;
  key: string;
}

test("a stream key is restricted, and encoders show why they are refused and stopped", async ({
  stagedoor,
  show,
  publish,
}) => {
  const keys = `/events/${show.event.id}/stream-keys`;
  const make = (body: unknown) => stagedoor.api<Made>("POST", keys, body);
  const url = (key: string) => show.publishUrl.replace(/[^/]+$/, key);

  // For another network: both encoders say so.
  const elsewhere = await make({ networks: ["203.0.113.0/24"] });
  const [refused, other] = await Promise.all([
    ffmpeg(url(elsewhere.key)).ended,
    gstreamer(url(elsewhere.key)).ended,
  ]);
  expect(refused.output).toMatch(/Server error: .*may not be used from this network/);
  expect(other.output).toMatch(/may not be used from this network/);

  // More than the key allows: stopped at the first picture, and the organiser reads why.
  const limits = { bitrate_kbps: 5_000, long_side: 320, short_side: 180, fps: 60 };
  const small = await make({ limits });
  const [large, larger] = await Promise.all([
    publish(url(small.key)).ended,
    gstreamer(url((await make({ limits })).key)).ended,
  ]);
  expect(large.output + larger.output).toMatch(/640x360 is larger than the 320x180|already live/);
  await streamBecomes(stagedoor, show.event.id, "away");
  expect(JSON.stringify((await stagedoor.event(show.event.id)).stream)).toMatch(/encoder was stopped/);
  await stagedoor.api("POST", `/events/${show.event.id}/broadcast/end`);
  await streamBecomes(stagedoor, show.event.id, "ended");

  // For one broadcast: with its reconnections, and no other.
  const once = await make({ one_time: true });
  const first = publish(url(once.key));
  await streamBecomes(stagedoor, show.event.id, "live");
  await first.kill();
  const again = publish(url(once.key));
  await streamBecomes(stagedoor, show.event.id, "live");
  await stagedoor.api("POST", `/events/${show.event.id}/broadcast/end`);
  await again.ended;
  await expect
    .poll(async () => (await ffmpeg(url(once.key)).ended).output, { timeout: 30_000 })
    .toMatch(/Server error: .*good for one broadcast/);

  // Its time is over.
  const end = Date.now() + 5_000;
  const ended = await make({ expires_at: new Date(end).toISOString() });
  await expect.poll(() => Date.now(), { intervals: [100], timeout: 40_000 }).toBeGreaterThan(end);
  expect((await ffmpeg(url(ended.key)).ended).output).toMatch(/Server error: .*has expired/);
});

test("the organiser makes, restricts, rotates and revokes stream keys", async ({
  context,
  stagedoor,
  show,
}) => {
  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const { page } = await Organiser.signIn(context, admin_url, admin_user, admin_password);
  await page.goto(`${stagedoor.origin}/events/${show.event.id}`);
  const before = await stagedoor.publishUrl(show.event.id);

  // One press: a new key, and the old one goes on for a while.
  await page.getByRole("button", { name: /New key, old one ends/ }).click();
  await expect(page.getByText(/Enter the new key in your encoder/)).toBeVisible();
  expect(await stagedoor.publishUrl(show.event.id)).not.toBe(before);
  await glance(page, "keys-rotated");

  await page.getByRole("button", { name: "All stream keys" }).click();
  const sheet = page.getByRole("dialog", { name: "Stream keys" });
  await expect(sheet.getByText("Ends soon")).toBeVisible();
  await look(page, "keys-list");

  await sheet.getByRole("button", { name: "New key" }).click();
  await sheet.getByLabel("Whom it is for (optional)").fill("Camera 2");
  const networks = sheet.getByLabel("Only from these networks (optional)");
  await networks.fill("here");
  await networks.press("Enter");
  await sheet.getByText("Good for one broadcast, with all its reconnections").click();
  await sheet.getByText("Limits of its own instead of the event's").click();
  await sheet.getByLabel("Frame rate").fill("0");
  await sheet.getByRole("button", { name: "Make the key" }).click();
  await expect(sheet.getByText("Enter 1 to 480.")).toBeVisible();
  await look(page, "keys-new-wrong");
  await sheet.getByRole("button", { name: "Remove here" }).click();
  await networks.fill("203.0.113.0/24");
  await networks.press("Enter");
  await sheet.getByLabel("Frame rate").fill("30");
  await sheet.getByRole("button", { name: "Make the key" }).click();
  await expect(sheet.getByRole("heading", { name: "The new key" })).toBeVisible();
  await glance(page, "keys-made");

  await sheet.getByRole("button", { name: "All stream keys" }).click();
  const row = sheet.getByRole("listitem").filter({ hasText: "Camera 2" });
  await expect(row).toContainText("One broadcast");
  await expect(row).toContainText("Only from 203.0.113.0/24");
  await expect(row).toContainText("30 fps");
  await row.getByRole("button", { name: "Change Camera 2" }).click();
  await sheet.getByLabel("Whom it is for (optional)").fill("Camera 3");
  await sheet.getByRole("button", { name: "Save" }).click();
  const changed = sheet.getByRole("listitem").filter({ hasText: "Camera 3" });
  await changed.getByRole("button", { name: "Rotate Camera 3" }).click();
  const asked = page.getByRole("alertdialog");
  await asked.getByText("5 min", { exact: true }).click();
  await glance(page, "keys-rotate");
  await asked.getByRole("button", { name: "Rotate" }).click();
  await expect(sheet.getByRole("heading", { name: "The new key" })).toBeVisible();
  await sheet.getByRole("button", { name: "All stream keys" }).click();
  await expect(sheet.getByRole("listitem").filter({ hasText: "Camera 3" })).toHaveCount(2);
  await sheet.getByRole("button", { name: "Revoke Camera 3" }).first().click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Revoke" }).click();
  await expect(sheet.getByText("Revoked", { exact: true })).toBeVisible();
});

/** The organiser's desk: the page of the event, with its stream keys open. */
async function keyring(context: BrowserContext, stagedoor: Stagedoor, show: Show) {
  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const { page } = await Organiser.signIn(context, admin_url, admin_user, admin_password);
  await page.goto(`${stagedoor.origin}/events/${show.event.id}`);
  await page.getByRole("button", { name: "All stream keys" }).click();
  const sheet = page.getByRole("dialog", { name: "Stream keys" });
  const row = (name: string) => sheet.getByRole("listitem").filter({ hasText: name });
  await expect(sheet.getByRole("list", { name: "Stream keys" })).toBeVisible();
  return { page, sheet, row };
}

/** The text of a key that was just made, read from the page as somebody reads it who copies it by hand. */
async function shownKey(sheet: Locator): Promise<string> {
  await sheet.getByRole("button", { name: "Show: Stream key" }).click();
  const text = (await sheet.locator(".copyable code").textContent()) ?? "";
  await sheet.getByRole("button", { name: "All stream keys" }).click();
  return text;
}

/** Goes on with the keyboard alone until `place` has the focus. */
async function tabTo(page: Page, place: Locator): Promise<void> {
  for (let presses = 0; presses < 40; presses += 1) {
    if (await place.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error("the keyboard does not get there");
}

/** `2026-11-20T20:30` in this machine's zone, as the field for a time takes it. */
function localTime(at: number): string {
  return new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

test("a key is lent with an end and a network, goes on while the next one works, and ends", async ({
  context,
  stagedoor,
  show,
  publish,
}) => {
  test.setTimeout(480_000);
  const keys = `/events/${show.event.id}/stream-keys`;
  const url = (key: string) => show.publishUrl.replace(/[^/]+$/, key);
  const { page, sheet, row } = await keyring(context, stagedoor, show);

  // Made with the keyboard alone; a slip is told beside its field.
  await tabTo(page, sheet.getByRole("button", { name: "New key" }));
  await page.keyboard.press("Enter");
  await tabTo(page, sheet.getByLabel("Whom it is for (optional)"));
  await page.keyboard.type("Second camera");
  const ends = sheet.getByLabel("Ends (optional)");
  await ends.fill(localTime(Date.now() - 3_600_000));
  await tabTo(page, sheet.getByLabel("Only from these networks (optional)"));
  await page.keyboard.type("127.0.0.0/8");
  await page.keyboard.press("Enter");
  await tabTo(page, sheet.getByRole("button", { name: "Make the key" }));
  await page.keyboard.press("Enter");
  await expect(sheet.getByText("Choose a time that is still to come.")).toBeVisible();
  await glance(page, "keys-lent-wrong");
  await ends.fill(localTime(Date.now() + 3_600_000));
  await tabTo(page, sheet.getByRole("button", { name: "Make the key" }));
  await page.keyboard.press("Enter");
  await expect(sheet.getByRole("heading", { name: "The new key" })).toBeVisible();
  const lent = await shownKey(sheet);
  await expect(row("Second camera")).toContainText("never used");
  await expect(row("Second camera")).toContainText("Only from 127.0.0.0/8");
  await expect(row("Second camera")).toContainText(/Works until .* A broadcast on air with it is stopped at/);

  const first = publish(url(lent));
  await streamBecomes(stagedoor, show.event.id, "live");
  await expect(row("Second camera")).toContainText(/last used/, { timeout: 40_000 });

  // Replaced while it is on air: the encoder goes on, and the page says for how long.
  await row("Second camera").getByRole("button", { name: "Rotate Second camera" }).click();
  const asked = page.getByRole("alertdialog");
  await asked.getByText("5 min", { exact: true }).click();
  await asked.getByRole("button", { name: "Rotate" }).click();
  await expect(sheet.getByRole("heading", { name: "The new key" })).toBeVisible();
  const next = await shownKey(sheet);
  expect(next).not.toBe(lent);
  const old = row("Second camera").filter({ hasText: "Ends soon" });
  await expect(old).toHaveCount(1);
  await expect(row("Second camera")).toHaveCount(2);
  expect(first.running).toBe(true);
  await page.keyboard.press("Escape");
  await expect(sheet).toBeHidden();
  await expect(page.getByText(/What this encoder was let in with ends in \d minutes/)).toBeVisible();
  await look(page, "keys-ending-health");

  // Until its end it lets its encoder come back; after it nobody, and the next one works.
  await first.kill();
  await streamBecomes(stagedoor, show.event.id, "away");
  const back = publish(url(lent));
  await streamBecomes(stagedoor, show.event.id, "live");
  const { data } = await stagedoor.api<{ data: { id: string; name: string; expires_at: string }[] }>(
    "GET",
    keys,
  );
  const soonest = data
    .filter((key) => key.name === "Second camera" && key.expires_at)
    .sort((a, b) => Date.parse(a.expires_at) - Date.parse(b.expires_at))[0];
  const end = Date.now() + 5_000;
  await stagedoor.api("PATCH", `${keys}/${soonest?.id}`, { expires_at: new Date(end).toISOString() });
  await expect.poll(() => Date.now(), { intervals: [100], timeout: 40_000 }).toBeGreaterThan(end);
  await page.getByRole("button", { name: "Encoder settings" }).click();
  await page.getByRole("button", { name: "All stream keys" }).click();
  const ended = row("Second camera").filter({ hasText: "Ended" });
  await expect(ended).toContainText("A broadcast on air with it is stopped at", { timeout: 40_000 });
  await expect(ended.getByRole("button", { name: "Change Second camera" })).toBeVisible();
  await expect(ended.getByRole("button", { name: "Rotate Second camera" })).toHaveCount(0);
  expect(back.running, "its broadcast has five minutes more").toBe(true);
  await look(page, "keys-ended");
  await back.kill();
  await streamBecomes(stagedoor, show.event.id, "away");
  expect((await ffmpeg(url(lent)).ended).output).toMatch(/Server error: .*has expired/);
  publish(url(next));
  await streamBecomes(stagedoor, show.event.id, "live");
});

test("limits and one broadcast: the health of the stream says why an encoder was stopped, the list what is used up", async ({
  context,
  stagedoor,
  show,
  publish,
}) => {
  test.setTimeout(480_000);
  const url = (key: string) => show.publishUrl.replace(/[^/]+$/, key);
  const { page, sheet, row } = await keyring(context, stagedoor, show);
  const make = async (name: string, fill: () => Promise<void>) => {
    await sheet.getByRole("button", { name: "New key" }).click();
    await sheet.getByLabel("Whom it is for (optional)").fill(name);
    await fill();
    await sheet.getByRole("button", { name: "Make the key" }).click();
    await expect(sheet.getByRole("heading", { name: "The new key" })).toBeVisible();
    return shownKey(sheet);
  };

  const small = await make("Telephone", async () => {
    await sheet.getByText("Limits of its own instead of the event's").click();
    await sheet.getByLabel("Longer side").fill("320");
    await sheet.getByLabel("Shorter side").fill("180");
  });
  const once = await make("Lent for tonight", async () => {
    await sheet.getByText("Good for one broadcast, with all its reconnections").click();
  });
  await expect(row("Telephone")).toContainText("320×180");

  // Too large: stopped at the first picture. The health of the stream says what to do.
  await publish(url(small)).ended;
  await page.keyboard.press("Escape");
  await expect(sheet).toBeHidden();
  await expect(page.getByText(/The encoder was stopped\. A picture of 640x360 is larger than/)).toBeVisible();
  await look(page, "keys-limit-reached");
  const fits = publish(url(small), { width: 320, height: 180, black: true });
  await streamBecomes(stagedoor, show.event.id, "live");
  await expect(page.getByText(/The encoder was stopped/)).toBeHidden();

  // Withdrawn while it is on air.
  await page.getByRole("button", { name: "Encoder settings" }).click();
  await page.getByRole("button", { name: "All stream keys" }).click();
  await row("Telephone").getByRole("button", { name: "Revoke Telephone" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Revoke" }).click();
  await expect(row("Telephone")).toContainText("Revoked");
  await expect(row("Telephone").getByRole("button")).toHaveCount(0);
  // The button that was pressed is gone: whoever works by keyboard goes on from the next one.
  await expect(sheet.getByRole("button", { name: "New key" })).toBeFocused();
  await fits.ended;
  await page.keyboard.press("Escape");
  await expect(sheet).toBeHidden();
  await expect(page.getByText("The encoder was stopped: its stream key was revoked.")).toBeVisible();
  await stagedoor.api("POST", `/events/${show.event.id}/broadcast/end`);
  await streamBecomes(stagedoor, show.event.id, "ended");

  // For one broadcast, which the organiser ends.
  const evening = publish(url(once));
  await streamBecomes(stagedoor, show.event.id, "live");
  await page.getByRole("button", { name: "End broadcast" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: /End/ }).click();
  await evening.ended;
  await streamBecomes(stagedoor, show.event.id, "ended");
  await expect
    .poll(async () => (await ffmpeg(url(once)).ended).output, { timeout: 30_000 })
    .toMatch(/Server error: .*good for one broadcast/);
  await page.getByRole("button", { name: "All stream keys" }).click();
  await expect(row("Lent for tonight")).toContainText("Used up");
  await expect(row("Lent for tonight")).toContainText("Its one broadcast is over");
  await look(page, "keys-used-up");

  // The list does not come: it says so, and comes by itself when it can.
  await page.keyboard.press("Escape");
  await page.route("**/stream-keys?*", (route) => route.fulfill({ status: 503, body: "" }));
  await page.reload();
  await page.getByRole("button", { name: "Encoder settings" }).click();
  await page.getByRole("button", { name: "All stream keys" }).click();
  await expect(sheet.getByRole("button", { name: "Try again" })).toBeVisible({ timeout: 40_000 });
  await glance(page, "keys-failed");
  await page.unroute("**/stream-keys?*");
  await expect(row("Lent for tonight")).toBeVisible({ timeout: 40_000 });

  // The server does not take it: what was typed stays, and the reason stands above the button.
  await page.route("**/stream-keys", (route) =>
    route.request().method() === "POST" ? route.abort() : route.continue(),
  );
  await sheet.getByRole("button", { name: "New key" }).click();
  await sheet.getByLabel("Whom it is for (optional)").fill("Camera 4");
  await sheet.getByRole("button", { name: "Make the key" }).click();
  await expect(sheet.getByRole("alert")).toContainText("The server cannot be reached");
  await expect(sheet.getByLabel("Whom it is for (optional)")).toHaveValue("Camera 4");
});
