import type { WebSocketRoute } from "@playwright/test";
import { look } from "../support/looks.ts";
import { Viewer } from "../support/people.ts";
import { DOOR, Pretended, problem, type Script, SESSION } from "../support/pretend.ts";
import { expect, pictureAdvances, streamBecomes, test } from "../support/test.ts";

// The door with everything that can keep somebody outside for a while, or for good.

const CODE = "2345-6789-ABCD";
const soon = (ms: number) => new Date(Date.now() + ms).toISOString();

test("a house that is full keeps people in line, in order and across a reload", async ({
  browser,
  context,
  stagedoor,
}) => {
  const event = await stagedoor.createEvent("Small room", { policy: { admission: { capacity: 1 } } });
  const [ada, bob, eve] = await Promise.all(
    ["Ada", "Bob", "Eve"].map((name) => stagedoor.invite(event.id, name)),
  );
  if (!ada || !bob || !eve) throw new Error("three were invited");
  const first = await Viewer.comeIn(context, ada.link);
  await first.sees("waiting");

  const [bobs, eves] = [await browser.newContext(), await browser.newContext()];
  const second = await Viewer.comeIn(bobs, bob.link);
  await second.sees("queue");
  await second.reads("You are next");
  const third = await Viewer.comeIn(eves, eve.link);
  await third.sees("queue");
  await third.reads("1 person in front of you");
  await third.page.reload();
  await third.sees("queue");
  await third.reads("1 person in front of you");
  await look(third.page, "viewer-queue");

  await first.page.getByRole("button", { name: "Leave" }).click();
  await second.sees("waiting", 10_000);
  await third.reads("You are next", 20_000);
  // More seats let people in without anybody's leaving.
  await stagedoor.api("PATCH", `/events/${event.id}`, { policy: { admission: { capacity: 5 } } });
  await third.sees("waiting", 10_000);
  await bobs.close();
  await eves.close();
});

test("a country that is not listed is told so, whatever the code, and the page opens with the door", async ({
  context,
  stagedoor,
}) => {
  // Without a database no country is known, and a list of countries is closed.
  const event = await stagedoor.createEvent("At home", { policy: { access: { countries: ["FR"] } } });
  const ada = await stagedoor.invite(event.id, "Ada");
  const viewer = await Viewer.follow(context, ada.link);
  await viewer.sees("elsewhere");
  await viewer.reads(/not shown in the country/);
  await expect(viewer.page.getByLabel("Access code")).toBeHidden();
  await look(viewer.page, "viewer-elsewhere");
  await stagedoor.api("PATCH", `/events/${event.id}`, { policy: { access: {} } });
  await viewer.page.getByRole("button", { name: "Try again" }).click();
  await viewer.sees("code");
  await viewer.watch();
  await viewer.sees("waiting");
});

async function at(viewer: Viewer, script: Script): Promise<Pretended> {
  const pretended = await Pretended.on(viewer.page, {
    "GET /door": { status: 200, body: DOOR },
    "GET /sessions/current": problem(401, "no_session"),
    ...script,
  });
  await viewer.page.reload();
  return pretended;
}

test("the other screen is waited for, and what it says is told in words", async ({ context, show }) => {
  const viewer = await Viewer.follow(context, show.event.viewer_url);
  const takeover = {
    id: "tko_01kaf3x6m8e9t8s2v4w6y8z0ab",
    device: "Chrome on Android",
    expires_at: soon(60_000),
  };
  const server = await at(viewer, {
    "POST /sessions": { status: 202, body: { waiting: "takeover", takeover } },
  });
  await viewer.sees("code");
  await viewer.type(CODE);
  await viewer.watch();
  await viewer.sees("asking");
  await viewer.reads(/used on Chrome on Android/);
  await expect(viewer.page.getByRole("button", { name: "Cancel" })).toBeVisible();
  await look(viewer.page, "viewer-asking");

  server.say({ type: "takeover", state: "declined", expires_at: takeover.expires_at });
  await viewer.sees("code");
  await viewer.reads(/The other screen said no/);
  await expect(viewer.page.getByLabel("Access code")).toHaveValue(CODE);
  await look(viewer.page, "viewer-declined");

  await viewer.watch();
  await viewer.sees("asking");
  server.say({ type: "takeover", state: "expired", expires_at: takeover.expires_at });
  await viewer.reads(/Nobody answered on the other screen/);
  await look(viewer.page, "viewer-unanswered");

  await viewer.watch();
  await viewer.sees("asking");
  server.script["POST /sessions"] = { status: 201, body: SESSION };
  server.say({ type: "takeover", state: "approved", expires_at: takeover.expires_at });
  await viewer.sees("waiting");
});

