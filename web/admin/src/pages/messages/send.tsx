/** Sending to many: what, to whom, when, and what that comes to, before it is done. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { Button, Form } from "react-aria-components";
import { matchingQuery, selectionOf, tagsQuery } from "../../api/invitations.ts";
import {
  messagesChanged,
  messagingQuery,
  order,
  templatesQuery,
  textPreviewQuery,
} from "../../api/messages.ts";
import { peopleChanged } from "../../api/queries.ts";
import type { Event, MessageChannel, Messaging, SelectionBody } from "../../api/types.ts";
import { localInput } from "../../model/event-form.ts";
import type { Filter } from "../../model/invitations.ts";
import {
  CHANNELS,
  isWho,
  KINDS,
  type OrderKind,
  sumOf,
  templateFor,
  WHO,
  type Who,
  whoFilter,
} from "../../model/messages.ts";
import { say, t } from "../../text.ts";
import { useMinute } from "../../ui/clock.ts";
import { Drawer } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { Choose, Segments, TextInput, Toggle } from "../../ui/form.tsx";
import { Failed, Loading } from "../../ui/states.tsx";
import { toast } from "../../ui/toast.tsx";
import { amount, span } from "../../ui/words.ts";
import { WhatTheyGet } from "./templates.tsx";

const TAG = "tag:";

/** Whom it is for: somebody the page found, or a choice that the form begins with. */
export type To =
  | { readonly who: Who }
  | { readonly selection: SelectionBody; readonly count: number; readonly kind?: OrderKind };

interface SendDrawerProps {
  event: Event;
  /** Closed without. */
  to: To | null;
  close(): void;
  after?(): void;
}

export function SendDrawer({ event, to, close, after }: SendDrawerProps) {
  return (
    <Drawer title={t("send.title")} open={to !== null} onOpenChange={(open) => !open && close()}>
      {to && <Compose event={event} to={to} close={close} after={after} />}
    </Drawer>
  );
}

interface ComposeProps {
  event: Event;
  to: To;
  close(): void;
  after: (() => void) | undefined;
}

