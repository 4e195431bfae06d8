import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";
import { eventsQuery, logKeyQuery, logQuery } from "../api/queries.ts";
import type { LogEntry } from "../api/types.ts";
import { actors, details, factWords, groups, instant, isNobody, shortId } from "../model/log.ts";
import { say, t } from "../text.ts";
import { useMinute } from "../ui/clock.ts";
import { CopyButton } from "../ui/copy.tsx";
import { Choose, TextInput } from "../ui/form.tsx";
import { Empty, Failed, Loading } from "../ui/states.tsx";
import { useTitle } from "../ui/title.ts";

const NOTHING = { type: "", event: "", actor: "", from: "", to: "" };
type Filters = typeof NOTHING;

/** What happened: narrowed, and taken away with its proof. */
export function LogPage() {
  useTitle(t("log.title"));
  const [filters, setFilters] = useState<Filters>(NOTHING);
  return (
    <div className="stack">
      <div className="page-head">
        <div className="stack tight">
          <h1>{t("log.title")}</h1>
          <p className="muted">{t("log.lead")}</p>
        </div>
        <a
          className="button"
          href="/api/v1/log/export"
          download="stagedoor-log.jsonl"
          title={t("log.export_hint")}
        >
          {t("log.export")}
        </a>
      </div>
      <Seal />
      <FilterBar filters={filters} onChange={setFilters} />
      <Entries filters={filters} onActor={(actor) => setFilters({ ...filters, actor })} />
    </div>
  );
}

function Seal() {
  const key = useQuery(logKeyQuery);
  const now = useMinute();
  if (key.isPending) return <Loading lines={1} />;
  if (key.isError) return <Failed error={key.error} retry={() => void key.refetch()} />;
  const { sealed, signed, signed_at, fingerprint } = key.data;
  return (
    <section className="card seal">
      <p>
        <strong>{t("log.sealed", { n: sealed, count: say.number(sealed) })}</strong>
        <span className="muted small">
          {signed_at
            ? t("log.signed", {
                seq: say.number(signed),
                when: say.relative(signed_at, Math.max(now, Date.parse(signed_at))),
              })
            : t("log.unsigned")}
        </span>
      </p>
      <div className="setting seal-key">
        <span className="small">{t("log.key")}</span>
        <div className="copyable">
          <code>{fingerprint}</code>
          <CopyButton text={fingerprint} said={t("log.key_copied")}>
            {t("action.copy")}
          </CopyButton>
        </div>
        <p className="hint">{t("log.key_hint")}</p>
      </div>
    </section>
  );
}

function FilterBar({ filters, onChange }: { filters: Filters; onChange(filters: Filters): void }) {
  const events = useInfiniteQuery(eventsQuery);
  const titles = events.data?.pages.flatMap((page) => page.data) ?? [];
  const set = (part: Partial<Filters>) => onChange({ ...filters, ...part });
  const someone = filters.actor !== "" && !isNobody(filters.actor);
  return (
    <section className="log-filters" aria-label={t("log.title")}>
      <Choose
        label={t("log.filter_type")}
        value={filters.type}
        choices={[
          { id: "", name: t("log.everything") },
          ...groups.map((group) => ({ id: `${group}.*`, name: t(`log.group.${group}`) })),
        ]}
        onChange={(type) => set({ type })}
      />
      <Choose
        label={t("log.filter_event")}
        value={filters.event}
        choices={[
          { id: "", name: t("log.all_events") },
          ...titles.map((event) => ({ id: event.id, name: event.title })),
        ]}
        onChange={(event) => set({ event })}
      />
      <Choose
        label={t("log.filter_actor")}
        value={filters.actor}
        choices={[
          { id: "", name: t("log.everything") },
          ...actors.map((actor) => ({ id: actor as string, name: t(`log.actor.${actor}`) })),
          ...(someone ? [{ id: filters.actor, name: shortId(filters.actor) }] : []),
        ]}
        onChange={(actor) => set({ actor })}
      />
      <TextInput
        label={t("log.filter_from")}
        type="datetime-local"
        value={filters.from}
        onChange={(from) => set({ from })}
      />
      <TextInput
        label={t("log.filter_to")}
        type="datetime-local"
        value={filters.to}
        onChange={(to) => set({ to })}
      />
      {Object.values(filters).some((value) => value !== "") && (
        <Button className="button quiet" onPress={() => onChange(NOTHING)}>
          {t("log.clear")}
        </Button>
      )}
    </section>
  );
}

function Entries({ filters, onActor }: { filters: Filters; onActor(actor: string): void }) {
  const query = {
    ...(filters.type ? { type: filters.type } : {}),
    ...(filters.event ? { event: filters.event } : {}),
    ...(filters.actor ? { actor: filters.actor } : {}),
    ...(instant(filters.from) ? { from: instant(filters.from) as string } : {}),
    ...(instant(filters.to) ? { to: instant(filters.to) as string } : {}),
  };
  const log = useInfiniteQuery(logQuery(query));
  if (log.isPending) return <Loading lines={8} />;
  if (log.isError) return <Failed error={log.error} retry={() => void log.refetch()} />;
  const entries = log.data.pages.flatMap((page) => page.data);
  const names: Record<string, string> = Object.assign({}, ...log.data.pages.map((page) => page.names));
  if (entries.length === 0) {
    const narrowed = Object.keys(query).length > 0;
    return (
      <Empty icon="info" title={narrowed ? t("log.empty_filtered") : t("log.empty")}>
        {narrowed && t("log.empty_filtered_text")}
      </Empty>
    );
  }
  return (
    <section className="card stack">
      <ol className="plain-rows log-rows" aria-label={t("log.list")}>
        {entries.map((entry) => (
          <Entry key={entry.id} entry={entry} names={names} onActor={onActor} />
        ))}
      </ol>
      {log.hasNextPage && (
        <Button
          className="button"
          data-pending={log.isFetchingNextPage || undefined}
          onPress={() => void log.fetchNextPage()}
        >
          {t("action.more")}
        </Button>
      )}
    </section>
  );
}

interface EntryProps {
  entry: LogEntry;
  names: Record<string, string>;
  onActor(actor: string): void;
}

function Entry({ entry, names, onActor }: EntryProps) {
  const now = useMinute();
  const called = (id: string) => names[id] ?? shortId(id);
  const actor = isNobody(entry.actor) ? t(`log.actor.${entry.actor}`) : called(entry.actor);
  return (
    <li className="plain-row log-row">
      <time className="muted small" dateTime={entry.at} title={entry.at}>
        {say.moment(entry.at, now)}
      </time>
      <div className="row-main">
        <p className="row-title">{factWords(entry.type)}</p>
        <p className="muted small log-details">
          {entry.event && <span>{called(entry.event)}</span>}
          {details(entry.data as Record<string, unknown>).map(([name, value]) => (
            <span key={name}>
              {name} <span title={value}>{called(value)}</span>
            </span>
          ))}
        </p>
      </div>
      <Button
        className="button quiet small"
        aria-label={t("log.only_actor", { name: actor })}
        onPress={() => onActor(entry.actor)}
      >
        {actor}
      </Button>
      <span
        className="log-seq small"
        title={entry.seq === null || entry.seq === undefined ? t("log.waiting") : ""}
      >
        {entry.seq === null || entry.seq === undefined ? "…" : `#${entry.seq}`}
      </span>
    </li>
  );
}
