/** New codes for many, while they are given out and when they were: for whoever looks at the invitations. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { Button } from "react-aria-components";
import { cancelRenewal, renewalQuery } from "../../api/codes.ts";
import { peopleChanged } from "../../api/queries.ts";
import type { Event, Renewal } from "../../api/types.ts";
import { elapsed } from "../../model/time.ts";
import { say, t } from "../../text.ts";
import { useMinute } from "../../ui/clock.ts";
import { Confirm } from "../../ui/dialog.tsx";
import { Progress } from "../../ui/progress.tsx";
import { useMay } from "../../ui/rights.ts";

/** What was done longer ago is no news. */
const NEWS_MS = 10 * 60_000;

export function RenewalNotice({ event }: { event: Event }) {
  const minute = useMinute();
  const { data } = useQuery(renewalQuery(event.id));
  const [read, setRead] = useState<string | null>(null);
  if (!data) return null;
  if (data.state === "running") return <Running event={event} renewal={data} />;
  if (read === data.id || elapsed(data.ended_at, minute) > NEWS_MS) return null;
  return <Over event={event} renewal={data} close={() => setRead(data.id)} />;
}

interface OrderProps {
  event: Event;
  renewal: Renewal;
}

function Running({ event, renewal }: OrderProps) {
  const client = useQueryClient();
  const organise = useMay("organise");
  const [asking, setAsking] = useState(false);
  const { id, seen, total, sessions_ended } = renewal;
  const stop = async () => {
    await cancelRenewal(event.id, id);
    await peopleChanged(client, event.id);
  };
  return (
    <section className="card stack tight" aria-label={t("inv.renewal")}>
      <Progress
        label={t("inv.renewal")}
        value={seen / Math.max(1, total)}
        said={t("inv.renewal_of", { done: say.number(seen), total: say.number(total) })}
      />
      <div className="cluster spread">
        <p className="muted small">
          {sessions_ended > 0
            ? t("farewell.done", { n: sessions_ended, count: say.number(sessions_ended) })
            : t("inv.renewal_hint")}
        </p>
        {organise && (
          <Button className="button small" onPress={() => setAsking(true)}>
            {t("inv.renewal_stop")}
          </Button>
        )}
      </div>
      <Confirm
        title={t("inv.renewal_stop_title")}
        text={<p>{t("inv.renewal_stop_text")}</p>}
        confirm={t("inv.renewal_stop")}
        open={asking}
        onOpenChange={setAsking}
        act={stop}
      />
    </section>
  );
}

function Over({ event, renewal, close }: OrderProps & { close(): void }) {
  const { state, changed, sessions_ended, send, total } = renewal;
  const tone = state === "done" ? "ok" : state === "failed" ? "danger" : "info";
  const said = { n: changed, count: say.number(changed), total: say.number(total) };
  return (
    <div className={`notice ${tone} cluster spread`} role="status">
      <p>
        {state === "done"
          ? t("inv.renewal_done", said)
          : t(state === "failed" ? "inv.renewal_failed" : "inv.renewal_stopped", said)}
        {sessions_ended > 0 &&
          ` ${t("inv.renewal_home", { n: sessions_ended, count: say.number(sessions_ended) })}`}
      </p>
      <div className="cluster">
        {send && (
          <Link
            to="/events/$event/messages/outbox"
            params={{ event: event.id }}
            search={{ send }}
            className="button small"
          >
            {t("inv.renewal_messages")}
          </Link>
        )}
        <Button className="button quiet small" onPress={close}>
          {t("action.close")}
        </Button>
      </div>
    </div>
  );
}
