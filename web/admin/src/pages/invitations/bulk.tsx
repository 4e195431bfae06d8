/** What can be done with all who are chosen: the hundred thousand as well as the one. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button, Menu, MenuItem, MenuTrigger, Popover } from "react-aria-components";
import { tagMany } from "../../api/invitations.ts";
import { peopleChanged } from "../../api/queries.ts";
import type { Event } from "../../api/types.ts";
import { bodyOf, exportOf, type Filter, isUndoable, NAMED_MAX } from "../../model/invitations.ts";
import type { Selection } from "../../model/selection.ts";
import { say, t } from "../../text.ts";
import { failureText } from "../../ui/failure.ts";
import { Icon } from "../../ui/icon.tsx";
import { useMay } from "../../ui/rights.ts";
import { toast } from "../../ui/toast.tsx";
import { SendDrawer, type To } from "../messages/send.tsx";
import { Regenerate, Revoke, type Target } from "./codes.tsx";
import { ExportSheet } from "./export.tsx";
import { TagSheet } from "./tag.tsx";

interface BulkActsProps {
  event: Event;
  filter: Filter;
  selection: Selection;
  count: number;
  clear(): void;
}

type Act = "tag" | "untag" | "export" | "regenerate" | "revoke" | null;

export function BulkActs({ event, filter, selection, count, clear }: BulkActsProps) {
  const client = useQueryClient();
  const organise = useMay("organise");
  const exports = useMay("export");
  const [act, setAct] = useState<Act>(null);
  const [to, setTo] = useState<To | null>(null);
  const body = bodyOf(selection, filter);
  const target: Target | null = body === null ? null : { selection: body, count, name: null };
  if (body === null && count > 0) {
    return <p className="small muted">{t("inv.too_many", { count: say.number(NAMED_MAX) })}</p>;
  }
  const close = () => setAct(null);

  const tag = async (word: string, on: boolean) => {
    if (body === null) return;
    const { changed } = await tagMany(event.id, body, on ? { add: [word] } : { remove: [word] });
    await peopleChanged(client, event.id);
    const said = { n: changed, count: say.number(changed), tag: word };
    const undo = () => {
      void tagMany(event.id, body, on ? { remove: [word] } : { add: [word] })
        .then(() => peopleChanged(client, event.id))
        .catch((error: unknown) => toast(failureText(error)));
    };
    toast(t(on ? "inv.tagged" : "inv.untagged", said), isUndoable(count, changed) ? undo : null);
  };

  return (
    <>
      {organise && (
        <>
          <Button className="button primary small" onPress={() => body && setTo({ selection: body, count })}>
            {t("inv.bulk_send")}…
          </Button>
          <Button className="button small" onPress={() => setAct("tag")}>
            {t("inv.bulk_tag")}…
          </Button>
        </>
      )}
      <MenuTrigger>
        <Button className="button small" aria-label={t("inv.bulk_more")}>
          <Icon name="more" />
        </Button>
        <Popover className="popover" placement="top end">
          <Menu className="menu" aria-label={t("inv.bulk_more")}>
            <MenuItem className="menu-item" onAction={() => setAct("untag")}>
              {t("inv.bulk_untag")}…
            </MenuItem>
            {exports && (
              <MenuItem className="menu-item" onAction={() => setAct("export")}>
                {t("inv.bulk_export")}…
              </MenuItem>
            )}
            <MenuItem className="menu-item danger" onAction={() => setAct("regenerate")}>
              {t("inv.bulk_regenerate")}…
            </MenuItem>
            <MenuItem className="menu-item danger" onAction={() => setAct("revoke")}>
              {t("inv.bulk_revoke")}…
            </MenuItem>
          </Menu>
        </Popover>
      </MenuTrigger>
      <SendDrawer event={event} to={to} close={() => setTo(null)} after={clear} />
      <Regenerate
        event={event}
        target={act === "regenerate" ? target : null}
        watching={0}
        close={close}
        after={clear}
      />
      <Revoke
        event={event}
        target={act === "revoke" ? target : null}
        watching={0}
        close={close}
        after={clear}
      />
      <TagSheet
        event={event.id}
        act={act === "tag" || act === "untag" ? act : null}
        count={count}
        run={tag}
        close={close}
      />
      <ExportSheet
        event={event}
        who={exportOf(selection, filter)}
        count={count}
        open={act === "export"}
        close={close}
      />
    </>
  );
}
