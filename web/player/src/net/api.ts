/**
 * The viewer's part of the public API, as facts.
 *
 * Every call answers with a fact or with `null` when it was called off; none throws. Errors are RFC 9457 problems
 * and are told apart by their stable `code`, never by their words. Each answer's `Date` feeds the server clock.
 */
import type { ServerClock } from "../model/clock.ts";
import type {
  Asking,
  Broadcast,
  Caution,
  Elsewhere,
  EventInfo,
  Fact,
  GuardOrders,
  Place,
  Proof,
  Session,
  TakeoverState,
} from "../model/state.ts";

type WithoutNow<F> = F extends Fact ? Omit<F, "now"> : never;
export type Answer = WithoutNow<Fact>;

/** An answer that takes longer is a lost connection: better asked again than waited for. */
const TIMEOUT_MS = 10_000;
/** A goodbye that nobody answers keeps nobody from coming in. */
const GOODBYE_MS = 2_000;
const WAIT_DEFAULT_MS = 5_000;
const WAIT_MAX_MS = 15 * 60_000;

export class Api {
  readonly #base: string;
  /** The last goodbye: its answer takes a cookie away, and must not arrive after an answer that gives a new one. */
  #goodbye: Promise<unknown> = Promise.resolve();

  constructor(
    event: string,
    private readonly clock: ServerClock,
  ) {
    this.#base = `/api/v1/events/${encodeURIComponent(event)}`;
  }

  async door(signal: AbortSignal): Promise<Answer | null> {
    const reply = await this.#call("GET", "/door", signal);
    if (reply === null || "type" in reply) return reply;
    // An id that never was one is as little there as one that is gone.
    if ([400, 404, 410, 422].includes(reply.status)) return { type: "missing" };
    if (!reply.ok) return { type: "trouble", trouble: "busy" };
    return {
      type: "door",
      event: eventInfo(reply.body),
      broadcast: broadcast(reply.body.state),
      elsewhere: elsewhere(reply.body.refusal),
    };
  }

  /** Says that the link with this code was opened; nothing depends on its being heard. */
  opened(code: string): void {
    const headers = { "content-type": "application/json" };
    const init: RequestInit = { method: "POST", cache: "no-store", keepalive: true, headers };
    fetch(`${this.#base}/openings`, { ...init, body: JSON.stringify({ code }) }).catch(() => {});
  }

  /** Who are we? Our session, or none. */
  async current(signal: AbortSignal): Promise<Answer | null> {
    const reply = await this.#call("GET", "/sessions/current", signal);
    if (reply === null || "type" in reply) return reply;
    if (reply.ok) return entered(reply.body) ?? { type: "trouble", trouble: "busy" };
    const why = elsewhere(reply.body.code);
    if (why !== null) return { type: "elsewhere", why };
    if ([400, 401, 403, 404, 410, 422].includes(reply.status)) return { type: "no_session" };
    return { type: "trouble", trouble: "busy" };
  }

