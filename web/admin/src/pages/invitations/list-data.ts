/** The rows of the list as far as somebody has scrolled, as they are now. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { headQuery, listPage, PAGE_ROWS } from "../../api/invitations.ts";
import type { Invitation } from "../../api/types.ts";
import type { Filter } from "../../model/invitations.ts";
import { begin, grow, type Listing, refresh } from "../../model/listing.ts";

/** Rows read again around where somebody looks: a page of the server at most. */
const REREAD_MAX = 500;

export interface ListData {
  readonly rows: readonly Invitation[];
  /** Whether the counts were told yet. */
  readonly known: boolean;
  /** Invitations that match the filter, and all of the event. */
  readonly matching: number;
  readonly total: number;
  readonly byState: Readonly<Record<string, number>>;
  readonly pending: boolean;
  /** What is shown belongs to another filter: the answer is on its way. */
  readonly stale: boolean;
  readonly error: unknown;
  /** The next page did not come. */
  readonly growError: unknown;
  retry(): void;
  more(): void;
  /** The rows that are in view, by their places. */
  look(first: number, last: number): void;
}

export function useList(event: string, filter: Filter): ListData {
  const head = useQuery({ ...headQuery(event, filter), placeholderData: keepPreviousData });
  const [listing, setListing] = useState<Listing<Invitation> | null>(null);
  const [growError, setGrowError] = useState<unknown>(null);
  const key = JSON.stringify(filter);
  // What belongs to another filter must not be mixed in when it comes late.
  const now = useRef({ key, listing, filter });
  now.current = { key, listing, filter };
  const shownKey = useRef<string | null>(null);
  const view = useRef({ first: 0, last: 0 });
  const growing = useRef(false);
  const [settled, setSettled] = useState(0);

  // The list follows its top: a new filter begins it, news are worked in, also around where somebody looks.
  const { data, isPlaceholderData } = head;
  useEffect(() => {
    if (data === undefined || isPlaceholderData) return;
    if (shownKey.current !== key) {
      shownKey.current = key;
      setGrowError(null);
      setListing(begin(data));
      return;
    }
    setListing((held) => (held === null ? begin(data) : refresh(held, null, data)));
    const held = now.current.listing;
    const { first, last } = view.current;
    const after = held?.rows[first - 1]?.id;
    if (after === undefined || last < data.data.length) return;
    const limit = Math.min(REREAD_MAX, last - first + 1);
    listPage(event, now.current.filter, after, limit).then(
      (page) => {
        if (now.current.key === key) setListing((held) => held && refresh(held, after, page));
      },
      // The next hint asks again, and the top of the list says what is wrong.
      () => undefined,
    );
  }, [data, isPlaceholderData, key, event]);

  const more = useCallback(() => {
    const { listing, filter, key } = now.current;
    const cursor = listing?.cursor;
    if (cursor == null || growing.current) return;
    growing.current = true;
    setGrowError(null);
    listPage(event, filter, cursor, PAGE_ROWS * 2)
      .then(
        (page) => {
          if (now.current.key === key) setListing((held) => held && grow(held, cursor, page));
        },
        (error: unknown) => {
          if (now.current.key === key) setGrowError(error);
        },
      )
      .finally(() => {
        growing.current = false;
        setSettled((n) => n + 1);
      });
  }, [event]);
  // A page that no longer fitted was dropped: whoever looks at the end still waits for the next.
  // biome-ignore lint/correctness/useExhaustiveDependencies: it looks again whenever an answer has come
  useEffect(() => {
    const held = now.current.listing;
    if (
      growError === null &&
      held !== null &&
      held.cursor !== null &&
      view.current.last >= held.rows.length - 1
    ) {
      more();
    }
  }, [settled, listing, growError, more]);
  const look = useCallback((first: number, last: number) => {
    view.current = { first, last };
  }, []);

  return {
    rows: listing?.rows ?? [],
    known: data !== undefined,
    matching: data?.matching ?? listing?.rows.length ?? 0,
    total: data?.total ?? 0,
    byState: data?.by_state ?? {},
    pending: head.isPending || (listing === null && !head.isError),
    stale: isPlaceholderData,
    error: head.error,
    growError,
    retry: () => void head.refetch(),
    more,
    look,
  };
}
