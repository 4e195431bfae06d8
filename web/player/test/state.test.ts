import { describe, expect, test } from "vitest";
import {
  END_GRACE_MS,
  type Fact,
  FEED_GRACE_MS,
  initial,
  reduce,
  type Session,
  STALL_GRACE_MS,
  type State,
  scene,
  wants,
} from "../src/model/state.ts";

type Without<F> = F extends Fact ? Omit<F, "now"> & { now?: number } : never;

/** Facts one after the other, at the time each says or when the one before was. */
function after(...facts: Without<Fact>[]): State {
  return facts.reduce(
    (state, fact) => reduce(state, { now: state.now, ...fact } as Fact),
    initial(1_000_000),
  );
}
function then(state: State, ...facts: Without<Fact>[]): State {
  return facts.reduce((s, fact) => reduce(s, { now: s.now, ...fact } as Fact), state);
}

const session: Session = {
  id: "ses_1",
  name: "Ana",
  hls: "http://h/live/t/s/index.m3u8",
  feed: "/feed",
  guard: { heartbeatKey: "AA", heartbeatMs: 5_000, watermark: null },
};
const event = { title: "Premiere", startsAt: null };
const door = { type: "door", event, broadcast: "idle", elsewhere: null } as const;
const atDoor = after(door, { type: "no_session" });
const enter = (broadcast: State["broadcast"]) => ({ type: "session", session, event, broadcast }) as const;
const media = (status: State["media"]["status"], trouble: State["media"]["trouble"] = null) =>
  ({ type: "media", status, trouble, mutedByBrowser: false }) as const;
const inside = (broadcast: State["broadcast"]) =>
  then(atDoor, { type: "submit", code: "ABCDEFGHJKLM" }, enter(broadcast), { type: "feed_open" });
const watching = then(inside("live"), media("starting"), media("playing"));
const code = "ABCDEFGHJKLM";

describe("the door", () => {
  test("opens on the code form when there is no session, and asks who we are only once", () => {
    expect(wants(initial(0)).whoami).toBe(true);
    expect(scene(atDoor)).toBe("code");
    expect(wants(atDoor).whoami).toBe(false);
  });

  test("resumes a session without asking for a code", () => {
    const state = after(door, enter("live"));
    expect(scene(state)).toBe("starting");
    expect(wants(state)).toMatchObject({ media: session.hls, feed: session.feed });
  });

  test("sends a whole code and refuses a short one itself", () => {
    expect(wants(then(atDoor, { type: "submit", code })).redeem).toEqual({ code, proof: null });
    const short = then(atDoor, { type: "submit", code: "ABCD" });
    expect(short.phase).toMatchObject({ entry: { step: "typing", refusal: "code_short" } });
  });

  test("keeps a refusal until the code is changed", () => {
    const refused = then(atDoor, { type: "submit", code }, { type: "refused", refusal: "takeover_pending" });
    expect(refused.phase).toMatchObject({ entry: { refusal: "takeover_pending" } });
    expect(then(refused, { type: "edit" }).phase).toMatchObject({ entry: { refusal: null } });
  });

  test("accepts nothing while too many attempts cool down, whatever is typed, then opens by itself", () => {
    const hot = then(
      atDoor,
      { type: "submit", code },
      { type: "refused", refusal: "too_many_attempts", waitMs: 30_000 },
    );
    const typed = then(hot, { type: "edit" }, { type: "submit", code });
    expect(wants(typed).redeem).toBeNull();
    expect(wants(typed).ticks).toBe(true);
    const cool = then(typed, { type: "tick", now: hot.now + 30_000 });
    expect(cool.phase).toMatchObject({ entry: { step: "typing", refusal: null } });
    expect(wants(then(cool, { type: "submit", code })).redeem).not.toBeNull();
  });

  test("works out a proof silently and sends the same code with it", () => {
    const asked = then(
      atDoor,
      { type: "submit", code },
      { type: "challenge", challenge: { challenge: "c", bits: 18 } },
    );
    expect(wants(asked).prove).toEqual({ challenge: "c", bits: 18 });
    expect(wants(then(asked, { type: "proved", nonce: "42" })).redeem).toEqual({
      code,
      proof: { challenge: "c", nonce: "42" },
    });
  });

  test("does not work for ever for a server that keeps asking, nor for an absurd proof", () => {
    let state = then(atDoor, { type: "submit", code });
    for (let i = 0; i < 3; i += 1) {
      state = then(
        state,
        { type: "challenge", challenge: { challenge: `c${i}`, bits: 18 } },
        { type: "proved", nonce: "1" },
      );
    }
    state = then(state, { type: "challenge", challenge: { challenge: "c4", bits: 18 } });
    expect(state.phase).toMatchObject({ entry: { step: "retrying", trouble: "busy" } });
    const absurd = then(
      atDoor,
      { type: "submit", code },
      { type: "challenge", challenge: { challenge: "c", bits: 60 } },
    );
    expect(absurd.phase).toMatchObject({ entry: { step: "retrying" } });
  });

  test("tries again by itself when the server is busy", () => {
    const busy = then(
      atDoor,
      { type: "submit", code },
      { type: "submit_failed", trouble: "busy", waitMs: 5_000 },
    );
    expect(wants(busy).redeem).toBeNull();
    expect(wants(then(busy, { type: "tick", now: busy.now + 5_000 })).redeem).toEqual({ code, proof: null });
  });

  test("an event that does not exist says so", () => {
    expect(scene(after({ type: "missing" }))).toBe("missing");
  });

  test("a server that cannot be reached at the start is a lost connection, not an error", () => {
    const lost = after({ type: "trouble", trouble: "network" });
    expect(scene(lost)).toBe("lost");
    expect(wants(lost).whoami).toBe(true);
    expect(scene(after({ type: "trouble", trouble: "busy" }))).toBe("busy");
  });
});

