/** All stream keys of an event: where each stands, what it is good for, when it was last used; and changing that. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useRef, useState } from "react";
import { Button, Form } from "react-aria-components";
import { api, value } from "../../api/client.ts";
import { ApiError } from "../../api/problem.ts";
import { ingestQuery, keys, streamKeysQuery } from "../../api/queries.ts";
import type { Event, StreamKey } from "../../api/types.ts";
import {
  checkKey,
  isOver,
  type KeyDraft,
  keyChange,
  keyDraft,
  newKey,
  standing,
} from "../../model/stream-key.ts";
import { isPast } from "../../model/time.ts";
import { say, t } from "../../text.ts";
import { useNow } from "../../ui/clock.ts";
import { Confirm, Sheet } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { Segments, TagInput, TextInput, Toggle } from "../../ui/form.tsx";
import { Icon } from "../../ui/icon.tsx";
import { LimitsFields } from "../../ui/limits.tsx";
import { Empty, Failed, Loading } from "../../ui/states.tsx";
import { toast } from "../../ui/toast.tsx";
import { SecretSetting } from "./secret.tsx";

const OVERLAP_S = 15 * 60;
/** Minutes that are offered. */
type Overlap = "5" | "15" | "60";

/** What can be done with the keys of `event`; whatever shows them is told. */
export function useKeyring(event: string) {
  const client = useQueryClient();
  const changed = () =>
    Promise.all([
      client.invalidateQueries({ queryKey: keys.ingest(event) }),
      client.invalidateQueries({ queryKey: keys.streamKeys(event) }),
    ]);
  const path = (key: string) => ({ params: { path: { event, key } } });
  return {
    make: (body: ReturnType<typeof newKey> = newKey(keyDraft())) =>
      value(api.POST("/api/v1/events/{event}/stream-keys", { params: { path: { event } }, body })).finally(
        changed,
      ),
    change: (key: string, body: ReturnType<typeof keyChange>) =>
      value(api.PATCH("/api/v1/events/{event}/stream-keys/{key}", { ...path(key), body })).finally(changed),
    /** The new one works at once, the old one goes on for a while: there is never none. */
    rotate: (key: string, overlap_s = OVERLAP_S) =>
      value(
        api.POST("/api/v1/events/{event}/stream-keys/{key}/rotate", { ...path(key), body: { overlap_s } }),
      ).finally(changed),
    revoke: (key: string) =>
      value(api.DELETE("/api/v1/events/{event}/stream-keys/{key}", path(key))).finally(changed),
  };
}

type View = { on: "list" } | { on: "form"; key?: StreamKey } | { on: "made"; text: string };

interface KeyringProps {
  event: Event;
  open: boolean;
  onOpenChange(open: boolean): void;
}

/** The list in a dialog. It belongs to the page and not to the encoder's settings: a key that was just made is shown once. */
export function Keyring({ event, open, onOpenChange }: KeyringProps) {
  return (
    <Sheet title={t("encoder.keys")} open={open} onOpenChange={onOpenChange}>
      <Views event={event} />
    </Sheet>
  );
}

function Views({ event }: { event: Event }) {
  // Which one stands above, as long as one does: asked for by the encoder's settings alone.
  const current = useQuery({ ...ingestQuery(event.id), enabled: false }).data?.key_id;
  const [view, setView] = useState<View>({ on: "list" });
  const list = () => setView({ on: "list" });
  switch (view.on) {
    case "list":
      return <KeyList event={event} current={current} go={setView} />;
    case "form":
      return (
        <KeyForm
          event={event}
          before={view.key}
          leave={list}
          made={(text) => setView({ on: "made", text })}
        />
      );
    case "made":
      return (
        <div className="stack">
          <Back leave={list} />
          <h3>{t("key.made_title")}</h3>
          <p className="muted">{t("key.made_text")}</p>
          <SecretSetting label={t("encoder.key")} secret={view.text} />
        </div>
      );
  }
}

function Back({ leave }: { leave(): void }) {
  return (
    <div>
      <Button className="button quiet small" onPress={leave}>
        {t("key.back")}
      </Button>
    </div>
  );
}

interface KeyListProps {
  event: Event;
  current: string | undefined;
  go(view: View): void;
}

