import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fetchPlaylist } from "../support/playlist.ts";
import { expect, pictureAdvances, streamBecomes, test } from "../support/test.ts";

const SHAKA = readFileSync(
  createRequire(import.meta.url).resolve("shaka-player/dist/shaka-player.compiled.js"),
  "utf8",
);

const PAGE = `<!doctype html><title>Shaka Player</title><video muted autoplay></video><script src="shaka.js"></script>
<script>
  window.failure = null;
  window.play = async (url) => {
    shaka.polyfill.installAll();
    const player = new shaka.Player();
    player.addEventListener("error", (event) => { window.failure = String(event.detail.code); });
    player.configure({ streaming: { lowLatencyMode: true } });
    await player.attach(document.querySelector("video"));
    await player.load(url);
  };
</script>`;

test("Shaka Player plays it", async ({ page, stagedoor, show, publish }) => {
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const { playback } = await stagedoor.redeem(show.event.id, show.invitation.code);
  // Shaka 5.2 looks for captions in segments around the middle of the playlist and fails on one that has parts only:
  // with its default settings it can join once there are three whole segments.
  await expect
    .poll(async () => (await fetchPlaylist(playback.hls)).lastMsn, { timeout: 40_000 })
    .toBeGreaterThanOrEqual(2);

  // Served from the server's own origin, as if the second engine were built in.
  await page.route("**/second-engine/", (route) => route.fulfill({ contentType: "text/html", body: PAGE }));
  await page.route("**/second-engine/shaka.js", (route) =>
    route.fulfill({ contentType: "text/javascript", body: SHAKA }),
  );
  await page.goto(`${stagedoor.origin}/second-engine/`);
  await page.evaluate(
    (url) => (window as unknown as { play(url: string): Promise<void> }).play(url),
    playback.hls,
  );
  await pictureAdvances(page.locator("video"));
  expect(await page.evaluate(() => (window as unknown as { failure: string | null }).failure)).toBeNull();
});
