/** The people of the story, acting on pages as people do: by what they read. */

import { type BrowserContext, expect, type Locator, type Page } from "@playwright/test";

/** What the viewer's page can be showing. */
export type Scene =
  | "opening"
  | "missing"
  | "elsewhere"
  | "code"
  | "queue"
  | "asking"
  | "waiting"
  | "starting"
  | "live"
  | "away"
  | "ended"
  | "out"
  | "lost"
  | "busy"
  | "unguarded"
  | "sealed";

export class Viewer {
  private constructor(readonly page: Page) {}

  /** Somebody who is at a page already. */
  static on(page: Page): Viewer {
    return new Viewer(page);
  }

  /** Follows a link in this browser. */
  static async follow(context: BrowserContext, link: string): Promise<Viewer> {
    const page = await context.newPage();
    await page.goto(link);
    return new Viewer(page);
  }

  /** Follows the link of an invitation, which brings the code along, and presses the one button. */
  static async comeIn(context: BrowserContext, link: string): Promise<Viewer> {
    const viewer = await Viewer.follow(context, link);
    await viewer.watch();
    return viewer;
  }

  get video(): Locator {
    return this.page.locator("video");
  }

  async type(code: string) {
    await this.page.getByLabel("Access code").fill(code);
  }

  async watch() {
    await this.page.getByRole("button", { name: "Watch", exact: true }).click();
  }

  async sees(scene: Scene, timeout = 15_000) {
    await expect(this.page.locator(`main[data-state="${scene}"]`), `the page shows ${scene}`).toBeAttached({
      timeout,
    });
  }

  async reads(words: string | RegExp, timeout = 15_000) {
    await expect(this.page.getByText(words).first()).toBeVisible({ timeout });
  }
}

export class Organiser {
  private constructor(readonly page: Page) {}

  static async signIn(
    context: BrowserContext,
    url: string,
    username: string,
    password: string,
  ): Promise<Organiser> {
    const page = await context.newPage();
    await page.goto(url);
    await page.getByLabel("User name").fill(username);
    await page.getByLabel("Password", { exact: true }).fill(password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await expect(page.getByRole("heading", { name: "Events", exact: true }).first()).toBeVisible();
    return new Organiser(page);
  }

  /** Creates an event and stays on its page; answers with its id. */
  async createEvent(title: string): Promise<string> {
    await this.page
      .getByRole("link", { name: /New event|Create an event|Create your first event/ })
      .first()
      .click();
    await this.page.getByLabel("Title").fill(title);
    await this.page.getByRole("button", { name: "Create event" }).click();
    await expect(this.page.getByRole("heading", { name: title })).toBeVisible();
    const id = /evt_[a-z0-9]+/.exec(this.page.url())?.[0];
    if (!id) throw new Error(`no event in ${this.page.url()}`);
    return id;
  }

  /** Adds an invitee and reads the code from the page. */
  async invite(name: string): Promise<string> {
    await this.page.getByLabel("Name of the invitee").fill(name);
    await this.page.getByRole("button", { name: "Add invitee" }).click();
    const spelled = this.page.getByRole("status").getByText(/^Access code /);
    await expect(spelled).toBeAttached();
    const letters = ((await spelled.textContent()) ?? "")
      .replace("Access code", "")
      .replaceAll(/[^0-9A-Z]/g, "");
    return letters.match(/.{4}/g)?.join("-") ?? "";
  }
}
