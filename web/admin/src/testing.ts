/** Values for tests: complete, plausible, and each field can be said anew. */
import type { Counters, Event, Invitation, StreamStatus, Viewer } from "./api/types.ts";

export function aStream(over: Partial<StreamStatus>): StreamStatus {
  return {
    state: "live",
    since: "2026-11-20T18:00:00.000Z",
    publisher: { encoder: "obs-studio 32.0.1", connected_at: "2026-11-20T18:00:00.000Z" },
    video: {
      codec: "avc1.64001f",
      name: "H.264",
      width: 1280,
      height: 720,
      fps: 30,
      bitrate_bps: 2_500_000,
      keyframe_interval_ms: 2_000,
    },
    audio: { codec: "mp4a.40.2", name: "AAC", sample_rate: 48_000, channels: 2, bitrate_bps: 128_000 },
    encryption: { method: "off", key_period_s: 10 },
    advice: [],
    ...over,
  };
}

export function aViewer(over: Partial<Viewer>): Viewer {
  return {
    session: "ses_a",
    invitation: "inv_a",
    name: "Ada",
    joined_at: "2026-11-20T18:01:00.000Z",
    last_seen_at: "2026-11-20T18:05:00.000Z",
    device: "Chrome on Android",
    watching: true,
    height: 720,
    latency_ms: 2_100,
    stalls: 0,
    visible: true,
    silent: false,
    guards_missing: null,
    risk: 0,
    signals: [],
    ...over,
  };
}

export function someCounters(over: Partial<Counters>): Counters {
  return {
    watching: 0,
    peak: 0,
    inside: 0,
    invited: 0,
    redeemed: 0,
    waiting: 0,
    refused: 0,
    incidents: 0,
    pages: null,
    ...over,
  };
}

export function anInvitation(over: Partial<Invitation>): Invitation {
  return {
    id: "inv_a",
    name: "Ada",
    state: "created",
    state_at: "2026-11-20T17:00:00.000Z",
    tags: [],
    language: null,
    phone: null,
    email: null,
    note: null,
    masked: true,
    plus_ones: 0,
    guest_of: null,
    expires_at: null,
    uses: 0,
    max_uses: null,
    blocked_at: null,
    erased_at: null,
    created_at: "2026-11-20T17:00:00.000Z",
    redeemed_at: null,
    session: null,
    ...over,
  };
}

export function anEvent(over: Partial<Event>): Event {
  return {
    id: "evt_a",
    title: "Opening night",
    latency: "low",
    starts_at: null,
    dvr_window_ms: 900_000,
    reconnect_window_ms: 60_000,
    created_at: "2026-11-19T12:00:00.000Z",
    stream: aStream({ state: "idle", publisher: null, video: null, audio: null, encryption: null }),
    watching: 0,
    invited: 0,
    redeemed: 0,
    viewer_url: "https://live.example/e/evt_a",
    policy: {
      access: { countries: [], unknown_country: "deny", networks: [] },
      takeover: { answer_s: 60, unanswered: "deny" },
      admission: { capacity: null, per_second: null },
      messages: { per_second: 1, default_language: "en", prefix_budget_milli: [] },
      privacy: { retention_days: null },
      encryption: { method: "off", key_period_s: 10 },
      protection: { guard: true, action: "log", watermark: false },
      publish: { bitrate_kbps: 60_000, long_side: 4_096, short_side: 2_304, fps: 120 },
    },
    team_id: null,
    ...over,
  };
}
