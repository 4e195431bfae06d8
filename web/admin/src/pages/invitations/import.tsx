/** From a spreadsheet to invitations, in three steps; the import goes on when the page is closed. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { Button, DropZone, FileTrigger, isFileDropItem, Text } from "react-aria-components";
import { ApiError } from "../../api/problem.ts";
import {
  cancelImport,
  importErrorsUrl,
  importQuery,
  importsQuery,
  inviteesChanged,
  setupKeys,
  startImport,
} from "../../api/setup.ts";
import type { Event, Import, ImportField, Mapping } from "../../api/types.ts";
import { upload } from "../../api/upload.ts";
import { assign, FIELDS, fieldOf, LIST_BYTES_MAX, problemOf, samplesOf, XLSX } from "../../model/mapping.ts";
import { say, t } from "../../text.ts";
import { useMinute } from "../../ui/clock.ts";
import { Confirm } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { Choose, TagInput } from "../../ui/form.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Progress } from "../../ui/progress.tsx";
import { countries, languages } from "../../ui/regions.ts";
import { useMay } from "../../ui/rights.ts";
import { Failed, Loading } from "../../ui/states.tsx";
import { useTitle } from "../../ui/title.ts";
import { span } from "../../ui/words.ts";
import { PageHead, useHere } from "../event/frame.tsx";

const route = getRouteApi("/inside/events/$event/invitations/import");

/** How often a running import is asked about, beside the server's own hints. */
const LOOK_MS = 1_000;

export function ImportPage() {
  const { event } = useHere();
  useTitle(`${t("import.title")} · ${event.title}`);
  const { id } = route.useSearch();
  const organise = useMay("organise");
  const navigate = useNavigate({ from: "/events/$event/invitations/import" });
  const go = (next: string | null) => void navigate({ search: next === null ? {} : { id: next } });
  return (
    <div className="stack reading">
      <Link to="/events/$event/invitations" params={{ event: event.id }} search={{}} className="back">
        <Icon name="back" />
        {t("inv.title")}
      </Link>
      <PageHead title={t("import.title")} />
      {!organise ? (
        <p className="notice">{t("import.not_yours")}</p>
      ) : id === undefined ? (
        <>
          <ChooseFile event={event} go={go} />
          <Earlier event={event} go={go} />
        </>
      ) : (
        <ImportOf key={id} event={event} id={id} go={go} />
      )}
    </div>
  );
}

interface StepProps {
  event: Event;
  go(id: string | null): void;
}

function Steps({ at }: { at: 1 | 2 | 3 }) {
  return (
    <ol className="wizard-steps" aria-label={t("import.steps")}>
      {([1, 2, 3] as const).map((step) => (
        <li key={step} aria-current={step === at ? "step" : undefined} data-done={step < at || undefined}>
          <span className="step-number" aria-hidden="true">
            {step < at ? <Icon name="check" /> : say.number(step)}
          </span>
          {t(`import.step${step}`)}
        </li>
      ))}
    </ol>
  );
}

function ChooseFile({ event, go }: StepProps) {
  const client = useQueryClient();
  const [share, setShare] = useState<number | null>(null);
  const [refused, setRefused] = useState<string | null>(null);
  const stop = useRef<AbortController | null>(null);
  useEffect(() => () => stop.current?.abort(), []);

  const send = useMutation({
    mutationFn: (file: File) => {
      stop.current = new AbortController();
      setShare(0);
      return upload(event.id, file, setShare, stop.current.signal);
    },
    onSuccess: (made) => {
      client.setQueryData([...setupKeys.imports(event.id), made.id], made);
      void client.invalidateQueries({ queryKey: setupKeys.imports(event.id), exact: true });
      go(made.id);
    },
    onSettled: () => setShare(null),
  });
  const take = (file: File | null | undefined) => {
    if (!file) return;
    setRefused(null);
    send.reset();
    if (!/\.(csv|tsv|txt|xlsx)$/i.test(file.name)) setRefused(t("import.refused_type"));
    else if (file.size === 0) setRefused(t("import.refused_empty"));
    else if (file.size > LIST_BYTES_MAX) setRefused(t("import.refused_size"));
    else send.mutate(file);
  };
  const aborted = send.error instanceof DOMException;

  return (
    <section className="card stack" aria-label={t("import.step1")}>
      <Steps at={1} />
      {send.isPending ? (
        <>
          <Progress label={t("import.uploading")} value={share} />
          <div>
            <Button className="button" onPress={() => stop.current?.abort()}>
              {t("action.cancel")}
            </Button>
          </div>
        </>
      ) : (
        <DropZone
          className="drop"
          aria-label={t("import.drop")}
          onDrop={async ({ items }) => {
            const file = items.find(isFileDropItem);
            take(await file?.getFile());
          }}
        >
          <Text slot="label" className="drop-title">
            {t("import.drop")}
          </Text>
          <FileTrigger
            acceptedFileTypes={[".csv", ".tsv", ".txt", ".xlsx", "text/csv", XLSX]}
            onSelect={(files) => take(files?.item(0))}
          >
            <Button className="button primary">{t("import.choose")}</Button>
          </FileTrigger>
          <p className="muted small">{t("import.drop_text")}</p>
        </DropZone>
      )}
      {(refused !== null || (send.error !== null && !aborted)) && (
        <p className="notice danger" role="alert">
          {refused ?? failureText(send.error)}
        </p>
      )}
      <p className="hint">{t("import.again")}</p>
    </section>
  );
}

