/** The sections of an event's policy, each saved by itself. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useRef, useState } from "react";
import { Button, Form } from "react-aria-components";
import { api, value } from "../../api/client.ts";
import { ApiError } from "../../api/problem.ts";
import { keys } from "../../api/queries.ts";
import type { Event, Policy } from "../../api/types.ts";
import { check, type Drafts, draftsOf, offsetName, same, section } from "../../model/policy-form.ts";
import { t } from "../../text.ts";
import { failureText } from "../../ui/failure.ts";
import { Choices, Choose, TagInput, TextInput, Toggle } from "../../ui/form.tsx";
import { Icon } from "../../ui/icon.tsx";
import { LimitsFields } from "../../ui/limits.tsx";
import { countries, countryName, languages } from "../../ui/regions.ts";
import { toast } from "../../ui/toast.tsx";

type Section = keyof Policy;

interface FieldsProps<S extends Section> {
  draft: Drafts[S];
  change(part: Partial<Drafts[S]>): void;
  /** What is wrong with a field of the section, by the field's name in the API. */
  error(field: string): string | undefined;
}

/** East of UTC, as the API counts. */
const ownOffset = () => -new Date().getTimezoneOffset();

interface SectionFormProps<S extends Section> {
  event: Event;
  name: S;
  title: string;
  lead: string;
  children(fields: FieldsProps<S>): ReactNode;
}

/** The frame of one section: its words, its fields, and a way to save what was changed and nothing else. */
function SectionForm<S extends Section>({ event, name, title, lead, children }: SectionFormProps<S>) {
  const client = useQueryClient();
  const saved = draftsOf(event.policy, ownOffset())[name];
  const [draft, setDraft] = useState<Drafts[S] | null>(null);
  const [tried, setTried] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const current = draft ?? saved;
  const dirty = draft !== null && !same(draft, saved);

  const save = useMutation({
    mutationFn: () =>
      value(
        api.PATCH("/api/v1/events/{event}", {
          params: { path: { event: event.id } },
          body: { policy: { [name]: section(name, current) } },
        }),
      ),
    onSuccess: (changed) => {
      client.setQueryData(keys.event(event.id), changed);
      setDraft(null);
      setTried(false);
      toast(t("edit.saved"));
    },
    onError: focusWrong,
  });

  function focusWrong() {
    // Once the words are on the page.
    requestAnimationFrame(() =>
      form.current?.querySelector<HTMLElement>("input[aria-invalid=true], [data-invalid] input")?.focus(),
    );
  }

  const wrong = tried ? check(name, current) : {};
  const said = save.error instanceof ApiError ? save.error.failure.fields : {};
  const error = (field: string) => {
    const kind = wrong[field];
    return kind ? t(`policy.wrong.${kind}`) : said[`policy/${name}/${field}`];
  };
  const elsewhere =
    save.error !== null && !Object.keys(said).some((field) => field.startsWith(`policy/${name}/`));

  const submit = (pressed: FormEvent) => {
    pressed.preventDefault();
    setTried(true);
    if (Object.keys(check(name, current)).length > 0) focusWrong();
    else if (!save.isPending) save.mutate();
  };

  return (
    <section className="card" id={name} aria-labelledby={`${name}-title`}>
      <Form ref={form} className="stack form-section" onSubmit={submit} validationBehavior="aria">
        <div className="stack tight">
          <h3 id={`${name}-title`}>{title}</h3>
          <p className="muted">{lead}</p>
        </div>
        {children({
          draft: current,
          change: (part) => {
            save.reset();
            setDraft({ ...current, ...part });
          },
          error,
        })}
        {elsewhere && (
          <p className="notice danger" role="alert">
            {failureText(save.error)}
          </p>
        )}
        {dirty && (
          <div className="form-actions appear">
            <Button
              className="button"
              onPress={() => {
                setDraft(null);
                setTried(false);
                save.reset();
              }}
            >
              {t("policy.discard")}
            </Button>
            <Button type="submit" className="button primary" data-pending={save.isPending || undefined}>
              {save.isPending ? t("form.saving") : t("form.save")}
            </Button>
          </div>
        )}
      </Form>
    </section>
  );
}

