import type { BrowserContext } from "@playwright/test";
import { look } from "../support/looks.ts";
import { Organiser, Viewer } from "../support/people.ts";
import type { Stagedoor } from "../support/stagedoor.ts";
import { expect, pictureAdvances, streamBecomes, test } from "../support/test.ts";

// From a spreadsheet to a full room: who is invited, what they are told, and what becomes of a code.

const LIST = [
  "Name;Mobile;E-mail;Language",
  "Ada Lovelace;+33 6 12 34 56 78;ada@example.org;en",
  "Grace Hopper;+33 6 12 34 56 79;grace@example.org;en",
  "Zoë Kravitz;+33 6 12 34 56 80;;fr",
  "",
].join("\n");

async function signIn(context: BrowserContext, { demo }: Stagedoor): Promise<Organiser> {
  return Organiser.signIn(context, demo.admin_url, demo.admin_user, demo.admin_password);
}

/** A list imported as a program does it. */
async function imported(stagedoor: Stagedoor, event: string, list: string, tags: string[] = []) {
  const response = await fetch(`${stagedoor.origin}/api/v1/events/${event}/imports?name=guests.csv`, {
    method: "POST",
    headers: { authorization: `Bearer ${stagedoor.demo.api_token}`, "content-type": "text/csv" },
    body: list,
  });
  const made = (await response.json()) as { id: string; mapping: object };
  await stagedoor.api("POST", `/events/${event}/imports/${made.id}/start`, { mapping: made.mapping, tags });
  await expect
    .poll(
      async () =>
        (await stagedoor.api<{ state: string }>("GET", `/events/${event}/imports/${made.id}`)).state,
    )
    .toBe("done");
}

test("a list is imported and sent, and the message that stayed here opens the door", async ({
  browser,
  context,
  stagedoor,
  publish,
}) => {
  const event = await stagedoor.createEvent("Opening night", {
    policy: { messages: { per_second: 10 } },
  });
  const { page } = await signIn(context, stagedoor);
  await page.goto(`${stagedoor.origin}/events/${event.id}/messages`);
  await expect(page.getByText("Nothing was sent yet")).toBeVisible();
  await look(page, "messages-empty");

  await page.getByRole("link", { name: "Import list" }).click();
  await page
    .getByLabel("Choose file")
    .or(page.locator("input[type=file]"))
    .first()
    .setInputFiles({
      name: "guests.csv",
      mimeType: "text/csv",
      buffer: Buffer.from(LIST),
    });
  await expect(page.getByText("What is in the columns of “guests.csv”?")).toBeVisible();
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await expect(page.getByText("3 people are newly invited. Nobody has been written to yet.")).toBeVisible();

  await page
    .getByRole("navigation", { name: "Pages of this event" })
    .getByRole("link", { name: "Messages" })
    .click();
  await page.getByRole("button", { name: "Send messages" }).first().click();
  const drawer = page.getByRole("dialog", { name: "Send messages" });
  await expect(drawer.getByText("No provider is set up", { exact: false })).toBeVisible();
  await expect(drawer.getByText("1 SMS per person")).toBeVisible();
  await look(page, "messages-send");
  await drawer.getByRole("button", { name: "Send 3 messages" }).click();
  await expect(page.getByText("3 of 3")).toBeVisible();
  await expect(
    page.getByRole("listitem").filter({ hasText: "Invitations by SMS" }).getByText("Done"),
  ).toBeVisible();
  await look(page, "messages-sends");

  await page.getByRole("link", { name: "See each message" }).click();
  const ada = page
    .getByRole("list", { name: "Outbox" })
    .getByRole("listitem")
    .filter({ hasText: "Ada Lovelace" });
  await expect(ada.getByText("Kept here")).toBeVisible();
  await look(page, "messages-outbox");
  const said = (await ada.locator(".bubble").textContent()) ?? "";
  const link = /https?:\S+/.exec(said)?.[0] ?? "";
  expect(link).toContain(event.id);

  publish(await stagedoor.publishUrl(event.id));
  await streamBecomes(stagedoor, event.id, "live");
  const elsewhere = await browser.newContext();
  const viewer = await Viewer.comeIn(elsewhere, link);
  await pictureAdvances(viewer.video);
  await elsewhere.close();
});

