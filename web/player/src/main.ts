/**
 * The viewer's page, put together: facts go in, the state changes, what it wants is started or stopped, the page
 * is drawn. This file knows every part and decides nothing.
 */
import "@stagedoor/kit/trusted";
import "./element/stagedoor-player.ts";
import { Backoff } from "./backoff.ts";
import type { Guard } from "./guard/guard.ts";
import { ServerClock } from "./model/clock.ts";
import { fromFragment } from "./model/code.ts";
import {
  type Fact,
  initial,
  type Protections,
  reduce,
  type State,
  type Wants,
  wants,
} from "./model/state.ts";
import { type Answer, Api } from "./net/api.ts";
import { Feed, listenForAnswer } from "./net/feed.ts";
import { fromBase64url, Heart } from "./net/heartbeat.ts";
import type { Challenge } from "./net/proof.ts";
import { Page } from "./page/page.ts";
import { Scope } from "./scope.ts";
import { isHidden } from "./sight.ts";
import { keepAwake } from "./wake-lock.ts";
import { wordsFor } from "./words/index.ts";

const TICK_MS = 500;
const DOOR_MS = 30_000;
const PROTECTIONS_MS = 1_000;
/** All pages hear at once that the event is guarded in another way; they do not ask at once. */
const ORDERS_SPREAD_MS = 10_000;
/** A picture is shown without what guards it for so long; then it is covered until that is there. */
const UNGUARDED_MS = 10_000;
/** So many heartbeats may be missed before the server stops believing in us. */
const HEARTBEATS_MISSED = 3;

/** `/e/{event}`; without one the page says that there is no such event. */
const event = /^\/e\/([\w-]+)\/?$/.exec(location.pathname)?.[1] ?? "";

const clock = new ServerClock();
const now = () => Date.now() + clock.offsetMs;
const api = new Api(event, clock);
const scope = new Scope();
const page = new Page(wordsFor(navigator.languages), scope, {
  submit: (code) => dispatch({ type: "submit", code }),
  edit: () => dispatch({ type: "edit" }),
  leave: () => {
    api.leave();
    dispatch({ type: "leave" });
  },
  again: () => dispatch({ type: "again" }),
  giveUp: () => {
    const { queue, asking } = wants(state);
    if (queue !== null) api.leaveQueue();
    if (asking !== null) api.stopAsking(asking);
    dispatch({ type: "give_up" });
  },
  answer: (approve) => dispatch({ type: "answer", approve }),
  bring: (name) => {
    dispatch({ type: "bring", name });
    if (state.guests?.step !== "asking") return;
    void api.bring(name, scope.signal()).then((answer) => answer !== null && dispatch(answer));
  },
  acknowledge: () => {
    feed?.send({ type: "acknowledge" });
    dispatch({ type: "acknowledge" });
  },
});
const { player } = page;
player.clock = clock;

let state: State = initial(now());
let redeems = 0;
let feed: Feed | null = null;
let guard: Guard | null = null;
/** When the server last asked for a sign of life and was answered; by the browser's own clock. */
let answeredAt = Number.NEGATIVE_INFINITY;
/** Of this session's key; the feed may be opened many times. */
let beating: { readonly key: string; readonly heart: Heart } | null = null;

function dispatch(answer: Answer): void {
  state = reduce(state, { ...answer, now: now() } as Fact);
  page.draw(state);
  reconcile(wants(state));
}

/** Something that runs as long as it is wanted under the same key. */
class Slot {
  #key: string | null = null;
  #scope: Scope | null = null;