function KeyList({ event, current, go }: KeyListProps) {
  const list = useQuery(streamKeysQuery(event.id));
  const keyring = useKeyring(event.id);
  const [revoking, setRevoking] = useState<StreamKey | null>(null);
  const [rotating, setRotating] = useState<StreamKey | null>(null);
  const [overlap, setOverlap] = useState<Overlap>("15");
  const another = useRef<HTMLButtonElement>(null);
  if (list.isPending) return <Loading />;
  if (list.isError) return <Failed error={list.error} retry={() => void list.refetch()} />;
  return (
    <div className="stack">
      {list.data.data.length === 0 ? (
        <Empty icon="key" title={t("key.none")}>
          <p>{t("key.none_text")}</p>
        </Empty>
      ) : (
        <ul className="plain-rows" aria-label={t("encoder.keys")}>
          {list.data.data.map((key) => (
            <KeyRow
              key={key.id}
              row={key}
              current={key.id === current}
              edit={() => go({ on: "form", key })}
              rotate={() => setRotating(key)}
              revoke={() => setRevoking(key)}
            />
          ))}
        </ul>
      )}
      {list.data.next_cursor && <p className="hint">{t("key.more")}</p>}
      <div>
        <Button ref={another} className="button" onPress={() => go({ on: "form" })}>
          <Icon name="plus" />
          {t("key.new")}
        </Button>
      </div>
      <Confirm
        title={t("key.rotate_title", { hint: rotating?.hint ?? "" })}
        text={t("key.rotate_text")}
        confirm={t("key.rotate")}
        open={rotating !== null}
        onOpenChange={(open) => !open && setRotating(null)}
        act={async () => {
          if (!rotating) return;
          const rotated = await keyring.rotate(rotating.id, Number(overlap) * 60);
          go({ on: "made", text: rotated.new.key });
        }}
      >
        <Segments<Overlap>
          label={t("key.overlap")}
          value={overlap}
          choices={[
            { id: "5", name: t("key.overlap_5") },
            { id: "15", name: t("key.overlap_15") },
            { id: "60", name: t("key.overlap_60") },
          ]}
          onChange={setOverlap}
        />
      </Confirm>
      <Confirm
        title={t("encoder.revoke_title")}
        text={t("encoder.revoke_text")}
        confirm={t("encoder.revoke")}
        open={revoking !== null}
        onOpenChange={(open) => !open && setRevoking(null)}
        act={async () => revoking && keyring.revoke(revoking.id)}
        after={() => toast(t("encoder.revoked"))}
        landing={another}
      />
    </div>
  );
}

interface KeyRowProps {
  row: StreamKey;
  current: boolean;
  edit(): void;
  rotate(): void;
  revoke(): void;
}

function KeyRow({ row, current, edit, rotate, revoke }: KeyRowProps) {
  const now = useNow();
  const over = isOver(row, now);
  const stands = standing(row, now);
  // A key that has ended is given a later end, above all while its broadcast is still on air.
  const acts = [
    ["key.edit", edit, !over || stands === "ended"],
    ["key.rotate", rotate, !over],
    ["encoder.revoke", revoke, !over || stands === "ended"],
  ] as const;
  return (
    <li className="plain-row key-row" data-dead={over || undefined}>
      <div className="row-main">
        <p className="cluster tight">
          <code className="code">{row.hint}</code>
          {row.name && <span className="row-title">{row.name}</span>}
          {current && <span className="tag">{t("key.current")}</span>}
          {row.one_time && <span className="tag">{t("key.one_time")}</span>}
          {stands !== "works" && <span className="tag">{t(`key.standing.${stands}`)}</span>}
        </p>
        {keyWords(row, now).map((line) => (
          <p key={line} className="muted small">
            {line}
          </p>
        ))}
      </div>
      {acts.some(([, , may]) => may) && (
        <div className="row-actions key-actions">
          {acts
            .filter(([, , may]) => may)
            .map(([name, act]) => (
              <Button
                key={name}
                className="button small"
                aria-label={`${t(name)} ${row.name || row.hint}`}
                onPress={act}
              >
                {t(name)}
              </Button>
            ))}
        </div>
      )}
    </li>
  );
}

