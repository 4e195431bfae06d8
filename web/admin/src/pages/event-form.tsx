import { type FormEvent, type ReactNode, useRef, useState } from "react";
import {
  Button,
  FieldError,
  Form,
  Input,
  Label,
  Radio,
  RadioGroup,
  Text,
  TextField,
} from "react-aria-components";
import { ApiError } from "../api/problem.ts";
import type { NewEvent } from "../api/types.ts";
import { body, check, choices, type Draft, newDraft, TITLE_CHARS_MAX } from "../model/event-form.ts";
import { t } from "../text.ts";
import { failureText } from "../ui/failure.ts";
import { duration } from "../ui/words.ts";

interface EventFormProps {
  initial?: Draft;
  submit: string;
  submitting: string;
  pending: boolean;
  error: unknown;
  onSubmit(body: NewEvent & { starts_at: string | null }): void;
  cancel?: ReactNode;
  /** Whether the form is what the page is for, so that typing can begin at once. */
  focus?: boolean;
}

const LATENCIES = ["low", "ultra", "standard"] as const;

export function EventForm({
  initial = newDraft,
  submit,
  submitting,
  pending,
  error,
  onSubmit,
  cancel,
  focus = true,
}: EventFormProps) {
  const [draft, setDraft] = useState(initial);
  const [tried, setTried] = useState(false);
  const title = useRef<HTMLInputElement>(null);
  const starts = useRef<HTMLInputElement>(null);

  const wrong = tried ? check(draft) : null;
  const said = error instanceof ApiError ? error.failure.fields : {};
  const titleError =
    wrong?.field === "title"
      ? t(wrong.kind === "missing" ? "form.title_missing" : "form.title_long", { max: TITLE_CHARS_MAX })
      : said.title;
  const startsError = wrong?.field === "starts" ? t("form.starts_invalid") : said.starts_at;

  const send = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    const problem = check(draft);
    if (problem !== null) {
      (problem.field === "title" ? title : starts).current?.focus();
      return;
    }
    if (!pending) onSubmit(body(draft));
  };

  return (
    <Form className="stack form" onSubmit={send} validationBehavior="aria">
      <TextField
        className="field"
        value={draft.title}
        onChange={(value) => setDraft({ ...draft, title: value })}
        isInvalid={titleError !== undefined}
        autoComplete="off"
      >
        <Label>{t("form.title")}</Label>
        <Input className="input large" ref={title} autoFocus={focus} />
        <FieldError className="error">{titleError}</FieldError>
        <Text slot="description" className="hint">
          {t("form.title_hint")}
        </Text>
      </TextField>

      <TextField
        className="field"
        type="datetime-local"
        value={draft.starts}
        onChange={(value) => setDraft({ ...draft, starts: value })}
        isInvalid={startsError !== undefined}
      >
        <Label>{t("form.starts")}</Label>
        <Input className="input date" ref={starts} />
        <FieldError className="error">{startsError}</FieldError>
        <Text slot="description" className="hint">
          {t("form.starts_hint")}
        </Text>
      </TextField>

      <RadioGroup
        className="field"
        value={draft.latency}
        onChange={(value) => setDraft({ ...draft, latency: value as Draft["latency"] })}
      >
        <Label className="label">{t("form.latency")}</Label>
        <div className="choices">
          {LATENCIES.map((latency) => (
            <Radio key={latency} value={latency} className="choice">
              <span className="choice-dot" aria-hidden="true" />
              <span className="choice-body">
                <span className="choice-head">
                  <span className="choice-name">{t(`form.latency_${latency}`)}</span>
                  <span className="choice-figure tabular">{t(`form.latency_${latency}_figure`)}</span>
                  {latency === "low" && <span className="tag">{t("form.recommended")}</span>}
                </span>
                <span className="choice-text">{t(`form.latency_${latency}_text`)}</span>
              </span>
            </Radio>
          ))}
        </div>
      </RadioGroup>

      <Spans
        label={t("form.dvr")}
        hint={t("form.dvr_hint")}
        value={draft.dvrWindowMs}
        options={choices("dvr", initial.dvrWindowMs)}
        onChange={(dvrWindowMs) => setDraft({ ...draft, dvrWindowMs })}
      />
      <Spans
        label={t("form.reconnect")}
        hint={t("form.reconnect_hint")}
        value={draft.reconnectWindowMs}
        options={choices("reconnect", initial.reconnectWindowMs)}
        onChange={(reconnectWindowMs) => setDraft({ ...draft, reconnectWindowMs })}
      />

      {error !== null && error !== undefined && Object.keys(said).length === 0 && (
        <p className="notice danger" role="alert">
          {t("form.failed")} {failureText(error)}
        </p>
      )}
      <div className="form-actions">
        {cancel}
        <Button type="submit" className="button primary" data-pending={pending || undefined}>
          {pending ? submitting : submit}
        </Button>
      </div>
    </Form>
  );
}

interface SpansProps {
  label: string;
  hint: string;
  value: number;
  options: number[];
  onChange(ms: number): void;
}

/** One of a few lengths of time, side by side. */
function Spans({ label, hint, value, options, onChange }: SpansProps) {
  return (
    <RadioGroup
      className="field"
      orientation="horizontal"
      value={String(value)}
      onChange={(chosen) => onChange(Number(chosen))}
    >
      <Label className="label">{label}</Label>
      <div className="segments">
        {options.map((ms) => (
          <Radio key={ms} value={String(ms)} className="segment">
            {duration(ms)}
          </Radio>
        ))}
      </div>
      <Text slot="description" className="hint">
        {hint}
      </Text>
    </RadioGroup>
  );
}
