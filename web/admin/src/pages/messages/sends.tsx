/** The orders of an event: how far each is, how long it still takes, and what can be done about it. */
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useRef, useState } from "react";
import { Button } from "react-aria-components";
import {
  cancelSend,
  messagesChanged,
  pauseSend,
  resumeSend,
  retrySend,
  sendsQuery,
} from "../../api/messages.ts";
import type { Event, Send } from "../../api/types.ts";
import { doneOf, isOpen, KINDS, retriable, sharesOf } from "../../model/messages.ts";
import { say, t } from "../../text.ts";
import { useMinute } from "../../ui/clock.ts";
import { Confirm } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { useMay } from "../../ui/rights.ts";
import { Empty, Failed, Loading } from "../../ui/states.tsx";
import { toast } from "../../ui/toast.tsx";
import { amount, span } from "../../ui/words.ts";
import { useHere } from "../event/frame.tsx";

/** How often a running order is asked about, beside the server's own hints: its remaining time is said live. */
const LOOK_MS = 2_000;

export function SendsPage() {
  const { event } = useHere();
  const organise = useMay("organise");
  const list = useInfiniteQuery({
    ...sendsQuery(event.id),
    refetchInterval: (query) =>
      query.state.data?.pages.some((page) => page.data.some(({ state }) => state === "running"))
        ? LOOK_MS
        : false,
  });
  if (list.isPending) {
    return (
      <div className="card">
        <Loading lines={5} />
      </div>
    );
  }
  const rows = list.data?.pages.flatMap((page) => page.data) ?? [];
  if (list.isError && rows.length === 0) {
    return (
      <div className="card">
        <Failed error={list.error} retry={() => void list.refetch()} />
      </div>
    );
  }
  if (rows.length === 0) {
    return (
      <div className="card" role="status">
        <Empty icon="signal" title={t("msg.empty")}>
          <p>{t(event.invited === 0 ? "msg.empty_nobody" : "msg.empty_text")}</p>
          {organise && <WayOn event={event} />}
        </Empty>
      </div>
    );
  }
  return (
    <>
      <ul className="send-list" aria-label={t("msg.sends")}>
        {rows.map((send) => (
          <Order key={send.id} event={event} send={send} organise={organise} />
        ))}
      </ul>
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
    </>
  );
}

function WayOn({ event }: { event: Event }) {
  const params = { event: event.id };
  return event.invited === 0 ? (
    <Link to="/events/$event/invitations/import" params={params} className="button primary">
      {t("inv.import")}
    </Link>
  ) : (
    <Link to="/events/$event/messages" params={params} search={{ to: "created" }} className="button primary">
      {t("msg.send")}
    </Link>
  );
}

const TONES = { running: "busy", paused: "warn", done: "ok", cancelled: "plain" } as const;

