import { Label, ProgressBar } from "react-aria-components";

interface ProgressProps {
  label: string;
  /** From 0 to 1; `null` when nobody knows how much is left. */
  value: number | null;
  /** Said beside the label, and by screen readers instead of a percentage. */
  said?: string;
}

export function Progress({ label, value, said }: ProgressProps) {
  return (
    <ProgressBar
      className="progress"
      value={value ?? 0}
      maxValue={1}
      isIndeterminate={value === null}
      {...(said === undefined ? {} : { valueLabel: said })}
    >
      {({ percentage, valueText }) => (
        <>
          <span className="cluster spread small">
            <Label className="label">{label}</Label>
            {value !== null && <span className="muted tabular">{said ?? valueText}</span>}
          </span>
          <svg className="progress-bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">
            <rect className="progress-fill" width={percentage ?? 30} height="1" />
          </svg>
        </>
      )}
    </ProgressBar>
  );
}