export function PolicySections({ event }: { event: Event }) {
  return (
    <>
      <SectionForm event={event} name="access" title={t("policy.access")} lead={t("policy.access_lead")}>
        {(fields) => <AccessFields {...fields} />}
      </SectionForm>
      <SectionForm
        event={event}
        name="takeover"
        title={t("policy.takeover")}
        lead={t("policy.takeover_lead")}
      >
        {(fields) => <TakeoverFields {...fields} />}
      </SectionForm>
      <SectionForm
        event={event}
        name="admission"
        title={t("policy.admission")}
        lead={t("policy.admission_lead")}
      >
        {({ draft, change, error }) => (
          <div className="columns">
            <TextInput
              label={t("policy.capacity")}
              hint={t("policy.capacity_hint")}
              error={error("capacity")}
              value={draft.capacity}
              onChange={(capacity) => change({ capacity })}
              placeholder={t("policy.no_limit")}
              numeric
            />
            <TextInput
              label={t("policy.door_rate")}
              hint={t("policy.door_rate_hint")}
              error={error("per_second")}
              value={draft.perSecond}
              onChange={(perSecond) => change({ perSecond })}
              placeholder={t("policy.no_limit")}
              numeric
            />
          </div>
        )}
      </SectionForm>
      <SectionForm
        event={event}
        name="protection"
        title={t("policy.protection")}
        lead={t("policy.protection_lead")}
      >
        {(fields) => <ProtectionFields {...fields} />}
      </SectionForm>
      <SectionForm
        event={event}
        name="encryption"
        title={t("policy.encryption")}
        lead={t("policy.encryption_lead")}
      >
        {(fields) => <EncryptionFields {...fields} />}
      </SectionForm>
      <SectionForm event={event} name="publish" title={t("policy.publish")} lead={t("policy.publish_lead")}>
        {({ draft, change, error }) => <LimitsFields draft={draft} change={change} error={error} />}
      </SectionForm>
      <SectionForm
        event={event}
        name="messages"
        title={t("policy.messages")}
        lead={t("policy.messages_lead")}
      >
        {(fields) => <MessagesFields {...fields} />}
      </SectionForm>
      <SectionForm event={event} name="privacy" title={t("policy.privacy")} lead={t("policy.privacy_lead")}>
        {({ draft, change, error }) => (
          <>
            <Toggle on={draft.forget} onChange={(forget) => change({ forget })}>
              {t("policy.forget")}
            </Toggle>
            {draft.forget && (
              <TextInput
                className="short"
                label={t("policy.days")}
                hint={t("policy.days_hint")}
                error={error("retention_days")}
                value={draft.days}
                onChange={(days) => change({ days })}
                numeric
              />
            )}
          </>
        )}
      </SectionForm>
    </>
  );
}

function EncryptionFields({ draft, change, error }: FieldsProps<"encryption">) {
  return (
    <>
      <Choices
        label={t("policy.encryption_method")}
        value={draft.method}
        choices={[
          { id: "off", name: t("policy.encryption_off"), text: t("policy.encryption_off_text") },
          { id: "aes-128", name: t("policy.encryption_aes"), text: t("policy.encryption_aes_text") },
          { id: "cbcs", name: t("policy.encryption_cbcs"), text: t("policy.encryption_cbcs_text") },
        ]}
        onChange={(method) => change({ method })}
      />
      {draft.method !== "off" && (
        <TextInput
          className="short"
          label={t("policy.key_period")}
          hint={t("policy.key_period_hint")}
          error={error("key_period_s")}
          value={draft.periodSeconds}
          onChange={(periodSeconds) => change({ periodSeconds })}
          after={t("policy.seconds")}
          numeric
        />
      )}
    </>
  );
}

function AccessFields({ draft, change, error }: FieldsProps<"access">) {
  return (
    <>
      <TagInput
        label={t("policy.countries")}
        hint={t("policy.countries_hint")}
        error={error("countries")}
        values={draft.countries}
        onChange={(chosen) => change({ countries: chosen })}
        choices={countries}
        nameOf={countryName}
        placeholder={t("policy.countries_placeholder")}
      />
      {draft.countries.length > 0 && (
        <Choices
          label={t("policy.unknown_country")}
          value={draft.unknownCountry}
          choices={[
            {
              id: "deny",
              name: t("policy.unknown_country_deny"),
              text: t("policy.unknown_country_deny_text"),
            },
            {
              id: "allow",
              name: t("policy.unknown_country_allow"),
              text: t("policy.unknown_country_allow_text"),
            },
          ]}
          onChange={(unknownCountry) => change({ unknownCountry })}
        />
      )}
      <TagInput
        label={t("policy.networks")}
        hint={t("policy.networks_hint")}
        error={error("networks")}
        values={draft.networks}
        onChange={(networks) => change({ networks })}
        choices={[]}
        free
        placeholder="203.0.113.0/24"
      />
    </>
  );
}

function TakeoverFields({ draft, change, error }: FieldsProps<"takeover">) {
  return (
    <>
      <TextInput
        className="short"
        label={t("policy.answer")}
        hint={t("policy.answer_hint")}
        error={error("answer_s")}
        value={draft.answerSeconds}
        onChange={(answerSeconds) => change({ answerSeconds })}
        after={t("policy.seconds")}
        numeric
      />
      <Choices
        label={t("policy.unanswered")}
        value={draft.unanswered}
        choices={[
          { id: "deny", name: t("policy.unanswered_deny"), text: t("policy.unanswered_deny_text") },
          { id: "allow", name: t("policy.unanswered_allow"), text: t("policy.unanswered_allow_text") },
        ]}
        onChange={(unanswered) => change({ unanswered })}
      />
    </>
  );
}

const ACTIONS = ["log", "warn", "blur", "pause", "kick"] as const;

