/** What is said to invitees: the orders, the texts, and each message. */
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, Outlet } from "@tanstack/react-router";
import { useState } from "react";
import { Button } from "react-aria-components";
import { messagingQuery } from "../../api/messages.ts";
import type { Messaging } from "../../api/types.ts";
import { say, t } from "../../text.ts";
import { CopyButton } from "../../ui/copy.tsx";
import { Sheet } from "../../ui/dialog.tsx";
import { useMay } from "../../ui/rights.ts";
import { useTitle } from "../../ui/title.ts";
import { amount } from "../../ui/words.ts";
import { PageHead, useHere } from "../event/frame.tsx";
import { SendDrawer } from "./send.tsx";

const route = getRouteApi("/inside/events/$event/messages");

export function MessagesFrame() {
  const { event } = useHere();
  useTitle(`${t("msg.title")} · ${event.title}`);
  const { to } = route.useSearch();
  const navigate = route.useNavigate();
  const organise = useMay("organise");
  const messaging = useQuery(messagingQuery(event.id));
  const params = { event: event.id };
  return (
    <div className="stack">
      <PageHead title={t("msg.title")} lead={t("msg.lead")}>
        {organise && (
          <Button
            className="button primary"
            onPress={() => void navigate({ search: (before) => ({ ...before, to: "created" }) })}
          >
            {t("msg.send")}
          </Button>
        )}
      </PageHead>
      {messaging.data && <Gateways messaging={messaging.data} />}
      <nav className="sub-tabs" aria-label={t("msg.pages")}>
        <Link to="/events/$event/messages" params={params} search={{}} activeOptions={EXACT}>
          {t("msg.sends")}
        </Link>
        <Link to="/events/$event/messages/templates" params={params} search={{}} activeOptions={LOOSE}>
          {t("msg.templates")}
        </Link>
        <Link to="/events/$event/messages/outbox" params={params} search={{}} activeOptions={LOOSE}>
          {t("msg.outbox")}
        </Link>
      </nav>
      <Outlet />
      {organise && (
        <SendDrawer
          event={event}
          to={to === undefined ? null : { who: to }}
          close={() => void navigate({ search: ({ to: _, ...rest }) => rest })}
        />
      )}
    </div>
  );
}

const EXACT = { exact: true, includeSearch: false } as const;
const LOOSE = { includeSearch: false } as const;

/** Where messages go, said before anybody wonders why none arrives. */
function Gateways({ messaging }: { messaging: Messaging }) {
  const [help, setHelp] = useState(false);
  const { sms, email, opted_out, spent_milli, budget_milli } = messaging;
  const nothingLeaves = sms === "outbox" && email === "outbox";
  const inside = sms === "outbox" || email === "outbox";
  const facts = [
    ...(nothingLeaves
      ? []
      : [
          t(sms === "outbox" ? "msg.sms.outbox" : "msg.sms.twilio"),
          t(email === "outbox" ? "msg.email.outbox" : "msg.email.smtp"),
        ]),
    ...(opted_out > 0 ? [t("msg.opted_out", { n: opted_out, count: say.number(opted_out) })] : []),
    ...(spent_milli > 0 || budget_milli != null
      ? [
          budget_milli == null
            ? t("msg.spent", { amount: amount(spent_milli) })
            : t("msg.spent_of", { amount: amount(spent_milli), budget: amount(budget_milli) }),
        ]
      : []),
  ];
  return (
    <div className="stack tight">
      {inside && (
        <div className="notice info cluster spread">
          <p>{t(nothingLeaves ? "msg.outbox_all" : "msg.outbox_some")}</p>
          <Button className="button small" onPress={() => setHelp(true)}>
            {t("msg.setup")}
          </Button>
        </div>
      )}
      {facts.length > 0 && (
        <ul className="gateways tabular">
          {facts.map((fact) => (
            <li key={fact}>{fact}</li>
          ))}
        </ul>
      )}
      <Sheet title={t("msg.setup")} open={help} onOpenChange={setHelp}>
        <SetUp />
      </Sheet>
    </div>
  );
}

const TWILIO = `[http]
public_url = "https://stage.example.org"

[sms]
gateway = "twilio"
account_sid = "AC…"
from = "+15005550006"
auth_token_file = "/etc/stagedoor/twilio-token"
`;
const SMTP = `[email]
url = "smtps://user:password@mail.example.org"
from = "Stagedoor <stage@example.org>"
`;

/** For whoever runs the server: the few lines that make messages leave it. */
function SetUp() {
  return (
    <div className="stack">
      <p className="muted">{t("msg.setup_text")}</p>
      {(
        [
          ["msg.setup_sms", TWILIO],
          ["msg.setup_email", SMTP],
        ] as const
      ).map(([name, lines]) => (
        <div key={name} className="stack tight">
          <div className="cluster spread">
            <h3 className="label">{t(name)}</h3>
            <CopyButton className="button small" text={lines} said={t("msg.setup_copied")}>
              {t("action.copy")}
            </CopyButton>
          </div>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls sideways must be reachable by keyboard */}
          <pre className="listing" tabIndex={0}>
            {lines}
          </pre>
        </div>
      ))}
    </div>
  );
}
