import { type RefObject, useState } from "react";
import { endAll, type SentOut, sendOut } from "../../api/steer.ts";
import { say, t } from "../../text.ts";
import { Confirm } from "../../ui/dialog.tsx";
import { TextInput, Toggle } from "../../ui/form.tsx";
import { toast } from "../../ui/toast.tsx";

/** The server's own bound. */
const REASON_CHARS_MAX = 200;

/** What people who are sent out read in place of the picture. */
export function FarewellWords({ value, onChange }: { value: string; onChange(words: string): void }) {
  return (
    <TextInput
      label={t("farewell.reason")}
      hint={t("farewell.reason_hint")}
      value={value}
      onChange={(typed) => onChange(typed.slice(0, REASON_CHARS_MAX))}
    />
  );
}

/** Who is sent out: these, whose name is said when it is one; or everybody. */
export type Leaving = { readonly sessions: readonly string[]; readonly name: string } | "everybody";

interface FarewellProps {
  event: string;
  leaving: Leaving | null;
  /** How many are inside. */
  inside: number;
  close(): void;
  /** They are out. */
  after(): void;
  landing: RefObject<HTMLElement | null>;
}

/** Asks before people are sent out, and what they are told. */
export function Farewell({ event, leaving, inside, close, after, landing }: FarewellProps) {
  const [reason, setReason] = useState("");
  const [block, setBlock] = useState(false);
  const everybody = leaving === "everybody";
  const { sessions, name } = everybody || leaving === null ? { sessions: [], name: "" } : leaving;
  const one = sessions.length === 1;
  const count = everybody ? inside : sessions.length;

  const forget = () => {
    setReason("");
    setBlock(false);
    close();
  };
  const send = async () => {
    const out: SentOut = everybody
      ? await endAll(event, reason)
      : await sendOut(event, sessions, { reason, block });
    const done = { n: out.sessions, count: say.number(out.sessions) };
    toast(one ? t("viewers.kicked", { name }) : t("farewell.done", done));
    if (!out.recorded) toast(t("farewell.unrecorded"));
  };
  const asked = everybody ? "farewell.title_all" : "farewell.title";
  return (
    <Confirm
      title={one ? t("farewell.title_one", { name }) : t(asked, { n: count, count: say.number(count) })}
      text={everybody ? t("farewell.text_all") : t("farewell.text")}
      confirm={everybody ? t("farewell.submit_all") : t("farewell.submit")}
      open={leaving !== null}
      onOpenChange={(open) => !open && forget()}
      act={send}
      after={after}
      landing={landing}
    >
      <FarewellWords value={reason} onChange={setReason} />
      {!everybody && (
        <Toggle on={block} onChange={setBlock}>
          {one ? t("farewell.block_one") : t("farewell.block")}
        </Toggle>
      )}
    </Confirm>
  );
}
