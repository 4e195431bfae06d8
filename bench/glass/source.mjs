// A camera that films a clock: raw pictures, each with the wall clock of the moment it was drawn as a barcode in its
// upper part, at an even pace, into an encoder without look-ahead.
//
// The barcode has two rows of 20 squares of 64 × 64 pixels: 1 0 1 0, then 32 bits of milliseconds since 1970 (lowest
// first), then 4 bits of check sum. See page.js for the reader.

import { spawn } from "node:child_process";

const WIDTH = 1280;
const HEIGHT = 720;
const RATE = 30;
const CELL = 64;
const LUMA = WIDTH * HEIGHT;
const BACKGROUNDS = 30;
const BLACK = 16;
const WHITE = 235;

// The 40 bits for a time in milliseconds.
function bits(ms) {
  const value = Math.floor(ms) % 2 ** 32;
  const cells = [1, 0, 1, 0];
  let check = 0;
  for (let bit = 0; bit < 32; bit += 1) {
    const one = Math.floor(value / 2 ** bit) % 2;
    cells.push(one);
    check = (check + one * (bit + 1)) % 16;
  }
  for (let bit = 0; bit < 4; bit += 1) cells.push((check >> bit) & 1);
  return cells;
}

// A second of moving stripes, so that the encoder has something to do. Chroma stays grey.
function backgrounds() {
  return Array.from({ length: BACKGROUNDS }, (_, number) => {
    const picture = Buffer.alloc((LUMA * 3) / 2, 128);
    const shift = (number * 2 * Math.PI) / BACKGROUNDS;
    const across = Uint8Array.from({ length: WIDTH }, (_, x) => 60 + 50 * Math.sin(x / 40 + shift));
    const down = Uint8Array.from({ length: HEIGHT }, (_, y) => 60 + 50 * Math.sin(y / 25 - shift));
    for (let y = 0; y < HEIGHT; y += 1) for (let x = 0; x < WIDTH; x += 1) picture[y * WIDTH + x] = across[x] + down[y];
    return picture;
  });
}

function draw(picture, ms) {
  bits(ms).forEach((bit, number) => {
    const left = (number % 20) * CELL;
    const top = number < 20 ? 0 : CELL;
    for (let y = top; y < top + CELL; y += 1) {
      picture.fill(bit ? WHITE : BLACK, y * WIDTH + left, y * WIDTH + left + CELL);
    }
  });
}

// Publishes until `stop()`; `late` counts pictures drawn more than a picture's time after they were due.
export function film(url) {
  const encoder = spawn(
    "ffmpeg",
    [
      ..."-hide_banner -loglevel error -fflags nobuffer -probesize 32 -analyzeduration 0".split(" "),
      ...`-f rawvideo -pix_fmt yuv420p -s ${WIDTH}x${HEIGHT} -r ${RATE} -i pipe:0`.split(" "),
      ..."-f lavfi -i sine=frequency=330:sample_rate=48000".split(" "),
      ..."-c:v libx264 -preset ultrafast -tune zerolatency -b:v 1500k -maxrate 1500k -bufsize 1500k".split(" "),
      ...`-g ${RATE} -keyint_min ${RATE} -sc_threshold 0 -c:a aac -b:a 96k -ac 2 -flush_packets 1 -f flv`.split(" "),
      url,
    ],
    { stdio: ["pipe", "ignore", "pipe"] },
  );
  const camera = { late: 0, pictures: 0, errors: "", pid: encoder.pid };
  encoder.stderr.on("data", (chunk) => (camera.errors = (camera.errors + chunk).slice(-4000)));
  encoder.stdin.on("error", () => {});
  const ended = new Promise((resolve) => encoder.on("close", resolve));
  const pictures = backgrounds();
  const began = performance.now();
  let number = 0;
  let timer;
  const next = () => {
    const due = began + (number * 1000) / RATE;
    timer = setTimeout(() => {
      if (performance.now() - due > 1000 / RATE) camera.late += 1;
      const picture = pictures[number % BACKGROUNDS];
      draw(picture, performance.timeOrigin + performance.now());
      number += 1;
      camera.pictures = number;
      // The next picture is drawn only when this one is in the pipe: the pipe holds less than one picture.
      encoder.stdin.write(picture, (error) => error || next());
    }, due - performance.now());
  };
  next();
  camera.stop = async () => {
    clearTimeout(timer);
    encoder.stdin.end();
    encoder.kill();
    await ended;
  };
  return camera;
}
