import { type ErrorComponentProps, Link } from "@tanstack/react-router";
import { ApiError } from "../api/problem.ts";
import { t } from "../text.ts";
import { failureText } from "../ui/failure.ts";
import { Mark } from "../ui/icon.tsx";
import { useTitle } from "../ui/title.ts";

/** Within a page that has its frame. */
export function NotFound() {
  useTitle(t("app.not_found"));
  return (
    <div className="lost">
      <Mark />
      <h1>{t("app.not_found")}</h1>
      <p className="muted">{t("app.not_found_hint")}</p>
      <Link to="/" className="button primary">
        {t("app.to_events")}
      </Link>
    </div>
  );
}

/** An address that leads nowhere. */
export function NowherePage() {
  return (
    <main id="content" className="alone">
      <NotFound />
    </main>
  );
}

/** The last resort: something threw while drawing, or the very first request failed. */
export function Crashed({ error }: ErrorComponentProps) {
  const answered = error instanceof ApiError;
  useTitle(t("error.title"));
  return (
    <main id="content" className="alone">
      <div className="lost" role="alert">
        <Mark />
        <h1>{answered ? t("error.title") : t("error.crash")}</h1>
        <p className="muted">{answered ? failureText(error) : t("error.crash_hint")}</p>
        <button type="button" className="button primary" onClick={() => location.reload()}>
          {t("action.reload")}
        </button>
      </div>
    </main>
  );
}
