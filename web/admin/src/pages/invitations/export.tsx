/** Taking a list away: as what, that it is written down, and how much of it has come. */
import { useEffect, useRef, useState } from "react";
import { Button } from "react-aria-components";
import { BrokenOff, takeList } from "../../api/export.ts";
import type { Event } from "../../api/types.ts";
import { EXPORT_NAMED_MAX, type ExportFormat, type ExportWho, exportName } from "../../model/invitations.ts";
import { say, t } from "../../text.ts";
import { Sheet } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { Choices } from "../../ui/form.tsx";
import { Progress } from "../../ui/progress.tsx";
import { saveFile } from "../../ui/save.ts";
import { toast } from "../../ui/toast.tsx";

interface ExportProps {
  event: Event;
  /** `null` when too many are named one by one. */
  who: ExportWho | null;
  count: number;
  open: boolean;
  close(): void;
}

export function ExportSheet({ event, who, count, open, close }: ExportProps) {
  return (
    <Sheet
      title={t("export.open", { n: count, count: say.number(count) })}
      open={open}
      onOpenChange={(next) => !next && close()}
    >
      {open && <Take event={event} who={who} close={close} />}
    </Sheet>
  );
}

function Take({ event, who, close }: Pick<ExportProps, "event" | "who" | "close">) {
  const [format, setFormat] = useState<ExportFormat>("xlsx");
  const [came, setCame] = useState<number | null>(null);
  const [error, setError] = useState<unknown>(null);
  const under = useRef<AbortController | null>(null);
  // Whoever closes the dialog does not want the file.
  useEffect(() => () => under.current?.abort(), []);
  const busy = came !== null;

  const run = async () => {
    if (busy || who === null) return;
    const abort = new AbortController();
    under.current = abort;
    setCame(0);
    setError(null);
    try {
      const file = await takeList(event.id, who, format, setCame, abort.signal);
      const name = exportName(event.title, format, new Date());
      saveFile(file, name);
      toast(t("export.done", { name }));
      close();
    } catch (cause) {
      setCame(null);
      if (!abort.signal.aborted) setError(cause);
    }
  };

  return (
    <div className="stack">
      <Choices
        label={t("export.format")}
        value={format}
        choices={[
          { id: "xlsx", name: t("export.xlsx"), text: t("export.xlsx_text") },
          { id: "csv", name: t("export.csv"), text: t("export.csv_text") },
        ]}
        onChange={(next) => !busy && setFormat(next)}
      />
      <p className="muted">{t("export.recorded")}</p>
      {who === null && (
        <p className="notice warn" role="alert">
          {t("export.too_many", { count: say.number(EXPORT_NAMED_MAX) })}
        </p>
      )}
      {busy && (
        <div className="stack tight">
          <Progress label={t("export.coming")} value={null} />
          <p className="muted small tabular">{t("export.so_far", { size: say.bytes(came) })}</p>
        </div>
      )}
      {error !== null && (
        <p className="notice danger" role="alert">
          {error instanceof BrokenOff ? t("export.again") : failureText(error)}
        </p>
      )}
      <div className="sheet-actions">
        <Button className="button" onPress={busy ? () => under.current?.abort() : close}>
          {t(busy ? "export.stop" : "action.cancel")}
        </Button>
        <Button
          className="button primary"
          isDisabled={who === null}
          onPress={() => void run()}
          data-pending={busy || undefined}
        >
          {t("export.download")}
        </Button>
      </div>
    </div>
  );
}
