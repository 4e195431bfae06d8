import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useRef, useState } from "react";
import { Button, Form } from "react-aria-components";
import { accountKeys } from "../../api/account.ts";
import { api, value } from "../../api/client.ts";
import { addPasskey, browserHasPasskeys, NoPasskey } from "../../api/passkeys.ts";
import { ApiError } from "../../api/problem.ts";
import type { Enrolment, Passkey, SignInWays } from "../../api/types.ts";
import { say, t } from "../../text.ts";
import { useMinute } from "../../ui/clock.ts";
import { CopyButton } from "../../ui/copy.tsx";
import { Confirm, Sheet } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { TextInput } from "../../ui/form.tsx";
import { toast } from "../../ui/toast.tsx";

const PASSKEY_NAME_CHARS_MAX = 200;

/** One-time passwords, passkeys and recovery codes. */
export function SecondFactor({ ways }: { ways: SignInWays }) {
  const client = useQueryClient();
  const [codes, setCodes] = useState<readonly string[]>([]);
  const changed = () => client.invalidateQueries({ queryKey: accountKeys.signIn });
  const made = (recovery: readonly string[]) => {
    setCodes(recovery);
    void changed();
  };
  const protectedBy = ways.totp || ways.passkeys.length > 0;
  return (
    <>
      {(ways.password || ways.totp) && (
        <section className="card stack" aria-labelledby="second-title">
          <div className="stack tight">
            <h2 id="second-title">{t("account.second")}</h2>
            <p className="muted">{t("account.second_text")}</p>
          </div>
          <ul className="plain-rows">
            <Totp on={ways.totp} onCodes={made} />
            {protectedBy && <Recovery left={ways.recovery_left} onCodes={made} />}
          </ul>
        </section>
      )}
      <Passkeys ways={ways} onCodes={made} />
      <KeepCodes codes={codes} close={() => setCodes([])} />
    </>
  );
}

function Totp({ on, onCodes }: { on: boolean; onCodes(codes: readonly string[]): void }) {
  const [asked, setAsked] = useState(false);
  const [enrolment, setEnrolment] = useState<Enrolment | null>(null);
  const begin = useMutation({
    mutationFn: () => value(api.POST("/api/v1/me/totp")),
    onSuccess: setEnrolment,
    onError: (error) => toast(failureText(error)),
    // The key is nobody's once the sheet is closed.
    gcTime: 0,
  });
  return (
    <li className="plain-row">
      <div className="row-main">
        <h3 className="row-title">{t("account.totp")}</h3>
        <p className="muted small">{t(on ? "account.totp_on" : "account.totp_off")}</p>
      </div>
      {on ? (
        <Button className="button small" onPress={() => setAsked(true)}>
          {t("account.totp_remove")}
        </Button>
      ) : (
        <Button
          className="button small"
          onPress={() => !begin.isPending && begin.mutate()}
          data-pending={begin.isPending || undefined}
        >
          {t("account.totp_add")}
        </Button>
      )}
      <Sheet
        title={t("account.totp_title")}
        open={enrolment !== null}
        onOpenChange={(open) => !open && setEnrolment(null)}
      >
        {enrolment && (
          <Enrol
            enrolment={enrolment}
            onDone={(codes) => {
              setEnrolment(null);
              toast(t("account.totp_done"));
              onCodes(codes);
            }}
          />
        )}
      </Sheet>
      <Confirm
        title={t("account.totp_remove_title")}
        text={t("account.totp_remove_text")}
        confirm={t("account.totp_remove")}
        open={asked}
        onOpenChange={setAsked}
        act={() => value(api.DELETE("/api/v1/me/totp"))}
        after={() => {
          toast(t("account.totp_removed"));
          onCodes([]);
        }}
      />
    </li>
  );
}

