import { readPicture } from "../support/barcode.ts";
import { look } from "../support/looks.ts";
import { Organiser, Viewer } from "../support/people.ts";
import { expect, pictureAdvances, streamBecomes, test } from "../support/test.ts";

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
  await expect(row.getByText("360p", { exact: true }), "its page reports").toBeVisible({ timeout: 15_000 });
  await expect(figures.getByText("Watching now").locator("xpath=..")).toContainText("1");
  const chart = page.getByRole("group", { name: /People watching over time/ });
  await expect(chart).toHaveAccessibleName(/1 watching now/);
  // Her number, masked: enough to recognise her, not to call her.
  await expect(row.getByText("+33 6 •• •• 56 78")).toBeVisible();
  await look(page, "room-live");
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
  await expect(page.getByText("Connected again. Everything is up to date.")).toBeVisible({ timeout: 15_000 });
  await expect(grid.getByRole("row", { name: /Grace Hopper/ })).toBeVisible();

  // The preview goes on by itself when the encoder comes back.
  await encoder.kill();
  await streamBecomes(stagedoor, show.event.id, "away");
  await expect(page.getByText("Encoder away").first()).toBeVisible();
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  // The frames of the second encoder count from the beginning again.
  const frame = async () => (await readPicture(preview.locator("video"))).frame ?? Number.MAX_SAFE_INTEGER;
  await expect.poll(frame, { message: "the second encoder's picture", timeout: 20_000 }).toBeLessThan(300);
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