describe("inside", () => {
  test("an event that has not started waits and starts by itself", () => {
    const early = inside("idle");
    expect(scene(early)).toBe("waiting");
    expect(wants(early).media).toBeNull();
    const started = then(early, { type: "broadcast", broadcast: "live" });
    expect(scene(started)).toBe("starting");
    expect(wants(started).media).toBe(session.hls);
    expect(scene(then(started, media("playing")))).toBe("live");
  });

  test("keeps the screen awake only while the picture moves", () => {
    expect(wants(watching).awake).toBe(true);
    expect(wants(then(watching, media("paused"))).awake).toBe(false);
  });

  test("a broadcaster who steps away is spoken of when the picture stands, and never stops the player", () => {
    const away = then(watching, { type: "broadcast", broadcast: "away" });
    expect(scene(away)).toBe("live");
    const held = then(away, media("waiting"));
    expect(scene(held)).toBe("away");
    expect(wants(held).media).toBe(session.hls);
    expect(scene(then(held, { type: "broadcast", broadcast: "live" }, media("playing")))).toBe("live");
  });

  test("the end is shown when the rest has been played", () => {
    const ending = then(watching, { type: "broadcast", broadcast: "ended" });
    expect(scene(ending)).toBe("live");
    expect(wants(ending).media).toBe(session.hls);
    const over = then(ending, media("finished"));
    expect(scene(over)).toBe("ended");
    expect(wants(over).media).toBeNull();
  });

  test("a rest that never comes is given up", () => {
    const stuck = then(watching, { type: "broadcast", broadcast: "ended" }, media("waiting"));
    expect(scene(then(stuck, { type: "tick", now: stuck.now + END_GRACE_MS }))).toBe("ended");
  });

  test("a stream that ended while the broadcast is on air is begun anew, after a moment", () => {
    const ended = then(watching, media("finished"));
    expect(scene(ended)).toBe("starting");
    expect(wants(ended).media).toBe(session.hls);
    const again = then(ended, { type: "tick", now: ended.now + END_GRACE_MS });
    expect(wants(again).media).toBe(`${session.hls}#1`);
    expect(wants(then(again, media("playing"))).media).toBe(`${session.hls}#1`);
  });

  test("who comes after the end sees the end, and a new broadcast starts by itself", () => {
    const late = inside("ended");
    expect(scene(late)).toBe("ended");
    expect(wants(late).media).toBeNull();
    expect(wants(then(late, { type: "broadcast", broadcast: "live" })).media).toBe(session.hls);
  });

  test("a lost feed is not mentioned while the picture moves", () => {
    const state = then(watching, { type: "feed_lost" }, { type: "tick", now: watching.now + 60_000 });
    expect(scene(state)).toBe("live");
  });

  test("a lost feed is mentioned after its grace when nothing moves, and forgotten when it is back", () => {
    const lost = then(inside("idle"), { type: "feed_lost" });
    expect(scene(then(lost, { type: "tick", now: lost.now + FEED_GRACE_MS - 1 }))).toBe("waiting");
    const told = then(lost, { type: "tick", now: lost.now + FEED_GRACE_MS });
    expect(scene(told)).toBe("lost");
    expect(scene(then(told, { type: "feed_open" }))).toBe("waiting");
  });

  test("media trouble is mentioned when the picture has stood for a moment", () => {
    const stalled = then(watching, media("waiting", "network"));
    expect(scene(stalled)).toBe("live");
    expect(scene(then(stalled, { type: "tick", now: stalled.now + STALL_GRACE_MS }))).toBe("lost");
    const busy = then(watching, media("waiting", "busy"), {
      type: "tick",
      now: watching.now + STALL_GRACE_MS,
    });
    expect(scene(busy)).toBe("busy");
  });

  test("a refusal of the media asks the server before it says anything", () => {
    const doubt = then(watching, { type: "media_refused" });
    expect(scene(doubt)).toBe("live");
    expect(wants(doubt).whoami).toBe(true);
    expect(scene(then(doubt, { type: "no_session" }))).toBe("out");
    const fine = then(doubt, enter("live"));
    expect(wants(fine).whoami).toBe(false);
    expect(scene(fine)).toBe("live");
  });

  test.each(["revoked", "ended", "expired", "replaced"] as const)(
    "access that is %s ends everything",
    (reason) => {
      const state = then(watching, { type: "bye", reason });
      expect(scene(state)).toBe("out");
      expect(state.phase).toEqual({ name: "out", reason, message: null });
      expect(wants(state)).toMatchObject({ media: null, feed: null, awake: false });
    },
  );

  test("a server that stops for a moment ends nothing", () => {
    expect(scene(then(watching, { type: "bye", reason: "stopping" }))).toBe("live");
  });

  test("who is out can enter another code", () => {
    expect(scene(then(watching, { type: "bye", reason: "expired" }, { type: "again" }))).toBe("code");
  });

  test("late news about a session that is over changes nothing", () => {
    const gone = then(watching, { type: "leave" });
    expect(
      scene(
        then(gone, media("playing"), { type: "broadcast", broadcast: "live" }, { type: "media_refused" }),
      ),
    ).toBe("out");
  });
});

