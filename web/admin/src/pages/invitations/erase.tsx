/** Forgetting a person for good: asked for with their name, since nothing brings them back. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";
import { erase } from "../../api/personal.ts";
import { peopleChanged } from "../../api/queries.ts";
import type { Event, InvitationDetail } from "../../api/types.ts";
import { fold } from "../../model/people.ts";
import { t } from "../../text.ts";
import { Sheet } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { TextInput } from "../../ui/form.tsx";
import { toast } from "../../ui/toast.tsx";

interface EraseProps {
  event: Event;
  person: InvitationDetail | null;
  close(): void;
}

export function Erase({ event, person, close }: EraseProps) {
  return (
    <Sheet
      title={t("inv.erase_title", { name: person?.name ?? "" })}
      open={person !== null}
      onOpenChange={(open) => !open && close()}
    >
      {person && <Typed event={event} person={person} close={close} />}
    </Sheet>
  );
}

function Typed({ event, person, close }: { event: Event; person: InvitationDetail; close(): void }) {
  const client = useQueryClient();
  const [typed, setTyped] = useState("");
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const same = fold(typed.trim()) === fold(person.name.trim());
  const run = async () => {
    setTried(true);
    if (!same || busy) return;
    setBusy(true);
    setError(null);
    try {
      await erase(event.id, person.id);
      await peopleChanged(client, event.id);
      toast(t("inv.erase_done"));
      close();
    } catch (cause) {
      setError(cause);
      setBusy(false);
    }
  };
  return (
    <form
      className="stack"
      noValidate
      onSubmit={(pressed) => {
        pressed.preventDefault();
        void run();
      }}
    >
      <p className="muted">{t("inv.erase_text")}</p>
      <TextInput
        label={t("inv.erase_type", { name: person.name })}
        value={typed}
        onChange={setTyped}
        error={tried && !same ? t("inv.erase_wrong") : undefined}
        autoFocus
      />
      {error !== null && (
        <p className="notice danger" role="alert">
          {failureText(error)}
        </p>
      )}
      <div className="sheet-actions">
        <Button className="button" onPress={close} isDisabled={busy}>
          {t("action.cancel")}
        </Button>
        <Button type="submit" className="button danger solid" data-pending={busy || undefined}>
          {t("inv.erase_confirm")}
        </Button>
      </div>
    </form>
  );
}
