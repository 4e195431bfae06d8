/** Orders, templates and messages as the pages draw them, derived from the API's answers. Pure. */
import type {
  MessageChannel,
  MessageKind,
  MessageState,
  MessageTemplate,
  Messaging,
  Send,
} from "../api/types.ts";
import type { Filter } from "./invitations.ts";

export const CHANNELS = ["sms", "email"] as const satisfies readonly MessageChannel[];
/** The kinds that have a template, and that can be ordered for many. */
export const KINDS = ["invitation", "reminder", "new_code"] as const satisfies readonly MessageKind[];
export type OrderKind = (typeof KINDS)[number];

export const STATES = [
  "queued",
  "sending",
  "sent",
  "delivered",
  "failed",
  "suppressed",
] as const satisfies readonly MessageState[];

export function isMessageState(value: unknown): value is MessageState {
  return STATES.some((state) => state === value);
}

export const PLACEHOLDERS = ["name", "code", "link", "title", "starts_at", "organiser"] as const;
/** The server's own bounds. */
export const BODY_CHARS_MAX = 1_600;
export const SUBJECT_CHARS_MAX = 200;

/** The parts of an order, each from 0 to 1, in the order they are drawn. */
export interface Shares {
  readonly ok: number;
  readonly onTheWay: number;
  readonly bad: number;
}

export function sharesOf({ total, sent, delivered, failed, suppressed }: Send): Shares {
  const whole = Math.max(1, total);
  // Left out is done with, and nobody's fault.
  return { ok: (delivered + suppressed) / whole, onTheWay: sent / whole, bad: failed / whole };
}

/** Messages of an order that nothing more happens to. */
export function doneOf({ sent, delivered, failed, suppressed }: Send): number {
  return sent + delivered + failed + suppressed;
}

/** Whether an order may still write to somebody. */
export function isOpen({ state }: Pick<Send, "state">): boolean {
  return state === "running" || state === "paused";
}

/** What an order comes to, before it is given. */
export interface Sum {
  readonly people: number;
  readonly segments: number;
  readonly costMilli: number;
  readonly durationMs: number;
  /** It costs more than is left of what the event may spend. */
  readonly overBudget: boolean;
}

export function sumOf(
  people: number,
  segmentsEach: number,
  channel: MessageChannel,
  { per_second, price_milli, spent_milli, budget_milli }: Messaging,
): Sum {
  const segments = channel === "sms" ? people * segmentsEach : people;
  const costMilli = channel === "sms" ? segments * price_milli : 0;
  return {
    people,
    segments,
    costMilli,
    durationMs: (people * 1_000) / Math.max(1, per_second),
    overBudget: budget_milli != null && costMilli > Math.max(0, budget_milli - spent_milli),
  };
}

/**
 * The text somebody with this language gets, by the server's own rule: what the organiser wrote before what is built
 * in, the whole tag before its first part, English when nothing is there.
 */
export function templateFor(
  templates: readonly MessageTemplate[],
  channel: MessageChannel,
  kind: MessageKind,
  language: string,
): MessageTemplate | undefined {
  const tag = language.toLowerCase();
  const of = templates.filter((each) => each.channel === channel && each.kind === kind);
  const [primary = ""] = tag.split("-");
  return [tag, primary, "en"]
    .map((wanted) => of.find((each) => each.language === wanted))
    .find((each) => each !== undefined);
}

/** What is wrong with a text, before the server says so. */
export type TemplateProblem = "empty" | "long" | "subject" | "no_code";

export interface Draft {
  readonly subject: string;
  readonly body: string;
}

export function problemOf(draft: Draft, channel: MessageChannel, kind: MessageKind): TemplateProblem | null {
  if (channel === "email" && (draft.subject.trim() === "" || [...draft.subject].length > SUBJECT_CHARS_MAX)) {
    return "subject";
  }
  if (draft.body.trim() === "") return "empty";
  if ([...draft.body].length > BODY_CHARS_MAX) return "long";
  const needsCode = kind === "invitation" || kind === "new_code";
  return needsCode && !/\{(code|link)\}/.test(draft.body) ? "no_code" : null;
}

/** The text with `what` in place of what is chosen, and where the caret belongs then. */
export function insert(
  text: string,
  from: number,
  to: number,
  what: string,
): { readonly text: string; readonly caret: number } {
  return { text: text.slice(0, from) + what + text.slice(to), caret: from + what.length };
}

export interface WayIn {
  readonly link: string | null;
  readonly code: string | null;
}

/** The link and the code in a message that was kept, to be copied by themselves. */
export function wayIn(text: string): WayIn {
  const link = /https?:\/\/\S+?\/e\/evt_[0-9a-z]+#[0-9A-Z-]+/.exec(text)?.[0] ?? null;
  const code = link?.split("#")[1] ?? /\b[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}\b/.exec(text)?.[0] ?? null;
  return { link, code };
}

/** A number without what people write between its digits. */
export function dialled(number: string): string {
  return number.replaceAll(/[\s().\u2010-\u2015-]/g, "");
}

/** Whom an order is for, by the words of the page. */
export const WHO = ["created", "all", "failed", "delivered"] as const;
export type Who = (typeof WHO)[number];

export function isWho(value: unknown): value is Who {
  return WHO.some((who) => who === value);
}

/** Who that is, as the list of invitations is filtered. */
export function whoFilter(who: Who): Filter {
  return who === "all" ? {} : { states: [who] };
}

/** What people were asked to do with a message: what failed for a reason that trying again may change. */
export function mayRetry(error: string | null | undefined): boolean {
  return error !== "opted_out" && error !== "superseded" && error !== "not_invited";
}

/** How many messages of an order one press tries again. Of some nobody knows whether they arrived: those are asked about. */
export function retriable({ failures }: Pick<Send, "failures">): number {
  return failures.reduce((sum, { error, count }) => sum + (error === "unknown" ? 0 : count), 0);
}
