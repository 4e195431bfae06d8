import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Locator } from "@playwright/test";
import { Viewer } from "../support/people.ts";
import { fetchPlaylist } from "../support/playlist.ts";
import { Child, run } from "../support/process.ts";
import type { Stagedoor } from "../support/stagedoor.ts";
import { expect, streamBecomes, test } from "../support/test.ts";

const SHAKA = readFileSync(
  createRequire(import.meta.url).resolve("shaka-player/dist/shaka-player.compiled.js"),
  "utf8",
);

/** Shaka is told where licences are and finds in the media which key it needs. */
const SHAKA_PAGE = `<!doctype html><title>Shaka Player</title><video muted autoplay></video><script src="shaka.js"></script>
<script>
  window.failure = null;
  window.play = async (url) => {
    shaka.polyfill.installAll();
    const player = new shaka.Player();
    player.addEventListener("error", (event) => { window.failure = String(event.detail.code); });
    player.configure({
      manifest: { ignoreDrmInfo: true },
      drm: { servers: { "org.w3.clearkey": new URL("licence", url).href } },
    });
    await player.attach(document.querySelector("video"));
    await player.load(url);
  };
</script>`;

/** Keys of two segments each, because a third one might not fit: three of them go by while a test looks on. */
const KEY_PERIOD_S = 7;

interface Sealed {
  event: { id: string };
  link: string;
  publishUrl: string;
}

async function sealedShow(stagedoor: Stagedoor, method: "aes-128" | "cbcs"): Promise<Sealed> {
  const event = await stagedoor.createEvent(`Sealed by ${method}`, {
    policy: { encryption: { method, key_period_s: KEY_PERIOD_S } },
  });
  const invitation = await stagedoor.invite(event.id, "Ada Lovelace");
  const publishUrl = await stagedoor.publishUrl(event.id);
  return { event, link: invitation.link, publishUrl };
}

/** The MD5 of every picture, in order. */
async function pictures(args: string[]): Promise<string[]> {
  const decoded = await run(
    "ffmpeg",
    ["-v", "error", ...args, "-map", "0:v:0", "-f", "framemd5", "-"],
    40_000,
  );
  expect(decoded.code, decoded.output).toBe(0);
  const lines = decoded.output.split("\n").filter((line) => /^0,/.test(line));
  return lines.map((line) => line.split(",").at(-1)?.trim() ?? "");
}

/**
 * The MD5 of every coded frame, in order: of pictures their slices as they are, of sound its packets; nothing of what
 * containers put around them.
 */
async function coded(kind: "v" | "a", args: string[]): Promise<string[]> {
  const filter = kind === "v" ? "h264_mp4toannexb,filter_units=pass_types=1-5" : "aac_adtstoasc";
  const output = ["-map", `0:${kind}:0`, "-c", "copy", `-bsf:${kind}`, filter, "-f", "framemd5", "-"];
  const read = await run("ffmpeg", ["-v", "error", ...args, ...output], 20_000);
  expect(read.code, read.output).toBe(0);
  const lines = read.output.split("\n").filter((line) => /^0,/.test(line));
  return lines.map((line) => line.split(",")[5]?.trim() ?? "");
}

/** What GStreamer's hlsdemux makes of a rendition: a file with its elementary stream. */
async function throughGstreamer(hls: string, kind: "v" | "a", folder: string): Promise<string> {
  const [rendition, parser, format] =
    kind === "v"
      ? ["video", "h264parse", "video/x-h264,stream-format=byte-stream"]
      : ["audio", "aacparse", "audio/mpeg,stream-format=adts"];
  const file = join(folder, kind === "v" ? "received.h264" : "received.aac");
  const source = ["souphttpsrc", `location=${new URL(`${rendition}/index.m3u8`, hls).href}`];
  const steps = [source, ["hlsdemux"], ["qtdemux"], [parser], [format], ["filesink", `location=${file}`]];
  const pipeline = steps.flatMap((step, place) => (place === 0 ? step : ["!", ...step]));
  const played = await run("gst-launch-1.0", ["-q", ...pipeline], 40_000);
  expect(played.code, played.output).toBe(0);
  return file;
}

/** The keys that a playlist names, in its order. */
async function keysOf(hls: string): Promise<string[]> {
  const text = await (await fetch(new URL("video/index.m3u8", hls))).text();
  return [...text.matchAll(/URI="\.\.\/(key\/\d+)"/g)].map((match) => match[1] ?? "");
}

