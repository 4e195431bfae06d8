import type { Page } from "@playwright/test";
import { account, sixDigits } from "../support/accounts.ts";
import { look } from "../support/looks.ts";
import { Organiser } from "../support/people.ts";
import { expect, test } from "../support/test.ts";

// Who has an account, how they sign in, and what they are not shown.

async function signOut(page: Page) {
  await page.getByRole("button", { name: /^Account of/ }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
}

test("an owner adds somebody, who chooses a password, sets up an app, and needs it from then on", async ({
  browser,
  context,
  stagedoor,
}) => {
  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const { page: owner } = await Organiser.signIn(context, admin_url, admin_user, admin_password);
  await owner.getByRole("link", { name: "Settings" }).click();
  await owner.getByRole("link", { name: "People & teams" }).click();
  await owner.getByLabel("Name of a new team").fill("Theatre");
  await owner.getByRole("button", { name: "Create team" }).click();
  await expect(owner.getByRole("list", { name: "Teams" }).getByText("Theatre")).toBeVisible();

  await owner.getByRole("button", { name: "Add somebody" }).click();
  const sheet = owner.getByRole("dialog", { name: "Add somebody" });
  await sheet.getByLabel("User name").fill("grace");
  await sheet.getByLabel("Name", { exact: true }).fill("Grace Hopper");
  await sheet.getByText("Theatre").click();
  await look(owner, "settings-add-somebody");
  await sheet.getByRole("button", { name: "Make the account" }).click();
  const shown = owner.getByRole("alertdialog", { name: "One-time password of Grace Hopper" });
  const once = await shown.locator("code").textContent();
  await look(owner, "settings-one-time-password");
  await shown.getByRole("button", { name: "Done" }).click();
  const row = owner.getByRole("list", { name: "People with an account" }).getByRole("listitem");
  await expect(row.filter({ hasText: "Grace Hopper" })).toContainText("Has not chosen a password yet");

  const home = await browser.newContext();
  const grace = await home.newPage();
  await grace.goto(admin_url);
  await grace.getByLabel("User name").fill("grace");
  await grace.getByLabel("Password", { exact: true }).fill(once ?? "");
  await grace.getByRole("button", { name: "Sign in", exact: true }).click();
  await expect(grace.getByRole("heading", { name: "Choose your password" })).toBeVisible();
  await look(grace, "sign-in-choose");
  const password = "nanoseconds of copper wire";
  await grace.getByLabel("New password").fill(password);
  await grace.getByRole("button", { name: "Continue" }).click();
  await grace.getByRole("link", { name: "Settings" }).click();
  await expect(grace.getByText("Your teams: Theatre.")).toBeVisible();

  await grace.getByRole("button", { name: "Set up" }).click();
  const app = grace.getByRole("dialog", { name: "Set up an authenticator app" });
  await expect(app.getByRole("img", { name: /QR code/ })).toBeVisible();
  await look(grace, "settings-app");
  const secret = (await app.locator("code").textContent()) ?? "";
  await app.getByLabel("Six digits that the app shows now").fill("000000");
  await app.getByRole("button", { name: "Turn on" }).click();
  await expect(app.getByText(/These are not right/)).toBeVisible();
  await app.getByLabel("Six digits that the app shows now").fill(sixDigits(secret));
  await app.getByRole("button", { name: "Turn on" }).click();
  const codes = grace.getByRole("alertdialog", { name: "Keep your recovery codes" });
  await expect(codes.getByRole("listitem")).toHaveCount(10);
  const recovery = (await codes.getByRole("listitem").first().textContent()) ?? "";
  const download = grace.waitForEvent("download");
  await codes.getByRole("button", { name: "Download" }).click();
  expect((await download).suggestedFilename()).toBe("stagedoor-recovery-codes.txt");
  await look(grace, "settings-recovery-codes");
  await codes.getByRole("button", { name: "I have kept them" }).click();
  await expect(grace.getByText("10 codes left.")).toBeVisible();

  await signOut(grace);
  const again = async () => {
    await grace.getByLabel("User name").fill("grace");
    await grace.getByLabel("Password", { exact: true }).fill(password);
    await grace.getByRole("button", { name: "Sign in", exact: true }).click();
    await expect(grace.getByRole("heading", { name: "Your second factor" })).toBeVisible();
  };
  await again();
  await look(grace, "sign-in-second-factor");
  // The app's next code: the one of this half minute may have been used to turn it on.
  await grace.getByLabel("Code").fill(sixDigits(secret, 1));
  await grace.getByRole("button", { name: "Continue" }).click();
  await expect(grace.getByRole("heading", { name: "Events", exact: true }).first()).toBeVisible();
  await signOut(grace);
  await again();
  await grace.getByLabel("Code").fill(recovery);
  await grace.getByRole("button", { name: "Continue" }).click();
  await grace.getByRole("link", { name: "Settings" }).click();
  await expect(grace.getByText("9 codes left.")).toBeVisible();

  await owner.reload();
  await row
    .filter({ hasText: "Grace Hopper" })
    .getByRole("button", { name: /Change/ })
    .click();
  const person = owner.getByRole("dialog", { name: "Account of Grace Hopper" });
  await look(owner, "settings-person");
  await person.getByRole("button", { name: "Disable…" }).click();
  await owner.getByRole("alertdialog").getByRole("button", { name: "Disable" }).click();
  await expect(row.filter({ hasText: "Grace Hopper" })).toContainText("Disabled");
  await grace.getByRole("link", { name: "Events" }).click();
  await expect(grace.getByRole("heading", { name: "Sign in" })).toBeVisible();
  await home.close();
});

test("whoever comes back from the identity provider in vain is told why", async ({ context, stagedoor }) => {
  const page = await context.newPage();
  for (const [problem, words] of [
    ["no_role", /nobody gave you a role here/],
    ["linked", /this account is somebody else’s here already/],
    ["too_late", /took longer than five minutes/],
    ["provider_unavailable", /does not answer\. Try again in a moment/],
    ["provider_refused", /did not let you in/],
    ["of_a_newer_server", /did not let you in/],
  ] as const) {
    await page.goto(`${stagedoor.origin}/sign-in?problem=${problem}`);
    await expect(page.getByRole("status").getByText(words)).toBeVisible();
    await expect(page.getByText("You are still signed in")).toHaveCount(0);
  }
  await look(page, "sign-in-problem");

  // Who wanted to link an account there is still signed in here, and goes on.
  const { username, password } = await account(stagedoor, "lin", "analyst");
  const home = await Organiser.signIn(context, stagedoor.origin, username, password);
  await home.page.goto(`${stagedoor.origin}/sign-in?problem=linked`);
  await expect(home.page.getByText("You are still signed in as lin.")).toBeVisible();
  await home.page.getByRole("link", { name: "Go on" }).click();
  await expect(home.page.getByRole("heading", { name: "Settings" })).toBeVisible();
});

test("a passkey is added, and signs in without name and password", async ({ context, stagedoor }) => {
  const { username, password } = await account(stagedoor, "ada", "organiser");
  // A passkey belongs to a name, and 127.0.0.1 is none.
  const named = stagedoor.origin.replace("127.0.0.1", "localhost");
  const { page } = await Organiser.signIn(context, named, username, password);
  const debug = await context.newCDPSession(page);
  await debug.send("WebAuthn.enable");
  const { authenticatorId } = await debug.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  await page.getByRole("link", { name: "Settings" }).click();
  await page.getByRole("button", { name: "Add a passkey" }).click();
  const sheet = page.getByRole("dialog", { name: "Add a passkey" });
  await sheet.getByLabel("What do you call it?").fill("My laptop");
  await sheet.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("button", { name: "I have kept them" }).click();
  const passkeys = page.getByRole("list", { name: "Your passkeys" });
  await expect(passkeys.getByText("My laptop")).toBeVisible();
  const { credentials } = await debug.send("WebAuthn.getCredentials", { authenticatorId });
  expect(credentials).toHaveLength(1);
  await look(page, "settings-account");

  await signOut(page);
  await look(page, "sign-in-passkey");
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await expect(page.getByRole("heading", { name: "Events", exact: true }).first()).toBeVisible();
  await expect(page.getByRole("button", { name: "Account of ada" })).toBeVisible();

  // A password alone opens nothing any more; the passkey is the second step.
  await signOut(page);
  await page.getByLabel("User name").fill(username);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("button", { name: "Use a passkey instead" }).click();
  await page.getByRole("link", { name: "Settings" }).click();
  await page.getByRole("button", { name: "Remove the passkey My laptop" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Remove" }).click();
  await expect(passkeys).toHaveCount(0);

  await signOut(page);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await expect(page.getByText("This passkey does not open an account here.")).toBeVisible();
});

test("signing out everywhere else leaves this browser alone, and tokens are made for one thing", async ({
  browser,
  context,
  stagedoor,
}) => {
  const { username, password } = await account(stagedoor, "alan", "organiser");
  const elsewhere = await browser.newContext();
  const other = await Organiser.signIn(elsewhere, stagedoor.origin, username, password);
  const { page } = await Organiser.signIn(context, stagedoor.origin, username, password);
  await page.getByRole("link", { name: "Settings" }).click();
  const browsers = page.getByRole("list", { name: "Browsers that are signed in" });
  // Two, and the one that chose the password.
  await expect(browsers.getByRole("listitem")).toHaveCount(3);
  await expect(browsers.getByText("This browser")).toHaveCount(1);
  await page.getByRole("button", { name: "Sign out everywhere else" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Sign out everywhere else" }).click();
  await expect(page.getByText("2 browsers signed out")).toBeVisible();
  await expect(browsers.getByRole("listitem")).toHaveCount(1);
  // It may have found out by itself already: a link to click may be gone.
  await other.page.goto(`${stagedoor.origin}/settings`);
  await expect(other.page.getByRole("heading", { name: "Sign in" })).toBeVisible();
  await elsewhere.close();

  await page.getByRole("link", { name: "API tokens" }).click();
  await page.getByLabel("What is it for?").fill("Ticket shop");
  await page.getByRole("button", { name: "Create token" }).click();
  const made = page.getByRole("status").filter({ hasText: "New token: Ticket shop" });
  const token = (await made.locator("code").textContent()) ?? "";
  await expect(page.getByRole("list", { name: "Tokens in use" })).toContainText("Scopes: Look");
  await look(page, "settings-tokens");
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const events = `${stagedoor.origin}/api/v1/events`;
  expect((await fetch(events, { headers })).status).toBe(200);
  const create = await fetch(events, { method: "POST", headers, body: JSON.stringify({ title: "Mine" }) });
  expect(create.status, "a token that may look makes nothing").toBe(403);
});

test("a moderator is shown nobody's account, no log and no settings to change", async ({
  context,
  stagedoor,
}) => {
  const theirs = await stagedoor.api<{ id: string }>("POST", "/teams", { name: "Opera" });
  const other = await stagedoor.api<{ id: string }>("POST", "/teams", { name: "Ballet" });
  const opera = await stagedoor.createEvent("Tosca");
  const ballet = await stagedoor.createEvent("Giselle");
  await stagedoor.api("PATCH", `/events/${opera.id}`, { team_id: theirs.id });
  await stagedoor.api("PATCH", `/events/${ballet.id}`, { team_id: other.id });
  const { username, password } = await account(stagedoor, "mary", "moderator", [theirs.id]);
  const { page } = await Organiser.signIn(context, stagedoor.origin, username, password);
  await expect(page.getByText("Tosca").first()).toBeVisible();
  await expect(page.getByText("Giselle")).toHaveCount(0);
  const nav = page.getByRole("navigation", { name: "Main" });
  await expect(nav.getByRole("link")).toHaveText(["Events", "Settings"]);
  await nav.getByRole("link", { name: "Settings" }).click();
  await expect(page.getByRole("navigation", { name: "Settings" }).getByRole("link")).toHaveText([
    "Account",
    "API tokens",
  ]);
  await page.goto(`${stagedoor.origin}/settings/people`);
  await expect(page).toHaveURL(/\/settings$/);
  expect(await page.evaluate(async () => (await fetch("/api/v1/users")).status)).toBe(403);
  await page.goto(`${stagedoor.origin}/events/${opera.id}/settings`);
  await expect(page.getByText("You may look at these settings, not change them.")).toBeVisible();
  await page.goto(`${stagedoor.origin}/events/${ballet.id}`);
  await expect(page.getByRole("heading", { name: "There is nothing here" })).toBeVisible();
});
