import { useQuery } from "@tanstack/react-query";
import { memo, type ReactNode, useCallback, useMemo, useRef, useState } from "react";
import { Button, Input, Menu, MenuItem, Popover, SearchField } from "react-aria-components";
import { incidentsQuery } from "../../api/queries.ts";
import { linkOf } from "../../api/steer.ts";
import type { Event, StreamStatus, Viewer } from "../../api/types.ts";
import type { Room } from "../../feed/reducer.ts";
import { useView, useViewer } from "../../feed/rooms.ts";
import { type Filter, type Order, plainQuery, type Query, type Viewers } from "../../feed/viewers.ts";
import { type Severity, suspects } from "../../model/incidents.ts";
import { exportOf } from "../../model/invitations.ts";
import { latencyGrade, stallGrade } from "../../model/people.ts";
import { lacksMark } from "../../model/protection.ts";
import { choose, isChosen, nothing } from "../../model/selection.ts";
import { say, t } from "../../text.ts";
import { useMinute } from "../../ui/clock.ts";
import { copyText } from "../../ui/copy.tsx";
import { failureText } from "../../ui/failure.ts";
import { Icon } from "../../ui/icon.tsx";
import { useMay } from "../../ui/rights.ts";
import { Empty, Loading } from "../../ui/states.tsx";
import { type Column, SelectionBar, type Sort, Table } from "../../ui/table.tsx";
import { toast } from "../../ui/toast.tsx";
import { signalWords } from "../../ui/words.ts";
import { Regenerate } from "../invitations/codes.tsx";
import { ExportSheet } from "../invitations/export.tsx";
import { Farewell, type Leaving } from "./farewell.tsx";
import { Device } from "./protection.tsx";
import { WriteTo } from "./write-to.tsx";

/** A handful of people needs no search and no filter. */
const TOOLS_FROM = 8;
const FILTERS: readonly Filter[] = ["all", "watching", "away", "troubled"];
/** Numbers begin with the largest, words with A. */
const DESCENDS: readonly string[] = ["quality", "latency", "stalls"];

interface ViewersPanelProps {
  event: Event;
  room: Room;
  viewers: Viewers;
  state: StreamStatus["state"];
}

