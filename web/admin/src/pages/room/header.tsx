import { useNavigate } from "@tanstack/react-router";
import { useRef, useState } from "react";
import { Button, Menu, MenuItem, MenuTrigger, Popover } from "react-aria-components";
import { api, value } from "../../api/client.ts";
import type { Event, StreamStatus } from "../../api/types.ts";
import { say, t } from "../../text.ts";
import { CopyButton } from "../../ui/copy.tsx";
import { Confirm } from "../../ui/dialog.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useMay } from "../../ui/rights.ts";
import { Status } from "../../ui/status.tsx";
import { toast } from "../../ui/toast.tsx";
import { latencyName } from "../../ui/words.ts";

interface RoomHeaderProps {
  event: Event;
  stream: StreamStatus;
  watching: number;
}

export function RoomHeader({ event, stream, watching }: RoomHeaderProps) {
  const [ending, setEnding] = useState(false);
  const heading = useRef<HTMLHeadingElement>(null);
  const navigate = useNavigate();
  const path = { params: { path: { event: event.id } } };
  const broadcast = useMay("broadcast");
  const onAir = stream.state === "live" || stream.state === "away";

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
        {broadcast && onAir && (
          <Button className="button danger" onPress={() => setEnding(true)}>
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
              <MenuItem
                className="menu-item"
                onAction={() => void navigate({ to: "/events/$event/settings", params: { event: event.id } })}
              >
                {t("room.edit")}
              </MenuItem>
              <MenuItem className="menu-item" href={event.viewer_url} target="_blank" rel="noreferrer">
                {t("room.open_viewer")}
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
        open={ending}
        onOpenChange={setEnding}
        act={() => value(api.POST("/api/v1/events/{event}/broadcast/end", path))}
        after={() => toast(t("room.ended_toast"))}
        landing={heading}
      />
    </header>
  );
}
