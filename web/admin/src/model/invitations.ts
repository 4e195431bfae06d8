/** The list of who is invited: what it is filtered by, what is chosen of it, and how a state looks. Pure. */
import type { Invitation, InvitationState, SelectionBody } from "../api/types.ts";
import type { Selection } from "./selection.ts";

/** In the order an invitation goes through them. */
export const STATES = [
  "created",
  "queued",
  "sent",
  "delivered",
  "failed",
  "opened",
  "redeemed",
  "expired",
  "revoked",
] as const satisfies readonly InvitationState[];

/** What the address of the page says about the list. */
export interface Filter {
  readonly search?: string;
  readonly states?: readonly InvitationState[];
  readonly tag?: string;
  readonly language?: string;
  readonly blocked?: true;
}

/** Only what means something is kept: an address somebody mistyped shows the whole list. */
export function filterOf(search: Record<string, unknown>): Filter {
  const text = (name: string) => {
    const value = search[name];
    return typeof value === "string" && value.trim() !== "" ? value : undefined;
  };
  const named = text("states")?.split(",") ?? (Array.isArray(search.states) ? search.states : []);
  const states = STATES.filter((state) => named.includes(state));
  const [search_, tag, language] = [text("search"), text("tag"), text("language")];
  return {
    ...(search_ === undefined ? {} : { search: search_ }),
    ...(states.length === 0 ? {} : { states }),
    ...(tag === undefined ? {} : { tag }),
    ...(language === undefined ? {} : { language }),
    ...(search.blocked === true ? { blocked: true as const } : {}),
  };
}

/** Whether everybody is meant. */
export function isPlain(filter: Filter): boolean {
  return Object.keys(filter).length === 0;
}

/** With this state among those asked for, or no longer. */
export function toggled(states: readonly InvitationState[] = [], state: InvitationState): InvitationState[] {
  return STATES.filter((each) => states.includes(each) !== (each === state));
}

/** As the query of the list and of an export wants it. */
export function queryOf({ search, states, tag, language, blocked }: Filter): {
  search?: string;
  states?: string;
  tags?: string;
  languages?: string;
  blocked?: boolean;
} {
  return {
    ...(search === undefined ? {} : { search: search.trim() }),
    ...(states === undefined ? {} : { states: states.join(",") }),
    ...(tag === undefined ? {} : { tags: tag }),
    ...(language === undefined ? {} : { languages: language }),
    ...(blocked === undefined ? {} : { blocked }),
  };
}

/** As an act on many wants it. */
export function filterBody({ search, states, tag, language, blocked }: Filter): WireFilter {
  return {
    ...(search === undefined ? {} : { search: search.trim() }),
    ...(states === undefined ? {} : { states: [...states] }),
    ...(tag === undefined ? {} : { tags: [tag] }),
    ...(language === undefined ? {} : { languages: [language] }),
    ...(blocked === undefined ? {} : { blocked }),
  };
}

type WireFilter = Extract<SelectionBody, { filter: unknown }>["filter"];

/** The server's bound on people named one by one. */
export const NAMED_MAX = 1_800;

/** What is chosen, for the server; `null` when too many are named one by one. */
export function bodyOf(selection: Selection, filter: Filter): SelectionBody | null {
  if (selection.kind === "some") {
    return selection.keys.size > NAMED_MAX ? null : { ids: [...selection.keys] };
  }
  return selection.except.size > NAMED_MAX
    ? null
    : { filter: filterBody(filter), except: [...selection.except] };
}

/** The server's bound on people named in an address. */
export const EXPORT_NAMED_MAX = 400;

export type ExportWho = ReturnType<typeof queryOf> & { readonly ids?: string; readonly except?: string };

/** Whom a list to take away has, for the server; `null` when too many are named one by one. */
export function exportOf(selection: Selection, filter: Filter): ExportWho | null {
  const named = [...(selection.kind === "some" ? selection.keys : selection.except)];
  if (named.length > EXPORT_NAMED_MAX) return null;
  if (selection.kind === "some") return { ids: named.join(",") };
  return { ...queryOf(filter), ...(named.length === 0 ? {} : { except: named.join(",") }) };
}

export type ExportFormat = "xlsx" | "csv";

/** What the file is called: after the event, as far as every file system can write it. */
export function exportName(title: string, format: ExportFormat, day: Date): string {
  const plain = title
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be in a name
    .replace(/[\u0000-\u001f\u007f"*/:<>?\\|]+/g, " ")
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, 80)
    .replace(/^\.+|[. ]+$/g, "");
  const on = [day.getFullYear(), day.getMonth() + 1, day.getDate()].map((part) =>
    String(part).padStart(2, "0"),
  );
  return `${plain === "" ? "Event" : plain} invitees ${on.join("-")}.${format}`;
}

export type Tone = "plain" | "busy" | "ok" | "warn" | "danger";

const TONES = {
  created: "plain",
  queued: "busy",
  sent: "busy",
  delivered: "ok",
  failed: "danger",
  opened: "ok",
  redeemed: "ok",
  expired: "warn",
  revoked: "danger",
} as const satisfies Record<InvitationState, Tone>;

export function toneOf(state: InvitationState): Tone {
  return TONES[state];
}

/** Their code opens nothing any more. */
export function isDead({ state, erased_at }: Pick<Invitation, "state" | "erased_at">): boolean {
  return state === "revoked" || erased_at != null;
}

/** Whether taking `tag` off again puts everybody back where they were: only when nobody of them had it before. */
export function isUndoable(count: number, changed: number): boolean {
  return changed > 0 && changed === count;
}
