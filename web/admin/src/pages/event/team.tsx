import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { teamsQuery } from "../../api/account.ts";
import { api, value } from "../../api/client.ts";
import { keys, meQuery } from "../../api/queries.ts";
import type { Event } from "../../api/types.ts";
import { t } from "../../text.ts";
import { failureText } from "../../ui/failure.ts";
import { Choose } from "../../ui/form.tsx";
import { useMay } from "../../ui/rights.ts";
import { toast } from "../../ui/toast.tsx";

/** A key of the list, where the API has `null`. */
const EVERYBODY = "everybody";

/** Whose event it is. Shown where there is a choice. */
export function EventTeam({ event }: { event: Event }) {
  const client = useQueryClient();
  const administer = useMay("administer");
  const mine = useQuery(meQuery).data?.teams ?? [];
  const all = useQuery({ ...teamsQuery, enabled: administer }).data?.data;
  const save = useMutation({
    mutationFn: (team: string | null) =>
      value(
        api.PATCH("/api/v1/events/{event}", {
          params: { path: { event: event.id } },
          body: { team_id: team },
        }),
      ),
    onSuccess: (changed) => {
      client.setQueryData(keys.event(event.id), changed);
      void client.invalidateQueries({ queryKey: keys.events });
      toast(t("event_team.saved"));
    },
  });
  const teams = all ?? mine;
  const present = event.team_id ?? null;
  if (teams.length === 0 && present === null) return null;
  const choices = [
    { id: EVERYBODY, name: t("event_team.everybody") },
    ...teams.map(({ id, name }) => ({ id, name })),
  ];
  if (present !== null && !teams.some(({ id }) => id === present)) {
    choices.push({ id: present, name: t("event_team.unknown") });
  }
  return (
    <section className="card stack" id="team" aria-labelledby="team-title">
      <div className="stack tight">
        <h3 id="team-title">{t("event_team.title")}</h3>
        <p className="muted">{t("event_team.text")}</p>
      </div>
      <Choose
        className="short"
        label={t("event_team.label")}
        value={present ?? EVERYBODY}
        choices={choices}
        onChange={(chosen) => save.mutate(chosen === EVERYBODY ? null : chosen)}
      />
      {save.error && (
        <p className="notice danger" role="alert">
          {failureText(save.error)}
        </p>
      )}
    </section>
  );
}
