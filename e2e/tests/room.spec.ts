import type { Page } from "@playwright/test";
import { account } from "../support/accounts.ts";
import { readPicture } from "../support/barcode.ts";
import { look } from "../support/looks.ts";
import { Organiser, Viewer } from "../support/people.ts";
import { expect, pictureAdvances, pictureAfter, streamBecomes, test } from "../support/test.ts";

// The organiser's page during the show: it is never reloaded, and what it says is true.

test("the room shows who is there, previews the picture uncounted, and misses nothing when its connection is lost", async ({
  browser,
  context,
  stagedoor,
  show,
  publish,
}) => {
  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const organiser = await Organiser.signIn(context, admin_url, admin_user, admin_password);
  const { page } = organiser;
  await page.goto(`${stagedoor.origin}/events/${show.event.id}`);
  await expect(page.getByText("Waiting for your encoder")).toBeVisible();
  const called = await stagedoor.invite(show.event.id, "Ada Byron", "+33612345678");
  const second = await stagedoor.invite(show.event.id, "Grace Hopper");

  const encoder = publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const preview = page.getByRole("region", { name: "Preview" });
  await pictureAdvances(preview.locator("video"));
  const figures = page.locator("dl.figures");
  await expect(figures.getByText("Watching now").locator("xpath=..")).toContainText("0");
  await expect(page.getByText("Nobody is watching yet")).toBeVisible();

  const elsewhere = await browser.newContext();
  const ada = await Viewer.comeIn(elsewhere, called.link);
  await pictureAdvances(ada.video);
  const grid = page.getByRole("grid", { name: "Who is watching" });
  const row = grid.getByRole("row", { name: /Ada Byron/ });
  await expect(row).toBeVisible();
  await expect(row.getByText("360p", { exact: true }), "its page reports").toBeVisible({ timeout: 30_000 });
  await expect(figures.getByText("Watching now").locator("xpath=..")).toContainText("1");
  const chart = page.getByRole("group", { name: /People watching over time/ });
  await expect(chart).toHaveAccessibleName(/1 watching now/);
  // Her number, masked: enough to recognise her, not to call her.
  await expect(row.getByText("+33 6 •• •• 56 78")).toBeVisible();
  await look(page, "room-live");
  // A program drives her browser, which her page says: the room says what was seen, in words, and marks her.
  await expect(row.getByText(/\d points?$/)).toBeVisible({ timeout: 40_000 });
  const odd = page.getByText(/Ada Byron: Seen: .*(driven by a program|an open console read)/);
  await expect(odd.first()).toBeVisible({ timeout: 40_000 });
  await look(page, "room-odd");
  await row.getByRole("button", { name: "More for Ada Byron" }).click();
  await page.getByRole("menuitem", { name: /Write to them/ }).click();
  const letter = page.getByRole("dialog", { name: "Write to Ada Byron" });
  await letter.getByLabel("Text").fill("The second act begins in five minutes.");
  await look(page, "room-write");
  await letter.getByRole("button", { name: "Send", exact: true }).click();
  await expect(page.getByText("On its way to Ada Byron")).toBeVisible();
  const written = await stagedoor.api<{ data: { name: string; body?: string }[] }>(
    "GET",
    `/events/${show.event.id}/messages`,
  );
  expect(written.data).toHaveLength(1);

  // The network goes away for a while; meanwhile somebody comes.
  await context.setOffline(true);
  await expect(page.getByText("Connection lost")).toBeVisible();
  await look(page, "room-lost");
  const third = await browser.newContext();
  const grace = await Viewer.comeIn(third, second.link);
  await pictureAdvances(grace.video);
  await context.setOffline(false);
  await expect(page.getByText("Connected again. Everything is up to date.")).toBeVisible({ timeout: 30_000 });
  await expect(grid.getByRole("row", { name: /Grace Hopper/ })).toBeVisible();

  // The preview goes on by itself when the encoder comes back.
  const last = (await pictureAfter(preview.locator("video"), -1)).frame;
  await encoder.kill();
  await streamBecomes(stagedoor, show.event.id, "away");
  await expect(page.getByText("Encoder away").first()).toBeVisible();
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  // The frames of the second encoder count from the beginning again.
  const frame = async () => (await readPicture(preview.locator("video"))).frame ?? Number.MAX_SAFE_INTEGER;
  await expect.poll(frame, { message: "the second encoder's picture", timeout: 40_000 }).toBeLessThan(last);
  await pictureAdvances(preview.locator("video"));
  await elsewhere.close();
  await third.close();
});

