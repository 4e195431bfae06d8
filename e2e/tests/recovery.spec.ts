import { Viewer } from "../support/people.ts";
import { expect, pictureAdvances, pictureAfter, streamBecomes, test } from "../support/test.ts";

test("the encoder dies and comes back, and the page goes on by itself", async ({
  context,
  stagedoor,
  show,
  publish,
}) => {
  const encoder = publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const viewer = await Viewer.comeIn(context, show.invitation.link);
  await pictureAdvances(viewer.video);

  await encoder.kill();
  await streamBecomes(stagedoor, show.event.id, "away");
  await viewer.sees("away", 20_000);

  publish(show.publishUrl);
  await viewer.sees("live", 20_000);
  await pictureAdvances(viewer.video);
});

test("the encoder comes back with another size, rate and keyframe interval", async ({
  context,
  stagedoor,
  show,
  publish,
}) => {
  const encoder = publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const viewer = await Viewer.comeIn(context, show.invitation.link);
  await pictureAdvances(viewer.video);

  await encoder.kill();
  await streamBecomes(stagedoor, show.event.id, "away");
  publish(show.publishUrl, { width: 854, height: 480, rate: 25, keyframeInterval: 2 });
  await expect
    .poll(() => viewer.video.evaluate((video) => (video as HTMLVideoElement).videoHeight), {
      timeout: 60_000,
    })
    .toBe(480);
  await pictureAdvances(viewer.video, 25);
});

test("a viewer without network goes on when it returns", async ({ context, stagedoor, show, publish }) => {
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const viewer = await Viewer.comeIn(context, show.invitation.link);
  await pictureAdvances(viewer.video);

  await context.setOffline(true);
  await viewer.sees("lost", 30_000);
  await context.setOffline(false);
  await viewer.sees("live", 30_000);
  await pictureAdvances(viewer.video);
});

test("errors of the server and lost parts do not end the show", async ({
  context,
  stagedoor,
  show,
  publish,
}) => {
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const viewer = await Viewer.comeIn(context, show.invitation.link);
  const before = await pictureAfter(viewer.video, -1);

  let refused = 0;
  let lost = 0;
  await viewer.page.route(/\/live\/.*\/video\//, async (route) => {
    const playlist = route.request().url().includes(".m3u8");
    if (playlist && refused < 6) {
      refused += 1;
      await route.fulfill({ status: 503 });
    } else if (!playlist && lost < 3) {
      lost += 1;
      await route.abort("connectionreset");
    } else {
      await route.continue();
    }
  });
  await expect.poll(() => refused + lost, { timeout: 60_000 }).toBe(9);
  await pictureAfter(viewer.video, before.frame + 60, 30_000);
  await pictureAdvances(viewer.video);
});
