import { describe, expect, it } from "vitest";
import { aStream, aViewer, someCounters } from "../testing.ts";
import type { FeedMessage } from "./reducer.ts";
import { plainQuery, Viewers } from "./viewers.ts";

/** Tasks run when the test says so. */
class FakeSchedule {
  frames: (() => void)[] = [];
  timers: (() => void)[] = [];
  frame = (task: () => void) => {
    this.frames.push(task);
  };
  after = (_ms: number, task: () => void) => {
    this.timers.push(task);
  };
  draw() {
    for (const task of this.frames.splice(0)) task();
  }
  second() {
    for (const task of this.timers.splice(0)) task();
  }
}

const NAMES: Record<string, string> = { ses_a: "Ada", ses_b: "Bob", ses_c: "Cleo", ses_z: "Zoë" };
const at = (minute: number) => `2026-11-20T18:0${minute}:00.000Z`;
const row = (session: string, minute = 0) =>
  aViewer({ session, name: NAMES[session] ?? session, joined_at: at(minute) });
const snapshot = (sessions: string[], more = false): FeedMessage => ({
  type: "snapshot",
  seq: 10,
  stream: aStream({}),
  counters: someCounters({}),
  viewers: sessions.map((session, minute) => row(session, minute)),
  more,
});
const change = (session: string, over: object): FeedMessage => ({
  type: "viewers",
  seq: 11,
  joined: [],
  changed: [
    {
      session,
      last_seen_at: at(9),
      watching: true,
      height: 720,
      latency_ms: 2_000,
      stalls: 0,
      visible: true,
      silent: false,
      risk: 0,
      signals: [],
      ...over,
    },
  ],
  left: [],
  watching: 1,
});
const moved = (joined: string[], left: string[]): FeedMessage => ({
  type: "viewers",
  seq: 12,
  joined: joined.map((session) => row(session, 5)),
  changed: [],
  left,
  watching: 1,
});

function open(...messages: FeedMessage[]) {
  const schedule = new FakeSchedule();
  const viewers = new Viewers(schedule);
  for (const message of messages) viewers.apply(message);
  return { schedule, viewers };
}

describe("the people in a room", () => {
  it("come in pieces, and all at once into view", () => {
    const { viewers } = open(snapshot(["ses_a"], true));
    expect([viewers.size, viewers.seq, viewers.view]).toEqual([0, null, []]);
    viewers.apply({ type: "rows", viewers: [row("ses_b", 1)], more: false });
    expect([viewers.size, viewers.seq, viewers.view]).toEqual([2, 10, ["ses_a", "ses_b"]]);
  });

  it("are those of before when the pieces stop coming, and go on from there", () => {
    const { viewers } = open(snapshot(["ses_a"]), snapshot(["ses_b"], true));
    viewers.broken();
    viewers.apply({ type: "rows", viewers: [row("ses_c")], more: false });
    expect([viewers.view, viewers.seq]).toEqual([["ses_a"], 10]);
  });

  it("are replaced by a second snapshot: who left meanwhile is gone", () => {
    const { viewers } = open(snapshot(["ses_a", "ses_b"]), snapshot(["ses_b", "ses_c"]));
    expect(viewers.view).toEqual(["ses_b", "ses_c"]);
  });

  it("remember the number of every message", () => {
    const { viewers } = open(snapshot([]), { type: "changed", seq: 99, topics: [] });
    expect(viewers.seq).toBe(99);
    expect(open({ type: "changed", seq: 99, topics: [] }).viewers.seq).toBeNull();
  });

  it("keep what a change does not say, and ignore changes of strangers", () => {
    const { viewers } = open(snapshot(["ses_a"]), change("ses_a", { stalls: 4 }), change("ses_x", {}));
    expect(viewers.get("ses_a")).toMatchObject({ name: "Ada", stalls: 4 });
    expect(viewers.nameOf(viewers.get("ses_a")?.invitation ?? "")).toBe("Ada");
    expect(viewers.nameOf("inv_nobody")).toBeUndefined();
    expect(viewers.size).toBe(1);
  });

  it("tell a row's listener once per picture, and nobody else", () => {
    const { schedule, viewers } = open(snapshot(["ses_a", "ses_b"]));
    let [a, b] = [0, 0];
    viewers.subscribe("ses_a", () => a++);
    const stop = viewers.subscribe("ses_b", () => b++);
    viewers.apply(change("ses_a", { stalls: 1 }));
    viewers.apply(change("ses_a", { stalls: 2 }));
    expect(schedule.frames).toHaveLength(1);
    schedule.draw();
    expect([a, b]).toEqual([1, 0]);
    stop();
    viewers.apply(change("ses_b", { stalls: 1 }));
    expect(schedule.frames).toHaveLength(0);
  });

  it("are put in order at most once a second, and only for what decides it", () => {
    const { schedule, viewers } = open(snapshot(["ses_a", "ses_b"]));
    let views = 0;
    viewers.subscribeView(() => views++);
    viewers.apply(change("ses_a", { latency_ms: 9_000 }));
    expect(schedule.timers).toHaveLength(0);
    viewers.apply(change("ses_a", { watching: false }));
    viewers.apply(moved(["ses_c"], []));
    expect([schedule.timers.length, viewers.view]).toEqual([1, ["ses_a", "ses_b"]]);
    schedule.second();
    expect([views, viewers.view]).toEqual([1, ["ses_b", "ses_c", "ses_a"]]);
  });

  it("stay in their places under the pointer, and find them again after", () => {
    const { schedule, viewers } = open(snapshot(["ses_a", "ses_b"]));
    viewers.hold(true);
    viewers.apply(change("ses_a", { watching: false }));
    viewers.apply(moved(["ses_c"], []));
    schedule.second();
    expect(viewers.view).toEqual(["ses_a", "ses_b", "ses_c"]);
    viewers.apply(moved([], ["ses_b"]));
    schedule.second();
    expect(viewers.view).toEqual(["ses_a", "ses_c"]);
    viewers.hold(false);
    schedule.second();
    expect(viewers.view).toEqual(["ses_c", "ses_a"]);
  });

  it("are searched without accents, chosen and sorted at once when a person asks", () => {
    const { viewers } = open(snapshot(["ses_z", "ses_a", "ses_b"]), change("ses_b", { stalls: 5 }));
    viewers.ask({ ...plainQuery, order: "name" });
    expect(viewers.view).toEqual(["ses_a", "ses_b", "ses_z"]);
    viewers.ask({ ...plainQuery, order: "name", descending: true });
    expect(viewers.view).toEqual(["ses_z", "ses_b", "ses_a"]);
    viewers.ask({ ...plainQuery, search: " zOE " });
    expect(viewers.view).toEqual(["ses_z"]);
    viewers.ask({ ...plainQuery, filter: "troubled" });
    expect(viewers.view).toEqual(["ses_b"]);
    viewers.ask({ ...plainQuery, filter: "away" });
    expect(viewers.view).toEqual([]);
  });

  it("keep the same array while nothing moves", () => {
    const { schedule, viewers } = open(snapshot(["ses_a", "ses_b"]));
    const before = viewers.view;
    viewers.apply(moved(["ses_c"], ["ses_c"]));
    schedule.second();
    expect(viewers.view).toBe(before);
  });
});
