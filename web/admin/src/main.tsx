import "@stagedoor/kit/trusted";
import "@stagedoor/kit/base.css";
import "./styles/shell.css";
import "./styles/ui.css";
import "./styles/table.css";
import "./styles/events.css";
import "./styles/log.css";
import "./styles/room.css";
import "./styles/setup.css";
import "./styles/settings.css";
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { I18nProvider } from "react-aria-components";
import { createRoot } from "react-dom/client";
import { ApiError } from "./api/problem.ts";
import { keys } from "./api/queries.ts";
import { createAppRouter } from "./router.tsx";
import { i18n } from "./text.ts";
import { Toasts } from "./ui/toast.tsx";

document.documentElement.lang = i18n.lang;
document.documentElement.dir = i18n.dir;

/** Any answer that says "not signed in" is taken for what it is, wherever it was asked. */
function noticeSignedOut(error: unknown) {
  if (error instanceof ApiError && error.failure.status === 401) client.setQueryData(keys.me, null);
}

const client: QueryClient = new QueryClient({
  queryCache: new QueryCache({ onError: noticeSignedOut }),
  mutationCache: new MutationCache({
    onError: (error, _variables, _result, mutation) => {
      if (mutation.options.mutationKey?.[0] !== "sign-in") noticeSignedOut(error);
    },
  }),
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      // Once more for a dropped connection or a restarting server; an answer that says no is not asked again.
      retry: (count, error) =>
        count < 1 && error instanceof ApiError && (error.failure.status === 0 || error.failure.status >= 500),
      retryDelay: 400,
      networkMode: "always",
    },
    mutations: { networkMode: "always" },
  },
});

const root = document.getElementById("app");
if (root === null) throw new Error("index.html has no #app");
createRoot(root).render(
  <StrictMode>
    <I18nProvider locale={i18n.locale}>
      <QueryClientProvider client={client}>
        <RouterProvider router={createAppRouter(client)} />
        <Toasts />
      </QueryClientProvider>
    </I18nProvider>
  </StrictMode>,
);
