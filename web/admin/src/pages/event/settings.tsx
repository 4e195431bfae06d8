import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { Button } from "react-aria-components";
import { api, value } from "../../api/client.ts";
import { keys } from "../../api/queries.ts";
import type { Event, NewEvent } from "../../api/types.ts";
import { draftOf } from "../../model/event-form.ts";
import { say, t } from "../../text.ts";
import { Confirm } from "../../ui/dialog.tsx";
import { useMay } from "../../ui/rights.ts";
import { toast } from "../../ui/toast.tsx";
import { EventForm } from "../event-form.tsx";
import { PageHead, useHere } from "./frame.tsx";
import { PolicySections } from "./policy.tsx";
import { EventTeam } from "./team.tsx";

const SECTIONS = [
  "general",
  "access",
  "takeover",
  "admission",
  "protection",
  "encryption",
  "publish",
  "messages",
  "privacy",
] as const;

/** Everything that is decided about an event. */
export function EventSettingsPage() {
  const { event, room } = useHere();
  const organise = useMay("organise");
  const watching = room.stream === null ? event.watching : room.watching;
  return (
    <div className="with-toc">
      <nav className="toc" aria-label={t("settings.on_page")}>
        <ul>
          {SECTIONS.map((section) => (
            <li key={section}>
              <a href={`#${section}`}>{t(`settings.toc.${section}`)}</a>
            </li>
          ))}
        </ul>
      </nav>
      <div className="stack reading">
        <PageHead title={t("event.settings")} />
        {!organise && <p className="notice">{t("settings.read_only")}</p>}
        <fieldset className="bare stack" disabled={!organise}>
          <General event={event} />
          <EventTeam event={event} />
          <PolicySections event={event} />
        </fieldset>
        {organise && <Danger event={event} watching={watching} />}
      </div>
    </div>
  );
}

function General({ event }: { event: Event }) {
  const client = useQueryClient();
  // The form begins anew with what was saved.
  const [version, setVersion] = useState(0);
  const save = useMutation({
    mutationFn: (body: NewEvent & { starts_at: string | null }) =>
      value(api.PATCH("/api/v1/events/{event}", { params: { path: { event: event.id } }, body })),
    onSuccess: (changed) => {
      client.setQueryData(keys.event(event.id), changed);
      void client.invalidateQueries({ queryKey: keys.events });
      setVersion(version + 1);
      toast(t("edit.saved"));
    },
  });
  return (
    <section className="card stack" id="general" aria-labelledby="general-title">
      <h3 id="general-title">{t("settings.general")}</h3>
      <EventForm
        key={version}
        initial={draftOf(event)}
        submit={t("form.save")}
        submitting={t("form.saving")}
        pending={save.isPending}
        error={save.error}
        focus={false}
        onSubmit={(body) => save.mutate(body)}
      />
    </section>
  );
}

function Danger({ event, watching }: { event: Event; watching: number }) {
  const [asked, setAsked] = useState(false);
  const client = useQueryClient();
  const navigate = useNavigate();
  return (
    <section className="card stack" aria-labelledby="danger-title">
      <h3 id="danger-title">{t("room.delete")}</h3>
      <p className="muted">{t("settings.delete_text")}</p>
      <div>
        <Button className="button danger" onPress={() => setAsked(true)}>
          {t("room.delete_confirm")}
        </Button>
      </div>
      <Confirm
        title={t("room.delete_title", { title: event.title })}
        text={
          watching > 0
            ? t("settings.delete_watching", { n: watching, count: say.number(watching) })
            : t("room.delete_text")
        }
        confirm={t("room.delete_confirm")}
        open={asked}
        onOpenChange={setAsked}
        act={() => value(api.DELETE("/api/v1/events/{event}", { params: { path: { event: event.id } } }))}
        after={() => {
          toast(t("room.deleted_toast"));
          void navigate({ to: "/" }).then(() => {
            client.removeQueries({ queryKey: keys.event(event.id) });
            return client.invalidateQueries({ queryKey: keys.events });
          });
        }}
      />
    </section>
  );
}
