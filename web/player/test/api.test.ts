import { afterEach, describe, expect, test, vi } from "vitest";
import { ServerClock } from "../src/model/clock.ts";
import { Api, cautionOf, retryAfter } from "../src/net/api.ts";

afterEach(() => void vi.unstubAllGlobals());

const CODE = "ABCDEFGHJKLM";
const SESSION = {
  id: "ses_1",
  event: "evt_1",
  title: "Premiere",
  name: "Ana",
  state: "away",
  expires_at: null,
  playback: { hls: "http://h/live/t/str_1/index.m3u8" },
  feed: "/api/v1/events/evt_1/sessions/current/feed",
};

/** An API whose server answers everything with this. */
function answering(status: number, body: unknown = {}, headers: Record<string, string> = {}): Api {
  const response = () => new Response(body === undefined ? null : JSON.stringify(body), { status, headers });
  vi.stubGlobal("fetch", async () => response());
  return new Api("evt_1", new ServerClock());
}
const signal = new AbortController().signal;

describe("redeeming a code", () => {
  test("gives the session", async () => {
    expect(await answering(201, SESSION).redeem(CODE, null, 0, signal)).toEqual({
      type: "session",
      session: { id: "ses_1", name: "Ana", hls: SESSION.playback.hls, feed: SESSION.feed, guard: null },
      event: { title: "Premiere", startsAt: null },
      broadcast: "away",
    });
  });

  test("gives what the server wants guarded, and nothing that is only half of it", async () => {
    const guardOf = async (guard: unknown) => {
      const answer = await answering(201, { ...SESSION, guard }).redeem(CODE, null, 0, signal);
      return answer?.type === "session" ? answer.session.guard : undefined;
    };
    const watermark = { lines: ["Ana", "", "7Q2M-XK"], seed: "00" };
    expect(await guardOf({ heartbeat_key: "AA", heartbeat_s: 5, action: "log", watermark })).toEqual({
      heartbeatKey: "AA",
      heartbeatMs: 5_000,
      watermark: { lines: ["Ana", "7Q2M-XK"], seed: "00" },
    });
    expect(await guardOf({ heartbeat_key: "AA", watermark: { lines: [], seed: "00" } })).toEqual({
      heartbeatKey: "AA",
      heartbeatMs: 5_000,
      watermark: null,
    });
    for (const none of [undefined, null, "log", { watermark }]) expect(await guardOf(none)).toBeNull();
  });

  test.each([
    [403, "code_invalid"],
    [410, "access_ended"],
    [410, "invitation_expired"],
    [410, "used_up"],
    [403, "blocked"],
    [409, "takeover_pending"],
  ])("%i %s is a refusal of that name", async (status, code) => {
    expect(await answering(status, { code }).redeem(CODE, null, 0, signal)).toEqual({
      type: "refused",
      refusal: code,
    });
  });

  test("too many attempts say how long to wait", async () => {
    const api = answering(429, { code: "too_many_attempts" }, { "retry-after": "42" });
    expect(await api.redeem(CODE, null, 0, signal)).toEqual({
      type: "refused",
      refusal: "too_many_attempts",
      waitMs: 42_000,
    });
  });

  test("a proof that is wanted is a challenge, in the problem or in an object", async () => {
    const challenge = { type: "challenge", challenge: { challenge: "c", bits: 18 } };
    const flat = answering(429, { code: "proof_required", challenge: "c", bits: 18 });
    expect(await flat.redeem(CODE, null, 0, signal)).toEqual(challenge);
    const nested = answering(429, { code: "proof_required", challenge: { challenge: "c", bits: 18 } });
    expect(await nested.redeem(CODE, null, 0, signal)).toEqual(challenge);
  });

  test("a busy server is tried again, later each time", async () => {
    const waits = await Promise.all(
      [0, 1, 2, 9].map(async (tries) => answering(503).redeem(CODE, null, tries, signal)),
    );
    expect(waits.map((answer) => answer?.type === "submit_failed" && answer.waitMs)).toEqual([
      2_000, 4_000, 8_000, 30_000,
    ]);
  });

  test("no network is tried again as well", async () => {
    vi.stubGlobal("fetch", async () => Promise.reject(new TypeError("failed to fetch")));
    const answer = await new Api("evt_1", new ServerClock()).redeem(CODE, null, 0, signal);
    expect(answer).toEqual({ type: "submit_failed", trouble: "network", waitMs: 2_000 });
  });

  test("an answer that cannot be understood is nobody's fault", async () => {
    expect(await answering(201, { hello: 1 }).redeem(CODE, null, 0, signal)).toMatchObject({
      refusal: "unknown",
    });
    expect(await answering(418, "?").redeem(CODE, null, 0, signal)).toMatchObject({ refusal: "unknown" });
  });

  test("waits for the answer to a goodbye, which takes a cookie away", async () => {
    let goodbye = (_: Response) => {};
    const sent: string[] = [];
    vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
      sent.push(`${init.method} ${url}`);
      if (init.method !== "DELETE") return Promise.resolve(new Response(JSON.stringify(SESSION)));
      return new Promise<Response>((resolve) => {
        goodbye = resolve;
      });
    });
    const api = new Api("evt_1", new ServerClock());
    api.stopAsking("tko_1");
    const answer = api.redeem(CODE, null, 0, signal);
    await Promise.resolve();
    expect(sent).toEqual(["DELETE /api/v1/events/evt_1/takeovers/tko_1"]);
    goodbye(new Response(null, { status: 204 }));
    expect(await answer).toMatchObject({ type: "session" });
    expect(sent).toHaveLength(2);
  });

  test("a call that was called off answers nothing", async () => {
    const off = new AbortController();
    off.abort();
    vi.stubGlobal("fetch", async () => Promise.reject(new DOMException("aborted", "AbortError")));
    expect(await new Api("evt_1", new ServerClock()).redeem(CODE, null, 0, off.signal)).toBeNull();
  });
});

