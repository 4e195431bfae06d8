import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";
import { api, value } from "../../api/client.ts";
import { incidentsQuery, keys } from "../../api/queries.ts";
import type { Incident } from "../../api/types.ts";
import type { Viewers } from "../../feed/viewers.ts";
import { open, type Severity, severityOf } from "../../model/incidents.ts";
import { say, t } from "../../text.ts";
import { useMinute } from "../../ui/clock.ts";
import { failureText } from "../../ui/failure.ts";
import { Icon } from "../../ui/icon.tsx";
import { useMay } from "../../ui/rights.ts";
import { toast } from "../../ui/toast.tsx";

/** More than these are behind a button: the room is about the people in it. */
const SHOWN = 3;

/** What the server found odd and nobody has looked at yet; nothing while there is nothing. */
export function Incidents({ event, viewers }: { event: string; viewers: Viewers }) {
  const list = useQuery(incidentsQuery(event));
  const [all, setAll] = useState(false);
  const mayModerate = useMay("moderate");
  const minute = useMinute();
  const found = open(list.data?.data ?? []);
  if (found.length === 0) return null;
  const shown = all ? found : found.slice(0, SHOWN);
  return (
    <section className="incidents appear" aria-labelledby="incidents-title">
      <h2 id="incidents-title" className="visually-hidden">
        {t("incidents.title", { n: found.length, count: say.number(found.length) })}
      </h2>
      <ul className="incident-list" aria-live="polite">
        {shown.map((incident) => (
          <Row
            key={incident.id}
            incident={incident}
            about={incident.invitation ? viewers.nameOf(incident.invitation) : undefined}
            event={event}
            minute={minute}
            mayAcknowledge={mayModerate}
          />
        ))}
      </ul>
      {found.length > SHOWN && (
        <Button className="button quiet small" aria-expanded={all} onPress={() => setAll(!all)}>
          {all ? t("incidents.fewer") : t("incidents.more", { count: say.number(found.length - SHOWN) })}
        </Button>
      )}
    </section>
  );
}

interface RowProps {
  incident: Incident;
  /** Whom it is about, while they are here. */
  about: string | undefined;
  event: string;
  minute: number;
  mayAcknowledge: boolean;
}

function Row({ incident, about, event, minute, mayAcknowledge }: RowProps) {
  const client = useQueryClient();
  const [busy, setBusy] = useState(false);
  const severity: Severity = severityOf(incident);
  const acknowledge = async () => {
    if (busy) return;
    setBusy(true);
    try {
      await value(
        api.POST("/api/v1/incidents/{incident}/acknowledge", {
          params: { path: { incident: incident.id } },
        }),
      );
    } catch (error) {
      toast(failureText(error));
    } finally {
      setBusy(false);
      void client.invalidateQueries({ queryKey: keys.incidents(event) });
    }
  };
  const when = say.moment(incident.last_at, minute);
  return (
    <li className="incident" data-severity={severity}>
      <Icon name={severity === "info" ? "info" : "warning"} />
      <p>
        <span className="visually-hidden">{t(`incidents.${severity}`)}: </span>
        {about && <strong>{about}: </strong>}
        {incident.text}{" "}
        <span className="muted small tabular">
          {incident.times > 1 ? t("incidents.times", { when, count: say.number(incident.times) }) : when}
        </span>
      </p>
      {mayAcknowledge && (
        <Button
          className="button small"
          aria-label={t("incidents.acknowledge_of", { text: incident.text })}
          onPress={acknowledge}
          data-pending={busy || undefined}
        >
          {t("incidents.acknowledge")}
        </Button>
      )}
    </li>
  );
}
