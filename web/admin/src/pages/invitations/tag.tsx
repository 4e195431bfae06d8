/** A tag put on many, or taken off. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";
import { tagsQuery } from "../../api/invitations.ts";
import { say, t } from "../../text.ts";
import { Sheet } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { Choose, TextInput } from "../../ui/form.tsx";

const TAG_CHARS_MAX = 50;

interface TagSheetProps {
  event: string;
  act: "tag" | "untag" | null;
  count: number;
  run(tag: string, on: boolean): Promise<void>;
  close(): void;
}

export function TagSheet({ event, act, count, run, close }: TagSheetProps) {
  const said = { n: count, count: say.number(count) };
  return (
    <Sheet
      title={t(act === "untag" ? "inv.untag_title" : "inv.tag_title", said)}
      open={act !== null}
      onOpenChange={(open) => !open && close()}
    >
      {act && <Which event={event} on={act === "tag"} run={run} close={close} />}
    </Sheet>
  );
}

interface WhichProps {
  event: string;
  on: boolean;
  run(tag: string, on: boolean): Promise<void>;
  close(): void;
}

function Which({ event, on, run, close }: WhichProps) {
  const tags = useQuery(tagsQuery(event));
  const known = (tags.data ?? []).map(({ tag }) => tag);
  const [typed, setTyped] = useState("");
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const tag = typed.trim();
  const wrong = tag === "" || [...tag].length > TAG_CHARS_MAX || tag.includes(",");
  const go = async () => {
    setTried(true);
    if (wrong || busy) return;
    setBusy(true);
    setError(null);
    try {
      await run(tag, on);
      close();
    } catch (cause) {
      setError(cause);
      setBusy(false);
    }
  };
  if (!on && tags.isSuccess && known.length === 0) return <p className="muted">{t("inv.tag_none")}</p>;
  return (
    <form
      className="stack"
      noValidate
      onSubmit={(pressed) => {
        pressed.preventDefault();
        void go();
      }}
    >
      {on && (
        <TextInput
          label={t("inv.tag")}
          hint={t("inv.tag_hint")}
          value={typed}
          onChange={setTyped}
          error={tried && wrong ? t("inv.tag_missing") : undefined}
          autoFocus
        />
      )}
      {known.length > 0 && (
        <Choose
          label={t(on ? "inv.tag_known" : "inv.tag_which")}
          value={known.includes(tag) ? tag : ""}
          choices={known.map((id) => ({ id, name: id }))}
          onChange={setTyped}
          error={!on && tried && wrong ? t("inv.tag_which") : undefined}
        />
      )}
      {error !== null && (
        <p className="notice danger" role="alert">
          {failureText(error)}
        </p>
      )}
      <div className="sheet-actions">
        <Button className="button" onPress={close} isDisabled={busy}>
          {t("action.cancel")}
        </Button>
        <Button type="submit" className="button primary" data-pending={busy || undefined}>
          {t(on ? "inv.bulk_tag" : "inv.bulk_untag")}
        </Button>
      </div>
    </form>
  );
}