describe("an opened link", () => {
  test("is told with its code in the body, also by a page that is closed at once", () => {
    const sent: [string, RequestInit][] = [];
    vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
      sent.push([url, init]);
      return new Response(null, { status: 204 });
    });
    new Api("evt_1", new ServerClock()).opened(CODE);
    expect(sent).toHaveLength(1);
    const [url, init] = sent[0] ?? ["", {}];
    expect(url).toBe("/api/v1/events/evt_1/openings");
    expect(init).toMatchObject({
      method: "POST",
      keepalive: true,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ code: CODE }),
    });
  });

  test("that nobody hears of keeps nobody from coming in", async () => {
    vi.stubGlobal("fetch", (url: string) =>
      url.endsWith("/openings")
        ? Promise.reject(new TypeError("failed to fetch"))
        : Promise.resolve(new Response(JSON.stringify(SESSION), { status: 201 })),
    );
    const api = new Api("evt_1", new ServerClock());
    api.opened(CODE);
    expect(await api.redeem(CODE, null, 0, signal)).toMatchObject({ type: "session" });
  });
});

describe("asking who we are", () => {
  test.each([401, 403, 404, 410])("%i means: nobody", async (status) => {
    expect(await answering(status, { code: "x" }).current(signal)).toEqual({ type: "no_session" });
  });
  test.each([429, 500, 503])("%i says nothing about us", async (status) => {
    expect(await answering(status).current(signal)).toEqual({ type: "trouble", trouble: "busy" });
  });
});

test("the open door tells title, start and state, and an unknown event", async () => {
  const body = { event: "evt_1", title: "Premiere", starts_at: "2026-11-21T19:30:00.000Z", state: "idle" };
  expect(await answering(200, body).door(signal)).toEqual({
    type: "door",
    event: { title: "Premiere", startsAt: Date.parse(body.starts_at) },
    broadcast: "idle",
    elsewhere: null,
  });
  expect(await answering(200, { ...body, refusal: "country_refused" }).door(signal)).toMatchObject({
    elsewhere: "country_refused",
  });
  expect(await answering(404).door(signal)).toEqual({ type: "missing" });
});

test("Retry-After is seconds or a date, bounded", () => {
  const now = Date.parse("2026-11-21T10:00:00Z");
  expect(retryAfter("30", now)).toBe(30_000);
  expect(retryAfter("Sat, 21 Nov 2026 10:01:00 GMT", now)).toBe(60_000);
  expect(retryAfter("86400", now)).toBe(900_000);
  expect(retryAfter("-3", now)).toBe(0);
  expect(retryAfter("soon", now)).toBeNull();
  expect(retryAfter(null, now)).toBeNull();
});