function ProtectionFields({ draft, change }: FieldsProps<"protection">) {
  return (
    <>
      <Toggle on={draft.guard} onChange={(guard) => change({ guard })}>
        {t("policy.guard")}
      </Toggle>
      <p className="hint">{t("policy.guard_hint")}</p>
      {draft.guard && (
        <>
          <Toggle on={draft.watermark} onChange={(watermark) => change({ watermark })}>
            {t("policy.watermark")}
          </Toggle>
          <p className="hint">{t("policy.watermark_hint")}</p>
        </>
      )}
      <Choices
        label={t("policy.action")}
        value={draft.action}
        choices={ACTIONS.map((action) => ({
          id: action,
          name: t(`policy.action_${action}`),
          text: t(`policy.action_${action}_text`),
        }))}
        onChange={(action) => change({ action })}
      />
      <p className="notice">{t("policy.protection_limits")}</p>
    </>
  );
}

/** Every offset that is used somewhere: whole hours, and the half and quarter ones people live by. */
const OFFSETS = [
  ...Array.from({ length: 27 }, (_, hour) => (hour - 12) * 60),
  -570,
  -210,
  210,
  270,
  330,
  345,
  390,
  570,
  630,
  765,
].sort((a, b) => a - b);

function MessagesFields({ draft, change, error }: FieldsProps<"messages">) {
  const offsets = OFFSETS.includes(draft.utcOffsetMinutes) ? OFFSETS : [...OFFSETS, draft.utcOffsetMinutes];
  return (
    <>
      <div className="columns">
        <TextInput
          label={t("policy.rate")}
          hint={t("policy.rate_hint")}
          error={error("per_second")}
          value={draft.perSecond}
          onChange={(perSecond) => change({ perSecond })}
          numeric
        />
        <TextInput
          label={t("policy.budget")}
          hint={t("policy.budget_hint")}
          error={error("budget_milli")}
          value={draft.budget}
          onChange={(budget) => change({ budget })}
          placeholder={t("policy.no_limit")}
        />
      </div>
      <Toggle on={draft.quiet} onChange={(quiet) => change({ quiet })}>
        {t("policy.quiet")}
      </Toggle>
      {draft.quiet && (
        <div className="columns three">
          <TextInput
            label={t("policy.quiet_from")}
            type="time"
            error={error("quiet_hours")}
            value={draft.quietFrom}
            onChange={(quietFrom) => change({ quietFrom })}
          />
          <TextInput
            label={t("policy.quiet_to")}
            type="time"
            value={draft.quietTo}
            onChange={(quietTo) => change({ quietTo })}
          />
          <Choose
            label={t("policy.quiet_zone")}
            value={String(draft.utcOffsetMinutes)}
            choices={offsets.map((minutes) => ({ id: String(minutes), name: offsetName(minutes) }))}
            onChange={(minutes) => change({ utcOffsetMinutes: Number(minutes) })}
          />
        </div>
      )}
      <fieldset className="bare stack tight">
        <legend className="label">{t("policy.prefixes")}</legend>
        <p className="hint">{t("policy.prefixes_hint")}</p>
        {draft.prefixes.map((row, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a row is its place; typing in it must not lose the focus
          <div key={index} className="pair">
            <TextInput
              label={t("policy.prefix")}
              type="tel"
              value={row.prefix}
              onChange={(prefix) => change({ prefixes: withRow(draft.prefixes, index, { ...row, prefix }) })}
              placeholder="+44"
            />
            <TextInput
              label={t("policy.prefix_budget")}
              value={row.budget}
              onChange={(budget) => change({ prefixes: withRow(draft.prefixes, index, { ...row, budget }) })}
            />
            <Button
              className="button quiet icon"
              aria-label={t("form.remove", { name: row.prefix })}
              onPress={() => change({ prefixes: draft.prefixes.filter((_, other) => other !== index) })}
            >
              <Icon name="close" />
            </Button>
          </div>
        ))}
        {error("prefix_budget_milli") && (
          <p className="error" role="alert">
            {error("prefix_budget_milli")}
          </p>
        )}
        <div>
          <Button
            className="button small"
            onPress={() => change({ prefixes: [...draft.prefixes, { prefix: "", budget: "" }] })}
          >
            <Icon name="plus" />
            {t("policy.prefix_add")}
          </Button>
        </div>
      </fieldset>
      <div className="columns">
        <Choose
          label={t("policy.default_country")}
          hint={t("policy.default_country_hint")}
          error={error("default_country")}
          value={draft.defaultCountry}
          choices={[{ id: "", name: t("policy.default_country_none") }, ...countries]}
          onChange={(defaultCountry) => change({ defaultCountry })}
        />
        <Choose
          label={t("policy.default_language")}
          hint={t("policy.default_language_hint")}
          error={error("default_language")}
          value={draft.defaultLanguage}
          choices={languages(draft.defaultLanguage)}
          onChange={(defaultLanguage) => change({ defaultLanguage })}
        />
      </div>
    </>
  );
}

type Row = Drafts["messages"]["prefixes"][number];

function withRow(rows: readonly Row[], index: number, row: Row): readonly Row[] {
  return rows.map((other, place) => (place === index ? row : other));
}
