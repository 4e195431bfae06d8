import { ApiError } from "../api/problem.ts";
import { t } from "../text.ts";
import { duration } from "./words.ts";

/** A sentence for a person about what went wrong with a request. */
export function failureText(error: unknown): string {
  if (!(error instanceof ApiError)) return t("error.server", { code: "unknown" });
  const { status, code, detail, retryAfter } = error.failure;
  if (status === 0) return t("error.network");
  if (status === 429) {
    return retryAfter === null
      ? t("error.throttled_soon")
      : t("error.throttled", { wait: duration(retryAfter * 1_000) });
  }
  if (status === 403) return detail ?? t("error.forbidden");
  if (status === 404 || status === 410) return t("error.gone");
  if (status >= 500) return t("error.server", { code });
  return detail ?? t("error.server", { code });
}
