/**
 * A table of any length: only the rows in view exist, and each is drawn again only when it changes itself.
 *
 * It is a `grid` to assistive technology, with one stop for the Tab key in the head's buttons each and one in the rows.
 * Keys in the rows: up, down, Page Up, Page Down, Home, End move; Space chooses, with Shift from the last choice to
 * here; Ctrl+A chooses everything that matches, Escape nothing; left and right go through the row's own controls (which
 * have `tabIndex={-1}`); Enter opens the row.
 *
 * It is made of `div`s with roles, because rows that exist only while they are in view cannot be laid out by a
 * `<table>`; hence its exceptions in `biome.json`.
 *
 * Order, filter and data are the caller's: a row may be a key whose cells subscribe to where its values live, so that
 * thousands of changes a second touch only the cells that show them.
 */
import { defaultRangeExtractor, type Range, useVirtualizer } from "@tanstack/react-virtual";
import {
  type KeyboardEvent,
  memo,
  type MouseEvent as ReactMouseEvent,
  type ReactNode,
  useCallback,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import {
  between,
  choose,
  chosenCount,
  everything,
  isChosen,
  nothing,
  type Selection,
} from "../model/selection.ts";
import { say, t } from "../text.ts";
import { Icon } from "./icon.tsx";

export interface Column<R> {
  readonly id: string;
  readonly header: string;
  /** A grid track: `minmax(12rem, 2fr)`, `6rem`. */
  readonly width: string;
  readonly align?: "end";
  /** Not drawn on a phone, where the first column says the same in a second line. */
  readonly wide?: boolean;
  /** The header is for screen readers only. */
  readonly quiet?: boolean;
  readonly sortable?: boolean;
  /** This cell names the row. */
  readonly names?: boolean;
  cell(row: R): ReactNode;
}

export interface Sort {
  readonly column: string;
  readonly direction: "ascending" | "descending";
}

interface TableProps<R> {
  label: string;
  /** Stable, or every row is drawn again. */
  columns: readonly Column<R>[];
  rows: readonly R[];
  keyOf(row: R): string;
  /** What the row is called, for the name of its checkbox. */
  nameOf(row: R): string;
  /** Rows that match, when more than `rows` exist on the server. */
  total?: number;
  /** Rows are on their way. */
  busy?: boolean;
  sort?: Sort | null;
  onSort?(sort: Sort): void;
  selection?: Selection;
  onSelect?(selection: Selection): void;
  /** Enter, or a double click. */
  onOpen?(row: R): void;
  /** The end comes into view: time to load more. */
  onEnd?(): void;
  /** Which rows are drawn, from 0; for reading them again. */
  onRange?(first: number, last: number): void;
  /** Somebody is about to point at a row or has the focus in one: it should not move away under them. */
  onHold?(held: boolean): void;
  /** Pixels; `[desktop, phone]`. */
  rowHeight?: readonly [number, number];
  /** Instead of rows. */
  empty?: ReactNode;
}

const ROW_HEIGHT = [48, 64] as const;
/** Rows drawn beyond the visible ones, so that a quick scroll meets rows and not emptiness. */
const OVERSCAN = 8;
/** This close to the end, more is loaded. */
const END_ROWS = 20;
const CHOICE_TRACK = "2.75rem";

const narrow = typeof matchMedia === "function" ? matchMedia("(max-width: 40rem)") : null;

/** Whether the window is as narrow as a phone. */
export function useNarrow(): boolean {
  return useSyncExternalStore(
    (changed) => {
      narrow?.addEventListener("change", changed);
      return () => narrow?.removeEventListener("change", changed);
    },
    () => narrow?.matches ?? false,
  );
}

export function Table<R>({
  label,
  columns,
  rows,
  keyOf,
  nameOf,
  total = rows.length,
  busy = false,
  sort = null,
  onSort,
  selection = nothing,
  onSelect,
  onOpen,
  onEnd,
  onRange,
  onHold,
  rowHeight = ROW_HEIGHT,
  empty,
}: TableProps<R>) {
  const scroller = useRef<HTMLDivElement>(null);
  const isNarrow = useNarrow();
  const height = rowHeight[isNarrow ? 1 : 0];
  const shown = useMemo(() => columns.filter((column) => !(isNarrow && column.wide)), [columns, isNarrow]);
  const tracks = useMemo(
    () => [...(onSelect ? [CHOICE_TRACK] : []), ...shown.map((column) => column.width)].join(" "),
    [shown, onSelect],
  );
  const [activeKey, setActiveKey] = useState<string | null>(null);
  const anchor = useRef<string | null>(null);
  const found = activeKey === null ? -1 : rows.findIndex((row) => keyOf(row) === activeKey);
  const active = found === -1 ? 0 : found;

  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => height,
    overscan: OVERSCAN,
    // By key, so that a row that moves stays the element it was, with its focus.
    getItemKey: (index) => {
      const row = rows[index];
      return row === undefined ? index : keyOf(row);
    },
    // The row that has the focus exists wherever it is.
    rangeExtractor: (range: Range) => {
      const indexes = defaultRangeExtractor(range);
      if (active < rows.length && !indexes.includes(active)) indexes.push(active);
      return indexes.sort((a, b) => a - b);
    },
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: a changed height is what must be measured again
  useEffect(() => virtual.measure(), [height]);

  const items = virtual.getVirtualItems();
  const lastSeen = items.at(-1)?.index ?? -1;
  useEffect(() => {
    if (onEnd && rows.length > 0 && lastSeen >= rows.length - END_ROWS) onEnd();
  }, [onEnd, lastSeen, rows.length]);

  const firstSeen = items[0]?.index ?? 0;
  useEffect(() => {
    if (lastSeen >= 0) onRange?.(firstSeen, lastSeen);
  }, [onRange, firstSeen, lastSeen]);

  // What handlers need of this drawing, without making them anew for each: rows keep theirs and are not drawn again.
  const now = useRef({ rows, keyOf, selection, onSelect, onOpen });
  now.current = { rows, keyOf, selection, onSelect, onOpen };

  const focusRow = useCallback(
    (index: number, then?: (row: HTMLElement) => void) => {
      const { rows, keyOf } = now.current;
      const row = rows[index];
      if (row === undefined) return;
      const key = keyOf(row);
      setActiveKey(key);
      virtual.scrollToIndex(index, { align: "auto" });
      // The row may not exist before the next drawing.
      const find = (tries: number) => {
        const element = scroller.current?.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`);
        if (element) {
          element.focus({ preventScroll: true });
          then?.(element);
        } else if (tries > 0) {
          requestAnimationFrame(() => find(tries - 1));
        }
      };
      find(10);
    },
    [virtual],
  );

  const pick = useCallback((key: string, range: boolean) => {
    const { rows, keyOf, selection, onSelect } = now.current;
    if (!onSelect) return;
    if (range) {
      onSelect(choose(selection, between(rows.map(keyOf), anchor.current, key), true));
    } else {
      onSelect(choose(selection, [key], !isChosen(selection, key)));
    }
    anchor.current = key;
  }, []);

  const keyDown = (pressed: KeyboardEvent<HTMLDivElement>) => {
    const target = pressed.target as HTMLElement;
    const element = target.closest<HTMLElement>("[data-key]");
    if (element === null || pressed.altKey) return;
    const key = element.dataset.key ?? "";
    const index = Number(element.getAttribute("aria-rowindex")) - 2;
    const inside = target !== element;
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? height) / height) - 2);
    const last = rows.length - 1;
    const moves: Record<string, number> = {
      ArrowDown: index + 1,
      ArrowUp: index - 1,
      PageDown: index + page,
      PageUp: index - page,
      Home: 0,
      End: last,
    };
    const move = moves[pressed.key];
    if (move !== undefined) {
      pressed.preventDefault();
      const next = Math.min(last, Math.max(0, move));
      const row = rows[next];
      if (row === undefined) return;
      if (pressed.shiftKey && onSelect) {
        anchor.current ??= key;
        onSelect(choose(selection, between(rows.map(keyOf), anchor.current, keyOf(row)), true));
      } else if (!pressed.ctrlKey && !pressed.metaKey) {
        anchor.current = null;
      }
      focusRow(next);
      return;
    }
    switch (pressed.key) {
      case "ArrowRight":
      case "ArrowLeft": {
        const controls = [
          element,
          ...element.querySelectorAll<HTMLElement>("button:not(:disabled), a[href], input"),
        ];
        const forward = (pressed.key === "ArrowRight") !== (getComputedStyle(element).direction === "rtl");
        const at = controls.indexOf(target);
        controls[Math.min(controls.length - 1, Math.max(0, at + (forward ? 1 : -1)))]?.focus();
        pressed.preventDefault();
        return;
      }
      case " ":
        if (inside || !onSelect) return;
        pressed.preventDefault();
        pick(key, pressed.shiftKey);
        return;
      case "Enter": {
        const row = rows[index];
        if (inside || !onOpen || row === undefined) return;
        pressed.preventDefault();
        onOpen(row);
        return;
      }
      case "a":
        if (!onSelect || !(pressed.ctrlKey || pressed.metaKey)) return;
        pressed.preventDefault();
        onSelect(everything);
        return;
      case "Escape":
        if (inside) {
          focusRow(index);
        } else if (onSelect && chosenCount(selection, total) > 0) {
          pressed.preventDefault();
          onSelect(nothing);
        }
    }
  };

  const chosen = chosenCount(selection, total);
  if (rows.length === 0 && !busy) return empty;
  return (
    <div
      ref={scroller}
      className="grid"
      role="grid"
      aria-label={label}
      aria-rowcount={total + 1}
      aria-colcount={shown.length + (onSelect ? 1 : 0)}
      aria-multiselectable={onSelect ? true : undefined}
      aria-busy={busy || undefined}
      data-choosing={chosen > 0 || undefined}
      style={{ "--tracks": tracks, "--row": `${height}px` } as Record<string, string>}
      onKeyDown={keyDown}
      onPointerEnter={() => onHold?.(true)}
      onPointerLeave={() => onHold?.(false)}
    >
      <div role="rowgroup" className="grid-head">
        <div role="row" className="grid-row" aria-rowindex={1}>
          {onSelect && (
            <div role="columnheader" className="grid-cell grid-choice">
              <Checkbox
                label={t("table.all")}
                checked={total > 0 && chosen === total}
                some={chosen > 0 && chosen < total}
                onPress={() => onSelect(chosen === total ? nothing : everything)}
              />
            </div>
          )}
          {shown.map((column) => (
            <HeaderCell key={column.id} column={column} sort={sort} onSort={onSort} />
          ))}
        </div>
      </div>
      <div role="rowgroup" className="grid-body" style={{ blockSize: virtual.getTotalSize() }}>
        {items.map((item) => {
          const row = rows[item.index];
          if (row === undefined) return null;
          const key = keyOf(row);
          return (
            <TableRow
              key={key}
              id={key}
              row={row}
              name={onSelect ? nameOf(row) : ""}
              index={item.index}
              top={item.start}
              columns={shown as readonly Column<unknown>[]}
              active={item.index === active}
              chosen={onSelect ? isChosen(selection, key) : null}
              focused={setActiveKey}
              pick={pick}
              open={onOpen as ((row: unknown) => void) | undefined}
            />
          );
        })}
      </div>
    </div>
  );
}

function HeaderCell<R>({
  column,
  sort,
  onSort,
}: {
  column: Column<R>;
  sort: Sort | null;
  onSort: ((sort: Sort) => void) | undefined;
}) {
  const direction = sort?.column === column.id ? sort.direction : null;
  return (
    <div
      role="columnheader"
      className="grid-cell"
      data-align={column.align}
      aria-sort={column.sortable && onSort ? (direction ?? "none") : undefined}
    >
      {column.sortable && onSort ? (
        <button
          type="button"
          className="grid-sort"
          onClick={() =>
            onSort({
              column: column.id,
              direction: direction === "ascending" ? "descending" : "ascending",
            })
          }
        >
          {column.header}
          <Icon name="chevron" />
        </button>
      ) : (
        <span className={column.quiet ? "visually-hidden" : undefined}>{column.header}</span>
      )}
    </div>
  );
}

interface TableRowProps {
  id: string;
  row: unknown;
  name: string;
  index: number;
  top: number;
  columns: readonly Column<unknown>[];
  active: boolean;
  /** `null` where nothing can be chosen. */
  chosen: boolean | null;
  focused(key: string): void;
  pick(key: string, range: boolean): void;
  open: ((row: unknown) => void) | undefined;
}

const TableRow = memo(function TableRow({
  id,
  row,
  name,
  index,
  top,
  columns,
  active,
  chosen,
  focused,
  pick,
  open,
}: TableRowProps) {
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid around it handles the keys
    <div
      role="row"
      className="grid-row"
      data-key={id}
      aria-rowindex={index + 2}
      aria-selected={chosen ?? undefined}
      tabIndex={active ? 0 : -1}
      style={{ transform: `translateY(${top}px)` }}
      onFocus={() => focused(id)}
      onClick={(pressed) => {
        // A modifier chooses, as in a file manager; a plain click only puts the focus here.
        if (chosen === null || isControl(pressed)) return;
        if (pressed.shiftKey || pressed.ctrlKey || pressed.metaKey) {
          getSelection()?.removeAllRanges();
          pick(id, pressed.shiftKey);
        }
      }}
      onDoubleClick={(pressed) => {
        if (!isControl(pressed)) open?.(row);
      }}
    >
      {chosen !== null && (
        <div role="gridcell" className="grid-cell grid-choice">
          <Checkbox
            label={t("table.choose", { name })}
            checked={chosen}
            tabIndex={-1}
            onPress={(range) => pick(id, range)}
          />
        </div>
      )}
      {columns.map((column) => (
        <div
          key={column.id}
          role={column.names ? "rowheader" : "gridcell"}
          className="grid-cell"
          data-align={column.align}
          data-column={column.id}
        >
          {column.cell(row)}
        </div>
      ))}
    </div>
  );
});

function isControl(pressed: ReactMouseEvent): boolean {
  return (pressed.target as HTMLElement).closest("button, a, input, label") !== null;
}

interface CheckboxProps {
  label: string;
  checked: boolean;
  /** Some of what it stands for. */
  some?: boolean;
  tabIndex?: number;
  onPress(shift: boolean): void;
}

function Checkbox({ label, checked, some = false, tabIndex, onPress }: CheckboxProps) {
  return (
    // The label makes the target as large as a thumb.
    <label className="grid-check">
      <input
        type="checkbox"
        aria-label={label}
        checked={checked}
        tabIndex={tabIndex}
        ref={(element) => {
          if (element) element.indeterminate = some;
        }}
        onChange={(changed) => onPress((changed.nativeEvent as MouseEvent).shiftKey === true)}
      />
    </label>
  );
}

interface SelectionBarProps {
  count: number;
  clear(): void;
  /** What can be done with them. */
  children: ReactNode;
}

/** What can be done with the rows that are chosen; there while any are. */
export function SelectionBar({ count, clear, children }: SelectionBarProps) {
  return (
    <div className="selection-bar" role="toolbar" aria-label={t("table.actions")} hidden={count === 0}>
      <p className="tabular" role="status">
        {count > 0 && t("table.chosen", { n: count, count: say.number(count) })}
      </p>
      <div className="cluster">
        {children}
        <button type="button" className="button quiet small" onClick={clear}>
          {t("table.clear")}
        </button>
      </div>
    </div>
  );
}
