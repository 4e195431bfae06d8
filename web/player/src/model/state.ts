/**
 * What the viewer's page knows, and the one place where it changes.
 *
 * `reduce` takes a fact and gives the next state; `scene` says in one word what the reader is looking at;
 * `wants` says what should be running (a request, the feed, the player). The shell in `main.ts` makes the world
 * agree with `wants`, the page draws `scene`. Nothing here reads a clock, sends a byte or touches the page, and no
 * other place decides what state we are in.
 */
import type { Challenge } from "../net/proof.ts";
import { PROOF_BITS_MAX } from "../net/proof.ts";

export type Broadcast = "idle" | "live" | "away" | "ended";

/** What anyone may know about an event. */
export interface EventInfo {
  readonly title: string;
  /** Milliseconds since the epoch, when the organiser has said. */
  readonly startsAt: number | null;
}

export interface Session {
  readonly id: string;
  /** Name on the invitation. */
  readonly name: string;
  /** Address of the multivariant playlist; the right to watch is in its path. */
  readonly hls: string;
  readonly feed: string;
}

/** Why a code did not open the door. */
export type Refusal =
  | "code_short"
  | "code_invalid"
  | "code_in_use"
  | "access_ended"
  | "too_many_attempts"
  | "unknown";

/** Why the server cannot be asked just now. */
export type Trouble = "network" | "busy";

export interface Proof {
  readonly challenge: string;
  readonly nonce: string;
}

/** The form at the door. */
export type Entry =
  | { readonly step: "typing"; readonly refusal: Refusal | null; readonly waitUntil: number | null }
  | {
      readonly step: "checking";
      readonly code: string;
      readonly proof: Proof | null;
      readonly proofs: number;
    }
  | {
      readonly step: "proving";
      readonly code: string;
      readonly challenge: Challenge;
      readonly proofs: number;
    }
  | { readonly step: "retrying"; readonly code: string; readonly trouble: Trouble; readonly at: number };

/** Why watching is over. `null`: the server only said no. */
export type OutReason = "revoked" | "ended" | "expired" | "replaced" | "left" | null;

export type Phase =
  | { readonly name: "opening" }
  | { readonly name: "missing" }
  | { readonly name: "door"; readonly entry: Entry }
  | { readonly name: "in"; readonly session: Session }
  | { readonly name: "out"; readonly reason: OutReason };

/** What the player says of itself. */
export interface Media {
  readonly status: "off" | "starting" | "playing" | "paused" | "waiting" | "finished";
  readonly trouble: Trouble | null;
  /** The browser allowed playing only without sound, and the reader has not asked for silence. */
  readonly mutedByBrowser: boolean;
  /** Since when the picture has not moved, though it should. */
  readonly waitingSince: number | null;
}

export interface State {
  /** Milliseconds since the epoch by the server's clock, as of the last fact. */
  readonly now: number;
  readonly phase: Phase;
  readonly event: EventInfo | null;
  readonly broadcast: Broadcast;
  readonly media: Media;
  /** How often the media had to be begun anew although its address is the same. */
  readonly takes: number;
  /** Since when the feed is not open; `null` while it is. */
  readonly feedDownSince: number | null;
  /** What went wrong with the last plain request, until one succeeds. */
  readonly trouble: Trouble | null;
  /** The media has refused us and the server must be asked whether we may still watch. */
  readonly doubt: boolean;
}

export type Fact = { readonly now: number } & (
  | { readonly type: "tick" }
  | { readonly type: "door"; readonly event: EventInfo; readonly broadcast: Broadcast }
  | { readonly type: "missing" }
  /** Answer to "do I have a session?": this one, or none. */
  | {
      readonly type: "session";
      readonly session: Session;
      readonly event: EventInfo;
      readonly broadcast: Broadcast;
    }
  | { readonly type: "no_session"; readonly reason?: OutReason }
  | { readonly type: "trouble"; readonly trouble: Trouble }
  | { readonly type: "submit"; readonly code: string }
  | { readonly type: "edit" }
  | { readonly type: "refused"; readonly refusal: Refusal; readonly waitMs?: number }
  | { readonly type: "challenge"; readonly challenge: Challenge }
  | { readonly type: "proved"; readonly nonce: string }
  | { readonly type: "submit_failed"; readonly trouble: Trouble; readonly waitMs: number }
  | { readonly type: "feed_open" }
  | { readonly type: "feed_lost" }
  | { readonly type: "broadcast"; readonly broadcast: Broadcast }
  | { readonly type: "bye"; readonly reason: "revoked" | "ended" | "expired" | "replaced" | "stopping" }
  | {
      readonly type: "media";
      readonly status: Media["status"];
      readonly trouble: Trouble | null;
      readonly mutedByBrowser: boolean;
    }
  | { readonly type: "media_refused" }
  | { readonly type: "leave" }
  | { readonly type: "again" }
);

