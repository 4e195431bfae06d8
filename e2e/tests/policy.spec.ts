import type { BrowserContext, Page } from "@playwright/test";
import { Organiser, Viewer } from "../support/people.ts";
import { expect, pictureAdvances, streamBecomes, test } from "../support/test.ts";

// What the content security policy does in a browser that knows all of it.

type Refused = { refused: string[] };

/** Writes down what the browser refuses to the pages of this context, from before their first script on. */
async function watched(context: BrowserContext): Promise<(page: Page) => Promise<string[]>> {
  const errors: string[] = [];
  context.on("weberror", (error) => errors.push(String(error.error())));
  await context.addInitScript(() => {
    const refused: string[] = [];
    Object.assign(globalThis, { refused });
    document.addEventListener("securitypolicyviolation", (event) => {
      refused.push(`${event.violatedDirective} ${event.sourceFile}:${event.lineNumber} ${event.sample}`);
    });
  });
  return async (page) => [
    ...errors,
    ...(await page.evaluate(() => (globalThis as unknown as Refused).refused)),
  ];
}

/** Every way in which a string becomes markup or a script's address; what each of them does. */
function inject(page: Page): Promise<Record<string, string>> {
  return page.evaluate(async () => {
    // What a debugger evaluates is let through; what a timer calls is the page's own.
    await new Promise((resolve) => setTimeout(resolve));
    const markup = "<img src=x onerror=\"document.title='drawn'\">";
    const box = document.createElement("div");
    document.body.append(box);
    const script = document.createElement("script");
    type Types = { createPolicy(name: string, rules: object): void };
    const types = (globalThis as unknown as { trustedTypes: Types }).trustedTypes;
    const ways: Record<string, () => unknown> = {
      innerHTML: () => (box.innerHTML = markup),
      outerHTML: () => (box.outerHTML = markup),
      insertAdjacentHTML: () => box.insertAdjacentHTML("beforeend", markup),
      write: () => document.write(markup),
      srcdoc: () => (document.createElement("iframe").srcdoc = markup),
      fragment: () => document.createRange().createContextualFragment(markup),
      parser: () => new DOMParser().parseFromString(markup, "text/html"),
      script: () => (script.text = "document.title='drawn'"),
      src: () => (script.src = "https://evil.example/x.js"),
      worker: () => new Worker("data:text/javascript,1"),
      code: () => new Function("document.title='drawn'")(),
      policy: () => types.createPolicy("mine", { createHTML: (text: string) => text }),
      again: () => types.createPolicy("stagedoor", { createHTML: (text: string) => text }),
    };
    const out: Record<string, string> = {};
    for (const [name, way] of Object.entries(ways)) {
      try {
        way();
        out[name] = "passed";
      } catch (error) {
        out[name] = (error as Error).name;
      }
    }
    box.remove();
    out["title"] = document.title === "drawn" ? "drawn" : "untouched";
    return out;
  });
}

function allRefused(ways: Record<string, string>) {
  const { title, code, ...rest } = ways;
  expect(title).toBe("untouched");
  expect(code).toBe("EvalError");
  expect(Object.keys(rest).length).toBeGreaterThan(10);
  for (const [way, what] of Object.entries(rest)) expect(what, way).toBe("TypeError");
}

test("markup that nobody vouched for is refused by every page, and the pages work", async ({
  context,
  stagedoor,
  show,
  publish,
}) => {
  publish(show.publishUrl);
  await streamBecomes(stagedoor, show.event.id, "live");
  const seen = await watched(context);
  const viewer = await Viewer.follow(context, show.invitation.link);
  await viewer.watch();
  await pictureAdvances(viewer.video);
  expect(await seen(viewer.page), "playing breaks no rule").toEqual([]);
  allRefused(await inject(viewer.page));
  await pictureAdvances(viewer.video);

  const { admin_url, admin_user, admin_password } = stagedoor.demo;
  const organiser = await Organiser.signIn(context, admin_url, admin_user, admin_password);
  for (const path of [`/events/${show.event.id}`, "/settings", "/log", "/webhooks", "/"]) {
    await organiser.page.goto(`${stagedoor.origin}${path}`);
    await expect(organiser.page.getByRole("heading").first()).toBeVisible();
    expect(await seen(organiser.page), path).toEqual([]);
  }
  allRefused(await inject(organiser.page));
});
