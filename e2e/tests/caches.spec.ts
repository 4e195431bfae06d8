import { Agent, request as ask, createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { type Cache, nameless, nginx, nginxJudges, varnish } from "../support/caches.ts";
import { type Event, Stagedoor, type ViewerSession } from "../support/stagedoor.ts";
import { expect, streamBecomes, test } from "../support/test.ts";

// Shared caches in front, with the configurations that we ship: one copy for all, and everybody asked for.

const VIEWERS = 100;
/** Parts that each of them follows the live edge for. */
const PARTS = 8;

// A connection that rests is given up before the other side does it: Varnish after 5 s, the server after 10 s. One that is
// waiting for an answer is not.
const agent = new Agent({ keepAlive: true, maxSockets: 300, timeout: 4_000 });

interface Got {
  status: number;
  cache: string;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

/** Exactly this path, which `fetch` would tidy up. */
function got(
  origin: string,
  path: string,
  headers: Record<string, string> = {},
  method = "GET",
): Promise<Got> {
  const { hostname, port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const asked = ask({ agent, hostname, port, path, headers, method }, (answer) => {
      const pieces: Buffer[] = [];
      answer.on("data", (piece: Buffer) => pieces.push(piece));
      answer.on("end", () =>
        resolve({
          status: answer.statusCode ?? 0,
          cache: String(answer.headers["x-cache"] ?? ""),
          headers: answer.headers,
          body: Buffer.concat(pieces),
        }),
      );
      answer.on("error", reject);
    });
    asked.on("error", reject);
    asked.end();
  });
}

/** Several sessions of new invitees, with the paths of their media. */
async function seats(
  server: Stagedoor,
  event: Event,
  count: number,
): Promise<{ session: ViewerSession; base: string }[]> {
  const made = [];
  for (let at = 0; at < count; at += 10) {
    const some = Array.from({ length: Math.min(10, count - at) }, async (_, offset) => {
      const { code } = await server.invite(event.id, `Guest ${at + offset}`);
      const session = await server.redeem(event.id, code);
      return { session, base: new URL(session.playback.hls).pathname.replace("index.m3u8", "") };
    });
    made.push(...(await Promise.all(some)));
  }
  return made;
}

/** What comes after the newest part that a playlist names. */
function edge(text: string): { msn: number; part: number } {
  const hint = /#EXT-X-PRELOAD-HINT:TYPE=PART,URI="(\d+)\.(\d+)\.m4s"/.exec(text);
  if (!hint) throw new Error(`no hint in\n${text}`);
  return { msn: Number(hint[1]), part: Number(hint[2]) };
}

/** One viewer: the playlists by name, then each new part as it comes. Counts what came from where. */
async function watch(cache: Cache, base: string, counts: Map<string, number>): Promise<void> {
  const take = async (name: string) => {
    const answer = await got(cache.origin, base + name);
    counts.set(`${answer.status} ${answer.cache}`, (counts.get(`${answer.status} ${answer.cache}`) ?? 0) + 1);
    expect(answer.headers["set-cookie"], name).toBeUndefined();
    return answer.body.toString("latin1");
  };
  await take("index.m3u8");
  let next = edge(await take("video/index.m3u8"));
  for (let at = 0; at < PARTS; at += 1) {
    const text = await take(`video/index.m3u8?_HLS_msn=${next.msn}&_HLS_part=${next.part}`);
    expect(text.startsWith("#EXTM3U"), text.slice(0, 200)).toBe(true);
    const newest = /^#EXT-X-PART:.*URI="([^"]+)"/gm;
    await take(`video/${[...text.matchAll(newest)].at(-1)?.[1]}`);
    next = edge(text);
  }
}

test("a hundred viewers share one copy through nginx and Varnish, and whoever is sent out is refused there too", async ({
  stagedoor,
  publish,
}) => {
  test.setTimeout(360_000);
  const [event, other] = [await stagedoor.createEvent("Evening"), await stagedoor.createEvent("Another")];
  publish(await stagedoor.publishUrl(event.id), { audio: false });
  publish(await stagedoor.publishUrl(other.id), { audio: false, width: 320, height: 180 });
  const caches = await Promise.all([nginx(stagedoor.origin), varnish(stagedoor.origin)]);
  try {
    const [crowd, [stranger]] = [await seats(stagedoor, event, VIEWERS), await seats(stagedoor, other, 1)];
    if (!stranger) throw new Error("nobody");
    await streamBecomes(stagedoor, event.id, "live");
    await streamBecomes(stagedoor, other.id, "live");
    for (const base of [crowd[0]?.base, stranger.base]) {
      await expect.poll(async () => (await got(stagedoor.origin, `${base}video/2.m4s`)).status).toBe(200);
    }
    for (const cache of caches) {
      const counts = new Map<string, number>();
      await Promise.all(crowd.map(({ base }) => watch(cache, base, counts)));
      const asked = [...counts.values()].reduce((sum, count) => sum + count, 0);
      const hits = counts.get("200 HIT") ?? 0;
      const told = `${cache.name}: ${JSON.stringify(Object.fromEntries(counts))}`;
      test
        .info()
        .annotations.push({ type: "hit ratio", description: `${told}: ${(hits / asked).toFixed(3)}` });
      expect(asked).toBe(VIEWERS * (2 + 2 * PARTS));
      expect(hits / asked, told).toBeGreaterThanOrEqual(0.9);
      expect(
        [...counts.keys()].every((kind) => kind.startsWith("200 ")),
        told,
      ).toBe(true);

      // The same names in another event are another picture; nobody gets it with this token.
      const [first] = crowd;
      if (!first) throw new Error("nobody");
      const name = "video/2.m4s";
      const mine = await got(cache.origin, first.base + name);
      const theirs = await got(cache.origin, stranger.base + name);
      expect(mine.body.equals((await got(stagedoor.origin, first.base + name)).body)).toBe(true);
      expect(theirs.body.equals((await got(stagedoor.origin, stranger.base + name)).body)).toBe(true);
      expect(mine.body.equals(theirs.body)).toBe(false);
      const [, , token, stream] = first.base.split("/");
      const [, , , otherStream] = stranger.base.split("/");
      const refusals = [
        `/live/${token}/${otherStream}/${name}`,
        `/live/${token?.slice(0, -1)}A/${stream}/${name}`,
        `/live/x/${stream}/${name}`,
        `/live/x/${stream}/index.m3u8`,
        // A key of a cache is not an address.
        `/live/${stream}/${name}`,
        `/live/shared/${stream}/${name}`,
        `/live//${stream}/${name}`,
        `/live/${token}%2f..%2fx/${stream}/${name}`,
        `/live/x%0d%0aX-A:%20b/${stream}/${name}`,
        `/live/x/../${token}x/${stream}/${name}`,
      ];
      for (const path of refusals) {
        const refused = await got(cache.origin, path);
        expect([400, 403, 404], `${cache.name} ${path}: ${refused.status}`).toContain(refused.status);
        expect(refused.cache, path).not.toBe("HIT");
      }
      for (const path of [
        `/media/${stream}/${name}`,
        `/${stream}/${name}`,
        "/metrics",
        "/stagedoor-authorize",
        "https://stage.example.org/metrics",
      ]) {
        expect((await got(cache.origin, path, { "x-stagedoor-token": token ?? "" })).status, path).toBe(404);
      }
      const told403 = await got(cache.origin, refusals[2] ?? "");
      const direct403 = await got(stagedoor.origin, refusals[2] ?? "");
      expect(told403.body.toString()).toBe(direct403.body.toString());
      expect(told403.headers["access-control-allow-origin"]).toBe("*");

      // Addresses that look as if they could be kept, asked by somebody who is signed in and then by a stranger.
      const { code } = await stagedoor.invite(event.id, "Ada Lovelace");
      const entered = await fetch(`${cache.origin}/api/v1/events/${event.id}/sessions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ code }),
      });
      expect(entered.status).toBe(201);
      const cookie = String(entered.headers.get("set-cookie")).split(";")[0] ?? "";
      const current = `/api/v1/events/${event.id}/sessions/current`;
      expect((await got(cache.origin, current, { cookie })).body.toString()).toContain("Ada Lovelace");
      const tails = [
        "",
        "/x.css",
        ";x.css",
        "?x.css",
        "%2fx.css",
        "%3fx.css",
        "/..%2fvideo/1.m4s",
        "/%2e%2e/x.m4s",
        ".m4s",
      ];
      for (const tail of tails) {
        await got(cache.origin, current + tail, { cookie });
        const stolen = await got(cache.origin, current + tail);
        expect(stolen.body.toString(), `${cache.name} ${tail}`).not.toContain("Ada Lovelace");
        expect(stolen.status, `${cache.name} ${tail}`).toBeGreaterThanOrEqual(400);
        expect(stolen.headers["set-cookie"], tail).toBeUndefined();
        expect(stolen.cache, tail).not.toBe("HIT");
      }
      // What does not exist is not kept either: it may exist in a moment.
      const ahead = `${first.base}video/999999.m4s`;
      for (let again = 0; again < 2; again += 1) {
        const missing = await got(cache.origin, ahead);
        expect([missing.status, missing.cache === "HIT"]).toEqual([404, false]);
      }
    }

    // Sent out: what every cache has is refused with the next request, and the others go on.
    const [kicked, stays] = [crowd[1], crowd[2]];
    if (!kicked || !stays) throw new Error("nobody");
    for (const cache of caches) {
      expect((await got(cache.origin, `${kicked.base}video/2.m4s`)).cache).toBe("HIT");
    }
    await stagedoor.api("POST", `/events/${event.id}/viewers/${kicked.session.id}/kick`, {});
    const began = performance.now();
    for (const cache of caches) {
      for (const name of ["video/2.m4s", "video/index.m3u8", "index.m3u8", "video/init.0.mp4"]) {
        expect((await got(cache.origin, kicked.base + name)).status, `${cache.name} ${name}`).toBe(403);
      }
      expect((await got(cache.origin, `${stays.base}video/2.m4s`)).cache).toBe("HIT");
    }
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(nameless(stays.session.playback.hls)).not.toContain(stays.base.split("/")[2] ?? "");
  } finally {
    await Promise.all(caches.map((cache) => cache.stop()));
  }
});

/** The bytes of a request for `path`. */
function head(path: string, headers: Record<string, string>): string {
  const lines = Object.entries({ host: "127.0.0.1", ...headers }).map(([name, value]) => `${name}: ${value}`);
  return [`GET ${path} HTTP/1.1`, ...lines, "", ""].join("\r\n");
}

const UPGRADE = {
  connection: "upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
};

/**
 * All that comes on one connection, until its end or until it is `enough`: `first` is sent at once, `second` with it or,
 * `afterwards`, as soon as something has come.
 */
function heard(
  origin: string,
  first: string,
  { second = "", afterwards = false, from = "127.0.0.1", enough = (_text: string): boolean => false } = {},
): Promise<string> {
  const { hostname, port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), localAddress: from });
    let text = "";
    const limit = setTimeout(() => {
      socket.destroy();
      reject(new Error(`the connection goes on: ${text}`));
    }, 8_000);
    socket.on("connect", () => socket.write(afterwards ? first : first + second));
    socket.on("data", (piece: Buffer) => {
      if (afterwards && text === "") socket.write(second);
      text += piece.toString("latin1");
      if (enough(text)) socket.destroy();
    });
    // Whoever is hung up on may not write any more; what came before counts.
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(limit);
      resolve(text);
    });
  });
}

/** The statuses of the answers in it. */
function statuses(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));
}

test("nothing follows a request for a WebSocket to the server as if a proxy had said it, and the feeds go on", async () => {
  test.setTimeout(120_000);
  const quota = 60;
  const server = await Stagedoor.start({
    STAGEDOOR_HTTP_TRUSTED_PROXIES: '["127.0.0.1"]',
    STAGEDOOR_ACCESS_REQUESTS_PER_ADDRESS: String(quota),
  });
  const caches: Cache[] = [];
  try {
    caches.push(await nginx(server.origin));
    caches.push(await varnish(server.origin));
    const event = await server.createEvent("Evening");
    const feeds = [
      `/api/v1/events/${event.id}/feed`,
      `/api/v1/events/${event.id}/sessions/current/feed`,
      `/api/v1/events/${event.id}/takeovers/tko_00000000000000000000000000/feed`,
    ];
    const forged = { "x-forwarded-for": "127.0.0.1" };
    // What must not come through does exist.
    const secret = "http_requests_total";
    expect((await got(server.origin, "/metrics", forged)).body.toString()).toContain(secret);
    for (const cache of caches) {
      for (const path of ["/livez", ...feeds, `${feeds[0]}?after=1`]) {
        for (const afterwards of [false, true]) {
          const second = head("/metrics", { ...forged, connection: "close" });
          const text = await heard(cache.origin, head(path, UPGRADE), { second, afterwards });
          const told = `${cache.name} ${path}: ${text}`;
          expect(text, told).not.toContain(secret);
          const [one, two] = statuses(text);
          expect(path === "/livez" ? [200] : [401, 404], told).toContain(one);
          expect([undefined, 404], told).toContain(two);
        }
      }

      // Real ones: an organiser's with a token, a viewer's with their cookie.
      const { code } = await server.invite(event.id, "Ada Lovelace");
      const entered = await fetch(`${cache.origin}/api/v1/events/${event.id}/sessions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ code }),
      });
      expect(entered.status).toBe(201);
      const cookie = String(entered.headers.get("set-cookie")).split(";")[0] ?? "";
      for (const [path, shown] of [
        [feeds[0] ?? "", { authorization: `Bearer ${server.demo.api_token}` }],
        [feeds[1] ?? "", { cookie, origin: "http://127.0.0.1" }],
      ] as [string, Record<string, string>][]) {
        const enough = (text: string) => text.includes('"type":');
        const text = await heard(cache.origin, head(path, { ...UPGRADE, ...shown }), { enough });
        expect(statuses(text), `${cache.name} ${path}: ${text}`).toEqual([101]);
        expect(text, `${cache.name} ${path}`).toContain('"type":');
      }
    }

    // Whoever asks for a feed is counted by their own address: whatever they say, and also when they say that the header
    // is for the proxy alone, which Varnish takes for no request at all.
    for (const [at, cache] of caches.entries()) {
      for (const [form, connection] of ["upgrade", "upgrade, x-forwarded-for"].entries()) {
        const asks = async (from: string, said: string) => {
          const headers = { ...UPGRADE, connection, "x-forwarded-for": said };
          const enough = (text: string) => text.includes("\r\n\r\n");
          return statuses(await heard(cache.origin, head(feeds[1] ?? "", headers), { from, enough }))[0];
        };
        const told = `${cache.name}, connection: ${connection}`;
        const [many, other] = [`127.${form}.${at + 1}.2`, `127.${form}.${at + 1}.3`];
        const answers = [];
        for (let time = 1; time <= 2 * quota; time += 1) answers.push(await asks(many, `203.0.113.${time}`));
        const refused = form === 1 && answers.every((status) => status === 400);
        if (!refused) expect(answers, told).toContain(429);
        expect(await asks(other, many), told).toBe(refused ? 400 : 401);
      }
    }
  } finally {
    await Promise.all(caches.map((cache) => cache.stop()));
    await server.stop();
  }
});

