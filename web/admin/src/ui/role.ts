/** What roles and scopes are called. */
import { t } from "../text.ts";

/** From most to least. */
export const ROLES = ["owner", "admin", "organiser", "moderator", "broadcaster", "analyst"] as const;
export const SCOPES = ["read", "organise", "moderate", "broadcast", "people", "administer"] as const;
export type Role = (typeof ROLES)[number];
export type Scope = (typeof SCOPES)[number];

/** A role of a newer server is called as the server calls it. */
export function roleName(role: string): string {
  const known = ROLES.find((name) => name === role);
  return known === undefined ? role : t(`role.${known}`);
}

export function scopeName(scope: string): string {
  const known = SCOPES.find((name) => name === scope);
  return known === undefined ? scope : t(`tokens.scope_${known}`);
}