function Compose({ event, to, close, after }: ComposeProps) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const minute = useMinute();
  const messaging = useQuery(messagingQuery(event.id));
  const templates = useQuery(templatesQuery(event.id));
  const [kind, setKind] = useState<OrderKind>("selection" in to ? (to.kind ?? "invitation") : "invitation");
  const [channel, setChannel] = useState<MessageChannel>("sms");
  const [who, setWho] = useState<Who | `tag:${string}`>("who" in to ? to.who : "all");
  const [later, setLater] = useState(false);
  const [at, setAt] = useState(() => localInput(new Date(Date.now() + 3_600_000)));
  const [again, setAgain] = useState(false);
  const [tried, setTried] = useState(false);

  const filter: Filter = isWho(who) ? whoFilter(who) : { tag: who.slice(TAG.length) };
  const selection = "selection" in to ? to.selection : selectionOf(filter);
  const matching = useQuery({ ...matchingQuery(event.id, filter), enabled: "who" in to });
  const tags = useQuery({ ...tagsQuery(event.id), enabled: "who" in to });
  const people = "selection" in to ? to.count : matching.data;

  const language = event.policy.messages.default_language ?? "en";
  const template = templates.data && templateFor(templates.data, channel, kind, language);
  const draft = { subject: template?.subject ?? "", body: template?.body ?? "" };
  const preview = useQuery({
    ...textPreviewQuery(event.id, { channel, ...draft }),
    enabled: template !== undefined,
  });

  const begins = later ? new Date(at) : null;
  const wrongTime = begins !== null && !(begins.getTime() > minute);
  const send = useMutation({
    mutationFn: () =>
      order(event.id, {
        selection,
        channel,
        kind,
        again,
        ...(begins === null ? {} : { at: begins.toISOString() }),
      }),
    onSuccess: async (made) => {
      await Promise.all([messagesChanged(client, event.id), peopleChanged(client, event.id)]);
      toast(t("send.begun", { n: made.total, count: say.number(made.total) }));
      after?.();
      close();
      void navigate({ to: "/events/$event/messages", params: { event: event.id }, search: {} });
    },
  });
  const submit = (pressed: FormEvent) => {
    pressed.preventDefault();
    setTried(true);
    if (!wrongTime && people !== 0 && !send.isPending) send.mutate();
  };

  if (messaging.isPending || templates.isPending) return <Loading lines={6} />;
  if (messaging.data === undefined || templates.data === undefined) {
    const failed = messaging.data === undefined ? messaging : templates;
    return <Failed error={failed.error} retry={() => void failed.refetch()} />;
  }
  const outbox = (channel === "sms" ? messaging.data.sms : messaging.data.email) === "outbox";
  return (
    <Form className="stack" onSubmit={submit} validationBehavior="aria">
      <Segments
        label={t("send.kind")}
        hint={t(`send.kind_hint.${kind}`)}
        value={kind}
        choices={KINDS.map((id) => ({ id, name: t(`msg.kind.${id}`) }))}
        onChange={(next) => setKind(next)}
      />
      <Segments
        label={t("send.channel")}
        value={channel}
        choices={CHANNELS.map((id) => ({ id, name: t(`msg.channel.${id}`) }))}
        onChange={(next) => setChannel(next)}
      />
      {outbox && <p className="notice info">{t("send.outbox")}</p>}
      {"who" in to ? (
        <Choose
          label={t("send.who")}
          value={who}
          choices={[
            ...WHO.map((id) => ({ id, name: t(`send.who_${id}`) })),
            ...(tags.data ?? []).map(({ tag }) => ({
              id: `${TAG}${tag}` as const,
              name: t("send.who_tag", { tag }),
            })),
          ]}
          onChange={(next) => setWho(next)}
        />
      ) : (
        <div className="field">
          <p className="label">{t("send.who")}</p>
          <p>{t("send.who_selected", { n: to.count, count: say.number(to.count) })}</p>
        </div>
      )}
      <Segments
        label={t("send.when")}
        value={later ? "later" : "now"}
        choices={[
          { id: "now", name: t("send.now") },
          { id: "later", name: t("send.later") },
        ]}
        onChange={(when) => setLater(when === "later")}
      />
      {later && (
        <TextInput
          label={t("send.at")}
          type="datetime-local"
          className="short"
          value={at}
          onChange={setAt}
          error={tried && wrongTime ? t("send.at_wrong") : undefined}
        />
      )}
      <Toggle on={again} onChange={setAgain}>
        {t("send.again")}
      </Toggle>
      <WhatTheyGet event={event.id} channel={channel} draft={draft} language={language} />
      {people === 0 ? (
        <p className="notice" role="status">
          {t("send.nobody")}
        </p>
      ) : (
        people !== undefined && (
          <Summary
            people={people}
            segments={preview.data?.segments ?? 1}
            channel={channel}
            messaging={messaging.data}
            begins={begins !== null && !wrongTime ? begins.getTime() : null}
          />
        )
      )}
      {send.error && (
        <p className="notice danger" role="alert">
          {failureText(send.error)}
        </p>
      )}
      <div className="form-actions">
        <Button className="button" onPress={close}>
          {t("action.cancel")}
        </Button>
        <Button
          type="submit"
          className="button primary"
          isDisabled={people === 0}
          data-pending={send.isPending || undefined}
        >
          {people === undefined ? t("msg.send") : t("send.confirm", { n: people, count: say.number(people) })}
        </Button>
      </div>
    </Form>
  );
}

interface SummaryProps {
  people: number;
  segments: number;
  channel: MessageChannel;
  messaging: Messaging;
  begins: number | null;
}

/** What it comes to: how many, how much, how long. */
function Summary({ people, segments, channel, messaging, begins }: SummaryProps) {
  const minute = useMinute();
  const sum = sumOf(people, segments, channel, messaging);
  return (
    <div className="stack tight" role="status">
      <dl className="sum tabular">
        <div>
          <dt>{t("send.sum_people")}</dt>
          <dd>{say.number(people)}</dd>
        </div>
        {channel === "sms" && (
          <div>
            <dt>{t("send.sum_segments", { n: sum.segments, each: say.number(segments) })}</dt>
            <dd>{say.number(sum.segments)}</dd>
          </div>
        )}
        {sum.costMilli > 0 && (
          <div>
            <dt>{t("send.sum_cost")}</dt>
            <dd>{amount(sum.costMilli)}</dd>
          </div>
        )}
        <div>
          <dt>{t("send.sum_time", { rate: say.number(messaging.per_second) })}</dt>
          <dd>{span(sum.durationMs)}</dd>
        </div>
        <div>
          <dt>{t("send.sum_done")}</dt>
          <dd>{say.moment((begins ?? minute) + sum.durationMs, minute)}</dd>
        </div>
      </dl>
      {sum.overBudget && (
        <p className="notice warn">{t("send.budget", { budget: amount(messaging.budget_milli ?? 0) })}</p>
      )}
      <p className="hint">{t(channel === "sms" ? "send.skipped_sms" : "send.skipped_email")}</p>
    </div>
  );
}
