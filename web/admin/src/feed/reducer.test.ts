import { describe, expect, it } from "vitest";
import { aStream, aViewer, someCounters } from "../testing.ts";
import {
  bitrateOf,
  emptyRoom,
  type FeedMessage,
  HISTORY_MAX,
  parseFeedMessage,
  type Room,
  reduceRoom,
} from "./reducer.ts";

const say = (room: Room, message: FeedMessage, at = 1_000) =>
  reduceRoom(room, { type: "message", message, at });
const lost = (room: Room, at: number, heardAt: number | null = null) =>
  reduceRoom(room, { type: "lost", at, retryAt: at + 500, heardAt });

const snapshot = (watching = 1, more = false): FeedMessage => ({
  type: "snapshot",
  seq: 1,
  stream: aStream({ state: "live" }),
  counters: someCounters({ watching }),
  viewers: [aViewer({})],
  more,
});
const viewers = (over: Partial<Extract<FeedMessage, { type: "viewers" }>>): FeedMessage => ({
  type: "viewers",
  seq: 2,
  joined: [],
  changed: [],
  left: [],
  watching: 1,
  ...over,
});
const counters = (watching: number): FeedMessage => ({
  type: "counters",
  seq: 3,
  counters: someCounters({ watching }),
});

describe("the feed reducer", () => {
  it("knows nothing before the first snapshot", () => {
    expect(emptyRoom.stream).toBeNull();
    expect(emptyRoom.counters).toBeNull();
    expect(emptyRoom.freshAt).toBeNull();
    expect(emptyRoom.link).toEqual({ kind: "connecting" });
  });

  it("takes everything from a snapshot and calls the connection open", () => {
    const room = say(emptyRoom, snapshot(5), 5_000);
    expect(room.link).toEqual({ kind: "open" });
    expect([room.watching, room.counters?.watching, room.freshAt, room.complete]).toEqual([
      5,
      5,
      5_000,
      true,
    ]);
  });

  it("is complete with the last piece of a snapshot", () => {
    let room = say(emptyRoom, snapshot(1, true));
    expect(room.complete).toBe(false);
    room = say(room, { type: "rows", viewers: [], more: true });
    expect(room.complete).toBe(false);
    expect(say(room, { type: "rows", viewers: [], more: false }).complete).toBe(true);
  });

  it("is the same room when only rows changed, so that nothing is drawn", () => {
    const before = say(emptyRoom, snapshot(1));
    expect(say(before, viewers({ watching: 1 }))).toBe(before);
    expect(say(before, { type: "changed", seq: 9, topics: ["invitations"] })).toBe(before);
  });

  it("believes the server's count and never counts by itself", () => {
    const room = say(say(emptyRoom, snapshot(2)), viewers({ watching: 1 }));
    expect(room.watching).toBe(1);
    expect(say(room, counters(7)).watching).toBe(7);
  });

  it("replaces the stream and leaves the rest alone", () => {
    const before = say(emptyRoom, snapshot());
    const room = say(before, { type: "stream", seq: 4, stream: aStream({ state: "away" }) });
    expect(room.stream?.state).toBe("away");
    expect(room.counters).toBe(before.counters);
  });

  it("counts turnover when people come or go", () => {
    const start = say(emptyRoom, snapshot());
    const came = say(start, viewers({ joined: [aViewer({ session: "ses_b" })], watching: 2 }));
    expect(came.turnover).toBe(start.turnover + 1);
    expect(say(came, viewers({ left: ["ses_b"] })).turnover).toBe(start.turnover + 2);
  });

  it("ignores a message from a newer server", () => {
    const room = say(emptyRoom, snapshot());
    expect(say(room, { type: "weather" } as unknown as FeedMessage)).toBe(room);
  });
});

describe("a lost connection", () => {
  it("keeps what was last known and says since when it is old", () => {
    const room = lost(say(emptyRoom, snapshot(3)), 10_000, 9_000);
    expect(room.link).toEqual({ kind: "lost", since: 10_000, retryAt: 10_500 });
    expect([room.watching, room.freshAt]).toEqual([3, 9_000]);
  });

  it("counts from the first loss over many failed attempts", () => {
    let room = lost(emptyRoom, 10_000);
    room = reduceRoom(room, { type: "connecting" });
    room = lost(room, 12_000);
    expect(room.link).toEqual({ kind: "lost", since: 10_000, retryAt: 12_500 });
  });

  it("stays lost when the socket opens and heals with what comes first", () => {
    let room = lost(say(emptyRoom, snapshot()), 10_000);
    room = reduceRoom(room, { type: "connecting" });
    room = reduceRoom(room, { type: "open" });
    expect(room.link.kind).toBe("lost");
    expect(say(room, snapshot(), 11_000).link).toEqual({ kind: "open" });
    expect(say(room, { type: "resumed", seq: 1 }).link).toEqual({ kind: "open" });
  });

  it("asks the lists beside the feed to look again after a new snapshot", () => {
    const before = say(emptyRoom, snapshot());
    expect(say(lost(before, 10_000), snapshot()).turnover).toBe(before.turnover + 1);
  });
});

describe("history", () => {
  it("is bounded", () => {
    let room = say(emptyRoom, snapshot());
    for (let at = 0; at < HISTORY_MAX * 3; at++) room = say(room, counters(at), at);
    expect(room.audience).toHaveLength(HISTORY_MAX);
    expect(room.audience.at(-1)).toEqual({ at: HISTORY_MAX * 3 - 1, value: HISTORY_MAX * 3 - 1 });
  });

  it("adds video and audio, and is zero when nothing arrives", () => {
    expect(bitrateOf(aStream({ state: "live" }))).toBe(2_628_000);
    expect(bitrateOf(aStream({ state: "away" }))).toBe(0);
    expect(bitrateOf(aStream({ state: "live", video: null }))).toBe(128_000);
  });
});

describe("reading a message", () => {
  it("reads each kind", () => {
    for (const message of [
      snapshot(),
      { type: "rows", viewers: [], more: false },
      { type: "resumed", seq: 4 },
      { type: "stream", seq: 5, stream: aStream({}) },
      viewers({}),
      counters(1),
      { type: "changed", seq: 6, topics: ["imports"] },
    ]) {
      expect(parseFeedMessage(JSON.stringify(message))).toEqual(message);
    }
  });

  it.each([
    "",
    "null",
    "[]",
    "{}",
    "{not json",
    '"snapshot"',
    '{"type":"snapshot"}',
    '{"type":"snapshot","seq":1,"stream":null,"counters":{"watching":0},"viewers":[],"more":false}',
    '{"type":"snapshot","seq":1,"stream":{},"counters":{"watching":-1},"viewers":[],"more":false}',
    '{"type":"snapshot","seq":1,"stream":{},"counters":{"watching":1},"viewers":{},"more":false}',
    '{"type":"viewers","seq":1,"joined":[],"changed":[],"watching":1}',
    '{"type":"viewers","joined":[],"changed":[],"left":[],"watching":1}',
    '{"type":"stream","seq":1,"stream":7}',
    '{"type":"resumed","seq":"1"}',
    '{"type":"rows","viewers":[]}',
    '{"type":"changed","seq":1,"topics":"x"}',
    '{"type":"weather"}',
  ])("refuses %s", (text) => {
    expect(parseFeedMessage(text)).toBeNull();
  });
});