  async redeem(
    code: string,
    proof: Proof | null,
    tries: number,
    signal: AbortSignal,
  ): Promise<Answer | null> {
    await Promise.race([this.#goodbye, new Promise((resolve) => setTimeout(resolve, GOODBYE_MS))]);
    if (signal.aborted) return null;
    const reply = await this.#call("POST", "/sessions", signal, proof === null ? { code } : { code, proof });
    if (reply === null) return null;
    const backoff = Math.min(30_000, 2_000 * 2 ** tries);
    if ("type" in reply) return { type: "submit_failed", trouble: reply.trouble, waitMs: backoff };
    if (reply.status === 202) return waiting(reply.body) ?? { type: "refused", refusal: "unknown" };
    if (reply.ok) return entered(reply.body) ?? { type: "refused", refusal: "unknown" };
    const { body } = reply;
    switch (body.code) {
      case "code_invalid":
      case "access_ended":
      case "invitation_expired":
      case "used_up":
      case "blocked":
      case "takeover_pending":
        return { type: "refused", refusal: body.code };
      case "country_refused":
      case "network_refused":
        return { type: "elsewhere", why: body.code };
      case "too_many_attempts":
      case "too_many_takeovers":
        return { type: "refused", refusal: body.code, waitMs: reply.waitMs ?? WAIT_DEFAULT_MS };
      case "proof_required": {
        const challenge = challengeOf(body);
        if (challenge !== null) return { type: "challenge", challenge };
        break;
      }
    }
    if (reply.status === 404) return { type: "missing" };
    if (reply.status === 429 || reply.status >= 500) {
      return { type: "submit_failed", trouble: "busy", waitMs: reply.waitMs ?? backoff };
    }
    return { type: "refused", refusal: "unknown" };
  }

  /** Where do we stand in line? `null` also when nobody could be asked: the place is kept for a while. */
  async queue(signal: AbortSignal): Promise<Answer | null> {
    const reply = await this.#call("GET", "/queue/current", signal);
    if (reply === null || "type" in reply) return null;
    if (reply.ok) return reply.body.admitted === true ? { type: "admitted" } : waiting(reply.body);
    const why = elsewhere(reply.body.code);
    if (why !== null) return { type: "elsewhere", why };
    return reply.status === 404 ? { type: "no_place" } : null;
  }

  /** What did the other screen say? `null` when nobody could be asked. */
  async asking(id: string, signal: AbortSignal): Promise<Answer | null> {
    const reply = await this.#call("GET", `/takeovers/${encodeURIComponent(id)}`, signal);
    if (reply === null || "type" in reply) return null;
    if (reply.status === 404) return { type: "asking_state", id, state: "cancelled", expiresAt: null };
    return reply.ok ? askingState(id, reply.body) : null;
  }

  askingFeed(id: string): string {
    return `${this.#base}/takeovers/${encodeURIComponent(id)}/feed`;
  }

  /** Tells what the reader answered; what became of the question. `null` when nobody heard it. */
  async answer(id: string, approve: boolean, signal: AbortSignal): Promise<Answer | null> {
    const path = `/sessions/current/takeovers/${encodeURIComponent(id)}`;
    const reply = await this.#call("POST", path, signal, { approve });
    if (reply === null || "type" in reply) return null;
    if (reply.status === 404 || reply.status === 409)
      return { type: "takeover_over", id, state: "cancelled" };
    return reply.ok ? { type: "takeover_over", id, state: takeoverState(reply.body.state) } : null;
  }

  /** Whom may we bring along? `null` when nobody, or nobody could be asked. */
  async guests(signal: AbortSignal): Promise<Answer | null> {
    const reply = await this.#call("GET", "/sessions/current/guests", signal);
    if (reply === null || "type" in reply || !reply.ok) return null;
    const list = Array.isArray(reply.body.guests) ? reply.body.guests.filter(isObject) : [];
    return {
      type: "guests",
      list: list.map(({ name, state, link }) => ({
        name: text(name),
        state: text(state),
        link: text(link) || null,
      })),
      left: number(reply.body.left),
    };
  }

  async bring(name: string, signal: AbortSignal): Promise<Answer | null> {
    const reply = await this.#call("POST", "/sessions/current/guests", signal, { name });
    if (reply === null) return null;
    if ("type" in reply || !reply.ok) return { type: "bring_failed" };
    return { type: "brought", name, code: text(reply.body.code), link: text(reply.body.link) };
  }

  /** Says goodbye; nothing depends on its being heard. */
  leave(): void {
    this.#forget("/sessions/current");
  }

  leaveQueue(): void {
    this.#forget("/queue/current");
  }

  /** Ask no more, or hear no more: the browser forgets whose question it was. */
  stopAsking(id: string): void {
    this.#forget(`/takeovers/${encodeURIComponent(id)}`);
  }

  #forget(path: string): void {
    this.#goodbye = fetch(this.#base + path, { method: "DELETE", keepalive: true }).catch(() => {});
  }

  async #call(
    method: "GET" | "POST",
    path: string,
    signal: AbortSignal,
    body?: unknown,
  ): Promise<Reply | { type: "trouble"; trouble: "network" } | null> {
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), TIMEOUT_MS);
    const stop = () => timeout.abort();
    signal.addEventListener("abort", stop, { once: true });
    try {
      const sent = Date.now();
      const init: RequestInit = { method, cache: "no-store", signal: timeout.signal };
      if (body !== undefined) {
        init.headers = { "content-type": "application/json" };
        init.body = JSON.stringify(body);
      }
      const response = await fetch(this.#base + path, init);
      this.clock.sample(Date.parse(response.headers.get("date") ?? ""), sent, Date.now());
      const json: unknown = await response.json().catch(() => null);
      return {
        status: response.status,
        ok: response.ok,
        body: isObject(json) ? json : {},
        waitMs: retryAfter(response.headers.get("retry-after"), Date.now() + this.clock.offsetMs),
      };
    } catch {
      return signal.aborted ? null : { type: "trouble", trouble: "network" };
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    }
  }
}

