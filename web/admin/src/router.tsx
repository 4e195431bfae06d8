/** The addresses of the control room. Everything but the door needs a person who is signed in. */
import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from "@tanstack/react-router";
import { meQuery } from "./api/queries.ts";
import type { MessageState } from "./api/types.ts";
import { type Filter, filterOf } from "./model/invitations.ts";
import { isMessageState, isWho, type Who } from "./model/messages.ts";
import { EventFrame } from "./pages/event/frame.tsx";
import { EventsPage } from "./pages/events.tsx";
import { LogPage } from "./pages/log.tsx";
import { Crashed, NowherePage } from "./pages/lost.tsx";
import { NewEventPage } from "./pages/new-event.tsx";
import { RoomPage } from "./pages/room/room.tsx";
import { Shell } from "./pages/shell.tsx";
import { SignInPage } from "./pages/sign-in.tsx";
import { WebhooksPage } from "./pages/webhooks.tsx";

const root = createRootRouteWithContext<{ client: QueryClient }>()({ component: Outlet });

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  component: SignInPage,
  validateSearch: (
    search: Record<string, unknown>,
  ): { next?: string; expired?: boolean; problem?: string } => ({
    // Only a path of this site: an address someone else chose must not be where signing in leads.
    ...(typeof search.next === "string" && /^\/(?![/\\])/.test(search.next) ? { next: search.next } : {}),
    ...(search.expired === true ? { expired: true } : {}),
    ...(typeof search.problem === "string" ? { problem: search.problem } : {}),
  }),
});

const inside = createRoute({
  getParentRoute: () => root,
  id: "inside",
  component: Shell,
  beforeLoad: async ({ context, location }) => {
    const me = await context.client.ensureQueryData(meQuery);
    if (me === null) {
      throw redirect({ to: "/sign-in", search: location.href === "/" ? {} : { next: location.href } });
    }
  },
});

const events = createRoute({ getParentRoute: () => inside, path: "/", component: EventsPage });
const newEvent = createRoute({ getParentRoute: () => inside, path: "/events/new", component: NewEventPage });
const event = createRoute({ getParentRoute: () => inside, path: "/events/$event", component: EventFrame });
const room = createRoute({ getParentRoute: () => event, path: "/", component: RoomPage });
const invitations = createRoute({
  getParentRoute: () => event,
  path: "/invitations",
  component: lazyRouteComponent(() => import("./pages/invitations/list.tsx"), "InvitationsPage"),
  validateSearch: (search: Record<string, unknown>): Filter & { open?: string } => ({
    ...filterOf(search),
    ...(typeof search.open === "string" ? { open: search.open } : {}),
  }),
});
const importList = createRoute({
  getParentRoute: () => event,
  path: "/invitations/import",
  component: lazyRouteComponent(() => import("./pages/invitations/import.tsx"), "ImportPage"),
  validateSearch: (search: Record<string, unknown>): { id?: string } =>
    typeof search.id === "string" ? { id: search.id } : {},
});
const messages = createRoute({
  getParentRoute: () => event,
  path: "/messages",
  component: lazyRouteComponent(() => import("./pages/messages/frame.tsx"), "MessagesFrame"),
  // Whom the form to send begins with; without it, it is closed.
  validateSearch: (search: Record<string, unknown>): { to?: Who } =>
    isWho(search.to) ? { to: search.to } : {},
});
const sends = createRoute({
  getParentRoute: () => messages,
  path: "/",
  component: lazyRouteComponent(() => import("./pages/messages/sends.tsx"), "SendsPage"),
});
const templates = createRoute({
  getParentRoute: () => messages,
  path: "/templates",
  component: lazyRouteComponent(() => import("./pages/messages/templates.tsx"), "TemplatesPage"),
});
const outbox = createRoute({
  getParentRoute: () => messages,
  path: "/outbox",
  component: lazyRouteComponent(() => import("./pages/messages/outbox.tsx"), "OutboxPage"),
  validateSearch: (
    search: Record<string, unknown>,
  ): { send?: string; state?: MessageState; invitation?: string } => ({
    ...(typeof search.send === "string" ? { send: search.send } : {}),
    ...(typeof search.invitation === "string" ? { invitation: search.invitation } : {}),
    ...(isMessageState(search.state) ? { state: search.state } : {}),
  }),
});
const eventSettings = createRoute({
  getParentRoute: () => event,
  path: "/settings",
  component: lazyRouteComponent(() => import("./pages/event/settings.tsx"), "EventSettingsPage"),
});
const settings = createRoute({
  getParentRoute: () => inside,
  path: "/settings",
  component: lazyRouteComponent(() => import("./pages/settings/frame.tsx"), "SettingsFrame"),
});
const account = createRoute({
  getParentRoute: () => settings,
  path: "/",
  component: lazyRouteComponent(() => import("./pages/settings/account.tsx"), "AccountPage"),
});
const tokens = createRoute({
  getParentRoute: () => settings,
  path: "/tokens",
  component: lazyRouteComponent(() => import("./pages/settings/tokens.tsx"), "TokensPage"),
});
const people = createRoute({
  getParentRoute: () => settings,
  path: "/people",
  component: lazyRouteComponent(() => import("./pages/settings/people.tsx"), "PeoplePage"),
  beforeLoad: async ({ context }) => {
    const me = await context.client.ensureQueryData(meQuery);
    if (!me?.rights.includes("administer")) throw redirect({ to: "/settings" });
  },
});

const log = createRoute({ getParentRoute: () => inside, path: "/log", component: LogPage });
const webhooks = createRoute({ getParentRoute: () => inside, path: "/webhooks", component: WebhooksPage });

export function createAppRouter(client: QueryClient) {
  return createRouter({
    routeTree: root.addChildren([
      signIn,
      inside.addChildren([
        events,
        newEvent,
        event.addChildren([
          room,
          invitations,
          importList,
          messages.addChildren([sends, templates, outbox]),
          eventSettings,
        ]),
        settings.addChildren([account, tokens, people]),
        log,
        webhooks,
      ]),
    ]),
    context: { client },
    defaultNotFoundComponent: NowherePage,
    defaultErrorComponent: Crashed,
    scrollRestoration: true,
    // A page whose link is about to be pressed is fetched already.
    defaultPreload: "intent",
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}
