import { readFileSync } from "node:fs";
import type { Page } from "@playwright/test";
import { look } from "../support/looks.ts";
import { expect, test } from "../support/test.ts";

test("an administrator reads the log and makes a webhook", async ({ context, stagedoor }) => {
  const event = await stagedoor.createEvent("An evening to read about");
  const ada = await stagedoor.invite(event.id, "Ada Lovelace");
  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const page = await context.newPage();
  await page.goto(admin_url);
  await page.getByLabel("User name").fill(admin_user);
  await page.getByLabel("Password", { exact: true }).fill(admin_password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();

  await page.getByRole("link", { name: "Log", exact: true }).click();
  const entries = page.getByRole("list", { name: "Entries of the log" });
  await expect(entries.getByRole("listitem").first()).toBeVisible();
  await look(page, "organiser-log");

  // Narrowed to what was done to whom and by whom, until nothing is left; and all of it again.
  await choose(page, "Event", event.title);
  await expect(entries.getByText("Event: created")).toHaveCount(1);
  await expect(entries.getByText("Invitation: created")).toHaveCount(1);
  await expect(entries.getByText(ada.name)).toBeVisible();
  await choose(page, "What", "Invitations");
  await expect(entries.getByText("Event: created")).toHaveCount(0);
  await expect(entries.getByText("Invitation: created")).toHaveCount(1);
  await choose(page, "By whom", "Encoder");
  await expect(page.getByText("Nothing matches")).toBeVisible();
  await page.getByRole("button", { name: "Clear filters" }).click();
  await expect(entries.getByRole("listitem").first()).toBeVisible();
  await choose(page, "What", "People and sign-ins");
  const mine = entries.getByRole("listitem").filter({ hasText: "User: signed in" }).first();
  await mine.getByRole("button", { name: /^Only what .* did$/ }).click();
  await expect(entries.getByText("User: signed in").first()).toBeVisible();
  await choose(page, "What", "Events");
  await choose(page, "Event", event.title);
  await expect(page.getByText("Nothing matches"), "a program made that event").toBeVisible();
  await page.getByRole("button", { name: "Clear filters" }).click();
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "Export" }).click();
  expect((await download).suggestedFilename()).toBe("stagedoor-log.jsonl");

  await page.getByRole("link", { name: "Webhooks" }).click();
  const address = page.getByLabel("Address");
  await address.fill("http://127.0.0.1/inside");
  await page.getByRole("button", { name: "Create webhook" }).click();
  await expect(page.getByText(/leads to a private network/)).toBeVisible();
  await address.fill("https://hooks.example.org/stagedoor");
  await page.getByRole("button", { name: "Create webhook" }).click();
  const secret = await page.getByText(/^whsec_/).textContent();
  expect(secret).not.toBeNull();
  await look(page, "organiser-webhooks");
  await page.reload();
  await expect(page.getByRole("heading", { name: "https://hooks.example.org/stagedoor" })).toBeVisible();
  await expect(page.getByText(/^whsec_/)).toHaveCount(0);

  // The secret is one that libraries for Standard Webhooks take: 24 to 64 bytes in base64.
  const key = Buffer.from((secret ?? "").replace("whsec_", ""), "base64");
  expect(key.length).toBeGreaterThanOrEqual(24);
});

test("nobody who looks at the process from outside learns a secret", async ({ stagedoor, show }) => {
  const { api_token, admin_password, stream_key, code } = stagedoor.demo;
  const secrets = [api_token, admin_password, stream_key, code, show.invitation.code];
  // What `ps` shows to everybody on the machine, and what it logged since it was started.
  const shown = readFileSync(`/proc/${stagedoor.pid}/cmdline`, "utf8");
  const logged = stagedoor.log
    .split("\n")
    .filter((line) => !line.includes('"viewer_url"'))
    .join("\n");
  expect(stagedoor.log, "what it says at its start, to whoever started it").toContain(code);
  for (const secret of secrets) {
    expect(secret.length).toBeGreaterThan(8);
    expect(shown).not.toContain(secret);
    expect(logged).not.toContain(secret);
  }
  // And a crash leaves no picture of its memory on the disk.
  const limits = readFileSync(`/proc/${stagedoor.pid}/limits`, "utf8");
  expect(limits).toMatch(/^Max core file size\s+0\s/m);
});

async function choose(page: Page, filter: string, choice: string) {
  const filters = page.getByRole("region", { name: "Log", exact: true });
  await filters.getByRole("button", { name: new RegExp(`${filter}$`) }).click();
  await page.getByRole("option", { name: choice, exact: true }).click();
}
