import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useRef, useState } from "react";
import { Button, Form } from "react-aria-components";
import { accountsChanged } from "../../api/account.ts";
import { api, value } from "../../api/client.ts";
import { ApiError } from "../../api/problem.ts";
import { keys } from "../../api/queries.ts";
import type { Team } from "../../api/types.ts";
import { say, t } from "../../text.ts";
import { Confirm, Sheet } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { TextInput } from "../../ui/form.tsx";
import { Empty, Loading } from "../../ui/states.tsx";
import { toast } from "../../ui/toast.tsx";

/** Teams by name: made, renamed, deleted. Who is in which is chosen at the person. */
export function Teams({ teams }: { teams: readonly Team[] | undefined }) {
  const client = useQueryClient();
  const [renaming, setRenaming] = useState<Team | null>(null);
  const [deleting, setDeleting] = useState<Team | null>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const changed = () => {
    void accountsChanged(client);
    void client.invalidateQueries({ queryKey: keys.me });
  };
  return (
    <section className="card stack" aria-labelledby="teams-title">
      <div className="stack tight">
        <h2 id="teams-title" ref={heading} tabIndex={-1}>
          {t("teams.title")}
        </h2>
        <p className="muted">{t("teams.text")}</p>
      </div>
      {teams === undefined && <Loading lines={2} />}
      {teams?.length === 0 && (
        <Empty icon="people" title={t("teams.empty")}>
          {t("teams.empty_text")}
        </Empty>
      )}
      {teams !== undefined && teams.length > 0 && (
        <ul className="plain-rows" aria-label={t("teams.list")}>
          {teams.map((team) => (
            <li key={team.id} className="plain-row">
              <div className="row-main">
                <p className="row-title">{team.name}</p>
                <p className="muted small tabular">
                  {t("teams.members", { n: team.members.length, count: say.number(team.members.length) })}
                </p>
              </div>
              <div className="cluster">
                <Button
                  className="button small"
                  aria-label={t("teams.rename_of", { name: team.name })}
                  onPress={() => setRenaming(team)}
                >
                  {t("teams.rename")}
                </Button>
                <Button
                  className="button small"
                  aria-label={t("teams.delete_of", { name: team.name })}
                  onPress={() => setDeleting(team)}
                >
                  {t("teams.delete")}
                </Button>
              </div>
            </li>
          ))}
        </ul>
      )}
      <NewTeam onMade={changed} />
      <Sheet
        title={t("teams.rename_title")}
        open={renaming !== null}
        onOpenChange={(open) => !open && setRenaming(null)}
      >
        {renaming && (
          <Rename
            team={renaming}
            onDone={() => {
              setRenaming(null);
              changed();
            }}
          />
        )}
      </Sheet>
      <Confirm
        title={t("teams.delete_title", { name: deleting?.name ?? "" })}
        text={t("teams.delete_text")}
        confirm={t("teams.delete")}
        open={deleting !== null}
        onOpenChange={(open) => !open && setDeleting(null)}
        act={async () => {
          if (deleting === null) return;
          await value(api.DELETE("/api/v1/teams/{team}", { params: { path: { team: deleting.id } } }));
        }}
        after={() => {
          toast(t("teams.deleted"));
          changed();
        }}
        landing={heading}
      />
    </section>
  );
}

/** What is wrong with a name: that there is none, or what the server says of it. */
function nameError(tried: boolean, name: string, error: unknown): string | undefined {
  if (tried && name.trim() === "") return t("teams.missing");
  if (error instanceof ApiError) return error.failure.fields.name ?? failureText(error);
  return error ? failureText(error) : undefined;
}

function NewTeam({ onMade }: { onMade(): void }) {
  const [name, setName] = useState("");
  const [tried, setTried] = useState(false);
  const create = useMutation({
    mutationFn: () => value(api.POST("/api/v1/teams", { body: { name: name.trim() } })),
    onSuccess: (team) => {
      setName("");
      setTried(false);
      toast(t("teams.created", { name: team.name }));
      onMade();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (name.trim() !== "" && !create.isPending) create.mutate();
  };
  return (
    <Form className="inline-form" onSubmit={submit} validationBehavior="aria">
      <TextInput
        className="grow"
        label={t("teams.new")}
        placeholder={t("teams.placeholder")}
        error={nameError(tried, name, create.error)}
        value={name}
        onChange={(typed) => {
          setName(typed);
          setTried(false);
          if (create.error) create.reset();
        }}
      />
      <Button type="submit" className="button" data-pending={create.isPending || undefined}>
        {t("teams.create")}
      </Button>
    </Form>
  );
}

function Rename({ team, onDone }: { team: Team; onDone(): void }) {
  const [name, setName] = useState(team.name);
  const [tried, setTried] = useState(false);
  const rename = useMutation({
    mutationFn: () =>
      value(
        api.PATCH("/api/v1/teams/{team}", {
          params: { path: { team: team.id } },
          body: { name: name.trim() },
        }),
      ),
    onSuccess: () => {
      toast(t("teams.renamed"));
      onDone();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (name.trim() !== "" && !rename.isPending) rename.mutate();
  };
  return (
    <Form className="stack" onSubmit={submit} validationBehavior="aria">
      <TextInput
        label={t("teams.name")}
        error={nameError(tried, name, rename.error)}
        value={name}
        onChange={setName}
        autoFocus
      />
      <div className="sheet-actions">
        <Button type="submit" className="button primary" data-pending={rename.isPending || undefined}>
          {t("accounts.save")}
        </Button>
      </div>
    </Form>
  );
}
