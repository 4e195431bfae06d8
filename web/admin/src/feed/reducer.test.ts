import { describe, expect, it } from "vitest";
import { aStream, aViewer } from "../testing.ts";
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

const snapshot = (ids: string[], watching = ids.length): FeedMessage => ({
  type: "snapshot",
  stream: aStream({ state: "live" }),
  viewers: ids.map((session) => aViewer({ session })),
  watching,
});

describe("the feed reducer", () => {
  it("knows nothing before the first snapshot", () => {
    expect(emptyRoom.stream).toBeNull();
    expect(emptyRoom.freshAt).toBeNull();
    expect(emptyRoom.link).toEqual({ kind: "connecting" });
  });

  it("takes everything from a snapshot and calls the connection open", () => {
    const room = say(emptyRoom, snapshot(["ses_a", "ses_b"], 1), 5_000);
    expect(room.link).toEqual({ kind: "open" });
    expect([...room.viewers.keys()]).toEqual(["ses_a", "ses_b"]);
    expect(room.watching).toBe(1);
    expect(room.freshAt).toBe(5_000);
  });

  it("adds who joined, changes who changed, removes who left", () => {
    let room = say(emptyRoom, snapshot(["ses_a", "ses_b"]));
    room = say(room, {
      type: "viewers",
      joined: [aViewer({ session: "ses_c", name: "Cleo" })],
      changed: [aViewer({ session: "ses_a", stalls: 3 })],
      left: ["ses_b"],
      watching: 2,
    });
    expect([...room.viewers.keys()]).toEqual(["ses_a", "ses_c"]);
    expect(room.viewers.get("ses_a")?.stalls).toBe(3);
    expect(room.viewers.get("ses_c")?.name).toBe("Cleo");
  });

  it("keeps a viewer who joined and left within one message out", () => {
    const room = say(say(emptyRoom, snapshot([])), {
      type: "viewers",
      joined: [aViewer({ session: "ses_x" })],
      changed: [],
      left: ["ses_x"],
      watching: 0,
    });
    expect(room.viewers.size).toBe(0);
  });

  it("shows a viewer it only hears of as changed", () => {
    const room = say(say(emptyRoom, snapshot([])), {
      type: "viewers",
      joined: [],
      changed: [aViewer({ session: "ses_late" })],
      left: [],
      watching: 1,
    });
    expect(room.viewers.has("ses_late")).toBe(true);
  });

  it("believes the server's count and never counts by itself", () => {
    const room = say(say(emptyRoom, snapshot(["ses_a", "ses_b"], 2)), {
      type: "viewers",
      joined: [],
      changed: [aViewer({ session: "ses_a", watching: false })],
      left: [],
      watching: 1,
    });
    expect(room.viewers.size).toBe(2);
    expect(room.watching).toBe(1);
  });

  it("does not touch the room it was given", () => {
    const before = say(emptyRoom, snapshot(["ses_a"]));
    say(before, { type: "viewers", joined: [], changed: [], left: ["ses_a"], watching: 0 });
    expect(before.viewers.has("ses_a")).toBe(true);
  });

  it("replaces the stream and leaves the viewers alone", () => {
    const before = say(emptyRoom, snapshot(["ses_a"]));
    const room = say(before, { type: "stream", stream: aStream({ state: "away" }) });
    expect(room.stream?.state).toBe("away");
    expect(room.viewers).toBe(before.viewers);
  });

  it("counts turnover when people come or go, not when their numbers change", () => {
    const start = say(emptyRoom, snapshot(["ses_a"]));
    const changed = say(start, {
      type: "viewers",
      joined: [],
      changed: [aViewer({ session: "ses_a", latency_ms: 900 })],
      left: [],
      watching: 1,
    });
    expect(changed.turnover).toBe(start.turnover);
    const left = say(changed, {
      type: "viewers",
      joined: [],
      changed: [],
      left: ["ses_a"],
      watching: 0,
    });
    expect(left.turnover).toBe(start.turnover + 1);
  });

  it("ignores a message from a newer server", () => {
    const room = say(emptyRoom, snapshot(["ses_a"]));
    expect(say(room, { type: "weather" } as unknown as FeedMessage)).toBe(room);
  });
});

describe("a lost connection", () => {
  it("keeps what was last known and says since when it is old", () => {
    const room = reduceRoom(say(emptyRoom, snapshot(["ses_a"])), {
      type: "lost",
      at: 10_000,
      retryAt: 10_500,
    });
    expect(room.link).toEqual({ kind: "lost", since: 10_000, retryAt: 10_500 });
    expect(room.viewers.size).toBe(1);
  });

  it("counts from the first loss over many failed attempts", () => {
    let room = reduceRoom(emptyRoom, { type: "lost", at: 10_000, retryAt: 10_500 });
    room = reduceRoom(room, { type: "connecting" });
    room = reduceRoom(room, { type: "lost", at: 12_000, retryAt: 14_000 });
    expect(room.link).toEqual({ kind: "lost", since: 10_000, retryAt: 14_000 });
  });

  it("stays lost when the socket opens and heals with the snapshot", () => {
    let room = reduceRoom(emptyRoom, { type: "lost", at: 10_000, retryAt: 10_500 });
    room = reduceRoom(room, { type: "connecting" });
    room = reduceRoom(room, { type: "open" });
    expect(room.link.kind).toBe("lost");
    room = say(room, snapshot(["ses_new"]), 11_000);
    expect(room.link).toEqual({ kind: "open" });
  });

  it("misses nothing: who left while it was down is gone after the snapshot", () => {
    let room = say(emptyRoom, snapshot(["ses_a", "ses_b"]));
    room = reduceRoom(room, { type: "lost", at: 10_000, retryAt: 10_500 });
    room = say(room, snapshot(["ses_b", "ses_c"]), 12_000);
    expect([...room.viewers.keys()]).toEqual(["ses_b", "ses_c"]);
  });

  it("asks the lists beside the feed to look again after healing", () => {
    const before = say(emptyRoom, snapshot(["ses_a"]));
    const lost = reduceRoom(before, { type: "lost", at: 10_000, retryAt: 10_500 });
    expect(say(lost, snapshot(["ses_a"])).turnover).toBe(before.turnover + 1);
  });
});

describe("history", () => {
  it("is bounded", () => {
    let room = emptyRoom;
    for (let at = 0; at < HISTORY_MAX * 3; at++) room = say(room, snapshot(["ses_a"]), at);
    expect(room.bitrate).toHaveLength(HISTORY_MAX);
    expect(room.audience).toHaveLength(HISTORY_MAX);
    expect(room.audience.at(-1)?.at).toBe(HISTORY_MAX * 3 - 1);
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
      snapshot(["ses_a"]),
      { type: "stream", stream: aStream({}) },
      { type: "viewers", joined: [], changed: [], left: [], watching: 0 },
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
    '{"type":"snapshot","stream":null,"viewers":[],"watching":0}',
    '{"type":"snapshot","stream":{},"viewers":{},"watching":0}',
    '{"type":"snapshot","stream":{},"viewers":[],"watching":-1}',
    '{"type":"viewers","joined":[],"changed":[],"watching":1}',
    '{"type":"stream","stream":7}',
    '{"type":"weather"}',
  ])("refuses %s", (text) => {
    expect(parseFeedMessage(text)).toBeNull();
  });
});
