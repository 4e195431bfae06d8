/**
 * Everybody in a room, outside of React: ten thousand rows of which two thousand change in a second are no state that
 * a page could be drawn from anew.
 *
 * A row is told to whoever shows it, once per frame; the order of the rows is worked out anew at most once a second,
 * and only when something that decides it has changed. While somebody points at the table (`hold`) rows do not change
 * places at all: whoever is about to be sent out stays under the pointer.
 */
import type { Viewer, ViewerChange } from "../api/types.ts";
import { fold, isTroubled } from "../model/people.ts";
import type { FeedMessage } from "./reducer.ts";

/** When things are done, handed in. */
export interface Schedule {
  /** Before the next picture is drawn. */
  frame(task: () => void): void;
  after(ms: number, task: () => void): void;
}

export type Order = "name" | "joined" | "device" | "quality" | "latency" | "stalls";
export type Filter = "all" | "watching" | "away" | "troubled";

export interface Query {
  readonly search: string;
  readonly filter: Filter;
  readonly order: Order;
  readonly descending: boolean;
}

export const plainQuery: Query = { search: "", filter: "all", order: "joined", descending: false };

/** The order is worked out at most this often: a list that reads like a ticker cannot be read. */
const VIEW_MS = 1_000;

type Listener = () => void;

export class Viewers {
  readonly #rows = new Map<string, Viewer>();
  /** Names as they are searched and sorted, worked out once. */
  readonly #folded = new Map<string, string>();
  readonly #schedule: Schedule;
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #viewListeners = new Set<Listener>();
  readonly #dirty = new Set<string>();
  #pending: Map<string, Viewer> | null = null;
  #framed = false;
  #waiting = false;
  #stale = false;
  #held = false;
  #query: Query = plainQuery;
  #view: readonly string[] = [];
  #seq: number | null = null;
  #pendingSeq: number | null = null;

  constructor(schedule: Schedule) {
    this.#schedule = schedule;
  }

  /** The number to go on from; `null` before everything was there once. */
  get seq(): number | null {
    return this.#seq;
  }
  get size(): number {
    return this.#rows.size;
  }
  get rows(): ReadonlyMap<string, Viewer> {
    return this.#rows;
  }
  get(session: string): Viewer | undefined {
    return this.#rows.get(session);
  }

  /** What whoever came in with an invitation is called; of a few, for all are looked through. */
  nameOf(invitation: string): string | undefined {
    for (const viewer of this.#rows.values()) if (viewer.invitation === invitation) return viewer.name;
    return undefined;
  }

  /** Sessions in the order and choice that was asked for; the same array until it changes. */
  get view(): readonly string[] {
    return this.#view;
  }

  subscribe(session: string, listener: Listener): () => void {
    let listeners = this.#listeners.get(session);
    if (listeners === undefined) {
      listeners = new Set();
      this.#listeners.set(session, listeners);
    }
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(session);
    };
  }

  subscribeView(listener: Listener): () => void {
    this.#viewListeners.add(listener);
    return () => {
      this.#viewListeners.delete(listener);
    };
  }

  get query(): Query {
    return this.#query;
  }

  /** Asked for by a person: answered at once. */
  ask(query: Query): void {
    this.#query = query;
    this.#draw(true);
  }