test("what goes wrong behind nginx is in its log, and no token is", async () => {
  const token = "a_token_that_nobody_should_read";
  const names = ["index.m3u8", "video/index.m3u8?_HLS_msn=1", "video/1.m4s", "key/1", "licence", "x"];
  // Breaks off at the question, and then at the answer.
  let says = false;
  const origin = createServer((asked, answer) => {
    if (asked.url === "/livez") answer.end("ok");
    else if (says && asked.url?.startsWith("/authorize/")) answer.writeHead(204).end();
    else asked.socket.destroy();
  });
  await new Promise<void>((resolve) => origin.listen(0, "127.0.0.1", resolve));
  const cache = await nginx(`http://127.0.0.1:${(origin.address() as AddressInfo).port}`);
  try {
    const fails = async (mark: string) => {
      for (const name of names) {
        const { status } = await got(cache.origin, `/live/${token}/str_1a/${name}`);
        expect(status, name).toBeGreaterThanOrEqual(500);
      }
      expect((await got(cache.origin, `/api/v1/${mark}`)).status).toBe(502);
      await expect.poll(() => cache.log()).toContain(mark);
      expect(cache.log()).not.toContain(token);
    };
    await fails("at-the-question");
    says = true;
    await fails("at-the-answer");
    origin.closeAllConnections();
    await new Promise((resolve) => origin.close(resolve));
    await fails("nobody-there");
  } finally {
    origin.closeAllConnections();
    origin.close();
    await cache.stop();
  }
});

