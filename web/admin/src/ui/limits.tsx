/** What an encoder may send: four numbers with their units. */
import type { LimitField, LimitsDraft } from "../model/limits.ts";
import { t } from "../text.ts";
import { TextInput } from "./form.tsx";

interface LimitsFieldsProps {
  draft: LimitsDraft;
  change(part: Partial<LimitsDraft>): void;
  /** What is wrong with a field, by its name in the API. */
  error(field: LimitField): string | undefined;
}

export function LimitsFields({ draft, change, error }: LimitsFieldsProps) {
  return (
    <div className="limits">
      <TextInput
        label={t("limits.bitrate")}
        after="kbit/s"
        numeric
        error={error("bitrate_kbps")}
        value={draft.bitrate}
        onChange={(bitrate) => change({ bitrate })}
      />
      <TextInput
        label={t("limits.fps")}
        after="fps"
        numeric
        error={error("fps")}
        value={draft.fps}
        onChange={(fps) => change({ fps })}
      />
      <TextInput
        label={t("limits.long_side")}
        after="px"
        numeric
        error={error("long_side")}
        value={draft.longSide}
        onChange={(longSide) => change({ longSide })}
      />
      <TextInput
        label={t("limits.short_side")}
        after="px"
        numeric
        error={error("short_side")}
        value={draft.shortSide}
        onChange={(shortSide) => change({ shortSide })}
      />
    </div>
  );
}