test("the room's table and chart are worked by keyboard alone", async ({
  browser,
  context,
  stagedoor,
  show,
}) => {
  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const names = ["Ada Lovelace", "Grace Hopper", "Alan Turing"];
  const links = [show.invitation.link];
  for (const name of names.slice(1)) links.push((await stagedoor.invite(show.event.id, name)).link);
  const homes = await Promise.all(links.map(() => browser.newContext()));
  for (const [number, link] of links.entries()) {
    const home = homes[number];
    if (home) await (await Viewer.comeIn(home, link)).sees("waiting");
  }
  const { page } = await Organiser.signIn(context, admin_url, admin_user, admin_password);
  await page.goto(`${stagedoor.origin}/events/${show.event.id}`);
  const grid = page.getByRole("grid", { name: "Who is watching" });
  await expect(grid.getByRole("row")).toHaveCount(4);

  await grid.getByRole("button", { name: "Name", exact: true }).press("Enter");
  await expect(grid.getByRole("columnheader", { name: "Name" })).toHaveAttribute("aria-sort", "ascending");
  const focused = () => page.evaluate(() => document.activeElement?.closest("[data-key]")?.textContent ?? "");
  await grid.getByRole("button", { name: "Stalls" }).press("Tab");
  expect(await focused()).toContain("Ada Lovelace");
  await page.keyboard.press("ArrowDown");
  expect(await focused()).toContain("Alan Turing");
  await page.keyboard.press("End");
  expect(await focused()).toContain("Grace Hopper");
  await page.keyboard.press("ArrowRight");
  expect(await page.evaluate(() => document.activeElement?.tagName)).toMatch(/BUTTON|INPUT/);
  await page.keyboard.press("ArrowLeft");
  expect(await page.evaluate(() => document.activeElement?.getAttribute("role"))).toBe("row");

  const chart = page.getByRole("group", { name: /People watching over time/ });
  await chart.press("+");
  await expect(chart).toHaveAccessibleName(/From .* to /);
  await chart.press("Escape");
  await expect(chart).not.toHaveAccessibleName(/From .* to /);

  // Two are chosen and sent out; the third stays.
  await grid.getByRole("row", { name: /Ada Lovelace/ }).focus();
  await page.keyboard.press("Space");
  await page.keyboard.press("Shift+ArrowDown");
  await expect(page.getByText("2 selected")).toBeVisible();
  await page.getByRole("toolbar").getByRole("button", { name: "Send out" }).click();
  await look(page, "room-send-out");
  await page.getByRole("alertdialog").getByRole("button", { name: "Send out" }).click();
  await expect(page.getByText("2 sessions ended")).toBeVisible();
  await expect(grid.getByRole("row")).toHaveCount(2);
  await expect(grid.getByRole("row", { name: /Grace Hopper/ })).toBeVisible();
  for (const home of homes) await home.close();
});

test("a broadcast that ended and another one after it are seen in the room without a touch", async ({
  context,
  stagedoor,
  show,
  publish,
}) => {
  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const { page } = await Organiser.signIn(context, admin_url, admin_user, admin_password);
  const encoder = publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  await page.goto(`${stagedoor.origin}/events/${show.event.id}`);
  const preview = page.getByRole("region", { name: "Preview" });
  await pictureAdvances(preview.locator("video"));
  await encoder.kill();
  await page.getByRole("button", { name: "End broadcast" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "End broadcast" }).click();
  await expect(preview.getByText("The broadcast is over. A new one appears here by itself.")).toBeVisible();
  await look(page, "room-ended");
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  await pictureAdvances(preview.locator("video"));
});

