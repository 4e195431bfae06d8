import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Button, Form } from "react-aria-components";
import { writeTo } from "../../api/messages.ts";
import { ApiError } from "../../api/problem.ts";
import type { Viewer } from "../../api/types.ts";
import { t } from "../../text.ts";
import { Sheet } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { Segments, TextInput } from "../../ui/form.tsx";
import { toast } from "../../ui/toast.tsx";

/** The server's own bound. */
const BODY_CHARS_MAX = 1_600;

interface WriteToProps {
  event: string;
  /** Whom; nobody while it is closed. */
  viewer: Viewer | null;
  close(): void;
}

/** A few words to one person in the room. */
export function WriteTo({ event, viewer, close }: WriteToProps) {
  return (
    <Sheet
      title={t("write.title", { name: viewer?.name ?? "" })}
      open={viewer !== null}
      onOpenChange={(open) => !open && close()}
    >
      {viewer && <Letter key={viewer.session} event={event} viewer={viewer} close={close} />}
    </Sheet>
  );
}

function Letter({ event, viewer, close }: { event: string; viewer: Viewer; close(): void }) {
  const { name, invitation, phone } = viewer;
  const [channel, setChannel] = useState<"sms" | "email">(phone ? "sms" : "email");
  const [subject, setSubject] = useState("");
  const [body, setBody] = useState("");
  const [tried, setTried] = useState(false);
  const send = useMutation({
    mutationFn: () => writeTo(event, invitation, { channel, subject: subject.trim(), body: body.trim() }),
    onSuccess: () => {
      toast(t("write.sent", { name }));
      close();
    },
  });
  const noSubject = channel === "email" && subject.trim() === "";
  const submit = (pressed: FormEvent) => {
    pressed.preventDefault();
    setTried(true);
    if (!noSubject && body.trim() !== "" && !send.isPending) send.mutate();
  };
  const said = send.error instanceof ApiError ? send.error.failure.fields : {};
  const placed = said.subject !== undefined || said.body !== undefined;
  return (
    <Form className="stack" onSubmit={submit} validationBehavior="aria">
      <p className="muted">{t("write.lead", { name })}</p>
      <Segments
        label={t("write.channel")}
        value={channel}
        onChange={(next) => setChannel(next)}
        choices={[
          { id: "sms", name: t("msg.channel.sms") },
          { id: "email", name: t("msg.channel.email") },
        ]}
      />
      {channel === "email" && (
        <TextInput
          label={t("write.subject")}
          error={tried && noSubject ? t("write.subject_missing") : said.subject}
          value={subject}
          onChange={setSubject}
        />
      )}
      <TextInput
        label={t("write.body")}
        error={tried && body.trim() === "" ? t("write.body_missing") : said.body}
        rows={4}
        value={body}
        onChange={(typed) => setBody(typed.slice(0, BODY_CHARS_MAX))}
        autoFocus
      />
      {send.error && !placed && (
        <p className="notice danger" role="alert">
          {failureText(send.error)}
        </p>
      )}
      <div className="sheet-actions">
        <Button type="submit" className="button primary" data-pending={send.isPending || undefined}>
          {send.isPending ? t("write.sending") : t("write.send")}
        </Button>
      </div>
    </Form>
  );
}
