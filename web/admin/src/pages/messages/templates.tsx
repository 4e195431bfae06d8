/** What messages say, per occasion, channel and language, with what somebody would read beside it. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useRef, useState } from "react";
import { Button } from "react-aria-components";
import {
  messagesChanged,
  resetTemplate,
  saveTemplate,
  sendTest,
  templatesQuery,
  textPreviewQuery,
} from "../../api/messages.ts";
import { ApiError } from "../../api/problem.ts";
import type { Event, MessageChannel, MessageTemplate, TextPreview } from "../../api/types.ts";
import {
  CHANNELS,
  type Draft,
  dialled,
  insert,
  KINDS,
  type OrderKind,
  PLACEHOLDERS,
  problemOf,
  templateFor,
} from "../../model/messages.ts";
import { capacity, costly } from "../../model/segments.ts";
import { say, t } from "../../text.ts";
import { useSettled } from "../../ui/clock.ts";
import { failureText } from "../../ui/failure.ts";
import { Choose, Segments, TextInput } from "../../ui/form.tsx";
import { languages } from "../../ui/regions.ts";
import { useMay } from "../../ui/rights.ts";
import { Failed, Loading } from "../../ui/states.tsx";
import { toast } from "../../ui/toast.tsx";
import { useHere } from "../event/frame.tsx";

/** Typing pauses this long before the preview is asked for. */
const PREVIEW_PAUSE_MS = 300;

export function TemplatesPage() {
  const { event } = useHere();
  const found = useQuery(templatesQuery(event.id));
  if (found.isPending) {
    return (
      <div className="card">
        <Loading lines={6} />
      </div>
    );
  }
  if (found.data === undefined) {
    return (
      <div className="card">
        <Failed error={found.error} retry={() => void found.refetch()} />
      </div>
    );
  }
  return <Texts event={event} templates={found.data} />;
}

function Texts({ event, templates }: { event: Event; templates: readonly MessageTemplate[] }) {
  const [kind, setKind] = useState<OrderKind>("invitation");
  const [channel, setChannel] = useState<MessageChannel>("sms");
  const [language, setLanguage] = useState((event.policy.messages.default_language ?? "en").toLowerCase());
  // What was typed and not saved stays when another text is looked at.
  const [drafts, setDrafts] = useState<Readonly<Record<string, Draft>>>({});
  const organise = useMay("organise");

  const of = templates.filter((each) => each.kind === kind && each.channel === channel);
  const written = of.find((each) => each.language === language);
  const start = written ?? templateFor(templates, channel, kind, language);
  const key = `${channel}/${kind}/${language}`;
  const saved: Draft = { subject: start?.subject ?? "", body: start?.body ?? "" };
  const draft = drafts[key] ?? saved;
  const keep = (next: Draft | null) =>
    setDrafts(({ [key]: _, ...others }) => (next === null ? others : { ...others, [key]: next }));
  const known = new Set(of.map((each) => each.language));
  return (
    <section className="card stack" aria-label={t("msg.templates")}>
      <div className="cluster texts-which">
        <Segments
          label={t("send.kind")}
          value={kind}
          choices={KINDS.map((id) => ({ id, name: t(`msg.kind.${id}`) }))}
          onChange={(next) => setKind(next)}
        />
        <Segments
          label={t("send.channel")}
          value={channel}
          choices={CHANNELS.map((id) => ({ id, name: t(`msg.channel.${id}`) }))}
          onChange={(next) => setChannel(next)}
        />
        <Choose
          label={t("inv.language")}
          className="short"
          value={language}
          choices={languages(language).map(({ id, name }) => {
            const tag = id.toLowerCase();
            return {
              id: tag,
              name: known.has(tag) || !organise ? name : t("msg.language_new", { name }),
            };
          })}
          onChange={setLanguage}
        />
      </div>
      {organise ? (
        <Editor
          key={key}
          event={event}
          which={{ channel, kind, language }}
          own={written !== undefined && !written.built_in}
          fresh={written === undefined}
          saved={saved}
          draft={draft}
          keep={keep}
        />
      ) : (
        <>
          <p className="notice">{t("settings.read_only")}</p>
          <div className="bubble">
            {saved.subject && <p className="letter-subject">{saved.subject}</p>}
            {saved.body}
          </div>
        </>
      )}
    </section>
  );
}

