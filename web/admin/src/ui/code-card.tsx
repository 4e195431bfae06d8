import { codeGroups } from "../model/code.ts";
import { t } from "../text.ts";
import { CopyButton } from "./copy.tsx";

interface CodeCardProps {
  name: string;
  code: { readonly code: string; readonly link: string };
  /** Whether it appears because of what was just done, and should be read out. */
  announce?: boolean;
}

/** The code, large enough to be read out over the phone. */
export function CodeCard({ name, code, announce = false }: CodeCardProps) {
  const groups = codeGroups(code.code);
  return (
    <div className="ticket">
      <div role={announce ? "status" : undefined}>
        {announce && <p className="label">{t("people.code_for", { name })}</p>}
        <p className="ticket-code">
          <span className="visually-hidden">
            {t("people.code_spelled", { code: groups.map((group) => [...group].join(" ")).join(", ") })}
          </span>
          {groups.map((group, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: groups may repeat and never move
            <span key={index} aria-hidden="true">
              {group}
            </span>
          ))}
        </p>
      </div>
      <div className="cluster">
        <CopyButton className="button" text={code.code} said={t("people.code_copied", { name })}>
          {t("people.copy_code")}
        </CopyButton>
        <CopyButton text={code.link} icon="link" said={t("people.link_copied", { name })}>
          {t("people.copy_link")}
        </CopyButton>
      </div>
      <p className="hint">{t("people.code_hint", { name })}</p>
    </div>
  );
}
