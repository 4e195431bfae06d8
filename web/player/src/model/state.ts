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
  readonly guard: GuardOrders | null;
}

/** What the server wants of the page that shows the picture. */
export interface GuardOrders {
  /** base64url. */
  readonly heartbeatKey: string;
  /** How often the server asks for a sign of life. */
  readonly heartbeatMs: number;
  /** The lines that say whose picture it is, and 64 hex digits that say where they stand when. */
  readonly watermark: { readonly lines: readonly string[]; readonly seed: string } | null;
}

/** What the server has to say about what the page saw. `blur` and `pause` last until the reader has read it. */
export interface Caution {
  readonly action: "warn" | "blur" | "pause";
  /** Names of signals. */
  readonly signals: readonly string[];
}

/** What protects the picture on this device, as it is and not as it was ordered. */
export interface Protections {
  /** `none`: not ordered; `off`: ordered and not there. */
  readonly watermark: "none" | "on" | "off";
  /** The server asks and is answered. */
  readonly heartbeat: boolean;
  /** What the media is encrypted with, as the player decrypts it; `unknown` where the browser does so and tells nobody. */
  readonly encryption: string | null;
  readonly tls: boolean;
}

/** Why a code did not open the door. */
export type Refusal =
  | "code_short"
  | "code_invalid"
  | "access_ended"
  | "invitation_expired"
  | "used_up"
  | "blocked"
  | "too_many_attempts"
  /** What the other screen said, or did not say. */
  | "declined"
  | "unanswered"
  | "takeover_pending"
  | "too_many_takeovers"
  | "unknown";

/** From here nobody may watch, whatever the code. */
export type Elsewhere = "country_refused" | "network_refused";

/** A place in the line in front of a full house. */
export interface Place {
  readonly position: number;
  /** How long it takes, as of the answer that said so; `null` when nobody can tell. */
  readonly etaMs: number | null;
  readonly pollMs: number;
}

/** The other screen is asked whether this one may go on. */
export interface Asking {
  readonly id: string;
  /** The browser that is asked, in words. */
  readonly device: string;
  readonly expiresAt: number;
}

/** Another screen asks whether it may go on instead of this one. */
export interface Question {
  readonly id: string;
  readonly device: string;
  readonly place: string;
  readonly at: number;
  readonly expiresAt: number;
}

export type TakeoverState = "pending" | "approved" | "declined" | "expired" | "cancelled";

/** Somebody whom this guest may bring along. */
export interface Guest {
  readonly name: string;
  readonly state: string;
  /** The invitation to send on, as long as it waits for them. */
  readonly link: string | null;
}

/** Whom one may bring along, and the code that was made last. */
export interface Guests {
  readonly list: readonly Guest[];
  readonly left: number;
  readonly made: { readonly name: string; readonly code: string; readonly link: string } | null;
  readonly step: "ready" | "asking" | "failed";
}

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
  | { readonly step: "retrying"; readonly code: string; readonly trouble: Trouble; readonly at: number }
  /** In line: asking where one stands, now and then. */
  | { readonly step: "queue"; readonly code: string; readonly place: Place }
  /** Waiting for the other screen's answer. */
  | { readonly step: "asking"; readonly code: string; readonly asking: Asking };

/** Why the server ended a session. */
export type ByeReason =
  | "revoked"
  | "ended"
  | "expired"
  | "replaced"
  | "kicked"
  | "taken_over"
  | "code_changed"
  | "blocked"
  | "tampering";

/** Why watching is over. `null`: the server only said no. */
export type OutReason = ByeReason | "left" | null;

export type Phase =
  | { readonly name: "opening" }
  | { readonly name: "missing" }
  | { readonly name: "elsewhere"; readonly why: Elsewhere }
  | { readonly name: "door"; readonly entry: Entry }
  | { readonly name: "in"; readonly session: Session }
  | {
      readonly name: "out";
      readonly reason: OutReason;
      /** What the organiser said to it. */
      readonly message: string | null;
    };

/** What the player says of itself. */
export interface Media {
  readonly status: "off" | "starting" | "playing" | "paused" | "waiting" | "finished";
  /** `sealed`: encrypted in a way that this browser does not open. */
  readonly trouble: Trouble | "sealed" | null;
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
  /** The question to answer, and what was answered. */
  readonly question: (Question & { readonly answer: boolean | null }) | null;
  /** What became of the last question, until the next one; for a moment's notice. */
  readonly answered: { readonly state: TakeoverState; readonly at: number } | null;
  readonly guests: Guests | null;
  /** A picture has been shown in this session: there is something to guard. */
  readonly shown: boolean;
  readonly caution: Caution | null;
  /** What guards the picture could not be fetched in time. */
  readonly unguarded: boolean;
  readonly protections: Protections;
}

