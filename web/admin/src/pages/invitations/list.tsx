/** Everybody who is invited: found, looked at, and acted upon, one by one or by the thousand. */
import { getRouteApi, Link } from "@tanstack/react-router";
import { useMemo, useRef, useState } from "react";
import { Button } from "react-aria-components";
import type { Event, Invitation } from "../../api/types.ts";
import { exportOf, type Filter, isDead, isPlain } from "../../model/invitations.ts";
import { chosenCount, everything, nothing, type Selection } from "../../model/selection.ts";
import { say, t } from "../../text.ts";
import { failureText } from "../../ui/failure.ts";
import { useMay } from "../../ui/rights.ts";
import { Empty, Failed, Loading } from "../../ui/states.tsx";
import { type Column, SelectionBar, Table } from "../../ui/table.tsx";
import { useTitle } from "../../ui/title.ts";
import { PageHead, useHere } from "../event/frame.tsx";
import { AddPerson } from "./add.tsx";
import { BulkActs } from "./bulk.tsx";
import { ExportSheet } from "./export.tsx";
import { Filters } from "./filters.tsx";
import { type ListData, useList } from "./list-data.ts";
import { PersonDrawer } from "./person.tsx";
import { RenewalNotice } from "./renewal.tsx";
import { StateWords } from "./state.tsx";

const route = getRouteApi("/inside/events/$event/invitations");
const ROW_HEIGHT = [56, 76] as const;

export function InvitationsPage() {
  const { event } = useHere();
  useTitle(`${t("inv.title")} · ${event.title}`);
  const { open, ...filter } = route.useSearch();
  const navigate = route.useNavigate();
  const organise = useMay("organise");
  const list = useList(event.id, filter);
  const exports = useMay("export");
  const [adding, setAdding] = useState(false);
  const [exporting, setExporting] = useState(false);
  const nobody = !list.pending && list.error === null && list.total === 0 && isPlain(filter);

  const show = (id: string | null) =>
    void navigate({ search: ({ open: _, ...rest }) => (id === null ? rest : { ...rest, open: id }) });
  const ask = (next: Filter) => void navigate({ search: next, replace: true });

  return (
    <div className="stack">
      <PageHead title={t("inv.title")} lead={t("inv.lead")}>
        {exports && list.matching > 0 && (
          <Button className="button" onPress={() => setExporting(true)}>
            {t("export.open", { n: list.matching, count: say.number(list.matching) })}
          </Button>
        )}
        {organise && (
          <>
            <Link
              to="/events/$event/invitations/import"
              params={{ event: event.id }}
              className={nobody ? "button primary" : "button"}
            >
              {t("inv.import")}
            </Link>
            <Button className={nobody ? "button" : "button primary"} onPress={() => setAdding(true)}>
              {t("inv.add")}
            </Button>
          </>
        )}
      </PageHead>
      <RenewalNotice event={event} />
      <section className="card stack" aria-label={t("inv.title")}>
        {!nobody && <Filters event={event.id} filter={filter} ask={ask} list={list} />}
        <Rows
          key={JSON.stringify(filter)}
          event={event}
          filter={filter}
          list={list}
          nobody={nobody}
          show={show}
          ask={ask}
        />
      </section>
      <PersonDrawer event={event} id={open ?? null} show={show} />
      <AddPerson event={event} open={adding} onOpenChange={setAdding} />
      <ExportSheet
        event={event}
        who={exportOf(everything, filter)}
        count={list.matching}
        open={exporting}
        close={() => setExporting(false)}
      />
    </div>
  );
}

interface RowsProps {
  event: Event;
  filter: Filter;
  list: ListData;
  nobody: boolean;
  show(id: string | null): void;
  ask(filter: Filter): void;
}

