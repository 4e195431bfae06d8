/** Encoders as people use them: ffmpeg and GStreamer, live, with a frame counter burnt into the picture. */

import { barcodeFilter } from "./barcode.ts";
import { Child } from "./process.ts";

export interface Content {
  width?: number;
  height?: number;
  /** Frames per second. */
  rate?: number;
  /** Seconds between keyframes. */
  keyframeInterval?: number;
  video?: boolean;
  audio?: boolean;
  /** A black picture without a frame counter, so that whatever is seen lies over it. */
  black?: boolean;
}

/** ffmpeg publishing test content to an RTMP address until it is stopped or refused. */
export function ffmpeg(url: string, content: Content = {}): Child {
  const { width = 640, height = 360, rate = 30, keyframeInterval = 1, video = true, audio = true } = content;
  const picture = content.black
    ? `color=c=black:size=${width}x${height}:rate=${rate}`
    : `testsrc2=size=${width}x${height}:rate=${rate},${barcodeFilter(width)}`;
  const args = ["-hide_banner", "-nostats", "-loglevel", "info"];
  if (video) {
    args.push("-re", "-f", "lavfi", "-i", picture);
  }
  if (audio) args.push("-re", "-f", "lavfi", "-i", "sine=frequency=330:sample_rate=48000");
  if (video) {
    const gop = String(Math.round(rate * keyframeInterval));
    args.push("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p");
    args.push(
      "-b:v",
      "900k",
      "-maxrate",
      "900k",
      "-bufsize",
      "450k",
      "-g",
      gop,
      "-keyint_min",
      gop,
      "-sc_threshold",
      "0",
    );
  }
  if (audio) args.push("-c:a", "aac", "-b:a", "96k", "-ac", "2");
  args.push("-f", "flv", url);
  return new Child("ffmpeg", "ffmpeg", args);
}

/** GStreamer publishing test content: another RTMP implementation than ffmpeg's. */
export function gstreamer(url: string): Child {
  const video =
    "videotestsrc is-live=true ! video/x-raw,width=640,height=360,framerate=30/1 ! " +
    "openh264enc complexity=low bitrate=800000 gop-size=30 ! h264parse ! queue ! mux.";
  const audio =
    "audiotestsrc is-live=true volume=0.1 ! audio/x-raw,rate=48000 ! avenc_aac ! aacparse ! queue ! mux.";
  const words = `${video} ${audio} flvmux name=mux streamable=true ! rtmp2sink`.split(" ");
  return new Child("gst-launch", "gst-launch-1.0", ["-q", ...words, `location=${url}`]);
}
