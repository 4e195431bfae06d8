import { fetchPlaylist } from "../support/playlist.ts";
import { run } from "../support/process.ts";
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
      timeout: 30_000,
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
  expect(played.output).not.toMatch(/error|failed/i);
});

for (const [name, rank] of [
  ["hlsdemux2", "hlsdemux2:MAX,hlsdemux:NONE"],
  ["hlsdemux", "hlsdemux:MAX,hlsdemux2:NONE"],
] as const) {
  test(`GStreamer plays it with ${name}`, async ({ stagedoor, show, publish }) => {
    publish(show.publishUrl);
    const url = await onAir(stagedoor, show);
    const element = name === "hlsdemux2" ? "playbin3" : "playbin";
    // The pipeline ends by itself after 90 pictures; without them it runs into the time limit.
    const args = [
      "-q",
      element,
      `uri=${url}`,
      "video-sink=fakesink num-buffers=90 sync=true",
      "audio-sink=fakesink sync=true",
    ];
    const played = await run("gst-launch-1.0", args, 40_000, {
      ...process.env,
      GST_PLUGIN_FEATURE_RANK: rank,
    });
    expect(played.code, played.output).toBe(0);
  });
}
