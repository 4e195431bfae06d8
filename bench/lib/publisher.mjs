// Publishers whose own cost is next to nothing: a file prepared once, sent again and again without encoding.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { Child, output } from "./process.mjs";

const AUDIO_KBPS = 96;

// 720p30 (or another size and rate) H.264 High, one keyframe per second, constant bitrate, with AAC: `kbps` in all. 20 s,
// made to loop.
export async function prepare(folder, kbps, { size = "1280x720", rate = 30 } = {}) {
  const file = join(folder, `${size}-${rate}-${kbps}.flv`);
  if (existsSync(file)) return file;
  const video = `${kbps - AUDIO_KBPS}k`;
  await output("ffmpeg", [
    ...`-hide_banner -loglevel error -y -f lavfi -i testsrc2=size=${size}:rate=${rate}`.split(" "),
    ..."-f lavfi -i sine=frequency=330:beep_factor=4:sample_rate=48000 -t 20 -pix_fmt yuv420p".split(" "),
    ...`-c:v libx264 -preset veryfast -tune zerolatency -profile:v high -g ${rate} -keyint_min ${rate} -sc_threshold 0`.split(" "),
    ...["-b:v", video, "-minrate", video, "-maxrate", video, "-bufsize", video, "-x264-params", "nal-hrd=cbr:force-cfr=1"],
    ...`-c:a aac -b:a ${AUDIO_KBPS}k -ac 2 -f flv ${file}`.split(" "),
  ]);
  return file;
}

// Publishes a prepared file for ever, in real time.
export function publish(file, url) {
  const args = `-hide_banner -loglevel error -nostdin -re -stream_loop -1 -i ${file} -c copy -f flv`.split(" ");
  return new Child("ffmpeg", [...args, url]);
}
