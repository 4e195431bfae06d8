/** Names of facts and of who did them, and how ids read. Pure. */

/** The groups of facts, in the order in which people look for them. */
export const groups = [
  "event",
  "invitation",
  "renewal",
  "import",
  "session",
  "takeover",
  "send",
  "message",
  "stream",
  "stream_key",
  "publish_token",
  "incident",
  "user",
  "team",
  "api_token",
  "webhook",
  "master_key",
  "log",
] as const;
export type Group = (typeof groups)[number];

/** Whoever is no person, token or viewer. */
export const actors = ["operator", "publisher", "system", "stranger"] as const;
export type Nobody = (typeof actors)[number];

export function isNobody(actor: string): actor is Nobody {
  return (actors as readonly string[]).includes(actor);
}

/** `invitation.code_revealed` as words: "Invitation: code revealed". */
export function factWords(type: string): string {
  const [group = "", name = ""] = type.split(".");
  const words = (text: string) => text.replaceAll("_", " ");
  return `${words(group).charAt(0).toUpperCase()}${words(group).slice(1)}: ${words(name)}`;
}

/** The end of an id is what differs between two that were made together. */
export function shortId(id: string): string {
  const [prefix, letters] = id.split("_");
  return letters !== undefined && letters.length === 26 ? `${prefix}_…${letters.slice(-6)}` : id;
}

/** The parts of a fact's data that say more than the event it belongs to. */
export function details(data: Record<string, unknown>): [name: string, value: string][] {
  return Object.entries(data)
    .filter(([name, value]) => name !== "event" && value !== null && typeof value !== "object")
    .map(([name, value]) => [name.replaceAll("_", " "), String(value)]);
}

/** A day and a time as the field holds them, as the server wants them; nothing when the field is empty. */
export function instant(local: string): string | undefined {
  const at = new Date(local);
  return local === "" || Number.isNaN(at.getTime()) ? undefined : at.toISOString();
}
