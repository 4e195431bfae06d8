/**
 * The viewer's page, put together: facts go in, the state changes, what it wants is started or stopped, the page
 * is drawn. This file knows every part and decides nothing.
 */
import "./element/stagedoor-player.ts";
import { Backoff } from "./backoff.ts";
import { ServerClock } from "./model/clock.ts";
import { fromFragment } from "./model/code.ts";
import { type Fact, initial, reduce, type State, type Wants, wants } from "./model/state.ts";
import { type Answer, Api } from "./net/api.ts";
import { Feed } from "./net/feed.ts";
import type { Challenge } from "./net/proof.ts";
import { Page } from "./page/page.ts";
import { Scope } from "./scope.ts";
import { keepAwake } from "./wake-lock.ts";
import { wordsFor } from "./words/index.ts";

const TICK_MS = 500;
const DOOR_MS = 30_000;

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
});
const { player } = page;
player.clock = clock;

let state: State = initial(now());
let redeems = 0;

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
  if (want.media === null) player.removeAttribute("src");
  else if (player.getAttribute("src") !== want.media) player.setAttribute("src", want.media);
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

function listen(path: string, running: Scope): void {
  const signal = running.signal();
  const feed = new Feed(path, {
    open: () => dispatch({ type: "feed_open" }),
    lost: () => {
      dispatch({ type: "feed_lost" });
      // The socket does not say why it closed; the session does, and it knows the state as well.
      void api.current(signal).then((answer) => {
        if (answer !== null && !running.closed) dispatch(answer);
      });
    },
    state: (broadcast) => dispatch({ type: "broadcast", broadcast }),
    bye: (reason) => dispatch({ type: "bye", reason }),
    report: () => {
      const measure = player.measure();
      return {
        latency_ms: measure?.latencyMs ?? null,
        height: measure?.height ?? null,
        stalls: measure?.stalls ?? 0,
        position_ms: measure?.positionMs ?? null,
        visible: !document.hidden,
        playing: player.status === "playing",
      };
    },
  });
  running.defer(() => feed.close());
}

scope.listen(player, "change", () => {
  const { status, trouble, mutedByBrowser } = player;
  const { media } = state;
  if (media.status === status && media.trouble === trouble && media.mutedByBrowser === mutedByBrowser) return;
  dispatch({ type: "media", status, trouble, mutedByBrowser });
});
scope.listen(player, "refused", () => dispatch({ type: "media_refused" }));

/** The code in the link is for this page only: neither the server nor the history needs to see it. */
function takeFragment(): void {
  const code = fromFragment(location.hash);
  if (code === null) return;
  page.fillIn(code);
  history.replaceState(null, "", location.pathname + location.search);
}
takeFragment();
scope.listen(window, "hashchange", takeFragment);

page.draw(state);
if (event === "") dispatch({ type: "missing" });
else reconcile(wants(state));
