// 5,000 connections at each door that do not get on with it: how long they last, and what a viewer notices.

import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { connect } from "node:net";
import { Agent, get } from "node:http";
import { join } from "node:path";
import { quantile } from "./lib/bars.mjs";
import { usage, sleep } from "./lib/process.mjs";
import { prepare, publish } from "./lib/publisher.mjs";
import { Stagedoor } from "./lib/stagedoor.mjs";

const COUNT = 5000;
/** What each says at once; then one byte every ten seconds. */
const DOORS = {
  HTTP: ["http", Buffer.from("GET /livez HTTP/1.1\r\nhos")],
  WebSocket: ["http", Buffer.from("GET /api/v1/events/x/feed HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: web")],
  TLS: ["https", Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03])],
  RTMP: ["rtmp", Buffer.from([3, 0, 0, 0])],
};

// How long each of `count` connections lasted, in milliseconds; NaN for those that never were.
function crowd(port, first, count) {
  const one = () =>
    new Promise((resolve) => {
      const socket = connect({ port, host: "127.0.0.1" });
      let began = Number.NaN;
      let trickle;
      socket.on("connect", () => {
        began = performance.now();
        socket.write(first);
        trickle = setInterval(() => socket.write("x"), 10_000);
      });
      socket.on("data", () => {});
      socket.on("error", () => {});
      socket.on("close", () => {
        clearInterval(trickle);
        resolve(performance.now() - began);
      });
    });
  return Promise.all(Array.from({ length: count }, one));
}

// Asks for the playlist ten times a second until told to stop; milliseconds for each answer.
function viewer(url) {
  const agent = new Agent({ keepAlive: true });
  const took = [];
  let errors = 0;
  let going = true;
  const ask = () =>
    new Promise((resolve) => {
      const began = performance.now();
      get(url, { agent }, (answer) => {
        answer.resume().on("end", () => {
          if (answer.statusCode === 200) took.push(performance.now() - began);
          else errors += 1;
          resolve();
        });
      }).on("error", () => {
        errors += 1;
        resolve();
      });
    });
  const done = (async () => {
    while (going) {
      await ask();
      await sleep(20);
    }
    agent.destroy();
  })();
  return async () => {
    going = false;
    await done;
    return { took, errors };
  };
}

export async function measure({ bars, scratch, quick }) {
  const folder = join(scratch, "stuck");
  mkdirSync(folder);
  const [certificate, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost"];
  execFileSync("openssl", ["req", "-x509", ...kind, "-keyout", key, "-out", certificate], { stdio: "pipe" });
  const server = await Stagedoor.start(join(folder, "data"), {
    env: {
      STAGEDOOR_TLS_CERTIFICATE: certificate,
      STAGEDOOR_TLS_KEY: key,
      STAGEDOOR_TLS_HTTPS_LISTEN: "127.0.0.1:0",
      STAGEDOOR_TLS_RTMPS_LISTEN: "127.0.0.1:0",
    },
  });
  const { id } = await server.event("Stuck", "low");
  publish(await prepare(scratch, 1000), await server.publishUrl(id));
  await server.live(id);
  const url = (await server.session(id)).replace("index.m3u8", "video/index.m3u8");
  await sleep(3000);
  const ports = {
    http: Number(new URL(server.origin).port),
    https: Number(new URL(server.demo.https_url).port),
    rtmp: Number(new URL(server.demo.rtmp_url.replace("rtmp:", "http:")).port),
  };
  const count = quick ? COUNT / 10 : COUNT;
  let stop = viewer(url);
  await sleep(quick ? 4000 : 12_000);
  const before = await stop();
  const quiet = quantile(before.took, 0.99);
  for (const [name, [port, first]] of Object.entries(DOORS)) {
    const resident = usage(server.pid).rss;
    stop = viewer(url);
    const lasting = crowd(ports[port], first, count);
    await sleep(5000);
    const more = usage(server.pid).rss - resident;
    const lasted = await lasting;
    const { took, errors } = await stop();
    bars.keep(`stuck ${name}`, { lasted: quantile(lasted, 1), took: took.length, errors, p99: quantile(took, 0.99), quiet });
    bars.add(`${count} stuck at ${name}: the last is gone after`, quantile(lasted, 1) / 1000, {
      // Ten seconds each, and the time it takes this machine to make and notice them.
      most: 11,
      unit: "s",
      digits: 1,
      peer: `${lasted.filter(Number.isNaN).length} never came in; ${(more / count / 1024).toFixed(1)} KiB for each`,
    });
    bars.add(`${count} stuck at ${name}: a viewer's playlist, p99`, quantile(took, 0.99), {
      most: Math.max(quiet * 1.1, 50),
      unit: "ms",
      digits: 1,
      peer: `without them ${quiet.toFixed(1)} ms; errors ${errors} of ${took.length + errors}`,
    });
  }
}