/** Two seconds of pictures are decoded and shown: what EME protects cannot be read back from the screen. */
async function picturesAdvance(video: Locator): Promise<void> {
  const frames = () =>
    video.evaluate((element: HTMLVideoElement) => {
      const { totalVideoFrames, droppedVideoFrames } = element.getVideoPlaybackQuality();
      return totalVideoFrames - droppedVideoFrames;
    });
  const before = await frames();
  await expect.poll(frames, { timeout: 40_000 }).toBeGreaterThan(before + 60);
}

/** The address that the page plays. */
async function addressOf(viewer: Viewer, event: string): Promise<string> {
  return viewer.page.evaluate(async (id) => {
    const answer = await fetch(`/api/v1/events/${id}/sessions/current`);
    return ((await answer.json()) as { playback: { hls: string } }).playback.hls;
  }, event);
}

test("AES-128: the page plays, ffmpeg and GStreamer decrypt what was sent, to the bit, and nobody else does", async ({
  context,
  stagedoor,
}) => {
  test.setTimeout(480_000);
  const folder = mkdtempSync(join(tmpdir(), "sealed-"));
  const source = join(folder, "source.flv");
  const made = await run(
    "ffmpeg",
    [
      ..."-v error -f lavfi -i testsrc2=size=640x360:rate=30 -f lavfi -i sine=sample_rate=48000 -t 16".split(
        " ",
      ),
      ..."-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 30 -c:a aac -ac 2".split(" "),
      source,
    ],
    30_000,
  );
  expect(made.code, made.output).toBe(0);
  const show = await sealedShow(stagedoor, "aes-128");
  const publisher = new Child("ffmpeg", "ffmpeg", [
    ..."-hide_banner -nostats -v error -re -i".split(" "),
    source,
    ..."-c copy -f flv".split(" "),
    show.publishUrl,
  ]);
  try {
    await streamBecomes(stagedoor, show.event.id, "live");
    const viewer = await Viewer.comeIn(context, show.link);
    await viewer.sees("live");
    const hls = await addressOf(viewer, show.event.id);
    await expect.poll(async () => (await fetchPlaylist(hls)).lastMsn, { timeout: 40_000 }).toBeGreaterThan(4);
    const moved = () => viewer.video.evaluate((video: HTMLVideoElement) => video.currentTime);
    await expect
      .poll(moved, { message: "the picture goes on across two changes of keys", timeout: 40_000 })
      .toBeGreaterThan(4);
    expect((await keysOf(hls)).length).toBeGreaterThanOrEqual(3);
    await publisher.ended;
    await stagedoor.api("POST", `/events/${show.event.id}/broadcast/end`);
    await expect.poll(async () => (await fetchPlaylist(hls)).ended).toBe(true);

    const sent = await pictures(["-i", source]);
    const received = await pictures(["-live_start_index", "0", "-i", hls]);
    expect(received.length, "next to all of it").toBeGreaterThan(sent.length - 60);
    expect(sent.join(" ")).toContain(received.join(" "));

    for (const kind of ["v", "a"] as const) {
      const clear = await coded(kind, ["-i", source]);
      const opened = await coded(kind, ["-i", await throughGstreamer(hls, kind, folder)]);
      expect(opened.length, "next to all of it").toBeGreaterThan(clear.length - 100);
      expect(clear.join(" ")).toContain(opened.join(" "));
    }

    // Sent out: what a cache holds is still there, and opens no more.
    const keys = await keysOf(hls);
    await stagedoor.api("POST", `/events/${show.event.id}/viewers/end-all`, {});
    for (const key of keys) {
      const answer = await fetch(new URL(key, hls));
      expect([answer.status, answer.headers.get("cache-control")]).toEqual([403, "no-store"]);
    }
  } finally {
    await publisher.kill();
    rmSync(folder, { recursive: true, force: true });
  }
});

