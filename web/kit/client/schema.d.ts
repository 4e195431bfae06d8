/**
 * The API as TypeScript sees it, in the shape openapi-typescript writes.
 *
 * Written by hand until the server's `openapi.json` exists; `npm run generate` then replaces this file.
 */
interface Page<T> {
  data: T[];
  next_cursor?: string | null;
}

interface Content<T> {
  headers: { [name: string]: unknown };
  content: { "application/json": T };
}

interface NoContent {
  headers: { [name: string]: unknown };
  content?: never;
}

interface Failed {
  headers: { [name: string]: unknown };
  content: { "application/problem+json": components["schemas"]["Problem"] };
}

interface Paging {
  limit?: number;
  cursor?: string;
}

type Schemas = components["schemas"];

interface Get<Parameters, T> {
  parameters: Parameters;
  requestBody?: never;
  responses: { 200: Content<T>; default: Failed };
}

interface Post<Parameters, Body, T> {
  parameters: Parameters;
  requestBody: { content: { "application/json": Body } };
  responses: { 201: Content<T>; default: Failed };
}

interface Act<Parameters, T> {
  parameters: Parameters;
  requestBody?: never;
  responses: { 200: Content<T>; default: Failed };
}

interface Change<Parameters, Body, T> {
  parameters: Parameters;
  requestBody: { content: { "application/json": Body } };
  responses: { 200: Content<T>; default: Failed };
}

interface Remove<Parameters> {
  parameters: Parameters;
  requestBody?: never;
  responses: { 204: NoContent; default: Failed };
}

interface OfEvent {
  path: { event: string };
}

export interface paths {
  "/api/v1/login": {
    post: Change<Record<never, never>, Schemas["Credentials"], Schemas["User"]>;
  };
  "/api/v1/logout": {
    post: Remove<Record<never, never>>;
  };
  "/api/v1/me": {
    get: Get<Record<never, never>, Schemas["User"]>;
  };
  "/api/v1/events": {
    get: Get<{ query?: Paging }, Page<Schemas["Event"]>>;
    post: Post<Record<never, never>, Schemas["NewEvent"], Schemas["Event"]>;
  };
  "/api/v1/events/{event}": {
    get: Get<OfEvent, Schemas["Event"]>;
    patch: Change<OfEvent, Schemas["EventChange"], Schemas["Event"]>;
    delete: Remove<OfEvent>;
  };
  "/api/v1/events/{event}/ingest": {
    get: Get<OfEvent, Schemas["Ingest"]>;
  };
  "/api/v1/events/{event}/stream-keys": {
    get: Get<OfEvent & { query?: Paging }, Page<Schemas["StreamKey"]>>;
    post: Post<OfEvent, Schemas["NewStreamKey"], Schemas["StreamKeyMade"]>;
  };
  "/api/v1/events/{event}/stream-keys/{key}": {
    delete: Remove<{ path: { event: string; key: string } }>;
  };
  "/api/v1/events/{event}/broadcast/end": {
    post: Act<OfEvent, Schemas["StreamStatus"]>;
  };
  "/api/v1/events/{event}/invitations": {
    get: Get<OfEvent & { query?: Paging & { search?: string } }, Page<Schemas["Invitation"]>>;
    post: Post<OfEvent, Schemas["NewInvitation"], Schemas["InvitationMade"]>;
  };
  "/api/v1/events/{event}/invitations/{invitation}": {
    delete: Remove<{ path: { event: string; invitation: string } }>;
  };
  "/api/v1/events/{event}/invitations/{invitation}/code": {
    get: Get<{ path: { event: string; invitation: string } }, Schemas["Code"]>;
  };
  "/api/v1/events/{event}/viewers": {
    get: Get<OfEvent & { query?: Paging }, Page<Schemas["Viewer"]>>;
  };
  "/api/v1/events/{event}/viewers/{session}": {
    delete: Remove<{ path: { event: string; session: string } }>;
  };
  "/api/v1/tokens": {
    get: Get<{ query?: Paging }, Page<Schemas["Token"]>>;
    post: Post<Record<never, never>, Schemas["NewToken"], Schemas["TokenMade"]>;
  };
  "/api/v1/tokens/{token}": {
    delete: Remove<{ path: { token: string } }>;
  };
}

export interface components {
  schemas: {
    Problem: {
      type: string;
      title: string;
      status: number;
      detail?: string | null;
      code: string;
      errors?: { field?: string; pointer?: string; code?: string; detail?: string }[];
    };
    Credentials: { username: string; password: string };
    User: { id: string; username: string; role: string };
    Latency: "ultra" | "low" | "standard";
    Event: {
      id: string;
      title: string;
      latency: Schemas["Latency"];
      starts_at?: string | null;
      dvr_window_ms: number;
      reconnect_window_ms: number;
      created_at: string;
      stream: Schemas["StreamStatus"];
      watching: number;
      invited: number;
      redeemed: number;
      viewer_url: string;
    };
    NewEvent: {
      title: string;
      latency?: Schemas["Latency"];
      starts_at?: string | null;
      dvr_window_ms?: number;
      reconnect_window_ms?: number;
    };
    EventChange: {
      title?: string;
      latency?: Schemas["Latency"];
      starts_at?: string | null;
      dvr_window_ms?: number;
      reconnect_window_ms?: number;
    };
    StreamState: "idle" | "live" | "away" | "ended";
    StreamStatus: {
      state: Schemas["StreamState"];
      since?: string | null;
      publisher?: { encoder: string; connected_at: string } | null;
      video?: {
        codec: string;
        name: string;
        width: number;
        height: number;
        fps: number;
        bitrate_bps: number;
        keyframe_interval_ms?: number | null;
      } | null;
      audio?: {
        codec: string;
        name: string;
        sample_rate: number;
        channels: number;
        bitrate_bps: number;
      } | null;
      advice: Schemas["Advice"][];
    };
    Advice: { code: string; severity: "info" | "warning" | "error"; text: string };
    Ingest: {
      rtmp: { server: string; url: string };
      stream_key: string;
      key_id: string;
      expires_at?: string | null;
    };
    StreamKey: {
      id: string;
      hint: string;
      created_at: string;
      expires_at?: string | null;
      revoked_at?: string | null;
      last_used_at?: string | null;
    };
    NewStreamKey: { expires_at?: string | null };
    StreamKeyMade: Schemas["StreamKey"] & { key: string };
    Invitation: {
      id: string;
      name: string;
      state: "created" | "redeemed" | "revoked";
      created_at: string;
      redeemed_at?: string | null;
      session?: Schemas["Viewer"] | null;
    };
    NewInvitation: { name: string };
    InvitationMade: Schemas["Invitation"] & Schemas["Code"];
    Code: { code: string; link: string };
    Viewer: {
      session: string;
      invitation: string;
      name: string;
      joined_at: string;
      last_seen_at: string;
      device: string;
      watching: boolean;
      height?: number | null;
      latency_ms?: number | null;
      stalls?: number | null;
    };
    Token: { id: string; name: string; hint: string; created_at: string; last_used_at?: string | null };
    NewToken: { name: string };
    TokenMade: Schemas["Token"] & { token: string };
  };
}
