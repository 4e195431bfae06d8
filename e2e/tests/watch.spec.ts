import { Viewer } from "../support/people.ts";
import { expect, pictureAdvances, streamBecomes, test } from "../support/test.ts";

test("a link with a code, one button, and the picture moves", async ({
  context,
  stagedoor,
  show,
  publish,
}) => {
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const asked: string[] = [];
  context.on("request", (request) => asked.push(request.url()));

  const viewer = await Viewer.comeIn(context, show.invitation.link);
  await viewer.sees("live");
  await pictureAdvances(viewer.video);

  const letters = show.invitation.code.replaceAll("-", "");
  const leaks = asked.filter((url) => url.replaceAll("-", "").includes(letters));
  expect(leaks, "the code is never in an address that is sent").toEqual([]);
});

test("a code typed by hand works with spaces and small letters", async ({
  context,
  stagedoor,
  show,
  publish,
}) => {
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const viewer = await Viewer.follow(context, show.event.viewer_url);
  await viewer.type(` ${show.invitation.code.toLowerCase().replaceAll("-", " ")} `);
  await viewer.watch();
  await viewer.sees("live");
  await pictureAdvances(viewer.video);
});

test("a second browser with the same code asks the first, and waits outside when the answer is no", async ({
  browser,
  context,
  stagedoor,
  show,
  publish,
}) => {
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const first = await Viewer.comeIn(context, show.invitation.link);
  await first.sees("live");

  const elsewhere = await browser.newContext();
  const second = await Viewer.comeIn(elsewhere, show.invitation.link);
  await second.sees("asking");
  await second.reads(/We are asking there/);
  await first.page.getByRole("alertdialog").getByRole("button", { name: "Keep watching here" }).click();
  await second.reads(/The other screen said no/);
  await second.sees("code");
  await elsewhere.close();

  await pictureAdvances(first.video);
});

test("a wrong code is refused with words that help", async ({ context, show }) => {
  const viewer = await Viewer.follow(context, show.event.viewer_url);
  await viewer.type("0123-4567-89AB");
  await viewer.watch();
  await viewer.reads(/does not open this event/);
  await viewer.sees("code");
});

test("an early viewer waits, and the show starts by itself", async ({ context, show, publish }) => {
  const viewer = await Viewer.comeIn(context, show.invitation.link);
  await viewer.sees("waiting");
  publish(show.publishUrl);
  await viewer.sees("live", 20_000);
  await pictureAdvances(viewer.video);
});

test("a reload goes on without the code", async ({ context, stagedoor, show, publish }) => {
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const viewer = await Viewer.comeIn(context, show.invitation.link);
  await viewer.sees("live");
  await viewer.page.goto(show.event.viewer_url);
  await viewer.sees("live");
  await pictureAdvances(viewer.video);
});

test("the end of the broadcast is said in words", async ({ context, stagedoor, show, publish }) => {
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const viewer = await Viewer.comeIn(context, show.invitation.link);
  await viewer.sees("live");
  await stagedoor.api("POST", `/events/${show.event.id}/broadcast/end`);
  await viewer.sees("ended", 30_000);
});

test("a viewer whose session is ended stops watching and is told", async ({
  context,
  stagedoor,
  show,
  publish,
}) => {
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const viewer = await Viewer.comeIn(context, show.invitation.link);
  await viewer.sees("live");
  await stagedoor.api("DELETE", `/events/${show.event.id}/invitations/${show.invitation.id}`);
  await viewer.sees("out", 5_000);
});