const OFF: Media = { status: "off", trouble: null, mutedByBrowser: false, waitingSince: null };
const TYPING: Entry = { step: "typing", refusal: null, waitUntil: null };

/** A server that keeps asking for proofs is not getting anywhere. */
const PROOFS_MAX = 3;
/** The feed may be away this long before we say so: it reconnects in less. */
export const FEED_GRACE_MS = 4_000;
/** A picture that stands this long after the end was said, or after its stream ended, has nothing more to show. */
export const END_GRACE_MS = 4_000;
/** A picture may stand this long before it counts as a lost connection. */
export const STALL_GRACE_MS = 2_500;

export function initial(now: number): State {
  return {
    now,
    phase: { name: "opening" },
    event: null,
    broadcast: "idle",
    media: OFF,
    takes: 0,
    feedDownSince: null,
    trouble: null,
    doubt: false,
  };
}

export function reduce(before: State, fact: Fact): State {
  const state: State = { ...before, now: fact.now };
  const { phase } = state;
  switch (fact.type) {
    case "tick":
      return tick(state);

    case "door":
      return {
        ...state,
        event: fact.event,
        trouble: null,
        broadcast: phase.name === "in" ? state.broadcast : fact.broadcast,
      };

    case "missing":
      return { ...state, phase: { name: "missing" }, media: OFF, trouble: null };

    case "session": {
      const same = phase.name === "in" && phase.session.id === fact.session.id;
      const next: State = {
        ...state,
        phase: { name: "in", session: fact.session },
        event: { ...fact.event, startsAt: fact.event.startsAt ?? state.event?.startsAt ?? null },
        media: same ? state.media : OFF,
        feedDownSince: same ? state.feedDownSince : fact.now,
        trouble: null,
        doubt: false,
      };
      return withBroadcast(next, fact.broadcast);
    }

    case "no_session":
      if (phase.name === "in") return out(state, fact.reason ?? null);
      if (phase.name === "opening")
        return { ...state, phase: { name: "door", entry: TYPING }, trouble: null };
      return state;

    case "trouble":
      return { ...state, trouble: fact.trouble };

    case "submit": {
      if (phase.name !== "door" || waits(phase.entry, fact.now)) return state;
      if (fact.code.length < 12) return refused(state, "code_short", null);
      return entry(state, { step: "checking", code: fact.code, proof: null, proofs: 0 });
    }

    case "edit":
      // A wrong code stops being wrong when it is changed; a wait goes on.
      if (phase.name !== "door" || phase.entry.step === "checking" || phase.entry.step === "proving")
        return state;
      if (phase.entry.step === "typing" && (phase.entry.refusal === null || waits(phase.entry, fact.now)))
        return state;
      return entry(state, TYPING);

    case "refused":
      if (phase.name !== "door") return state;
      return refused(state, fact.refusal, fact.waitMs === undefined ? null : fact.now + fact.waitMs);

    case "challenge": {
      if (phase.name !== "door" || phase.entry.step !== "checking") return state;
      const { code, proofs } = phase.entry;
      if (proofs >= PROOFS_MAX || fact.challenge.bits > PROOF_BITS_MAX) {
        return entry(state, { step: "retrying", code, trouble: "busy", at: fact.now + 10_000 });
      }
      return entry(state, { step: "proving", code, challenge: fact.challenge, proofs: proofs + 1 });
    }

    case "proved": {
      if (phase.name !== "door" || phase.entry.step !== "proving") return state;
      const { code, challenge, proofs } = phase.entry;
      const proof = { challenge: challenge.challenge, nonce: fact.nonce };
      return entry(state, { step: "checking", code, proof, proofs });
    }

    case "submit_failed": {
      if (phase.name !== "door" || phase.entry.step !== "checking") return state;
      const { code } = phase.entry;
      return entry(state, { step: "retrying", code, trouble: fact.trouble, at: fact.now + fact.waitMs });
    }

    case "feed_open":
      return { ...state, feedDownSince: null, trouble: null };

    case "feed_lost":
      return { ...state, feedDownSince: state.feedDownSince ?? fact.now };

    case "broadcast":
      return phase.name === "in" ? withBroadcast(state, fact.broadcast) : state;

    case "bye":
      // A server that stops will be back; the feed's own reconnecting finds it.
      if (phase.name !== "in" || fact.reason === "stopping") return state;
      return out(state, fact.reason);

    case "media": {
      if (phase.name !== "in") return state;
      const stands = fact.status === "waiting" || fact.status === "starting" || fact.status === "finished";
      return {
        ...state,
        media: {
          status: fact.status,
          trouble: fact.trouble,
          mutedByBrowser: fact.mutedByBrowser,
          waitingSince: stands ? (state.media.waitingSince ?? fact.now) : null,
        },
      };
    }

    case "media_refused":
      return phase.name === "in" ? { ...state, doubt: true } : state;

    case "leave":
      return phase.name === "in" ? out(state, "left") : state;

    case "again":
      return { ...state, phase: { name: "door", entry: TYPING }, media: OFF, doubt: false };
  }
}

