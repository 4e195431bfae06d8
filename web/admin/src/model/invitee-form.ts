/** What the form about one person reads and writes. Pure. */
import type { Invitation, InvitationChange, NewInvitation } from "../api/types.ts";
import { localInput } from "./event-form.ts";

export interface Draft {
  readonly name: string;
  readonly phone: string;
  readonly email: string;
  /** A BCP 47 tag, or empty for the event's. */
  readonly language: string;
  readonly note: string;
  readonly tags: readonly string[];
  /** A local date and time, or empty. */
  readonly expires: string;
  /** A number, or empty for any. */
  readonly maxUses: string;
  readonly plusOnes: string;
}

export const newDraft: Draft = {
  name: "",
  phone: "",
  email: "",
  language: "",
  note: "",
  tags: [],
  expires: "",
  maxUses: "",
  plusOnes: "0",
};

/** What is known in the clear; `null` when it may not be seen, and then is not changed either. */
export interface Contact {
  readonly phone?: string | null;
  readonly email?: string | null;
  readonly note?: string | null;
}

export function draftOf(invitation: Invitation, contact: Contact | null): Draft {
  return {
    name: invitation.name,
    phone: contact?.phone ?? "",
    email: contact?.email ?? "",
    note: contact?.note ?? "",
    language: invitation.language ?? "",
    tags: invitation.tags,
    expires: invitation.expires_at ? localInput(new Date(invitation.expires_at)) : "",
    maxUses: invitation.max_uses == null ? "" : String(invitation.max_uses),
    plusOnes: String(invitation.plus_ones),
  };
}

/** The server's own bounds. */
const NAME_CHARS_MAX = 200;
const USES_MAX = 1_000_000;
const PLUS_ONES_MAX = 100;

export type Wrong = "name" | "uses" | "count" | "time";
export type Field = "name" | "maxUses" | "plusOnes" | "expires";

/** What is wrong, by field. Numbers and addresses are looked at by the server, which knows every country's. */
export function check(draft: Draft): Partial<Record<Field, Wrong>> {
  const wrong: Partial<Record<Field, Wrong>> = {};
  const name = draft.name.trim();
  if (name === "" || [...name].length > NAME_CHARS_MAX) wrong.name = "name";
  if (draft.maxUses.trim() !== "" && !isWhole(draft.maxUses, 1, USES_MAX)) wrong.maxUses = "uses";
  if (!isWhole(draft.plusOnes, 0, PLUS_ONES_MAX)) wrong.plusOnes = "count";
  if (draft.expires !== "" && Number.isNaN(Date.parse(draft.expires))) wrong.expires = "time";
  return wrong;
}

function isWhole(text: string, least: number, most: number): boolean {
  const trimmed = text.trim();
  return /^\d{1,9}$/.test(trimmed) && Number(trimmed) >= least && Number(trimmed) <= most;
}

const orNull = (text: string) => (text.trim() === "" ? null : text.trim());
const moment = (text: string) => (text === "" ? null : new Date(text).toISOString());
const uses = (text: string) => (text.trim() === "" ? null : Number(text));

/** The request for somebody new; of a draft that passed `check`. */
export function newBody(draft: Draft): NewInvitation {
  return {
    name: draft.name.trim(),
    phone: orNull(draft.phone),
    email: orNull(draft.email),
    language: orNull(draft.language),
    note: orNull(draft.note),
    tags: [...draft.tags],
    expires_at: moment(draft.expires),
    max_uses: uses(draft.maxUses),
    plus_ones: Number(draft.plusOnes),
  };
}

/** Only what differs, so that two colleagues who change different things do not undo each other. */
export function changeBody(before: Draft, after: Draft): InvitationChange {
  return {
    ...(after.name.trim() === before.name ? {} : { name: after.name.trim() }),
    ...(after.phone === before.phone ? {} : { phone: orNull(after.phone) }),
    ...(after.email === before.email ? {} : { email: orNull(after.email) }),
    ...(after.note === before.note ? {} : { note: orNull(after.note) }),
    ...(after.language === before.language ? {} : { language: orNull(after.language) }),
    ...(sameTags(before.tags, after.tags) ? {} : { tags: [...after.tags] }),
    ...(after.expires === before.expires ? {} : { expires_at: moment(after.expires) }),
    ...(after.maxUses === before.maxUses ? {} : { max_uses: uses(after.maxUses) }),
    ...(after.plusOnes === before.plusOnes ? {} : { plus_ones: Number(after.plusOnes) }),
  };
}

function sameTags(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((tag) => b.includes(tag));
}
