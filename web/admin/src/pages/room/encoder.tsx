import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import {
  Button,
  Disclosure,
  DisclosurePanel,
  Heading,
  Tab,
  TabList,
  TabPanel,
  Tabs,
} from "react-aria-components";
import { api, value } from "../../api/client.ts";
import { ApiError } from "../../api/problem.ts";
import { ingestQuery, keys, streamKeysQuery } from "../../api/queries.ts";
import type { Event, Ingest, StreamKey } from "../../api/types.ts";
import { masked } from "../../model/code.ts";
import { isPast } from "../../model/time.ts";
import { say, t } from "../../text.ts";
import { useNow } from "../../ui/clock.ts";
import { CopyButton } from "../../ui/copy.tsx";
import { Confirm, Sheet } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { Icon } from "../../ui/icon.tsx";
import { Empty, Failed, Loading } from "../../ui/states.tsx";
import { toast } from "../../ui/toast.tsx";

/** Before the first frame: nothing matters more than getting the encoder connected. */
export function ConnectEncoder({ event }: { event: Event }) {
  return (
    <section className="card stack connect appear" id="encoder" aria-labelledby="connect-title">
      <div className="connect-head">
        <span className="beacon" aria-hidden="true" />
        <div className="stack tight">
          <h2 id="connect-title">{t("health.waiting")}</h2>
          <p className="muted">{t("health.waiting_text")}</p>
        </div>
      </div>
      <EncoderSettings event={event} live={false} />
    </section>
  );
}

/** While the encoder is connected the settings are out of sight, and the secret is not even fetched. */
export function EncoderDisclosure({ event, live }: { event: Event; live: boolean }) {
  const [open, setOpen] = useState(false);
  return (
    <Disclosure className="card disclosure" isExpanded={open} onExpandedChange={setOpen}>
      <Heading level={2} className="disclosure-head">
        <Button slot="trigger" className="disclosure-button">
          {t("encoder.title")}
          <Icon name="chevron" />
        </Button>
      </Heading>
      <DisclosurePanel>{open && <EncoderSettings event={event} live={live} />}</DisclosurePanel>
    </Disclosure>
  );
}

function EncoderSettings({ event, live }: { event: Event; live: boolean }) {
  const ingest = useQuery(ingestQuery(event.id));
  const [managing, setManaging] = useState(false);
  const [replacing, setReplacing] = useState(false);
  const keyring = useKeyring(event.id);

  if (ingest.isPending) return <Loading lines={4} />;
  if (ingest.isError) {
    const status = ingest.error instanceof ApiError ? ingest.error.failure.status : 0;
    if (status === 404 || status === 409 || status === 410) return <NoKey make={keyring.make} />;
    return <Failed error={ingest.error} retry={() => void ingest.refetch()} />;
  }
  return (
    <div className="stack">
      <Tabs className="stack">
        <TabList className="segments" aria-label={t("encoder.kind")}>
          <Tab className="segment" id="obs">
            {t("encoder.two")}
          </Tab>
          <Tab className="segment" id="one">
            {t("encoder.one")}
          </Tab>
        </TabList>
        <TabPanel id="obs" className="stack">
          <p className="setting">
            <span className="label">{t("encoder.service")}</span>
            <span>{t("encoder.service_value")}</span>
          </p>
          <Setting label={t("encoder.server")}>
            <code>{ingest.data.rtmp.server}</code>
            <CopyButton
              text={ingest.data.rtmp.server}
              said={t("encoder.copied", { what: t("encoder.server") })}
            >
              {t("action.copy")}
            </CopyButton>
          </Setting>
          <SecretSetting label={t("encoder.key")} secret={ingest.data.stream_key} />
        </TabPanel>
        <TabPanel id="one" className="stack">
          <SecretSetting
            label={t("encoder.url")}
            secret={ingest.data.rtmp.url}
            shown={maskedUrl(ingest.data)}
          />
          <p className="hint">{t("encoder.url_hint")}</p>
        </TabPanel>
      </Tabs>
      <KeyNotes ingest={ingest.data} />
      <div className="cluster">
        <Button className="button small" onPress={() => setReplacing(true)}>
          {t("encoder.replace")}
        </Button>
        <Button className="button quiet small" onPress={() => setManaging(true)}>
          {t("encoder.keys_manage")}
        </Button>
      </div>
      <Confirm
        title={t("encoder.replace_title")}
        text={
          <div className="stack tight">
            <p>{t("encoder.replace_text")}</p>
            {live && <p className="notice warn">{t("encoder.replace_live")}</p>}
          </div>
        }
        confirm={t("encoder.replace")}
        open={replacing}
        onOpenChange={setReplacing}
        act={() => keyring.replace(ingest.data.key_id)}
        after={() => toast(t("encoder.replaced"))}
      />
      <Sheet title={t("encoder.keys")} open={managing} onOpenChange={setManaging}>
        <Keyring event={event} current={ingest.data.key_id} />
      </Sheet>
    </div>
  );
}

function KeyNotes({ ingest }: { ingest: Ingest }) {
  const now = useNow();
  return (
    <div className="hint stack tight">
      <p>{t("encoder.secret")}</p>
      {ingest.expires_at && <p>{t("encoder.expires", { when: say.moment(ingest.expires_at, now) })}</p>}
      <p>{t("encoder.advice")}</p>
    </div>
  );
}