interface Reply {
  readonly status: number;
  readonly ok: boolean;
  readonly body: Record<string, unknown>;
  readonly waitMs: number | null;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** A state this page does not know yet counts as "not started": it waits instead of failing. */
export function broadcast(value: unknown): Broadcast {
  return value === "live" || value === "away" || value === "ended" ? value : "idle";
}

export function takeoverState(value: unknown): TakeoverState {
  return value === "pending" || value === "approved" || value === "declined" || value === "expired"
    ? value
    : "cancelled";
}

export function askingState(id: string, body: Record<string, unknown>): Answer {
  const expiresAt = moment(body.expires_at);
  return { type: "asking_state", id, state: takeoverState(body.state), expiresAt };
}

export function moment(value: unknown): number | null {
  const at = Date.parse(text(value));
  return Number.isFinite(at) ? at : null;
}

function elsewhere(value: unknown): Elsewhere | null {
  return value === "country_refused" || value === "network_refused" ? value : null;
}

function number(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

/** More reasons than this nobody reads. */
const CAUTION_SIGNALS_MAX = 8;
/** Asking more often than this helps nobody. */
const POLL_MIN_MS = 1_000;
const POLL_MAX_MS = 60_000;

/** What a right code has to wait for. */
function waiting(body: Record<string, unknown>): Answer | null {
  if (body.waiting === "queue" && isObject(body.queue)) {
    const { queue } = body;
    const place: Place = {
      position: Math.max(1, number(queue.position)),
      etaMs: typeof queue.eta_ms === "number" ? queue.eta_ms : null,
      pollMs: Math.min(POLL_MAX_MS, Math.max(POLL_MIN_MS, number(queue.poll_ms) || 5_000)),
    };
    return { type: "queued", place };
  }
  if (body.waiting === "takeover" && isObject(body.takeover)) {
    const { takeover } = body;
    const expiresAt = moment(takeover.expires_at);
    const asking: Asking = {
      id: text(takeover.id),
      device: text(takeover.device),
      expiresAt: expiresAt ?? 0,
    };
    return asking.id === "" || expiresAt === null ? null : { type: "asked", asking };
  }
  return null;
}

function eventInfo(body: Record<string, unknown>): EventInfo {
  return { title: text(body.title), startsAt: moment(body.starts_at) };
}

function entered(body: Record<string, unknown>): Answer | null {
  const playback = isObject(body.playback) ? body.playback : {};
  const session: Session = {
    id: text(body.id),
    name: text(body.name),
    hls: text(playback.hls),
    feed: text(body.feed),
    guard: guardOf(body.guard),
  };
  if (session.id === "" || session.hls === "") return null;
  return { type: "session", session, event: eventInfo(body), broadcast: broadcast(body.state) };
}

/** A server that does not guard says nothing, and so does one whose key this page cannot read. */
function guardOf(value: unknown): GuardOrders | null {
  if (!isObject(value) || text(value.heartbeat_key) === "") return null;
  const { watermark } = value;
  const lines = isObject(watermark) && Array.isArray(watermark.lines) ? watermark.lines.map(text) : [];
  const mark = lines.filter((line) => line !== "");
  return {
    heartbeatKey: text(value.heartbeat_key),
    heartbeatMs: Math.max(1, number(value.heartbeat_s) || 5) * 1000,
    watermark: isObject(watermark) && mark.length > 0 ? { lines: mark, seed: text(watermark.seed) } : null,
  };
}

/** An action that this page does not know is said in words: it has no other way to carry it out. */
export function cautionOf(body: Record<string, unknown>): Caution {
  const action = body.action === "blur" || body.action === "pause" ? body.action : "warn";
  const signals = Array.isArray(body.signals) ? body.signals.map(text).filter((name) => name !== "") : [];
  return { action, signals: [...new Set(signals)].slice(0, CAUTION_SIGNALS_MAX) };
}

/** The challenge stands in the problem itself, or in an object of that name. */
function challengeOf(body: Record<string, unknown>): { challenge: string; bits: number } | null {
  const at = isObject(body.challenge) ? body.challenge : body;
  const challenge = text(at.challenge);
  const bits = Number(at.bits);
  return challenge !== "" && Number.isInteger(bits) && bits >= 0 ? { challenge, bits } : null;
}

/** Seconds or an HTTP date → milliseconds to wait, at most a quarter of an hour. */
export function retryAfter(header: string | null, nowMs: number): number | null {
  if (header === null) return null;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - nowMs;
  return Number.isFinite(ms) ? Math.min(Math.max(0, ms), WAIT_MAX_MS) : null;
}