export type Fact = { readonly now: number } & (
  | { readonly type: "tick" }
  | {
      readonly type: "door";
      readonly event: EventInfo;
      readonly broadcast: Broadcast;
      readonly elsewhere: Elsewhere | null;
    }
  | { readonly type: "elsewhere"; readonly why: Elsewhere }
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
  /** The code is right, and there is a line. */
  | { readonly type: "queued"; readonly place: Place }
  | { readonly type: "admitted" }
  | { readonly type: "no_place" }
  /** The code is right, and another screen watches with it. */
  | { readonly type: "asked"; readonly asking: Asking }
  | {
      readonly type: "asking_state";
      readonly id: string;
      readonly state: TakeoverState;
      readonly expiresAt: number | null;
    }
  /** The reader does not want to wait any more. */
  | { readonly type: "give_up" }
  | { readonly type: "takeover"; readonly question: Question }
  | { readonly type: "takeover_over"; readonly id: string; readonly state: TakeoverState }
  | { readonly type: "answer"; readonly approve: boolean }
  | { readonly type: "guests"; readonly list: readonly Guest[]; readonly left: number }
  | { readonly type: "bring"; readonly name: string }
  | { readonly type: "brought"; readonly name: string; readonly code: string; readonly link: string }
  | { readonly type: "bring_failed" }
  | { readonly type: "feed_open" }
  | { readonly type: "feed_lost" }
  | { readonly type: "broadcast"; readonly broadcast: Broadcast }
  | {
      readonly type: "bye";
      readonly reason: ByeReason | "stopping";
      readonly message?: string | null;
    }
  | {
      readonly type: "media";
      readonly status: Media["status"];
      readonly trouble: Media["trouble"];
      readonly mutedByBrowser: boolean;
    }
  | { readonly type: "media_refused" }
  | { readonly type: "caution"; readonly caution: Caution }
  /** The reader has read it. */
  | { readonly type: "acknowledge" }
  | { readonly type: "protections"; readonly protections: Protections }
  /** What guards the picture is there, or could not be fetched in time. */
  | { readonly type: "guards"; readonly missing: boolean }
  /** What the server wants of the page now: the organiser may have changed it. */
  | { readonly type: "orders"; readonly session: string; readonly guard: GuardOrders | null }
  | { readonly type: "leave" }
  | { readonly type: "again" }
);

const OFF: Media = { status: "off", trouble: null, mutedByBrowser: false, waitingSince: null };
const UNPROTECTED: Protections = { watermark: "none", heartbeat: false, encryption: null, tls: false };
const TYPING: Entry = { step: "typing", refusal: null, waitUntil: null };

/** A server that keeps asking for proofs is not getting anywhere. */
const PROOFS_MAX = 3;
/** The feed may be away this long before we say so: it reconnects in less. */
export const FEED_GRACE_MS = 4_000;
/** A picture that stands this long after the end was said, or after its stream ended, has nothing more to show. */
export const END_GRACE_MS = 4_000;
/** How long it is said that a question is over. */
export const NOTICE_MS = 8_000;
/** The server says itself when a question is over; when it does not, it is this long after its time. */
export const ANSWER_GRACE_MS = 5_000;
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
    question: null,
    answered: null,
    guests: null,
    shown: false,
    caution: null,
    unguarded: false,
    protections: UNPROTECTED,
  };
}