  hold(held: boolean): void {
    if (this.#held === held) return;
    this.#held = held;
    if (!held && this.#stale) this.#changed();
  }

  apply(message: FeedMessage): void {
    switch (message.type) {
      case "snapshot":
        this.#pending = new Map();
        this.#pendingSeq = message.seq;
        this.#take(message.viewers, message.more);
        return;
      case "rows":
        this.#take(message.viewers, message.more);
        return;
      case "viewers":
        for (const viewer of message.joined) this.#put(viewer);
        for (const change of message.changed) this.#change(change);
        for (const session of message.left) this.#remove(session);
        if (message.joined.length > 0 || message.left.length > 0) this.#changed();
        this.#heard(message.seq);
        return;
      case "stream":
      case "counters":
      case "changed":
        this.#heard(message.seq);
    }
  }

  /** A socket that broke between the pieces of a snapshot leaves what was known before. */
  broken(): void {
    this.#pending = null;
    this.#pendingSeq = null;
  }

  #heard(seq: number) {
    if (this.#seq !== null) this.#seq = seq;
  }

  #take(viewers: readonly Viewer[], more: boolean) {
    const pending = this.#pending;
    if (pending === null) return;
    for (const viewer of viewers) pending.set(viewer.session, viewer);
    if (more) return;
    for (const session of [...this.#rows.keys()]) if (!pending.has(session)) this.#remove(session);
    for (const viewer of pending.values()) this.#put(viewer);
    this.#seq = this.#pendingSeq;
    this.#pending = null;
    this.#pendingSeq = null;
    this.#draw(true);
  }

  #put(viewer: Viewer) {
    this.#rows.set(viewer.session, viewer);
    this.#folded.set(viewer.session, fold(viewer.name));
    this.#touch(viewer.session);
  }

  #change(change: ViewerChange) {
    const before = this.#rows.get(change.session);
    if (before === undefined) return;
    const now = { ...before, ...change };
    this.#rows.set(change.session, now);
    if (this.#decides(before, now)) this.#changed();
    this.#touch(change.session);
  }

  #remove(session: string) {
    this.#rows.delete(session);
    this.#folded.delete(session);
    this.#touch(session);
  }

  /** Whether a change may move the row, in or out of the choice or along the order. */
  #decides(before: Viewer, now: Viewer): boolean {
    if (before.watching !== now.watching) return true;
    if (this.#query.filter === "troubled" && isTroubled(before) !== isTroubled(now)) return true;
    switch (this.#query.order) {
      case "quality":
        return before.height !== now.height;
      case "latency":
        return before.latency_ms !== now.latency_ms;
      case "stalls":
        return before.stalls !== now.stalls;
      default:
        return false;
    }
  }

  #touch(session: string) {
    // Rows that nobody shows need no word.
    if (!this.#listeners.has(session)) return;
    this.#dirty.add(session);
    if (this.#framed) return;
    this.#framed = true;
    this.#schedule.frame(() => {
      this.#framed = false;
      const dirty = [...this.#dirty];
      this.#dirty.clear();
      for (const key of dirty) for (const listener of this.#listeners.get(key) ?? []) listener();
    });
  }

  #changed() {
    this.#stale = true;
    if (this.#waiting) return;
    this.#waiting = true;
    this.#schedule.after(VIEW_MS, () => {
      this.#waiting = false;
      if (this.#stale) this.#draw(false);
    });
  }

  #draw(asked: boolean) {
    this.#stale = false;
    const next = this.#held && !asked ? this.#kept() : this.#sorted();
    const same = next.length === this.#view.length && next.every((key, at) => key === this.#view[at]);
    if (same) return;
    this.#view = next;
    for (const listener of this.#viewListeners) listener();
  }

  /** Everybody in their place; who came stands at the end. */
  #kept(): string[] {
    this.#stale = true;
    const kept = this.#view.filter((session) => this.#rows.has(session));
    const before = new Set(kept);
    const chosen = this.#chosen();
    for (const session of this.#rows.keys()) {
      if (!before.has(session) && chosen(session)) kept.push(session);
    }
    return kept;
  }

  #sorted(): string[] {
    const chosen = this.#chosen();
    const found = [...this.#rows.keys()].filter(chosen);
    const compare = this.#compare();
    const turn = this.#query.descending ? -1 : 1;
    return found.sort((a, b) => turn * compare(a, b) || (a < b ? -1 : 1));
  }

  #chosen(): (session: string) => boolean {
    const { search, filter } = this.#query;
    const needle = fold(search.trim());
    return (session) => {
      const row = this.#rows.get(session);
      if (row === undefined) return false;
      if (filter === "watching" && !row.watching) return false;
      if (filter === "away" && row.watching) return false;
      if (filter === "troubled" && !isTroubled(row)) return false;
      if (needle === "") return true;
      return (this.#folded.get(session) ?? "").includes(needle) || row.device.toLowerCase().includes(needle);
    };
  }

  #compare(): (a: string, b: string) => number {
    const row = (session: string) => this.#rows.get(session);
    const number = (value: (viewer: Viewer) => number | null | undefined) => (a: string, b: string) => {
      const [x, y] = [row(a), row(b)];
      return ((x && value(x)) ?? -1) - ((y && value(y)) ?? -1);
    };
    switch (this.#query.order) {
      case "name":
        return (a, b) => text(this.#folded.get(a), this.#folded.get(b));
      case "device":
        return (a, b) => text(row(a)?.device, row(b)?.device);
      case "quality":
        return number((viewer) => viewer.height);
      case "latency":
        return number((viewer) => viewer.latency_ms);
      case "stalls":
        return number((viewer) => viewer.stalls);
      case "joined":
        // Who is watching first, then by the time they came in.
        return (a, b) =>
          Number(row(b)?.watching) - Number(row(a)?.watching) || text(row(a)?.joined_at, row(b)?.joined_at);
    }
  }
}

function text(a = "", b = ""): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
