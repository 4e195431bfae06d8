/** Where an invitation is on its way, and since when. */
import type { Invitation } from "../../api/types.ts";
import { toneOf } from "../../model/invitations.ts";
import { say, t } from "../../text.ts";
import { useMinute } from "../../ui/clock.ts";

/** Since when it stands there, drawn anew each minute without drawing the table. */
function Since({ at }: { at: string }) {
  const minute = useMinute();
  return <span className="muted small tabular">{say.moment(at, minute)}</span>;
}

export function StateWords({ invitation }: { invitation: Invitation }) {
  const { state, state_at, blocked_at, erased_at } = invitation;
  return (
    <span className="state-words">
      <span className="state" data-tone={erased_at ? "plain" : blocked_at ? "danger" : toneOf(state)}>
        {erased_at ? t("inv.erased") : blocked_at ? t("inv.blocked") : t(`inv.state.${state}`)}
      </span>
      <Since at={erased_at ?? blocked_at ?? state_at} />
    </span>
  );
}