function tick(state: State): State {
  const { phase, media } = state;
  if (phase.name === "door" && phase.entry.step === "retrying" && state.now >= phase.entry.at) {
    return entry(state, { step: "checking", code: phase.entry.code, proof: null, proofs: 0 });
  }
  if (phase.name === "door" && phase.entry.step === "typing" && phase.entry.waitUntil !== null) {
    if (state.now >= phase.entry.waitUntil) return entry(state, TYPING);
  }
  const stuck = media.waitingSince !== null && state.now - media.waitingSince >= END_GRACE_MS;
  if (!stuck) return state;
  if (state.broadcast === "ended") return { ...state, media: { ...OFF, status: "finished" } };
  // The stream has ended and yet it is on air: it ended and began again while we were not told.
  if (media.status === "finished") return { ...state, media: OFF, takes: state.takes + 1 };
  return state;
}

function withBroadcast(state: State, broadcast: Broadcast): State {
  if (broadcast === state.broadcast) return state;
  // A broadcast that begins (again) is a new one to play; one that was over before we came is not played.
  const begins = state.broadcast === "idle" || state.broadcast === "ended";
  return { ...state, broadcast, media: begins ? OFF : state.media };
}

function out(state: State, reason: OutReason): State {
  return {
    ...state,
    phase: { name: "out", reason },
    media: OFF,
    takes: 0,
    feedDownSince: null,
    trouble: null,
    doubt: false,
  };
}

function entry(state: State, next: Entry): State {
  return { ...state, phase: { name: "door", entry: next } };
}

function refused(state: State, refusal: Refusal, waitUntil: number | null): State {
  return entry(state, { step: "typing", refusal, waitUntil });
}

function waits(form: Entry, now: number): boolean {
  return form.step === "typing" && form.waitUntil !== null && now < form.waitUntil;
}

/** What the reader is looking at. */
export type Scene =
  | "opening"
  | "missing"
  | "code"
  | "waiting"
  | "starting"
  | "live"
  | "away"
  | "ended"
  | "out"
  | "lost"
  | "busy";

export function scene(state: State): Scene {
  const { phase, media, broadcast } = state;
  switch (phase.name) {
    case "opening":
      return state.trouble === null ? "opening" : troubled(state.trouble);
    case "missing":
      return "missing";
    case "door":
      return "code";
    case "out":
      return "out";
    case "in":
      break;
  }
  const moving = media.status === "playing" || media.status === "paused";
  // A picture that moves needs no words, whatever else is broken.
  if (moving) return "live";
  if (broadcast === "ended" && (media.status === "off" || media.status === "finished")) return "ended";
  if (media.trouble !== null && longSince(state, media.waitingSince, STALL_GRACE_MS))
    return troubled(media.trouble);
  if (longSince(state, state.feedDownSince, FEED_GRACE_MS)) return troubled(state.trouble ?? "network");
  switch (broadcast) {
    case "idle":
      return "waiting";
    case "away":
      return "away";
    default:
      return media.status === "waiting" ? "live" : "starting";
  }
}

function troubled(trouble: Trouble): "lost" | "busy" {
  return trouble === "busy" ? "busy" : "lost";
}

function longSince(state: State, since: number | null, ms: number): boolean {
  return since !== null && state.now - since >= ms;
}

/** What should be running. */
export interface Wants {
  /** Ask who we are: at the start, and whenever the media or the feed make us doubt it. */
  readonly whoami: boolean;
  /** Redeem this code, with this proof. */
  readonly redeem: { readonly code: string; readonly proof: Proof | null } | null;
  readonly prove: Challenge | null;
  readonly feed: string | null;
  readonly media: string | null;
  /** Facts about the passing of time are needed: something counts down or may turn out to be lost. */
  readonly ticks: boolean;
  /** Ask the open door now and then whether something changed. */
  readonly watchDoor: boolean;
  readonly awake: boolean;
}

export function wants(state: State): Wants {
  const { phase, media, broadcast } = state;
  const form = phase.name === "door" ? phase.entry : null;
  const session = phase.name === "in" ? phase.session : null;
  const playable =
    broadcast === "live" ||
    broadcast === "away" ||
    (broadcast === "ended" && media.status !== "off" && media.status !== "finished");
  return {
    whoami: phase.name === "opening" || (session !== null && state.doubt),
    redeem: form?.step === "checking" ? { code: form.code, proof: form.proof } : null,
    prove: form?.step === "proving" ? form.challenge : null,
    feed: session?.feed ?? null,
    // The fragment is ours alone: it only makes a new take a new address.
    media: session !== null && playable ? session.hls + (state.takes > 0 ? `#${state.takes}` : "") : null,
    ticks:
      session !== null || form?.step === "retrying" || (form?.step === "typing" && form.waitUntil !== null),
    watchDoor: phase.name === "door",
    awake: session !== null && media.status === "playing",
  };
}
