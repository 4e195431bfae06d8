/**
 * The session's feed: a WebSocket that tells the state of the broadcast and the end of access, and takes our
 * reports. It reconnects for ever, also when a socket that looks open has fallen silent. A socket that cannot be
 * opened does not say why, so each failure asks the caller to find out who we still are.
 */
import { Backoff } from "../backoff.ts";
import type { Broadcast, ByeReason, Caution, Question, TakeoverState } from "../model/state.ts";
import { Scope } from "../scope.ts";
import {
  type Answer,
  askingState,
  broadcast,
  cautionOf,
  isObject,
  moment,
  takeoverState,
  text,
} from "./api.ts";
import type { Beat } from "./heartbeat.ts";

export interface Report {
  readonly latency_ms: number | null;
  readonly height: number | null;
  readonly stalls: number;
  readonly position_ms: number | null;
  readonly visible: boolean;
  readonly playing: boolean;
}

export interface FeedEvents {
  open(): void;
  lost(): void;
  state(state: Broadcast): void;
  bye(reason: ByeReason | "stopping", message: string | null): void;
  /** Another screen asks. */
  takeover(question: Question): void;
  takeoverOver(id: string, state: TakeoverState): void;
  /** How the event is guarded now: with a mark or without, or, `null`, not at all. */
  guarded(mark: boolean | null): void;
  /** The server asks for a sign of life: the answer, or none. */
  beat(nonce: string): Beat | null;
  /** The server has something to say about what the page saw. */
  caution(caution: Caution): void;
  /** What to tell the server now, every five seconds. */
  report(): Report;
}

const BYES: readonly string[] = [
  "revoked",
  "ended",
  "expired",
  "replaced",
  "kicked",
  "taken_over",
  "code_changed",
  "blocked",
  "tampering",
  "stopping",
] satisfies (ByeReason | "stopping")[];

const REPORT_MS = 5_000;
/** A socket that takes longer to open is given up. */
const OPEN_MS = 10_000;
/**
 * Every five seconds the server asks a question, or says that it is there. A connection that broke without a word leaves
 * a socket that is open for ever: after three that did not come it is lost. Sooner than the server's eighteen seconds
 * without an answer, so that the next socket answers before the session counts as silent.
 */
const SILENCE_MAX_MS = 16_000;
/** How often that is looked at. */
const LOOK_MS = 1_000;

export class Feed {
  readonly #scope = new Scope();
  readonly #backoff = new Backoff(500, 15_000);
  #socket: Scope | null = null;
  #reportedAt = 0;
  #open: WebSocket | null = null;

  constructor(
    private readonly path: string,
    private readonly events: FeedEvents,
  ) {
    this.#connect();
    // The network said it is back: no reason to sit out the rest of a wait.
    this.#scope.listen(window, "online", () => {
      this.#backoff.reset();
      if (this.#socket === null) this.#connect();
    });
    this.#scope.defer(() => this.#socket?.close());
  }

  close(): void {
    this.#scope.close();
  }

  /** Sends a message; whether there was a socket to take it. */
  send(message: object): boolean {
    if (this.#open?.readyState !== WebSocket.OPEN) return false;
    this.#open.send(JSON.stringify(message));
    return true;
  }

  #connect(): void {
    if (this.#scope.closed) return;
    this.#socket?.close();
    const scope = new Scope();
    this.#socket = scope;

    const url = new URL(this.path, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    let over = false;
    scope.defer(() => {
      over = true;
      this.#open = null;
      socket.close();
    });
    const lost = () => {
      if (over) return;
      scope.close();
      this.#socket = null;
      this.events.lost();
      this.#scope.after(this.#backoff.next(), () => {
        if (this.#socket === null) this.#connect();
      });
    };
    let heardAt = Date.now();
    // A timer may come late (in the background, after a sleep): the time of the last message decides.
    const look = () => {
      const now = Date.now();
      // With a clock that was set back, the difference would be waited for as well.
      heardAt = Math.min(heardAt, now);
      if (now - heardAt >= SILENCE_MAX_MS) lost();
    };
    const tooLong = scope.after(OPEN_MS, lost);
    scope.listen(socket, "open", () => {
      tooLong();
      this.#backoff.reset();
      this.#open = socket;
      heardAt = Date.now();
      this.events.open();
      this.#report();
      scope.every(REPORT_MS, () => {
        if (performance.now() - this.#reportedAt > REPORT_MS / 2) this.#report();
      });
      scope.every(LOOK_MS, look);
      scope.listen(window, "online", look);
      scope.listen(document, "visibilitychange", () => {
        // Whoever looks away is not asked on this screen: the server must know at once.
        this.#report();
        look();
      });
    });
    scope.listen(socket, "message", (event) => {
      heardAt = Date.now();
      this.#take((event as MessageEvent<unknown>).data);
    });
    scope.listen(socket, "close", lost);
    scope.listen(socket, "error", lost);
  }

  #report(): void {
    this.#reportedAt = performance.now();
    this.send({ type: "report", ...this.events.report() });
  }

  #take(data: unknown): void {
    const message = parse(data);
    if (message?.type === "state") this.events.state(broadcast(message.state));
    if (message?.type === "bye") {
      const reason = text(message.reason);
      // A reason that this page does not know yet is an end all the same.
      const known = BYES.includes(reason) ? (reason as ByeReason | "stopping") : "ended";
      this.events.bye(known, text(message.message) || null);
    }
    if (message?.type === "takeover") {
      const [at, expiresAt] = [moment(message.at), moment(message.expires_at)];
      const id = text(message.id);
      if (id === "" || expiresAt === null) return;
      const question = {
        id,
        device: text(message.device),
        place: text(message.place),
        at: at ?? 0,
        expiresAt,
      };
      this.events.takeover(question);
    }
    // What asks for no mark and for no answer says how the event is guarded as well.
    if (message?.type === "alive") this.events.guarded(null);
    if (message?.type === "challenge") {
      if (typeof message.watermark === "boolean") this.events.guarded(message.watermark);
      const beat = this.events.beat(text(message.nonce));
      if (beat === null) return;
      // Both at once: the server reads them in one go, and thousands of pages are half the work.
      this.#report();
      this.send({ type: "heartbeat", ...beat });
    }
    if (message?.type === "caution") this.events.caution(cautionOf(message));
    if (message?.type === "takeover_over") {
      this.events.takeoverOver(text(message.id), takeoverState(message.state));
    }
  }
}

/**
 * Waits for the answer to a question of ours, until `scope` closes. The socket tells it at once; while there is none
 * (it broke, or a proxy does not pass it) `ask` is called every two seconds.
 */
export function listenForAnswer(
  path: string,
  id: string,
  scope: Scope,
  heard: (answer: Answer) => void,
  ask: () => void,
): void {
  const url = new URL(path, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url);
  scope.defer(() => socket.close());
  scope.listen(socket, "message", (event) => {
    const message = parse((event as MessageEvent<unknown>).data);
    if (message?.type === "takeover") heard(askingState(id, message));
  });
  let polling = false;
  scope.listen(socket, "close", () => {
    if (polling || scope.closed) return;
    polling = true;
    ask();
    scope.every(2_000, ask);
  });
}

/** A message this page does not understand is from a newer server and is passed over. */
function parse(data: unknown): Record<string, unknown> | null {
  if (typeof data !== "string") return null;
  try {
    const value: unknown = JSON.parse(data);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
