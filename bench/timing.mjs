// Whether the time of a refusal tells how nearly right a secret was: in the process itself, without a network's noise.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { output } from "./lib/process.mjs";

const PROGRAM = join(import.meta.dirname, "../target/release/examples/timing");
/** What takes the same time stays below this, but for once in 150,000 times. */
const SAME = 4.5;

export async function measure({ bars, quick }) {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is not there: make bench`);
  const samples = quick ? ["--samples", "5000", "--names", "200", "--guesses", "50000"] : [];
  const seed = process.env.TIMING_SEED ? ["--seed", process.env.TIMING_SEED] : [];
  const report = JSON.parse(await output(PROGRAM, [...samples, ...seed]));
  bars.keep("timing", report);
  console.log(`   seed ${report.seed} (TIMING_SEED=${report.seed} draws the same lot)`);
  bars.add(`${report.guesses.toLocaleString("en")} guessed addresses of parts: not refused alike`, report.guessed, {
    most: 0,
    digits: 0,
  });
  const most = ({ all, usual }) => Math.max(Math.abs(all.t), Math.abs(usual.t));
  for (const { what, samples: n, median_ns: median, control, nearly } of report.rows) {
    const careless = what.startsWith("CARELESS");
    bars.add(`${what}: |t| against wrong`, most(nearly), {
      ...(careless ? { least: SAME } : { most: SAME }),
      digits: 1,
      peer:
        `wrong against wrong ${most(control).toFixed(1)}; ${n.toLocaleString("en")} each; median ` +
        `${(median / 1000).toFixed(1)} µs; differs by ${nearly.usual.difference_ns.toFixed(0)} ns, ` +
        `seen from ${nearly.usual.seen_from_ns.toFixed(0)} ns`,
    });
    bars.add(`${what}: |t| of the control`, most(control), { most: SAME, digits: 1 });
  }
}
