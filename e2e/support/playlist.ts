/** The few facts of a media playlist that tests ask about. */

export interface Playlist {
  /** The media sequence number of the newest complete segment. */
  lastMsn: number;
  discontinuities: number;
  ended: boolean;
}

export async function fetchPlaylist(
  multivariant: string,
  rendition: "video" | "audio" = "video",
): Promise<Playlist> {
  const response = await fetch(new URL(`${rendition}/index.m3u8`, multivariant));
  // Live, and not a single part yet.
  if (response.status === 404) return { lastMsn: -1, discontinuities: 0, ended: false };
  if (!response.ok) throw new Error(`${rendition} playlist: ${response.status}`);
  const text = await response.text();
  const first = Number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(text)?.[1] ?? 0);
  return {
    lastMsn: first + (text.match(/#EXTINF/g)?.length ?? 0) - 1,
    discontinuities: text.match(/#EXT-X-DISCONTINUITY\n/g)?.length ?? 0,
    ended: text.includes("#EXT-X-ENDLIST"),
  };
}
