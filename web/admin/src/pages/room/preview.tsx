import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { Button } from "react-aria-components";
import { previewQuery } from "../../api/queries.ts";
import type { Event, StreamStatus } from "../../api/types.ts";
import { t } from "../../text.ts";
import { Failed } from "../../ui/states.tsx";
import { useNarrow } from "../../ui/table.tsx";

/** What viewers see, without being one of them. It goes on by itself when the broadcast does. */
export function Preview({ event, state }: { event: Event; state: StreamStatus["state"] }) {
  const narrow = useNarrow();
  const [wanted, setWanted] = useState<boolean | null>(null);
  // A picture that nobody asked for is somebody's mobile data.
  const shown = wanted ?? !narrow;
  const onAir = state === "live" || state === "away";

  return (
    <section className="card stack preview" aria-labelledby="preview-title">
      <div className="card-head">
        <h2 id="preview-title">{t("preview.title")}</h2>
        {onAir && (
          <Button className="button quiet small" onPress={() => setWanted(!shown)}>
            {shown ? t("preview.hide") : t("preview.show")}
          </Button>
        )}
      </div>
      {onAir ? (
        shown ? (
          <Screen event={event} holding={state === "away"} />
        ) : (
          <p className="muted small">{t("preview.hidden")}</p>
        )
      ) : (
        // A black field is worth its place on a desk only.
        <div className={shown ? "preview-screen preview-dark" : "muted small"}>
          <p>{t(state === "ended" ? "preview.ended" : "preview.idle")}</p>
        </div>
      )}
    </section>
  );
}

function Screen({ event, holding }: { event: Event; holding: boolean }) {
  const preview = useQuery(previewQuery(event.id));
  const place = useRef<HTMLDivElement>(null);
  const player = useRef<HTMLElement | null>(null);
  const src = preview.data?.hls;
  const { refetch } = preview;

  useEffect(() => {
    const home = place.current;
    if (home === null) return;
    let over = false;
    let element: HTMLElement | null = null;
    // The viewer's own player, and most of the bytes of it, only for who looks.
    void import("../../../../player/src/element/stagedoor-player.ts").then(() => {
      if (over) return;
      element = document.createElement("stagedoor-player");
      element.setAttribute("muted", "");
      // The address has ended, or the server has begun anew: there is another one.
      element.addEventListener("refused", () => void refetch());
      player.current = element;
      home.append(element);
      home.dispatchEvent(new Event("ready"));
    });
    return () => {
      over = true;
      element?.remove();
      player.current = null;
    };
  }, [refetch]);

  useEffect(() => {
    const home = place.current;
    const apply = () => {
      const element = player.current;
      if (element === null) return;
      element.toggleAttribute("holding", holding);
      if (src === undefined) element.removeAttribute("src");
      else if (element.getAttribute("src") !== src) element.setAttribute("src", src);
    };
    apply();
    home?.addEventListener("ready", apply);
    return () => home?.removeEventListener("ready", apply);
  }, [src, holding]);

  if (preview.isError && preview.data === undefined) {
    return <Failed error={preview.error} retry={() => void preview.refetch()} />;
  }
  return <div ref={place} className="preview-screen" data-holding={holding || undefined} />;
}