test("a text is written, seen as it will be read, tested and taken back", async ({ context, stagedoor }) => {
  const event = await stagedoor.createEvent("Opening night");
  await imported(stagedoor, event.id, LIST);
  const { page } = await signIn(context, stagedoor);
  await page.goto(`${stagedoor.origin}/events/${event.id}/messages/templates`);
  const text = page.getByRole("textbox", { name: "Text" });
  await expect(text).toHaveValue(/\{link\}/);
  const preview = page.getByRole("region", { name: "What they get" });
  await expect(preview.getByText("Ada Lovelace, you are invited")).toBeVisible();
  await expect(preview.getByText(/1 SMS per person · \d+ of 160 characters · GSM-7/)).toBeVisible();

  // A letter of another alphabet makes it two, and a text without a way in is refused before it is sent.
  await text.fill("Chère {name} — à ce soir 🎭 {title}. Entrez ici : ");
  await expect(preview.getByText(/UCS-2/)).toBeVisible();
  await expect(preview.getByText(/make messages about twice as long: — 🎭/)).toBeVisible();
  await page.getByRole("button", { name: "Save text" }).click();
  await expect(
    page.getByText("This text has neither the code nor the link. Nobody can come in with it."),
  ).toBeVisible();
  await look(page, "messages-template-wrong");
  await page.getByRole("button", { name: /^\{link\}/ }).click();
  await expect(text).toHaveValue(/Entrez ici : \{link\}$/);
  await page.getByRole("button", { name: "Save text" }).click();
  await expect(page.getByText("Text saved")).toBeVisible();

  await page.getByLabel("Test to your own number").fill("12");
  await page.getByRole("button", { name: "Send test" }).click();
  await expect(page.getByText("This is no number with its country code", { exact: false })).toBeVisible();
  await page.getByLabel("Test to your own number").fill("+33 6 98 76 54 32");
  await page.getByRole("button", { name: "Send test" }).click();
  await expect(page.getByText("Test sent").first()).toBeVisible();
  await look(page, "messages-template");
  await page.getByRole("link", { name: "See it in the outbox" }).click();
  await expect(
    page.getByRole("listitem").filter({ hasText: "To yourself" }).getByText("Kept here"),
  ).toBeVisible();

  await page.getByRole("link", { name: "Templates" }).click();
  await page.getByRole("button", { name: "Back to the original text" }).click();
  await expect(text).toHaveValue(/you are invited/);

  await page.getByText("E-mail", { exact: true }).click();
  await expect(page.getByRole("textbox", { name: "Subject" })).toHaveValue("Your invitation: {title}");
  await look(page, "messages-template-email");
});

test("a send is paused, goes on and is stopped, and says how long it still takes", async ({
  context,
  stagedoor,
}) => {
  const event = await stagedoor.createEvent("Opening night");
  const many = Array.from({ length: 120 }, (_, n) => `Guest ${n};+3361200${String(1000 + n)}`);
  await imported(stagedoor, event.id, ["Name;Mobile", ...many, ""].join("\n"));
  const { page } = await signIn(context, stagedoor);
  await page.goto(`${stagedoor.origin}/events/${event.id}/messages?to=created`);
  const drawer = page.getByRole("dialog", { name: "Send messages" });
  await expect(drawer.getByText("Takes, at 1 per second")).toBeVisible();
  await expect(drawer.getByText("2 min", { exact: true })).toBeVisible();
  await drawer.getByRole("button", { name: "Send 120 messages" }).click();
  const order = page.getByRole("listitem").filter({ hasText: "Invitations by SMS" });
  await expect(order.getByText(/1 per second · .* left/)).toBeVisible();
  await expect(order.getByText(/^[1-9]\d* of 120$/)).toBeVisible();
  await look(page, "messages-running");
  await order.getByRole("button", { name: "Pause: Invitations by SMS" }).click();
  await expect(order.getByText("Somebody paused it.", { exact: false })).toBeVisible();
  await look(page, "messages-paused");
  await order.getByRole("button", { name: "Resume: Invitations by SMS" }).click();
  await expect(order.getByText("Sending", { exact: true })).toBeVisible();
  await order.getByRole("button", { name: "Stop: Invitations by SMS" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Stop sending" }).click();
  await expect(order.getByText("Stopped", { exact: true })).toBeVisible();
});
