/**
 * Which rows of a long list are chosen. Pure.
 *
 * "Everything that matches" is said as such and not as a list of a hundred thousand names: the server resolves it, and
 * what comes to match later is in it as well.
 */
export type Selection =
  | { readonly kind: "some"; readonly keys: ReadonlySet<string> }
  /** Every row that matches the list's filter, but for these. */
  | { readonly kind: "all"; readonly except: ReadonlySet<string> };

export const nothing: Selection = { kind: "some", keys: new Set() };
export const everything: Selection = { kind: "all", except: new Set() };

export function isChosen(selection: Selection, key: string): boolean {
  return selection.kind === "some" ? selection.keys.has(key) : !selection.except.has(key);
}

/** How many rows are chosen of `total` that match. */
export function chosenCount(selection: Selection, total: number): number {
  return selection.kind === "some" ? selection.keys.size : Math.max(0, total - selection.except.size);
}

/** The selection with `keys` chosen, or not. */
export function choose(selection: Selection, keys: Iterable<string>, on: boolean): Selection {
  if (selection.kind === "some") {
    const next = new Set(selection.keys);
    for (const key of keys) on ? next.add(key) : next.delete(key);
    return { kind: "some", keys: next };
  }
  const next = new Set(selection.except);
  for (const key of keys) on ? next.delete(key) : next.add(key);
  return { kind: "all", except: next };
}

/** Without those that are gone: a row nobody sees must not be acted upon. */
export function prune(selection: Selection, isThere: (key: string) => boolean): Selection {
  const keys = selection.kind === "some" ? selection.keys : selection.except;
  const left = [...keys].filter(isThere);
  if (left.length === keys.size) return selection;
  return selection.kind === "some"
    ? { kind: "some", keys: new Set(left) }
    : { kind: "all", except: new Set(left) };
}

/** The keys from `anchor` to `to` in the order of `rows`, both included; only `to` when the anchor is not there. */
export function between(rows: readonly string[], anchor: string | null, to: string): readonly string[] {
  const end = rows.indexOf(to);
  if (end === -1) return [];
  const start = anchor === null ? -1 : rows.indexOf(anchor);
  if (start === -1) return [to];
  return rows.slice(Math.min(start, end), Math.max(start, end) + 1);
}
