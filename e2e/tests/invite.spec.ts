import type { BrowserContext, Locator, Page } from "@playwright/test";
import { account } from "../support/accounts.ts";
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

/** The same, with a column of tags. */
const TAGGED = LIST.trim()
  .split("\n")
  .map((line, at) => `${line};${["Tags", "press, front row", "press", ""][at]}`)
  .join("\n");

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
      { timeout: 60_000 },
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
  await page.getByRole("link", { name: "Import list" }).click();
  await page.locator("input[type=file]").setInputFiles({
    name: "guests.csv",
    mimeType: "text/csv",
    buffer: Buffer.from(TAGGED),
  });
  await expect(page.getByText("What is in the columns of “guests.csv”?")).toBeVisible();
  const use = page.getByRole("button", { name: /Use of Tags/ });
  await expect(use).toContainText("Tags, with commas");
  await use.click();
  await page.getByRole("option", { name: "Leave out" }).click();
  await expect(use).toContainText("Leave out");
  await use.click();
  await page.getByRole("option", { name: "Tags, with commas" }).click();
  await look(page, "import-columns");
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await expect(page.getByText("3 people are newly invited. Nobody has been written to yet.")).toBeVisible();

  await page.getByRole("link", { name: "See invitations" }).click();
  const grid = page.getByRole("grid", { name: "Invitations" });
  await expect(grid.getByRole("row")).toHaveCount(4);
  const ada = grid.getByRole("row", { name: /Ada Lovelace/ });
  await expect(ada).toContainText("front row");
  await expect(grid.getByRole("row").filter({ hasText: "press" })).toHaveCount(2);
  await page.getByRole("checkbox", { name: "Select everything" }).check();
  await page.getByRole("toolbar").getByRole("button", { name: "Send…" }).click();
  const drawer = page.getByRole("dialog", { name: "Send messages" });
  await expect(drawer.getByText("The 3 people you selected")).toBeVisible();
  await expect(drawer.getByText("No provider is set up", { exact: false })).toBeVisible();
  await expect(drawer.getByText("1 SMS per person")).toBeVisible();
  await look(page, "messages-send");
  await drawer.getByRole("button", { name: "Send 3 messages" }).click();
  await expect(page.getByText("3 of 3")).toBeVisible();

  await page.getByRole("link", { name: "See each message" }).click();
  await expect(kept(page, "Ada Lovelace").getByText("Kept here")).toBeVisible();
  await look(page, "messages-outbox");
  const link = await linkIn(kept(page, "Ada Lovelace"));
  expect(link).toContain(event.id);
  const tabs = page.getByRole("navigation", { name: "Pages of this event" });
  await tabs.getByRole("link", { name: "Invitations" }).click();
  await expect(ada).toContainText("Sent");

  publish(await stagedoor.publishUrl(event.id));
  await streamBecomes(stagedoor, event.id, "live");
  const elsewhere = await browser.newContext();
  const viewer = await Viewer.follow(elsewhere, link);
  await expect(ada, "before anybody presses a button").toContainText("Opened");
  await viewer.watch();
  await pictureAdvances(viewer.video);
  await expect(ada, "the list follows by itself").toContainText("Code used");
  await expect(ada).toContainText("Watching now");

  // A new code while they watch: they are out before it is on its way, the old one is refused, the new one opens.
  await ada.getByRole("button", { name: "Ada Lovelace" }).click();
  await page.getByRole("dialog", { name: "Ada Lovelace" }).getByRole("button", { name: "New code" }).click();
  const anew = page.getByRole("dialog", { name: "Make a new code for Ada Lovelace?" });
  await expect(anew.getByText("Ada Lovelace is watching and will be sent home.")).toBeVisible();
  await look(page, "invitations-new-code");
  await anew.getByRole("button", { name: "Make new code" }).click();
  await expect(page.getByText("New code made, 1 session ended")).toBeVisible();
  await viewer.sees("out");
  const old = await Viewer.comeIn(elsewhere, link);
  await old.reads(/does not open this event/);
  await page.keyboard.press("Escape");
  await tabs.getByRole("link", { name: "Messages" }).click();
  await page.getByRole("link", { name: "Outbox" }).click();
  const fresh = kept(page, "Ada Lovelace").filter({ hasText: "New code" });
  await expect(fresh.getByText("Kept here")).toBeVisible();
  const opens = await linkIn(fresh);
  expect(opens).not.toBe(link);
  const again = await Viewer.comeIn(elsewhere, opens);
  await pictureAdvances(again.video);
  await elsewhere.close();
});