describe("the line", () => {
  const place = { position: 7, etaMs: 90_000, pollMs: 2_000 };
  const inLine = then(atDoor, { type: "submit", code }, { type: "queued", place });

  test("asks where one stands, keeps the code for a reload, and stays awake", () => {
    expect(scene(inLine)).toBe("queue");
    expect(wants(inLine)).toMatchObject({
      queue: { pollMs: 2_000 },
      keep: code,
      redeem: null,
      awake: true,
      ticks: true,
    });
    const nearer = then(inLine, { type: "queued", place: { ...place, position: 2 } });
    expect(nearer.phase).toMatchObject({ entry: { place: { position: 2 } } });
  });

  test.each(["admitted", "no_place"] as const)("%s sends the code again", (type) => {
    const called = then(inLine, { type });
    expect(wants(called)).toMatchObject({ redeem: { code, proof: null }, queue: null });
    expect(then(called, enter("live")).phase.name).toBe("in");
    expect(wants(then(called, enter("live"))).keep).toBeNull();
  });

  test("is left when one does not want to wait any more", () => {
    const gone = then(inLine, { type: "give_up" });
    expect(scene(gone)).toBe("code");
    expect(wants(gone)).toMatchObject({ queue: null, keep: null });
  });

  test("cannot be entered by typing, nor left by it", () => {
    expect(then(inLine, { type: "edit" })).toEqual(inLine);
    expect(then(atDoor, { type: "queued", place }).phase).toEqual(atDoor.phase);
  });
});

