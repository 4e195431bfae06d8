import { Link, Outlet } from "@tanstack/react-router";
import { t } from "../../text.ts";
import { useMay } from "../../ui/rights.ts";

/** What is set for oneself, and for everybody with an account. */
export function SettingsFrame() {
  const administer = useMay("administer");
  return (
    <div className="stack settings">
      <h1>{t("settings.title")}</h1>
      <nav className="tabs" aria-label={t("settings.nav")}>
        <Link to="/settings" activeOptions={{ exact: true }}>
          {t("settings.tab_account")}
        </Link>
        <Link to="/settings/tokens">{t("settings.tab_tokens")}</Link>
        {administer && <Link to="/settings/people">{t("settings.tab_people")}</Link>}
      </nav>
      <Outlet />
    </div>
  );
}
