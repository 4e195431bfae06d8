/** What is copied into an encoder: plain settings, and secrets that stay behind dots. */
import { type ReactNode, useState } from "react";
import { Button } from "react-aria-components";
import { masked } from "../../model/code.ts";
import { t } from "../../text.ts";
import { CopyButton } from "../../ui/copy.tsx";
import { Icon } from "../../ui/icon.tsx";

export function Setting({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div className="setting">
      <p className="label">{label}</p>
      <div className="copyable">{children}</div>
    </div>
  );
}

/** A secret behind dots. It can be copied without being shown: rooms have eyes. */
export function SecretSetting({
  label,
  secret,
  shown = masked(),
}: {
  label: string;
  secret: string;
  shown?: string;
}) {
  const [revealed, setRevealed] = useState(false);
  return (
    <Setting label={label}>
      <code className={revealed ? undefined : "masked"}>{revealed ? secret : shown}</code>
      <Button
        className="button"
        aria-label={`${revealed ? t("encoder.hide") : t("encoder.reveal")}: ${label}`}
        aria-pressed={revealed}
        onPress={() => setRevealed(!revealed)}
      >
        <Icon name={revealed ? "eyeOff" : "eye"} />
        <span className="wide-only">{revealed ? t("encoder.hide") : t("encoder.reveal")}</span>
      </Button>
      <CopyButton text={secret} said={t("encoder.copied", { what: label })}>
        {t("action.copy")}
      </CopyButton>
    </Setting>
  );
}