test("a new code from the room sends its viewer home with a word, and the message brings them back", async ({
  browser,
  context,
  stagedoor,
  show,
}) => {
  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const invited = await stagedoor.invite(show.event.id, "Ada Byron", "+33612345678");
  const elsewhere = await browser.newContext();
  const ada = await Viewer.comeIn(elsewhere, invited.link);
  await ada.sees("waiting");
  const { page } = await Organiser.signIn(context, admin_url, admin_user, admin_password);
  await page.goto(`${stagedoor.origin}/events/${show.event.id}`);
  const grid = page.getByRole("grid", { name: "Who is watching" });
  const region = page.getByRole("region", { name: "Who is watching" });
  await region.getByRole("button", { name: "Export…" }).click();
  const list = page.getByRole("dialog", { name: /Export/ });
  await list.getByText("CSV").first().click();
  const download = page.waitForEvent("download");
  await list.getByRole("button", { name: "Download" }).click();
  const stream = await (await download).createReadStream();
  let csv = "";
  for await (const piece of stream) csv += piece;
  expect(csv, "who is in the room").toContain("Ada Byron");
  expect(csv, "and nobody else").not.toContain("Ada Lovelace");
  await grid.getByRole("button", { name: "More for Ada Byron" }).click();
  await page.getByRole("menuitem", { name: /New code/ }).click();
  const sheet = page.getByRole("dialog", { name: "Make a new code for Ada Byron?" });
  await expect(sheet.getByText("Ada Byron is watching and will be sent home.")).toBeVisible();
  await expect(sheet.getByRole("switch", { name: "Send the new code right away" })).toBeChecked();
  await sheet
    .getByLabel(/What they are told/)
    .fill("Your link was on a poster. A new one is on your telephone.");
  await look(page, "room-new-code");
  await sheet.getByRole("button", { name: "Make new code" }).click();
  await expect(page.getByText("New code made, 1 session ended")).toBeVisible();
  await expect(grid.getByRole("row", { name: /Ada Byron/ })).toHaveCount(0);
  await ada.sees("out");
  await ada.reads("Your link was on a poster. A new one is on your telephone.");
  await look(ada.page, "viewer-out-code-changed");

  // The old code is dead; the one in the message opens.
  const late = await Viewer.comeIn(elsewhere, invited.link);
  await late.reads(/does not open this event/);
  const outbox = async () => {
    const path = `/events/${show.event.id}/messages`;
    const { data } = await stagedoor.api<{ data: { text?: string }[] }>("GET", path);
    return /https?:\S+/.exec(data[0]?.text ?? "")?.[0] ?? "";
  };
  await expect.poll(outbox).toMatch(/^http/);
  const again = await Viewer.comeIn(elsewhere, await outbox());
  await again.sees("waiting");
  await expect(grid.getByRole("row", { name: /Ada Byron/ })).toBeVisible();
  await elsewhere.close();
});

test("a moderator's room has what moderators do, and nothing else", async ({
  browser,
  context,
  stagedoor,
  show,
  publish,
}) => {
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const elsewhere = await browser.newContext();
  await (await Viewer.comeIn(elsewhere, show.invitation.link)).sees("live");
  const { username, password } = await account(stagedoor, "moderator-of-the-room", "moderator");
  const { page } = await Organiser.signIn(context, stagedoor.demo.admin_url, username, password);
  await expect(page.getByRole("link", { name: "New event" })).toHaveCount(0);
  const refused: string[] = [];
  page.on("response", (response) => {
    if (response.status() === 403) refused.push(response.url());
  });
  await page.goto(`${stagedoor.origin}/events/${show.event.id}`);
  const grid = page.getByRole("grid", { name: "Who is watching" });
  await grid.getByRole("button", { name: "More for Ada Lovelace" }).click();
  await expect(page.getByRole("menuitem")).toHaveText([
    /Protection on their device/,
    /Write to them/,
    /Send out/,
  ]);
  await page.keyboard.press("Escape");
  await expect(page.getByRole("button", { name: "End all sessions" })).toBeVisible();
  for (const name of ["End broadcast", "Encoder settings", "Add invitee"]) {
    await expect(page.getByRole("button", { name })).toHaveCount(0);
  }
  for (const name of ["Import list", "Export"]) {
    await expect(page.getByRole("link", { name })).toHaveCount(0);
  }
  await page.getByRole("region", { name: "Invitees" }).getByRole("button", { name: "Ada Lovelace" }).click();
  const drawer = page.getByRole("dialog", { name: "Ada Lovelace" });
  await expect(drawer).toBeVisible();
  for (const name of ["Show contact", "Show code", "Edit", "New code", "Revoke"]) {
    await expect(drawer.getByRole("button", { name })).toHaveCount(0);
  }
  await look(page, "room-of-a-moderator");
  expect(refused, "the page asks for nothing that it may not have").toEqual([]);
  await elsewhere.close();
});

