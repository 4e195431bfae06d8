// The bars, what was measured against each, and everything else worth keeping.

export class Bars {
  constructor() {
    this.rows = [];
    this.figures = {};
  }

  // A figure with a bar: `value` must be at most (`most`) or at least (`least`) it. `digits` are for showing.
  add(name, value, { most, least, unit = "", digits = 2, peer = "" }) {
    const met = Number.isFinite(value) && (most === undefined || value <= most) && (least === undefined || value >= least);
    const bar = most !== undefined ? `≤ ${most}` : `≥ ${least}`;
    const shown = Number.isFinite(value) ? value.toFixed(digits) : "not measured";
    this.rows.push({ name, value, shown: `${shown} ${unit}`.trim(), bar: `${bar} ${unit}`.trim(), met, peer });
    console.log(`   ${met ? "met " : "MISS"} ${name}: ${shown} ${unit} (bar ${bar})${peer ? `; ${peer}` : ""}`);
  }

  // Figures without a bar.
  keep(name, value) {
    this.figures[name] = value;
  }

  table() {
    const width = Math.max(4, ...this.rows.map((row) => row.name.length));
    const lines = this.rows.map(
      (row) =>
        `${row.met ? "met " : "MISS"}  ${row.name.padEnd(width)}  ${row.shown.padStart(14)}  ${row.bar.padStart(12)}  ${row.peer}`,
    );
    const met = this.rows.filter((row) => row.met).length;
    return [
      `${"".padEnd(4)}  ${"bar".padEnd(width)}  ${"measured".padStart(14)}  ${"wanted".padStart(12)}`,
      ...lines,
      `${met} of ${this.rows.length} bars met`,
    ].join("\n");
  }

  json() {
    return { bars: this.rows, figures: this.figures };
  }
}

// The value that `share` (0 to 1) of the values do not exceed.
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] : Number.NaN;
}

export const median = (values) => quantile(values, 0.5);
