/**
 * A line over time on a canvas: drag across it, or use the keys, to look closer. What it shows is also said in words by
 * its name. The drawing library is fetched when the first chart is shown.
 */
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import type uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { type Line, moved, zoomed } from "../model/audience.ts";
import { i18n, say } from "../text.ts";

export type View = readonly [number, number];

interface ChartProps {
  line: Line;
  /** Everything there is to see: seconds since 1970. */
  whole: View;
  /** What is looked at more closely; `null` for everything. */
  view: View | null;
  onView(view: View | null): void;
  /** What is seen, in words. */
  label: string;
  /** What the value is called where the pointer is. */
  series: string;
}

const HEIGHT = 232;
const KEY_ZOOM = 0.6;
const KEY_STEP = 0.2;

export function Chart({ line, whole, view, onView, label, series }: ChartProps) {
  const frame = useRef<HTMLDivElement>(null);
  const readout = useRef<HTMLOutputElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [ready, setReady] = useState(false);
  const latest = useRef({ onView, series });
  latest.current = { onView, series };

  useEffect(() => {
    const element = frame.current;
    if (element === null) return;
    let over = false;
    let close = () => {};
    void import("uplot").then(({ default: UPlot }) => {
      if (over) return;
      const made = new UPlot(options(UPlot, element, readout, latest), [[], []], element);
      plot.current = made;
      const resize = new ResizeObserver(() =>
        made.setSize({ width: Math.max(200, element.clientWidth), height: HEIGHT }),
      );
      resize.observe(element);
      const dark = matchMedia("(prefers-color-scheme: dark)");
      const redraw = () => made.redraw();
      dark.addEventListener("change", redraw);
      close = () => {
        resize.disconnect();
        dark.removeEventListener("change", redraw);
        made.destroy();
        plot.current = null;
      };
      setReady(true);
    });
    return () => {
      over = true;
      close();
    };
  }, []);

  useEffect(() => {
    const made = plot.current;
    if (!ready || made === null) return;
    const [min, max] = view ?? whole;
    made.batch(() => {
      made.setData([line.xs, line.ys], false);
      made.setScale("x", { min, max });
      // Without a limit of its own the height is that of what is seen.
      made.setScale("y", heightOf(line, min, max));
    });
  }, [ready, line, view, whole]);

  const keyDown = (pressed: KeyboardEvent) => {
    const seen = view ?? whole;
    const towards = i18n.dir === "rtl" ? -1 : 1;
    const acts: Record<string, () => View | null> = {
      "+": () => zoomed(seen, KEY_ZOOM, whole),
      "=": () => zoomed(seen, KEY_ZOOM, whole),
      "-": () => zoomed(seen, 1 / KEY_ZOOM, whole),
      ArrowLeft: () => moved(seen, -KEY_STEP * towards, whole),
      ArrowRight: () => moved(seen, KEY_STEP * towards, whole),
      Escape: () => null,
    };
    const act = acts[pressed.key];
    if (act === undefined || pressed.ctrlKey || pressed.metaKey || pressed.altKey) return;
    if (view === null && pressed.key.startsWith("Arrow")) return;
    pressed.preventDefault();
    const next = act();
    onView(next !== null && next[1] - next[0] >= whole[1] - whole[0] ? null : next);
  };

  return (
    // biome-ignore lint/a11y/useSemanticElements: a group of nothing but a picture, with keys of its own
    <div
      className="chart-frame"
      role="group"
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it has keys
      tabIndex={0}
      onKeyDown={keyDown}
    >
      <div ref={frame} className="chart-canvas" aria-hidden="true">
        <i className="chart-line-color" />
        <i className="chart-area-color" />
        <i className="chart-axis-color" />
        <i className="chart-grid-color" />
      </div>
      <output ref={readout} className="chart-readout tabular small" aria-hidden="true" />
    </div>
  );
}

function heightOf({ xs, ys }: Line, min: number, max: number): { min: number; max: number } {
  let top = 0;
  for (const [index, at] of xs.entries()) {
    if (at >= min && at <= max) top = Math.max(top, ys[index] ?? 0);
  }
  // Room above the line, and an axis that has whole people on it.
  return { min: 0, max: Math.max(4, Math.ceil(top * 1.12)) };
}

function options(
  UPlot: typeof uPlot,
  element: HTMLElement,
  readout: { current: HTMLOutputElement | null },
  latest: { current: { onView(view: View): void; series: string } },
): uPlot.Options {
  const color = (name: string) => {
    const probe = element.querySelector(`.chart-${name}-color`);
    return probe ? getComputedStyle(probe).color : "gray";
  };
  const axis: uPlot.Axis = {
    stroke: () => color("axis"),
    font: `12px ${getComputedStyle(element).fontFamily}`,
    grid: { stroke: () => color("grid"), width: 1 },
    ticks: { show: false },
  };
  const stepped = UPlot.paths.stepped?.({ align: 1 });
  return {
    width: Math.max(200, element.clientWidth),
    height: HEIGHT,
    padding: [12, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: true, y: false, setScale: false }, points: { size: 8 } },
    scales: { x: { time: true, auto: false }, y: { auto: false } },
    axes: [
      {
        ...axis,
        size: 28,
        space: 72,
        values: (_plot, splits, _axis, _space, step) =>
          splits.map((at) => clockWords(at * 1_000, step ?? 60)),
      },
      {
        ...axis,
        size: 52,
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000],
        values: (_plot, splits) => splits.map((value) => say.number(value)),
      },
    ],
    series: [
      {},
      {
        stroke: () => color("line"),
        fill: () => color("area"),
        width: 2,
        points: { show: false },
        ...(stepped ? { paths: stepped } : {}),
      },
    ],
    hooks: {
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width < 8) return;
          const view = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")] as const;
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          latest.current.onView(zoomed(view, 1, [0, Number.MAX_SAFE_INTEGER]));
        },
      ],
      setCursor: [
        (plot) => {
          const place = readout.current;
          if (place === null) return;
          const { idx } = plot.cursor;
          const at = idx === null || idx === undefined ? undefined : plot.data[0][idx];
          const value = idx === null || idx === undefined ? undefined : plot.data[1]?.[idx];
          place.textContent =
            at === undefined || value === undefined || value === null
              ? ""
              : `${say.time(at * 1_000)} · ${latest.current.series}: ${say.number(value)}`;
        },
      ],
    },
  };
}

function clockWords(at: number, stepSeconds: number): string {
  const style: Intl.DateTimeFormatOptions =
    stepSeconds >= 86_400
      ? { day: "numeric", month: "short" }
      : { hour: "numeric", minute: "2-digit", ...(stepSeconds < 60 ? { second: "2-digit" } : {}) };
  return new Intl.DateTimeFormat(i18n.locale, style).format(at);
}