/** What there is to say of a key, a line for each thing. */
function keyWords(key: StreamKey, now: number): string[] {
  const lines = [`${t("key.made", { when: say.moment(key.created_at, now) })}, ${lastUse(key, now)}`];
  if (key.revoked_at) return [...lines, t("key.revoked", { when: say.moment(key.revoked_at, now) })];
  if (key.used_up) return [...lines, t("key.used_up")];
  if (isOver(key, now)) {
    const [when, stop] = [say.moment(key.expires_at ?? "", now), say.moment(key.stops_at ?? "", now)];
    return [...lines, isPast(key.stops_at, now) ? t("key.ended", { when }) : t("key.ending", { when, stop })];
  }
  if (key.expires_at && key.stops_at) {
    const [when, stop] = [say.moment(key.expires_at, now), say.moment(key.stops_at, now)];
    lines.push(t("key.until", { when, stop }));
  }
  if (key.networks.length > 0) lines.push(t("key.only_from", { networks: key.networks.join(", ") }));
  if (key.limits) {
    const { bitrate, longSide, shortSide, fps } = keyDraft(key).limits;
    lines.push(t("key.limits", { bitrate, long: longSide, short: shortSide, fps }));
  }
  return lines;
}

function lastUse(key: StreamKey, now: number): string {
  if (!key.last_used_at) return t("key.unused");
  const when = say.relative(key.last_used_at, now);
  if (!key.last_place || !key.last_network) return t("key.used", { when });
  const place = key.last_place === "unknown place" ? t("key.place_unknown") : key.last_place;
  return t("key.used_from", { when, place, network: key.last_network });
}

interface KeyFormProps {
  event: Event;
  /** The key that changes; without it one is made. */
  before: StreamKey | undefined;
  leave(): void;
  made(text: string): void;
}

function KeyForm({ event, before, leave, made }: KeyFormProps) {
  const [draft, setDraft] = useState<KeyDraft>(() => keyDraft(before));
  const [tried, setTried] = useState(false);
  const now = useNow();
  const keyring = useKeyring(event.id);
  const save = useMutation({
    mutationFn: async () => {
      if (before) await keyring.change(before.id, keyChange(draft, before));
      else made((await keyring.make(newKey(draft))).key);
    },
    onSuccess: () => {
      if (!before) return;
      toast(t("key.changed"));
      leave();
    },
  });
  const change = (part: Partial<KeyDraft>) => {
    save.reset();
    setDraft({ ...draft, ...part });
  };
  const check = () => checkKey(draft, now, before?.expires_at);
  const wrong = tried ? check() : {};
  const said = save.error instanceof ApiError ? save.error.failure.fields : {};
  const submit = (pressed: FormEvent) => {
    pressed.preventDefault();
    setTried(true);
    if (Object.keys(check()).length === 0 && !save.isPending) save.mutate();
  };
  return (
    <Form className="stack" onSubmit={submit} validationBehavior="aria">
      <Back leave={leave} />
      <h3>{before ? t("key.edit_title", { hint: before.hint }) : t("key.new_title")}</h3>
      <TextInput
        label={t("key.name")}
        placeholder={t("key.name_placeholder")}
        error={said.name}
        value={draft.name}
        onChange={(name) => change({ name })}
      />
      <TextInput
        label={t("key.ends")}
        hint={t("key.ends_hint")}
        type="datetime-local"
        error={wrong.expires_at ? t("key.ends_past") : said.expires_at}
        value={draft.ends}
        onChange={(ends) => change({ ends })}
      />
      <TagInput
        label={t("key.networks")}
        hint={t("key.networks_hint")}
        error={wrong.networks ? t("policy.wrong.network") : said.networks}
        values={draft.networks}
        onChange={(networks) => change({ networks })}
        choices={[]}
        free
        placeholder="203.0.113.0/24"
      />
      {!before && (
        <Toggle on={draft.oneTime} onChange={(oneTime) => change({ oneTime })}>
          {t("key.one_time_toggle")}
        </Toggle>
      )}
      <Toggle on={draft.limited} onChange={(limited) => change({ limited })}>
        {t("key.limited")}
      </Toggle>
      {draft.limited && (
        <LimitsFields
          draft={draft.limits}
          change={(part) => change({ limits: { ...draft.limits, ...part } })}
          error={(field) => (wrong[field] ? t(`policy.wrong.${field}`) : undefined)}
        />
      )}
      {save.isError && (
        <p className="notice danger" role="alert">
          {failureText(save.error)}
        </p>
      )}
      <div className="form-actions">
        <Button className="button" onPress={leave}>
          {t("action.cancel")}
        </Button>
        <Button type="submit" className="button primary" data-pending={save.isPending || undefined}>
          {t(before ? "key.save" : "key.create")}
        </Button>
      </div>
    </Form>
  );
}
