/** One person: what is known, what happened, and what can be done, beside the list. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { Button } from "react-aria-components";
import { change, codeOf, contactOf, personQuery, tagsQuery, unblock } from "../../api/invitations.ts";
import { messagesChanged, writeTo } from "../../api/messages.ts";
import { personalData } from "../../api/personal.ts";
import { ApiError } from "../../api/problem.ts";
import { peopleChanged } from "../../api/queries.ts";
import type { Event, InvitationDetail, MessageChannel } from "../../api/types.ts";
import { isDead, toneOf } from "../../model/invitations.ts";
import { type Contact, changeBody, type Draft, draftOf } from "../../model/invitee-form.ts";
import { say, t } from "../../text.ts";
import { useMinute } from "../../ui/clock.ts";
import { CodeCard } from "../../ui/code-card.tsx";
import { CopyButton } from "../../ui/copy.tsx";
import { Drawer } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { Segments, TextInput } from "../../ui/form.tsx";
import { Icon } from "../../ui/icon.tsx";
import { languageName } from "../../ui/regions.ts";
import { useMay } from "../../ui/rights.ts";
import { saveFile } from "../../ui/save.ts";
import { Failed, Loading } from "../../ui/states.tsx";
import { toast } from "../../ui/toast.tsx";
import { WhatTheyGet } from "../messages/templates.tsx";
import { Regenerate, Revoke } from "./codes.tsx";
import { Erase } from "./erase.tsx";
import { PersonForm } from "./person-form.tsx";
import { StateWords } from "./state.tsx";

interface PersonDrawerProps {
  event: Event;
  /** `null` when nobody is looked at. */
  id: string | null;
  show(id: string | null): void;
}

export function PersonDrawer({ event, id, show }: PersonDrawerProps) {
  const found = useQuery({ ...personQuery(event.id, id ?? ""), enabled: id !== null });
  const gone = found.error instanceof ApiError && found.error.failure.status === 404;
  return (
    <Drawer
      title={found.data?.name || t("inv.detail")}
      open={id !== null}
      onOpenChange={(open) => !open && show(null)}
    >
      {found.data !== undefined && !gone ? (
        <Person key={found.data.id} event={event} person={found.data} show={show} />
      ) : found.isError ? (
        <Failed error={found.error} retry={() => void found.refetch()} />
      ) : (
        <Loading lines={6} />
      )}
    </Drawer>
  );
}

interface PersonProps {
  event: Event;
  person: InvitationDetail;
  show(id: string | null): void;
}

type Mode = "look" | "edit" | "write";

function Person({ event, person, show }: PersonProps) {
  const [mode, setMode] = useState<Mode>("look");
  // What was revealed is kept as long as this person is looked at, and no longer.
  const [contact, setContact] = useState<Contact | null>(null);
  const back = () => setMode("look");
  if (mode === "edit") {
    return <Edit event={event} person={person} contact={contact} reveal={setContact} back={back} />;
  }
  if (mode === "write") return <Write event={event} person={person} back={back} />;
  return (
    <Look event={event} person={person} show={show} contact={contact} reveal={setContact} go={setMode} />
  );
}

interface LookProps extends PersonProps {
  contact: Contact | null;
  reveal(contact: Contact | null): void;
  go(mode: Mode): void;
}

