import { look } from "../support/looks.ts";
import { Organiser } from "../support/people.ts";
import { onFreePort, Stagedoor } from "../support/stagedoor.ts";
import { expect, test } from "../support/test.ts";
import { type Twilio, twilio } from "../support/twilio.ts";

// Text messages that leave the house, through a Twilio that takes them, loses one and refuses another.

let provider: Twilio;
let stagedoor: Stagedoor;

test.beforeAll(async () => {
  provider = await twilio();
  // Reports come to the address that the server says it has.
  stagedoor = await onFreePort((port) =>
    Stagedoor.start(
      { ...provider.settings, STAGEDOOR_HTTP_PUBLIC_URL: `http://127.0.0.1:${port}` },
      `127.0.0.1:${port}`,
    ),
  );
});

test.afterAll(async () => {
  await stagedoor.stop();
  await provider.stop();
});

test("what arrives is shown as it arrives, and what fails says why and is tried again", async ({
  context,
}) => {
  const event = await stagedoor.createEvent("Opening night", { policy: { messages: { per_second: 10 } } });
  await stagedoor.invite(event.id, "Ada Lovelace", "+33612345678");
  await stagedoor.invite(event.id, "Grace Hopper", "+33612345601");
  const zoe = await stagedoor.invite(event.id, "Zoë Kravitz", "+33612345602");
  const alan = await stagedoor.invite(event.id, "Alan Turing");
  const { demo } = stagedoor;
  const { page } = await Organiser.signIn(context, demo.admin_url, demo.admin_user, demo.admin_password);
  await page.goto(`${stagedoor.origin}/events/${event.id}/messages`);
  await expect(page.getByText("SMS: Twilio")).toBeVisible();
  await page.getByRole("button", { name: "Send messages" }).click();
  const drawer = page.getByRole("dialog", { name: "Send messages" });
  await expect(drawer.getByText("No provider is set up", { exact: false })).toHaveCount(0);
  await expect(drawer.getByText("Costs about")).toBeVisible();
  await drawer.getByRole("button", { name: "Send 4 messages" }).click();

  // Nobody reloads: what Twilio reports is on the page.
  const order = page.getByRole("listitem").filter({ hasText: "Invitations by SMS" });
  await expect(order.getByText("4 of 4")).toBeVisible();
  const count = (name: string) => order.locator("dl > div").filter({ hasText: name }).locator("dd");
  await expect(count("Delivered")).toHaveText("1");
  await expect(count("Failed")).toHaveText("3");
  const why = order.getByRole("list", { name: "Why messages failed" });
  await expect(why.getByRole("listitem")).toHaveText([
    /1 × The number or address does not exist\./,
    /1 × There is no number or address to send to\./,
    /1 × It was sent and did not arrive\./,
  ]);
  await expect(page.getByRole("button", { name: "Dismiss" })).toHaveCount(0);
  await why.scrollIntoViewIfNeeded();
  await look(page, "messages-failed");

  // Alan gets a number; then what failed is tried again, and only that.
  await stagedoor.api("PATCH", `/events/${event.id}/invitations/${alan.id}`, { phone: "+33612345679" });
  await order.getByRole("button", { name: "Try 3 again: Invitations by SMS" }).click();
  await expect(page.getByText("3 messages on their way")).toBeVisible();
  await expect(count("Delivered")).toHaveText("3");
  await expect(count("Failed")).toHaveText("1");
  await expect(why.getByRole("listitem")).toHaveText([/1 × The number or address does not exist\./]);

  // The one that is left says the same, and is tried again by itself.
  await order.getByRole("link", { name: "See the 1 that failed" }).click();
  const outbox = page.getByRole("list", { name: "Outbox" });
  const failed = outbox.getByRole("listitem").filter({ hasText: "Zoë Kravitz" });
  await expect(outbox.getByRole("listitem")).toHaveCount(1);
  await expect(failed.getByText("The number or address does not exist.")).toBeVisible();
  await look(page, "messages-outbox-failed");
  await stagedoor.api("PATCH", `/events/${event.id}/invitations/${zoe.id}`, { phone: "+33612345680" });
  await failed.getByRole("button", { name: "Try again: message to Zoë Kravitz" }).click();
  await expect(outbox, "it failed no more").toHaveCount(0);
  await page.getByRole("button", { name: "Show all messages" }).click();
  await expect(outbox.getByText("Delivered", { exact: true })).toHaveCount(4);
  await expect(outbox.getByText("+33 6 •• •• 56 80")).toBeVisible();
});
