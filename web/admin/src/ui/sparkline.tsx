import type { Sample } from "../feed/reducer.ts";
import { sparkPath } from "../model/spark.ts";

const WIDTH = 120;
const HEIGHT = 32;

/** A short history as a line, drawn from zero so that its height is honest. Decoration: the number is beside it. */
export function Sparkline({ samples, now }: { samples: readonly Sample[]; now: number }) {
  const { line, area } = sparkPath(samples, now, WIDTH, HEIGHT);
  if (line === "") return null;
  return (
    <svg className="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path className="spark-area" d={area} />
      <path className="spark-line" d={line} vectorEffect="non-scaling-stroke" />
    </svg>
  );
}
