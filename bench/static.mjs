// Part bytes and playlist answers per processor second: Stagedoor, Stagedoor without the token check, and nginx with
// the same bytes as files. The same client floods each in turn, several times, so that a busy moment hits all alike.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { request } from "node:http";
import { median } from "./lib/bars.mjs";
import { serve } from "./lib/nginx.mjs";
import { prepare, publish } from "./lib/publisher.mjs";
import { sleep } from "./lib/process.mjs";
import { Stagedoor, load } from "./lib/stagedoor.mjs";

// A part of half a second is then about 100 KB.
const KBPS = 1700;
const CONNECTIONS = 100;

// Body bytes as they come over the wire.
function get(url) {
  return new Promise((resolve, reject) => {
    request(url, { headers: { "accept-encoding": "gzip" } }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }));
    })
      .on("error", reject)
      .end();
  });
}

// A running server with a live broadcast: where its newest video part and its playlist (as a delta) are.
class Source {
  static async start(scratch, name, flags) {
    const source = new Source();
    source.name = name;
    const folder = join(scratch, name.replaceAll(" ", "-"));
    mkdirSync(folder);
    source.server = await Stagedoor.start(folder, { flags });
    const { id } = await source.server.event("Flood", "low");
    source.publisher = publish(await prepare(scratch, KBPS), await source.server.publishUrl(id));
    await source.server.live(id);
    source.base = new URL("video/index.m3u8", await source.server.session(id)).href;
    return source;
  }

  // The last whole part, chosen from the media playlist: the largest of the newest segment that is complete.
  async part() {
    const text = await (await fetch(this.base)).text();
    const parts = [...text.matchAll(/#EXT-X-PART:.*URI="([^"]+)"/g)].map((match) => match[1]).slice(-6, -1);
    let best;
    for (const part of parts) {
      const url = new URL(part, this.base).href;
      const { body } = await get(url);
      if (!best || Math.abs(body.length - 100_000) < Math.abs(best.body.length - 100_000)) best = { url, body };
    }
    return best;
  }

  async playlist() {
    const text = await (await fetch(this.base)).text();
    const msn = Number(text.match(/#EXT-X-MEDIA-SEQUENCE:(\d+)/)[1]);
    // A part that has long existed is answered at once with the current playlist, here as a delta.
    const url = `${this.base}?_HLS_msn=${msn}&_HLS_skip=YES`;
    const { body, headers } = await get(url);
    return { url, body, gzip: headers["content-encoding"] === "gzip" };
  }
}

export async function measure({ bars, scratch, quick }) {
  const sources = [await Source.start(scratch, "stagedoor", [])];
  try {
    sources.push(await Source.start(scratch, "stagedoor open", ["--danger-open-media"]));
  } catch (error) {
    console.log(`   without token check: not measured (${String(error).split("\n")[0]})`);
  }
  // So that the window is long enough for a delta to mean something.
  await sleep(quick ? 10_000 : 60_000);
  const sample = { part: await sources[0].part(), playlist: await sources[0].playlist() };
  const nginx = await serve(scratch, { "part.m4s": sample.part.body, "playlist.m3u8": sample.playlist.body });
  console.log(`   part ${sample.part.body.length} bytes, playlist ${sample.playlist.body.length} bytes (${sample.playlist.gzip ? "gzip" : "plain"})`);

  const seconds = quick ? 3 : 8;
  const rounds = quick ? 2 : 5;
  const results = {};
  const flood = async (who, kind, url, pid) => {
    const report = await load(["--raw", url, "--connections", CONNECTIONS, "--duration", seconds, "--server-pid", pid]);
    if (report.errors) throw new Error(`${who} ${kind}: ${JSON.stringify(report.errors_by_kind)}`);
    results[`${who} ${kind}`] ??= [];
    results[`${who} ${kind}`].push(report);
    return report;
  };
  for (let round = 0; round < rounds; round += 1) {
    for (const kind of ["part", "playlist"]) {
      for (const source of sources) {
        await flood(source.name, kind, (await source[kind]()).url, source.server.pid);
      }
      await flood("nginx", kind, nginx.url(kind === "part" ? "part.m4s" : "playlist.m3u8"), nginx.pid);
    }
  }
  const of = (name, value) => (results[name] ? median(results[name].map(value)) : Number.NaN);
  const bytes = (report) => report.server.bytes_per_cpu_s;
  const answers = (report) => report.server.answers_per_cpu_s;
  const cost = (report) => report.server.cpu_us_per_answer;
  for (const name of Object.keys(results)) {
    const report = results[name][0];
    console.log(
      `   ${name.padEnd(24)} ${of(name, cost).toFixed(1)} µs/answer, ${of(name, (r) => r.answers_per_s).toFixed(0)}/s, ` +
        `${of(name, (r) => r.gbit_per_s).toFixed(2)} Gb/s, client ${report.generator.cpu_us_per_answer.toFixed(1)} µs`,
    );
  }
  bars.keep("static", results);
  bars.add("part bytes per CPU second against nginx", of("stagedoor part", bytes) / of("nginx part", bytes), {
    least: 0.8,
    unit: "×",
    peer: `${of("stagedoor part", cost).toFixed(1)} µs against ${of("nginx part", cost).toFixed(1)} µs per part`,
  });
  bars.add("playlist answers per CPU second against nginx", of("stagedoor playlist", answers) / of("nginx playlist", answers), {
    least: 0.8,
    unit: "×",
    peer: `${of("stagedoor playlist", cost).toFixed(1)} µs against ${of("nginx playlist", cost).toFixed(1)} µs per playlist`,
  });
  for (const kind of ["part", "playlist"]) {
    bars.add(`${kind}s: with the token check against without`, of(`stagedoor ${kind}`, answers) / of(`stagedoor open ${kind}`, answers), {
      least: 0.95,
      unit: "×",
    });
  }
}