export function reduce(before: State, fact: Fact): State {
  const state: State = { ...before, now: fact.now };
  const { phase } = state;
  switch (fact.type) {
    case "tick":
      return tick(state);

    case "door": {
      const next: State = {
        ...state,
        event: fact.event,
        trouble: null,
        broadcast: phase.name === "in" ? state.broadcast : fact.broadcast,
      };
      if (fact.elsewhere !== null && (phase.name === "opening" || phase.name === "door"))
        return elsewhere(next, fact.elsewhere);
      // The organiser opened it, or the reader came home.
      if (fact.elsewhere === null && phase.name === "elsewhere")
        return { ...next, phase: { name: "opening" } };
      return next;
    }

    case "elsewhere":
      return elsewhere(state, fact.why);

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
        question: same ? state.question : null,
        guests: same ? state.guests : null,
        shown: same && state.shown,
        caution: same ? state.caution : null,
        unguarded: same && state.unguarded,
        protections: same ? state.protections : UNPROTECTED,
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
      if (phase.name !== "door" || (phase.entry.step !== "typing" && phase.entry.step !== "retrying"))
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

    case "queued":
      if (phase.name !== "door" || !("code" in phase.entry)) return state;
      return entry(state, { step: "queue", code: phase.entry.code, place: fact.place });

    // Called, or the place was lost: either way the code says what comes next.
    case "admitted":
    case "no_place":
      if (phase.name !== "door" || phase.entry.step !== "queue") return state;
      return again(state, phase.entry.code);

    case "asked":
      if (phase.name !== "door" || !("code" in phase.entry)) return state;
      return entry(state, { step: "asking", code: phase.entry.code, asking: fact.asking });

    case "asking_state": {
      if (phase.name !== "door" || phase.entry.step !== "asking" || phase.entry.asking.id !== fact.id)
        return state;
      const { code, asking } = phase.entry;
      switch (fact.state) {
        case "pending":
          return entry(state, {
            step: "asking",
            code,
            asking: { ...asking, expiresAt: fact.expiresAt ?? asking.expiresAt },
          });
        case "declined":
          return refused(state, "declined", null);
        case "expired":
          return refused(state, "unanswered", null);
        // Come in; or the screen that was asked is gone, and there is nobody to ask.
        case "approved":
        case "cancelled":
          return again(state, code);
      }
      return state;
    }

    case "give_up":
      if (phase.name !== "door" || (phase.entry.step !== "queue" && phase.entry.step !== "asking"))
        return state;
      return entry(state, TYPING);

    case "takeover":
      if (phase.name !== "in" || state.question?.id === fact.question.id) return state;
      return { ...state, question: { ...fact.question, answer: null }, answered: null };

    case "takeover_over":
      if (state.question?.id !== fact.id) return state;
      // "Approved" is not over yet: the other screen has to come in, which `bye` tells, or its time runs out.
      if (fact.state === "approved" || fact.state === "pending")
        return { ...state, question: { ...state.question, answer: fact.state === "approved" ? true : null } };
      return { ...state, question: null, answered: { state: fact.state, at: fact.now } };

    case "answer":
      if (state.question === null || state.question.answer !== null) return state;
      return { ...state, question: { ...state.question, answer: fact.approve } };

    case "guests":
      if (phase.name !== "in") return state;
      return {
        ...state,
        guests: {
          list: fact.list,
          left: fact.left,
          made: state.guests?.made ?? null,
          step: state.guests?.step ?? "ready",
        },
      };

    case "bring":
      if (state.guests === null || state.guests.step === "asking" || state.guests.left <= 0) return state;
      return { ...state, guests: { ...state.guests, step: "asking" } };

    case "brought": {
      if (state.guests === null) return state;
      const { name, code, link } = fact;
      const list = [...state.guests.list, { name, state: "created", link }];
      const left = Math.max(0, state.guests.left - 1);
      return { ...state, guests: { list, left, made: { name, code, link }, step: "ready" } };
    }

    case "bring_failed":
      return state.guests === null ? state : { ...state, guests: { ...state.guests, step: "failed" } };

    case "feed_open":
      return { ...state, feedDownSince: null, trouble: null };

    case "feed_lost":
      return { ...state, feedDownSince: state.feedDownSince ?? fact.now };

    case "broadcast":
      return phase.name === "in" ? withBroadcast(state, fact.broadcast) : state;

    case "bye":
      // A server that stops will be back; the feed's own reconnecting finds it.
      if (phase.name !== "in" || fact.reason === "stopping") return state;
      return out(state, fact.reason, fact.message ?? null);

    case "media": {
      if (phase.name !== "in") return state;
      const stands = fact.status === "waiting" || fact.status === "starting" || fact.status === "finished";
      return {
        ...state,
        shown: state.shown || fact.status === "playing",
        media: {
          status: fact.status,
          trouble: fact.trouble,
          mutedByBrowser: fact.mutedByBrowser,
          waitingSince: stands ? (state.media.waitingSince ?? fact.now) : null,
        },
      };
    }

    case "caution":
      return phase.name === "in" ? { ...state, caution: both(state.caution, fact.caution) } : state;

    case "acknowledge":
      return { ...state, caution: null };

    case "protections":
      return phase.name === "in" ? { ...state, protections: fact.protections } : state;

    case "guards":
      return phase.name === "in" ? { ...state, unguarded: fact.missing } : state;

    case "orders":
      if (phase.name !== "in" || phase.session.id !== fact.session) return state;
      return { ...state, phase: { name: "in", session: { ...phase.session, guard: fact.guard } } };

    case "media_refused":
      return phase.name === "in" ? { ...state, doubt: true } : state;

    case "leave":
      return phase.name === "in" ? out(state, "left") : state;

    case "again":
      if (phase.name === "elsewhere") return { ...state, phase: { name: "opening" } };
      return { ...state, phase: { name: "door", entry: TYPING }, media: OFF, doubt: false };
  }
}

const SEVERITY: readonly Caution["action"][] = ["warn", "blur", "pause"];