function Setting({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div className="setting">
      <p className="label">{label}</p>
      <div className="copyable">{children}</div>
    </div>
  );
}

/** A secret behind dots. It can be copied without being shown: rooms have eyes. */
function SecretSetting({
  label,
  secret,
  shown = masked(),
}: {
  label: string;
  secret: string;
  shown?: string;
}) {
  const [revealed, setRevealed] = useState(false);
  return (
    <Setting label={label}>
      <code className={revealed ? undefined : "masked"}>{revealed ? secret : shown}</code>
      <Button
        className="button"
        aria-label={`${revealed ? t("encoder.hide") : t("encoder.reveal")}: ${label}`}
        aria-pressed={revealed}
        onPress={() => setRevealed(!revealed)}
      >
        <Icon name={revealed ? "eyeOff" : "eye"} />
        <span className="wide-only">{revealed ? t("encoder.hide") : t("encoder.reveal")}</span>
      </Button>
      <CopyButton text={secret} said={t("encoder.copied", { what: label })}>
        {t("action.copy")}
      </CopyButton>
    </Setting>
  );
}

/** The address with the key's place marked but not the key. */
function maskedUrl({ rtmp, stream_key }: Ingest): string {
  return rtmp.url.includes(stream_key) ? rtmp.url.replace(stream_key, "••••••••") : masked();
}

function NoKey({ make }: { make(): Promise<unknown> }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const run = async () => {
    if (busy) return;
    setBusy(true);
    setError(null);
    try {
      await make();
      toast(t("encoder.made"));
    } catch (cause) {
      setError(cause);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Empty icon="key" title={t("encoder.none")}>
      <p>{t("encoder.none_text")}</p>
      <Button className="button primary" onPress={run} data-pending={busy || undefined}>
        {t("encoder.make")}
      </Button>
      {error !== null && (
        <p className="notice danger" role="alert">
          {failureText(error)}
        </p>
      )}
    </Empty>
  );
}

function useKeyring(event: string) {
  const client = useQueryClient();
  const changed = () =>
    Promise.all([
      client.invalidateQueries({ queryKey: keys.ingest(event) }),
      client.invalidateQueries({ queryKey: keys.streamKeys(event) }),
    ]);
  const make = () =>
    value(api.POST("/api/v1/events/{event}/stream-keys", { params: { path: { event } }, body: {} })).finally(
      changed,
    );
  const revoke = (key: string) =>
    value(
      api.DELETE("/api/v1/events/{event}/stream-keys/{key}", { params: { path: { event, key } } }),
    ).finally(changed);
  return {
    make,
    revoke,
    /** The new one first: if the second half fails there are two keys, never none. */
    replace: (old: string) => make().then(() => revoke(old)),
  };
}

function Keyring({ event, current }: { event: Event; current: string }) {
  const list = useQuery(streamKeysQuery(event.id));
  const keyring = useKeyring(event.id);
  const [revoking, setRevoking] = useState<StreamKey | null>(null);
  const now = useNow();
  if (list.isPending) return <Loading />;
  if (list.isError) return <Failed error={list.error} retry={() => void list.refetch()} />;
  return (
    <div className="stack">
      <ul className="plain-rows" aria-label={t("encoder.keys")}>
        {list.data.data.map((key) => {
          const dead = Boolean(key.revoked_at) || isPast(key.expires_at, now);
          return (
            <li key={key.id} className="plain-row" data-dead={dead || undefined}>
              <div className="row-main">
                <p>
                  <code className="code">{key.hint}</code>
                  {key.id === current && <span className="tag">{t("encoder.key_current")}</span>}
                </p>
                <p className="muted small">{keyWords(key, now)}</p>
              </div>
              {!dead && (
                <Button
                  className="button small"
                  aria-label={`${t("encoder.revoke")} ${key.hint}`}
                  onPress={() => setRevoking(key)}
                >
                  {t("encoder.revoke")}
                </Button>
              )}
            </li>
          );
        })}
      </ul>
      <div>
        <Button
          className="button"
          onPress={() => {
            keyring.make().then(
              () => toast(t("encoder.made")),
              (error: unknown) => toast(failureText(error)),
            );
          }}
        >
          <Icon name="plus" />
          {t("encoder.make")}
        </Button>
      </div>
      <Confirm
        title={t("encoder.revoke_title")}
        text={t("encoder.revoke_text")}
        confirm={t("encoder.revoke")}
        open={revoking !== null}
        onOpenChange={(open) => !open && setRevoking(null)}
        act={async () => revoking && keyring.revoke(revoking.id)}
        after={() => toast(t("encoder.revoked"))}
      />
    </div>
  );
}

function keyWords(key: StreamKey, now: number): string {
  if (key.revoked_at) return t("encoder.key_revoked", { when: say.moment(key.revoked_at, now) });
  if (key.expires_at && isPast(key.expires_at, now)) {
    return t("encoder.key_expired", { when: say.moment(key.expires_at, now) });
  }
  const made = t("encoder.key_made", { when: say.moment(key.created_at, now) });
  const used = key.last_used_at
    ? t("encoder.key_used", { when: say.relative(key.last_used_at, now) })
    : t("encoder.key_unused");
  return `${made}, ${used}`;
}