test("nginx takes the configuration as it is shipped, with TLS", async () => {
  const { code, output } = await nginxJudges();
  expect(code, output).toBe(0);
});

test("the functions for CloudFront ask about everyone and take the token out of the address", async () => {
  const { made } = (await import("../../deploy/cloudfront/viewer-request.mjs" as string)) as {
    made: (ask: (path: string) => Promise<boolean>) => (event: unknown) => Promise<Record<string, unknown>>;
  };
  const { handler: back } = (await import("../../deploy/cloudfront/origin-request.mjs" as string)) as {
    handler: (event: unknown) => Promise<Record<string, unknown>>;
  };
  const asked: string[] = [];
  const edgeOf = made(async (path) => {
    asked.push(path);
    return path.includes("/good/");
  });
  const event = (uri: string, querystring = "") => ({
    Records: [
      {
        cf: {
          request: {
            uri,
            querystring,
            headers: {
              cookie: [{ key: "Cookie", value: "a=b" }],
              "x-stagedoor-token": [{ key: "x-stagedoor-token", value: "brought" }],
            } as Record<string, { key: string; value: string }[]>,
          },
        },
      },
    ],
  });
  const part = event("/live/good/str_1a/video/7.1.m4s", "x=1");
  expect(await edgeOf(part)).toMatchObject({
    uri: "/live/shared/str_1a/video/7.1.m4s",
    querystring: "",
    headers: { "x-stagedoor-token": [{ value: "good" }] },
  });
  expect(part.Records[0]?.cf.request.headers["cookie"]).toBeUndefined();
  expect(await back(part)).toMatchObject({ uri: "/live/good/str_1a/video/7.1.m4s", headers: {} });
  expect(part.Records[0]?.cf.request.headers["x-stagedoor-token"]).toBeUndefined();
  const list = event("/live/good/str_1a/index.m3u8", "_HLS_msn=7");
  expect(await edgeOf(list)).toMatchObject({
    uri: "/live/shared/str_1a/index.m3u8",
    querystring: "_HLS_msn=7",
  });
  // Keys are one viewer's own, and the server answers each by itself: nobody is asked, and the token stays.
  for (const uri of [
    "/live/good/str_1a/key/812",
    "/live/good/str_1a/licence",
    "/live/bad/str_1a/key/812",
    "/live/bad/str_1a/licence",
  ]) {
    const key = event(uri, "x=1");
    expect(await edgeOf(key), uri).toMatchObject({
      uri,
      querystring: "x=1",
      headers: { cookie: [{ value: "a=b" }] },
    });
    expect(key.Records[0]?.cf.request.headers["x-stagedoor-token"], uri).toBeUndefined();
    expect(await back(key), uri).toMatchObject({ uri });
  }
  for (const uri of [
    "/live/good/str_1a/key/812/x.css",
    "/live/good/str_1a/key/812.m4s",
    "/live/good/str_1a/key/",
    "/live/good/str_1a/key/../video/7.1.m4s",
    "/live/good/str_1a/video/key/812",
    "/live/good/str_1a/licence/7.1.m4s",
    "/live/good/str_1a/video/licence",
    "/live/good/x/key/812",
    "/live/key/812",
    "/live/bad/str_1a/video/7.1.m4s",
    "/live/good/str_1a/video/7.1.m4s/x.css",
    "/live/shared/str_1a/video/7.1.m4s",
    "/live/good/../x",
  ]) {
    expect(await edgeOf(event(uri)), uri).toMatchObject({ status: "403" });
  }
  const page = event("/e/evt_1");
  expect(await edgeOf(page)).toMatchObject({ uri: "/e/evt_1" });
  expect(page.Records[0]?.cf.request.headers["x-stagedoor-token"], "nobody brings it along").toBeUndefined();
  expect(asked).toEqual([
    "/live/good/str_1a/video/7.1.m4s",
    "/live/good/str_1a/index.m3u8",
    "/live/bad/str_1a/video/7.1.m4s",
    "/live/shared/str_1a/video/7.1.m4s",
  ]);
});