function Earlier({ event, go }: StepProps) {
  const list = useQuery(importsQuery(event.id));
  const minute = useMinute();
  const rows = list.data?.data ?? [];
  if (rows.length === 0) return null;
  return (
    <section className="card stack" aria-labelledby="earlier-title">
      <h3 id="earlier-title">{t("import.earlier")}</h3>
      <ul className="plain-rows">
        {rows.map((row) => (
          <li key={row.id} className="plain-row">
            <div className="row-main">
              <p className="row-title">{row.name}</p>
              <p className="muted small">
                {t(`import.state.${row.state}`)}
                {" · "}
                {say.moment(row.created_at, minute)}
                {row.rows > 0 && ` · ${t("import.rows", { n: row.rows, count: say.number(row.rows) })}`}
                {row.errors > 0 &&
                  ` · ${t("import.with_errors", { n: row.errors, count: say.number(row.errors) })}`}
              </p>
            </div>
            <Button
              className="button small"
              aria-label={t(row.state === "uploaded" ? "import.go_on_of" : "import.open_of", {
                name: row.name,
              })}
              onPress={() => go(row.id)}
            >
              {t(row.state === "uploaded" ? "import.go_on" : "import.open")}
            </Button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function ImportOf({ event, id, go }: StepProps & { id: string }) {
  const client = useQueryClient();
  const found = useQuery({
    ...importQuery(event.id, id),
    refetchInterval: (query) => (query.state.data?.state === "running" ? LOOK_MS : false),
  });
  const state = found.data?.state;
  const before = useRef(state);
  useEffect(() => {
    if (before.current === "running" && state !== "running") void inviteesChanged(client, event.id);
    before.current = state;
  }, [state, client, event.id]);

  if (found.isPending) {
    return (
      <div className="card">
        <Loading lines={5} />
      </div>
    );
  }
  if (found.data === undefined) {
    return (
      <div className="card">
        <Failed error={found.error} retry={() => void found.refetch()} />
      </div>
    );
  }
  const props = { event, list: found.data, go };
  if (found.data.state === "uploaded") return <MapColumns {...props} />;
  if (found.data.state === "running") return <Running {...props} />;
  return <Finished {...props} />;
}

interface ListProps extends StepProps {
  list: Import;
}

function MapColumns({ event, list, go }: ListProps) {
  const client = useQueryClient();
  const { messages } = event.policy;
  const [mapping, setMapping] = useState<Mapping>(list.mapping);
  const [country, setCountry] = useState(messages.default_country ?? "");
  const [language, setLanguage] = useState("");
  const [tags, setTags] = useState<string[]>([]);
  const problem = problemOf(mapping);

  const start = useMutation({
    mutationFn: () =>
      startImport(event.id, list.id, {
        mapping,
        ...(country === "" ? {} : { default_country: country }),
        ...(language === "" ? {} : { language }),
        ...(tags.length === 0 ? {} : { tags }),
      }),
    onSuccess: (begun) => client.setQueryData([...setupKeys.imports(event.id), list.id], begun),
  });
  const drop = useMutation({
    mutationFn: () => cancelImport(event.id, list.id),
    onSettled: () => {
      void client.invalidateQueries({ queryKey: setupKeys.imports(event.id), exact: true });
      go(null);
    },
  });

  return (
    <section className="card stack" aria-label={t("import.step2")}>
      <Steps at={2} />
      <p className="muted">
        {t("import.map_lead", { name: list.name })} {t("import.map_hint")}
      </p>
      <ul className="mapping">
        {list.columns.map((column, index) => {
          const field = fieldOf(mapping, index);
          return (
            // biome-ignore lint/suspicious/noArrayIndexKey: columns may share a name and never move
            <li key={index} data-used={field !== null || undefined}>
              <div className="mapping-column">
                <p className="row-title">{column || t("import.column_n", { n: index + 1 })}</p>
                <p className="muted small mapping-sample">
                  {samplesOf(list.sample, index).join(", ") || t("import.column_empty")}
                </p>
              </div>
              <Choose
                label={t("import.use_of", { column: column || String(index + 1) })}
                hideLabel
                value={field ?? "nothing"}
                choices={[
                  { id: "nothing" as const, name: t("import.use_nothing") },
                  ...FIELDS.map((id) => ({ id, name: t(`import.field.${id}`) })),
                ]}
                onChange={(chosen: ImportField | "nothing") =>
                  setMapping(assign(mapping, index, chosen === "nothing" ? null : chosen))
                }
              />
            </li>
          );
        })}
      </ul>
      {problem !== null && (
        <p className={problem === "name" ? "notice danger" : "notice warn"} role="status">
          {t(`import.problem.${problem}`)}
        </p>
      )}
      <div className="columns">
        {mapping.phone != null && (
          <Choose
            label={t("policy.default_country")}
            hint={t("policy.default_country_hint")}
            value={country}
            choices={[{ id: "", name: t("policy.default_country_none") }, ...countries]}
            onChange={setCountry}
          />
        )}
        <Choose
          label={t("import.language")}
          hint={t("import.language_hint")}
          value={language}
          choices={[{ id: "", name: t("inv.language_event") }, ...languages(language)]}
          onChange={setLanguage}
        />
      </div>
      <TagInput
        label={t("import.tags")}
        hint={t("import.tags_hint")}
        values={tags}
        onChange={setTags}
        choices={[]}
        free
        placeholder={t("inv.tags_placeholder")}
      />
      {start.error && (
        <p className="notice danger" role="alert">
          {start.error instanceof ApiError
            ? (Object.values(start.error.failure.fields)[0] ?? failureText(start.error))
            : failureText(start.error)}
        </p>
      )}
      <div className="form-actions">
        <Button className="button" onPress={() => drop.mutate()} data-pending={drop.isPending || undefined}>
          {t("import.drop_file")}
        </Button>
        <Button
          className="button primary"
          isDisabled={problem === "name"}
          onPress={() => !start.isPending && start.mutate()}
          data-pending={start.isPending || undefined}
        >
          {t("import.start")}
        </Button>
      </div>
    </section>
  );
}

function Counts({ list }: { list: Import }) {
  return (
    <dl className="counts">
      {(
        [
          ["rows", list.rows],
          ["created", list.created],
          ["merged", list.merged],
          ["errors", list.errors],
        ] as const
      ).map(([name, n]) => (
        <div key={name} data-bad={(name === "errors" && n > 0) || undefined}>
          <dt>{t(`import.count.${name}`)}</dt>
          <dd className="figure tabular">{say.number(n)}</dd>
        </div>
      ))}
    </dl>
  );
}

function Running({ event, list }: ListProps) {
  const client = useQueryClient();
  const [asked, setAsked] = useState(false);
  return (
    <section className="card stack" aria-label={t("import.step3")}>
      <Steps at={3} />
      <Progress label={t("import.running", { name: list.name })} value={null} />
      {list.eta_ms != null && (
        <p className="muted tabular" role="status">
          {t("unit.left", { span: span(list.eta_ms) })}
        </p>
      )}
      <Counts list={list} />
      <p className="hint">{t("import.leave")}</p>
      <div>
        <Button className="button danger" onPress={() => setAsked(true)}>
          {t("import.cancel")}
        </Button>
      </div>
      <Confirm
        title={t("import.cancel_title")}
        text={t("import.cancel_text", { n: list.created, count: say.number(list.created) })}
        confirm={t("import.cancel")}
        open={asked}
        onOpenChange={setAsked}
        act={() => cancelImport(event.id, list.id)}
        after={() => void client.invalidateQueries({ queryKey: setupKeys.imports(event.id) })}
      />
    </section>
  );
}

function Finished({ event, list, go }: ListProps) {
  const words: ReactNode = {
    done: t("import.done", { n: list.created, count: say.number(list.created) }),
    cancelled: t("import.cancelled"),
    failed: t(list.failure === "unclosed_quotes" ? "import.failed.unclosed_quotes" : "import.failed"),
    running: "",
    uploaded: "",
  }[list.state];
  return (
    <section className="card stack" aria-label={t("import.step3")}>
      <Steps at={3} />
      <p className={`notice ${list.state === "done" ? "ok" : "warn"}`} role="status">
        {words}
      </p>
      <Counts list={list} />
      {list.errors > 0 && (
        <div className="stack tight">
          <p className="muted">
            {t("import.errors_text", { n: list.errors, count: say.number(list.errors) })}
          </p>
          <div>
            <a className="button" href={importErrorsUrl(event.id, list.id)} download>
              {t("import.errors_download")}
            </a>
          </div>
        </div>
      )}
      <div className="form-actions">
        <Button className="button" onPress={() => go(null)}>
          {t("import.another")}
        </Button>
        <Link
          to="/events/$event/messages"
          params={{ event: event.id }}
          search={{ to: "created" }}
          className="button"
        >
          {t("import.send")}
        </Link>
        <Link
          to="/events/$event/invitations"
          params={{ event: event.id }}
          search={{}}
          className="button primary"
        >
          {t("import.see")}
        </Link>
      </div>
    </section>
  );
}
