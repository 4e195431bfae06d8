// Programs that fetch the picture without its page: one row for each signal that the server gives by itself. What is told
// is read off the list of viewers, as an organiser sees it.

import { BERLIN } from "./places.mjs";
import { sleep } from "./process.mjs";

const CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
const OTHERS = [
  "Lavf/61.7.100",
  "VLC/3.0.21 LibVLC/3.0.21",
  "curl/8.14.1",
  "python-requests/2.32.3",
  "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0",
  "",
];
/** Where more than half of eight are silent, it is not them: so that many copiers watch one event, and no more. */
const TOGETHER = 7;
const LOOK_MS = 1_000;
const EMPTY_MS = 5_000;
const SEGMENTS = /^([^#\s]+)$/gm;

/** Whoever came in with a code, without a page. */
class Copier {
  static async enter(server, event, name, headers = {}) {
    const copier = new Copier();
    Object.assign(copier, { server, event, headers: { "user-agent": CHROME, ...headers }, name });
    copier.code = (await server.invite(event.id, name)).code;
    const response = await copier.redeem();
    copier.cookie = response.headers.getSetCookie().map((cookie) => cookie.split(";")[0]).join("; ");
    const session = await response.json();
    Object.assign(copier, { session: session.id, hls: new URL(session.playback.hls, server.origin).href });
    return copier;
  }

  async redeem(headers = {}) {
    const response = await fetch(`${this.server.origin}/api/v1/events/${this.event.id}/sessions`, {
      method: "POST",
      headers: {
        ...{ ...this.headers, ...headers, "content-type": "application/json" },
        // As a page sends it: a cookie without an origin is another site's.
        ...(this.cookie && { cookie: this.cookie, origin: this.server.origin }),
      },
      body: JSON.stringify({ code: this.code }),
    });
    if (!response.ok) throw new Error(`${this.name}: ${response.status} ${await response.text()}`);
    return response;
  }

  // The bytes below `path`, beside the multivariant playlist.
  async fetch(path, headers = {}) {
    const response = await fetch(new URL(path, this.hls), { headers: { ...this.headers, ...headers } });
    return { ok: response.ok, bytes: Buffer.from(await response.arrayBuffer()) };
  }

  // What a playlist names, as paths beside the multivariant one.
  async names(kind, pattern) {
    const { bytes } = await this.fetch(`${kind}/index.m3u8`);
    return [...bytes.toString().matchAll(pattern)].map(([, name]) => new URL(name, new URL(`${kind}/x`, this.hls)).href);
  }

  // Fetches each segment so many times as it comes, like so many programs with one address of the media.
  async follow(times, until) {
    const had = new Set();
    for (let first = true; !until(); first = false) {
      for (const kind of ["video", "audio"]) {
        const fresh = (await this.names(kind, SEGMENTS)).filter((name) => !had.has(name));
        for (const name of fresh) had.add(name);
        // Whoever comes in now begins now.
        for (const name of first ? fresh.slice(-1) : fresh) {
          for (let i = 0; i < times; i += 1) await this.fetch(name);
        }
      }
      await sleep(LOOK_MS);
    }
  }

  // Fetches the whole recording, again and again.
  async empty(until) {
    while (!until()) {
      for (const name of await this.names("video", SEGMENTS)) {
        if (until()) return;
        await this.fetch(name);
      }
      await sleep(EMPTY_MS);
    }
  }
}

const WAYS = {
  request_pattern: {
    mostMs: 400_000,
    ways: {
      "two programs with one address of the media": (copier, until) => copier.follow(2, until),
      "four programs with one address of the media": (copier, until) => copier.follow(4, until),
      "the whole recording, again and again": (copier, until) => copier.empty(until),
    },
  },
  heartbeat_missed: {
    mostMs: 90_000,
    together: TOGETHER,
    ways: { "a player without the page": (copier, until) => copier.follow(1, until) },
  },
  fingerprint_change: {
    mostMs: 10_000,
    ways: Object.fromEntries(
      OTHERS.map((agent) => [`as “${agent.slice(0, 24)}”`, (copier) => copier.fetch("video/index.m3u8", { "user-agent": agent })]),
    ),
  },
  key_requests: {
    mostMs: 10_000,
    policy: { encryption: { method: "aes-128", key_period_s: 60 } },
    ways: {
      "one key eight times": async (copier, until) => {
        let key;
        while (key === undefined && !until()) [key] = await copier.names("video", /^#EXT-X-KEY:METHOD=AES-128,URI="([^"]+)"/gm);
        for (let i = 0; key && i < 8; i += 1) await copier.fetch(key);
      },
    },
  },
  impossible_travel: {
    mostMs: 10_000,
    ways: { "from Lyon to Berlin in a moment": (copier) => copier.redeem({ "x-forwarded-for": BERLIN }) },
  },
};

export const SIGNALS = Object.keys(WAYS);

/** Tries every row `times` times, all at once. `live` makes an event with a policy that is being broadcast. Answers as `tamper`. */
export async function copy(server, live, times, only = SIGNALS) {
  const groups = [];
  const troubles = [];
  const failed = (error) => {
    troubles.push(String(error));
    return [];
  };
  await Promise.all(
    only.map(async (signal) => {
      const { ways, policy, mostMs, together = times } = WAYS[signal];
      const turns = Array.from({ length: times }, (_, turn) => turn);
      while (turns.length > 0) {
        const some = turns.splice(0, together);
        const event = await live(signal, policy);
        // The next ones need not wait for these.
        groups.push(attempt(server, event, signal, Object.entries(ways), some, mostMs, troubles).catch(failed));
      }
    }),
  );
  return { tries: (await Promise.all(groups)).flat(), troubles };
}

async function attempt(server, event, signal, ways, turns, mostMs, troubles) {
  const copiers = [];
  for (const turn of turns) copiers.push(await Copier.enter(server, event, `Copy ${signal} ${turn}`));
  const since = Date.now();
  const told = new Map();
  const over = () => told.size === copiers.length || Date.now() - since > mostMs;
  const acts = copiers.map((copier, i) => {
    const [, act] = ways[turns[i] % ways.length];
    const done = () => over() || told.has(copier.session);
    return Promise.resolve(act(copier, done)).catch((error) => troubles.push(`${copier.name}: ${error}`));
  });
  while (!over()) {
    for (const { session, signals } of await viewers(server, event)) {
      if (signals.includes(signal) && !told.has(session)) told.set(session, Date.now() - since);
    }
    await sleep(LOOK_MS);
  }
  await Promise.all(acts);
  return copiers.map(({ session }, i) => ({ signal, way: ways[turns[i] % ways.length][0], turn: turns[i], ms: told.get(session) ?? null }));
}

async function viewers(server, event) {
  const all = [];
  for (let cursor = ""; cursor !== null; ) {
    const page = await server.api("GET", `/events/${event.id}/viewers?limit=100${cursor && `&cursor=${cursor}`}`);
    all.push(...page.data);
    cursor = page.next_cursor ?? null;
  }
  return all;
}
