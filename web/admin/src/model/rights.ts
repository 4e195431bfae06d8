/**
 * What a person's role lets them do, so that a page does not offer what the server would refuse.
 * The server decides (`crates/domain/access_table.txt`); this only mirrors it for the buttons. Pure.
 */

/** One act, or a family of them, within an event. */
export type Right =
  | "organise"
  | "moderate"
  | "broadcast"
  | "see_people"
  | "export"
  | "create_event"
  | "administer";

const ROLES: Readonly<Record<Right, readonly string[]>> = {
  organise: ["owner", "admin", "organiser"],
  moderate: ["owner", "admin", "organiser", "moderator"],
  broadcast: ["owner", "admin", "organiser", "broadcaster"],
  see_people: ["owner", "admin", "organiser"],
  export: ["owner", "admin", "organiser"],
  create_event: ["owner", "admin", "organiser"],
  administer: ["owner", "admin"],
};

/** Whether `role` may; a role that this page does not know may nothing. */
export function may(role: string | undefined, right: Right): boolean {
  return role !== undefined && ROLES[right].includes(role);
}
