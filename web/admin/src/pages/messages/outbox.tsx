/** Each message: what became of it and why, and, where it stayed in the house, what it says. */
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import { Button } from "react-aria-components";
import {
  messagesChanged,
  messagingQuery,
  outboxQuery,
  retryMessage,
  sendsQuery,
} from "../../api/messages.ts";
import type { Event, Message, MessageState } from "../../api/types.ts";
import { mayRetry, STATES, wayIn } from "../../model/messages.ts";
import { say, t } from "../../text.ts";
import { useMinute } from "../../ui/clock.ts";
import { CopyButton } from "../../ui/copy.tsx";
import { Confirm } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { Choose } from "../../ui/form.tsx";
import { useMay } from "../../ui/rights.ts";
import { Empty, Failed, Loading } from "../../ui/states.tsx";
import { toast } from "../../ui/toast.tsx";
import { amount } from "../../ui/words.ts";
import { useHere } from "../event/frame.tsx";

const route = getRouteApi("/inside/events/$event/messages/outbox");

const TONES = {
  queued: "plain",
  sending: "busy",
  sent: "busy",
  delivered: "ok",
  failed: "danger",
  suppressed: "plain",
} as const satisfies Record<MessageState, string>;

export function OutboxPage() {
  const { event } = useHere();
  const { send, state, invitation } = route.useSearch();
  const navigate = route.useNavigate();
  const organise = useMay("organise");
  const minute = useMinute();
  const sends = useInfiniteQuery(sendsQuery(event.id));
  const messaging = useQuery(messagingQuery(event.id));
  const list = useInfiniteQuery(
    outboxQuery(event.id, {
      ...(send ? { send } : {}),
      ...(state ? { state } : {}),
      ...(invitation ? { invitation } : {}),
    }),
  );
  const rows = list.data?.pages.flatMap((page) => page.data) ?? [];
  const orders = sends.data?.pages.flatMap((page) => page.data) ?? [];
  const filter = (next: { send?: string; state?: MessageState }) => void navigate({ search: next });
  return (
    <section className="card stack" aria-label={t("msg.outbox")}>
      <div className="filters">
        <Choose
          label={t("msg.filter_send")}
          hideLabel
          value={send ?? ""}
          choices={[
            { id: "", name: t("msg.all_sends") },
            ...orders.map(({ id, kind, channel, created_at }) => ({
              id,
              name: `${t(`msg.kind_by.${kind === "reminder" || kind === "new_code" ? kind : "invitation"}.${channel}`)}, ${say.moment(created_at, minute)}`,
            })),
          ]}
          onChange={(id) => filter({ ...(id ? { send: id } : {}), ...(state ? { state } : {}) })}
        />
        <Choose
          label={t("msg.filter_state")}
          hideLabel
          value={state ?? ""}
          choices={[
            { id: "", name: t("inv.state_any") },
            ...STATES.map((id) => ({ id, name: t(`msg.message.${id}`) })),
          ]}
          onChange={(id) =>
            filter({
              ...(send ? { send } : {}),
              ...(id ? { state: id as MessageState } : {}),
            })
          }
        />
      </div>
      {invitation !== undefined && rows.length > 0 && (
        <p className="cluster spread">
          <span>{t("msg.of_person", { name: rows[0]?.name ?? "" })}</span>
          <Button className="button small" onPress={() => filter({})}>
            {t("msg.all_messages")}
          </Button>
        </p>
      )}
      {list.isPending && <Loading lines={5} />}
      {list.isError && rows.length === 0 && <Failed error={list.error} retry={() => void list.refetch()} />}
      {list.isSuccess && rows.length === 0 && !list.isPlaceholderData && (
        <div role="status">
          <Empty icon="search" title={t("msg.outbox_empty")}>
            {(send !== undefined || state !== undefined || invitation !== undefined) && (
              <Button className="button" onPress={() => filter({})}>
                {t("msg.all_messages")}
              </Button>
            )}
          </Empty>
        </div>
      )}
      {rows.length > 0 && (
        <ul className="outbox" aria-label={t("msg.outbox")} aria-busy={list.isPlaceholderData || undefined}>
          {rows.map((message) => (
            <One
              key={message.id}
              event={event}
              message={message}
              organise={organise}
              inside={
                messaging.data !== undefined &&
                (message.channel === "sms" ? messaging.data.sms : messaging.data.email) === "outbox"
              }
            />
          ))}
        </ul>
      )}
      {list.hasNextPage && (
        <div>
          <Button
            className="button"
            onPress={() => void list.fetchNextPage()}
            data-pending={list.isFetchingNextPage || undefined}
          >
            {t("action.more")}
          </Button>
        </div>
      )}
    </section>
  );
}

interface OneProps {
  event: Event;
  message: Message;
  organise: boolean;
  /** Messages of its channel stay in the house. */
  inside: boolean;
}

function One({ event, message, organise, inside }: OneProps) {
  const client = useQueryClient();
  const minute = useMinute();
  const [asked, setAsked] = useState(false);
  const { id, name, to, channel, kind, state, text, subject, error, cost_milli } = message;
  const who = message.invitation ? name : t("msg.to_oneself");
  const ways = text ? wayIn(text) : null;
  const again = async () => {
    await retryMessage(event.id, id);
    await messagesChanged(client, event.id);
  };
  const retry = useMutation({
    mutationFn: again,
    onError: (cause) => toast(failureText(cause)),
  });
  const retriable = organise && state === "failed" && mayRetry(error);
  return (
    <li>
      <div className="cluster spread">
        <p>
          <span className="row-title">{who}</span>{" "}
          <span className="muted small">
            {[to, t(`msg.channel.${channel}`), t(`msg.kind.${kind}`)].filter(Boolean).join(" · ")}
          </span>
        </p>
        <span className="cluster">
          <span className="state" data-tone={TONES[state]}>
            {inside && (state === "sent" || state === "delivered")
              ? t("msg.message.kept")
              : t(`msg.message.${state}`)}
          </span>
          <span className="muted small tabular">
            {say.moment(message.sent_at ?? message.created_at, minute)}
            {cost_milli > 0 && ` · ${amount(cost_milli)}`}
          </span>
        </span>
      </div>
      {error && (
        <p className={state === "failed" ? "outbox-why" : "muted small"}>{t(`msg.error.${error}`)}</p>
      )}
      {text && (
        <div className="bubble">
          {subject && <p className="letter-subject">{subject}</p>}
          {text.trim()}
        </div>
      )}
      {(ways?.link || ways?.code || retriable) && (
        <div className="cluster">
          {ways?.link && (
            <CopyButton
              className="button small"
              icon="link"
              text={ways.link}
              said={t("people.link_copied", { name: who })}
            >
              {t("people.copy_link")}
            </CopyButton>
          )}
          {ways?.code && (
            <CopyButton
              className="button small"
              text={ways.code}
              said={t("people.code_copied", { name: who })}
            >
              {t("people.copy_code")}
            </CopyButton>
          )}
          {retriable && (
            <Button
              className="button small"
              aria-label={t("msg.retry_of", { name: who })}
              data-pending={retry.isPending || undefined}
              onPress={() => (error === "unknown" ? setAsked(true) : !retry.isPending && retry.mutate())}
            >
              {t("action.retry")}
            </Button>
          )}
        </div>
      )}
      <Confirm
        title={t("msg.retry_title", { name: who })}
        text={t("msg.error.unknown")}
        confirm={t("action.retry")}
        open={asked}
        onOpenChange={setAsked}
        act={again}
      />
    </li>
  );
}
