/** The addresses of the control room. Everything but the door needs a person who is signed in. */
import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  Outlet,
  redirect,
} from "@tanstack/react-router";
import { meQuery } from "./api/queries.ts";
import { EventsPage } from "./pages/events.tsx";
import { Crashed, NowherePage } from "./pages/lost.tsx";
import { NewEventPage } from "./pages/new-event.tsx";
import { RoomPage } from "./pages/room/room.tsx";
import { SettingsPage } from "./pages/settings.tsx";
import { Shell } from "./pages/shell.tsx";
import { SignInPage } from "./pages/sign-in.tsx";

const root = createRootRouteWithContext<{ client: QueryClient }>()({ component: Outlet });

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  component: SignInPage,
  validateSearch: (search: Record<string, unknown>): { next?: string; expired?: boolean } => ({
    // Only a path of this site: an address someone else chose must not be where signing in leads.
    ...(typeof search.next === "string" && /^\/(?![/\\])/.test(search.next) ? { next: search.next } : {}),
    ...(search.expired === true ? { expired: true } : {}),
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
const room = createRoute({ getParentRoute: () => inside, path: "/events/$event", component: RoomPage });
const settings = createRoute({ getParentRoute: () => inside, path: "/settings", component: SettingsPage });

export function createAppRouter(client: QueryClient) {
  return createRouter({
    routeTree: root.addChildren([signIn, inside.addChildren([events, newEvent, room, settings])]),
    context: { client },
    defaultNotFoundComponent: NowherePage,
    defaultErrorComponent: Crashed,
    scrollRestoration: true,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}