interface EditorProps {
  event: Event;
  which: { readonly channel: MessageChannel; readonly kind: OrderKind; readonly language: string };
  /** Somebody wrote it; it can go back to what is built in. */
  own: boolean;
  /** There is none in this language yet. */
  fresh: boolean;
  saved: Draft;
  draft: Draft;
  keep(draft: Draft | null): void;
}

function Editor({ event, which, own, fresh, saved, draft, keep }: EditorProps) {
  const client = useQueryClient();
  const area = useRef<HTMLTextAreaElement>(null);
  const [tried, setTried] = useState(false);
  const { channel, kind, language } = which;
  const changed = fresh || draft.subject !== saved.subject || draft.body !== saved.body;
  const problem = problemOf(draft, channel, kind);

  const save = useMutation({
    mutationFn: () => saveTemplate(event.id, which, { channel, ...draft }),
    onSuccess: async () => {
      await messagesChanged(client, event.id);
      keep(null);
      setTried(false);
      toast(t("msg.saved"));
    },
  });
  const reset = useMutation({
    mutationFn: () => resetTemplate(event.id, which),
    onSuccess: async () => {
      const { subject, body } = saved;
      await messagesChanged(client, event.id);
      keep(null);
      toast(t("msg.reset_done"), () => {
        void saveTemplate(event.id, which, { channel, subject, body })
          .then(() => messagesChanged(client, event.id))
          .catch((error: unknown) => toast(failureText(error)));
      });
    },
    onError: (error) => toast(failureText(error)),
  });
  const said = save.error instanceof ApiError ? save.error.failure.fields : {};
  const put = (place: string) => {
    const field = area.current;
    const from = field?.selectionStart ?? draft.body.length;
    const { text, caret } = insert(draft.body, from, field?.selectionEnd ?? from, `{${place}}`);
    keep({ ...draft, body: text });
    requestAnimationFrame(() => {
      field?.focus();
      field?.setSelectionRange(caret, caret);
    });
  };
  const bodyError =
    tried && problem !== null && problem !== "subject" ? t(`msg.wrong.${problem}`) : said.body;
  return (
    <div className="editor">
      <form
        className="stack"
        noValidate
        onSubmit={(pressed) => {
          pressed.preventDefault();
          setTried(true);
          if (problem === null && !save.isPending) save.mutate();
        }}
      >
        {channel === "email" && (
          <TextInput
            label={t("msg.subject")}
            lang={language}
            value={draft.subject}
            onChange={(subject) => keep({ ...draft, subject })}
            error={tried && problem === "subject" ? t("msg.wrong.subject") : said.subject}
          />
        )}
        <TextInput
          label={t("msg.body")}
          rows={channel === "email" ? 11 : 6}
          lang={language}
          areaRef={area}
          value={draft.body}
          onChange={(body) => keep({ ...draft, body })}
          error={bodyError}
        />
        <fieldset className="bare stack tight">
          <legend className="label">{t("msg.places")}</legend>
          <div className="places">
            {PLACEHOLDERS.map((place) => (
              <Button
                key={place}
                className="button small"
                aria-label={t("msg.place_add", { word: `{${place}}`, place: t(`msg.place.${place}`) })}
                onPress={() => put(place)}
              >
                {`{${place}}`}
              </Button>
            ))}
          </div>
          <p className="hint">
            {PLACEHOLDERS.map((place) => `{${place}} ${t(`msg.place.${place}`)}`).join(" · ")}
          </p>
        </fieldset>
        {save.error && Object.keys(said).length === 0 && (
          <p className="notice danger" role="alert">
            {failureText(save.error)}
          </p>
        )}
        <div className="form-actions">
          {own && (
            <Button
              className="button"
              onPress={() => !reset.isPending && reset.mutate()}
              data-pending={reset.isPending || undefined}
            >
              {t("msg.reset")}
            </Button>
          )}
          <Button
            type="submit"
            className="button primary"
            isDisabled={!changed}
            data-pending={save.isPending || undefined}
          >
            {t("msg.save")}
          </Button>
        </div>
      </form>
      <div className="preview stack">
        <WhatTheyGet event={event.id} channel={channel} draft={draft} language={language} />
        <TestTo event={event} channel={channel} draft={draft} />
      </div>
    </div>
  );
}