function Order({ event, send, organise }: { event: Event; send: Send; organise: boolean }) {
  const client = useQueryClient();
  const minute = useMinute();
  const [stopping, setStopping] = useState(false);
  const title = useRef<HTMLHeadingElement>(null);
  const kind = KINDS.find((known) => known === send.kind) ?? "invitation";
  const name = t(`msg.kind_by.${kind}.${send.channel}`);
  const done = doneOf(send);
  const shares = sharesOf(send);
  const change = useMutation({
    mutationFn: (act: typeof pauseSend) => act(event.id, send.id),
    onSuccess: () => messagesChanged(client, event.id),
    onError: (error) => toast(failureText(error)),
  });
  const retry = useMutation({
    mutationFn: () => retrySend(event.id, send.id),
    onSuccess: async ({ retried }) => {
      await messagesChanged(client, event.id);
      toast(t("send.begun", { n: retried, count: say.number(retried) }));
    },
    onError: (error) => toast(failureText(error)),
  });
  const again = retriable(send);
  const byPerson = send.state === "paused" && send.paused_because !== "quiet_hours";
  const later = send.state === "running" && Date.parse(send.at) > minute + 60_000;
  return (
    <li className="card stack order" data-state={send.state}>
      <div className="card-head">
        <h3 ref={title} tabIndex={-1}>
          {name}
        </h3>
        <span className="cluster">
          <span className="state" data-tone={TONES[send.state]}>
            {t(`msg.state.${send.state}`)}
          </span>
          <span className="muted small">{say.moment(send.created_at, minute)}</span>
        </span>
      </div>
      <div className="stack tight">
        <svg className="send-bar" viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">
          <rect className="ok" width={shares.ok} height="1" />
          <rect className="on-the-way" x={shares.ok} width={shares.onTheWay} height="1" />
          <rect className="bad" x={shares.ok + shares.onTheWay} width={shares.bad} height="1" />
        </svg>
        <p className="cluster spread small">
          <span className="tabular">
            {t("msg.progress", { done: say.number(done), total: say.number(send.total) })}
          </span>
          {isOpen(send) && send.eta_ms != null && send.queued > 0 && (
            <span className="tabular muted">
              {t("msg.rate", { n: send.per_second, count: say.number(send.per_second) })}
              {" · "}
              {t("unit.left", { span: span(send.eta_ms) })}
            </span>
          )}
        </p>
      </div>
      {send.state === "paused" && (
        <p className="notice warn">{t(`msg.paused.${send.paused_because ?? "person"}`)}</p>
      )}
      {later && <p className="notice">{t("msg.begins", { when: say.moment(send.at, minute) })}</p>}
      <dl className="send-counts tabular">
        {(["queued", "sent", "delivered", "failed", "suppressed"] as const)
          .filter((part) => send[part] > 0)
          .map((part) => (
            <div key={part} className={part === "failed" ? "send-bad" : undefined}>
              <dt>{t(`msg.count.${part}`)}</dt>
              <dd>{say.number(send[part])}</dd>
            </div>
          ))}
        {send.spent_milli > 0 && (
          <div>
            <dt>{t("msg.cost")}</dt>
            <dd>{amount(send.spent_milli)}</dd>
          </div>
        )}
      </dl>
      {send.failures.length > 0 && (
        <ul className="send-why tabular" aria-label={t("msg.why_failed")}>
          {send.failures.map(({ error, count }) => (
            <li key={error}>{t("msg.why_of", { count: say.number(count), why: t(`msg.error.${error}`) })}</li>
          ))}
        </ul>
      )}
      <div className="cluster">
        {organise && send.state === "running" && (
          <Button
            className="button"
            aria-label={t("msg.pause_of", { name })}
            onPress={() => change.mutate(pauseSend)}
            data-pending={change.isPending || undefined}
          >
            {t("msg.pause")}
          </Button>
        )}
        {organise && byPerson && (
          <Button
            className="button primary"
            aria-label={t("msg.resume_of", { name })}
            onPress={() => change.mutate(resumeSend)}
            data-pending={change.isPending || undefined}
          >
            {t("msg.resume")}
          </Button>
        )}
        {organise && isOpen(send) && (
          <Button
            className="button danger"
            aria-label={t("msg.cancel_of", { name })}
            onPress={() => setStopping(true)}
          >
            {t("msg.cancel")}
          </Button>
        )}
        {organise && again > 0 && (
          <Button
            className="button"
            aria-label={t("msg.retry_failed_of", { n: again, count: say.number(again), name })}
            onPress={() => !retry.isPending && retry.mutate()}
            data-pending={retry.isPending || undefined}
          >
            {t("msg.retry_failed", { n: again, count: say.number(again) })}
          </Button>
        )}
        <Link
          to="/events/$event/messages/outbox"
          params={{ event: event.id }}
          search={{ send: send.id }}
          className="button quiet"
        >
          {t("msg.see_each")}
        </Link>
        {send.failed > 0 && (
          <Link
            to="/events/$event/messages/outbox"
            params={{ event: event.id }}
            search={{ send: send.id, state: "failed" }}
            className="button quiet"
          >
            {t("msg.see_failed", { n: send.failed, count: say.number(send.failed) })}
          </Link>
        )}
      </div>
      <Confirm
        title={t("msg.cancel_title")}
        text={t("msg.cancel_text", { n: send.queued, count: say.number(send.queued) })}
        confirm={t("msg.cancel_confirm")}
        open={stopping}
        onOpenChange={setStopping}
        act={() => cancelSend(event.id, send.id)}
        after={() => {
          toast(t("msg.cancelled"));
          void messagesChanged(client, event.id);
        }}
        landing={title}
      />
    </li>
  );
}