test("being asked is a dialog that holds the focus and answers once", async ({ context, show }) => {
  const viewer = await Viewer.follow(context, show.event.viewer_url);
  const answers: unknown[] = [];
  const id = "tko_01kaf3x6m8e9t8s2v4w6y8z0ab";
  const server = await at(viewer, {
    "GET /sessions/current": { status: 200, body: SESSION },
    [`POST /sessions/current/takeovers/${id}`]: (route) => {
      answers.push(route.request().postDataJSON());
      return { status: 200, body: { state: "declined" } };
    },
  });
  await viewer.sees("waiting");
  const { page } = viewer;
  const ask = () =>
    server.say({
      type: "takeover",
      id,
      device: "Safari on iPhone",
      place: "Lyon, France",
      at: soon(0),
      expires_at: soon(60_000),
    });
  await expect(async () => {
    ask();
    await expect(page.getByRole("alertdialog", { name: "Watch on another screen?" })).toBeVisible({
      timeout: 500,
    });
  }).toPass();
  const dialog = page.getByRole("alertdialog");
  await expect(dialog).toContainText("Safari on iPhone");
  await expect(dialog).toContainText("Lyon, France");
  const stay = dialog.getByRole("button", { name: "Keep watching here" });
  await expect(stay).toBeFocused();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await expect(dialog).toBeVisible();
  for (let tab = 0; tab < 5; tab += 1) {
    await page.keyboard.press("Tab");
    const outside = await page.evaluate(
      () => document.activeElement !== document.body && document.activeElement?.closest("dialog") === null,
    );
    expect(outside, "the focus stays inside").toBe(false);
  }
  for (const button of await dialog.getByRole("button").all()) {
    const box = await button.boundingBox();
    expect(box?.height).toBeGreaterThanOrEqual(44);
  }
  await look(page, "viewer-question");
  await stay.click();
  await expect(dialog).toBeHidden();
  await viewer.reads("You go on watching here.");
  expect(answers).toEqual([{ approve: false }]);
  await look(page, "viewer-question-answered");
});

test("being asked, and bringing somebody along, beside a picture that goes on", async ({
  context,
  stagedoor,
  show,
  publish,
}) => {
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const viewer = await Viewer.follow(context, show.invitation.link);
  const { page } = viewer;
  const feeds: WebSocketRoute[] = [];
  await page.routeWebSocket("**/sessions/current/feed", (feed) => {
    feed.connectToServer();
    feeds.push(feed);
  });
  const link = `${show.event.viewer_url}#${CODE}`;
  await page.route("**/sessions/current/guests", (route) =>
    route.request().method() === "POST"
      ? route.fulfill({ status: 201, json: { code: CODE, link } })
      : route.fulfill({ json: { guests: [{ name: "Charles Babbage", state: "redeemed" }], left: 2 } }),
  );
  await page.reload();
  await viewer.type(show.invitation.code);
  await viewer.watch();
  await viewer.sees("live");
  await pictureAdvances(viewer.video);

  await page.getByText("Bring a guest").click();
  await viewer.reads("You may bring 2 people.");
  await page.getByLabel("Name of your guest").fill("Mary Somerville");
  await page.getByRole("button", { name: "Make an invitation" }).click();
  await viewer.reads(/For Mary Somerville/);
  await viewer.reads("You may bring 1 person.");
  await expect(page.getByText(CODE)).toBeVisible();
  await look(page, "viewer-guests");

  const id = "tko_01kaf3x6m8e9t8s2v4w6y8z0ab";
  const question = {
    id,
    device: "Chrome on Android",
    place: "unknown place",
    at: soon(0),
    expires_at: soon(60_000),
  };
  for (const feed of feeds) feed.send(JSON.stringify({ type: "takeover", ...question }));
  await expect(page.getByRole("alertdialog")).toContainText("Unknown place");
  await look(page, "viewer-question-live");
  for (const feed of feeds) feed.send(JSON.stringify({ type: "takeover_over", id, state: "cancelled" }));
  await expect(page.getByRole("alertdialog")).toBeHidden();
  await pictureAdvances(viewer.video);
});

test("whoever is out knows why, and reads what the organiser wrote", async ({ context, show }) => {
  const viewer = await Viewer.follow(context, show.event.viewer_url);
  const server = await at(viewer, { "GET /sessions/current": { status: 200, body: SESSION } });
  for (const [reason, words, message] of [
    ["kicked", /asked you to leave/, "Filming is not allowed here. Please write to us."],
    ["taken_over", /goes on on your other screen/, undefined],
    ["code_changed", /Your code was replaced/, undefined],
    ["blocked", /does not let this invitation in any more/, undefined],
  ] as const) {
    await viewer.page.reload();
    await viewer.sees("waiting");
    await expect(async () => {
      server.say({ type: "bye", reason, message });
      await expect(viewer.page.locator('main[data-state="out"]')).toBeAttached({ timeout: 500 });
    }).toPass();
    await viewer.reads(words);
    if (message !== undefined) await viewer.reads(message);
    await look(viewer.page, `viewer-out-${reason.replace("_", "-")}`);
  }
});

test("the words are the reader's", async ({ browser, show }) => {
  const paris = await browser.newContext({ locale: "fr-FR" });
  const viewer = await Viewer.follow(paris, show.event.viewer_url);
  const queue = { position: 1_204, ahead: 1_203, eta_ms: 240_000, poll_ms: 2_000 };
  await at(viewer, {
    "POST /sessions": { status: 202, body: { waiting: "queue", queue } },
    "GET /queue/current": { status: 200, body: { waiting: "queue", queue } },
  });
  await viewer.page.getByLabel("Code d’accès").fill(CODE);
  await viewer.page.getByRole("button", { name: "Regarder" }).click();
  await viewer.reads(/Environ 4 minutes/);
  await look(viewer.page, "viewer-queue-fr");
  await paris.close();
});
