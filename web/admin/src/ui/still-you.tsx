import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { Button, Form, Input, Label, TextField } from "react-aria-components";
import { signInWaysQuery } from "../api/account.ts";
import { api, value } from "../api/client.ts";
import { confirmWith } from "../api/confirm.ts";
import { browserHasPasskeys, confirmByPasskey, NoPasskey } from "../api/passkeys.ts";
import { ApiError } from "../api/problem.ts";
import { t } from "../text.ts";
import { Sheet } from "./dialog.tsx";
import { failureText } from "./failure.ts";

/** Asks for the password, a code from the app or a passkey, when an act wants to know that it is still the same person. */
export function StillYou() {
  const [open, setOpen] = useState(false);
  const answers = useRef<((confirmed: boolean) => void)[]>([]);

  useEffect(() => {
    confirmWith(
      () =>
        new Promise((resolve) => {
          answers.current.push(resolve);
          setOpen(true);
        }),
    );
  }, []);

  const answer = (confirmed: boolean) => {
    setOpen(false);
    for (const resolve of answers.current.splice(0)) resolve(confirmed);
  };
  const confirm = useMutation({
    mutationKey: ["sign-in"],
    mutationFn: (typed: string) => {
      const body = /^\d{6}$/.test(typed.trim()) ? { totp: typed.trim() } : { password: typed };
      return value(api.POST("/api/v1/me/confirm", { body }));
    },
    onSuccess: () => answer(true),
  });
  const byPasskey = useMutation({
    mutationKey: ["sign-in"],
    mutationFn: confirmByPasskey,
    onSuccess: () => answer(true),
  });
  const again = useMutation({
    mutationKey: ["sign-in"],
    mutationFn: () => {
      const next = location.pathname + location.search;
      return value(api.POST("/api/v1/login/provider", { body: { next, again: true } }));
    },
    onSuccess: ({ url }) => location.assign(url),
  });
  const ways = useQuery({ ...signInWaysQuery, enabled: open }).data;
  const types = ways === undefined || ways.password || ways.totp;
  const change = (next: boolean) => {
    if (next) return;
    confirm.reset();
    byPasskey.reset();
    again.reset();
    answer(false);
  };
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const typed = String(new FormData(event.currentTarget).get("answer") ?? "");
    if (typed !== "" && !confirm.isPending) confirm.mutate(typed);
  };
  const elsewhere = byPasskey.error ?? again.error;
  const wrong = confirm.error instanceof ApiError && confirm.error.failure.code === "wrong_confirmation";
  return (
    <Sheet title={t("confirm.title")} open={open} onOpenChange={change}>
      <p className="muted">{t("confirm.text")}</p>
      {types && (
        <Form className="stack" onSubmit={submit} validationBehavior="aria">
          <TextField
            name="answer"
            className="field"
            type="password"
            autoComplete="current-password"
            isInvalid={wrong}
          >
            <Label>{t(ways?.totp === false ? "confirm.label_password" : "confirm.label")}</Label>
            <Input className="input" autoFocus autoCapitalize="none" spellCheck="false" />
          </TextField>
          {confirm.error && (
            <p className="notice danger" role="alert">
              {wrong ? t("confirm.wrong") : failureText(confirm.error)}
            </p>
          )}
          <div className="sheet-actions">
            <Button className="button" onPress={() => change(false)}>
              {t("action.cancel")}
            </Button>
            <Button type="submit" className="button primary" data-pending={confirm.isPending || undefined}>
              {t("sign_in.continue")}
            </Button>
          </div>
        </Form>
      )}
      {elsewhere && (
        <p className="notice danger" role="alert">
          {elsewhere instanceof NoPasskey ? t("sign_in.passkey_none") : failureText(elsewhere)}
        </p>
      )}
      {ways !== undefined && ways.passkeys.length > 0 && browserHasPasskeys() && (
        <Button
          className="button wide"
          onPress={() => !byPasskey.isPending && byPasskey.mutate()}
          data-pending={byPasskey.isPending || undefined}
        >
          {t("confirm.passkey")}
        </Button>
      )}
      {ways?.provider && ways.linked && (
        <Button
          className="button wide"
          onPress={() => again.mutate()}
          data-pending={again.isPending || undefined}
        >
          {t("confirm.provider", { provider: ways.provider })}
        </Button>
      )}
    </Sheet>
  );
}
