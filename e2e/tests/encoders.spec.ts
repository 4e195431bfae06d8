import { ffmpeg, gstreamer } from "../support/publisher.ts";
import { expect, streamBecomes, test } from "../support/test.ts";

test("a wrong stream key is refused with words that ffmpeg shows", async ({ stagedoor, show }) => {
  const wrong = show.publishUrl.replace(/[^/]+$/, "not-a-key-that-anyone-was-given");
  const publisher = ffmpeg(wrong);
  const ended = await publisher.ended;
  expect(ended.code).not.toBe(0);
  expect(ended.output).toMatch(/Server error: .*stream key/i);
  expect((await stagedoor.event(show.event.id)).stream.state).toBe("idle");
});

test("a second encoder on a live key is refused and the first goes on", async ({
  stagedoor,
  show,
  publish,
}) => {
  const first = publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const second = await publish(show.publishUrl).ended;
  expect(second.output).toMatch(/Server error: .*already/i);
  expect(first.running).toBe(true);
  await streamBecomes(stagedoor, show.event.id, "live");
});

test("GStreamer publishes", async ({ stagedoor, show }) => {
  const publisher = gstreamer(show.publishUrl);
  try {
    await streamBecomes(stagedoor, show.event.id, "live");
    await expect
      .poll(async () => JSON.stringify((await stagedoor.event(show.event.id)).stream))
      .toMatch(/"width":640.*"sample_rate":48000/);
  } catch (error) {
    throw new Error(`${error}\n${publisher.output}`);
  } finally {
    await publisher.kill();
  }
  await streamBecomes(stagedoor, show.event.id, "away");
});

test("a long keyframe interval is told to the organiser in words", async ({ stagedoor, show, publish }) => {
  publish(show.publishUrl, { keyframeInterval: 8 });
  await expect
    .poll(async () => JSON.stringify((await stagedoor.event(show.event.id)).stream), { timeout: 60_000 })
    .toMatch(/keyframe interval is 8/);
});
