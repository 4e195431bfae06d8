import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { api, value } from "../api/client.ts";
import { keys } from "../api/queries.ts";
import type { NewEvent } from "../api/types.ts";
import { t } from "../text.ts";
import { Icon } from "../ui/icon.tsx";
import { useTitle } from "../ui/title.ts";
import { EventForm } from "./event-form.tsx";

export function NewEventPage() {
  useTitle(t("new.title"));
  const client = useQueryClient();
  const navigate = useNavigate();
  const create = useMutation({
    mutationFn: (body: NewEvent) => value(api.POST("/api/v1/events", { body })),
    onSuccess: async (event) => {
      client.setQueryData(keys.event(event.id), event);
      void client.invalidateQueries({ queryKey: keys.events });
      await navigate({ to: "/events/$event", params: { event: event.id } });
    },
  });
  return (
    <div className="stack narrow">
      <Link to="/" className="back">
        <Icon name="back" />
        {t("room.back")}
      </Link>
      <div className="stack tight">
        <h1>{t("new.title")}</h1>
        <p className="muted">{t("new.lead")}</p>
      </div>
      <EventForm
        submit={t("form.create")}
        submitting={t("form.creating")}
        pending={create.isPending}
        error={create.error}
        onSubmit={(body) => create.mutate(body)}
        cancel={
          <Link to="/" className="button">
            {t("action.cancel")}
          </Link>
        }
      />
    </div>
  );
}
