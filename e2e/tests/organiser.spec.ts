import { Organiser, Viewer } from "../support/people.ts";
import { expect, test } from "../support/test.ts";

test("from signing in to seeing a viewer appear, without a reload", async ({
  browser,
  context,
  stagedoor,
  publish,
}) => {
  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const organiser = await Organiser.signIn(context, admin_url, admin_user, admin_password);
  const event = await organiser.createEvent("Opening night");
  let loads = 0;
  organiser.page.on("domcontentloaded", () => {
    loads += 1;
  });

  // Before anything arrives, the page says what to do; then it notices by itself.
  await expect(organiser.page.getByText("Waiting for your encoder").first()).toBeVisible();
  publish(await stagedoor.publishUrl(event));
  await expect(
    organiser.page.getByText("640 × 360").or(organiser.page.getByText("640×360")).first(),
  ).toBeVisible();

  const code = await organiser.invite("Grace Hopper");
  const elsewhere = await browser.newContext();
  const viewer = await Viewer.follow(elsewhere, `${stagedoor.origin}/e/${event}#${code}`);
  await viewer.watch();
  await viewer.sees("live");

  const watching = organiser.page.getByRole("region", { name: "Who is watching" });
  await expect(watching.getByText("Grace Hopper").first()).toBeVisible();
  await elsewhere.close();
  expect(loads, "the page was never reloaded").toBe(0);
});

test("a wrong password is refused", async ({ context, stagedoor }) => {
  const page = await context.newPage();
  await page.goto(stagedoor.demo.admin_url);
  await page.getByLabel("User name").fill(stagedoor.demo.admin_user);
  await page.getByLabel("Password", { exact: true }).fill("not the password");
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await expect(page.getByText(/User name or password is wrong/)).toBeVisible();
});

test("an address that leads nowhere says so to a person, and to a program", async ({ page, stagedoor }) => {
  const answer = await page.goto(`${stagedoor.origin}/nowhere/at/all`);
  expect(answer?.status()).toBe(404);
  await expect(page.getByRole("heading", { name: "There is nothing here" })).toBeVisible();
  for (const path of ["/nowhere/at/all", "/api/v1/nowhere"]) {
    const told = await fetch(`${stagedoor.origin}${path}`);
    expect(told.status).toBe(404);
    expect(await told.json()).toMatchObject({ code: "not_found" });
  }
});
