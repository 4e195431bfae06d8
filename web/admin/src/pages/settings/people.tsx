import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useRef, useState } from "react";
import { Button, Form } from "react-aria-components";
import { accountsChanged, teamsQuery, usersQuery } from "../../api/account.ts";
import { api, value } from "../../api/client.ts";
import { ApiError } from "../../api/problem.ts";
import { meQuery } from "../../api/queries.ts";
import type { Account, Team } from "../../api/types.ts";
import { say, t } from "../../text.ts";
import { useMinute } from "../../ui/clock.ts";
import { CopyButton } from "../../ui/copy.tsx";
import { Sheet } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { Checks, Choose, TextInput } from "../../ui/form.tsx";
import { useMay } from "../../ui/rights.ts";
import { ROLES, type Role, roleName } from "../../ui/role.ts";
import { Failed, Loading } from "../../ui/states.tsx";
import { useTitle } from "../../ui/title.ts";
import { toast } from "../../ui/toast.tsx";
import { PersonSheet } from "./person.tsx";
import { Teams } from "./teams.tsx";

/** What people are called by others. */
export function callName(account: Pick<Account, "name" | "username">): string {
  return account.name === "" ? account.username : account.name;
}

/** A password that opens an account once, while it is shown. */
export interface Once {
  readonly name: string;
  readonly password: string;
}

/** Who has an account, what they may do, and whose events are theirs. */
export function PeoplePage() {
  useTitle(t("settings.tab_people"));
  const teams = useQuery(teamsQuery);
  return (
    <div className="stack reading">
      <People teams={teams.data?.data ?? []} />
      {teams.isError ? (
        <Failed error={teams.error} retry={() => void teams.refetch()} />
      ) : (
        <Teams teams={teams.data?.data} />
      )}
    </div>
  );
}

function People({ teams }: { teams: readonly Team[] }) {
  const users = useInfiniteQuery(usersQuery);
  const me = useQuery(meQuery).data;
  const [adding, setAdding] = useState(false);
  const [changing, setChanging] = useState<string | null>(null);
  const [once, setOnce] = useState<Once | null>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const list = users.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <section className="card stack" aria-labelledby="accounts-title">
      <div className="setting">
        <div className="row-main">
          <h2 id="accounts-title" ref={heading} tabIndex={-1}>
            {t("accounts.title")}
          </h2>
          <p className="muted">{t("accounts.text")}</p>
        </div>
        <Button className="button primary" onPress={() => setAdding(true)}>
          {t("accounts.add")}
        </Button>
      </div>
      {users.isPending && <Loading />}
      {users.isError && <Failed error={users.error} retry={() => void users.refetch()} />}
      {list.length > 0 && (
        <ul className="plain-rows" aria-label={t("accounts.list")}>
          {list.map((account) => (
            <Person
              key={account.id}
              account={account}
              teams={teams}
              self={account.id === me?.id}
              change={() => setChanging(account.id)}
            />
          ))}
        </ul>
      )}
      {users.hasNextPage && (
        <Button
          className="button"
          onPress={() => void users.fetchNextPage()}
          data-pending={users.isFetchingNextPage || undefined}
        >
          {t("action.more")}
        </Button>
      )}
      <Sheet title={t("accounts.add_title")} open={adding} onOpenChange={setAdding}>
        <NewPerson
          teams={teams}
          onMade={(made) => {
            setAdding(false);
            setOnce(made);
          }}
        />
      </Sheet>
      <PersonSheet
        account={list.find(({ id }) => id === changing)}
        self={changing !== null && changing === me?.id}
        teams={teams}
        close={() => setChanging(null)}
        onOnce={(given) => {
          setChanging(null);
          setOnce(given);
        }}
        landing={heading}
      />
      <OncePassword once={once} close={() => setOnce(null)} />
    </section>
  );
}

interface PersonProps {
  account: Account;
  teams: readonly Team[];
  self: boolean;
  change(): void;
}

function Person({ account, teams, self, change }: PersonProps) {
  const now = useMinute();
  const name = callName(account);
  const mine = teams.filter(({ id }) => account.teams.includes(id)).map((team) => team.name);
  const facts = [
    roleName(account.role),
    ...mine,
    account.last_seen_at
      ? t("accounts.seen", { when: say.ago(account.last_seen_at, now) })
      : t("accounts.unseen"),
  ];
  return (
    <li className="plain-row">
      <div className="row-main">
        <p className="row-title">
          {name} {account.name !== "" && <span className="muted small">{account.username}</span>}{" "}
          {self && <span className="tag">{t("accounts.you")}</span>}
        </p>
        <p className="muted small">{facts.join(" · ")}</p>
        <States account={account} />
      </div>
      <Button className="button small" aria-label={t("accounts.change_of", { name })} onPress={change}>
        {t("accounts.change")}
      </Button>
    </li>
  );
}