describe("waiting", () => {
  const queue = { position: 3, ahead: 2, eta_ms: null, poll_ms: 2_000 };
  const place = { position: 3, etaMs: null, pollMs: 2_000 };

  test("a full house answers a right code with a place", async () => {
    const api = answering(202, { waiting: "queue", queue });
    expect(await api.redeem(CODE, null, 0, signal)).toEqual({ type: "queued", place });
    expect(await answering(200, { waiting: "queue", queue }).queue(signal)).toEqual({
      type: "queued",
      place,
    });
    expect(await answering(200, { admitted: true }).queue(signal)).toEqual({ type: "admitted" });
    expect(await answering(404, { code: "no_place" }).queue(signal)).toEqual({ type: "no_place" });
  });

  test("a server that cannot be asked, or asks to be asked all the time, costs nothing", async () => {
    expect(await answering(503).queue(signal)).toBeNull();
    const eager = await answering(200, { waiting: "queue", queue: { ...queue, poll_ms: 1 } }).queue(signal);
    expect(eager).toMatchObject({ place: { pollMs: 1_000 } });
  });

  test("a code in use is a question to the other screen", async () => {
    const takeover = { id: "tko_1", device: "Firefox", expires_at: "2026-11-21T10:01:00.000Z" };
    const expiresAt = Date.parse(takeover.expires_at);
    const api = answering(202, { waiting: "takeover", takeover });
    expect(await api.redeem(CODE, null, 0, signal)).toEqual({
      type: "asked",
      asking: { id: "tko_1", device: "Firefox", expiresAt },
    });
    const state = { state: "declined", expires_at: takeover.expires_at };
    expect(await answering(200, state).asking("tko_1", signal)).toEqual({
      type: "asking_state",
      id: "tko_1",
      state: "declined",
      expiresAt,
    });
    expect(await answering(404).asking("tko_1", signal)).toMatchObject({ state: "cancelled" });
    expect(await answering(500).asking("tko_1", signal)).toBeNull();
  });

  test("something else to wait for is from a newer server", async () => {
    expect(await answering(202, { waiting: "tea" }).redeem(CODE, null, 0, signal)).toMatchObject({
      refusal: "unknown",
    });
  });
});

test("an answer is told until somebody heard it", async () => {
  expect(await answering(200, { state: "approved" }).answer("tko_1", true, signal)).toEqual({
    type: "takeover_over",
    id: "tko_1",
    state: "approved",
  });
  expect(await answering(404).answer("tko_1", true, signal)).toMatchObject({ state: "cancelled" });
  expect(await answering(503).answer("tko_1", true, signal)).toBeNull();
});

test("where nobody may watch is told apart from a wrong code", async () => {
  for (const code of ["country_refused", "network_refused"]) {
    const answer = { type: "elsewhere", why: code };
    expect(await answering(403, { code }).redeem(CODE, null, 0, signal)).toEqual(answer);
    expect(await answering(403, { code }).current(signal)).toEqual(answer);
  }
});

test("whom one may bring along, and nobody where the server knows of no guests", async () => {
  const guests = [
    { name: "Bob", state: "created", code: "ABCD", link: "http://h/#ABCD" },
    { name: "Eve", state: "redeemed" },
  ];
  expect(await answering(200, { guests, left: 2 }).guests(signal)).toEqual({
    type: "guests",
    list: [
      { name: "Bob", state: "created", link: "http://h/#ABCD" },
      { name: "Eve", state: "redeemed", link: null },
    ],
    left: 2,
  });
  expect(await answering(404).guests(signal)).toBeNull();
  expect(await answering(201, { code: "ABCD", link: "http://h/#ABCD" }).bring("Bob", signal)).toEqual({
    type: "brought",
    name: "Bob",
    code: "ABCD",
    link: "http://h/#ABCD",
  });
  expect(await answering(409).bring("Bob", signal)).toEqual({ type: "bring_failed" });
});

test("a caution that this page does not know is said in words, and not for ever", () => {
  expect(cautionOf({ action: "explode", signals: ["hidden", 7, "hidden", ""] })).toEqual({
    action: "warn",
    signals: ["hidden"],
  });
  const many = Array.from({ length: 20 }, (_, i) => `signal_${i}`);
  expect(cautionOf({ action: "pause", signals: many }).signals).toHaveLength(8);
  expect(cautionOf({ action: "blur" })).toEqual({ action: "blur", signals: [] });
});