/** What has not been read yet is not taken back by something milder. */
function both(before: Caution | null, now: Caution): Caution {
  if (before === null) return now;
  const milder = SEVERITY.indexOf(now.action) < SEVERITY.indexOf(before.action);
  return {
    action: milder ? before.action : now.action,
    signals: [...new Set([...before.signals, ...now.signals])],
  };
}

function tick(before: State): State {
  let state = before;
  const { question, answered } = before;
  if (answered !== null && before.now - answered.at >= NOTICE_MS) state = { ...state, answered: null };
  if (question !== null && before.now >= question.expiresAt + ANSWER_GRACE_MS && question.answer === null)
    state = { ...state, question: null };
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

function out(state: State, reason: OutReason, message: string | null = null): State {
  return {
    ...state,
    phase: { name: "out", reason, message },
    media: OFF,
    takes: 0,
    feedDownSince: null,
    trouble: null,
    doubt: false,
    question: null,
    answered: null,
    guests: null,
    shown: false,
    caution: null,
    unguarded: false,
    protections: UNPROTECTED,
  };
}

function elsewhere(state: State, why: Elsewhere): State {
  return { ...out(state, null), phase: { name: "elsewhere", why } };
}

function again(state: State, code: string): State {
  return entry(state, { step: "checking", code, proof: null, proofs: 0 });
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
  | "elsewhere"
  | "code"
  | "queue"
  | "asking"
  | "waiting"
  | "starting"
  | "live"
  | "away"
  | "ended"
  | "out"
  | "lost"
  | "busy"
  | "unguarded"
  | "sealed";

export function scene(state: State): Scene {
  const { phase, media, broadcast } = state;
  switch (phase.name) {
    case "opening":
      return state.trouble === null ? "opening" : troubled(state.trouble);
    case "missing":
      return "missing";
    case "elsewhere":
      return "elsewhere";
    case "door":
      return phase.entry.step === "queue" || phase.entry.step === "asking" ? phase.entry.step : "code";
    case "out":
      return "out";
    case "in":
      break;
  }
  if (isUnguarded(state)) return "unguarded";
  const moving = media.status === "playing" || media.status === "paused";
  // A picture that moves needs no words, whatever else is broken.
  if (moving) return "live";
  if (broadcast === "ended" && (media.status === "off" || media.status === "finished")) return "ended";
  // Waiting mends nothing.
  if (media.trouble === "sealed") return "sealed";
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

/** The picture is to be guarded, and what guards it cannot be fetched: it is not shown meanwhile. */
export function isUnguarded({ phase, media, unguarded }: State): boolean {
  const orders = phase.name === "in" ? phase.session.guard : null;
  return unguarded && orders !== null && media.status !== "off" && media.status !== "finished";
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
  /** Guard the picture of this session, with this mark. */
  readonly guard: { readonly session: string; readonly watermark: GuardOrders["watermark"] } | null;
  /** What the picture does: until the reader has read why, or, covered, until what guards it is there. */
  readonly hold: "blur" | "pause" | "cover" | null;
  /** Facts about the passing of time are needed: something counts down or may turn out to be lost. */
  readonly ticks: boolean;
  /** Ask the open door now and then whether something changed. */
  readonly watchDoor: boolean;
  readonly awake: boolean;
  /** Ask where we stand in line, this often. */
  readonly queue: { readonly pollMs: number } | null;
  /** Wait for the answer to this question of ours. */
  readonly asking: string | null;
  /** Tell the server what the reader answered. */
  readonly answer: { readonly id: string; readonly approve: boolean } | null;
  /** Ask whom one may bring along. */
  readonly guests: boolean;
  /** What a page that is loaded again must know to go on waiting: nothing else is kept. */
  readonly keep: string | null;
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
    guard:
      session !== null && session.guard !== null && state.shown && playable
        ? { session: session.id, watermark: session.guard.watermark }
        : null,
    hold: holdOf(state),
    ticks:
      session !== null ||
      form?.step === "retrying" ||
      form?.step === "queue" ||
      form?.step === "asking" ||
      (form?.step === "typing" && form.waitUntil !== null),
    watchDoor: phase.name === "door" || phase.name === "elsewhere",
    // Whoever is called must not sleep through it.
    awake: (session !== null && media.status === "playing") || form?.step === "queue",
    queue: form?.step === "queue" ? { pollMs: form.place.pollMs } : null,
    asking: form?.step === "asking" ? form.asking.id : null,
    answer:
      state.question !== null && state.question.answer !== null
        ? { id: state.question.id, approve: state.question.answer }
        : null,
    guests: session !== null && state.guests === null,
    keep: form !== null && "code" in form ? form.code : null,
  };
}

function holdOf(state: State): Wants["hold"] {
  if (isUnguarded(state)) return "cover";
  return state.caution !== null && state.caution.action !== "warn" ? state.caution.action : null;
}
