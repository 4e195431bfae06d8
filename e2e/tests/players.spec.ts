import { fetchPlaylist } from "../support/playlist.ts";
import { Child, run } from "../support/process.ts";
import type { Stagedoor } from "../support/stagedoor.ts";
import { expect, type Show, streamBecomes, test } from "../support/test.ts";

/** The players see a stream that has run for some seconds, as one would find it in the evening. */
async function onAir(stagedoor: Stagedoor, show: Show): Promise<string> {
  await streamBecomes(stagedoor, show.event.id, "live");
  const session = await stagedoor.redeem(show.event.id, show.invitation.code);
  await expect.poll(async () => (await fetch(session.playback.hls)).status, { intervals: [100] }).toBe(200);
  await expect
    .poll(async () => (await fetchPlaylist(session.playback.hls)).lastMsn, {
      intervals: [250],
      timeout: 60_000,
    })
    .toBeGreaterThanOrEqual(2);
  return session.playback.hls;
}

test("ffprobe reads both tracks through the token address", async ({ stagedoor, show, publish }) => {
  publish(show.publishUrl);
  const url = await onAir(stagedoor, show);
  const probe = await run("ffprobe", ["-v", "error", "-show_streams", "-of", "json", url], 20_000);
  expect(probe.code, probe.output).toBe(0);
  const streams = (
    JSON.parse(probe.output) as { streams: { codec_name: string; width?: number; sample_rate?: string }[] }
  ).streams;
  expect(streams).toContainEqual(expect.objectContaining({ codec_name: "h264", width: 640 }));
  expect(streams).toContainEqual(expect.objectContaining({ codec_name: "aac", sample_rate: "48000" }));
});

test("ffmpeg decodes four seconds without an error", async ({ stagedoor, show, publish }) => {
  publish(show.publishUrl);
  const url = await onAir(stagedoor, show);
  const decoded = await run(
    "ffmpeg",
    ["-v", "error", "-xerror", "-i", url, "-t", "4", "-f", "null", "-"],
    30_000,
  );
  expect(decoded.output).toBe("");
  expect(decoded.code).toBe(0);
});

test("mpv plays it", async ({ stagedoor, show, publish }) => {
  publish(show.publishUrl);
  const url = await onAir(stagedoor, show);
  const played = await run(
    "mpv",
    ["--no-config", "--vo=null", "--ao=null", "--length=4", "--msg-level=all=warn", url],
    40_000,
  );
  expect(played.code, played.output).toBe(0);
  // A connection that rested too long: ffmpeg makes a new one.
  const told = played.output.replaceAll(/.*keepalive request failed.*/g, "");
  expect(told).not.toMatch(/error|failed/i);
});

// hlsdemux2 is found by playbin3 only and hlsdemux by playbin only; each is a different HLS client.
for (const { name, element, rank } of [
  { name: "hlsdemux2", element: "playbin3", rank: "hlsdemux2:MAX,hlsdemux:NONE" },
  { name: "hlsdemux", element: "playbin", rank: "hlsdemux:MAX,hlsdemux2:NONE" },
]) {
  test(`GStreamer plays it with ${name}`, async ({ stagedoor, show, publish }) => {
    publish(show.publishUrl);
    const url = await onAir(stagedoor, show);
    let pictures = 0;
    const sinks = [
      "video-sink=fakesink name=pictures silent=false sync=true",
      "audio-sink=fakesink sync=true",
    ];
    const player = new Child("gst-launch", "gst-launch-1.0", ["-v", element, `uri=${url}`, ...sinks], {
      env: { ...process.env, GST_PLUGIN_FEATURE_RANK: rank },
      onLine: (line) => {
        if (line.includes("chain") && line.includes("(pictures:sink)")) pictures += 1;
      },
    });
    try {
      // Longer than the player's buffer at the start, so that it has asked for a playlist again.
      await expect
        .poll(() => (player.running ? pictures : player.output.slice(-2_000)), { timeout: 40_000 })
        .toBeGreaterThan(240);
    } finally {
      await player.kill();
    }
  });
}
