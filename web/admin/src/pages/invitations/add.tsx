/** One person more, with the code to hand over at the end. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "react-aria-components";
import { invite, tagsQuery } from "../../api/invitations.ts";
import { peopleChanged } from "../../api/queries.ts";
import type { Event, InvitationMade } from "../../api/types.ts";
import { type Draft, newBody, newDraft } from "../../model/invitee-form.ts";
import { t } from "../../text.ts";
import { CodeCard } from "../../ui/code-card.tsx";
import { Drawer } from "../../ui/dialog.tsx";
import { PersonForm } from "./person-form.tsx";

interface AddPersonProps {
  event: Event;
  open: boolean;
  onOpenChange(open: boolean): void;
}

export function AddPerson({ event, open, onOpenChange }: AddPersonProps) {
  return (
    <Drawer title={t("inv.add_title")} open={open} onOpenChange={onOpenChange}>
      {open && <Adding event={event} close={() => onOpenChange(false)} />}
    </Drawer>
  );
}

function Adding({ event, close }: { event: Event; close(): void }) {
  const client = useQueryClient();
  const tags = useQuery(tagsQuery(event.id));
  const [made, setMade] = useState<InvitationMade | null>(null);
  const add = useMutation({
    mutationFn: (draft: Draft) => invite(event.id, newBody(draft)),
    onSuccess: (invitation) => {
      setMade(invitation);
      void peopleChanged(client, event.id);
    },
  });
  if (made !== null) {
    return (
      <div className="stack">
        <CodeCard name={made.name} code={made} announce />
        <div className="form-actions">
          <Button
            className="button"
            onPress={() => {
              setMade(null);
              add.reset();
            }}
          >
            {t("inv.add_another")}
          </Button>
          <Button className="button primary" autoFocus onPress={close}>
            {t("inv.done")}
          </Button>
        </div>
      </div>
    );
  }
  return (
    <PersonForm
      initial={newDraft}
      knownTags={(tags.data ?? []).map(({ tag }) => tag)}
      submit={t("inv.add")}
      pending={add.isPending}
      error={add.error}
      onSubmit={(draft) => add.mutate(draft)}
      cancel={close}
    />
  );
}
