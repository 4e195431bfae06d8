/** Which protections are active for this event right now, in figures that are true; and on one viewer's device. */
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Event, StreamStatus, Viewer } from "../../api/types.ts";
import type { Room } from "../../feed/reducer.ts";
import { useViewer } from "../../feed/rooms.ts";
import type { Viewers } from "../../feed/viewers.ts";
import type { Tone } from "../../model/health.ts";
import {
  type Encrypted,
  encryptionOf,
  type Guard,
  guardsOf,
  type Mark,
  markOf,
  type Pages,
  pagesOf,
} from "../../model/protection.ts";
import { say, t } from "../../text.ts";
import { Sheet } from "../../ui/dialog.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useMay } from "../../ui/rights.ts";
import { duration, signalWords } from "../../ui/words.ts";

interface ProtectionProps {
  event: Event;
  stream: StreamStatus;
  room: Room;
}

export function Protection({ event, stream, room }: ProtectionProps) {
  const organise = useMay("organise");
  const { policy } = event;
  const pages = pagesOf(policy, room.counters);
  const mark = markOf(policy, room.counters);
  const encryption = encryptionOf(policy, stream);
  return (
    <section className="card stack" aria-labelledby="protection-title">
      <div className="card-head">
        <h2 id="protection-title">{t("protection.title")}</h2>
        {organise && (
          <Link
            className="button quiet small"
            to="/events/$event/settings"
            params={{ event: event.id }}
            hash="protection"
          >
            {t("protection.change")}
          </Link>
        )}
      </div>
      <dl className="protections">
        <Row name={t("protection.pages")} tone={pages.tone}>
          {pageWords(pages, encryption.now).map((words) => (
            <span key={words}>{words}</span>
          ))}
        </Row>
        <Row name={t("protection.mark")} tone={mark.tone}>
          <span>{markWords(mark)}</span>
        </Row>
        <Row name={t("policy.encryption")} tone={encryption.now.method === "off" ? "quiet" : "good"}>
          <span>{encryptionWords(encryption.now)}</span>
          {encryption.next && <span>{t("protection.next", { what: encryptionWords(encryption.next) })}</span>}
        </Row>
        <Row name={t("protection.action")} tone="quiet">
          <span>{t(`policy.action_${policy.protection.action ?? "log"}`)}</span>
        </Row>
      </dl>
      {policy.protection.guard !== false && <p className="hint">{t("protection.hint")}</p>}
    </section>
  );
}

function Row({ name, tone, children }: { name: string; tone: Tone; children: ReactNode }) {
  return (
    <div className="protection" data-tone={tone}>
      <dt>{name}</dt>
      <dd className="tabular">{children}</dd>
      <Icon name={tone === "good" ? "check" : tone === "quiet" ? "info" : "warning"} />
    </div>
  );
}

function pageWords(pages: Pages, { method }: Encrypted): string[] {
  if (pages.kind !== "some") return [t(`protection.pages_${pages.kind}`)];
  const { answering, watching, silent, fresh } = pages;
  const quiet = method === "off" ? "protection.pages_silent" : "protection.pages_keyless";
  const answer =
    answering === watching
      ? t("protection.pages_all", { n: watching, count: say.number(watching) })
      : t("protection.pages_some", {
          n: watching,
          answering: say.number(answering),
          count: say.number(watching),
        });
  return [
    answer,
    ...(silent > 0 ? [t(quiet, { n: silent, count: say.number(silent) })] : []),
    ...(fresh > 0 ? [t("protection.pages_fresh", { n: fresh, count: say.number(fresh) })] : []),
  ];
}

function markWords(mark: Mark): string {
  if (mark.kind !== "some") return t(`protection.mark_${mark.kind}`);
  const { marked, answering } = mark;
  return marked === answering
    ? t("protection.mark_all", { n: answering, count: say.number(answering) })
    : t("protection.mark_some", { n: answering, marked: say.number(marked), count: say.number(answering) });
}

const METHODS = { "aes-128": "aes", cbcs: "cbcs" } as const;

function encryptionWords({ method, period }: Encrypted): string {
  if (method === "off") return t("policy.encryption_off");
  return t("protection.encrypted", {
    method: t(`policy.encryption_${METHODS[method]}`),
    period: duration(period * 1_000),
  });
}

interface DeviceProps {
  event: Event;
  stream: StreamStatus;
  viewers: Viewers;
  /** Whose device; `null` for nobody's. */
  session: string | null;
  close(): void;
}

/** Which guards stand on one viewer's device. It follows what the page says while it is open. */
export function Device({ event, stream, viewers, session, close }: DeviceProps) {
  const viewer = useViewer(viewers, session ?? "");
  return (
    <Sheet
      title={viewer ? t("device.title", { name: viewer.name }) : t("device.gone")}
      open={session !== null}
      onOpenChange={(open) => !open && close()}
    >
      {viewer ? (
        <Guards event={event} stream={stream} viewer={viewer} />
      ) : (
        <p className="muted">{t("device.gone_text")}</p>
      )}
    </Sheet>
  );
}

function Guards({ event, stream, viewer }: { event: Event; stream: StreamStatus; viewer: Viewer }) {
  const guards = guardsOf(event.policy, viewer);
  const encrypted = encryptionOf(event.policy, stream).now.method !== "off";
  const seen = signalWords(viewer.signals);
  return (
    <div className="stack">
      <p className="muted">{[viewer.device, viewer.place].filter(Boolean).join(" · ")}</p>
      <p role="status">
        <strong>{verdict(event, viewer, guards)}</strong>
        {viewer.silent && encrypted && ` ${t("device.keyless")}`}
      </p>
      {guards.length > 0 && (
        <ul className="guards" aria-label={t("device.guards")}>
          {guards.map((guard) => (
            <GuardRow key={guard.name} {...guard} />
          ))}
        </ul>
      )}
      {viewer.risk > 0 && (
        <p>
          {t("viewers.points", { n: viewer.risk, count: say.number(viewer.risk) })}
          {seen && `. ${t("viewers.signals", { signals: seen })}`}
        </p>
      )}
      {guards.length > 0 && <p className="hint">{t("protection.hint")}</p>}
    </div>
  );
}

function verdict(event: Event, viewer: Viewer, guards: readonly Guard[]): string {
  if (event.policy.protection.guard === false) return t("device.off");
  if (viewer.silent) return t("device.silent");
  if (viewer.guards_missing == null) return t("device.unknown");
  const missing = guards.filter(({ stands }) => stands === false).length;
  return missing === 0
    ? t("device.all")
    : t("device.missing", { n: missing, count: say.number(missing), all: say.number(guards.length) });
}

const STANDS = { true: "check", false: "warning", unsure: "info", null: "info" } as const;

function GuardRow({ name, stands }: Guard) {
  const key = String(stands) as keyof typeof STANDS;
  return (
    <li className="guard" data-stands={key}>
      <Icon name={STANDS[key]} />
      <span>{t(`guard.${name}`)}</span>
      <span className="guard-state small">{t(`guard.state_${key}`)}</span>
    </li>
  );
}
