import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useRef, useState } from "react";
import { Button, Form } from "react-aria-components";
import { api, value } from "../api/client.ts";
import { ApiError } from "../api/problem.ts";
import { deliveriesQuery, keys, webhooksQuery } from "../api/queries.ts";
import type { Delivery, Webhook, WebhookSecret } from "../api/types.ts";
import { factWords, groups } from "../model/log.ts";
import { say, t } from "../text.ts";
import { useMinute } from "../ui/clock.ts";
import { CopyButton } from "../ui/copy.tsx";
import { Confirm } from "../ui/dialog.tsx";
import { failureText } from "../ui/failure.ts";
import { TagInput, TextInput } from "../ui/form.tsx";
import { Icon } from "../ui/icon.tsx";
import { Empty, Failed, Loading } from "../ui/states.tsx";
import { useTitle } from "../ui/title.ts";
import { toast } from "../ui/toast.tsx";

/** How often deliveries that are looked at are asked for again. */
const LOOK_MS = 3_000;

const typeChoices = groups.map((group) => ({ id: `${group}.*`, name: t(`log.group.${group}`) }));

function typeName(type: string): string {
  return typeChoices.find(({ id }) => id === type)?.name ?? type;
}

/** Who else is told what happens. */
export function WebhooksPage() {
  useTitle(t("hooks.title"));
  const hooks = useInfiniteQuery(webhooksQuery);
  const [secret, setSecret] = useState<WebhookSecret | null>(null);
  const list = hooks.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <div className="stack reading">
      <div className="stack tight">
        <h1>{t("hooks.title")}</h1>
        <p className="muted">{t("hooks.lead")}</p>
      </div>
      <NewWebhook onMade={setSecret} />
      {secret && <Secret made={secret} />}
      {hooks.isPending && <Loading />}
      {hooks.isError && <Failed error={hooks.error} retry={() => void hooks.refetch()} />}
      {hooks.isSuccess && list.length === 0 && (
        <Empty icon="signal" title={t("hooks.empty")}>
          {t("hooks.empty_text")}
        </Empty>
      )}
      <ul className="plain-rows stack" aria-label={t("hooks.list")}>
        {list.map((hook) => (
          <Hook key={hook.id} hook={hook} onSecret={setSecret} />
        ))}
      </ul>
      {hooks.hasNextPage && (
        <div>
          <Button
            className="button"
            onPress={() => void hooks.fetchNextPage()}
            data-pending={hooks.isFetchingNextPage || undefined}
          >
            {t("action.more")}
          </Button>
        </div>
      )}
    </div>
  );
}

