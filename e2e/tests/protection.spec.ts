import type { Page } from "@playwright/test";
import { glance, look } from "../support/looks.ts";
import { Organiser, Viewer } from "../support/people.ts";
import { expect, pictureAdvances, streamBecomes, test } from "../support/test.ts";

// What the control room says about protection: true for an empty house, for a page that keeps still, and for a device on
// which the mark is not to be seen.

/** A page whose answers to the server's questions can be made to get lost on the way. */
async function muffled(page: Page): Promise<() => void> {
  let lost = false;
  await page.routeWebSocket("**/api/v1/events/**/feed", (socket) => {
    const server = socket.connectToServer();
    server.onMessage((message) => socket.send(message));
    socket.onMessage((text) => {
      const { type } = JSON.parse(String(text)) as { type: string };
      if (!(lost && type === "heartbeat")) server.send(text);
    });
  });
  return () => {
    lost = true;
  };
}

test("the control room counts the pages that answer and the marks that are drawn, and says what stands on each device", async ({
  browser,
  context,
  stagedoor,
  show,
  publish,
}) => {
  test.setTimeout(480_000);
  const { id } = show.event;
  const settle = (policy: object) => stagedoor.api("PATCH", `/events/${id}`, { policy });
  await settle({ protection: { watermark: true }, encryption: { method: "aes-128", key_period_s: 10 } });
  publish(show.publishUrl, { rate: 15 });
  await streamBecomes(stagedoor, id, "live");

  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const { page } = await Organiser.signIn(context, admin_url, admin_user, admin_password);
  await page.goto(`${stagedoor.origin}/events/${id}`);
  const panel = page.getByRole("region", { name: "Protection" });
  await expect(panel).toContainText("Nobody is watching.");
  await expect(panel).toContainText("No page answers yet.");
  await expect(panel).toContainText("AES-128, a new key at least every 10 seconds");
  await expect(panel).toContainText("Write it down");

  // Somebody honest.
  const honest = await browser.newContext();
  const ada = await Viewer.comeIn(honest, show.invitation.link);
  await pictureAdvances(ada.video, 15);
  await expect(panel).toContainText("The one page answers", { timeout: 40_000 });
  await expect(panel).toContainText("Drawn on the page that answers", { timeout: 40_000 });

  // Somebody on whose screen the mark cannot be seen: the dialog follows while it is open.
  const bob = await stagedoor.invite(id, "Bob Ross");
  const elsewhere = await browser.newContext();
  const other = await elsewhere.newPage();
  const hush = await muffled(other);
  await other.goto(bob.link);
  const viewer = Viewer.on(other);
  await viewer.watch();
  await pictureAdvances(viewer.video, 15);
  await expect(panel).toContainText("Drawn on all 2 pages that answer", { timeout: 40_000 });
  const row = page.getByRole("grid", { name: "Who is watching" }).getByRole("row", { name: /Bob Ross/ });
  await row.getByRole("button", { name: "More for Bob Ross" }).click();
  await page.getByRole("menuitem", { name: /Protection on their device/ }).click();
  const device = page.getByRole("dialog", { name: "On the device of Bob Ross" });
  await expect(device).toContainText("Everything stands.");
  await other.evaluate(() => {
    const player = document.querySelector<HTMLElement>("stagedoor-player");
    if (player !== null) player.style.opacity = "0.3";
  });
  const seen = device.getByRole("listitem").filter({ hasText: "The mark can be seen" });
  await expect(seen).toContainText("does not stand", { timeout: 40_000 });
  await look(page, "protection-device");
  await page.keyboard.press("Escape");
  await expect(row).toContainText("mark not drawn");
  await expect(panel).toContainText("All 2 pages answer");
  await expect(panel).toContainText("Drawn on 1 of 2 pages that answer");
  await look(page, "protection-unmarked");
  await other.evaluate(() => {
    document.querySelector<HTMLElement>("stagedoor-player")?.style.removeProperty("opacity");
  });
  await expect(panel).toContainText("Drawn on all 2 pages that answer", { timeout: 40_000 });
  await expect(row).not.toContainText("mark not drawn");

  // And whose page does not answer any more: what stands there is not known.
  hush();
  await expect(panel).toContainText("1 is silent: it gets no content keys", { timeout: 40_000 });
  await expect(panel).toContainText("1 of 2 pages answer");
  await expect(row).toContainText("page does not answer");
  await look(page, "protection-silent");
  await row.getByRole("button", { name: "More for Bob Ross" }).click();
  await page.getByRole("menuitem", { name: /Protection on their device/ }).click();
  await expect(device).toContainText("The page does not answer. What stands on it is not known.");
  await expect(device.getByText("not known", { exact: true })).toHaveCount(8);
  await glance(page, "protection-device-silent");
  await page.keyboard.press("Escape");

  // What is on air stays as it began; the rest follows the settings at once.
  await settle({ protection: { guard: false, watermark: true }, encryption: { method: "off" } });
  await expect(panel).toContainText("Not asked whether they are there");
  await expect(panel).toContainText("it needs pages that show that they are there");
  await expect(panel).toContainText("AES-128, a new key at least every 10 seconds");
  await expect(panel).toContainText("From the next broadcast on: Not encrypted");
  await honest.close();
  await elsewhere.close();
});