/** What somebody who looks after accounts should notice. */
function States({ account }: { account: Account }) {
  const states = [
    account.disabled_at && { tone: "danger", words: t("accounts.disabled") },
    account.waiting && { tone: "warn", words: t("accounts.not_chosen") },
    account.provider && { tone: "plain", words: t("accounts.by_provider") },
    !account.provider &&
      !account.second_factor &&
      !account.waiting && { tone: "plain", words: t("accounts.no_second") },
  ].filter((state) => typeof state === "object" && state !== null);
  if (states.length === 0) return null;
  return (
    <p className="cluster">
      {states.map(({ tone, words }) => (
        <span key={words} className="state" data-tone={tone}>
          {words}
        </span>
      ))}
    </p>
  );
}

/** The roles that the person signed in may give. */
export function useRoleChoices(present?: string) {
  const owners = useMay("govern_owners");
  return ROLES.filter((id) => id !== "owner" || owners || present === "owner").map((id) => ({
    id,
    name: roleName(id),
    text: t(`role.${id}_text`),
  }));
}

function NewPerson({ teams, onMade }: { teams: readonly Team[]; onMade(once: Once): void }) {
  const client = useQueryClient();
  const roles = useRoleChoices();
  const [username, setUsername] = useState("");
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("organiser");
  const [chosen, setChosen] = useState<string[]>([]);
  const [tried, setTried] = useState(false);
  const make = useMutation({
    mutationFn: () =>
      value(
        api.POST("/api/v1/users", {
          body: { username: username.trim(), name: name.trim(), role, teams: chosen },
        }),
      ),
    onSuccess: (made) => {
      toast(t("accounts.made", { name: callName(made) }));
      onMade({ name: callName(made), password: made.one_time_password });
      void accountsChanged(client);
    },
    // The password is nobody's once it is not shown.
    gcTime: 0,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (username.trim() !== "" && !make.isPending) make.mutate();
  };
  const said = make.error instanceof ApiError ? make.error.failure.fields : {};
  return (
    <Form className="stack" onSubmit={submit} validationBehavior="aria">
      <TextInput
        label={t("accounts.username")}
        hint={t("accounts.username_hint")}
        error={tried && username.trim() === "" ? t("accounts.username_missing") : said.username}
        value={username}
        onChange={setUsername}
        autoFocus
      />
      <TextInput
        label={t("accounts.name")}
        hint={t("accounts.name_hint")}
        error={said.name}
        value={name}
        onChange={setName}
      />
      <Choose label={t("accounts.role")} value={role} onChange={(next) => setRole(next)} choices={roles} />
      <TeamChoice teams={teams} chosen={chosen} onChange={setChosen} />
      {make.error && said.username === undefined && said.name === undefined && (
        <p className="notice danger" role="alert">
          {failureText(make.error)}
        </p>
      )}
      <div className="sheet-actions">
        <Button type="submit" className="button primary" data-pending={make.isPending || undefined}>
          {t("accounts.make")}
        </Button>
      </div>
    </Form>
  );
}

interface TeamChoiceProps {
  teams: readonly Team[];
  chosen: readonly string[];
  onChange(chosen: string[]): void;
}

export function TeamChoice({ teams, chosen, onChange }: TeamChoiceProps) {
  if (teams.length === 0) return null;
  return (
    <Checks
      label={t("accounts.teams")}
      hint={t("accounts.teams_hint")}
      values={chosen}
      onChange={onChange}
      choices={teams.map(({ id, name }) => ({ id, name }))}
    />
  );
}

/** Shown once: it closes only by its button. */
function OncePassword({ once, close }: { once: Once | null; close(): void }) {
  return (
    <Sheet
      title={t("accounts.once_title", { name: once?.name ?? "" })}
      open={once !== null}
      onOpenChange={(open) => !open && close()}
      role="alertdialog"
    >
      {once && (
        <div className="stack">
          <p className="muted">{t("accounts.once")}</p>
          <div className="copyable">
            <code>{once.password}</code>
            <CopyButton text={once.password} said={t("accounts.once_copied")}>
              {t("action.copy")}
            </CopyButton>
          </div>
          <div className="sheet-actions">
            <Button className="button primary" onPress={close}>
              {t("accounts.done")}
            </Button>
          </div>
        </div>
      )}
    </Sheet>
  );
}