function Look({ event, person, show, contact, reveal, go }: LookProps) {
  const minute = useMinute();
  const client = useQueryClient();
  const organise = useMay("organise");
  const moderate = useMay("moderate");
  const seePeople = useMay("see_people");
  const { id, name, session, erased_at, blocked_at, guests, history } = person;
  const [showCode, setShowCode] = useState(false);
  const [act, setAct] = useState<"regenerate" | "revoke" | null>(null);
  const [erasing, setErasing] = useState(false);
  const mayExport = useMay("export");
  const hand = useMutation({
    mutationFn: () => personalData(event.id, id),
    onSuccess: (file) => saveFile(file, `${id}.json`),
    onError: (error) => toast(failureText(error)),
  });
  const dead = isDead(person);
  const mayWrite = moderate && !dead && (person.phone || person.email);
  const free = useMutation({
    mutationFn: () => unblock(event.id, id),
    onSuccess: async () => {
      await peopleChanged(client, event.id);
      toast(t("inv.unblocked_one", { name }));
    },
    onError: (error) => toast(failureText(error)),
  });
  return (
    <div className="stack detail">
      <div className="stack tight">
        <StateWords invitation={person} />
        {session && (
          <p className="viewer small">
            <span className="pulse" data-on={session.watching} aria-hidden="true" />
            {t(session.watching ? "inv.watching_on" : "inv.inside_on", {
              device: session.device,
              when: say.moment(session.joined_at, minute),
            })}
          </p>
        )}
        {erased_at && <p className="notice">{t("inv.erased_text")}</p>}
      </div>

      <Facts event={event} person={person} contact={contact} show={show} />
      {seePeople && !erased_at && (person.phone || person.email || contact === null) && (
        <Reveal event={event.id} id={id} contact={contact} reveal={reveal} />
      )}

      {organise && seePeople && !dead && (
        <section className="stack tight" aria-label={t("people.code")}>
          {showCode ? (
            <Code event={event.id} id={id} name={name} />
          ) : (
            <div>
              <Button className="button" onPress={() => setShowCode(true)}>
                <Icon name="key" />
                {t("inv.show_code")}
              </Button>
            </div>
          )}
        </section>
      )}

      {(organise || mayWrite || (moderate && blocked_at)) && !erased_at && (
        <section className="stack tight" aria-labelledby="acts-title">
          <h3 className="label" id="acts-title">
            {t("inv.acts")}
          </h3>
          <div className="cluster">
            {mayWrite && (
              <Button className="button" onPress={() => go("write")}>
                {t("inv.write")}
              </Button>
            )}
            {organise && (
              <Button className="button" onPress={() => go("edit")}>
                {t("inv.edit")}
              </Button>
            )}
            {moderate && blocked_at && (
              <Button
                className="button"
                onPress={() => !free.isPending && free.mutate()}
                data-pending={free.isPending || undefined}
              >
                {t("inv.unblock")}
              </Button>
            )}
            {organise && person.state !== "revoked" && (
              <>
                <Button className="button" onPress={() => setAct("regenerate")}>
                  {t("inv.regenerate")}
                </Button>
                <Button className="button danger" onPress={() => setAct("revoke")}>
                  {t("people.revoke")}
                </Button>
              </>
            )}
          </div>
        </section>
      )}

      {guests.length > 0 && (
        <section className="stack tight" aria-labelledby="guests-title">
          <h3 className="label" id="guests-title">
            {t("inv.guests")}
          </h3>
          <ul className="plain-rows">
            {guests.map((guest) => (
              <li key={guest.id} className="plain-row">
                <Button className="row-open" onPress={() => show(guest.id)}>
                  {guest.name}
                </Button>
                <StateWords invitation={guest} />
              </li>
            ))}
          </ul>
        </section>
      )}

      <section className="stack tight" aria-labelledby="history-title">
        <h3 className="label" id="history-title">
          {t("inv.history")}
        </h3>
        <ol className="history">
          {[...history].reverse().map(({ state, at, detail }, index) => (
            <li key={`${at} ${state}`} data-tone={toneOf(state)}>
              <span>
                {state !== "created"
                  ? t(`inv.state.${state}`)
                  : t(index === history.length - 1 ? "inv.history_invited" : "inv.history_new_code")}
              </span>
              <span className="muted small tabular">{say.moment(at, minute)}</span>
              {detail && <span className="history-detail muted small">{detail}</span>}
            </li>
          ))}
        </ol>
        <p>
          <Link
            to="/events/$event/messages/outbox"
            params={{ event: event.id }}
            search={{ invitation: id }}
            className="small"
          >
            {t("inv.messages")}
          </Link>
        </p>
      </section>

      {organise && !erased_at && (
        <section className="stack tight" aria-labelledby="data-title">
          <h3 className="label" id="data-title">
            {t("inv.data")}
          </h3>
          <div className="cluster">
            {mayExport && (
              <Button
                className="button"
                onPress={() => !hand.isPending && hand.mutate()}
                data-pending={hand.isPending || undefined}
              >
                {t("inv.personal_data")}
              </Button>
            )}
            <Button className="button danger" onPress={() => setErasing(true)}>
              {t("inv.erase")}
            </Button>
          </div>
        </section>
      )}
      <Erase event={event} person={erasing ? person : null} close={() => setErasing(false)} />
      <Regenerate
        event={event}
        target={act === "regenerate" ? { selection: { ids: [id] }, count: 1, name } : null}
        watching={session?.watching ? 1 : 0}
        close={() => setAct(null)}
        after={() => setShowCode(false)}
      />
      <Revoke
        event={event}
        target={act === "revoke" ? { selection: { ids: [id] }, count: 1, name } : null}
        watching={session?.watching ? 1 : 0}
        close={() => setAct(null)}
      />
    </div>
  );
}