/** Who is here, as the feed tells it. */
export function ViewersPanel({ event, room, viewers, state }: ViewersPanelProps) {
  const [query, setQuery] = useState<Query>(viewers.query);
  const [leaving, setLeaving] = useState<Leaving | null>(null);
  const [selected, setSelected] = useState(nothing);
  const [menu, setMenu] = useState<RowMenuPlace | null>(null);
  const [writing, setWriting] = useState<Viewer | null>(null);
  const [looking, setLooking] = useState<string | null>(null);
  const [renewing, setRenewing] = useState<Viewer | null>(null);
  // Who was shown when it was asked for: people come and go while the dialog is open.
  const [taking, setTaking] = useState<readonly string[]>([]);
  const [exporting, setExporting] = useState(false);
  const heading = useRef<HTMLHeadingElement>(null);
  const view = useView(viewers);
  const mayModerate = useMay("moderate");
  const organise = useMay("organise");
  const mayEndAll = useMay("end_all");
  const mayExport = useMay("export");
  const total = room.counters?.inside ?? 0;
  const asks = query.search !== "" || query.filter !== "all";

  const ask = (next: Partial<Query>) => {
    const now = { ...query, ...next };
    setQuery(now);
    viewers.ask(now);
  };
  const sort = ({ column }: Sort) => {
    const order = column as Order;
    const again = order === query.order;
    ask({ order, descending: again ? !query.descending : DESCENDS.includes(order) });
  };
  const incidents = useQuery(incidentsQuery(event.id));
  const suspected = useMemo(() => suspects(incidents.data?.data ?? []), [incidents.data]);
  const columns = useColumns(viewers, event, suspected, mayModerate || organise ? setMenu : null);
  // Only who is on the list is acted upon: someone who left, or whom the filter hides, was not meant.
  const chosen = useMemo(() => view.filter((session) => isChosen(selected, session)), [view, selected]);
  const take = (sessions: readonly string[]) => {
    const people = sessions.map((session) => viewers.get(session)?.invitation ?? "");
    setTaking([...new Set(people)].filter((invitation) => invitation !== ""));
    setExporting(true);
  };
  const kick = (sessions: readonly string[]) =>
    setLeaving({ sessions, name: viewers.get(sessions[0] ?? "")?.name ?? "" });

  return (
    <section className="card stack viewers" aria-labelledby="viewers-title">
      <div className="card-head">
        <h2 id="viewers-title" ref={heading} tabIndex={-1}>
          {t("viewers.title")}
        </h2>
        {total > 0 && (
          <div className="cluster">
            <span className="muted small tabular">
              {t("viewers.summary", { watching: say.number(room.watching), total: say.number(total) })}
            </span>
            {mayExport && view.length > 0 && (
              <Button className="button small" onPress={() => take(view)}>
                {t("viewers.export")}
              </Button>
            )}
            {mayEndAll && (
              <Button className="button danger small" onPress={() => setLeaving("everybody")}>
                {t("viewers.end_all")}
              </Button>
            )}
          </div>
        )}
      </div>

      {(total >= TOOLS_FROM || asks) && (
        <div className="viewers-tools">
          <SearchField
            className="search"
            value={query.search}
            onChange={(search) => ask({ search })}
            aria-label={t("viewers.search")}
          >
            <Icon name="search" />
            <Input className="input" placeholder={t("viewers.search")} />
            <Button className="button quiet icon search-clear" aria-label={t("people.clear")}>
              <Icon name="close" />
            </Button>
          </SearchField>
          <fieldset className="segments compact">
            <legend className="visually-hidden">{t("viewers.filter")}</legend>
            {FILTERS.map((filter) => (
              <label key={filter} className="segment">
                <input
                  type="radio"
                  name="viewers-filter"
                  className="visually-hidden"
                  checked={query.filter === filter}
                  onChange={() => ask({ filter })}
                />
                {t(`viewers.filter_${filter}`)}
              </label>
            ))}
          </fieldset>
          {asks && (
            <span className="muted small tabular" role="status">
              {t("viewers.shown", { count: say.number(view.length) })}
            </span>
          )}
        </div>
      )}

      {room.stream === null || (!room.complete && view.length === 0) ? (
        <Loading lines={5} />
      ) : (
        <Table
          label={t("viewers.title")}
          columns={columns}
          rows={view}
          keyOf={sameKey}
          nameOf={(session) => viewers.get(session)?.name ?? ""}
          sort={{ column: query.order, direction: query.descending ? "descending" : "ascending" }}
          onSort={sort}
          {...(mayModerate ? { selection: selected, onSelect: setSelected } : {})}
          onHold={(held) => viewers.hold(held)}
          rowHeight={ROW_HEIGHT}
          empty={
            <div role="status">
              {asks ? (
                <Empty icon="search" title={t("viewers.no_one")}>
                  <p>{t("viewers.no_one_text")}</p>
                  <Button className="button" onPress={() => ask(plainQuery)}>
                    {t("viewers.filter_all")}
                  </Button>
                </Empty>
              ) : (
                <Empty icon="people" title={t("viewers.empty")}>
                  {state === "idle" ? t("viewers.empty_idle") : t("viewers.empty_text")}
                </Empty>
              )}
            </div>
          }
        />
      )}

      {mayModerate && (
        <SelectionBar count={chosen.length} clear={() => setSelected(nothing)}>
          {mayExport && (
            <Button className="button small" onPress={() => take(chosen)}>
              {t("viewers.export")}
            </Button>
          )}
          <Button className="button danger small" onPress={() => kick(chosen)}>
            <Icon name="leave" />
            {t("viewers.kick")}
          </Button>
        </SelectionBar>
      )}
      <RowMenu
        place={menu}
        close={() => setMenu(null)}
        event={event.id}
        viewer={menu === null ? undefined : viewers.get(menu.session)}
        kick={mayModerate ? (session) => kick([session]) : null}
        look={setLooking}
        write={mayModerate ? setWriting : null}
        reveal={organise}
        renew={organise ? setRenewing : null}
        take={mayExport ? take : null}
      />
      <Device
        event={event}
        stream={room.stream ?? event.stream}
        viewers={viewers}
        session={looking}
        close={() => setLooking(null)}
      />
      <WriteTo event={event.id} viewer={writing} close={() => setWriting(null)} />
      <Regenerate
        event={event}
        target={renewing && { selection: { ids: [renewing.invitation] }, count: 1, name: renewing.name }}
        watching={1}
        close={() => setRenewing(null)}
        landing={heading}
      />
      <ExportSheet
        event={event}
        who={exportOf(choose(nothing, taking, true), {})}
        count={taking.length}
        open={exporting}
        close={() => setExporting(false)}
      />
      <Farewell
        event={event.id}
        leaving={leaving}
        inside={total}
        close={() => setLeaving(null)}
        after={() => setSelected(nothing)}
        landing={heading}
      />
    </section>
  );
}

const ROW_HEIGHT = [56, 76] as const;
const sameKey = (session: string) => session;

