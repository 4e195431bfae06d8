import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { Button } from "react-aria-components";
import { accountKeys, browsersQuery } from "../../api/account.ts";
import { api, value } from "../../api/client.ts";
import type { Browser } from "../../api/types.ts";
import { say, t } from "../../text.ts";
import { useMinute } from "../../ui/clock.ts";
import { Confirm } from "../../ui/dialog.tsx";
import { failureText } from "../../ui/failure.ts";
import { Failed, Loading } from "../../ui/states.tsx";
import { toast } from "../../ui/toast.tsx";

function how({ method }: Browser, provider: string | null): string {
  if (method === "provider" && provider !== null) return t("account.browser_how_provider", { provider });
  return t(method === "passkey" ? "account.browser_how_passkey" : "account.browser_how_password");
}

/** Where one is signed in, and signing out from afar. `provider` is what the identity provider is called. */
export function Browsers({ provider }: { provider: string | null }) {
  const browsers = useQuery(browsersQuery);
  const client = useQueryClient();
  const now = useMinute();
  const [asked, setAsked] = useState(false);
  const heading = useRef<HTMLHeadingElement>(null);
  const list = browsers.data?.data ?? [];
  const changed = () => client.invalidateQueries({ queryKey: accountKeys.browsers });
  const signOut = useMutation({
    mutationFn: ({ id }: Browser) =>
      value(api.DELETE("/api/v1/me/browsers/{browser}", { params: { path: { browser: id } } })),
    onSuccess: (_, { device }) => {
      toast(t("account.browser_out_done", { device }));
      heading.current?.focus();
    },
    onError: (error) => toast(failureText(error)),
    onSettled: changed,
  });
  const everywhere = async () => {
    const { signed_out } = await value(api.DELETE("/api/v1/me/browsers"));
    toast(t("account.browsers_out_done", { n: signed_out }));
    await changed();
  };
  return (
    <section className="card stack" aria-labelledby="browsers-title">
      <div className="setting">
        <h2 id="browsers-title" ref={heading} tabIndex={-1} className="row-main">
          {t("account.browsers")}
        </h2>
        {list.length > 1 && (
          <Button className="button" onPress={() => setAsked(true)}>
            {t("account.browsers_out")}
          </Button>
        )}
      </div>
      {browsers.isPending && <Loading />}
      {browsers.isError && <Failed error={browsers.error} retry={() => void browsers.refetch()} />}
      {list.length > 0 && (
        <ul className="plain-rows" aria-label={t("account.browsers_list")}>
          {list.map((browser) => (
            <li key={browser.id} className="plain-row">
              <div className="row-main">
                <p className="row-title">
                  {browser.device}{" "}
                  {browser.current && <span className="tag">{t("account.browser_here")}</span>}
                </p>
                <p className="muted small">
                  {t("account.browser_since", {
                    when: say.moment(browser.signed_in_at, now),
                    how: how(browser, provider),
                  })}
                  {!browser.current &&
                    `, ${t("account.browser_seen", { when: say.ago(browser.last_seen_at, now) })}`}
                </p>
              </div>
              {!browser.current && (
                <Button
                  className="button small"
                  aria-label={t("account.browser_out_of", {
                    device: browser.device,
                    when: say.ago(browser.last_seen_at, now),
                  })}
                  onPress={() => !signOut.isPending && signOut.mutate(browser)}
                >
                  {t("account.browser_out")}
                </Button>
              )}
            </li>
          ))}
        </ul>
      )}
      <Confirm
        title={t("account.browsers_out_title")}
        text={t("account.browsers_out_text")}
        confirm={t("account.browsers_out")}
        open={asked}
        onOpenChange={setAsked}
        act={everywhere}
        landing={heading}
      />
    </section>
  );
}