/** Presses Tab until what has the focus is called so. */
async function tabTo(page: Page, name: RegExp, times = 80): Promise<void> {
  const said: string[] = [];
  for (let press = 0; press < times; press += 1) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(() => {
      const at = document.activeElement;
      const label = at?.getAttribute("aria-labelledby")?.split(" ")[0];
      const words = (label && document.getElementById(label)?.textContent) || at?.textContent || "";
      const input = at instanceof HTMLInputElement ? (at.labels?.[0]?.textContent ?? "") : "";
      // The ring is around what has the focus, or around what it stands for: a card, a field.
      let ring = false;
      for (
        let around = at, level = 0;
        around !== null && level < 4;
        around = around.parentElement, level += 1
      ) {
        for (const part of [undefined, "::after"]) {
          const { outlineStyle, outlineWidth } = getComputedStyle(around, part);
          ring ||= outlineStyle !== "none" && Number.parseFloat(outlineWidth) >= 2;
        }
      }
      return { name: `${at?.getAttribute("aria-label") ?? ""} ${input} ${words}`.trim(), ring };
    });
    said.push(focused.name);
    if (name.test(focused.name)) {
      expect(focused.ring, `whoever is at ${focused.name} sees it`).toBe(true);
      return;
    }
  }
  throw new Error(`${name} was not reached: ${said.join(" · ")}`);
}

test("from the door to sending somebody out with a keyboard alone", async ({
  browser,
  context,
  stagedoor,
}) => {
  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const event = await stagedoor.createEvent("Without a mouse");
  const invited = await stagedoor.invite(event.id, "Ada Byron");
  const elsewhere = await browser.newContext();
  const ada = await Viewer.comeIn(elsewhere, invited.link);
  await ada.sees("waiting");

  const page = await context.newPage();
  await page.goto(admin_url);
  await expect(page.getByLabel("User name")).toBeFocused();
  await page.keyboard.type(admin_user);
  await page.keyboard.press("Tab");
  await page.keyboard.type(admin_password);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "Events", exact: true }).first()).toBeVisible();
  await tabTo(page, /Without a mouse/);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "Without a mouse" })).toBeVisible();
  await expect(page.getByRole("row", { name: /Ada Byron/ })).toBeVisible();

  // Into the table, to the row, to its menu.
  await tabTo(page, /^Stalls/);
  await page.keyboard.press("Tab");
  await expect(page.getByRole("row", { name: /Ada Byron/ })).toBeFocused();
  await page.keyboard.press("ArrowRight");
  for (let press = 0; press < 3; press += 1) {
    const label = await page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? "");
    if (label === "More for Ada Byron") break;
    await page.keyboard.press("ArrowRight");
  }
  await expect(page.getByRole("button", { name: "More for Ada Byron" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("menuitem")).toHaveText([
    /Copy link/,
    /Protection on their device/,
    /Write to them/,
    /Export/,
    /New code/,
    /Send out/,
  ]);
  await page.keyboard.press("ArrowUp");
  await expect(page.getByRole("menuitem", { name: /Send out/ })).toBeFocused();
  await page.keyboard.press("Enter");

  const dialog = page.getByRole("alertdialog", { name: "Send Ada Byron out?" });
  await expect(dialog.getByRole("button", { name: "Cancel" })).toBeFocused();
  await tabTo(page, /What they are told/);
  await page.keyboard.type("The rehearsal is over.");
  await tabTo(page, /^Send out$/);
  await page.keyboard.press("Enter");
  await expect(page.getByText("Session of Ada Byron ended")).toBeVisible();
  await expect(page.getByRole("heading", { name: "Who is watching" }), "where one was").toBeFocused();
  await ada.sees("out");
  await ada.reads("The rehearsal is over.");

  // Out again, too.
  await page.keyboard.press("Control+Home");
  await tabTo(page, /Account of/, 120);
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
  await elsewhere.close();
});
