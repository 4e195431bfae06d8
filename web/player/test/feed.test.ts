import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Feed } from "../src/net/feed.ts";

class FakeSocket extends EventTarget {
  static readonly OPEN = 1;
  static all: FakeSocket[] = [];
  readyState = 0;

  constructor(readonly url: URL) {
    super();
    FakeSocket.all.push(this);
  }
  send(): void {}
  close(): void {
    this.readyState = 3;
  }
  opens(): void {
    this.readyState = FakeSocket.OPEN;
    this.dispatchEvent(new Event("open"));
  }
  says(message: object): void {
    this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(message) }));
  }
}

const page = new EventTarget();
let feed: Feed;
let lost = 0;
let beats: string[] = [];
let asked: (boolean | null)[] = [];

/** The socket that was opened last. */
function last(): FakeSocket {
  const socket = FakeSocket.all.at(-1);
  if (socket === undefined) throw new Error("nothing was opened");
  return socket;
}

/** Time passes with a sign of life every five seconds. */
function passWith(message: object, seconds: number): void {
  for (let passed = 0; passed < seconds; passed += 5) {
    vi.advanceTimersByTime(5_000);
    last().says(message);
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("window", new EventTarget());
  vi.stubGlobal("document", page);
  vi.stubGlobal("location", { href: "https://stage.test/e/1" });
  [FakeSocket.all, lost, beats, asked] = [[], 0, [], []];
  feed = new Feed("/feed", {
    open: () => {},
    lost: () => {
      lost += 1;
    },
    state: () => {},
    bye: () => {},
    takeover: () => {},
    takeoverOver: () => {},
    guarded: (mark) => void asked.push(mark),
    beat: (nonce) => {
      beats.push(nonce);
      return null;
    },
    caution: () => {},
    report: () => ({
      latency_ms: null,
      height: null,
      stalls: 0,
      position_ms: null,
      visible: true,
      playing: true,
    }),
  });
});

afterEach(() => {
  feed.close();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test("an open socket that falls silent is lost, and another one takes its place", () => {
  last().opens();
  passWith({ type: "challenge", nonce: "a" }, 60);
  expect([FakeSocket.all.length, lost, beats.length]).toEqual([1, 0, 12]);
  vi.advanceTimersByTime(15_000);
  expect(lost).toBe(0);
  vi.advanceTimersByTime(3_000);
  expect([lost, FakeSocket.all[0]?.readyState]).toEqual([1, 3]);
  vi.advanceTimersByTime(500);
  expect(FakeSocket.all.length).toBe(2);
  last().opens();
  passWith({ type: "challenge", nonce: "b" }, 60);
  expect([FakeSocket.all.length, lost]).toEqual([2, 1]);
});

test("where nobody asks, it is enough that the server says that it is there", () => {
  last().opens();
  passWith({ type: "alive" }, 600);
  expect([FakeSocket.all.length, lost]).toEqual([1, 0]);
});

test("a message that this page does not understand is a sign of life", () => {
  last().opens();
  passWith({ type: "new" }, 60);
  expect([FakeSocket.all.length, lost]).toEqual([1, 0]);
});

test("a timer that comes late goes by the last message", () => {
  last().opens();
  vi.setSystemTime(Date.now() + 60_000);
  last().says({ type: "alive" });
  vi.advanceTimersByTime(4_000);
  expect(lost).toBe(0);
});

test("a machine that slept connects again once", () => {
  last().opens();
  vi.setSystemTime(Date.now() + 3_600_000);
  page.dispatchEvent(new Event("visibilitychange"));
  page.dispatchEvent(new Event("visibilitychange"));
  vi.advanceTimersByTime(500);
  expect([FakeSocket.all.length, lost]).toEqual([2, 1]);
  last().opens();
  passWith({ type: "alive" }, 60);
  expect([FakeSocket.all.length, lost]).toEqual([2, 1]);
});

test("a clock that was set back delays nothing", () => {
  last().opens();
  vi.setSystemTime(Date.now() - 3_600_000);
  vi.advanceTimersByTime(18_500);
  expect([FakeSocket.all.length, lost]).toEqual([2, 1]);
});

test("says how the event is guarded, as far as the server says it", () => {
  last().opens();
  last().says({ type: "challenge", nonce: "a", watermark: true });
  last().says({ type: "challenge", nonce: "b", watermark: false });
  last().says({ type: "challenge", nonce: "c" });
  last().says({ type: "alive" });
  expect(asked).toEqual([true, false, null]);
  expect(beats).toEqual(["a", "b", "c"]);
});
