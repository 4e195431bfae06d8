import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useRef, useState } from "react";
import { Button, Form } from "react-aria-components";
import { api, value } from "../../api/client.ts";
import { keys, tokensQuery } from "../../api/queries.ts";
import type { Token, TokenMade } from "../../api/types.ts";
import { say, t } from "../../text.ts";
import { useMinute } from "../../ui/clock.ts";
import { CopyButton } from "../../ui/copy.tsx";
import { Confirm } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { Checks, Choose, TextInput } from "../../ui/form.tsx";
import { SCOPES, type Scope, scopeName } from "../../ui/role.ts";
import { Empty, Failed, Loading } from "../../ui/states.tsx";
import { useTitle } from "../../ui/title.ts";
import { toast } from "../../ui/toast.tsx";

const DAY_MS = 86_400_000;
const DAYS = ["7", "30", "90", "365", "never"] as const;
type Days = (typeof DAYS)[number];
/** The server's own bound. */
const NAME_CHARS_MAX = 200;

/** Tokens by which programs act as oneself. */
export function TokensPage() {
  useTitle(t("settings.tokens"));
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
    <section className="card stack reading" aria-labelledby="tokens-title">
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
                    ? t("settings.token_used", { when: say.ago(token.last_used_at, now) })
                    : t("settings.token_unused")}
                  {token.expires_at &&
                    `, ${t(Date.parse(token.expires_at) > now ? "tokens.ends" : "tokens.ended", {
                      when: say.moment(token.expires_at, now),
                    })}`}
                </p>
                <p className="muted small">
                  {token.scopes.length === SCOPES.length
                    ? t("tokens.everything")
                    : t("tokens.may", { scopes: token.scopes.map(scopeName).join(", ") })}
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
  const [scopes, setScopes] = useState<Scope[]>(["read"]);
  const [days, setDays] = useState<Days>("90");
  const [tried, setTried] = useState(false);
  const create = useMutation({
    mutationFn: () => {
      const expires_at = days === "never" ? null : new Date(Date.now() + Number(days) * DAY_MS).toISOString();
      return value(api.POST("/api/v1/tokens", { body: { name: name.trim(), scopes, expires_at } }));
    },
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
    if (name.trim() !== "" && scopes.length > 0 && !create.isPending) create.mutate();
  };
  return (
    <Form className="stack" onSubmit={submit} validationBehavior="aria">
      <TextInput
        label={t("settings.token_name")}
        placeholder={t("settings.token_placeholder")}
        error={tried && name.trim() === "" ? t("settings.token_missing") : undefined}
        value={name}
        onChange={(typed) => setName(typed.slice(0, NAME_CHARS_MAX))}
      />
      <Checks
        label={t("tokens.scopes")}
        hint={t("tokens.scopes_hint")}
        error={tried && scopes.length === 0 ? t("tokens.scopes_missing") : undefined}
        values={scopes}
        onChange={setScopes}
        choices={SCOPES.map((id) => ({ id, name: scopeName(id), text: t(`tokens.scope_${id}_text`) }))}
      />
      <Choose
        className="short"
        label={t("tokens.expires")}
        value={days}
        onChange={(next) => setDays(next)}
        choices={DAYS.map((id) => ({ id, name: t(`tokens.expires_${id}`) }))}
      />
      {create.error && (
        <p className="notice danger" role="alert">
          {failureText(create.error)}
        </p>
      )}
      <div className="form-actions">
        <Button type="submit" className="button primary" data-pending={create.isPending || undefined}>
          {create.isPending ? t("settings.token_creating") : t("settings.token_create")}
        </Button>
      </div>
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
