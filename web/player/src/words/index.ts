import { createI18n, type I18n } from "@stagedoor/kit/i18n";
import { en } from "./en.ts";
import { fr } from "./fr.ts";

export type Words = I18n<keyof typeof en>;

export function wordsFor(languages: readonly string[]): Words {
  return createI18n({ lang: "en", messages: en }, { fr }, languages);
}

/** Whether there are words for a signal of this name: a newer server may know more of them. */
export function hasSight(name: string): name is Sight {
  return Object.hasOwn(en, `seen.${name}`);
}

type Sight = keyof typeof en extends infer Key ? (Key extends `seen.${infer Name}` ? Name : never) : never;
