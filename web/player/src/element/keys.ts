/**
 * Key sessions that are not needed any more.
 *
 * For a broadcast that is sealed by samples hls.js opens a session of Encrypted Media Extensions for each key, and closes
 * none of them before it is destroyed: 360 an hour, of which browsers and their decryption modules bear a limited number.
 * Here each is closed when nothing that its key opens is buffered, or about to be. Whoever goes back further asks for the
 * key again, like everybody else.
 */
import Hls, { type Fragment, type MediaKeySessionContext, type Part } from "hls.js";

/** What is so near (seconds) to what is buffered may be on its way there, or be about to be evicted. */
const NEAR_S = 6;

/** What has no public name in hls.js: its controller for Encrypted Media Extensions, as far as it is needed here. */
interface Inside {
  readonly emeController?: {
    readonly mediaKeySessions: readonly MediaKeySessionContext[];
    removeSession(context: MediaKeySessionContext): Promise<unknown>;
  };
}

/** A stretch of the media's time, in seconds. */
interface Stretch {
  start: number;
  end: number;
}

/** Closes key sessions of `hls` as their media leaves the buffer of `video`; ends with `hls`. */
export function closeOldKeys(hls: Hls, video: HTMLVideoElement): void {
  /** What is known to be opened by each key. */
  const opens = new Map<string, Stretch>();

  function note({ decryptdata }: Fragment, { start, end }: Fragment | Part): void {
    const name = nameOf(decryptdata?.keyId);
    if (name === null) return;
    const known = opens.get(name);
    opens.set(name, {
      start: Math.min(start, known?.start ?? start),
      end: Math.max(end, known?.end ?? end),
    });
  }

  function isNeeded({ start, end }: Stretch): boolean {
    const near = (from: number, to: number) => start < to + NEAR_S && end > from - NEAR_S;
    const { buffered, currentTime } = video;
    for (let i = 0; i < buffered.length; i += 1) {
      if (near(buffered.start(i), buffered.end(i))) return true;
    }
    return near(currentTime, currentTime);
  }

  hls.on(Hls.Events.KEY_LOADED, (_, { frag }) => note(frag, frag));
  hls.on(Hls.Events.FRAG_BUFFERED, (_, { frag, part }) => {
    note(frag, part ?? frag);
    const controller = (hls as unknown as Inside).emeController;
    for (const [name, stretch] of opens) {
      if (isNeeded(stretch)) continue;
      opens.delete(name);
      for (const context of controller?.mediaKeySessions.slice() ?? []) {
        if (nameOf(context.createdFor.levelKey.keyId) === name) void controller?.removeSession(context);
      }
    }
  });
}

function nameOf(keyId: Uint8Array | null | undefined): string | null {
  return keyId ? keyId.join() : null;
}