interface WhatTheyGetProps {
  event: string;
  channel: MessageChannel;
  draft: Draft;
  language: string;
  invitation?: string;
}

/** The text as somebody would read it, and what it takes to send it. */
export function WhatTheyGet({ event, channel, draft, language, invitation }: WhatTheyGetProps) {
  const settled = useSettled(draft, PREVIEW_PAUSE_MS);
  const preview = useQuery(textPreviewQuery(event, { channel, ...settled }, invitation));
  const { data } = preview;
  return (
    <section className="stack tight" aria-label={t("send.preview")}>
      <h3 className="label">{t("send.preview")}</h3>
      {draft.body.trim() === "" ? (
        <p className="muted">{t("msg.preview_none")}</p>
      ) : data === undefined ? (
        preview.isError ? (
          <Failed error={preview.error} retry={() => void preview.refetch()} />
        ) : (
          <Loading lines={2} />
        )
      ) : (
        <>
          <div className="bubble" lang={language} data-busy={preview.isPlaceholderData || undefined}>
            {data.subject && <p className="letter-subject">{data.subject}</p>}
            {data.text.trim()}
          </div>
          <Size preview={data} />
        </>
      )}
    </section>
  );
}

/** How many parts of a text message it takes, and what makes it more. */
function Size({ preview }: { preview: TextPreview }) {
  const { encoding, segments, characters, text, unknown } = preview;
  const letters = encoding === "ucs2" ? costly(text) : [];
  return (
    <div className="stack tight small">
      {encoding && (
        <p className="muted tabular" role="status">
          {t("msg.segments", { n: segments, count: say.number(segments) })}
          {" · "}
          {t("msg.characters", {
            n: characters,
            count: say.number(characters),
            room: say.number(capacity(encoding === "ucs2" ? "ucs2" : "gsm7", segments)),
          })}
          {" · "}
          {t(encoding === "ucs2" ? "msg.ucs2_name" : "msg.gsm7_name")}
        </p>
      )}
      {letters.length > 0 && <p className="notice warn">{t("msg.ucs2", { letters: letters.join(" ") })}</p>}
      {unknown.length > 0 && (
        <p className="notice warn">
          {t("msg.unknown", { words: unknown.map((word) => `{${word}}`).join(" ") })}
        </p>
      )}
    </div>
  );
}

function TestTo({ event, channel, draft }: { event: Event; channel: MessageChannel; draft: Draft }) {
  const client = useQueryClient();
  const [to, setTo] = useState("");
  const [tried, setTried] = useState(false);
  const send = useMutation({
    mutationFn: () => sendTest(event.id, { channel, ...draft }, channel === "sms" ? dialled(to) : to.trim()),
    onSuccess: () => {
      setTried(false);
      void messagesChanged(client, event.id);
      toast(t("msg.test_sent"));
    },
  });
  const fields = send.error instanceof ApiError ? send.error.failure.fields : {};
  const wrong = tried && to.trim() === "" ? t(`msg.test_missing.${channel}`) : undefined;
  return (
    <form
      className="stack tight"
      noValidate
      onSubmit={(pressed) => {
        pressed.preventDefault();
        setTried(true);
        if (to.trim() !== "" && !send.isPending) send.mutate();
      }}
    >
      <div className="test-to">
        <TextInput
          label={t(`msg.test.${channel}`)}
          type={channel === "sms" ? "tel" : "email"}
          placeholder={channel === "sms" ? "+33612345678" : "name@example.org"}
          value={to}
          onChange={(next) => {
            setTo(next);
            send.reset();
          }}
          error={wrong ?? fields.to}
        />
        <Button type="submit" className="button" data-pending={send.isPending || undefined}>
          {t("msg.test_send")}
        </Button>
      </div>
      {send.error && fields.to === undefined && (
        <p className="notice danger" role="alert">
          {Object.values(fields)[0] ?? failureText(send.error)}
        </p>
      )}
      {send.isSuccess && (
        <p className="small">
          <Link to="/events/$event/messages/outbox" params={{ event: event.id }} search={{}}>
            {t("msg.test_see")}
          </Link>
        </p>
      )}
    </form>
  );
}
