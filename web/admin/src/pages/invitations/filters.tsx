/** What the list is narrowed to: a search, states with their counts, a tag, a language, who is blocked. */
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { Button, Input, SearchField } from "react-aria-components";
import { tagsQuery } from "../../api/invitations.ts";
import { type Filter, isPlain, STATES, toggled, toneOf } from "../../model/invitations.ts";
import { say, t } from "../../text.ts";
import { useSettled } from "../../ui/clock.ts";
import { Choose } from "../../ui/form.tsx";
import { Icon } from "../../ui/icon.tsx";
import { languages } from "../../ui/regions.ts";
import type { ListData } from "./list-data.ts";

/** Typing pauses this long before the list is asked. */
const SEARCH_PAUSE_MS = 250;

interface FiltersProps {
  event: string;
  filter: Filter;
  ask(filter: Filter): void;
  list: ListData;
}

export function Filters({ event, filter, ask, list }: FiltersProps) {
  const tags = useQuery(tagsQuery(event));
  const put = (next: { [K in keyof Filter]?: Filter[K] | undefined }) => {
    const merged = { ...filter, ...next };
    ask(Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== undefined)) as Filter);
  };
  const offered = tags.data ?? [];
  const chosen = filter.states ?? [];
  // What nobody is in is no question, but what is asked for stays to be turned off.
  const states = STATES.filter((state) => (list.byState[state] ?? 0) > 0 || chosen.includes(state));
  return (
    <div className="stack tight">
      <div className="filters">
        <Search value={filter.search ?? ""} onChange={(search) => put({ search: search || undefined })} />
        {(offered.length > 0 || filter.tag !== undefined) && (
          <Choose
            label={t("inv.tag")}
            hideLabel
            value={filter.tag ?? ""}
            choices={[
              { id: "", name: t("inv.tag_any") },
              ...withChosen(
                offered.map(({ tag, invitations }) => ({
                  id: tag,
                  name: t("inv.tag_count", { tag, count: say.number(invitations) }),
                })),
                filter.tag,
              ),
            ]}
            onChange={(tag) => put({ tag: tag || undefined })}
          />
        )}
        <Choose
          label={t("inv.language")}
          hideLabel
          value={filter.language ?? ""}
          choices={[{ id: "", name: t("inv.language_any") }, ...languages(filter.language ?? "")]}
          onChange={(language) => put({ language: language || undefined })}
        />
      </div>
      <div className="filters">
        <fieldset className="chips">
          <legend className="visually-hidden">{t("inv.state")}</legend>
          {states.map((state) => (
            <button
              key={state}
              type="button"
              className="chip"
              aria-pressed={chosen.includes(state)}
              onClick={() => {
                const next = toggled(chosen, state);
                put({ states: next.length === 0 ? undefined : next });
              }}
            >
              <span className="state" data-tone={toneOf(state)}>
                {t(`inv.state.${state}`)}
              </span>
              <span className="tabular">{say.number(list.byState[state] ?? 0)}</span>
            </button>
          ))}
          <button
            type="button"
            className="chip"
            aria-pressed={filter.blocked === true}
            onClick={() => put({ blocked: filter.blocked ? undefined : true })}
          >
            <span className="state" data-tone="danger">
              {t("inv.blocked")}
            </span>
          </button>
        </fieldset>
        <p className="filters-count muted small tabular" role="status">
          {/* No number is better than one that is not true. */}
          {list.known &&
            (isPlain(filter)
              ? t("inv.count", { n: list.total, count: say.number(list.total) })
              : t("inv.count_of", {
                  n: list.matching,
                  count: say.number(list.matching),
                  total: say.number(list.total),
                }))}
        </p>
      </div>
    </div>
  );
}

/** What is chosen is in the list, also when nobody has it any more. */
function withChosen(choices: readonly { id: string; name: string }[], chosen: string | undefined) {
  return chosen === undefined || choices.some(({ id }) => id === chosen)
    ? choices
    : [...choices, { id: chosen, name: chosen }];
}

function Search({ value, onChange }: { value: string; onChange(value: string): void }) {
  const [typed, setTyped] = useState(value);
  const settled = useSettled(typed, SEARCH_PAUSE_MS);
  const input = useRef<HTMLInputElement>(null);
  const tell = useRef(onChange);
  tell.current = onChange;
  // Only what was typed is told; what the address says by another way is taken over.
  const told = useRef(value);
  useEffect(() => {
    if (settled.trim() === told.current) return;
    told.current = settled.trim();
    tell.current(settled.trim());
  }, [settled]);
  useEffect(() => {
    if (value === told.current) return;
    told.current = value;
    setTyped(value);
  }, [value]);
  useEffect(() => {
    const slash = (pressed: KeyboardEvent) => {
      if (pressed.key !== "/" || pressed.ctrlKey || pressed.metaKey || pressed.altKey) return;
      const at = pressed.target as HTMLElement | null;
      if (at?.closest("input:not([type=checkbox]), textarea, select, [contenteditable], [role=dialog]"))
        return;
      if (document.querySelector("[role=dialog], [role=alertdialog]")) return;
      pressed.preventDefault();
      input.current?.focus();
      input.current?.select();
    };
    document.addEventListener("keydown", slash);
    return () => document.removeEventListener("keydown", slash);
  }, []);
  return (
    <SearchField className="search" value={typed} onChange={setTyped} aria-label={t("inv.search")}>
      <Icon name="search" />
      <Input className="input" ref={input} placeholder={t("inv.search_hint")} aria-keyshortcuts="/" />
      <Button className="button quiet icon search-clear" aria-label={t("people.clear")}>
        <Icon name="close" />
      </Button>
    </SearchField>
  );
}