function useColumns(
  viewers: Viewers,
  event: Event,
  suspected: ReadonlyMap<string, Severity>,
  more: ((place: RowMenuPlace) => void) | null,
): readonly Column<string>[] {
  const { latency } = event;
  const cell = useCallback(
    (draw: (viewer: Viewer, minute: number) => ReactNode, gone?: string) => (session: string) => (
      <Live viewers={viewers} session={session} draw={draw} gone={gone} />
    ),
    [viewers],
  );
  return useMemo(() => {
    const columns: Column<string>[] = [
      {
        id: "name",
        header: t("viewers.name"),
        width: "minmax(11rem, 2.2fr)",
        sortable: true,
        names: true,
        cell: cell(
          (viewer, minute) => (
            <Who viewer={viewer} minute={minute} suspect={suspected.get(viewer.invitation)} />
          ),
          t("viewers.gone"),
        ),
      },
      {
        id: "phone",
        header: t("viewers.phone"),
        width: "minmax(10.75rem, 0.8fr)",
        wide: true,
        cell: cell(({ phone }) => <span className="tabular">{phone ?? t("room.none")}</span>),
      },
      {
        id: "place",
        header: t("viewers.place"),
        width: "minmax(6rem, 1fr)",
        wide: true,
        cell: cell(({ place }) => <span title={place ?? undefined}>{place ?? t("room.none")}</span>),
      },
      {
        id: "joined",
        header: t("viewers.joined"),
        width: "minmax(5.5rem, 0.7fr)",
        wide: true,
        sortable: true,
        cell: cell((viewer, minute) => (
          <span className="tabular">{say.moment(viewer.joined_at, minute)}</span>
        )),
      },
      {
        id: "quality",
        header: t("viewers.quality"),
        width: "5rem",
        align: "end",
        wide: true,
        sortable: true,
        cell: cell(({ watching, height }) => (
          <span className="tabular">
            {watching && height ? t("viewers.height", { height }) : t("room.none")}
          </span>
        )),
      },
      {
        id: "latency",
        header: t("viewers.latency"),
        width: "6.75rem",
        align: "end",
        wide: true,
        sortable: true,
        cell: cell(({ watching, latency_ms: behind }) =>
          watching && behind !== null && behind !== undefined ? (
            <span className="tabular" data-grade={latencyGrade(behind, latency)}>
              {say.seconds(behind)}
            </span>
          ) : (
            t("room.none")
          ),
        ),
      },
      {
        id: "stalls",
        header: t("viewers.stalls"),
        width: "4.75rem",
        align: "end",
        wide: true,
        sortable: true,
        cell: cell(({ stalls }) =>
          stalls === null || stalls === undefined ? (
            t("room.none")
          ) : (
            <span className="tabular" data-grade={stallGrade(stalls)}>
              {say.number(stalls)}
            </span>
          ),
        ),
      },
    ];
    columns.push({
      id: "risk",
      header: t("viewers.risk"),
      width: "6.5rem",
      wide: true,
      cell: cell((viewer) => <Risk viewer={viewer} severity={suspected.get(viewer.invitation)} />),
    });
    if (more !== null) {
      columns.push({
        id: "actions",
        header: t("viewers.actions"),
        width: "3.5rem",
        quiet: true,
        cell: cell(({ session, name }) => (
          <button
            type="button"
            className="button quiet icon row-button"
            tabIndex={-1}
            aria-label={t("viewers.more", { name })}
            aria-haspopup="menu"
            onClick={(pressed) => more({ session, button: pressed.currentTarget })}
          >
            <Icon name="more" />
          </button>
        )),
      });
    }
    return columns;
  }, [cell, latency, more, suspected]);
}

interface RowMenuPlace {
  readonly session: string;
  readonly button: HTMLElement;
}

interface RowMenuProps {
  place: RowMenuPlace | null;
  close(): void;
  event: string;
  viewer: Viewer | undefined;
  kick: ((session: string) => void) | null;
  look(session: string): void;
  write: ((viewer: Viewer) => void) | null;
  renew: ((viewer: Viewer) => void) | null;
  take: ((sessions: readonly string[]) => void) | null;
  /** Whether the code may be seen. */
  reveal: boolean;
}