  set(key: string | null, start: (scope: Scope) => void): void {
    if (key === this.#key) return;
    this.#scope?.close();
    this.#key = key;
    this.#scope = key === null ? null : scope.child();
    if (this.#scope !== null) start(this.#scope);
  }
}

const slots = {
  whoami: new Slot(),
  redeem: new Slot(),
  prove: new Slot(),
  feed: new Slot(),
  ticks: new Slot(),
  door: new Slot(),
  awake: new Slot(),
  queue: new Slot(),
  asking: new Slot(),
  answer: new Slot(),
  guests: new Slot(),
  guard: new Slot(),
  protections: new Slot(),
};

function reconcile(want: Wants): void {
  slots.whoami.set(want.whoami ? "whoami" : null, askWhoWeAre);
  slots.redeem.set(want.redeem && JSON.stringify(want.redeem), (running) => {
    if (want.redeem === null) return;
    const { code, proof } = want.redeem;
    const signal = running.signal();
    api.redeem(code, proof, redeems, signal).then((answer) => {
      redeems = answer?.type === "submit_failed" ? redeems + 1 : 0;
      if (answer !== null && !running.closed) dispatch(answer);
    });
  });
  slots.prove.set(want.prove === null ? null : want.prove.challenge, (running) => {
    if (want.prove !== null) workOut(want.prove, running);
  });
  slots.feed.set(want.feed, (running) => listen(want.feed ?? "", running));
  slots.ticks.set(want.ticks ? "ticks" : null, (running) =>
    running.every(TICK_MS, () => dispatch({ type: "tick" })),
  );
  slots.door.set(want.watchDoor ? "door" : null, (running) => {
    const signal = running.signal();
    running.every(
      DOOR_MS,
      () => void api.door(signal).then((answer) => answer?.type === "door" && dispatch(answer)),
    );
  });
  slots.awake.set(want.awake ? "awake" : null, keepAwake);
  slots.queue.set(want.queue && String(want.queue.pollMs), (running) => {
    const signal = running.signal();
    const ask = () =>
      void api.queue(signal).then((answer) => answer !== null && !running.closed && dispatch(answer));
    running.every(want.queue?.pollMs ?? 5_000, ask);
    // A page that comes back to the foreground was asleep: somebody may have called.
    running.listen(document, "visibilitychange", () => !isHidden() && ask());
  });
  slots.asking.set(want.asking, (running) => {
    const id = want.asking ?? "";
    const signal = running.signal();
    const heard = (answer: Answer | null) => {
      if (answer === null || running.closed) return;
      const over =
        answer.type === "asking_state" && answer.state !== "pending" && answer.state !== "approved";
      if (over) api.stopAsking(id);
      dispatch(answer);
    };
    const ask = () => void api.asking(id, signal).then(heard);
    listenForAnswer(api.askingFeed(id), id, running, heard, ask);
  });
  slots.answer.set(want.answer && JSON.stringify(want.answer), (running) => {
    if (want.answer === null) return;
    const { id, approve } = want.answer;
    const signal = running.signal();
    const backoff = new Backoff(500, 5_000);
    const tell = async () => {
      const answer = await api.answer(id, approve, signal);
      if (running.closed) return;
      if (answer === null) running.after(backoff.next(), () => void tell());
      else dispatch(answer);
    };
    void tell();
  });
  slots.guests.set(want.guests ? "guests" : null, (running) => {
    const signal = running.signal();
    void api.guests(signal).then((answer) => answer !== null && !running.closed && dispatch(answer));
  });
  // Another mark, or one where there was none, is put up anew.
  slots.guard.set(want.guard && JSON.stringify(want.guard), watchOver);
  slots.protections.set(want.feed, (running) => running.every(PROTECTIONS_MS, noteProtections));
  if (want.hold === null) player.removeAttribute("held");
  else if (player.getAttribute("held") !== want.hold) player.setAttribute("held", want.hold);
  remember(want.keep);
  if (want.media === null) player.removeAttribute("src");
  else if (player.getAttribute("src") !== want.media) player.setAttribute("src", want.media);
}

/**
 * The code of whoever waits, in this tab only and only while they wait: a page that is loaded again goes on waiting in
 * the same place. Without storage it asks for the code again.
 */
const kept = {
  key: `stagedoor ${event}`,
  get(): string {
    try {
      return sessionStorage.getItem(kept.key) ?? "";
    } catch {
      return "";
    }
  },
  set(code: string | null): void {
    try {
      if (code === null) sessionStorage.removeItem(kept.key);
      else sessionStorage.setItem(kept.key, code);
    } catch {
      // Refused by the reader's settings.
    }
  },
};
/** What was kept when this page was loaded, until it was used. */
let resumed = kept.get();
let remembered: string | null = resumed || null;

function remember(code: string | null): void {
  if (code === remembered || (code === null && resumed !== "")) return;
  remembered = code;
  kept.set(code);
}

/** Asks until the server has answered; at the start also what the event is called. */
function askWhoWeAre(running: Scope): void {
  const signal = running.signal();
  const backoff = new Backoff(500, 10_000);
  const ask = async () => {
    const [door, session] = await Promise.all([
      state.event === null ? api.door(signal) : null,
      api.current(signal),
    ]);
    if (running.closed) return;
    if (door !== null) dispatch(door);
    if (running.closed) return;
    if (session !== null) dispatch(session);
    tellOpening(session);
    if (session?.type === "no_session" && resumed !== "") {
      const code = resumed;
      resumed = "";
      page.fillIn(code);
      dispatch({ type: "submit", code });
    } else if (session !== null && session.type !== "trouble") resumed = "";
    if (!running.closed) running.after(backoff.next(), () => void ask());
  };
  void ask();
}

function workOut(challenge: Challenge, running: Scope): void {
  const worker = new Worker(new URL("./net/proof.worker.ts", import.meta.url), { type: "module" });
  running.defer(() => worker.terminate());
  running.listen(worker, "message", (message) =>
    dispatch({ type: "proved", nonce: String((message as MessageEvent<unknown>).data) }),
  );
  running.listen(worker, "error", () => dispatch({ type: "refused", refusal: "unknown" }));
  worker.postMessage(challenge);
}

function ordersOf({ phase }: State) {
  return phase.name === "in" ? phase.session.guard : null;
}

function heartOf(key: string): Heart | null {
  if (beating?.key === key) return beating.heart;
  const bytes = fromBase64url(key);
  beating = bytes === null ? null : { key, heart: new Heart(bytes) };
  return beating?.heart ?? null;
}

/**
 * Over the picture: fetched when there is one, and asked for until it is there. Without it the picture is shown for a
 * moment, not for an evening: content blockers know how to keep one file away.
 */
function watchOver(running: Scope): void {
  const orders = wants(state).guard;
  if (orders === null) return;
  const backoff = new Backoff(1_000, 5_000);
  running.after(UNGUARDED_MS, () => {
    if (guard === null) dispatch({ type: "guards", missing: true });
  });
  const begin = ({ Guard: Made }: typeof import("./guard/guard.ts")) => {
    if (running.closed) return;
    guard = new Made(
      orders,
      {
        on: player.surface,
        own: () => page.isInFront,
        now,
        send: (signals) => feed?.send({ type: "signals", signals }) === true,
      },
      running,
    );
    running.defer(() => {
      guard = null;
    });
    if (state.unguarded) dispatch({ type: "guards", missing: false });
    noteProtections();
  };
  const load = (from: Promise<typeof import("./guard/guard.ts")>) =>
    void from.then(begin, (error: unknown) =>
      running.after(backoff.next(), () => load(guardAgain(error, backoff.tries))),
    );
  load(import("./guard/guard.ts"));
}

/**
 * Browsers keep in mind that a module could not be fetched and do not ask for it again, but for one of another address.
 * Most of them name the address that failed.
 */
function guardAgain(error: unknown, tries: number): Promise<typeof import("./guard/guard.ts")> {
  const failed = /https?:\S+\.js/.exec(String(error))?.[0];
  if (failed === undefined || !failed.startsWith(`${location.origin}/`)) return import("./guard/guard.ts");
  return import(/* @vite-ignore */ `${failed}?${tries}`);
}

/** What protects the picture right now, if that has changed. */
function noteProtections(): void {
  const orders = ordersOf(state);
  const patience = (orders?.heartbeatMs ?? 0) * HEARTBEATS_MISSED;
  const protections: Protections = {
    watermark: orders === null || orders.watermark === null ? "none" : guard?.marked === true ? "on" : "off",
    heartbeat: orders !== null && performance.now() - answeredAt < patience,
    encryption: player.measure()?.encryption ?? null,
    tls: location.protocol === "https:",
  };
  if (JSON.stringify(protections) !== JSON.stringify(state.protections))
    dispatch({ type: "protections", protections });
}

function listen(path: string, running: Scope): void {
  const signal = running.signal();
  let wondering = false;
  const listening = new Feed(path, {
    open: () => dispatch({ type: "feed_open" }),
    lost: () => {
      dispatch({ type: "feed_lost" });
      // The socket does not say why it closed; the session does, and it knows the state as well.
      void api.current(signal).then((answer) => {
        if (answer !== null && !running.closed) dispatch(answer);
      });
    },
    state: (broadcast) => dispatch({ type: "broadcast", broadcast }),
    bye: (reason, message) => dispatch({ type: "bye", reason, message }),
    takeover: (question) => dispatch({ type: "takeover", question }),
    takeoverOver: (id, state) => dispatch({ type: "takeover_over", id, state }),
    guarded: (mark) => {
      const orders = ordersOf(state);
      const known = orders === null ? null : orders.watermark !== null;
      if (mark === known || wondering) return;
      // The organiser changed it while we watched.
      wondering = true;
      running.after(
        Math.random() * ORDERS_SPREAD_MS,
        () =>
          void api.current(signal).then((answer) => {
            wondering = false;
            if (answer?.type !== "session" || running.closed) return;
            // Of the rest the feed tells sooner: an answer that is on its way may be older than what it said.
            const { id, guard } = answer.session;
            dispatch({ type: "orders", session: id, guard });
          }),
      );
    },
    beat: (nonce) => {
      const measure = player.measure();
      const seen = { positionMs: measure?.positionMs ?? null, frames: measure?.framesShown ?? 0 };
      const beat =
        heartOf(ordersOf(state)?.heartbeatKey ?? "")?.answer(nonce, { guard: guard?.tell() ?? 0, ...seen }) ??
        null;
      if (beat !== null) answeredAt = performance.now();
      return beat;
    },
    caution: (caution) => dispatch({ type: "caution", caution }),
    report: () => {
      const measure = player.measure();
      return {
        latency_ms: measure?.latencyMs ?? null,
        height: measure?.height ?? null,
        stalls: measure?.stalls ?? 0,
        position_ms: measure?.positionMs ?? null,
        visible: !isHidden(),
        playing: player.status === "playing",
      };
    },
  });
  feed = listening;
  running.defer(() => {
    listening.close();
    feed = null;
    answeredAt = Number.NEGATIVE_INFINITY;
  });
}

scope.listen(player, "change", () => {
  const { status, trouble, mutedByBrowser } = player;
  const { media } = state;
  if (media.status === status && media.trouble === trouble && media.mutedByBrowser === mutedByBrowser) return;
  dispatch({ type: "media", status, trouble, mutedByBrowser });
});
scope.listen(player, "refused", () => dispatch({ type: "media_refused" }));

/** The code in the link is for this page only: it goes into bodies, never into an address or the history. */
function takeFragment(): string | null {
  const code = fromFragment(location.hash);
  if (code === null) return null;
  page.fillIn(code);
  history.replaceState(null, "", location.pathname + location.search);
  return code;
}
/** The code of the link that this page was opened by, until the server was told. */
let opened = takeFragment();
scope.listen(window, "hashchange", () => void takeFragment());

/** Once, when it is known who we are: somebody who is in has opened their link before. */
function tellOpening(session: Answer | null): void {
  if (session === null || session.type === "trouble") return;
  if (session.type === "no_session" && opened !== null) api.opened(opened);
  opened = null;
}

page.draw(state);
if (event === "") dispatch({ type: "missing" });
else reconcile(wants(state));
