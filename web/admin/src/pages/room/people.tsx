import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type FormEvent, memo, useEffect, useMemo, useRef, useState } from "react";
import { Button, FieldError, Form, Input, Label, SearchField, TextField } from "react-aria-components";
import { api, value } from "../../api/client.ts";
import { invitationsQuery, peopleChanged } from "../../api/queries.ts";
import type { Event, InvitationMade } from "../../api/types.ts";
import type { Room } from "../../feed/reducer.ts";
import type { Viewers } from "../../feed/viewers.ts";
import { type Invitee, invitees } from "../../model/people.ts";
import { say, t } from "../../text.ts";
import { useMinute } from "../../ui/clock.ts";
import { CodeCard } from "../../ui/code-card.tsx";
import { Confirm, Sheet } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { Icon } from "../../ui/icon.tsx";
import { useMay } from "../../ui/rights.ts";
import { Empty, Failed, Loading } from "../../ui/states.tsx";
import { toast } from "../../ui/toast.tsx";

const NAME_CHARS_MAX = 200;
/** Typing pauses this long before the list is asked. */
const SEARCH_PAUSE_MS = 250;
/** A short list needs no search. */
const SEARCH_FROM = 6;

/** Everyone who may come in: add a name, hand out a code, take it back. */
export function People({ event, room, viewers }: { event: Event; room: Room; viewers: Viewers }) {
  const [made, setMade] = useState<InvitationMade | null>(null);
  const [typed, setTyped] = useState("");
  const search = useSettled(typed.trim(), SEARCH_PAUSE_MS);
  const list = useInfiniteQuery(invitationsQuery(event.id, search));
  const [showing, setShowing] = useState<Invitee | null>(null);
  const [revoking, setRevoking] = useState<Invitee | null>(null);
  const client = useQueryClient();
  const heading = useRef<HTMLHeadingElement>(null);
  const now = useMinute();
  const organise = useMay("organise");

  // biome-ignore lint/correctness/useExhaustiveDependencies: who came or went makes the one map another
  const rows = useMemo(
    () => invitees(list.data?.pages.flatMap((page) => page.data) ?? [], viewers.rows),
    [list.data, viewers, room.turnover, room.complete],
  );
  const searching = typed !== "" || search !== "";

  const revoke = async ({ id }: Invitee) => {
    await value(
      api.DELETE("/api/v1/events/{event}/invitations/{invitation}", {
        params: { path: { event: event.id, invitation: id } },
      }),
    );
    if (made?.id === id) setMade(null);
    await peopleChanged(client, event.id);
  };

  return (
    <section className="card stack people" aria-labelledby="people-title">
      <div className="card-head">
        <h2 id="people-title" ref={heading} tabIndex={-1}>
          {t("people.title")}
        </h2>
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
      <AddInvitee event={event} onMade={setMade} />
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
              {t("people.empty_text")}
            </Empty>
          )}
        </div>
      )}
      {rows.length > 0 && (
        <ul className="plain-rows" aria-label={t("people.title")} aria-busy={list.isPlaceholderData}>
          {rows.map((invitee) => (
            <Row key={invitee.id} invitee={invitee} now={now} show={setShowing} revoke={setRevoking} />
          ))}
        </ul>
      )}
      {list.hasNextPage && (
        <Button
          className="button"
          onPress={() => void list.fetchNextPage()}
          data-pending={list.isFetchingNextPage || undefined}
        >
          {t("action.more")}
        </Button>
      )}

      <Sheet
        title={t("people.code_for", { name: showing?.name ?? "" })}
        open={showing !== null}
        onOpenChange={(open) => !open && setShowing(null)}
      >
        {showing && <ShownCode event={event.id} invitee={showing} />}
      </Sheet>
      <Confirm
        title={t("people.revoke_title", { name: revoking?.name ?? "" })}
        text={
          revoking?.state === "watching"
            ? t("people.revoke_watching", { name: revoking.name })
            : t("people.revoke_text")
        }
        confirm={t("people.revoke_confirm")}
        open={revoking !== null}
        onOpenChange={(open) => !open && setRevoking(null)}
        act={async () => revoking && revoke(revoking)}
        after={() => toast(t("people.revoked", { name: revoking?.name ?? "" }))}
        landing={heading}
      />
    </section>
  );
}

function AddInvitee({ event, onMade }: { event: Event; onMade(made: InvitationMade): void }) {
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [tried, setTried] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const add = useMutation({
    mutationFn: () =>
      value(
        api.POST("/api/v1/events/{event}/invitations", {
          params: { path: { event: event.id } },
          body: { name: name.trim() },
        }),
      ),
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

/** Fetched when asked for, and forgotten when closed. */
function ShownCode({ event, invitee }: { event: string; invitee: Invitee }) {
  const code = useQuery({
    queryKey: ["event", event, "invitation", invitee.id, "code"],
    queryFn: ({ signal }) =>
      value(
        api.GET("/api/v1/events/{event}/invitations/{invitation}/code", {
          params: { path: { event, invitation: invitee.id } },
          signal,
        }),
      ),
    gcTime: 0,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
  });
  if (code.isPending) return <Loading lines={2} />;
  if (code.isError) return <Failed error={code.error} retry={() => void code.refetch()} />;
  return <CodeCard name={invitee.name} code={code.data} />;
}

interface RowProps {
  invitee: Invitee;
  now: number;
  show(invitee: Invitee): void;
  revoke(invitee: Invitee): void;
}

/** Drawn again only when it changes: plain buttons, since there may be thousands. */
const Row = memo(function Row({ invitee, now, show, revoke }: RowProps) {
  const { name, state, at } = invitee;
  return (
    <li className="plain-row" data-dead={state === "revoked" || undefined}>
      <div className="row-main">
        <p className="row-title">{name}</p>
        <p className="muted small invitee-state" data-state={state}>
          {t(`people.state.${state}`)}
          {state !== "revoked" && (
            <span className="invitee-at">{t(`people.at.${state}`, { when: say.moment(at, now) })}</span>
          )}
        </p>
      </div>
      {state !== "revoked" && (
        <div className="row-actions">
          <button
            type="button"
            className="button quiet small"
            aria-label={t("people.show_code_of", { name })}
            onClick={() => show(invitee)}
          >
            <Icon name="key" />
            <span className="wide-only">{t("people.code")}</span>
          </button>
          <button
            type="button"
            className="button quiet small"
            aria-label={t("people.revoke_of", { name })}
            onClick={() => revoke(invitee)}
          >
            {t("people.revoke")}
          </button>
        </div>
      )}
    </li>
  );
}, sameRow);

/** The feed makes every invitee anew; what they look like decides. */
function sameRow(a: RowProps, b: RowProps): boolean {
  return (
    a.now === b.now &&
    a.invitee.id === b.invitee.id &&
    a.invitee.name === b.invitee.name &&
    a.invitee.state === b.invitee.state &&
    a.invitee.at === b.invitee.at
  );
}

/** The value once it has not changed for `ms`. */
function useSettled<T>(current: T, ms: number): T {
  const [settled, setSettled] = useState(current);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(current), ms);
    return () => clearTimeout(timer);
  }, [current, ms]);
  return settled;
}
