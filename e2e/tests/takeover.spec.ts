/** One code on two and three screens, with the real server and real browsers. */

import { Viewer } from "../support/people.ts";
import { expect, pictureAdvances, streamBecomes, test } from "../support/test.ts";

test("the picture moves to the second screen when the first says yes, and a viewer is sent out in the organiser's words", async ({
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

  // The question says what is asked and by whom, to a screen reader too; a third screen is not heard meanwhile.
  const question = first.page.getByRole("alertdialog", { name: "Watch on another screen?" });
  await expect(question).toContainText("Chrom");
  await expect(question).toContainText("Unknown place");
  await expect(question.getByRole("button", { name: "Keep watching here" })).toBeFocused();
  const third = await browser.newContext();
  const late = await Viewer.comeIn(third, show.invitation.link);
  await late.sees("code");
  await late.reads("Another device has just asked to watch with this code.");

  await question.getByRole("button", { name: "Watch there, stop here" }).click();
  await second.sees("live");
  await pictureAdvances(second.video);
  await first.reads("The event goes on on your other screen. Thank you for letting it.");
  expect((await stagedoor.event(show.event.id)).watching, "never two").toBe(1);

  const { data } = await stagedoor.api<{ data: { session: string }[] }>(
    "GET",
    `/events/${show.event.id}/viewers`,
  );
  expect(data).toHaveLength(1);
  await stagedoor.api("POST", `/events/${show.event.id}/viewers/${data[0]?.session}/kick`, {
    reason: "See you at the bar.",
  });
  await second.sees("out");
  await second.reads("See you at the bar.");
  await elsewhere.close();
  await third.close();
});

test("silence of somebody who looks on keeps the picture where it is", async ({
  browser,
  context,
  stagedoor,
  show,
  publish,
}) => {
  await stagedoor.api("PATCH", `/events/${show.event.id}`, { policy: { takeover: { answer_s: 15 } } });
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const first = await Viewer.comeIn(context, show.invitation.link);
  await first.sees("live");
  const elsewhere = await browser.newContext();
  const second = await Viewer.comeIn(elsewhere, show.invitation.link);
  await second.sees("asking");
  await second.sees("code", 25_000);
  await pictureAdvances(first.video);
  await expect(first.page.getByRole("alertdialog")).toBeHidden();
  await elsewhere.close();
});
