import { look } from "../support/looks.ts";
import { Organiser, Viewer } from "../support/people.ts";
import { expect, pictureAdvances, streamBecomes, test } from "../support/test.ts";

// Screenshots of every state for a person to look at, and axe on each.

test("the viewer's page before the show", async ({ context, stagedoor, show }) => {
  const viewer = await Viewer.follow(context, show.event.viewer_url);
  await viewer.sees("code");
  await look(viewer.page, "viewer-code");
  await viewer.type("0123-4567-89AB");
  await viewer.watch();
  await viewer.reads(/does not open this event/);
  await look(viewer.page, "viewer-code-wrong");
  await viewer.type(show.invitation.code);
  await viewer.watch();
  await viewer.sees("waiting");
  await look(viewer.page, "viewer-waiting");

  await viewer.page.goto(`${stagedoor.origin}/e/evt_00000000000000000000000000`);
  await viewer.sees("missing");
  await look(viewer.page, "viewer-missing");
});

test("the viewer's page during and after the show", async ({
  browser,
  context,
  stagedoor,
  show,
  publish,
}) => {
  const encoder = publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const viewer = await Viewer.comeIn(context, show.invitation.link);
  await pictureAdvances(viewer.video);
  await look(viewer.page, "viewer-live");

  const elsewhere = await browser.newContext();
  const second = await Viewer.comeIn(elsewhere, show.invitation.link);
  await second.sees("asking");
  const question = viewer.page.getByRole("alertdialog", { name: "Watch on another screen?" });
  await expect(question).toBeVisible();
  await look(second.page, "viewer-asking-elsewhere");
  await second.page.getByRole("button", { name: "Cancel" }).click();
  await expect(question).toBeHidden();
  await elsewhere.close();

  await encoder.kill();
  await viewer.sees("away", 20_000);
  await viewer.reads(/goes on by itself/);
  await look(viewer.page, "viewer-away");
  await stagedoor.api("POST", `/events/${show.event.id}/broadcast/end`);
  await viewer.sees("ended", 30_000);
  await look(viewer.page, "viewer-ended");
  await stagedoor.api("DELETE", `/events/${show.event.id}/invitations/${show.invitation.id}`);
  await viewer.sees("out");
  await look(viewer.page, "viewer-out");
});

test("the organiser's pages", async ({ browser, context, stagedoor, show, publish }) => {
  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const stranger = await context.newPage();
  await stranger.goto(admin_url);
  await expect(stranger.getByRole("heading", { name: "Sign in" })).toBeVisible();
  await look(stranger, "organiser-sign-in");
  await stranger.close();

  const organiser = await Organiser.signIn(context, admin_url, admin_user, admin_password);
  await look(organiser.page, "organiser-events");
  await organiser.page.goto(`${stagedoor.origin}/events/${show.event.id}`);
  await expect(organiser.page.getByText("Waiting for your encoder").first()).toBeVisible();
  await look(organiser.page, "organiser-event-idle");
  await organiser.invite("Grace Hopper");
  await look(organiser.page, "organiser-code");

  publish(show.publishUrl, { keyframeInterval: 8 });
  await streamBecomes(stagedoor, show.event.id, "live");
  const elsewhere = await browser.newContext();
  const viewer = await Viewer.comeIn(elsewhere, show.invitation.link);
  await viewer.sees("live");
  await organiser.page.goto(`${stagedoor.origin}/events/${show.event.id}`);
  await expect(organiser.page.getByText(/keyframe interval/i).first()).toBeVisible({ timeout: 60_000 });
  await look(organiser.page, "organiser-event-live");
  await organiser.page.goto(`${stagedoor.origin}/settings`);
  await expect(organiser.page.getByRole("heading", { name: "Settings" })).toBeVisible();
  await look(organiser.page, "organiser-settings");
  await elsewhere.close();
});
