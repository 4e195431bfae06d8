import { useMutation, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, useRouter } from "@tanstack/react-router";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { Button, FieldError, Form, Input, Label, TextField } from "react-aria-components";
import { api, value } from "../api/client.ts";
import { ApiError } from "../api/problem.ts";
import { keys } from "../api/queries.ts";
import { t } from "../text.ts";
import { useNow } from "../ui/clock.ts";
import { DoorArt } from "../ui/door-art.tsx";
import { failureText } from "../ui/failure.ts";
import { Icon, Mark } from "../ui/icon.tsx";
import { useTitle } from "../ui/title.ts";
import { duration } from "../ui/words.ts";

const route = getRouteApi("/sign-in");
/** When the server says "later" but not when. */
const THROTTLED_DEFAULT_S = 60;

export function SignInPage() {
  useTitle(t("sign_in.page"));
  const { next = "/", expired } = route.useSearch();
  const router = useRouter();
  const client = useQueryClient();
  const [shown, setShown] = useState(false);
  const [missing, setMissing] = useState(false);
  const [blockedUntil, setBlockedUntil] = useState<number | null>(null);
  const password = useRef<HTMLInputElement>(null);

  const signIn = useMutation({
    mutationKey: ["sign-in"],
    mutationFn: (body: { username: string; password: string }) => value(api.POST("/api/v1/login", { body })),
    onSuccess: (me) => {
      client.setQueryData(keys.me, me);
      void router
        .navigate({ href: next, replace: true })
        .then(() => document.getElementById("content")?.focus({ preventScroll: true }));
    },
    onError: (error) => {
      if (error instanceof ApiError && error.failure.status === 429) {
        setBlockedUntil(Date.now() + (error.failure.retryAfter ?? THROTTLED_DEFAULT_S) * 1_000);
      } else {
        password.current?.select();
        password.current?.focus();
      }
    },
  });

  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const body = {
      username: String(form.get("username") ?? "").trim(),
      password: String(form.get("password") ?? ""),
    };
    const incomplete = body.username === "" || body.password === "";
    setMissing(incomplete);
    if (!incomplete && !signIn.isPending) signIn.mutate(body);
  };

  const status = signIn.error instanceof ApiError ? signIn.error.failure.status : null;
  const wrong = status === 401 || status === 403;
  return (
    <div className="door">
      <div className="door-art" aria-hidden="true">
        <DoorArt />
      </div>
      <main className="door-form" id="content">
        <div className="brand">
          <Mark />
          <span>{t("app.name")}</span>
        </div>
        <div className="stack door-head">
          <h1>{t("sign_in.title")}</h1>
          <p className="muted">{t("sign_in.lead")}</p>
        </div>
        {expired && !signIn.error && <p className="notice info">{t("sign_in.expired")}</p>}
        <div role="alert" className="door-alert">
          {missing && <p className="notice danger">{t("sign_in.missing")}</p>}
          {!missing && wrong && !signIn.isPending && <p className="notice danger">{t("sign_in.wrong")}</p>}
          {!missing && signIn.error && !wrong && status !== 429 && (
            <p className="notice danger">{failureText(signIn.error)}</p>
          )}
        </div>
        {blockedUntil !== null && <Throttled until={blockedUntil} over={() => setBlockedUntil(null)} />}
        <Form className="stack" onSubmit={submit} validationBehavior="aria">
          <TextField name="username" className="field" autoComplete="username" isInvalid={wrong}>
            <Label>{t("sign_in.username")}</Label>
            <Input className="input" autoFocus autoCapitalize="none" spellCheck="false" />
            <FieldError className="error" />
          </TextField>
          <TextField
            name="password"
            className="field"
            type={shown ? "text" : "password"}
            autoComplete="current-password"
            isInvalid={wrong}
          >
            <Label>{t("sign_in.password")}</Label>
            <div className="input-with">
              <Input className="input" ref={password} autoCapitalize="none" spellCheck="false" />
              <Button
                className="button quiet icon"
                aria-label={shown ? t("sign_in.hide") : t("sign_in.show")}
                onPress={() => setShown(!shown)}
              >
                <Icon name={shown ? "eyeOff" : "eye"} />
              </Button>
            </div>
          </TextField>
          <Button
            type="submit"
            className="button primary wide"
            isDisabled={blockedUntil !== null}
            data-pending={signIn.isPending || undefined}
          >
            {signIn.isPending ? t("sign_in.pending") : t("sign_in.submit")}
          </Button>
        </Form>
        <p className="small muted door-note">{t("sign_in.first")}</p>
      </main>
    </div>
  );
}

/** The countdown is drawn each second but announced once: a screen reader should not count along. */
function Throttled({ until, over }: { until: number; over(): void }) {
  const now = useNow();
  const left = until - now;
  const [announced] = useState(() => t("sign_in.throttled", { wait: duration(until - Date.now()) }));
  useEffect(() => {
    if (left <= 0) over();
  }, [left, over]);
  return (
    <div className="notice warn">
      <p className="visually-hidden" role="alert">
        {announced}
      </p>
      <p aria-hidden="true">{t("sign_in.throttled", { wait: duration(left) })}</p>
    </div>
  );
}
