/** Reads and writes of what is said to invitees. */
import { infiniteQueryOptions, type QueryClient, queryOptions } from "@tanstack/react-query";
import { api, value } from "./client.ts";
import { keys } from "./queries.ts";
import type { MessageChannel, MessageKind, MessageState, NewSend } from "./types.ts";

/** Everything begins like the feed's topic: a hint of it makes all of them look again. */
const messagesKey = (event: string) => [...keys.event(event), "messages"] as const;

export const messagingQuery = (event: string) =>
  queryOptions({
    queryKey: [...messagesKey(event), "gateways"],
    queryFn: ({ signal }) =>
      value(api.GET("/api/v1/events/{event}/messaging", { params: { path: { event } }, signal })),
  });

export const templatesQuery = (event: string) =>
  queryOptions({
    queryKey: [...messagesKey(event), "templates"],
    queryFn: async ({ signal }) =>
      (await value(api.GET("/api/v1/events/{event}/templates", { params: { path: { event } }, signal })))
        .data,
  });

export const sendsQuery = (event: string) =>
  infiniteQueryOptions({
    queryKey: [...messagesKey(event), "sends"],
    queryFn: ({ pageParam, signal }) =>
      value(
        api.GET("/api/v1/events/{event}/sends", {
          params: { path: { event }, query: { limit: 20, ...(pageParam ? { cursor: pageParam } : {}) } },
          signal,
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor ?? null,
  });

export interface MessageFilter {
  readonly send?: string;
  readonly state?: MessageState;
  readonly invitation?: string;
}

export const outboxQuery = (event: string, filter: MessageFilter) =>
  infiniteQueryOptions({
    queryKey: [...messagesKey(event), "outbox", filter],
    queryFn: ({ pageParam, signal }) =>
      value(
        api.GET("/api/v1/events/{event}/messages", {
          params: {
            path: { event },
            query: { limit: 50, ...filter, ...(pageParam ? { cursor: pageParam } : {}) },
          },
          signal,
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor ?? null,
    placeholderData: (previous) => previous,
  });

interface Text {
  readonly channel: MessageChannel;
  readonly subject: string;
  readonly body: string;
}

/** A text message has no subject, a letter always has one. */
const wire = ({ channel, subject, body }: Text) => ({
  channel,
  body,
  ...(channel === "email" ? { subject } : {}),
});

export const textPreviewQuery = (event: string, text: Text, invitation?: string) =>
  queryOptions({
    queryKey: ["event", event, "preview of text", text, invitation ?? null],
    queryFn: ({ signal }) =>
      value(
        api.POST("/api/v1/events/{event}/templates/preview", {
          params: { path: { event } },
          body: { ...wire(text), ...(invitation ? { invitation } : {}) },
          signal,
        }),
      ),
    enabled: text.body.trim() !== "",
    placeholderData: (previous) => previous,
    staleTime: 60_000,
    gcTime: 60_000,
  });

interface Named {
  readonly channel: MessageChannel;
  readonly kind: MessageKind;
  readonly language: string;
}

export const saveTemplate = (event: string, name: Named, text: Text) =>
  value(
    api.PUT("/api/v1/events/{event}/templates/{channel}/{kind}/{language}", {
      params: { path: { event, channel: name.channel, kind: name.kind, language: name.language } },
      body: { body: text.body, ...(name.channel === "email" ? { subject: text.subject } : {}) },
    }),
  );

export const resetTemplate = (event: string, { channel, kind, language }: Named) =>
  value(
    api.DELETE("/api/v1/events/{event}/templates/{channel}/{kind}/{language}", {
      params: { path: { event, channel, kind, language } },
    }),
  );

export const sendTest = (event: string, text: Text, to: string) =>
  value(
    api.POST("/api/v1/events/{event}/templates/test", {
      params: { path: { event } },
      body: { ...wire(text), to },
    }),
  );

export const writeTo = (event: string, invitation: string, text: Text) =>
  value(
    api.POST("/api/v1/events/{event}/invitations/{invitation}/message", {
      params: { path: { event, invitation } },
      body: wire(text),
    }),
  );

export const order = (event: string, body: NewSend) =>
  value(api.POST("/api/v1/events/{event}/sends", { params: { path: { event } }, body }));

export const pauseSend = (event: string, send: string) =>
  value(api.POST("/api/v1/events/{event}/sends/{send}/pause", { params: { path: { event, send } } }));

export const resumeSend = (event: string, send: string) =>
  value(api.POST("/api/v1/events/{event}/sends/{send}/resume", { params: { path: { event, send } } }));

export const cancelSend = (event: string, send: string) =>
  value(api.POST("/api/v1/events/{event}/sends/{send}/cancel", { params: { path: { event, send } } }));

/** Everything of an order that failed, but for what may have arrived. */
export const retrySend = (event: string, send: string) =>
  value(api.POST("/api/v1/events/{event}/sends/{send}/retry", { params: { path: { event, send } } }));

export const retryMessage = (event: string, message: string) =>
  value(
    api.POST("/api/v1/events/{event}/messages/{message}/retry", { params: { path: { event, message } } }),
  );

export function messagesChanged(client: QueryClient, event: string): Promise<void> {
  return client.invalidateQueries({ queryKey: messagesKey(event) });
}
