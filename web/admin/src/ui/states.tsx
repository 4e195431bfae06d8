/** What a place shows before, instead of, and without its content. */
import type { ReactNode } from "react";
import { Button } from "react-aria-components";
import { ApiError } from "../api/problem.ts";
import { t } from "../text.ts";
import { failureText } from "./failure.ts";
import { Icon, type IconName } from "./icon.tsx";

/** Grey lines where text will be; one name for all of them. */
export function Loading({ lines = 3 }: { lines?: number }) {
  return (
    <div className="loading" role="status">
      <span className="visually-hidden">{t("state.loading")}</span>
      {Array.from({ length: lines }, (_, line) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the lines have no identity and never move
        <span key={line} className="loading-line" aria-hidden="true" />
      ))}
    </div>
  );
}

export function Failed({ error, retry }: { error: unknown; retry?: () => void }) {
  const retriable = !(error instanceof ApiError) || ![403, 404, 410].includes(error.failure.status);
  return (
    <div className="failed" role="alert">
      <Icon name="warning" />
      <div>
        <p className="failed-title">{t("error.title")}</p>
        <p className="muted small">{failureText(error)}</p>
      </div>
      {retry && retriable && (
        <Button className="button" onPress={retry}>
          {t("action.retry")}
        </Button>
      )}
    </div>
  );
}

export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <span className="empty-icon">
        <Icon name={icon} />
      </span>
      <p className="empty-title">{title}</p>
      {children && <div className="empty-text">{children}</div>}
    </div>
  );
}
