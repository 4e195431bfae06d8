import { type Icon as Drawing, type IconName as KitName, icons as kit, mark } from "@stagedoor/kit/icons";

/** Drawings only the control room needs, on the kit's grid. */
const own = {
  eye: {
    stroke: [
      "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12z",
      "M12 9.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6z",
    ],
  },
  eyeOff: {
    stroke: [
      "M4.5 8.4A15 15 0 0 0 2.5 12S6 18.5 12 18.5c1.5 0 2.8-.4 4-1",
      "M9.6 5.8A8 8 0 0 1 12 5.5c6 0 9.5 6.5 9.5 6.5a15 15 0 0 1-2.4 3.2",
      "M4 4l16 16",
    ],
  },
  link: {
    stroke: [
      "M10 14a4 4 0 0 0 5.7 0l3.4-3.4a4 4 0 0 0-5.7-5.7L12 6.3",
      "M14 10a4 4 0 0 0-5.7 0l-3.4 3.4a4 4 0 0 0 5.7 5.7l1.4-1.4",
    ],
  },
  more: {
    fill: [
      "M5 10.4a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 0 0 0-3.2z",
      "M12 10.4a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 0 0 0-3.2z",
      "M19 10.4a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 0 0 0-3.2z",
    ],
  },
  search: { stroke: ["M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13z", "M15.5 15.5L20.5 20.5"] },
  back: { stroke: ["M14.5 5.5L8 12l6.5 6.5"] },
  stop: { fill: ["M7 6h10a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H7a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1z"] },
  letter: { stroke: ["M4 6.5h16v11H4z", "M4.5 7.5l7.5 6 7.5-6"] },
  account: {
    stroke: [
      "M12 4.5a3.7 3.7 0 1 0 0 7.4 3.7 3.7 0 0 0 0-7.4z",
      "M4.8 20c.6-4.2 3.4-5.8 7.2-5.8s6.6 1.6 7.2 5.8",
    ],
  },
} as const satisfies Record<string, Drawing>;

const drawings: Record<KitName | keyof typeof own, Drawing> = { ...kit, ...own };
export type IconName = keyof typeof drawings;

/** A drawing in the current colour, silent to assistive technology: its place carries the name. */
export function Icon({ name }: { name: IconName }) {
  const { fill = [], stroke = [] } = drawings[name];
  return (
    <svg className="icon-svg" viewBox="0 0 24 24" aria-hidden="true">
      {fill.map((d) => (
        <path key={d} d={d} fill="currentColor" />
      ))}
      {stroke.map((d) => (
        <path
          key={d}
          d={d}
          fill="none"
          stroke="currentColor"
          strokeWidth="1.8"
          strokeLinecap="round"
          strokeLinejoin="round"
        />
      ))}
    </svg>
  );
}

/** The house's mark: a door ajar and the lamp's light through it. */
export function Mark() {
  return (
    <svg viewBox={mark.viewBox} aria-hidden="true" className="mark">
      {mark.light.map((d) => (
        <path key={d} d={d} className="mark-light" />
      ))}
      {mark.spill.map((d) => (
        <path key={d} d={d} className="mark-spill" />
      ))}
      {mark.leaf.map((d) => (
        <path key={d} d={d} fill="currentColor" />
      ))}
      {mark.frame.map((d) => (
        <path key={d} d={d} fill="none" stroke="currentColor" strokeWidth="2.5" strokeLinejoin="round" />
      ))}
    </svg>
  );
}
