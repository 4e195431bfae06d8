import { readFileSync } from "node:fs";
import type { BrowserContext, Download, Page } from "@playwright/test";
import { account } from "../support/accounts.ts";
import { look } from "../support/looks.ts";
import { Organiser } from "../support/people.ts";
import { workbookRows } from "../support/sheet.ts";
import type { Stagedoor } from "../support/stagedoor.ts";
import { expect, test } from "../support/test.ts";

// A list of invitees taken away: by whom, as what, and that it is written down.

const PEOPLE = [
  { name: "Ada Lovelace", phone: "+33612345678", email: "ada@example.org", tags: ["press"] },
  { name: "=1+1", phone: "+33612345679", email: "", tags: ["press"] },
  { name: "Zoë, Kravitz", phone: "+447400123456", email: "zoe@example.org", tags: [] },
];

async function gala(stagedoor: Stagedoor, title: string) {
  const event = await stagedoor.createEvent(title);
  for (const person of PEOPLE) await stagedoor.api("POST", `/events/${event.id}/invitations`, person);
  return event;
}

async function at(context: BrowserContext, stagedoor: Stagedoor, role: string, event: string): Promise<Page> {
  const { username, password } = await account(stagedoor, `${role}.of.${event.slice(-6)}`, role);
  const { page } = await Organiser.signIn(context, stagedoor.demo.admin_url, username, password);
  await page.goto(`${stagedoor.origin}/events/${event}/invitations`);
  await expect(page.getByRole("grid", { name: "Invitations" }).getByRole("row")).toHaveCount(4);
  return page;
}

async function content(download: Download): Promise<Buffer> {
  return readFileSync(await download.path());
}

test("an organiser takes the list away as a workbook and as CSV", async ({ context, stagedoor }) => {
  const event = await gala(stagedoor, "Gala: Été");
  const page = await at(context, stagedoor, "organiser", event.id);
  await page.getByRole("button", { name: "Export 3 invitees" }).click();
  const sheet = page.getByRole("dialog", { name: "Export 3 invitees" });
  await expect(sheet.getByText("That you took it is written in the log.", { exact: false })).toBeVisible();
  await look(page, "invitations-export");
  const [workbook] = await Promise.all([
    page.waitForEvent("download"),
    sheet.getByRole("button", { name: "Download" }).click(),
  ]);
  expect(workbook.suggestedFilename()).toMatch(/^Gala Été invitees \d{4}-\d\d-\d\d\.xlsx$/);
  await expect(page.getByText("is in your downloads", { exact: false })).toBeVisible();
  await expect(sheet).toBeHidden();
  const rows = workbookRows(await content(workbook));
  expect(rows[0]).toMatchObject({ A: "Name", B: "Phone", C: "E-mail", F: "Tags", G: "State" });
  expect(rows.slice(1).map(({ A, B, C, F }) => [A, B, C ?? "", F ?? ""])).toEqual(
    PEOPLE.map(({ name, phone, email, tags }) => [name, phone, email, tags.join(", ")]),
  );

  // Of the filter that is set, and of what is chosen of it.
  await page.goto(`${stagedoor.origin}/events/${event.id}/invitations?tag=press`);
  await page.getByRole("button", { name: "Export 2 invitees" }).click();
  await page.getByRole("dialog").getByText("For other programs", { exact: false }).click();
  const [csv] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("dialog").getByRole("button", { name: "Download" }).click(),
  ]);
  const text = (await content(csv)).toString("utf8");
  expect(text.startsWith("\ufeffName,Phone,E-mail,")).toBe(true);
  expect(text).toContain('\r\nAda Lovelace,"\'+33612345678",ada@example.org,');
  expect(text).toContain('\r\n"\'=1+1","\'+33612345679",,');
  expect(text).not.toContain("Zoë");

  await page
    .getByRole("row", { name: /Ada Lovelace/ })
    .getByRole("checkbox")
    .check();
  await page.getByRole("toolbar").getByRole("button", { name: "More for the selected" }).click();
  await page.getByRole("menuitem", { name: "Export…" }).click();
  const one = page.getByRole("dialog", { name: "Export 1 invitee" });
  const [chosen] = await Promise.all([
    page.waitForEvent("download"),
    one.getByRole("button", { name: "Download" }).click(),
  ]);
  expect(workbookRows(await content(chosen)).map(({ A }) => A)).toEqual(["Name", "Ada Lovelace"]);

  const log = await stagedoor.api<{ data: { data: object }[] }>(
    "GET",
    `/log?type=invitation.list_exported&event=${event.id}`,
  );
  expect(log.data.map(({ data }) => data)).toMatchObject([
    { count: 1, whom: "named" },
    { count: 2, whom: "matching" },
    { count: 3, whom: "everybody" },
  ]);
});

test("a list that breaks off is not saved, and is said to be broken", async ({ context, stagedoor }) => {
  const event = await gala(stagedoor, "Half a list");
  const page = await at(context, stagedoor, "organiser", event.id);
  const address = `**/events/${event.id}/invitations/export?*`;
  await page.route(address, (route) => route.abort("connectionreset"));
  await page.getByRole("button", { name: "Export 3 invitees" }).click();
  const sheet = page.getByRole("dialog", { name: "Export 3 invitees" });
  await sheet.getByRole("button", { name: "Download" }).click();
  await expect(sheet.getByRole("alert")).toBeVisible();
  await look(page, "invitations-export-failed");
  await page.unroute(address);
  const [again] = await Promise.all([
    page.waitForEvent("download"),
    sheet.getByRole("button", { name: "Download" }).click(),
  ]);
  expect(workbookRows(await content(again))).toHaveLength(4);
});

test("a moderator takes nothing away", async ({ context, stagedoor }) => {
  const event = await gala(stagedoor, "Not yours to take");
  const page = await at(context, stagedoor, "moderator", event.id);
  await expect(page.getByRole("button", { name: /Export/ })).toHaveCount(0);
  const refused = await page.evaluate(async (path) => {
    const answer = await fetch(path);
    return { status: answer.status, code: ((await answer.json()) as { code: string }).code };
  }, `/api/v1/events/${event.id}/invitations/export`);
  expect(refused).toEqual({ status: 403, code: "role_too_low" });
});
