/**
 * The viewer's part of the public API, as facts.
 *
 * Every call answers with a fact or with `null` when it was called off; none throws. Errors are RFC 9457 problems
 * and are told apart by their stable `code`, never by their words. Each answer's `Date` feeds the server clock.
 */
import type { ServerClock } from "../model/clock.ts";
import type { Broadcast, EventInfo, Fact, Proof, Session } from "../model/state.ts";

type WithoutNow<F> = F extends Fact ? Omit<F, "now"> : never;
export type Answer = WithoutNow<Fact>;

/** An answer that takes longer is a lost connection: better asked again than waited for. */
const TIMEOUT_MS = 10_000;
const WAIT_DEFAULT_MS = 5_000;
const WAIT_MAX_MS = 15 * 60_000;

export class Api {
  readonly #base: string;

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
    return { type: "door", event: eventInfo(reply.body), broadcast: broadcast(reply.body.state) };
  }

  /** Who are we? Our session, or none. */
  async current(signal: AbortSignal): Promise<Answer | null> {
    const reply = await this.#call("GET", "/sessions/current", signal);
    if (reply === null || "type" in reply) return reply;
    if (reply.ok) return entered(reply.body) ?? { type: "trouble", trouble: "busy" };
    if ([400, 401, 403, 404, 410, 422].includes(reply.status)) return { type: "no_session" };
    return { type: "trouble", trouble: "busy" };
  }

  async redeem(
    code: string,
    proof: Proof | null,
    tries: number,
    signal: AbortSignal,
  ): Promise<Answer | null> {
    const reply = await this.#call("POST", "/sessions", signal, proof === null ? { code } : { code, proof });
    if (reply === null) return null;
    const backoff = Math.min(30_000, 2_000 * 2 ** tries);
    if ("type" in reply) return { type: "submit_failed", trouble: reply.trouble, waitMs: backoff };
    if (reply.ok) return entered(reply.body) ?? { type: "refused", refusal: "unknown" };
    const { body } = reply;
    switch (body.code) {
      case "code_invalid":
      case "code_in_use":
      case "access_ended":
        return { type: "refused", refusal: body.code };
      case "too_many_attempts":
        return { type: "refused", refusal: "too_many_attempts", waitMs: reply.waitMs ?? WAIT_DEFAULT_MS };
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

  /** Says goodbye; nothing depends on its being heard. */
  leave(): void {
    fetch(`${this.#base}/sessions/current`, { method: "DELETE", keepalive: true }).catch(() => {});
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

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** A state this page does not know yet counts as "not started": it waits instead of failing. */
export function broadcast(value: unknown): Broadcast {
  return value === "live" || value === "away" || value === "ended" ? value : "idle";
}

function eventInfo(body: Record<string, unknown>): EventInfo {
  const startsAt = Date.parse(text(body.starts_at));
  return { title: text(body.title), startsAt: Number.isFinite(startsAt) ? startsAt : null };
}

function entered(body: Record<string, unknown>): Answer | null {
  const playback = isObject(body.playback) ? body.playback : {};
  const session: Session = {
    id: text(body.id),
    name: text(body.name),
    hls: text(playback.hls),
    feed: text(body.feed),
  };
  if (session.id === "" || session.hls === "") return null;
  return { type: "session", session, event: eventInfo(body), broadcast: broadcast(body.state) };
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
