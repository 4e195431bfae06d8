import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link, useRouter } from "@tanstack/react-router";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { Button, FieldError, Form, Input, Label, TextField } from "react-aria-components";
import { api, value } from "../api/client.ts";
import { browserHasPasskeys, NoPasskey, signInByPasskey } from "../api/passkeys.ts";
import { ApiError } from "../api/problem.ts";
import { keys, meQuery, waysQuery } from "../api/queries.ts";
import type { User } from "../api/types.ts";
import { problemOf } from "../model/sign-in.ts";
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
/** As the server wants it. */
const PASSWORD_MIN = 12;

export function SignInPage() {
  useTitle(t("sign_in.page"));
  const { next = "/", expired, problem } = route.useSearch();
  const router = useRouter();
  const client = useQueryClient();
  const [shown, setShown] = useState(false);
  const [missing, setMissing] = useState(false);
  const [blockedUntil, setBlockedUntil] = useState<number | null>(null);
  const [step, setStep] = useState<Step | null>(null);
  const password = useRef<HTMLInputElement>(null);
  const ways = useQuery(waysQuery);

  const enter = (me: User) => {
    client.setQueryData(keys.me, me);
    void router
      .navigate({ href: next, replace: true })
      .then(() => document.getElementById("content")?.focus({ preventScroll: true }));
  };

  const signIn = useMutation({
    mutationKey: ["sign-in"],
    mutationFn: (body: { username: string; password: string }) => value(api.POST("/api/v1/login", { body })),
    onSuccess: enter,
    onError: (error) => {
      const following = stepAfter(error);
      if (following !== null) setStep(following);
      else if (error instanceof ApiError && error.failure.status === 429) {
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
  if (step !== null) {
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
          <NextStep
            key={step.ticket}
            step={step}
            onStep={setStep}
            onDone={enter}
            onBack={() => {
              setStep(null);
              signIn.reset();
            }}
          />
        </main>
      </div>
    );
  }
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
        {problem !== undefined && !signIn.error && (
          <Problem problem={problem} provider={ways.data?.provider?.name ?? null} />
        )}
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
        {ways.data && (ways.data.passkeys || ways.data.provider) && (
          <div className="stack tight">
            <p className="door-or">{t("sign_in.or")}</p>
            {ways.data.passkeys && <PasskeyButton onDone={enter}>{t("sign_in.passkey")}</PasskeyButton>}
            {ways.data.provider && <ProviderButton name={ways.data.provider.name} next={next} />}
          </div>
        )}
        <p className="small muted door-note">{t("sign_in.first")}</p>
      </main>
    </div>
  );
}

/** Why the identity provider brought them back. Who wanted to link an account is still signed in here. */
function Problem({ problem, provider }: { problem: string; provider: string | null }) {
  const me = useQuery(meQuery);
  return (
    <div className="notice warn stack tight" role="status">
      <p>{t(`sign_in.problem.${problemOf(problem)}`, { provider: provider ?? t("sign_in.the_provider") })}</p>
      {me.data && (
        <p>
          {t("sign_in.still", { name: me.data.name || me.data.username })}{" "}
          <Link to="/settings">{t("sign_in.still_go")}</Link>
        </p>
      )}
    </div>
  );
}

/** What comes after a right password. */
interface Step {
  kind: "second" | "choose";
  ticket: string;
  /** How a second factor can be shown. */
  methods: readonly string[];
}

function stepAfter(error: unknown): Step | null {
  if (!(error instanceof ApiError) || error.failure.ticket === undefined) return null;
  const { code, ticket, methods = [] } = error.failure;
  if (code === "second_factor_required") return { kind: "second", ticket, methods };
  return code === "new_password_required" ? { kind: "choose", ticket, methods } : null;
}

interface NextStepProps {
  step: Step;
  onStep(step: Step): void;
  onDone(me: User): void;
  onBack(): void;
}

/** A code, or a password of one's own. Six digits are a one-time password; anything else is a recovery code. */
function NextStep({ step, onStep, onDone, onBack }: NextStepProps) {
  const choose = step.kind === "choose";
  const [short, setShort] = useState(false);
  const send = useMutation({
    mutationKey: ["sign-in"],
    mutationFn: (typed: string) => {
      const { ticket } = step;
      if (choose) return value(api.POST("/api/v1/login/password", { body: { ticket, password: typed } }));
      const code = typed.replaceAll(/\s/g, "");
      const body = /^\d{6}$/.test(code) ? { ticket, totp: code } : { ticket, recovery: code };
      return value(api.POST("/api/v1/login/second-factor", { body }));
    },
    onSuccess: onDone,
    onError: (error) => {
      const following = stepAfter(error);
      if (following !== null) onStep(following);
    },
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const typed = String(new FormData(event.currentTarget).get("answer") ?? "");
    const missing = choose ? [...typed].length < PASSWORD_MIN : typed.trim() === "";
    setShort(missing);
    if (!missing && !send.isPending) send.mutate(typed);
  };
  const failure = send.error instanceof ApiError ? send.error.failure : null;
  const said =
    failure?.code === "wrong_second_factor"
      ? t("sign_in.code_wrong")
      : failure?.code === "too_late"
        ? t("sign_in.late")
        : send.error && stepAfter(send.error) === null
          ? failureText(send.error)
          : null;
  return (
    <>
      <div className="stack door-head">
        <h1>{t(choose ? "sign_in.choose" : "sign_in.second")}</h1>
        <p className="muted">
          {choose
            ? t("sign_in.choose_lead")
            : t(step.methods.includes("totp") ? "sign_in.second_lead" : "sign_in.second_lead_passkey")}
        </p>
      </div>
      <div role="alert" className="door-alert">
        {said && !send.isPending && <p className="notice danger">{said}</p>}
        {short && choose && <p className="notice danger">{t("sign_in.new_short")}</p>}
      </div>
      <Form className="stack" onSubmit={submit} validationBehavior="aria">
        <TextField
          name="answer"
          className="field"
          type={choose ? "password" : "text"}
          autoComplete={choose ? "new-password" : "one-time-code"}
          isInvalid={said !== null || short}
        >
          <Label>{t(choose ? "sign_in.new_password" : "sign_in.code")}</Label>
          <Input className="input" autoFocus autoCapitalize="none" spellCheck="false" />
        </TextField>
        <Button type="submit" className="button primary wide" data-pending={send.isPending || undefined}>
          {t("sign_in.continue")}
        </Button>
        {step.methods.includes("passkey") && (
          <PasskeyButton ticket={step.ticket} onDone={onDone}>
            {t("sign_in.passkey_second")}
          </PasskeyButton>
        )}
        <Button className="button quiet wide" onPress={onBack}>
          {t("sign_in.back")}
        </Button>
      </Form>
    </>
  );
}

interface PasskeyButtonProps {
  /** Of a right password, when the passkey is the second step. */
  ticket?: string;
  onDone(me: User): void;
  children: string;
}

function PasskeyButton({ ticket, onDone, children }: PasskeyButtonProps) {
  const go = useMutation({
    mutationKey: ["sign-in"],
    mutationFn: () => signInByPasskey(ticket),
    onSuccess: onDone,
  });
  if (!browserHasPasskeys()) return null;
  return (
    <div className="stack tight">
      <Button
        className="button wide"
        onPress={() => !go.isPending && go.mutate()}
        data-pending={go.isPending || undefined}
      >
        <Icon name="key" />
        {go.isPending ? t("sign_in.passkey_waiting") : children}
      </Button>
      {go.error && (
        <p className="notice danger" role="alert">
          {passkeyFailure(go.error)}
        </p>
      )}
    </div>
  );
}

function passkeyFailure(error: unknown): string {
  if (error instanceof NoPasskey) return t("sign_in.passkey_none");
  if (error instanceof ApiError && error.failure.code === "wrong_second_factor") {
    return t("sign_in.passkey_wrong");
  }
  return error instanceof ApiError && error.failure.code === "too_late"
    ? t("sign_in.late")
    : failureText(error);
}

function ProviderButton({ name, next }: { name: string; next: string }) {
  const go = useMutation({
    mutationKey: ["sign-in"],
    mutationFn: () => value(api.POST("/api/v1/login/provider", { body: { next, again: false } })),
    onSuccess: ({ url }) => location.assign(url),
  });
  return (
    <div className="stack tight">
      <Button className="button wide" onPress={() => go.mutate()} data-pending={go.isPending || undefined}>
        {t("sign_in.with", { name })}
      </Button>
      {go.error && (
        <p className="notice danger" role="alert">
          {failureText(go.error)}
        </p>
      )}
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
