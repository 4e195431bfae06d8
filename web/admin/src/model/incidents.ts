/** Incidents as the room shows them. Pure. */
import type { Incident } from "../api/types.ts";

export type Severity = "info" | "warning" | "critical";
const GRAVITY: Readonly<Record<Severity, number>> = { critical: 0, warning: 1, info: 2 };

/** A severity that this page does not know is one to look at. */
export function severityOf({ severity }: Pick<Incident, "severity">): Severity {
  return severity === "info" || severity === "critical" ? severity : "warning";
}

/** Those that nobody has acknowledged, the gravest first, then the latest. */
export function open(incidents: readonly Incident[]): Incident[] {
  return incidents
    .filter((incident) => !incident.acknowledged_at)
    .sort(
      (a, b) =>
        GRAVITY[severityOf(a)] - GRAVITY[severityOf(b)] || Date.parse(b.last_at) - Date.parse(a.last_at),
    );
}

/** The gravest open incident about each invitation: who it is about is marked in the room. */
export function suspects(incidents: readonly Incident[]): ReadonlyMap<string, Severity> {
  const found = new Map<string, Severity>();
  for (const incident of open(incidents)) {
    const { invitation } = incident;
    if (invitation && !found.has(invitation)) found.set(invitation, severityOf(incident));
  }
  return found;
}
