import { useState } from "react";
import { useHere } from "../event/frame.tsx";
import { Readiness } from "../event/readiness.tsx";
import { Audience } from "./audience.tsx";
import { ConnectEncoder, EncoderDisclosure } from "./encoder.tsx";
import { Figures } from "./figures.tsx";
import { Health } from "./health.tsx";
import { Incidents } from "./incidents.tsx";
import { Keyring } from "./keyring.tsx";
import { People } from "./people.tsx";
import { Preview } from "./preview.tsx";
import { Protection } from "./protection.tsx";
import { ViewersPanel } from "./viewers.tsx";

/** The live half of an event: who is watching, and how the stream does. */
export function RoomPage() {
  const { event, room, viewers } = useHere();
  const stream = room.stream ?? event.stream;
  const watching = room.stream === null ? event.watching : room.watching;
  const [managing, setManaging] = useState(false);
  const manage = () => setManaging(true);
  // Before anything happened there is one thing to do, and nothing to look at yet.
  const begun = stream.state !== "idle" || watching > 0 || (room.counters?.peak ?? 0) > 0;

  return (
    <>
      <Incidents event={event.id} viewers={viewers} />
      <Figures event={event} stream={stream} watching={watching} room={room} />
      {stream.state === "idle" && <Readiness event={event} />}
      {begun ? (
        <div className="room-columns level">
          <Audience event={event} room={room} watching={watching} />
          <Preview event={event} state={stream.state} />
        </div>
      ) : (
        <div className="room-columns">
          <ConnectEncoder event={event} manage={manage} />
          <People event={event} />
        </div>
      )}
      <ViewersPanel event={event} room={room} viewers={viewers} state={stream.state} />
      {begun && (
        <div className="room-columns">
          <div className="room-column">
            {stream.state === "idle" ? (
              <ConnectEncoder event={event} manage={manage} />
            ) : (
              <>
                <Health stream={stream} reconnectWindowMs={event.reconnect_window_ms} />
                <EncoderDisclosure event={event} manage={manage} live={stream.state === "live"} />
              </>
            )}
            <Protection event={event} stream={stream} room={room} />
          </div>
          <People event={event} />
        </div>
      )}
      <Keyring event={event} open={managing} onOpenChange={setManaging} />
    </>
  );
}
