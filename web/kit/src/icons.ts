/**
 * The house's drawings: 24 × 24, drawn with the current colour, decorative unless their place names them.
 * Kept as paths so that a page without a framework and one with React draw the same thing.
 */

export interface Icon {
  /** Closed shapes, filled. */
  readonly fill?: readonly string[];
  /** Lines, 1.8 wide, round ends. */
  readonly stroke?: readonly string[];
}

export const icons = {
  play: { fill: ["M8 5.6v12.8c0 .8.9 1.3 1.6.8l9.4-6.4a1 1 0 0 0 0-1.6L9.6 4.8A1 1 0 0 0 8 5.6z"] },
  pause: { fill: ["M7 5h3.5v14H7z", "M13.5 5H17v14h-3.5z"] },
  volume: {
    fill: ["M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z"],
    stroke: ["M15.5 8.5a5 5 0 0 1 0 7", "M18 6a8.5 8.5 0 0 1 0 12"],
  },
  volumeLow: { fill: ["M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z"], stroke: ["M15.5 8.5a5 5 0 0 1 0 7"] },
  muted: { fill: ["M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z"], stroke: ["M16 9.5l5 5", "M21 9.5l-5 5"] },
  fullscreen: { stroke: ["M4 9V4h5", "M15 4h5v5", "M20 15v5h-5", "M9 20H4v-5"] },
  fullscreenExit: { stroke: ["M9 4v5H4", "M20 9h-5V4", "M15 20v-5h5", "M4 15h5v5"] },
  quality: { stroke: ["M4 7h9", "M17 7h3", "M4 17h3", "M11 17h9", "M15 4.8v4.4", "M9 14.8v4.4"] },
  check: { stroke: ["M5 12.5l4.5 4.5L19 7.5"] },
  info: {
    stroke: ["M12 11v5.5", "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17z"],
    fill: ["M12 6.8a1.2 1.2 0 1 0 0 2.4 1.2 1.2 0 0 0 0-2.4z"],
  },
  close: { stroke: ["M6 6l12 12", "M18 6L6 18"] },
  copy: { stroke: ["M9 9h10v11H9z", "M15 9V4H5v11h4"] },
  plus: { stroke: ["M12 5v14", "M5 12h14"] },
  leave: { stroke: ["M13 4H5v16h8", "M10 12h10", "M16.5 8.5L20 12l-3.5 3.5"] },
  people: {
    stroke: [
      "M9 5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7z",
      "M2.5 20c.5-4 3-5.5 6.5-5.5s6 1.5 6.5 5.5",
      "M16 5.3a3.5 3.5 0 0 1 0 6.4",
      "M18.5 15c1.8.800 2.8 2.4 3 5",
    ],
  },
  signal: { stroke: ["M5 19v-3", "M10 19v-6.5", "M15 19V9", "M20 19V5"] },
  key: { stroke: ["M8 11a4 4 0 1 0 0 8 4 4 0 0 0 0-8z", "M11 12.5L20 4", "M16.5 7.2L19 9.7"] },
  chevron: { stroke: ["M6 9l6 6 6-6"] },
  warning: {
    stroke: ["M12 4L2.8 19.5h18.4z", "M12 10v4.5"],
    fill: ["M12 16a1.1 1.1 0 1 0 0 2.2 1.1 1.1 0 0 0 0-2.2z"],
  },
} as const satisfies Record<string, Icon>;

export type IconName = keyof typeof icons;

/**
 * The mark: a door ajar, the lamp's light through it and on the floor. Two colours of the page: `currentColor`
 * for frame and leaf, `--accent` for the light.
 */
export const mark = {
  viewBox: "0 0 32 32",
  light: ["M12.5 5H25v20H12.5z"],
  spill: ["M15.5 25H25l5 5.5H15.5z"],
  leaf: ["M12.5 5l7 3.2v21.5L12.5 25z"],
  frame: ["M10 27V2.5h17.5V27"],
} as const;

const SVG = "http://www.w3.org/2000/svg";

/** An `<svg>` of the named icon, hidden from assistive technology. */
export function icon(name: IconName): SVGSVGElement {
  const drawing: Icon = icons[name];
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon-svg");
  for (const d of drawing.fill ?? []) svg.append(path(d, { fill: "currentColor" }));
  for (const d of drawing.stroke ?? []) {
    svg.append(
      path(d, {
        fill: "none",
        stroke: "currentColor",
        "stroke-width": "1.8",
        "stroke-linecap": "round",
        "stroke-linejoin": "round",
      }),
    );
  }
  return svg;
}

/** The mark as an `<svg>`. */
export function brandMark(): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", mark.viewBox);
  svg.setAttribute("aria-hidden", "true");
  for (const d of mark.light) svg.append(path(d, { class: "brand-light" }));
  for (const d of mark.spill) svg.append(path(d, { class: "brand-spill" }));
  for (const d of mark.leaf) svg.append(path(d, { fill: "currentColor" }));
  for (const d of mark.frame) {
    svg.append(
      path(d, { fill: "none", stroke: "currentColor", "stroke-width": "2.5", "stroke-linejoin": "round" }),
    );
  }
  return svg;
}

function path(d: string, attributes: Record<string, string>): SVGPathElement {
  const element = document.createElementNS(SVG, "path");
  element.setAttribute("d", d);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