function NewWebhook({ onMade }: { onMade(made: WebhookSecret): void }) {
  const client = useQueryClient();
  const [url, setUrl] = useState("");
  const [types, setTypes] = useState<string[]>([]);
  const [tried, setTried] = useState(false);
  const create = useMutation({
    mutationFn: () => value(api.POST("/api/v1/webhooks", { body: { url: url.trim(), types } })),
    onSuccess: (made) => {
      setUrl("");
      setTypes([]);
      setTried(false);
      onMade(made);
      void client.invalidateQueries({ queryKey: keys.webhooks });
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (url.trim() !== "" && !create.isPending) create.mutate();
  };
  // What the server says about the address belongs to its field.
  const refused = create.error instanceof ApiError ? create.error.failure.fields.url : undefined;
  return (
    <Form className="card stack" onSubmit={submit} validationBehavior="aria">
      <h2>{t("hooks.new")}</h2>
      <TextInput
        label={t("hooks.url")}
        hint={t("hooks.url_hint")}
        error={tried && url.trim() === "" ? t("hooks.url_missing") : refused}
        placeholder="https://hooks.example.org/stagedoor"
        value={url}
        onChange={setUrl}
      />
      <TagInput
        label={t("hooks.types")}
        hint={t("hooks.types_hint")}
        values={types}
        onChange={setTypes}
        choices={typeChoices}
        placeholder={t("hooks.all_types")}
        nameOf={typeName}
      />
      {create.error && refused === undefined && (
        <p className="notice danger" role="alert">
          {failureText(create.error)}
        </p>
      )}
      <div className="form-actions">
        <Button type="submit" className="button primary" data-pending={create.isPending || undefined}>
          {create.isPending ? t("hooks.creating") : t("hooks.create")}
        </Button>
      </div>
    </Form>
  );
}

function Secret({ made }: { made: WebhookSecret }) {
  return (
    <div className="notice ok stack tight appear" role="status">
      <p className="notice-title">{t("hooks.secret_title")}</p>
      <p className="small">{made.url}</p>
      <div className="copyable">
        <code>{made.secret}</code>
        <CopyButton text={made.secret} said={t("hooks.secret_copied")}>
          {t("action.copy")}
        </CopyButton>
      </div>
      <p className="small">{t("hooks.secret_once")}</p>
    </div>
  );
}

function because(hook: Webhook): string {
  const reasons = ["gone", "failing", "backlog"] as const;
  const reason = reasons.find((name) => name === hook.disabled_because) ?? "by_hand";
  return t(`hooks.because.${reason}`);
}

function Hook({ hook, onSecret }: { hook: Webhook; onSecret(made: WebhookSecret): void }) {
  const client = useQueryClient();
  const now = useMinute();
  const [open, setOpen] = useState(false);
  const [asked, setAsked] = useState<"rotate" | "delete" | null>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const path = { params: { path: { webhook: hook.id } } };
  const changed = () => client.invalidateQueries({ queryKey: keys.webhooks });
  const test = useMutation({
    mutationFn: () => value(api.POST("/api/v1/webhooks/{webhook}/test", path)),
    onSuccess: () => {
      setOpen(true);
      toast(t("hooks.tested"));
      void changed();
    },
    onError: (error) => toast(failureText(error)),
  });
  const turn = useMutation({
    mutationFn: () => {
      const state = hook.state === "active" ? ("disabled" as const) : ("active" as const);
      return value(api.PATCH("/api/v1/webhooks/{webhook}", { ...path, body: { state } }));
    },
    onSuccess: changed,
    onError: (error) => toast(failureText(error)),
  });
  const rotate = async () => {
    onSecret(await value(api.POST("/api/v1/webhooks/{webhook}/rotate", path)));
    await changed();
  };
  const remove = async () => {
    await value(api.DELETE("/api/v1/webhooks/{webhook}", path));
    await changed();
  };
  const off = hook.state === "disabled";
  return (
    <li className="card stack" data-dead={off || undefined}>
      <div className="card-head">
        <h2 className="hook-url" ref={heading} tabIndex={-1}>
          {hook.url}
        </h2>
        <span className="tag" data-tone={off ? "off" : "on"}>
          {off ? t("hooks.disabled") : t("hooks.active")}
        </span>
      </div>
      <p className="muted small">
        {hook.types.length === 0 ? t("hooks.all_types") : hook.types.map(typeName).join(", ")}
      </p>
      {off && <p className="notice warning">{because(hook)}</p>}
      {hook.paused_until && (
        <p className="notice">{t("hooks.paused", { when: say.moment(hook.paused_until, now) })}</p>
      )}
      {hook.previous_secret_until && (
        <p className="muted small">
          {t("hooks.previous", { when: say.moment(hook.previous_secret_until, now) })}
        </p>
      )}
      <div className="hook-actions">
        <Button className="button small" aria-expanded={open} onPress={() => setOpen(!open)}>
          {open ? t("hooks.hide") : t("hooks.show")}
        </Button>
        <Button className="button small" isDisabled={off} onPress={() => test.mutate()}>
          {t("hooks.test")}
        </Button>
        <Button className="button small" onPress={() => turn.mutate()}>
          {off ? t("hooks.turn_on") : t("hooks.turn_off")}
        </Button>
        <Button className="button small" onPress={() => setAsked("rotate")}>
          {t("hooks.rotate")}
        </Button>
        <Button className="button small danger" onPress={() => setAsked("delete")}>
          {t("hooks.delete")}
        </Button>
      </div>
      {open && <Deliveries hook={hook} />}
      <Confirm
        title={t("hooks.rotate_title")}
        text={t("hooks.rotate_text")}
        confirm={t("hooks.rotate")}
        open={asked === "rotate"}
        onOpenChange={(shown) => !shown && setAsked(null)}
        act={rotate}
      />
      <Confirm
        title={t("hooks.delete_title")}
        text={t("hooks.delete_text")}
        confirm={t("hooks.delete")}
        open={asked === "delete"}
        onOpenChange={(shown) => !shown && setAsked(null)}
        act={remove}
        after={() => toast(t("hooks.deleted"))}
      />
    </li>
  );
}

function Deliveries({ hook }: { hook: Webhook }) {
  const deliveries = useInfiniteQuery({ ...deliveriesQuery(hook.id), refetchInterval: LOOK_MS });
  if (deliveries.isPending) return <Loading />;
  if (deliveries.isError) {
    return <Failed error={deliveries.error} retry={() => void deliveries.refetch()} />;
  }
  const list = deliveries.data.pages.flatMap((page) => page.data);
  if (list.length === 0) return <p className="muted small">{t("hooks.no_deliveries")}</p>;
  return (
    <div className="stack tight">
      <ul className="plain-rows" aria-label={t("hooks.deliveries")}>
        {list.map((delivery) => (
          <DeliveryRow key={delivery.id} hook={hook} delivery={delivery} />
        ))}
      </ul>
      {deliveries.hasNextPage && (
        <Button className="button small" onPress={() => void deliveries.fetchNextPage()}>
          {t("action.more")}
        </Button>
      )}
    </div>
  );
}

const stateNames = {
  waiting: () => t("hooks.state.waiting"),
  delivered: () => t("hooks.state.delivered"),
  failed: () => t("hooks.state.failed"),
};

function DeliveryRow({ hook, delivery }: { hook: Webhook; delivery: Delivery }) {
  const client = useQueryClient();
  const now = useMinute();
  const replay = useMutation({
    mutationFn: () =>
      value(
        api.POST("/api/v1/webhooks/{webhook}/deliveries/{delivery}/replay", {
          params: { path: { webhook: hook.id, delivery: delivery.id } },
        }),
      ),
    onSuccess: () => {
      toast(t("hooks.replayed"));
      void client.invalidateQueries({ queryKey: keys.deliveries(hook.id) });
    },
    onError: (error) => toast(failureText(error)),
  });
  const state = stateNames[delivery.state as keyof typeof stateNames]?.() ?? delivery.state;
  const last = delivery.attempts[0];
  const words = factWords(delivery.type);
  return (
    <li className="plain-row delivery">
      <Icon
        name={delivery.state === "delivered" ? "check" : delivery.state === "failed" ? "warning" : "info"}
      />
      <div className="row-main">
        <p className="row-title">{words}</p>
        <p className="muted small">
          {say.moment(delivery.created_at, now)}, {state}
          {delivery.next_at && delivery.attempts.length > 0
            ? `, ${t("hooks.next", { when: say.relative(delivery.next_at, Math.min(now, Date.parse(delivery.next_at))) })}`
            : ""}
        </p>
        <details className="small">
          <summary>
            {t("hooks.attempts", {
              n: delivery.attempts.length,
              count: say.number(delivery.attempts.length),
            })}
            {last && `: ${outcome(last)}`}
          </summary>
          <ul className="plain-rows">
            {delivery.attempts.map((attempt) => (
              <li key={attempt.at}>
                {say.moment(attempt.at, now)}: {outcome(attempt)}
              </li>
            ))}
          </ul>
          <p className="muted">{t("hooks.body")}</p>
          <pre className="hook-body">{delivery.body}</pre>
        </details>
      </div>
      <Button
        className="button small"
        aria-label={t("hooks.replay_of", { type: words })}
        isDisabled={hook.state === "disabled"}
        onPress={() => replay.mutate()}
      >
        {t("hooks.replay")}
      </Button>
    </li>
  );
}

function outcome(attempt: Delivery["attempts"][number]): string {
  if (attempt.status === null || attempt.status === undefined) return attempt.error ?? "";
  return t("hooks.answered", { status: attempt.status, time: say.number(attempt.took_ms) });
}
