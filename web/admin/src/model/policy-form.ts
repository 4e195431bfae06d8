/**
 * What the settings of an event read and write: each section of the policy as a form holds it (text where a
 * person types), checked before it is sent, and as the API takes it. Pure.
 *
 * The server's bounds are repeated here only so that a slip is shown at once; the server still decides.
 */
import type { Policy } from "../api/types.ts";
import { checkLimits, type LimitField, type LimitsDraft, limitsDraft, limitsOf } from "./limits.ts";

type Section = keyof Policy;

/** What is wrong, by the field's name within its section; the value is a key of the words. */
export type Wrong = Readonly<Record<string, WrongKind>>;
export type WrongKind =
  | "count"
  | "seconds"
  | "rate"
  | "network"
  | "money"
  | "prefix"
  | "time"
  | "days"
  | "period"
  | "language"
  | LimitField;

export interface AccessDraft {
  readonly countries: readonly string[];
  readonly unknownCountry: "deny" | "allow";
  readonly networks: readonly string[];
}

export interface TakeoverDraft {
  readonly answerSeconds: string;
  readonly unanswered: "deny" | "allow";
}

export interface AdmissionDraft {
  /** Empty: as many as come. */
  readonly capacity: string;
  readonly perSecond: string;
}

export interface MessagesDraft {
  readonly perSecond: string;
  readonly quiet: boolean;
  /** `22:00`, as `<input type="time">` writes it. */
  readonly quietFrom: string;
  readonly quietTo: string;
  readonly utcOffsetMinutes: number;
  /** In whole units of what the gateway charges, with up to three decimals; empty: anything. */
  readonly budget: string;
  readonly prefixes: readonly { readonly prefix: string; readonly budget: string }[];
  /** Two letters, or empty for none. */
  readonly defaultCountry: string;
  readonly defaultLanguage: string;
}

export interface PrivacyDraft {
  readonly forget: boolean;
  readonly days: string;
}

export interface EncryptionDraft {
  readonly method: "off" | "aes-128" | "cbcs";
  readonly periodSeconds: string;
}

export interface ProtectionDraft {
  readonly guard: boolean;
  readonly action: "log" | "warn" | "blur" | "pause" | "kick";
  readonly watermark: boolean;
}

export interface Drafts {
  readonly access: AccessDraft;
  readonly takeover: TakeoverDraft;
  readonly admission: AdmissionDraft;
  readonly messages: MessagesDraft;
  readonly privacy: PrivacyDraft;
  readonly encryption: EncryptionDraft;
  readonly protection: ProtectionDraft;
  readonly publish: LimitsDraft;
}

const QUIET_FROM = "22:00";
const QUIET_TO = "08:00";
const DAYS = "30";

/** `utcOffsetMinutes` is the reader's own, for an event that has no quiet hours yet. */
export function draftsOf(policy: Policy, utcOffsetMinutes: number): Drafts {
  const { access, takeover, admission, messages, privacy, encryption, protection, publish } = policy;
  const quiet = messages.quiet_hours ?? null;
  return {
    access: {
      countries: access.countries ?? [],
      unknownCountry: access.unknown_country ?? "deny",
      networks: access.networks ?? [],
    },
    takeover: { answerSeconds: String(takeover.answer_s ?? 60), unanswered: takeover.unanswered ?? "deny" },
    admission: { capacity: numeral(admission.capacity), perSecond: numeral(admission.per_second) },
    messages: {
      perSecond: String(messages.per_second ?? 1),
      quiet: quiet !== null,
      quietFrom: quiet === null ? QUIET_FROM : clockOf(quiet.from_minute),
      quietTo: quiet === null ? QUIET_TO : clockOf(quiet.to_minute),
      utcOffsetMinutes: quiet?.utc_offset_minutes ?? utcOffsetMinutes,
      budget: messages.budget_milli == null ? "" : money(messages.budget_milli),
      prefixes: pairs(messages.prefix_budget_milli).map(([prefix, milli]) => ({
        prefix,
        budget: money(milli),
      })),
      defaultCountry: messages.default_country ?? "",
      defaultLanguage: messages.default_language ?? "en",
    },
    privacy: {
      forget: privacy.retention_days != null,
      days: privacy.retention_days == null ? DAYS : String(privacy.retention_days),
    },
    encryption: {
      method: encryption.method ?? "off",
      periodSeconds: String(encryption.key_period_s ?? 10),
    },
    protection: {
      guard: protection.guard ?? true,
      action: protection.action ?? "log",
      watermark: protection.watermark ?? false,
    },
    publish: limitsDraft(publish),
  };
}

export function check<S extends Section>(section: S, draft: Drafts[S]): Wrong {
  const wrong: Record<string, WrongKind> = {};
  const need = (field: string, holds: boolean, kind: WrongKind) => {
    if (!holds) wrong[field] = kind;
  };
  switch (section) {
    case "access": {
      const { networks } = draft as AccessDraft;
      need("networks", networks.every(isNetwork), "network");
      break;
    }
    case "takeover":
      need("answer_s", within((draft as TakeoverDraft).answerSeconds, 15, 120), "seconds");
      break;
    case "admission": {
      const { capacity, perSecond } = draft as AdmissionDraft;
      need("capacity", capacity.trim() === "" || within(capacity, 1, 4_294_967_295), "count");
      need("per_second", perSecond.trim() === "" || within(perSecond, 1, 10_000), "rate");
      break;
    }
    case "messages": {
      const messages = draft as MessagesDraft;
      need("per_second", within(messages.perSecond, 1, 100), "rate");
      need(
        "quiet_hours",
        !messages.quiet || (minuteOf(messages.quietFrom) !== null && minuteOf(messages.quietTo) !== null),
        "time",
      );
      need("budget_milli", messages.budget.trim() === "" || milliOf(messages.budget) !== null, "money");
      need(
        "prefix_budget_milli",
        messages.prefixes.every(
          ({ prefix, budget }) => /^\+\d{1,6}$/.test(prefix.trim()) && milliOf(budget) !== null,
        ),
        "prefix",
      );
      need("default_language", /^[a-z]{2,3}(-[a-z0-9]{1,8})*$/i.test(messages.defaultLanguage), "language");
      break;
    }
    case "privacy": {
      const { forget, days } = draft as PrivacyDraft;
      need("retention_days", !forget || within(days, 0, 3_650), "days");
      break;
    }
    case "encryption": {
      const { method, periodSeconds } = draft as EncryptionDraft;
      need("key_period_s", method === "off" || within(periodSeconds, 4, 600), "period");
      break;
    }
    case "publish":
      Object.assign(wrong, checkLimits(draft as LimitsDraft));
      break;
  }
  return wrong;
}