/** One menu for all rows, beside the button that was pressed. */
function RowMenu({ place, close, event, viewer, kick, look, write, renew, take, reveal }: RowMenuProps) {
  const trigger = useMemo(() => ({ current: place?.button ?? null }), [place]);
  const copyLink = async ({ invitation, name }: Viewer) => {
    try {
      const copied = await copyText(await linkOf(event, invitation));
      toast(copied ? t("viewers.link_copied", { name }) : t("action.copy_failed"));
    } catch (error) {
      toast(failureText(error));
    }
  };
  return (
    <Popover
      className="popover"
      placement="bottom end"
      triggerRef={trigger}
      isOpen={place !== null && viewer !== undefined}
      onOpenChange={(open) => !open && close()}
    >
      <Menu
        className="menu"
        aria-label={t("viewers.more", { name: viewer?.name ?? "" })}
        autoFocus="first"
        onClose={close}
      >
        {reveal && (
          <MenuItem className="menu-item" onAction={() => viewer && void copyLink(viewer)}>
            <Icon name="link" />
            {t("viewers.link")}
          </MenuItem>
        )}
        <MenuItem className="menu-item" onAction={() => viewer && look(viewer.session)}>
          <Icon name="info" />
          {t("device.open")}…
        </MenuItem>
        {write !== null && (
          <MenuItem className="menu-item" onAction={() => viewer && write(viewer)}>
            <Icon name="letter" />
            {t("viewers.write")}…
          </MenuItem>
        )}
        {take !== null && (
          <MenuItem className="menu-item" onAction={() => viewer && take([viewer.session])}>
            <Icon name="people" />
            {t("viewers.export")}
          </MenuItem>
        )}
        {renew !== null && (
          <MenuItem className="menu-item" onAction={() => viewer && renew(viewer)}>
            <Icon name="key" />
            {t("viewers.renew")}…
          </MenuItem>
        )}
        {kick !== null && (
          <MenuItem className="menu-item danger" onAction={() => viewer && kick(viewer.session)}>
            <Icon name="leave" />
            {t("viewers.kick")}…
          </MenuItem>
        )}
      </Menu>
    </Popover>
  );
}

interface LiveProps {
  viewers: Viewers;
  session: string;
  draw(viewer: Viewer, minute: number): ReactNode;
  /** Said for the moment in which the row is still there and its viewer is not. */
  gone: string | undefined;
}

/** A cell that is drawn again when its row changes, and for nothing else. */
const Live = memo(function Live({ viewers, session, draw, gone }: LiveProps) {
  const viewer = useViewer(viewers, session);
  const minute = useMinute();
  if (viewer === undefined) return gone === undefined ? null : <span className="muted">{gone}</span>;
  return draw(viewer, minute);
});

interface RiskProps {
  viewer: Viewer;
  severity: Severity | undefined;
}

/**
 * How much somebody should be looked at: what is noticed about them now, in points that fade, or the gravest incident
 * about them that nobody has seen yet.
 */
function Risk({ viewer, severity }: RiskProps) {
  const { risk, signals } = viewer;
  if (severity === undefined && risk === 0) return <span className="muted">{t("room.none")}</span>;
  const seen = signalWords(signals);
  const about = severity === undefined ? null : t(`viewers.suspect_${severity}`);
  const title = [about, seen && t("viewers.signals", { signals: seen })].filter(Boolean).join("; ");
  return (
    <span className="risk" data-severity={severity ?? "info"} title={title}>
      {seen && <span className="visually-hidden">{seen}: </span>}
      <Icon name={severity === undefined || severity === "info" ? "info" : "warning"} />
      {risk > 0
        ? t("viewers.points", { n: risk, count: say.number(risk) })
        : t(`incidents.${severity ?? "info"}`)}
    </span>
  );
}

interface WhoProps {
  viewer: Viewer;
  minute: number;
  suspect: Severity | undefined;
}

function Who({ viewer, minute, suspect }: WhoProps) {
  const { name, device, place, last_seen_at, watching, height, latency_ms, stalls, visible } = viewer;
  const away = t("viewers.is_away", { when: say.ago(last_seen_at, minute) });
  return (
    <span className="viewer" data-watching={watching}>
      <span className="pulse" data-on={watching} aria-hidden="true" />
      <span className="viewer-words">
        <span className="row-title">
          {name}
          {suspect && (
            <span
              className="suspect narrow-only"
              data-severity={suspect}
              title={t(`viewers.suspect_${suspect}`)}
            >
              <Icon name={suspect === "info" ? "info" : "warning"} />
              <span className="visually-hidden">, {t(`viewers.suspect_${suspect}`)}</span>
            </span>
          )}
        </span>
        <span className="visually-hidden">{watching ? t("viewers.is_watching") : away}</span>
        <span className="viewer-sub">
          {[
            // What may need somebody comes first: the line is cut where the column ends.
            watching && viewer.silent ? t("viewers.silent") : null,
            watching && lacksMark(viewer) ? t("viewers.unmarked") : null,
            device,
            watching ? null : t("viewers.seen", { when: say.moment(last_seen_at, minute) }),
            watching && visible === false ? t("viewers.hidden") : null,
          ]
            .filter((words) => words !== null)
            .join(" · ")}
        </span>
        <span className="viewer-sub narrow-only tabular">
          {[
            place,
            watching && height ? t("viewers.height", { height }) : null,
            watching && latency_ms ? t("viewers.behind", { time: say.seconds(latency_ms) }) : null,
            stalls ? t("viewers.stalls_n", { n: stalls }) : null,
          ]
            .filter((words) => words !== null)
            .join(" · ")}
        </span>
      </span>
    </span>
  );
}