test("cbcs: the page and Shaka play it with ClearKey, and ffmpeg decrypts it", async ({
  browser,
  context,
  page,
  stagedoor,
  publish,
}) => {
  test.setTimeout(360_000);
  const show = await sealedShow(stagedoor, "cbcs");
  const other = await stagedoor.invite(show.event.id, "Grace Hopper");
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const viewer = await Viewer.comeIn(context, show.link);
  await viewer.sees("live");
  await picturesAdvance(viewer.video);
  const hls = await addressOf(viewer, show.event.id);
  await expect.poll(async () => (await keysOf(hls)).length, { timeout: 40_000 }).toBeGreaterThanOrEqual(3);
  await picturesAdvance(viewer.video);

  // What a key of the gate opens is what a decoder takes without a complaint.
  const key = (await keysOf(hls))[0] ?? "";
  const bytes = async (path: string) => Buffer.from(await (await fetch(new URL(path, hls))).arrayBuffer());
  const secret = await bytes(key);
  const folder = mkdtempSync(join(tmpdir(), "sealed-"));
  const file = join(folder, "sealed.mp4");
  // One fragment: this ffmpeg loses count of encrypted samples over several.
  const fragment = await bytes(`video/${key.split("/")[1]}.0.m4s`);
  writeFileSync(file, Buffer.concat([await bytes("video/init.0.mp4"), fragment]));
  const frames = await pictures(["-xerror", "-decryption_key", secret.toString("hex"), "-i", file]);
  expect(frames.length).toBeGreaterThan(8);
  rmSync(folder, { recursive: true, force: true });

  const elsewhere = await browser.newContext();
  const second = await Viewer.comeIn(elsewhere, other.link);
  await second.sees("live");
  const address = await addressOf(second, show.event.id);
  await page.route("**/second-engine/", (route) =>
    route.fulfill({ contentType: "text/html", body: SHAKA_PAGE }),
  );
  await page.route("**/second-engine/shaka.js", (route) =>
    route.fulfill({ contentType: "text/javascript", body: SHAKA }),
  );
  await page.goto(`${stagedoor.origin}/second-engine/`);
  await page.evaluate(
    (url) => (window as unknown as { play(url: string): Promise<void> }).play(url),
    address,
  );
  await picturesAdvance(page.locator("video"));
  expect(await page.evaluate(() => (window as unknown as { failure: string | null }).failure)).toBeNull();
  await elsewhere.close();
});

test("cbcs: a key session is closed when nothing that its key opens is buffered, and going back asks again", async ({
  context,
  stagedoor,
  publish,
}) => {
  test.setTimeout(480_000);
  await context.addInitScript(() => {
    const counted = { open: 0, most: 0, made: 0 };
    const create = MediaKeys.prototype.createSession;
    MediaKeys.prototype.createSession = function (...args) {
      const session = create.apply(this, args);
      counted.made += 1;
      counted.open += 1;
      counted.most = Math.max(counted.most, counted.open);
      void session.closed.then(() => {
        counted.open -= 1;
      });
      return session;
    };
    Object.assign(window, { keySessions: counted });
  });
  const show = await sealedShow(stagedoor, "cbcs");
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const viewer = await Viewer.comeIn(context, show.link);
  await viewer.sees("live");
  const sessions = () =>
    viewer.page.evaluate(() => ({
      ...(window as unknown as { keySessions: { open: number; most: number; made: number } }).keySessions,
    }));
  // Thirty seconds behind the picture and a few before it stay buffered: nine keys, and what is near.
  const enough = 18;
  await expect.poll(async () => (await sessions()).made, { timeout: 100_000 }).toBeGreaterThanOrEqual(enough);
  const after = await sessions();
  expect(after.most, "open at a time").toBeLessThanOrEqual(14);
  expect(after.open).toBeGreaterThanOrEqual(2);
  await picturesAdvance(viewer.video);

  // A minute back, where nothing is buffered any more.
  await viewer.video.focus();
  for (let step = 0; step < 6; step += 1) await viewer.page.keyboard.press("ArrowLeft");
  await picturesAdvance(viewer.video);
  const back = await sessions();
  expect(back.made, "keys that were known are asked for again").toBeGreaterThan(after.made + 1);
});

test("cbcs: a browser that cannot open it says so in words and stops asking for media", async ({
  context,
  stagedoor,
  publish,
}) => {
  // As on a page without https.
  await context.addInitScript(() =>
    Reflect.deleteProperty(Navigator.prototype, "requestMediaKeySystemAccess"),
  );
  const show = await sealedShow(stagedoor, "cbcs");
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const viewer = await Viewer.comeIn(context, show.link);
  await viewer.sees("sealed");
  await viewer.reads(/does not open/);
  let asked = 0;
  viewer.page.on("request", (request) => {
    if (request.url().includes("/live/")) asked += 1;
  });
  // Longer than a picture may stand before everything is begun anew.
  await viewer.page.waitForTimeout(14_000);
  expect(asked).toBe(0);
});
