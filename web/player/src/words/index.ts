import { createI18n, type I18n } from "@stagedoor/kit/i18n";
import { en } from "./en.ts";
import { fr } from "./fr.ts";

export type Words = I18n<keyof typeof en>;

export function wordsFor(languages: readonly string[]): Words {
  return createI18n({ lang: "en", messages: en }, { fr }, languages);
}
