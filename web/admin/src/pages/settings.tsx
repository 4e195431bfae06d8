import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useRef, useState } from "react";
import { Button, FieldError, Form, Input, Label, TextField } from "react-aria-components";
import { api, value } from "../api/client.ts";
import { keys, tokensQuery } from "../api/queries.ts";
import type { Token, TokenMade } from "../api/types.ts";
import { say, t } from "../text.ts";
import { useMinute } from "../ui/clock.ts";
import { CopyButton } from "../ui/copy.tsx";
import { Confirm } from "../ui/dialog.tsx";
import { failureText } from "../ui/failure.ts";
import { Empty, Failed, Loading } from "../ui/states.tsx";
import { useTitle } from "../ui/title.ts";
import { toast } from "../ui/toast.tsx";

export function SettingsPage() {
  useTitle(t("settings.title"));
  return (
    <div className="stack narrow">
      <h1>{t("settings.title")}</h1>
      <Tokens />
    </div>
  );
}

function Tokens() {
  const tokens = useQuery(tokensQuery);
  const client = useQueryClient();
  const now = useMinute();
  const [made, setMade] = useState<TokenMade | null>(null);
  const [revoking, setRevoking] = useState<Token | null>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const list = tokens.data?.data ?? [];

  const revoke = async ({ id }: Token) => {
    await value(api.DELETE("/api/v1/tokens/{token}", { params: { path: { token: id } } }));
    if (made?.id === id) setMade(null);
    await client.invalidateQueries({ queryKey: keys.tokens });
  };

  return (
    <section className="card stack" aria-labelledby="tokens-title">
      <div className="stack tight">
        <h2 id="tokens-title" ref={heading} tabIndex={-1}>
          {t("settings.tokens")}
        </h2>
        <p className="muted">{t("settings.tokens_text")}</p>
        <p className="muted small">
          <a href="/api/v1/openapi.json">{t("settings.docs")}</a>
        </p>
      </div>
      <NewToken onMade={setMade} />
      {made && <MadeToken token={made} />}
      {tokens.isPending && <Loading />}
      {tokens.isError && <Failed error={tokens.error} retry={() => void tokens.refetch()} />}
      {tokens.isSuccess && list.length === 0 && (
        <Empty icon="key" title={t("settings.token_empty")}>
          {t("settings.token_empty_text")}
        </Empty>
      )}
      {list.length > 0 && (
        <ul className="plain-rows" aria-label={t("settings.token_list")}>
          {list.map((token) => (
            <li key={token.id} className="plain-row">
              <div className="row-main">
                <p className="row-title">
                  {token.name} <code className="muted">{token.hint}</code>
                </p>
                <p className="muted small">
                  {t("settings.token_made", { when: say.moment(token.created_at, now) })}
                  {", "}
                  {token.last_used_at
                    ? t("settings.token_used", { when: say.relative(token.last_used_at, now) })
                    : t("settings.token_unused")}
                </p>
              </div>
              <Button
                className="button small"
                aria-label={t("settings.token_revoke_of", { name: token.name })}
                onPress={() => setRevoking(token)}
              >
                {t("settings.token_revoke")}
              </Button>
            </li>
          ))}
        </ul>
      )}
      <Confirm
        title={t("settings.token_revoke_title", { name: revoking?.name ?? "" })}
        text={t("settings.token_revoke_text")}
        confirm={t("settings.token_revoke")}
        open={revoking !== null}
        onOpenChange={(open) => !open && setRevoking(null)}
        act={async () => revoking && revoke(revoking)}
        after={() => toast(t("settings.token_revoked"))}
        landing={heading}
      />
    </section>
  );
}

function NewToken({ onMade }: { onMade(token: TokenMade): void }) {
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [tried, setTried] = useState(false);
  const create = useMutation({
    mutationFn: () => value(api.POST("/api/v1/tokens", { body: { name: name.trim() } })),
    onSuccess: (token) => {
      setName("");
      setTried(false);
      onMade(token);
      void client.invalidateQueries({ queryKey: keys.tokens });
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (name.trim() !== "" && !create.isPending) create.mutate();
  };
  const error = tried && name.trim() === "" ? t("settings.token_missing") : undefined;
  return (
    <Form className="inline-form" onSubmit={submit} validationBehavior="aria">
      <TextField
        className="field grow"
        value={name}
        onChange={setName}
        isInvalid={error !== undefined}
        maxLength={100}
        autoComplete="off"
      >
        <Label>{t("settings.token_name")}</Label>
        <Input className="input" placeholder={t("settings.token_placeholder")} />
        <FieldError className="error">{error}</FieldError>
      </TextField>
      <Button type="submit" className="button primary" data-pending={create.isPending || undefined}>
        {create.isPending ? t("settings.token_creating") : t("settings.token_create")}
      </Button>
      {create.error && (
        <p className="notice danger" role="alert">
          {failureText(create.error)}
        </p>
      )}
    </Form>
  );
}

function MadeToken({ token }: { token: TokenMade }) {
  return (
    <div className="notice ok stack tight appear" role="status">
      <p className="notice-title">{t("settings.token_new", { name: token.name })}</p>
      <div className="copyable">
        <code>{token.token}</code>
        <CopyButton text={token.token} said={t("settings.token_copied")}>
          {t("action.copy")}
        </CopyButton>
      </div>
      <p className="small">{t("settings.token_once")}</p>
    </div>
  );
}
