import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Button, Form } from "react-aria-components";
import { accountKeys, signInWaysQuery } from "../../api/account.ts";
import { api, value } from "../../api/client.ts";
import { ApiError } from "../../api/problem.ts";
import { keys, meQuery } from "../../api/queries.ts";
import type { SignInWays } from "../../api/types.ts";
import { t } from "../../text.ts";
import { Confirm } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { TextInput } from "../../ui/form.tsx";
import { roleName } from "../../ui/role.ts";
import { Failed, Loading } from "../../ui/states.tsx";
import { useTitle } from "../../ui/title.ts";
import { toast } from "../../ui/toast.tsx";
import { Browsers } from "./browsers.tsx";
import { SecondFactor } from "./factors.tsx";

/** The server's own bounds. */
const NAME_CHARS_MAX = 200;
const PASSWORD_CHARS_MIN = 12;

/** One's own account: who one is, and how one signs in. */
export function AccountPage() {
  useTitle(t("settings.tab_account"));
  const ways = useQuery(signInWaysQuery);
  return (
    <div className="stack reading">
      <You />
      {ways.isPending && <Loading lines={6} />}
      {ways.isError && <Failed error={ways.error} retry={() => void ways.refetch()} />}
      {ways.data && (
        <>
          <Password ways={ways.data} />
          <SecondFactor ways={ways.data} />
          {ways.data.provider && <Provider ways={ways.data} provider={ways.data.provider} />}
        </>
      )}
      <Browsers provider={ways.data?.provider ?? null} />
    </div>
  );
}

function You() {
  const me = useQuery(meQuery).data;
  const client = useQueryClient();
  const [name, setName] = useState(me?.name ?? "");
  const save = useMutation({
    mutationFn: () => value(api.PATCH("/api/v1/me", { body: { name: name.trim() } })),
    onSuccess: (changed) => {
      client.setQueryData(keys.me, changed);
      setName(changed.name);
      toast(t("account.name_saved"));
    },
  });
  if (!me) return null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!save.isPending) save.mutate();
  };
  const wrong = save.error instanceof ApiError ? save.error.failure.fields.name : undefined;
  return (
    <section className="card stack" aria-labelledby="you-title">
      <div className="stack tight">
        <h2 id="you-title">{t("account.you")}</h2>
        <p className="muted">
          {t("account.role", { role: roleName(me.role) })}{" "}
          {me.teams.length > 0 &&
            t("account.teams", { teams: me.teams.map(({ name: team }) => team).join(", ") })}
        </p>
      </div>
      <Form className="stack" onSubmit={submit} validationBehavior="aria">
        <TextInput
          label={t("account.name")}
          hint={t("account.name_hint", { username: me.username })}
          error={wrong}
          value={name}
          onChange={(typed) => setName(typed.slice(0, NAME_CHARS_MAX))}
          autoComplete="name"
        />
        {save.error && wrong === undefined && (
          <p className="notice danger" role="alert">
            {failureText(save.error)}
          </p>
        )}
        <div className="form-actions">
          <Button type="submit" className="button" data-pending={save.isPending || undefined}>
            {t("account.save")}
          </Button>
        </div>
      </Form>
    </section>
  );
}

function Password({ ways }: { ways: SignInWays }) {
  const client = useQueryClient();
  const username = useQuery(meQuery).data?.username ?? "";
  const [present, setPresent] = useState("");
  const [wanted, setWanted] = useState("");
  const [tried, setTried] = useState(false);
  const change = useMutation({
    mutationFn: () => value(api.PUT("/api/v1/me/password", { body: { present, new: wanted } })),
    onSuccess: () => {
      setPresent("");
      setWanted("");
      setTried(false);
      toast(t("account.password_changed"));
      void client.invalidateQueries({ queryKey: accountKeys.browsers });
    },
  });
  if (!ways.password) {
    return (
      <section className="card stack tight" aria-labelledby="password-title">
        <h2 id="password-title">{t("account.password")}</h2>
        <p className="muted">
          {ways.provider
            ? t("account.password_none", { provider: ways.provider })
            : t("account.password_none_at_all")}
        </p>
      </section>
    );
  }
  const short = [...wanted].length < PASSWORD_CHARS_MIN;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (present !== "" && !short && !change.isPending) change.mutate();
  };
  const failure = change.error instanceof ApiError ? change.error.failure : null;
  const notPresent = failure?.code === "wrong_confirmation";
  const presentError =
    tried && present === ""
      ? t("account.password_missing")
      : notPresent
        ? t("account.password_wrong")
        : undefined;
  return (
    <section className="card stack" aria-labelledby="password-title">
      <h2 id="password-title">{t("account.password")}</h2>
      <Form className="stack" onSubmit={submit} validationBehavior="aria">
        {/* By this, password managers know whose password it is. */}
        <input type="text" autoComplete="username" value={username} readOnly hidden />
        <TextInput
          type="password"
          autoComplete="current-password"
          label={t("account.password_present")}
          error={presentError}
          value={present}
          onChange={(typed) => {
            setPresent(typed);
            if (change.error) change.reset();
          }}
        />
        <TextInput
          type="password"
          autoComplete="new-password"
          label={t("account.password_new")}
          hint={t("account.password_hint")}
          error={tried && short ? t("sign_in.new_short") : failure?.fields.new}
          value={wanted}
          onChange={setWanted}
        />
        {change.error && !notPresent && failure?.fields.new === undefined && (
          <p className="notice danger" role="alert">
            {failureText(change.error)}
          </p>
        )}
        <div className="form-actions">
          <Button type="submit" className="button" data-pending={change.isPending || undefined}>
            {t("account.password_change")}
          </Button>
        </div>
      </Form>
    </section>
  );
}

function Provider({ ways, provider }: { ways: SignInWays; provider: string }) {
  const client = useQueryClient();
  const [asked, setAsked] = useState(false);
  const link = useMutation({
    mutationFn: () => value(api.POST("/api/v1/me/provider", { body: { next: "/settings", again: false } })),
    onSuccess: ({ url }) => location.assign(url),
  });
  return (
    <section className="card stack" aria-labelledby="provider-title">
      <div className="setting">
        <div className="row-main">
          <h2 id="provider-title">{t("account.provider", { provider })}</h2>
          <p className="muted">
            {t(ways.linked ? "account.provider_linked" : "account.provider_unlinked", { provider })}{" "}
            {ways.linked && !ways.password && t("account.provider_only")}
          </p>
        </div>
        {!ways.linked && (
          <Button className="button" onPress={() => link.mutate()} data-pending={link.isPending || undefined}>
            {t("account.provider_link")}
          </Button>
        )}
        {ways.linked && ways.password && (
          <Button className="button" onPress={() => setAsked(true)}>
            {t("account.provider_unlink")}
          </Button>
        )}
      </div>
      {link.error && (
        <p className="notice danger" role="alert">
          {failureText(link.error)}
        </p>
      )}
      <Confirm
        title={t("account.provider_unlink_title", { provider })}
        text={t("account.provider_unlink_text")}
        confirm={t("account.provider_unlink")}
        open={asked}
        onOpenChange={setAsked}
        act={() => value(api.DELETE("/api/v1/me/provider"))}
        after={() => {
          toast(t("account.provider_done"));
          void client.invalidateQueries({ queryKey: accountKeys.signIn });
        }}
      />
    </section>
  );
}