/** The rows of one filter: with another one, nothing of this one stays chosen. */
function Rows({ event, filter, list, nobody, show, ask }: RowsProps) {
  const organise = useMay("organise");
  const [selection, setSelection] = useState<Selection>(nothing);
  const columns = useColumns(show);
  const count = chosenCount(selection, list.matching);

  if (list.pending) return <Loading lines={8} />;
  if (list.error !== null && list.rows.length === 0) {
    return <Failed error={list.error} retry={list.retry} />;
  }
  return (
    <>
      <Table
        label={t("inv.title")}
        columns={columns}
        rows={list.rows}
        keyOf={idOf}
        nameOf={nameOf}
        total={list.matching}
        busy={list.stale}
        {...(organise ? { selection, onSelect: setSelection } : {})}
        onOpen={(row) => show(row.id)}
        onEnd={list.more}
        onRange={list.look}
        rowHeight={ROW_HEIGHT}
        empty={
          <div role="status">
            {nobody ? (
              <Empty icon="people" title={t("inv.empty")}>
                <p>{t("inv.empty_text")}</p>
              </Empty>
            ) : (
              <Empty icon="search" title={t("inv.no_match")}>
                <Button className="button" onPress={() => ask({})}>
                  {t("inv.clear_filters")}
                </Button>
              </Empty>
            )}
          </div>
        }
      />
      {list.growError !== null && (
        <div className="notice warn cluster spread" role="alert">
          <p>{failureText(list.growError)}</p>
          <Button className="button small" onPress={list.more}>
            {t("action.retry")}
          </Button>
        </div>
      )}
      {organise && (
        <SelectionBar count={count} clear={() => setSelection(nothing)}>
          {selection.kind === "some" && count > 0 && count < list.matching && (
            <Button className="button quiet small" onPress={() => setSelection(everything)}>
              {t(isPlain(filter) ? "inv.select_all" : "inv.select_matching", {
                n: list.matching,
                count: say.number(list.matching),
              })}
            </Button>
          )}
          <BulkActs
            event={event}
            filter={filter}
            selection={selection}
            count={count}
            clear={() => setSelection(nothing)}
          />
        </SelectionBar>
      )}
    </>
  );
}

const idOf = ({ id }: Invitation) => id;
const nameOf = ({ name }: Invitation) => name;

function useColumns(show: (id: string) => void): readonly Column<Invitation>[] {
  const open = useRef(show);
  open.current = show;
  return useMemo(
    () => [
      {
        id: "name",
        header: t("inv.name"),
        width: "minmax(11rem, 2fr)",
        names: true,
        cell: (row) => <Who row={row} show={(id) => open.current(id)} />,
      },
      {
        id: "contact",
        header: t("inv.contact"),
        width: "minmax(9rem, 1.3fr)",
        wide: true,
        cell: ({ phone, email }) => (
          <span className="cell-stack small">
            {phone && <span className="tabular">{phone}</span>}
            {email && <span>{email}</span>}
            {!phone && !email && <span className="muted">{t("inv.no_contact")}</span>}
          </span>
        ),
      },
      {
        id: "state",
        header: t("inv.state"),
        width: "minmax(9rem, 1.3fr)",
        wide: true,
        cell: (row) => <StateWords invitation={row} />,
      },
      {
        id: "tags",
        header: t("inv.tags"),
        width: "minmax(6rem, 1fr)",
        wide: true,
        cell: ({ tags }) => (
          <span className="cell-tags">
            {tags.map((tag) => (
              <span key={tag} className="tag">
                {tag}
              </span>
            ))}
          </span>
        ),
      },
      {
        id: "uses",
        header: t("inv.used"),
        width: "5rem",
        align: "end",
        wide: true,
        cell: ({ uses, max_uses }) => (
          <span className="tabular">
            {max_uses == null
              ? say.number(uses)
              : t("inv.used_of", { used: say.number(uses), max: say.number(max_uses) })}
          </span>
        ),
      },
    ],
    [],
  );
}

function Who({ row, show }: { row: Invitation; show(id: string): void }) {
  const { id, name, session, guest_of, phone, email } = row;
  const watching = session?.watching === true;
  return (
    <span className="viewer" data-watching={watching} data-away={session == null || undefined}>
      <span className="pulse" data-on={watching} aria-hidden="true" />
      <span className="cell-stack viewer-words">
        <span className="invitee-name">
          <button
            type="button"
            className="row-open"
            tabIndex={-1}
            data-dead={isDead(row) || undefined}
            onClick={() => show(id)}
          >
            {name || t("inv.erased")}
          </button>
          {guest_of && <span className="tag">{t("inv.guest")}</span>}
        </span>
        {watching && <span className="visually-hidden">{t("inv.watching")}</span>}
        <span className="narrow-only viewer-sub">
          <StateWords invitation={row} />
        </span>
        <span className="narrow-only viewer-sub tabular">{phone ?? email ?? t("inv.no_contact")}</span>
      </span>
    </span>
  );
}
