import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type RefObject, useState } from "react";
import { Button, Form } from "react-aria-components";
import { accountsChanged } from "../../api/account.ts";
import { api, value } from "../../api/client.ts";
import { ApiError } from "../../api/problem.ts";
import { keys } from "../../api/queries.ts";
import type { Account, Team } from "../../api/types.ts";
import { t } from "../../text.ts";
import { Confirm, Sheet } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { Choose, TextInput } from "../../ui/form.tsx";
import { useMay } from "../../ui/rights.ts";
import type { Role } from "../../ui/role.ts";
import { toast } from "../../ui/toast.tsx";
import { callName, type Once, TeamChoice, useRoleChoices } from "./people.tsx";

interface PersonSheetProps {
  account: Account | undefined;
  self: boolean;
  teams: readonly Team[];
  close(): void;
  onOnce(once: Once): void;
  landing: RefObject<HTMLElement | null>;
}

type Act = "password" | "forget" | "disable" | "delete";

/** One account: what it may do, and help when something is lost. */
export function PersonSheet({ account, self, teams, close, onOnce, landing }: PersonSheetProps) {
  const client = useQueryClient();
  const owners = useMay("govern_owners");
  const [act, setAct] = useState<Act | null>(null);
  const name = account ? callName(account) : "";
  const mayNot = account?.role === "owner" && !owners;
  const user = account?.id ?? "";

  const enable = useMutation({
    mutationFn: () =>
      value(api.PATCH("/api/v1/users/{user}", { params: { path: { user } }, body: { disabled: false } })),
    onSuccess: () => {
      toast(t("accounts.enable_done", { name }));
      return accountsChanged(client);
    },
    onError: (error) => toast(failureText(error)),
  });

  const path = { params: { path: { user } } };
  const acts: Record<Act, () => Promise<unknown>> = {
    password: async () => {
      const given = await value(api.POST("/api/v1/users/{user}/password", path));
      onOnce({ name, password: given.one_time_password });
    },
    forget: () => value(api.DELETE("/api/v1/users/{user}/second-factor", path)),
    disable: () => value(api.PATCH("/api/v1/users/{user}", { ...path, body: { disabled: true } })),
    delete: async () => {
      await value(api.DELETE("/api/v1/users/{user}", path));
      close();
    },
  };
  const done: Record<Act, string | null> = {
    password: null,
    forget: t("accounts.forget_done", { name }),
    disable: t("accounts.disable_done", { name }),
    delete: t("accounts.delete_done", { name }),
  };
  const words: Record<Act, { title: string; text: string; confirm: string }> = {
    password: {
      title: t("accounts.reset_password_title", { name }),
      text: t("accounts.reset_password_text"),
      confirm: t("accounts.reset_password_confirm"),
    },
    forget: {
      title: t("accounts.forget_title", { name }),
      text: t("accounts.forget_text", { name }),
      confirm: t("accounts.forget_confirm"),
    },
    disable: {
      title: t("accounts.disable_title", { name }),
      text: t("accounts.disable_text"),
      confirm: t("accounts.disable_confirm"),
    },
    delete: {
      title: t("accounts.delete_title", { name }),
      text: t("accounts.delete_text"),
      confirm: t("accounts.delete_confirm"),
    },
  };
  // While the dialog fades out its words stay.
  const [said, setSaid] = useState(words.password);
  const ask = (which: Act) => {
    setSaid(words[which]);
    setAct(which);
  };

  return (
    <>
      <Sheet
        title={t("accounts.change_title", { name })}
        open={account !== undefined}
        onOpenChange={(open) => !open && close()}
      >
        {account && mayNot && <p className="notice">{t("accounts.owner_only")}</p>}
        {account && !mayNot && (
          <div className="stack">
            <Change key={account.id} account={account} self={self} teams={teams} close={close} />
            {!self && (
              <section className="stack tight" aria-label={t("accounts.help")}>
                <hr />
                <div className="cluster">
                  <Button className="button small" onPress={() => ask("password")}>
                    {t("accounts.reset_password")}
                  </Button>
                  {account.second_factor && (
                    <Button className="button small" onPress={() => ask("forget")}>
                      {t("accounts.forget")}
                    </Button>
                  )}
                  {account.disabled_at ? (
                    <Button
                      className="button small"
                      onPress={() => !enable.isPending && enable.mutate()}
                      data-pending={enable.isPending || undefined}
                    >
                      {t("accounts.enable")}
                    </Button>
                  ) : (
                    <Button className="button small" onPress={() => ask("disable")}>
                      {t("accounts.disable")}
                    </Button>
                  )}
                  <Button className="button danger small" onPress={() => ask("delete")}>
                    {t("accounts.delete")}
                  </Button>
                </div>
              </section>
            )}
          </div>
        )}
      </Sheet>
      <Confirm
        {...said}
        open={act !== null}
        onOpenChange={(open) => !open && setAct(null)}
        act={async () => act !== null && (await acts[act]())}
        after={() => {
          const sentence = act === null ? null : done[act];
          if (sentence !== null) toast(sentence);
          void accountsChanged(client);
        }}
        {...(act === "delete" ? { landing } : {})}
      />
    </>
  );
}

interface ChangeProps {
  account: Account;
  self: boolean;
  teams: readonly Team[];
  close(): void;
}

function Change({ account, self, teams, close }: ChangeProps) {
  const client = useQueryClient();
  const roles = useRoleChoices(account.role);
  const [name, setName] = useState(account.name);
  const [role, setRole] = useState(account.role as Role);
  const [chosen, setChosen] = useState<string[]>([...account.teams]);
  const save = useMutation({
    mutationFn: async () => {
      const body = {
        ...(name.trim() === account.name ? {} : { name: name.trim() }),
        ...(role === account.role ? {} : { role }),
      };
      const user = account.id;
      if (Object.keys(body).length > 0) {
        await value(api.PATCH("/api/v1/users/{user}", { params: { path: { user } }, body }));
      }
      const member = "/api/v1/teams/{team}/members/{user}";
      for (const team of chosen.filter((id) => !account.teams.includes(id))) {
        await value(api.PUT(member, { params: { path: { team, user } } }));
      }
      for (const team of account.teams.filter((id) => !chosen.includes(id))) {
        await value(api.DELETE(member, { params: { path: { team, user } } }));
      }
    },
    onSuccess: () => {
      toast(t("accounts.saved", { name: callName({ ...account, name: name.trim() }) }));
      close();
    },
    onSettled: () => {
      void accountsChanged(client);
      if (self) void client.invalidateQueries({ queryKey: keys.me });
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!save.isPending) save.mutate();
  };
  const said = save.error instanceof ApiError ? save.error.failure.fields : {};
  return (
    <Form className="stack" onSubmit={submit} validationBehavior="aria">
      <p className="muted">{account.username}</p>
      <TextInput label={t("accounts.name")} error={said.name} value={name} onChange={setName} />
      <Choose
        label={t("accounts.role")}
        error={said.role}
        value={role}
        onChange={(next) => setRole(next)}
        choices={roles}
      />
      <TeamChoice teams={teams} chosen={chosen} onChange={setChosen} />
      {save.error && said.name === undefined && said.role === undefined && (
        <p className="notice danger" role="alert">
          {failureText(save.error)}
        </p>
      )}
      <div className="sheet-actions">
        <Button type="submit" className="button primary" data-pending={save.isPending || undefined}>
          {t("accounts.save")}
        </Button>
      </div>
    </Form>
  );
}
