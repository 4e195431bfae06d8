import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { Button, Header, Menu, MenuItem, MenuSection, MenuTrigger, Popover } from "react-aria-components";
import { api, value } from "../api/client.ts";
import { keys, meQuery } from "../api/queries.ts";
import { t } from "../text.ts";
import { failureText } from "../ui/failure.ts";
import { Icon, Mark } from "../ui/icon.tsx";
import { useMay } from "../ui/rights.ts";
import { StillYou } from "../ui/still-you.tsx";
import { toast } from "../ui/toast.tsx";

/** The frame around every page of a person who is signed in. Leaves by itself when they no longer are. */
export function Shell() {
  const me = useQuery(meQuery);
  const client = useQueryClient();
  const navigate = useNavigate();
  const path = useRouterState({ select: (state) => state.resolvedLocation?.pathname });
  const leaving = useRef(false);
  const administer = useMay("administer");

  const signOut = useMutation({
    mutationFn: () => value(api.POST("/api/v1/logout")),
    onSuccess: () => {
      leaving.current = true;
      client.setQueryData(keys.me, null);
    },
    onError: (error) => toast(failureText(error)),
  });

  const signedOut = me.data === null;
  useEffect(() => {
    if (!signedOut) return;
    const search = leaving.current ? {} : { next: location.pathname, expired: true };
    void navigate({ to: "/sign-in", search, replace: true }).then(() => {
      // What the last person saw is not for the next.
      client.removeQueries({ predicate: (query) => query.queryKey[0] !== keys.me[0] });
    });
  }, [signedOut, navigate, client]);

  const main = useRef<HTMLElement>(null);
  const lastPath = useRef(path);
  useEffect(() => {
    // A new page begins at its top for the keyboard too.
    if (lastPath.current === path) return;
    lastPath.current = path;
    if (!main.current?.contains(document.activeElement)) main.current?.focus({ preventScroll: true });
  }, [path]);

  if (!me.data) return null;
  return (
    <>
      <StillYou />
      <a className="skip" href="#content">
        {t("app.skip")}
      </a>
      <header className="bar">
        <div className="bar-inner">
          <Link to="/" className="brand">
            <Mark />
            <span>{t("app.name")}</span>
          </Link>
          <nav aria-label={t("app.nav")} className="bar-nav">
            <Link to="/" activeOptions={{ exact: true }}>
              {t("app.events")}
            </Link>
            {administer && (
              <>
                <Link to="/log">{t("app.log")}</Link>
                <Link to="/webhooks">{t("app.webhooks")}</Link>
              </>
            )}
            <Link to="/settings">{t("app.settings")}</Link>
          </nav>
          <MenuTrigger>
            <Button
              className="button quiet account"
              aria-label={t("app.account", { name: me.data.username })}
            >
              <Icon name="account" />
              <span className="account-name">{me.data.username}</span>
            </Button>
            <Popover className="popover" placement="bottom end">
              <Menu className="menu" onAction={() => signOut.mutate()}>
                <MenuSection>
                  <Header className="menu-header">{t("app.signed_in_as", { name: me.data.username })}</Header>
                  <MenuItem className="menu-item" id="sign-out">
                    <Icon name="leave" />
                    {t("app.sign_out")}
                  </MenuItem>
                </MenuSection>
              </Menu>
            </Popover>
          </MenuTrigger>
        </div>
      </header>
      <main id="content" ref={main} tabIndex={-1} className="page">
        <Outlet />
      </main>
    </>
  );
}
