/**
 * Keeps the organiser feed connected: opens the socket, reads its messages, and comes back after a loss.
 *
 * It decides nothing about what the messages mean (see `reducer.ts`). The world it touches (socket, clock,
 * timer, chance) is handed in, so that the tests own all of it.
 */
import { type FeedMessage, parseFeedMessage, type RoomEvent } from "./reducer.ts";

/** The part of `WebSocket` that is used. */
export interface Socket {
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: (() => void) | null;
  onerror: (() => void) | null;
  close(): void;
}

export interface World {
  connect(url: string): Socket;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Runs `task` after `ms`; the returned function cancels it. */
  after(ms: number, task: () => void): () => void;
  /** A number in 0..1. */
  random(): number;
}

/** First wait after a loss; short, because most losses are a server restart or a tunnel. */
const RETRY_FIRST_MS = 500;
/** Longest wait; an organiser looking at the page should not have to wonder. */
const RETRY_MAX_MS = 10_000;
/** A handshake that takes longer than this is given up and tried again. */
const HANDSHAKE_MAX_MS = 10_000;

/**
 * The server says something every ten seconds, if only that it is there; pings are not told to a page. A link that broke
 * without a word leaves a socket that is open for ever: after so long a silence nothing more will come.
 */
const SILENCE_MAX_MS = 30_000;

/**
 * How long to wait before attempt number `attempt` (0 = the first after a loss): doubling, capped, and
 * spread over half its length so that many pages do not return in one instant.
 */
export function retryDelay(attempt: number, random: number): number {
  const ceiling = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(attempt, 10));
  return Math.round(ceiling / 2 + (ceiling / 2) * random);
}

export class FeedConnection {
  readonly #url: () => string;
  readonly #world: World;
  readonly #tell: (event: RoomEvent) => void;
  readonly #refused: () => void;
  #socket: Socket | null = null;
  #cancel: (() => void) | null = null;
  #attempt = 0;
  #stopped = false;
  /** When something was last known to be true: what a lost page says its numbers are from. */
  #heardAt: number | null = null;
  /** When this socket last said anything at all, if only something this page does not understand. */
  #aliveAt: number | null = null;

  /**
   * `url` is asked for each attempt: where to go on from is in it. `tell` hears every event in order. `refused` is called when a socket closed without a single message:
   * browsers hide why a handshake failed, so the caller asks the API whether the session still holds.
   */
  constructor(url: () => string, world: World, tell: (event: RoomEvent) => void, refused: () => void) {
    this.#url = url;
    this.#world = world;
    this.#tell = tell;
    this.#refused = refused;
  }

  start(): void {
    this.#stopped = false;
    this.#open();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer();
    this.#drop();
  }

  /** Tries at once: the person asked, looks at the page again, or the browser says the network is back. */
  retryNow(): void {
    if (this.#stopped) return;
    if (this.#socket !== null) {
      if (this.#silenceLeft() > 0) return;
      this.#lose(false);
    }
    this.#cancelTimer();
    this.#open();
  }

  /** The network went away: a socket over it is dead although nobody has said so. */
  networkLost(): void {
    if (this.#stopped || this.#socket === null) return;
    this.#lose(false);
  }

  #open(): void {
    this.#tell({ type: "connecting" });
    const socket = this.#world.connect(this.#url());
    this.#socket = socket;
    this.#aliveAt = null;
    let heard = false;
    this.#cancel = this.#world.after(HANDSHAKE_MAX_MS, () => this.#lose(true));
    socket.onopen = () => {
      this.#tell({ type: "open" });
    };
    socket.onmessage = ({ data }) => {
      const now = this.#world.now();
      this.#aliveAt = now;
      const message: FeedMessage | null = typeof data === "string" ? parseFeedMessage(data) : null;
      if (message === null) return;
      if (!heard) {
        heard = true;
        this.#attempt = 0;
        this.#cancelTimer();
        this.#listen();
      }
      this.#heardAt = now;
      if (message.type !== "alive") this.#tell({ type: "message", message, at: now });
    };
    socket.onclose = () => this.#lose(!heard);
    socket.onerror = () => this.#lose(!heard);
  }

  /**
   * Waits for a silence that is too long. A timer may come late (in the background, after a sleep), so the time of the
   * last message decides, and not how often the timer came.
   */
  #listen(): void {
    const left = this.#silenceLeft();
    if (left <= 0) this.#lose(false);
    else this.#cancel = this.#world.after(left, () => this.#listen());
  }

  /** How much longer the socket may say nothing. */
  #silenceLeft(): number {
    if (this.#aliveAt === null) return SILENCE_MAX_MS;
    const now = this.#world.now();
    // With a clock that was set back, the difference would be waited for as well.
    this.#aliveAt = Math.min(this.#aliveAt, now);
    return this.#aliveAt + SILENCE_MAX_MS - now;
  }

  #lose(refused: boolean): void {
    this.#drop();
    this.#cancelTimer();
    if (this.#stopped) return;
    const wait = retryDelay(this.#attempt, this.#world.random());
    this.#attempt += 1;
    const at = this.#world.now();
    this.#tell({ type: "lost", at, retryAt: at + wait, heardAt: this.#heardAt });
    this.#cancel = this.#world.after(wait, () => this.#open());
    if (refused) this.#refused();
  }

  #drop(): void {
    const socket = this.#socket;
    if (socket === null) return;
    this.#socket = null;
    socket.onopen = null;
    socket.onmessage = null;
    socket.onclose = null;
    socket.onerror = null;
    socket.close();
  }

  #cancelTimer(): void {
    this.#cancel?.();
    this.#cancel = null;
  }
}
