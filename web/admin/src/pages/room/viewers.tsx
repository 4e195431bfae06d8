import { memo, useMemo, useRef, useState } from "react";
import { Button, Input, SearchField } from "react-aria-components";
import { api, value } from "../../api/client.ts";
import type { Event, Latency, StreamStatus, Viewer } from "../../api/types.ts";
import type { Room } from "../../feed/reducer.ts";
import { latencyGrade, stallGrade, viewerRows } from "../../model/people.ts";
import { say, t } from "../../text.ts";
import { useMinute } from "../../ui/clock.ts";
import { Confirm } from "../../ui/dialog.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Empty, Loading } from "../../ui/states.tsx";
import { toast } from "../../ui/toast.tsx";

/** Rows drawn until more are asked for: a full house must not make the page slow. */
const ROWS_STEP = 50;
const SEARCH_FROM = 8;

interface ViewersProps {
  event: Event;
  room: Room;
  state: StreamStatus["state"];
}

/** Who is here, as the feed tells it. */
export function Viewers({ event, room, state }: ViewersProps) {
  const [search, setSearch] = useState("");
  const [limit, setLimit] = useState(ROWS_STEP);
  const [kicking, setKicking] = useState<Viewer | null>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const minute = useMinute();
  const rows = useMemo(() => viewerRows(room.viewers, search), [room.viewers, search]);
  const total = room.viewers.size;

  return (
    <section className="card stack viewers" aria-labelledby="viewers-title">
      <div className="card-head">
        <h2 id="viewers-title" ref={heading} tabIndex={-1}>
          {t("viewers.title")}
        </h2>
        {total > 0 && (
          <span className="muted small tabular">
            {t("viewers.summary", { watching: say.number(room.watching), total: say.number(total) })}
          </span>
        )}
      </div>
      {(total >= SEARCH_FROM || search !== "") && (
        <SearchField className="search" value={search} onChange={setSearch} aria-label={t("viewers.search")}>
          <Icon name="search" />
          <Input className="input" placeholder={t("viewers.search")} />
          <Button className="button quiet icon search-clear" aria-label={t("people.clear")}>
            <Icon name="close" />
          </Button>
        </SearchField>
      )}
      {room.stream === null && <Loading />}
      {room.stream !== null && total === 0 && (
        <Empty icon="people" title={t("viewers.empty")}>
          {state === "idle" ? t("viewers.empty_idle") : t("viewers.empty_text")}
        </Empty>
      )}
      {total > 0 && rows.length === 0 && (
        <div role="status">
          <Empty icon="search" title={t("viewers.no_match", { search })} />
        </div>
      )}
      {rows.length > 0 && (
        <table className="audience">
          <thead>
            <tr>
              <th scope="col">{t("viewers.name")}</th>
              <th scope="col" className="col-quality">
                {t("viewers.quality")}
              </th>
              <th scope="col" className="col-latency">
                {t("viewers.latency")}
              </th>
              <th scope="col" className="col-stalls">
                {t("viewers.stalls")}
              </th>
              <th scope="col">
                <span className="visually-hidden">{t("viewers.actions")}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, limit).map((viewer) => (
              <ViewerRow
                key={viewer.session}
                viewer={viewer}
                latency={event.latency}
                minute={minute}
                kick={setKicking}
              />
            ))}
          </tbody>
        </table>
      )}
      {rows.length > limit && (
        <Button className="button" onPress={() => setLimit(limit + ROWS_STEP)}>
          {t("action.more")}
        </Button>
      )}
      <Confirm
        title={t("viewers.kick_title", { name: kicking?.name ?? "" })}
        text={t("viewers.kick_text", { name: kicking?.name ?? "" })}
        confirm={t("viewers.kick")}
        open={kicking !== null}
        onOpenChange={(open) => !open && setKicking(null)}
        act={async () =>
          kicking &&
          value(
            api.DELETE("/api/v1/events/{event}/viewers/{session}", {
              params: { path: { event: event.id, session: kicking.session } },
            }),
          )
        }
        after={() => toast(t("viewers.kicked", { name: kicking?.name ?? "" }))}
        landing={heading}
      />
    </section>
  );
}

interface ViewerRowProps {
  viewer: Viewer;
  latency: Latency;
  minute: number;
  kick(viewer: Viewer): void;
}

const ViewerRow = memo(function ViewerRow({ viewer, latency, minute, kick }: ViewerRowProps) {
  const { name, device, joined_at, last_seen_at, watching, height, latency_ms, stalls } = viewer;
  const quality = watching && height ? t("viewers.height", { height }) : null;
  const behind = watching && latency_ms !== null && latency_ms !== undefined ? latency_ms : null;
  return (
    <tr data-watching={watching}>
      <th scope="row">
        <span className="viewer">
          <span className="pulse" data-on={watching} aria-hidden="true" />
          <span className="viewer-words">
            <span className="row-title">{name}</span>
            <span className="visually-hidden">
              {watching
                ? t("viewers.is_watching")
                : t("viewers.is_away", { when: say.relative(last_seen_at, minute) })}
            </span>
            <span className="viewer-sub">
              {device}
              {" · "}
              {watching
                ? t("viewers.since", { when: say.moment(joined_at, minute) })
                : t("viewers.seen", { when: say.moment(last_seen_at, minute) })}
            </span>
            <span className="viewer-sub narrow-only tabular">
              {[
                quality,
                behind === null ? null : t("viewers.behind", { time: say.seconds(behind) }),
                stalls ? t("viewers.stalls_n", { n: stalls }) : null,
              ]
                .filter((words) => words !== null)
                .join(" · ")}
            </span>
          </span>
        </span>
      </th>
      <td className="col-quality tabular">{quality ?? t("room.none")}</td>
      <td className="col-latency tabular">
        {behind === null ? (
          t("room.none")
        ) : (
          <span data-grade={latencyGrade(behind, latency)}>{say.seconds(behind)}</span>
        )}
      </td>
      <td className="col-stalls tabular">
        {stalls === null || stalls === undefined ? (
          t("room.none")
        ) : (
          <span data-grade={stallGrade(stalls)}>{say.number(stalls)}</span>
        )}
      </td>
      <td className="col-act">
        <button
          type="button"
          className="button quiet small"
          aria-label={t("viewers.kick_of", { name })}
          onClick={() => kick(viewer)}
        >
          <Icon name="leave" />
          <span className="wide-only">{t("viewers.kick")}</span>
        </button>
      </td>
    </tr>
  );
});
