import { look } from "../support/looks.ts";
import { expect, test } from "../support/test.ts";

test("an administrator reads the log and makes a webhook", async ({ context, stagedoor, show }) => {
  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const page = await context.newPage();
  await page.goto(admin_url);
  await page.getByLabel("User name").fill(admin_user);
  await page.getByLabel("Password", { exact: true }).fill(admin_password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();

  await page.getByRole("link", { name: "Log", exact: true }).click();
  const entries = page.getByRole("list", { name: "Entries of the log" });
  await expect(entries.getByText("Event: created").first()).toBeVisible();
  await expect(entries.getByText(show.event.title).first()).toBeVisible();
  await look(page, "organiser-log");
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