interface FactsProps {
  event: Event;
  person: InvitationDetail;
  contact: Contact | null;
  show(id: string | null): void;
}

function Facts({ event, person, contact, show }: FactsProps) {
  const minute = useMinute();
  const { phone, email, language, tags, plus_ones, guests, uses, max_uses, expires_at, guest_of } = person;
  const rows: [string, ReactNode][] = [];
  const put = (name: string, what: ReactNode) => what && rows.push([name, what]);
  put(t("inv.phone"), contact?.phone ? <Clear text={contact.phone} /> : phone);
  put(t("inv.email"), contact?.email ? <Clear text={contact.email} /> : email);
  put(
    t("inv.language"),
    language ? languageName(language) : languageName(event.policy.messages.default_language ?? "en"),
  );
  put(
    t("inv.tags"),
    tags.length > 0 && (
      <span className="tag-list">
        {tags.map((tag) => (
          <span key={tag} className="tag">
            {tag}
          </span>
        ))}
      </span>
    ),
  );
  put(t("inv.note"), contact?.note);
  put(
    t("inv.guest_of"),
    guest_of && (
      <Button className="link" onPress={() => show(guest_of)}>
        {t("inv.guest_open")}
      </Button>
    ),
  );
  put(
    t("inv.plus_ones"),
    plus_ones > 0 &&
      [
        t("inv.guests_n", { n: plus_ones, count: say.number(plus_ones) }),
        ...(guests.length > 0
          ? [t("inv.guests_of", { brought: say.number(guests.length), max: say.number(plus_ones) })]
          : []),
      ].join(", "),
  );
  put(
    t("inv.uses"),
    max_uses == null
      ? t("inv.uses_n", { n: uses, count: say.number(uses) })
      : t("inv.uses_of", { used: say.number(uses), max: say.number(max_uses) }),
  );
  put(t("inv.expires"), expires_at && say.moment(expires_at, minute));
  return (
    <dl className="person-facts">
      {rows.map(([name, what]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{what}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A number or an address that may be seen, to be taken elsewhere. */
function Clear({ text }: { text: string }) {
  return (
    <span className="cluster">
      <span className="tabular">{text}</span>
      <CopyButton className="button quiet small" text={text} said={t("inv.contact_copied")}>
        {t("action.copy")}
      </CopyButton>
    </span>
  );
}

interface RevealProps {
  event: string;
  id: string;
  contact: Contact | null;
  reveal(contact: Contact | null): void;
}

function Reveal({ event, id, contact, reveal }: RevealProps) {
  const look = useMutation({ mutationFn: () => contactOf(event, id), onSuccess: reveal });
  return (
    <div className="cluster">
      <Button
        className="button small"
        onPress={() => (contact === null ? !look.isPending && look.mutate() : reveal(null))}
        data-pending={look.isPending || undefined}
      >
        <Icon name={contact === null ? "eye" : "eyeOff"} />
        {t(contact === null ? "inv.reveal" : "inv.hide")}
      </Button>
      {contact === null && <span className="muted small">{t("inv.reveal_hint")}</span>}
      {look.error && (
        <p className="notice danger" role="alert">
          {failureText(look.error)}
        </p>
      )}
    </div>
  );
}

/** Fetched when asked for, and forgotten when closed. */
function Code({ event, id, name }: { event: string; id: string; name: string }) {
  const code = useQuery({
    queryKey: ["event", event, "invitation", id, "code"],
    queryFn: () => codeOf(event, id),
    gcTime: 0,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    retry: false,
  });
  if (code.isPending) return <Loading lines={2} />;
  if (code.isError) return <Failed error={code.error} retry={() => void code.refetch()} />;
  return <CodeCard name={name} code={code.data} />;
}

interface EditProps {
  event: Event;
  person: InvitationDetail;
  contact: Contact | null;
  reveal(contact: Contact): void;
  back(): void;
}

/** What is edited must be seen first: the contact is looked up, and that look is in the log. */
function Edit({ event, person, contact, reveal, back }: EditProps) {
  const client = useQueryClient();
  const seePeople = useMay("see_people");
  const tags = useQuery(tagsQuery(event.id));
  const found = useQuery({
    queryKey: ["event", event.id, "invitation", person.id, "contact"],
    queryFn: async () => {
      const seen = await contactOf(event.id, person.id);
      reveal(seen);
      return seen;
    },
    enabled: seePeople && contact === null,
    gcTime: 0,
    retry: false,
  });
  const known = contact ?? found.data ?? null;
  const save = useMutation({
    mutationFn: (draft: Draft) => change(event.id, person.id, changeBody(draftOf(person, known), draft)),
    onSuccess: async () => {
      if (seePeople) reveal(await contactOf(event.id, person.id));
      await peopleChanged(client, event.id);
      toast(t("inv.saved"));
      back();
    },
  });
  if (seePeople && known === null) {
    return found.isError ? (
      <Failed error={found.error} retry={() => void found.refetch()} />
    ) : (
      <Loading lines={6} />
    );
  }
  return (
    <PersonForm
      initial={draftOf(person, known)}
      hidden={!seePeople}
      knownTags={(tags.data ?? []).map(({ tag }) => tag)}
      submit={t("form.save")}
      pending={save.isPending}
      error={save.error}
      onSubmit={(draft) => save.mutate(draft)}
      cancel={back}
    />
  );
}

/** A few words to this one person. */
function Write({ event, person, back }: { event: Event; person: InvitationDetail; back(): void }) {
  const client = useQueryClient();
  const organise = useMay("organise");
  const [channel, setChannel] = useState<MessageChannel>(person.phone ? "sms" : "email");
  const [subject, setSubject] = useState(event.title);
  const [body, setBody] = useState("");
  const [tried, setTried] = useState(false);
  const send = useMutation({
    mutationFn: () => writeTo(event.id, person.id, { channel, subject, body }),
    onSuccess: async () => {
      await messagesChanged(client, event.id);
      toast(t("inv.write_sent", { name: person.name }));
      back();
    },
  });
  const said = send.error instanceof ApiError ? send.error.failure.fields : {};
  return (
    <form
      className="stack"
      noValidate
      onSubmit={(pressed) => {
        pressed.preventDefault();
        setTried(true);
        if (body.trim() !== "" && !send.isPending) send.mutate();
      }}
    >
      {person.phone && person.email && (
        <Segments
          label={t("send.channel")}
          value={channel}
          choices={[
            { id: "sms", name: t("msg.channel.sms") },
            { id: "email", name: t("msg.channel.email") },
          ]}
          onChange={(next) => setChannel(next)}
        />
      )}
      {channel === "email" && (
        <TextInput label={t("msg.subject")} value={subject} onChange={setSubject} error={said.subject} />
      )}
      <TextInput
        label={t("msg.body")}
        hint={t("inv.write_hint")}
        rows={4}
        value={body}
        onChange={setBody}
        error={tried && body.trim() === "" ? t("msg.wrong.empty") : said.body}
        autoFocus
      />
      {organise && (
        <WhatTheyGet
          event={event.id}
          channel={channel}
          draft={{ subject, body }}
          language={person.language ?? "en"}
          invitation={person.id}
        />
      )}
      {send.error && Object.keys(said).length === 0 && (
        <p className="notice danger" role="alert">
          {failureText(send.error)}
        </p>
      )}
      <div className="form-actions">
        <Button className="button" onPress={back}>
          {t("action.cancel")}
        </Button>
        <Button type="submit" className="button primary" data-pending={send.isPending || undefined}>
          {t("inv.write_send")}
        </Button>
      </div>
    </form>
  );
}
