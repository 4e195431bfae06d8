/**
 * The part of a long list that a page holds, kept true piece by piece. Pure.
 *
 * The list is ordered by id, the newest first, and a page is asked for by the id it comes after. So the rows between two
 * ids can be read again by themselves, wherever somebody has scrolled to, without reading all that is above.
 */

interface Row {
  readonly id: string;
}

export interface Page<R> {
  readonly data: readonly R[];
  readonly next_cursor?: string | null;
}

export interface Listing<R> {
  /** What is held, without a gap from the top. */
  readonly rows: readonly R[];
  /** After which id it goes on; `null` when this is all. */
  readonly cursor: string | null;
}

export function begin<R extends Row>(page: Page<R>): Listing<R> {
  return { rows: page.data, cursor: page.next_cursor ?? null };
}

/** With the page after what is held. A page that was asked for before something else changed is dropped. */
export function grow<R extends Row>(listing: Listing<R>, after: string, page: Page<R>): Listing<R> {
  if (listing.cursor !== after) return listing;
  return { rows: [...listing.rows, ...page.data], cursor: page.next_cursor ?? null };
}

/**
 * With the rows after `after` (`null`: from the top) as they are now. Those that are gone from this stretch are gone
 * from the list. When so much came in above that nothing joins up any more, the list begins again.
 */
export function refresh<R extends Row>(listing: Listing<R>, after: string | null, page: Page<R>): Listing<R> {
  const last = page.next_cursor ?? null;
  const newest = listing.rows[0]?.id;
  if (after === null && last !== null && newest !== undefined && newest < last) return begin(page);
  const above = after === null ? [] : listing.rows.filter(({ id }) => id >= after);
  if (last === null) return { rows: [...above, ...page.data], cursor: null };
  const below = listing.rows.filter(({ id }) => id < last);
  // What was held ends within this stretch, also when it was all there was: it goes on where the stretch ends.
  const ends = listing.cursor === null ? below.length === 0 : listing.cursor >= last;
  return { rows: [...above, ...page.data, ...below], cursor: ends ? last : listing.cursor };
}
