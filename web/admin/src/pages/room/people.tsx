import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type FormEvent, lazy, Suspense, useRef, useState } from "react";
import { Button, FieldError, Form, Input, Label, SearchField, TextField } from "react-aria-components";
import { headQuery, invite } from "../../api/invitations.ts";
import { peopleChanged } from "../../api/queries.ts";
import type { Event, InvitationMade } from "../../api/types.ts";
import type { Filter } from "../../model/invitations.ts";
import { say, t } from "../../text.ts";
import { useSettled } from "../../ui/clock.ts";
import { CodeCard } from "../../ui/code-card.tsx";
import { failureText } from "../../ui/failure.ts";
import { Icon } from "../../ui/icon.tsx";
import { useMay } from "../../ui/rights.ts";
import { Empty, Failed, Loading } from "../../ui/states.tsx";
import { StateWords } from "../invitations/state.tsx";

const NAME_CHARS_MAX = 200;
/** Typing pauses this long before the list is asked. */
const SEARCH_PAUSE_MS = 250;
/** A short list needs no search. */
const SEARCH_FROM = 6;
/** People shown here: the newest, or the first who match. The page beside the room has everybody. */
const ROWS = 8;

const PersonDrawer = lazy(async () => ({
  default: (await import("../invitations/person.tsx")).PersonDrawer,
}));

/** For the late and the lost: add a name and hand out the code, or find somebody. Everything else is one page further. */
export function People({ event }: { event: Event }) {
  const [made, setMade] = useState<InvitationMade | null>(null);
  const [typed, setTyped] = useState("");
  const search = useSettled(typed.trim(), SEARCH_PAUSE_MS);
  const [looking, setLooking] = useState<string | null>(null);
  const [looked, setLooked] = useState(false);
  const organise = useMay("organise");
  const filter: Filter = search === "" ? {} : { search };
  const list = useQuery({ ...headQuery(event.id, filter), placeholderData: keepPreviousData });
  const rows = (list.data?.data ?? []).slice(0, ROWS);
  const matching = list.data?.matching ?? rows.length;
  const searching = typed !== "" || search !== "";
  const look = (id: string | null) => {
    setLooking(id);
    if (id !== null) setLooked(true);
  };

  return (
    <section className="card stack people" aria-labelledby="people-title">
      <div className="card-head">
        <h2 id="people-title">{t("people.title")}</h2>
        <span className="cluster">
          {event.invited > 0 && <span className="muted small tabular">{say.number(event.invited)}</span>}
          {organise && (
            <Link
              to="/events/$event/invitations/import"
              params={{ event: event.id }}
              className="button small"
            >
              {t("inv.import")}
            </Link>
          )}
        </span>
      </div>
      {organise && <AddInvitee event={event} onMade={setMade} />}
      {made && (
        <div className="made appear">
          <CodeCard name={made.name} code={made} announce />
          <Button
            className="button quiet icon made-close"
            aria-label={t("action.close")}
            onPress={() => setMade(null)}
          >
            <Icon name="close" />
          </Button>
        </div>
      )}
      {(event.invited >= SEARCH_FROM || searching) && (
        <SearchField className="search" value={typed} onChange={setTyped} aria-label={t("people.search")}>
          <Icon name="search" />
          <Input className="input" placeholder={t("people.search")} />
          <Button className="button quiet icon search-clear" aria-label={t("people.clear")}>
            <Icon name="close" />
          </Button>
        </SearchField>
      )}
      {list.isPending && <Loading />}
      {list.isError && rows.length === 0 && <Failed error={list.error} retry={() => void list.refetch()} />}
      {list.isSuccess && rows.length === 0 && !list.isPlaceholderData && (
        <div role="status">
          {searching ? (
            <Empty icon="search" title={t("people.no_match", { search })} />
          ) : (
            <Empty icon="people" title={t("people.empty")}>
              {organise && t("people.empty_text")}
            </Empty>
          )}
        </div>
      )}
      {rows.length > 0 && (
        <ul className="plain-rows" aria-label={t("people.title")} aria-busy={list.isPlaceholderData}>
          {rows.map((row) => (
            <li key={row.id} className="plain-row">
              <span className="viewer invitee" data-watching={row.session?.watching === true}>
                <span className="pulse" data-on={row.session?.watching === true} aria-hidden="true" />
                <Button className="row-open" onPress={() => look(row.id)}>
                  {row.name || t("inv.erased")}
                </Button>
                {row.session?.watching && <span className="visually-hidden">{t("inv.watching")}</span>}
              </span>
              <StateWords invitation={row} />
            </li>
          ))}
        </ul>
      )}
      {matching > rows.length && rows.length > 0 && (
        <Link to="/events/$event/invitations" params={{ event: event.id }} search={filter} className="button">
          {t(searching ? "people.all_matching" : "people.all", {
            n: matching,
            count: say.number(matching),
          })}
        </Link>
      )}
      {looked && (
        <Suspense fallback={null}>
          <PersonDrawer event={event} id={looking} show={look} />
        </Suspense>
      )}
    </section>
  );
}

function AddInvitee({ event, onMade }: { event: Event; onMade(made: InvitationMade): void }) {
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [tried, setTried] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const add = useMutation({
    mutationFn: () => invite(event.id, { name: name.trim() }),
    onSuccess: (made) => {
      setName("");
      setTried(false);
      onMade(made);
      // The next name can be typed at once.
      input.current?.focus();
      void peopleChanged(client, event.id);
    },
  });
  const problem =
    name.trim() === ""
      ? t("people.name_missing")
      : [...name.trim()].length > NAME_CHARS_MAX
        ? t("people.name_long", { max: NAME_CHARS_MAX })
        : undefined;
  const submit = (pressed: FormEvent) => {
    pressed.preventDefault();
    setTried(true);
    if (problem === undefined && !add.isPending) add.mutate();
    else input.current?.focus();
  };
  const shown = tried ? problem : undefined;
  return (
    <Form className="inline-form" onSubmit={submit} validationBehavior="aria">
      <TextField
        className="field grow"
        value={name}
        onChange={setName}
        isInvalid={shown !== undefined}
        autoComplete="off"
      >
        <Label className="visually-hidden">{t("people.add_label")}</Label>
        <Input className="input" ref={input} placeholder={t("people.add_placeholder")} />
        <FieldError className="error">{shown}</FieldError>
      </TextField>
      <Button type="submit" className="button primary" data-pending={add.isPending || undefined}>
        <Icon name="plus" />
        {add.isPending ? t("people.adding") : t("people.add")}
      </Button>
      {add.error && (
        <p className="notice danger" role="alert">
          {failureText(add.error)}
        </p>
      )}
    </Form>
  );
}