function Enrol({ enrolment, onDone }: { enrolment: Enrolment; onDone(codes: readonly string[]): void }) {
  const [code, setCode] = useState("");
  const [tried, setTried] = useState(false);
  const digits = code.replaceAll(/\s/g, "");
  const complete = /^\d{6}$/.test(digits);
  const confirm = useMutation({
    mutationFn: () =>
      value(api.POST("/api/v1/me/totp/confirm", { body: { ticket: enrolment.ticket, code: digits } })),
    onSuccess: ({ recovery_codes }) => onDone(recovery_codes),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (complete && !confirm.isPending) confirm.mutate();
  };
  const failure = confirm.error instanceof ApiError ? confirm.error.failure.code : null;
  const error =
    tried && !complete
      ? t("account.totp_digits")
      : failure === "wrong_second_factor"
        ? t("account.totp_wrong")
        : failure === "too_late"
          ? t("account.totp_late")
          : confirm.error
            ? failureText(confirm.error)
            : undefined;
  // In fours, as people read it aloud and type it.
  const secret = enrolment.secret.match(/.{1,4}/g)?.join(" ") ?? enrolment.secret;
  return (
    <Form className="stack" onSubmit={submit} validationBehavior="aria">
      <p className="muted">{t("account.totp_scan")}</p>
      <img className="qr" src={enrolment.qr} alt={t("account.totp_qr")} />
      <div className="copyable">
        <span className="visually-hidden">{t("account.totp_key")}</span>
        <code>{secret}</code>
        <CopyButton text={enrolment.secret} said={t("account.totp_key_copied")}>
          {t("action.copy")}
        </CopyButton>
      </div>
      <p className="small">
        <a href={enrolment.url}>{t("account.totp_open")}</a>
      </p>
      <TextInput
        label={t("account.totp_code")}
        error={error}
        value={code}
        onChange={(typed) => {
          setCode(typed);
          setTried(false);
          if (confirm.error) confirm.reset();
        }}
        numeric
        autoComplete="one-time-code"
      />
      <div className="sheet-actions">
        <Button type="submit" className="button primary" data-pending={confirm.isPending || undefined}>
          {t("account.totp_confirm")}
        </Button>
      </div>
    </Form>
  );
}

function Recovery({ left, onCodes }: { left: number; onCodes(codes: readonly string[]): void }) {
  const [asked, setAsked] = useState(false);
  const make = async () => {
    const { recovery_codes } = await value(api.POST("/api/v1/me/recovery-codes"));
    onCodes(recovery_codes);
  };
  return (
    <li className="plain-row">
      <div className="row-main">
        <h3 className="row-title">{t("account.recovery")}</h3>
        <p className="muted small">
          {left > 0 ? t("account.recovery_left", { n: left }) : t("account.recovery_none")}
        </p>
      </div>
      <Button className="button small" onPress={() => setAsked(true)}>
        {t("account.recovery_new")}
      </Button>
      <Confirm
        title={t("account.recovery_new_title")}
        text={t("account.recovery_new_text")}
        confirm={t("account.recovery_new")}
        open={asked}
        onOpenChange={setAsked}
        act={make}
      />
    </li>
  );
}

/** Shown once: it closes only by saying that they are kept. */
function KeepCodes({ codes, close }: { codes: readonly string[]; close(): void }) {
  const text = codes.join("\n");
  const download = () => {
    const url = URL.createObjectURL(new Blob([`${text}\n`], { type: "text/plain" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = t("account.recovery_file");
    link.click();
    URL.revokeObjectURL(url);
  };
  return (
    <Sheet
      title={t("account.recovery_title")}
      open={codes.length > 0}
      onOpenChange={(open) => !open && close()}
      role="alertdialog"
    >
      <div className="stack">
        <p className="muted">{t("account.recovery_text")}</p>
        <ul className="recovery-codes" aria-label={t("account.recovery")}>
          {codes.map((code) => (
            <li key={code}>
              <code>{code}</code>
            </li>
          ))}
        </ul>
        <div className="cluster">
          <CopyButton text={text} said={t("account.recovery_copied")}>
            {t("action.copy")}
          </CopyButton>
          <Button className="button" onPress={download}>
            {t("account.recovery_download")}
          </Button>
        </div>
        <div className="sheet-actions">
          <Button className="button primary" onPress={close}>
            {t("account.recovery_kept")}
          </Button>
        </div>
      </div>
    </Sheet>
  );
}

interface PasskeysProps {
  ways: SignInWays;
  onCodes(codes: readonly string[]): void;
}

function Passkeys({ ways, onCodes }: PasskeysProps) {
  const now = useMinute();
  const [adding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<Passkey | null>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const able = browserHasPasskeys();
  return (
    <section className="card stack" aria-labelledby="passkeys-title">
      <div className="setting">
        <div className="row-main">
          <h2 id="passkeys-title" ref={heading} tabIndex={-1}>
            {t("account.passkeys")}
          </h2>
          <p className="muted">
            {ways.passkeys_work
              ? t(able ? "account.passkeys_text" : "account.passkeys_browser")
              : t("account.passkeys_address")}
          </p>
        </div>
        {ways.passkeys_work && able && (
          <Button className="button" onPress={() => setAdding(true)}>
            {t("account.passkey_add")}
          </Button>
        )}
      </div>
      {ways.passkeys.length > 0 && (
        <ul className="plain-rows" aria-label={t("account.passkeys_list")}>
          {ways.passkeys.map((passkey) => (
            <li key={passkey.id} className="plain-row">
              <div className="row-main">
                <p className="row-title">{passkey.name}</p>
                <p className="muted small">
                  {t("account.passkey_made", { when: say.moment(passkey.created_at, now) })}
                  {", "}
                  {passkey.last_used_at
                    ? t("account.passkey_used", { when: say.ago(passkey.last_used_at, now) })
                    : t("account.passkey_unused")}
                </p>
              </div>
              <Button
                className="button small"
                aria-label={t("account.passkey_remove_of", { name: passkey.name })}
                onPress={() => setRemoving(passkey)}
              >
                {t("account.passkey_remove")}
              </Button>
            </li>
          ))}
        </ul>
      )}
      <Sheet title={t("account.passkey_add")} open={adding} onOpenChange={setAdding}>
        <NewPasskey
          onDone={(codes) => {
            setAdding(false);
            onCodes(codes);
          }}
        />
      </Sheet>
      <Confirm
        title={t("account.passkey_remove_title", { name: removing?.name ?? "" })}
        text={t("account.passkey_remove_text")}
        confirm={t("account.passkey_remove")}
        open={removing !== null}
        onOpenChange={(open) => !open && setRemoving(null)}
        act={async () => {
          if (removing === null) return;
          const path = { passkey: removing.id };
          await value(api.DELETE("/api/v1/me/passkeys/{passkey}", { params: { path } }));
        }}
        after={() => {
          toast(t("account.passkey_removed"));
          onCodes([]);
        }}
        landing={heading}
      />
    </section>
  );
}

function NewPasskey({ onDone }: { onDone(codes: readonly string[]): void }) {
  const [name, setName] = useState("");
  const [tried, setTried] = useState(false);
  const add = useMutation({
    mutationFn: () => addPasskey(name.trim()),
    onSuccess: (made) => {
      toast(t("account.passkey_added", { name: made.name }));
      onDone(made.recovery_codes);
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (name.trim() !== "" && !add.isPending) add.mutate();
  };
  const said =
    add.error instanceof NoPasskey
      ? t(add.error.there ? "account.passkey_there" : "account.passkey_cancelled")
      : add.error && failureText(add.error);
  return (
    <Form className="stack" onSubmit={submit} validationBehavior="aria">
      <TextInput
        label={t("account.passkey_name")}
        placeholder={t("account.passkey_placeholder")}
        error={tried && name.trim() === "" ? t("account.passkey_missing") : undefined}
        value={name}
        onChange={(typed) => setName(typed.slice(0, PASSKEY_NAME_CHARS_MAX))}
        autoFocus
      />
      {said && (
        <p className="notice danger" role="alert">
          {said}
        </p>
      )}
      <div className="sheet-actions">
        <Button type="submit" className="button primary" data-pending={add.isPending || undefined}>
          {add.isPending ? t("account.passkey_waiting") : t("account.passkey_make")}
        </Button>
      </div>
    </Form>
  );
}