/** A message in the outbox. */
function kept(page: Page, name: string): Locator {
  return page.getByRole("list", { name: "Outbox" }).getByRole("listitem").filter({ hasText: name });
}

async function linkIn(message: Locator): Promise<string> {
  return /https?:\S+/.exec((await message.locator(".bubble").first().textContent()) ?? "")?.[0] ?? "";
}

test("a moderator finds people with their numbers hidden, and cannot send, change or take the list", async ({
  context,
  stagedoor,
}) => {
  const event = await stagedoor.createEvent("Opening night");
  await imported(stagedoor, event.id, LIST);
  const { username, password } = await account(stagedoor, "moderator-of-the-list", "moderator");
  const { page } = await Organiser.signIn(context, stagedoor.demo.admin_url, username, password);
  await page.goto(`${stagedoor.origin}/events/${event.id}/invitations`);
  const grid = page.getByRole("grid", { name: "Invitations" });
  const ada = grid.getByRole("row", { name: /Ada Lovelace/ });
  await expect(ada).toContainText("+33 6 •• •• 56 78");
  for (const name of ["Export", "Import list", "Add person"]) {
    await expect(page.getByRole("button", { name }).or(page.getByRole("link", { name }))).toHaveCount(0);
  }
  await expect(grid.getByRole("checkbox")).toHaveCount(0);
  await ada.getByRole("button", { name: "Ada Lovelace" }).click();
  const drawer = page.getByRole("dialog", { name: "Ada Lovelace" });
  await expect(drawer.getByRole("button", { name: "Write a message" })).toBeVisible();
  for (const name of ["Show contact", "Show code", "Edit", "New code", "Revoke", "Erase personal data"]) {
    await expect(drawer.getByRole("button", { name })).toHaveCount(0);
  }
  await page.goto(`${stagedoor.origin}/events/${event.id}/messages/templates`);
  await expect(page.getByText(/Come in here/)).toBeVisible();
  await expect(page.getByRole("button", { name: "Save text" })).toHaveCount(0);
  await expect(page.getByRole("button", { name: "Send messages" })).toHaveCount(0);
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

test("people are found, looked at, changed and tagged, by keyboard alone", async ({ context, stagedoor }) => {
  const event = await stagedoor.createEvent("Opening night");
  const { page } = await signIn(context, stagedoor);
  await page.goto(`${stagedoor.origin}/events/${event.id}/invitations`);
  await expect(page.getByText("Nobody is invited yet")).toBeVisible();
  await look(page, "invitations-empty");

  const many = Array.from({ length: 700 }, (_, n) => `Guest ${n};+3361200${String(1000 + n)};;fr`);
  await imported(stagedoor, event.id, [LIST.trim(), ...many, ""].join("\n"), ["autumn"]);
  const grid = page.getByRole("grid", { name: "Invitations" });
  await expect(grid).toHaveAttribute("aria-rowcount", "704");
  await expect(page.getByRole("button", { name: "Not sent 703" })).toBeVisible();
  await look(page, "invitations-list");

  // The end of the list is reached page by page.
  await grid.getByRole("row").nth(1).focus();
  await expect
    .poll(async () => {
      await page.keyboard.press("End");
      return grid.locator('[aria-rowindex="704"]').count();
    })
    .toBe(1);

  await page.keyboard.press("/");
  await expect(page.getByRole("searchbox", { name: "Search invitations" })).toBeFocused();
  await page.keyboard.type("zoe");
  await expect(grid).toHaveAttribute("aria-rowcount", "2");
  const zoe = grid.getByRole("row", { name: /Zoë Kravitz/ });
  await expect(zoe).toContainText("+33 6 •• •• 56 80");
  await zoe.focus();
  await page.keyboard.press("Enter");
  const drawer = page.getByRole("dialog", { name: "Zoë Kravitz" });
  await expect(drawer.getByText("French")).toBeVisible();
  await look(page, "invitations-person");
  await drawer.getByRole("button", { name: "Show contact" }).click();
  await expect(drawer.getByText("+33612345680")).toBeVisible();
  await drawer.getByRole("button", { name: "Show code" }).click();
  await expect(drawer.getByText(/^Access code /)).toBeAttached();

  await drawer.getByRole("button", { name: "Edit" }).click();
  await look(page, "invitations-edit");
  await drawer.getByLabel("May bring").fill("two");
  await drawer.getByRole("button", { name: "Save" }).click();
  await expect(drawer.getByText("Enter a whole number, or 0.")).toBeVisible();
  await drawer.getByLabel("May bring").fill("2");
  await drawer.getByLabel("Note").fill("Front row");
  await drawer.getByRole("button", { name: "Save" }).click();
  await expect(drawer.getByText("2 guests")).toBeVisible();
  await expect(drawer.getByText("Front row")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(drawer).toBeHidden();
  await expect(zoe).toBeFocused();

  await page.keyboard.press("Space");
  await expect(page.getByText("1 selected")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByText("1 selected")).toBeHidden();

  await page.getByRole("searchbox").fill("nobody of this name");
  await expect(page.getByText("No invitation matches")).toBeVisible();
  await look(page, "invitations-no-match");
  await page.getByRole("button", { name: "Show everyone" }).click();
  await expect(grid).toHaveAttribute("aria-rowcount", "704");

  // Everybody is chosen without being loaded, tagged, and the tag is taken back.
  await page.getByRole("checkbox", { name: "Select everything" }).check();
  await expect(page.getByText("703 selected")).toBeVisible();
  await look(page, "invitations-selected");
  const bar = page.getByRole("toolbar", { name: "With the selected rows" });
  await bar.getByRole("button", { name: "Add tag" }).click();
  await page.getByRole("dialog").getByLabel("Tag", { exact: true }).fill("press");
  await page.getByRole("dialog").getByRole("button", { name: "Add tag" }).click();
  await expect(page.getByText("Tagged 703 invitations “press”")).toBeVisible();
  await expect(grid.getByText("press").first()).toBeVisible();
  await page.getByRole("button", { name: "Undo" }).click();
  await expect(grid.getByText("press")).toHaveCount(0);

  await page.goto(`${stagedoor.origin}/events/${event.id}/invitations`);
  await page.getByRole("button", { name: "Add person" }).click();
  const add = page.getByRole("dialog", { name: "Invite one person" });
  await add.getByRole("textbox", { name: "Name" }).fill("Alan Turing");
  await add.getByLabel("Telephone").fill("+33 6 12 34 56 78");
  await add.getByRole("button", { name: "Add person" }).click();
  await expect(add.getByText("Somebody at this event has this telephone number already.")).toBeVisible();
  await look(page, "invitations-add");
  await add.getByLabel("Telephone").fill("");
  await add.getByRole("button", { name: "Add person" }).click();
  await expect(add.getByText("Code for Alan Turing")).toBeVisible();
  await look(page, "invitations-added");
  await add.getByRole("button", { name: "Done" }).click();
  await expect(grid.getByRole("row", { name: /Alan Turing/ })).toBeVisible();

  // What is kept about somebody is handed out, and forgotten for good once their name is typed.
  await grid
    .getByRole("row", { name: /Alan Turing/ })
    .getByRole("button", { name: "Alan Turing" })
    .click();
  const alan = page.getByRole("dialog", { name: "Alan Turing" });
  const handed = page.waitForEvent("download");
  await alan.getByRole("button", { name: "Download personal data" }).click();
  expect((await handed).suggestedFilename()).toMatch(/^inv_.*\.json$/);
  await alan.getByRole("button", { name: "Erase personal data" }).click();
  const erasing = page.getByRole("dialog", { name: "Erase the personal data of Alan Turing?" });
  await erasing.getByRole("button", { name: "Erase for good" }).click();
  await expect(erasing.getByText("This is not the name.")).toBeVisible();
  await look(page, "invitations-erase");
  await erasing.getByLabel("Type “Alan Turing” to confirm").fill("alan turing");
  await erasing.getByRole("button", { name: "Erase for good" }).click();
  await expect(page.getByText("Personal data erased")).toBeVisible();
  await expect(page.getByText("Contact data of this person was erased.", { exact: false })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(grid.getByRole("row", { name: /Alan Turing/ })).toHaveCount(0);
});

test("a guest brings a friend, who watches at the same time on another device, until the guest is withdrawn", async ({
  browser,
  context,
  stagedoor,
  publish,
}) => {
  const event = await stagedoor.createEvent("Opening night");
  const host = await stagedoor.api<{ id: string; link: string }>("POST", `/events/${event.id}/invitations`, {
    name: "Ada Lovelace",
    plus_ones: 2,
  });
  publish(await stagedoor.publishUrl(event.id));
  await streamBecomes(stagedoor, event.id, "live");
  const viewer = await Viewer.comeIn(await browser.newContext(), host.link);
  await viewer.sees("live");
  await pictureAdvances(viewer.video);

  const guests = viewer.page.getByRole("group").filter({ hasText: "Bring a guest" });
  await guests.getByText("Bring a guest").click();
  await expect(guests.getByText("You may bring 2 people.")).toBeVisible();
  await guests.getByLabel("Name of your guest").fill("Bob");
  await guests.getByRole("button", { name: "Make an invitation" }).click();
  await expect(guests.getByText("For Bob. Send it on", { exact: false })).toBeVisible();
  await expect(guests.getByText("You may bring 1 person.")).toBeVisible();
  const code = (await guests.locator(".code").textContent()) ?? "";
  expect(code).toMatch(/^[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}$/);
  await look(viewer.page, "watch-guests");

  const friend = await Viewer.comeIn(await browser.newContext(), `${stagedoor.origin}/e/${event.id}#${code}`);
  await friend.sees("live");
  await pictureAdvances(friend.video);
  await pictureAdvances(viewer.video);
  await expect(friend.page.getByText("Bring a guest")).toBeHidden();

  // After a reload the host sees who came; the organiser sees who brought whom.
  await viewer.page.reload();
  await viewer.sees("live");
  await guests.getByText("Bring a guest").click();
  await expect(guests.getByRole("listitem").filter({ hasText: "Bob" })).toContainText("has come in");
  const { page } = await signIn(context, stagedoor);
  await page.goto(`${stagedoor.origin}/events/${event.id}/invitations?open=${host.id}`);
  const drawer = page.getByRole("dialog", { name: "Ada Lovelace" });
  await expect(drawer.getByText("2 guests, 1 of 2 brought")).toBeVisible();
  await expect(drawer.getByRole("listitem").filter({ hasText: "Bob" })).toBeVisible();
  await look(page, "invitations-host");
  await drawer.getByRole("button", { name: "Revoke" }).click();
  const asked = page.getByRole("alertdialog");
  await expect(asked.getByText("Guests they brought can come in no more, either.")).toBeVisible();
  await asked.getByRole("button", { name: "Revoke" }).click();
  await viewer.sees("out");
  await friend.sees("out");
});

test("everybody gets a new code, and whoever is watching is sent home before anybody is told", async ({
  browser,
  context,
  stagedoor,
  publish,
}) => {
  test.setTimeout(480_000);
  const event = await stagedoor.createEvent("Opening night", { policy: { messages: { per_second: 100 } } });
  const many = Array.from({ length: 2_600 }, (_, n) => `Guest ${n};+3361${String(2_000_000 + n)}`);
  await imported(stagedoor, event.id, ["Name;Mobile", ...many, ""].join("\n"));
  const found = await stagedoor.api<{ data: { id: string }[] }>(
    "GET",
    `/events/${event.id}/invitations?search=${encodeURIComponent("Guest 77")}&limit=1`,
  );
  const { link } = await stagedoor.api<{ link: string }>(
    "GET",
    `/events/${event.id}/invitations/${found.data[0]?.id}/code`,
  );
  publish(await stagedoor.publishUrl(event.id));
  await streamBecomes(stagedoor, event.id, "live");
  const viewer = await Viewer.comeIn(await browser.newContext(), link);
  await viewer.sees("live");

  const { page } = await signIn(context, stagedoor);
  await page.goto(`${stagedoor.origin}/events/${event.id}/invitations`);
  await page.getByRole("checkbox", { name: "Select everything" }).check();
  const bar = page.getByRole("toolbar", { name: "With the selected rows" });
  await bar.getByRole("button", { name: "More for the selected" }).click();
  await page.getByRole("menuitem", { name: "New codes…" }).click();
  const sheet = page.getByRole("dialog", { name: "Make 2,600 new codes?" });
  await expect(sheet.getByText("1 person watching now will be sent home.")).toBeVisible();
  await expect(sheet.getByText("For so many it takes a little while.", { exact: false })).toBeVisible();
  await sheet.getByLabel("What they are told").fill("See your messages.");
  await look(page, "invitations-new-codes");
  await sheet.getByRole("button", { name: "Make 2,600 new codes" }).click();
  const progress = page.getByRole("progressbar", { name: "Making new codes" });
  const done = page.getByText("2,600 people have new codes.");
  await expect(progress.or(done).first()).toBeVisible();
  await expect(done).toBeVisible({ timeout: 60_000 });
  await expect(page.getByText("1 was sent home.")).toBeVisible();
  // What was said in passing goes away by itself.
  await expect(page.getByRole("button", { name: "Dismiss" })).toHaveCount(0);
  await look(page, "invitations-new-codes-done");
  await viewer.sees("out");
  await viewer.reads("See your messages.");
  await page.getByRole("link", { name: "See the messages" }).click();
  await expect(page.getByRole("listitem").first()).toBeVisible();
});