describe("the other screen", () => {
  const asking = { id: "tko_1", device: "Chrome on Android", expiresAt: 1_060_000 };
  const waiting = then(atDoor, { type: "submit", code }, { type: "asked", asking });
  const told = (state: "pending" | "approved" | "declined" | "expired" | "cancelled", id = "tko_1") =>
    then(waiting, { type: "asking_state", id, state, expiresAt: null });

  test("is waited for, with its device and its time", () => {
    expect(scene(waiting)).toBe("asking");
    expect(wants(waiting)).toMatchObject({ asking: "tko_1", redeem: null, keep: code });
    expect(scene(told("pending"))).toBe("asking");
  });

  test.each([
    ["declined", "declined"],
    ["expired", "unanswered"],
  ] as const)("%s is told in words at the door", (state, refusal) => {
    expect(told(state).phase).toMatchObject({ entry: { step: "typing", refusal } });
  });

  test.each(["approved", "cancelled"] as const)("%s sends the code again", (state) => {
    expect(wants(told(state)).redeem).toEqual({ code, proof: null });
  });

  test("is about the question that was asked and no other", () => {
    expect(told("approved", "tko_2")).toEqual(waiting);
    expect(scene(then(waiting, { type: "give_up" }))).toBe("code");
  });
});

describe("being asked", () => {
  const question = {
    id: "tko_1",
    device: "Safari on iPhone",
    place: "Lyon, France",
    at: 1_000_000,
    expiresAt: 1_060_000,
  };
  const asked = then(watching, { type: "takeover", question });

  test("shows the question over a picture that goes on", () => {
    expect(asked.question).toMatchObject({ id: "tko_1", answer: null });
    expect(scene(asked)).toBe("live");
    expect(wants(asked).answer).toBeNull();
    expect(then(atDoor, { type: "takeover", question }).question).toBeNull();
  });

  test("tells the server once what was answered, whatever is pressed after it", () => {
    const no = then(asked, { type: "answer", approve: false }, { type: "answer", approve: true });
    expect(wants(no).answer).toEqual({ id: "tko_1", approve: false });
    const over = then(no, { type: "takeover_over", id: "tko_1", state: "declined" });
    expect(over).toMatchObject({ question: null, answered: { state: "declined" } });
    expect(then(over, { type: "tick", now: over.now + 8_000 }).answered).toBeNull();
  });

  test("approved, the question stays until the other screen is in, or was not quick enough", () => {
    const yes = then(
      asked,
      { type: "answer", approve: true },
      { type: "takeover_over", id: "tko_1", state: "approved" },
    );
    expect(yes.question).toMatchObject({ answer: true });
    const gone = then(yes, { type: "bye", reason: "taken_over" });
    expect(gone).toMatchObject({ question: null, phase: { name: "out", reason: "taken_over" } });
    const stays = then(yes, { type: "takeover_over", id: "tko_1", state: "expired" });
    expect(stays).toMatchObject({ question: null, phase: { name: "in" } });
  });

  test("a question that was answered on this code's other page, or that another replaces, goes away", () => {
    expect(then(asked, { type: "takeover_over", id: "tko_9", state: "cancelled" }).question).not.toBeNull();
    const next = then(asked, { type: "takeover", question: { ...question, id: "tko_2" } });
    expect(next.question).toMatchObject({ id: "tko_2", answer: null });
    expect(then(asked, { type: "tick", now: question.expiresAt + 5_000 }).question).toBeNull();
  });
});

describe("where nobody may watch", () => {
  const refused = then(atDoor, { type: "submit", code }, { type: "elsewhere", why: "country_refused" });

  test("says so before a code is typed, and after", () => {
    expect(scene(after({ ...door, elsewhere: "network_refused" }))).toBe("elsewhere");
    expect(scene(refused)).toBe("elsewhere");
    expect(wants(refused)).toMatchObject({ redeem: null, whoami: false, watchDoor: true, keep: null });
  });

  test("opens by itself when the door does, and when asked to try again", () => {
    expect(wants(then(refused, door)).whoami).toBe(true);
    expect(wants(then(refused, { type: "again" })).whoami).toBe(true);
    expect(scene(then(refused, { ...door, elsewhere: "country_refused" }))).toBe("elsewhere");
  });

  test("a picture that moves is not taken away by the door", () => {
    expect(scene(then(watching, { ...door, elsewhere: "country_refused" }))).toBe("live");
  });
});

test("whoever is sent out reads what the organiser wrote", () => {
  const out = then(watching, { type: "bye", reason: "kicked", message: "Please be quiet." });
  expect(out.phase).toEqual({ name: "out", reason: "kicked", message: "Please be quiet." });
  expect(then(watching, { type: "bye", reason: "blocked" }).phase).toMatchObject({ message: null });
});

