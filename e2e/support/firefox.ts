/** Debian's Firefox, by WebDriver BiDi: Playwright drives only a Firefox of its own. */

import { type Browser, launch } from "puppeteer-core";

export function firefox(): Promise<Browser> {
  return launch({
    browser: "firefox",
    executablePath: process.env.STAGEDOOR_FIREFOX ?? "/usr/bin/firefox-esr",
    headless: true,
    extraPrefsFirefox: {
      // The viewer's button is the gesture that lets sound begin; nobody presses it with a finger here.
      "media.autoplay.default": 0,
    },
  });
}
