import { describe, expect, it } from "vitest";
import { aStream, someCounters } from "../testing.ts";
import { FeedConnection, retryDelay, type Socket, type World } from "./connection.ts";
import type { RoomEvent } from "./reducer.ts";

class FakeSocket implements Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  onerror: (() => void) | null = null;
  closed = false;
  close() {
    this.closed = true;
  }
}

/** A world whose clock moves only when told to. */
class FakeWorld implements World {
  sockets: FakeSocket[] = [];
  urls: string[] = [];
  #now = 1_000;
  #slept = 0;
  #timers: { at: number; task: () => void }[] = [];
  connect(url: string) {
    const socket = new FakeSocket();
    this.urls.push(url);
    this.sockets.push(socket);
    return socket;
  }
  now() {
    return this.#now + this.#slept;
  }
  /** The clock goes on and timers do not; or somebody sets it. */
  sleep(ms: number) {
    this.#slept += ms;
  }
  after(ms: number, task: () => void) {
    const timer = { at: this.#now + ms, task };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }
  random() {
    return 1;
  }
  pass(ms: number) {
    const end = this.#now + ms;
    for (;;) {
      const next = this.#timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.#timers = this.#timers.filter((t) => t !== next);
      this.#now = next.at;
      next.task();
    }
    this.#now = end;
  }
  get waiting() {
    return this.#timers.length;
  }
  get last(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error("nothing connected yet");
    return socket;
  }
}

function room() {
  const world = new FakeWorld();
  const events: RoomEvent[] = [];
  let refused = 0;
  const connection = new FeedConnection(
    () => `/feed?attempt=${world.sockets.length}`,
    world,
    (event) => events.push(event),
    () => {
      refused += 1;
    },
  );
  connection.start();
  return { world, events, connection, refused: () => refused };
}

const snapshot = JSON.stringify({
  type: "snapshot",
  seq: 7,
  stream: aStream({}),
  counters: someCounters({}),
  viewers: [],
  more: false,
});
const resumed = JSON.stringify({ type: "resumed", seq: 7 });
const alive = JSON.stringify({ type: "alive" });

describe("the feed connection", () => {
  it("tells each message it understands and skips the others", () => {
    const { world, events } = room();
    world.last.onopen?.();
    world.last.onmessage?.({ data: snapshot });
    world.last.onmessage?.({ data: "garbage" });
    world.last.onmessage?.({ data: new ArrayBuffer(2) });
    expect(events.map((e) => e.type)).toEqual(["connecting", "open", "message"]);
  });

  it("comes back by itself, waiting longer each time, and quickly again after a success", () => {
    const { world, events } = room();
    world.last.onclose?.();
    expect(events.at(-1)).toEqual({ type: "lost", at: 1_000, retryAt: 1_500, heardAt: null });
    world.pass(499);
    expect(world.sockets).toHaveLength(1);
    world.pass(1);
    expect(world.sockets).toHaveLength(2);
    world.last.onclose?.();
    expect(events.at(-1)).toEqual({ type: "lost", at: 1_500, retryAt: 2_500, heardAt: null });
    world.pass(1_000);
    world.last.onmessage?.({ data: snapshot });
    world.last.onclose?.();
    expect(events.at(-1)).toEqual({ type: "lost", at: 2_500, retryAt: 3_000, heardAt: 2_500 });
  });

  it("asks anew for each attempt where to go on from", () => {
    const { world } = room();
    world.last.onclose?.();
    world.pass(500);
    expect(world.urls).toEqual(["/feed?attempt=0", "/feed?attempt=1"]);
  });

  it("asks whether the session still holds only when the socket never said a thing", () => {
    const { world, refused } = room();
    world.last.onmessage?.({ data: snapshot });
    world.last.onclose?.();
    expect(refused()).toBe(0);
    world.pass(500);
    world.last.onclose?.();
    expect(refused()).toBe(1);
  });

  it("gives up a handshake that hangs", () => {
    const { world, events } = room();
    const hanging = world.last;
    world.pass(10_000);
    expect(hanging.closed).toBe(true);
    expect(events.at(-1)?.type).toBe("lost");
  });

  it("does not take a quiet room for a dead one while the server says that it is there", () => {
    const { world, events } = room();
    world.last.onmessage?.({ data: snapshot });
    for (let seconds = 0; seconds < 3_600; seconds += 10) {
      world.pass(10_000);
      world.last.onmessage?.({ data: alive });
    }
    expect(events.map((e) => e.type)).toEqual(["connecting", "message"]);
    expect(world.sockets).toHaveLength(1);
  });

  it("calls an open socket lost that has said nothing for half a minute, and comes back", () => {
    const { world, events, refused } = room();
    world.last.onmessage?.({ data: snapshot });
    world.pass(20_000);
    world.last.onmessage?.({ data: alive });
    world.pass(29_999);
    expect(world.last.closed).toBe(false);
    world.pass(1);
    expect(world.last.closed).toBe(true);
    expect(events.at(-1)).toEqual({ type: "lost", at: 51_000, retryAt: 51_500, heardAt: 21_000 });
    world.pass(500);
    expect(world.sockets).toHaveLength(2);
    world.last.onmessage?.({ data: resumed });
    expect(events.at(-1)?.type).toBe("message");
    expect(refused()).toBe(0);
  });

  it("takes a message it does not understand for a sign of life", () => {
    const { world } = room();
    world.last.onmessage?.({ data: snapshot });
    world.pass(20_000);
    world.last.onmessage?.({ data: JSON.stringify({ type: "new" }) });
    world.pass(29_999);
    expect(world.last.closed).toBe(false);
    world.pass(1);
    expect(world.last.closed).toBe(true);
  });

  it("goes by the last message when its timer comes late", () => {
    const { world } = room();
    world.last.onmessage?.({ data: snapshot });
    world.sleep(60_000);
    world.last.onmessage?.({ data: alive });
    world.pass(29_999);
    expect(world.last.closed).toBe(false);
    expect(world.sockets).toHaveLength(1);
  });

  it("comes back once after the machine slept", () => {
    const { world } = room();
    world.last.onmessage?.({ data: snapshot });
    world.sleep(3_600_000);
    world.pass(30_000);
    expect(world.last.closed).toBe(true);
    world.pass(500);
    world.last.onmessage?.({ data: resumed });
    world.pass(29_999);
    expect(world.sockets).toHaveLength(2);
  });

  it("does not wait for its timer when somebody looks at the page again", () => {
    const { world, connection, events } = room();
    world.last.onmessage?.({ data: snapshot });
    connection.retryNow();
    expect(world.sockets).toHaveLength(1);
    world.sleep(3_600_000);
    connection.retryNow();
    connection.retryNow();
    expect(world.sockets).toHaveLength(2);
    expect(world.sockets[0]?.closed).toBe(true);
    expect(events.map((e) => e.type)).toEqual(["connecting", "message", "lost", "connecting"]);
    world.pass(500);
    expect(world.sockets).toHaveLength(2);
  });

  it("waits no longer because the clock was set back", () => {
    const { world } = room();
    world.last.onmessage?.({ data: snapshot });
    world.sleep(-3_600_000);
    world.pass(60_000);
    expect(world.sockets[0]?.closed).toBe(true);
  });

  it("tries at once when asked, and opens only one socket", () => {
    const { world, connection } = room();
    world.last.onclose?.();
    connection.retryNow();
    connection.retryNow();
    expect(world.sockets).toHaveLength(2);
    world.pass(499);
    expect(world.sockets).toHaveLength(2);
  });

  it("calls the connection lost as soon as the network is", () => {
    const { world, events, connection } = room();
    world.last.onmessage?.({ data: snapshot });
    const socket = world.last;
    connection.networkLost();
    expect(events.at(-1)?.type).toBe("lost");
    expect(socket.closed).toBe(true);
  });

  it("hears nothing more from a socket it gave up", () => {
    const { world, connection, events } = room();
    const old = world.last;
    connection.networkLost();
    const before = events.length;
    old.onmessage?.({ data: snapshot });
    old.onclose?.();
    expect(events).toHaveLength(before);
  });

  it("leaves nothing behind when stopped", () => {
    const { world, connection } = room();
    world.last.onclose?.();
    connection.stop();
    expect(world.waiting).toBe(0);
    world.pass(60_000);
    expect(world.sockets).toHaveLength(1);
    connection.retryNow();
    expect(world.sockets).toHaveLength(1);
  });
});

describe("the wait before a retry", () => {
  it("doubles, is spread, and never passes ten seconds", () => {
    expect(retryDelay(0, 0)).toBe(250);
    expect(retryDelay(0, 1)).toBe(500);
    expect(retryDelay(3, 1)).toBe(4_000);
    expect(retryDelay(99, 1)).toBe(10_000);
    expect(retryDelay(99, 0)).toBe(5_000);
  });
});