test("a guest is brought along once at a time, and only as many as one may", () => {
  const may = then(watching, { type: "guests", list: [], left: 1 });
  expect([wants(watching).guests, wants(may).guests]).toEqual([true, false]);
  const bringing = then(may, { type: "bring", name: "Bob" });
  expect(bringing.guests?.step).toBe("asking");
  const brought = then(bringing, {
    type: "brought",
    name: "Bob",
    code: "ABCD-EFGH-JKLM",
    link: "http://h/e/1#x",
  });
  expect(brought.guests).toMatchObject({ left: 0, step: "ready", made: { name: "Bob" } });
  expect(brought.guests?.list).toEqual([{ name: "Bob", state: "created", link: "http://h/e/1#x" }]);
  expect(then(brought, { type: "bring", name: "Eve" })).toEqual(brought);
  expect(then(bringing, { type: "bring_failed" }).guests?.step).toBe("failed");
});

describe("what protects", () => {
  const caution = (action: "warn" | "blur" | "pause", ...signals: string[]) =>
    ({ type: "caution", caution: { action, signals } }) as const;

  test("begins with the first frame and lasts over an interruption, not over the session", () => {
    expect(wants(inside("live")).guard).toBeNull();
    expect(wants(then(inside("live"), media("starting"))).guard).toBeNull();
    expect(wants(watching).guard).toEqual({ session: "ses_1", watermark: null });
    expect(wants(then(watching, media("waiting"))).guard).toEqual(wants(watching).guard);
    expect(wants(then(watching, { type: "leave" })).guard).toBeNull();
    const other = then(watching, {
      type: "session",
      session: { ...session, id: "ses_2" },
      event,
      broadcast: "live",
    });
    expect(wants(other).guard).toBeNull();
  });

  test("follows what the organiser changes while it is watched, and nothing that is about another session", () => {
    const watermark = { lines: ["Ana"], seed: "00" };
    const guard = { heartbeatKey: "AA", heartbeatMs: 5_000, watermark };
    const marked = then(watching, { type: "orders", session: "ses_1", guard });
    expect(wants(marked).guard).toEqual({ session: "ses_1", watermark });
    expect(marked.media).toEqual(watching.media);
    expect(wants(then(marked, { type: "orders", session: "ses_1", guard: null })).guard).toBeNull();
    expect(wants(then(watching, { type: "orders", session: "ses_2", guard })).guard?.watermark).toBeNull();
  });

  test("covers the picture while what guards it cannot be fetched, and not where nobody asks for it", () => {
    const missing = then(watching, { type: "guards", missing: true });
    expect([scene(missing), wants(missing).hold]).toEqual(["unguarded", "cover"]);
    expect(wants(missing).guard, "it is fetched on").toEqual(wants(watching).guard);
    const stopped = then(missing, media("paused"));
    expect(scene(stopped)).toBe("unguarded");
    const there = then(stopped, { type: "guards", missing: false });
    expect([scene(there), wants(there).hold]).toEqual(["live", null]);
    const unasked = then(stopped, { type: "orders", session: "ses_1", guard: null });
    expect([scene(unasked), wants(unasked).hold]).toEqual(["live", null]);
    expect(then(missing, { type: "leave" }).unguarded).toBe(false);
  });

  test("a picture that this browser cannot open is said at once", () => {
    expect(scene(then(inside("live"), media("starting", "sealed")))).toBe("sealed");
  });

  test("is not wanted where the server does not ask for it", () => {
    const plain = then(
      atDoor,
      { type: "session", session: { ...session, guard: null }, event, broadcast: "live" },
      media("playing"),
    );
    expect(wants(plain).guard).toBeNull();
  });

  test("a warning takes nothing away; a blur and a pause last until they were read", () => {
    expect(wants(then(watching, caution("warn", "hidden"))).hold).toBeNull();
    const blurred = then(watching, caution("blur", "console_reads"));
    expect(wants(blurred).hold).toBe("blur");
    const milder = then(blurred, caution("warn", "hidden"));
    expect(milder.caution).toEqual({ action: "blur", signals: ["console_reads", "hidden"] });
    const harder = then(milder, caution("pause"));
    expect(wants(harder).hold).toBe("pause");
    expect(wants(then(harder, { type: "acknowledge" })).hold).toBeNull();
  });

  test("a caution does not follow anybody outside", () => {
    const out = then(watching, caution("pause"), { type: "bye", reason: "tampering" });
    expect(scene(out)).toBe("out");
    expect(wants(out).hold).toBeNull();
    expect(then(out, caution("pause")).caution).toBeNull();
  });
});
