// Plays with one of two engines in their low-latency default, and reads the clock in each picture as it is shown.

const video = document.querySelector("video");
const canvas = document.createElement("canvas");
canvas.width = 1280;
canvas.height = 128;
const context = canvas.getContext("2d", { willReadFrequently: true });

window.samples = [];
window.problems = [];
window.unread = 0;
window.stalls = 0;
window.firstPictureMs = null;

// The clock in the picture, milliseconds modulo 2^32; null when there is none.
function readClock() {
  context.drawImage(video, 0, 0, 1280, 128, 0, 0, 1280, 128);
  const rows = [32, 96].map((y) => context.getImageData(0, y, 1280, 1).data);
  const bit = (number) => (rows[number < 20 ? 0 : 1][((number % 20) * 64 + 32) * 4] > 127 ? 1 : 0);
  if (!(bit(0) === 1 && bit(1) === 0 && bit(2) === 1 && bit(3) === 0)) return null;
  let value = 0;
  let check = 0;
  for (let place = 0; place < 32; place += 1) {
    value += bit(4 + place) * 2 ** place;
    check = (check + bit(4 + place) * (place + 1)) % 16;
  }
  let told = 0;
  for (let place = 0; place < 4; place += 1) told += bit(36 + place) << place;
  return told === check ? value : null;
}

function onPicture() {
  if (window.firstPictureMs === null) window.firstPictureMs = performance.now() - window.pressed;
  const now = (performance.timeOrigin + performance.now()) % 2 ** 32;
  const shown = readClock();
  if (shown === null) window.unread += 1;
  else window.samples.push(now - shown);
  video.requestVideoFrameCallback(onPicture);
}

window.play = async (engine, url) => {
  window.pressed = performance.now();
  video.requestVideoFrameCallback(onPicture);
  video.addEventListener("waiting", () => {
    if (window.firstPictureMs !== null) window.stalls += 1;
  });
  if (engine === "hls") {
    const hls = new Hls();
    hls.on(Hls.Events.ERROR, (_, data) => window.problems.push(`${data.details}${data.fatal ? " (fatal)" : ""}`));
    hls.loadSource(url);
    hls.attachMedia(video);
  } else {
    shaka.polyfill.installAll();
    const player = new shaka.Player();
    await player.attach(video);
    player.configure({ streaming: { lowLatencyMode: true } });
    player.addEventListener("error", (event) => window.problems.push(`shaka ${event.detail.code}`));
    await player.load(url);
  }
  await video.play();
};
