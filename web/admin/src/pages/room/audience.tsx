import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Button } from "react-aria-components";
import { concurrencyQuery } from "../../api/queries.ts";
import type { Event } from "../../api/types.ts";
import type { Room } from "../../feed/reducer.ts";
import { audienceLine, mostOf } from "../../model/audience.ts";
import { say, t } from "../../text.ts";
import { Chart, type View } from "../../ui/chart.tsx";
import { useNow } from "../../ui/clock.ts";
import { Failed } from "../../ui/states.tsx";

const SPANS = { live: 0.25, hour: 1, evening: 6, day: 24 } as const;
type Span = keyof typeof SPANS;
const HOUR_MS = 3_600_000;

/** How many watched, and are watching: kept by the server every ten seconds, and the last seconds by the feed. */
export function Audience({ event, room, watching }: { event: Event; room: Room; watching: number }) {
  const [span, setSpan] = useState<Span>("hour");
  const [view, setView] = useState<View | null>(null);
  const history = useQuery({ ...concurrencyQuery(event.id, SPANS[span]), refetchInterval: 60_000 });
  const now = useNow();
  const from = now - SPANS[span] * HOUR_MS;

  const line = useMemo(
    () => audienceLine(history.data, room.audience, now, watching, from),
    [history.data, room.audience, now, watching, from],
  );
  const whole = useMemo((): View => [from / 1_000, now / 1_000], [from, now]);
  const [begin, end] = view ?? whole;
  const most = mostOf(line, begin, end);
  const summary = most
    ? t("chart.summary", {
        now: say.number(watching),
        peak: say.number(most.value),
        when: say.moment(most.at, now),
      })
    : t("chart.summary_none");
  const zoom = view && t("chart.zoomed", { from: say.time(begin * 1_000), to: say.time(end * 1_000) });

  return (
    <section className="card stack chart" aria-labelledby="chart-title">
      <div className="card-head">
        <h2 id="chart-title">{t("chart.title")}</h2>
        <fieldset className="segments compact">
          <legend className="visually-hidden">{t("chart.span")}</legend>
          {(Object.keys(SPANS) as Span[]).map((each) => (
            <label key={each} className="segment">
              <input
                type="radio"
                name="chart-span"
                className="visually-hidden"
                checked={span === each}
                onChange={() => {
                  setSpan(each);
                  setView(null);
                }}
              />
              {t(`chart.span_${each}`)}
            </label>
          ))}
        </fieldset>
      </div>
      {history.isError && history.data === undefined ? (
        <Failed error={history.error} retry={() => void history.refetch()} />
      ) : (
        <Chart
          line={line}
          whole={whole}
          view={view}
          onView={setView}
          label={t("chart.label", { summary: [summary, zoom].filter(Boolean).join(" ") })}
          series={t("chart.series")}
        />
      )}
      <div className="chart-foot muted small">
        <p>
          {summary} {zoom ?? <span className="wide-only">{t("chart.hint")}</span>}
        </p>
        {view && (
          <Button className="button small" onPress={() => setView(null)}>
            {t("chart.reset")}
          </Button>
        )}
      </div>
    </section>
  );
}
