import type { Locator, Page } from "@playwright/test";
import { Webhook } from "standardwebhooks";
import { look } from "../support/looks.ts";
import { Organiser } from "../support/people.ts";
import { Receiver } from "../support/receiver.ts";
import { Stagedoor } from "../support/stagedoor.ts";
import { expect, test } from "../support/test.ts";

// Somebody else's program is told what happens: signed so that the reference library believes it, and told again until it
// arrives.

let receiver: Receiver;
let stagedoor: Stagedoor;

test.beforeAll(async () => {
  receiver = await Receiver.open();
  stagedoor = await Stagedoor.start(receiver.settings);
});

test.afterAll(async () => {
  await stagedoor.stop();
  await receiver.close();
});

test("a webhook is made, believed, tried again on schedule and sent again by hand", async ({ context }) => {
  const { demo } = stagedoor;
  const { page } = await Organiser.signIn(context, demo.admin_url, demo.admin_user, demo.admin_password);
  await page.getByRole("link", { name: "Webhooks" }).click();
  await page.getByLabel("Address").fill(receiver.url);
  const types = page.getByRole("combobox", { name: "Tell it about" });
  await types.fill("Events");
  await page.getByRole("option", { name: "Events", exact: true }).click();
  // The list stays open for another choice.
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Create webhook" }).click();
  receiver.secret = (await page.getByText(/^whsec_/).textContent()) ?? "";

  const event = await stagedoor.createEvent("Opening night");
  const told = (type: string) =>
    receiver.told.filter((one) => one.type === type && one.data.event === event.id);
  await expect.poll(() => told("event.created").length).toBe(1);
  expect(receiver.refused).toEqual([]);
  expect(told("event.created")[0]?.id).toMatch(/^dlv_/);
  // The oracle is one: a single letter that differs is not believed.
  const [id, at] = ["dlv_x", new Date()];
  const headers = {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
    "webhook-signature": new Webhook(receiver.secret).sign(id, at, "{}"),
  };
  expect(() => new Webhook(receiver.secret).verify("{ }", headers)).toThrow(/No matching signature/);

  const hook = page.getByRole("list", { name: "Webhooks" }).getByRole("listitem").first();
  await hook.getByRole("button", { name: "Deliveries", exact: true }).click();
  await expect(delivery(page, 0)).toContainText("Arrived");
  await expect(delivery(page, 0)).toContainText(/1 attempt: answered 204 in \d+ ms/);

  // The receiver is broken twice: it is tried again after five seconds, and then after five minutes.
  // It takes its time with the second answer, until the page was read.
  let answer: (status: number) => void = () => {};
  const second = new Promise<number>((resolve) => {
    answer = resolve;
  });
  receiver.answers.push(500, second);
  await stagedoor.api("PATCH", `/events/${event.id}`, { title: "Another night" });
  const broken = delivery(page, 0);
  await expect(broken).toContainText("Event: changed");
  await expect(broken).toContainText(/1 attempt: answered 500/);
  await expect(broken).toContainText(/On its way, next try/);
  answer(503);
  await expect(broken).toContainText(/2 attempts: answered 503/, { timeout: 40_000 });
  await expect(broken).toContainText(/next try in [56] minutes/);
  await broken.getByText(/2 attempts/).click();
  await look(page, "webhooks-retry");

  // Nobody waits that long.
  await broken.getByRole("button", { name: "Send again: Event: changed" }).click();
  await expect(page.getByText("It is sent again")).toBeVisible();
  await expect(broken).toContainText("Arrived");
  await expect(broken).toContainText(/3 attempts: answered 204/);
  expect(told("event.changed").length).toBe(3);
  expect(new Set(told("event.changed").map(({ id }) => id)).size, "the same message each time").toBe(1);
  await look(page, "webhooks-deliveries");

  // With a new secret both sign: a receiver that has only the old one still believes.
  await hook.getByRole("button", { name: "New secret" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "New secret" }).click();
  await expect(page.getByText("The old secret still signs until", { exact: false })).toBeVisible();
  const fresh = (await page.getByText(/^whsec_/).textContent()) ?? "";
  expect(fresh).not.toBe(receiver.secret);
  for (const secret of [receiver.secret, fresh]) {
    receiver.secret = secret;
    const before = receiver.told.length;
    await hook.getByRole("button", { name: "Send a test" }).click();
    await expect.poll(() => receiver.told.length).toBe(before + 1);
    expect(receiver.told.at(-1)?.type).toBe("webhook.test");
  }
  expect(receiver.refused).toEqual([]);
});

/** One of the deliveries that are shown, the newest first. */
function delivery(page: Page, at: number): Locator {
  return page.getByRole("list", { name: "Deliveries" }).locator("> li").nth(at);
}
