import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useRef, useState } from "react";
import { Button, Menu, MenuItem, MenuTrigger, Popover } from "react-aria-components";
import { api, value } from "../../api/client.ts";
import { keys } from "../../api/queries.ts";
import type { Event, NewEvent, StreamStatus } from "../../api/types.ts";
import { draftOf } from "../../model/event-form.ts";
import { say, t } from "../../text.ts";
import { CopyButton } from "../../ui/copy.tsx";
import { Confirm, Sheet } from "../../ui/dialog.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Status } from "../../ui/status.tsx";
import { toast } from "../../ui/toast.tsx";
import { latencyName } from "../../ui/words.ts";
import { EventForm } from "../event-form.tsx";

interface RoomHeaderProps {
  event: Event;
  stream: StreamStatus;
  watching: number;
}

export function RoomHeader({ event, stream, watching }: RoomHeaderProps) {
  const [asked, setAsked] = useState<"end" | "edit" | "delete" | null>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const client = useQueryClient();
  const navigate = useNavigate();
  const path = { params: { path: { event: event.id } } };
  const onAir = stream.state === "live" || stream.state === "away";
  const close = (open: boolean) => !open && setAsked(null);

  return (
    <header className="room-head">
      <div className="room-title">
        <h1 ref={heading} tabIndex={-1}>
          {event.title}
        </h1>
        <div className="cluster">
          <Status state={stream.state} />
          <span className="muted small">{t("room.latency", { latency: latencyName(event.latency) })}</span>
        </div>
      </div>
      <div className="room-actions">
        <CopyButton text={event.viewer_url} said={t("room.link_copied")} icon="link">
          {t("room.copy_link")}
        </CopyButton>
        {onAir && (
          <Button className="button danger" onPress={() => setAsked("end")}>
            <Icon name="stop" />
            {t("room.end")}
          </Button>
        )}
        <MenuTrigger>
          <Button className="button quiet icon" aria-label={t("room.actions")}>
            <Icon name="more" />
          </Button>
          <Popover className="popover" placement="bottom end">
            <Menu className="menu">
              <MenuItem className="menu-item" onAction={() => setAsked("edit")}>
                {t("room.edit")}
              </MenuItem>
              <MenuItem className="menu-item" href={event.viewer_url} target="_blank" rel="noreferrer">
                {t("room.open_viewer")}
              </MenuItem>
              <MenuItem className="menu-item danger" onAction={() => setAsked("delete")}>
                {t("room.delete")}
              </MenuItem>
            </Menu>
          </Popover>
        </MenuTrigger>
      </div>

      <Confirm
        title={t("room.end_title")}
        text={
          watching > 0 ? t("room.end_text", { n: watching, count: say.number(watching) }) : t("room.end_none")
        }
        confirm={t("room.end_confirm")}
        open={asked === "end"}
        onOpenChange={close}
        act={() => value(api.POST("/api/v1/events/{event}/broadcast/end", path))}
        after={() => toast(t("room.ended_toast"))}
        landing={heading}
      />
      <Confirm
        title={t("room.delete_title", { title: event.title })}
        text={t("room.delete_text")}
        confirm={t("room.delete_confirm")}
        open={asked === "delete"}
        onOpenChange={close}
        act={() => value(api.DELETE("/api/v1/events/{event}", path))}
        after={() => {
          toast(t("room.deleted_toast"));
          void navigate({ to: "/" }).then(() => {
            client.removeQueries({ queryKey: keys.event(event.id) });
            return client.invalidateQueries({ queryKey: keys.events });
          });
        }}
      />
      <Sheet title={t("edit.title")} open={asked === "edit"} onOpenChange={close}>
        <EditEvent event={event} done={() => setAsked(null)} />
      </Sheet>
    </header>
  );
}

function EditEvent({ event, done }: { event: Event; done(): void }) {
  const client = useQueryClient();
  const save = useMutation({
    mutationFn: (body: NewEvent & { starts_at: string | null }) =>
      value(api.PATCH("/api/v1/events/{event}", { params: { path: { event: event.id } }, body })),
    onSuccess: (changed) => {
      client.setQueryData(keys.event(event.id), changed);
      void client.invalidateQueries({ queryKey: keys.events });
      toast(t("edit.saved"));
      done();
    },
  });
  return (
    <EventForm
      initial={draftOf(event)}
      submit={t("form.save")}
      submitting={t("form.saving")}
      pending={save.isPending}
      error={save.error}
      onSubmit={(body) => save.mutate(body)}
      cancel={
        <Button className="button" onPress={done}>
          {t("action.cancel")}
        </Button>
      }
    />
  );
}