/** The section as the API takes it; of a draft that passed `check`. */
export function section<S extends Section>(name: S, draft: Drafts[S]): Policy[S] {
  switch (name) {
    case "access": {
      const { countries, unknownCountry, networks } = draft as AccessDraft;
      return {
        countries: [...countries],
        unknown_country: unknownCountry,
        networks: [...networks],
      } as Policy[S];
    }
    case "takeover": {
      const { answerSeconds, unanswered } = draft as TakeoverDraft;
      return { answer_s: Number(answerSeconds), unanswered } as Policy[S];
    }
    case "admission": {
      const { capacity, perSecond } = draft as AdmissionDraft;
      return { capacity: count(capacity), per_second: count(perSecond) } as Policy[S];
    }
    case "messages": {
      const messages = draft as MessagesDraft;
      return {
        per_second: Number(messages.perSecond),
        quiet_hours: messages.quiet
          ? {
              from_minute: minuteOf(messages.quietFrom) ?? 0,
              to_minute: minuteOf(messages.quietTo) ?? 0,
              utc_offset_minutes: messages.utcOffsetMinutes,
            }
          : null,
        budget_milli: milliOf(messages.budget),
        prefix_budget_milli: messages.prefixes.map(({ prefix, budget }) => [
          prefix.trim(),
          milliOf(budget) ?? 0,
        ]),
        default_country: messages.defaultCountry === "" ? null : messages.defaultCountry,
        default_language: messages.defaultLanguage,
      } as Policy[S];
    }
    case "encryption": {
      const { method, periodSeconds } = draft as EncryptionDraft;
      // What nobody sees in the form cannot be wrong in it.
      const seconds = within(periodSeconds, 4, 600) ? Number(periodSeconds) : 10;
      return { method, key_period_s: seconds } as Policy[S];
    }
    case "protection": {
      const { guard, action, watermark } = draft as ProtectionDraft;
      // Nothing keeps a mark in its place without the guard.
      return { guard, action, watermark: guard && watermark } as Policy[S];
    }
    case "publish":
      return limitsOf(draft as LimitsDraft) as Policy[S];
    default: {
      const { forget, days } = draft as PrivacyDraft;
      return { retention_days: forget ? Number(days) : null } as Policy[S];
    }
  }
}

/** Whether two drafts say the same, so that a form knows whether there is something to save. */
export function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** `-90` → `UTC−1:30`. */
export function offsetName(minutes: number): string {
  const sign = minutes < 0 ? "−" : "+";
  const whole = Math.floor(Math.abs(minutes) / 60);
  const rest = Math.abs(minutes) % 60;
  return `UTC${sign}${whole}${rest === 0 ? "" : `:${String(rest).padStart(2, "0")}`}`;
}

/** An address or a range of them, near enough to catch a slip: the server knows exactly. */
export function isNetwork(text: string): boolean {
  const [address = "", bits, more] = text.split("/");
  if (more !== undefined) return false;
  const four = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(address);
  const six = address.includes(":") && /^[0-9a-f:]+$/i.test(address) && address.length >= 2;
  if (four?.slice(1).some((part) => Number(part) > 255)) return false;
  if (!four && !six) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (four ? 32 : 128));
}

/** Thousandths as an amount: `12340` → `12.34`. */
export function money(milli: number): string {
  const text = (milli / 1_000).toFixed(3);
  return text.replace(/\.?0+$/, "");
}

/** An amount as thousandths; a comma is a point to those who write it so. `null` when it is none. */
export function milliOf(text: string): number | null {
  const match = /^(\d{1,9})(?:[.,](\d{1,3}))?$/.exec(text.trim());
  if (!match) return null;
  return Number(match[1]) * 1_000 + Number((match[2] ?? "").padEnd(3, "0"));
}

function numeral(value: number | null | undefined): string {
  return value == null ? "" : String(value);
}

function count(text: string): number | null {
  return text.trim() === "" ? null : Number(text);
}

function within(text: string, least: number, most: number): boolean {
  return /^\d{1,10}$/.test(text.trim()) && Number(text) >= least && Number(text) <= most;
}

function clockOf(minute: number): string {
  return `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
}

function minuteOf(clock: string): number | null {
  const match = /^(\d{2}):(\d{2})/.exec(clock);
  if (!match) return null;
  const minute = Number(match[1]) * 60 + Number(match[2]);
  return minute < 1_440 ? minute : null;
}

function pairs(value: unknown): [string, number][] {
  if (!Array.isArray(value)) return [];
  return value.filter(
    (pair): pair is [string, number] =>
      Array.isArray(pair) && typeof pair[0] === "string" && typeof pair[1] === "number",
  );
}
