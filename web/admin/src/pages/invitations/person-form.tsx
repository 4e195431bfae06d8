/** The fields about one person, the same for somebody new and for a change. */
import { type FormEvent, useState } from "react";
import { Button, Form } from "react-aria-components";
import { ApiError } from "../../api/problem.ts";
import { check, type Draft, type Field } from "../../model/invitee-form.ts";
import { t } from "../../text.ts";
import { failureText } from "../../ui/failure.ts";
import { Choose, TagInput, TextInput } from "../../ui/form.tsx";
import { languages } from "../../ui/regions.ts";

/** How the server calls what the form calls otherwise. */
const POINTERS: Readonly<Record<Field, string>> = {
  name: "name",
  maxUses: "max_uses",
  plusOnes: "plus_ones",
  expires: "expires_at",
};

interface PersonFormProps {
  initial: Draft;
  /** Number, address and note may not be seen, and so not be changed. */
  hidden?: boolean;
  knownTags: readonly string[];
  submit: string;
  pending: boolean;
  error: unknown;
  onSubmit(draft: Draft): void;
  cancel(): void;
}

export function PersonForm({
  initial,
  hidden = false,
  knownTags,
  submit,
  pending,
  error,
  onSubmit,
  cancel,
}: PersonFormProps) {
  const [draft, setDraft] = useState(initial);
  const [tried, setTried] = useState(false);
  const wrong = check(draft);
  const said = error instanceof ApiError ? error.failure.fields : {};
  const put = (next: Partial<Draft>) => setDraft({ ...draft, ...next });
  const errorOf = (field: Field) => {
    const kind = wrong[field];
    return tried && kind !== undefined ? t(`inv.wrong.${kind}`) : said[POINTERS[field]];
  };
  const taken = error instanceof ApiError && error.failure.code === "phone_taken";
  /** Their code may be where they cannot be reached any more. */
  const moved = (field: "phone" | "email") =>
    initial[field] !== "" && draft[field] !== initial[field] ? t("inv.reach_changed") : undefined;
  const elsewhere = error !== null && !taken && Object.keys(said).length === 0;
  const send = (pressed: FormEvent) => {
    pressed.preventDefault();
    setTried(true);
    if (Object.keys(wrong).length === 0 && !pending) onSubmit(draft);
  };
  return (
    <Form className="stack" onSubmit={send} validationBehavior="aria">
      <TextInput
        label={t("inv.name")}
        value={draft.name}
        onChange={(name) => put({ name })}
        error={errorOf("name")}
        autoFocus
      />
      {!hidden && (
        <div className="columns">
          <TextInput
            label={t("inv.phone")}
            hint={moved("phone")}
            type="tel"
            value={draft.phone}
            onChange={(phone) => put({ phone })}
            error={taken ? failureText(error) : said.phone}
          />
          <TextInput
            label={t("inv.email")}
            hint={moved("email")}
            type="email"
            value={draft.email}
            onChange={(email) => put({ email })}
            error={said.email}
          />
        </div>
      )}
      <Choose
        label={t("inv.language")}
        value={draft.language}
        choices={[{ id: "", name: t("inv.language_event") }, ...languages(draft.language)]}
        onChange={(language) => put({ language })}
        error={said.language}
      />
      <TagInput
        label={t("inv.tags")}
        values={draft.tags}
        onChange={(tags) => put({ tags })}
        choices={knownTags.map((tag) => ({ id: tag, name: tag }))}
        free
        placeholder={t("inv.tags_placeholder")}
        error={said.tags}
      />
      {!hidden && (
        <TextInput
          label={t("inv.note")}
          hint={t("inv.note_hint")}
          rows={2}
          value={draft.note}
          onChange={(note) => put({ note })}
          error={said.note}
        />
      )}
      <div className="columns">
        <TextInput
          label={t("inv.plus_ones")}
          hint={t("inv.plus_ones_hint")}
          numeric
          value={draft.plusOnes}
          onChange={(plusOnes) => put({ plusOnes })}
          error={errorOf("plusOnes")}
        />
        <TextInput
          label={t("inv.max_uses")}
          hint={t("inv.max_uses_hint")}
          numeric
          value={draft.maxUses}
          onChange={(maxUses) => put({ maxUses })}
          error={errorOf("maxUses")}
        />
      </div>
      <TextInput
        label={t("inv.expires")}
        type="datetime-local"
        className="short"
        value={draft.expires}
        onChange={(expires) => put({ expires })}
        error={errorOf("expires")}
      />
      {elsewhere && (
        <p className="notice danger" role="alert">
          {failureText(error)}
        </p>
      )}
      <div className="form-actions">
        <Button className="button" onPress={cancel}>
          {t("action.cancel")}
        </Button>
        <Button type="submit" className="button primary" data-pending={pending || undefined}>
          {submit}
        </Button>
      </div>
    </Form>
  );
}
