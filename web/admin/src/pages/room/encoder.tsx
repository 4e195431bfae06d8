import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
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
import { ApiError } from "../../api/problem.ts";
import { ingestQuery } from "../../api/queries.ts";
import type { Event, Ingest } from "../../api/types.ts";
import { masked } from "../../model/code.ts";
import { say, t } from "../../text.ts";
import { useNow } from "../../ui/clock.ts";
import { CopyButton } from "../../ui/copy.tsx";
import { failureText } from "../../ui/failure.ts";
import { Icon } from "../../ui/icon.tsx";
import { useMay } from "../../ui/rights.ts";
import { Empty, Failed, Loading } from "../../ui/states.tsx";
import { toast } from "../../ui/toast.tsx";
import { useKeyring } from "./keyring.tsx";
import { SecretSetting, Setting } from "./secret.tsx";

interface EncoderProps {
  event: Event;
  /** Opens the list of all stream keys, which stays when the encoder connects and these settings go out of sight. */
  manage(): void;
}

/** Before the first frame: nothing matters more than getting the encoder connected. */
export function ConnectEncoder({ event, manage }: EncoderProps) {
  const broadcast = useMay("broadcast");
  return (
    <section className="card stack connect appear" id="encoder" aria-labelledby="connect-title">
      <div className="connect-head">
        <span className="beacon" aria-hidden="true" />
        <div className="stack tight">
          <h2 id="connect-title">{t("health.waiting")}</h2>
          <p className="muted">{t(broadcast ? "health.waiting_text" : "health.waiting_others")}</p>
        </div>
      </div>
      {broadcast && <EncoderSettings event={event} manage={manage} live={false} />}
    </section>
  );
}

/** While the encoder is connected the settings are out of sight, and the secret is not even fetched. */
export function EncoderDisclosure({ event, manage, live }: EncoderProps & { live: boolean }) {
  const [open, setOpen] = useState(false);
  const broadcast = useMay("broadcast");
  if (!broadcast) return null;
  return (
    <Disclosure className="card disclosure" isExpanded={open} onExpandedChange={setOpen}>
      <Heading level={2} className="disclosure-head">
        <Button slot="trigger" className="disclosure-button">
          {t("encoder.title")}
          <Icon name="chevron" />
        </Button>
      </Heading>
      <DisclosurePanel>
        {open && <EncoderSettings event={event} manage={manage} live={live} />}
      </DisclosurePanel>
    </Disclosure>
  );
}

function EncoderSettings({ event, manage, live }: EncoderProps & { live: boolean }) {
  const ingest = useQuery(ingestQuery(event.id));
  const keyring = useKeyring(event.id);
  const rotate = useMutation({
    mutationFn: (key: string) => keyring.rotate(key),
    onSuccess: ({ old }) =>
      toast(t("encoder.rotated", { when: old.expires_at ? say.moment(old.expires_at, Date.now()) : "" })),
  });

  if (ingest.isPending) return <Loading lines={4} />;
  if (ingest.isError) {
    const status = ingest.error instanceof ApiError ? ingest.error.failure.status : 0;
    if (status === 404 || status === 409 || status === 410) return <NoKey make={keyring.make} />;
    return <Failed error={ingest.error} retry={() => void ingest.refetch()} />;
  }
  // Encrypted, where the server can.
  const best = ingest.data.rtmps ?? ingest.data.rtmp;
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
            <code>{best.server}</code>
            <CopyButton text={best.server} said={t("encoder.copied", { what: t("encoder.server") })}>
              {t("action.copy")}
            </CopyButton>
          </Setting>
          <SecretSetting label={t("encoder.key")} secret={ingest.data.stream_key} />
        </TabPanel>
        <TabPanel id="one" className="stack">
          <SecretSetting
            label={t("encoder.url")}
            secret={best.url}
            shown={maskedUrl(best.url, ingest.data.stream_key)}
          />
          <p className="hint">{t("encoder.url_hint")}</p>
        </TabPanel>
      </Tabs>
      {ingest.data.rtmps && (
        <p className="hint">
          {t("encoder.encrypted")} {t("encoder.plain", { server: ingest.data.rtmp.server })}
        </p>
      )}
      <KeyNotes ingest={ingest.data} />
      {rotate.isError && (
        <p className="notice danger" role="alert">
          {failureText(rotate.error)}
        </p>
      )}
      {rotate.isSuccess && rotate.data.old.expires_at && (
        <p className={live ? "notice warn" : "notice"}>
          {t(live ? "encoder.rotated_live" : "encoder.rotated_text", {
            when: say.moment(rotate.data.old.expires_at, Date.now()),
          })}
        </p>
      )}
      <div className="cluster">
        <Button
          className="button small"
          onPress={() => !rotate.isPending && rotate.mutate(ingest.data.key_id)}
          data-pending={rotate.isPending || undefined}
        >
          {t("encoder.rotate")}
        </Button>
        <Button className="button quiet small" onPress={manage}>
          {t("encoder.keys_manage")}
        </Button>
      </div>
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

/** The address with the key's place marked but not the key. */
function maskedUrl(url: string, key: string): string {
  return url.includes(key) ? url.replace(key, "••••••••") : masked();
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
