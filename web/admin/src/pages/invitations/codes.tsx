/** Acts that end codes: making them anew, and taking them back. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type RefObject, useState } from "react";
import { Button } from "react-aria-components";
import { countQuery, regenerate, revokeMany } from "../../api/codes.ts";
import { messagesChanged } from "../../api/messages.ts";
import { peopleChanged } from "../../api/queries.ts";
import type { Event, MessageChannel, SelectionBody } from "../../api/types.ts";
import { say, t } from "../../text.ts";
import { Confirm, land, Sheet } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { Segments, Toggle } from "../../ui/form.tsx";
import { toast } from "../../ui/toast.tsx";
import { FarewellWords } from "../room/farewell.tsx";

/** People who get new codes while one waits; more get them step by step. */
const AT_ONCE_MAX = 1_000;

/** Whom it is about; the name is said when it is one. */
export interface Target {
  readonly selection: SelectionBody;
  readonly count: number;
  readonly name: string | null;
}

interface ActProps {
  event: Event;
  target: Target | null;
  /** How many of them are watching, as far as the page knows. */
  watching: number;
  close(): void;
  after?(): void;
  /** Where the focus goes afterwards, when what opened the dialog disappears with the act. */
  landing?: RefObject<HTMLElement | null>;
}

/** Said before somebody is sent home by it. */
function SentHome({ target, watching }: { target: Target; watching: number }) {
  if (watching === 0) return null;
  return (
    <p>
      {target.name !== null
        ? t("inv.sent_home_one", { name: target.name })
        : t("inv.sent_home", { n: watching, count: say.number(watching) })}
    </p>
  );
}

/** How many of those who are meant are watching: of one the page knows, about many the server is asked. */
function useWatching(event: Event, target: Target, known: number): number {
  const { name, count, selection } = target;
  const asked = useQuery({ ...countQuery(event.id, selection), enabled: name === null && count > 0 });
  return name === null ? (asked.data?.watching ?? 0) : known;
}

/** The target while the dialog about it goes away: what it says must not change under the eyes. */
function useLast(target: Target | null): Target {
  const [last, setLast] = useState<Target>({ selection: { ids: [] }, count: 0, name: null });
  if (target !== null && target !== last) setLast(target);
  return target ?? last;
}

export function Revoke({ event, target, watching, close, after, landing }: ActProps) {
  const client = useQueryClient();
  const last = useLast(target);
  const inside = useWatching(event, last, watching);
  const said = { n: last.count, count: say.number(last.count) };
  const run = async () => {
    const { changed } = await revokeMany(event.id, last.selection);
    await peopleChanged(client, event.id);
    toast(
      last.name !== null
        ? t("people.revoked", { name: last.name })
        : t("inv.revoked", { n: changed, count: say.number(changed) }),
    );
  };
  return (
    <Confirm
      title={last.name !== null ? t("people.revoke_title", { name: last.name }) : t("inv.revoke_title", said)}
      text={
        <>
          <p>{t("inv.revoke_text", said)}</p>
          {last.name !== null && <p>{t("inv.revoke_guests")}</p>}
          <SentHome target={last} watching={inside} />
        </>
      }
      confirm={last.name !== null ? t("people.revoke_confirm") : t("inv.revoke_confirm", said)}
      open={target !== null}
      onOpenChange={(open) => !open && close()}
      act={run}
      {...(after ? { after } : {})}
      {...(landing ? { landing } : {})}
    />
  );
}

export function Regenerate({ event, target, watching, close, after, landing }: ActProps) {
  const last = useLast(target);
  const done = () => {
    after?.();
    if (landing) land(landing);
  };
  return (
    <Sheet
      title={
        last.name !== null
          ? t("inv.regenerate_one", { name: last.name })
          : t("inv.regenerate_title", { n: last.count, count: say.number(last.count) })
      }
      open={target !== null}
      onOpenChange={(open) => !open && close()}
    >
      {target !== null && (
        <NewCodes event={event} target={target} watching={watching} close={close} after={done} />
      )}
    </Sheet>
  );
}

interface NewCodesProps {
  event: Event;
  target: Target;
  watching: number;
  close(): void;
  after(): void;
}

function NewCodes({ event, target, watching, close, after }: NewCodesProps) {
  const client = useQueryClient();
  const [send, setSend] = useState(true);
  const [channel, setChannel] = useState<MessageChannel>("sms");
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const said = { n: target.count, count: say.number(target.count) };
  const inside = useWatching(event, target, watching);
  const many = target.count > AT_ONCE_MAX;
  const run = async () => {
    if (busy) return;
    setBusy(true);
    setError(null);
    try {
      const { changed, sessions_ended, renewal } = await regenerate(
        event.id,
        target.selection,
        send ? { channel } : null,
        inside > 0 ? reason : "",
      );
      await Promise.all([peopleChanged(client, event.id), messagesChanged(client, event.id)]);
      // What takes longer is shown at the top of the page, to everybody who looks at it.
      if (renewal) {
        toast(t("inv.renewal_begun", { n: renewal.total, count: say.number(renewal.total) }));
        window.scrollTo({ top: 0 });
      } else
        toast(
          [
            t("inv.regenerated", { n: changed, count: say.number(changed) }),
            ...(sessions_ended > 0
              ? [t("farewell.done", { n: sessions_ended, count: say.number(sessions_ended) })]
              : []),
          ].join(", "),
        );
      after();
      close();
    } catch (cause) {
      setError(cause);
      setBusy(false);
    }
  };
  return (
    <div className="stack">
      <p className="muted">{t("inv.regenerate_text", said)}</p>
      <SentHome target={target} watching={inside} />
      <Toggle on={send} onChange={setSend}>
        {t("inv.regenerate_send", said)}
      </Toggle>
      {send && (
        <Segments
          label={t("send.channel")}
          value={channel}
          choices={[
            { id: "sms", name: t("msg.channel.sms") },
            { id: "email", name: t("msg.channel.email") },
          ]}
          onChange={(next) => setChannel(next)}
        />
      )}
      {inside > 0 && <FarewellWords value={reason} onChange={setReason} />}
      {busy && (
        <p className="muted" role="status">
          {t("inv.regenerating", said)}
        </p>
      )}
      {many && <p className="hint">{t("inv.regenerate_steps")}</p>}
      {error !== null && (
        <p className="notice danger" role="alert">
          {failureText(error)}
        </p>
      )}
      <div className="sheet-actions">
        <Button className="button" onPress={close} isDisabled={busy}>
          {t("action.cancel")}
        </Button>
        <Button className="button danger solid" onPress={() => void run()} data-pending={busy || undefined}>
          {t("inv.regenerate_confirm", said)}
        </Button>
      </div>
    </div>
  );
}
