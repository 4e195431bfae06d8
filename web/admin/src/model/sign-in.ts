/** Why somebody came back from the identity provider without being signed in, as `?problem=` of the page says it. Pure. */

/** What the server names. */
export const PROBLEMS = [
  "no_role",
  "linked",
  "too_late",
  "provider_unavailable",
  "provider_refused",
] as const;

export type Problem = (typeof PROBLEMS)[number];

/** What a newer server says, or somebody typed, is a refusal all the same. */
export function problemOf(said: string): Problem {
  return PROBLEMS.find((name) => name === said) ?? "provider_refused";
}
