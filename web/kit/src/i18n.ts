/**
 * Words in the reader's language: small, typed, compiled into the page.
 *
 * A catalogue maps keys to messages. A message is text with `{name}` places, or, where a number decides the
 * words, an object of plural forms (`{ one: "{n} person", other: "{n} people" }`) chosen by `Intl.PluralRules`
 * from the parameter called `n`. The first catalogue given is the source: its keys are the type of all others,
 * so a missing translation does not compile.
 *
 * Deliberately absent: markup in messages (a message is set as text, never as HTML) and loading at run time.
 */

/** Plural forms by CLDR category; `other` is always there. */
export type Plural = { other: string } & Partial<Record<Intl.LDMLPluralRule, string>>;
export type Message = string | Plural;
export type Catalogue = Readonly<Record<string, Message>>;
export type Params = Readonly<Record<string, string | number>>;
/** All catalogues must have the keys of the source catalogue `C`. */
export type Translation<C extends Catalogue> = { readonly [K in keyof C]: Message };

export interface I18n<K extends string> {
  /** BCP 47 tag of the catalogue in use, for `<html lang>`. */
  readonly lang: string;
  /** The reader's own first tag with that language (`fr-CA`), for `Intl`: dates and numbers as they write them. */
  readonly locale: string;
  readonly dir: "ltr" | "rtl";
  t(key: K, params?: Params): string;
}

const RTL = new Set(["ar", "arc", "ckb", "dv", "fa", "he", "ks", "ps", "sd", "ug", "ur", "yi"]);

/**
 * Picks the first of the reader's languages for which there is a catalogue (`pt-BR` is content with `pt`),
 * else the source language.
 */
export function createI18n<C extends Catalogue>(
  source: { lang: string; messages: C },
  others: Readonly<Record<string, Translation<C>>>,
  languages: readonly string[],
): I18n<keyof C & string> {
  const catalogues: Record<string, Translation<C>> = { [source.lang]: source.messages, ...others };
  let lang = source.lang;
  let locale = source.lang;
  for (const wanted of languages) {
    const base = wanted.toLowerCase().split("-")[0] ?? "";
    const found = [wanted, base].find((tag) => Object.hasOwn(catalogues, tag));
    if (found !== undefined) {
      lang = found;
      locale = wanted;
      break;
    }
  }
  const messages = catalogues[lang] ?? source.messages;
  const plural = new Intl.PluralRules(locale);
  return {
    lang,
    locale,
    dir: RTL.has(lang.split("-")[0] ?? "") ? "rtl" : "ltr",
    t(key, params = {}) {
      const message = messages[key];
      if (typeof message === "string") return fill(message, params);
      const form = plural.select(Number(params.n ?? 0));
      return fill(message[form] ?? message.other, params);
    },
  };
}

function fill(text: string, params: Params): string {
  return text.replace(/\{(\w+)\}/g, (place, name: string) => {
    const value = params[name];
    return value === undefined ? place : String(value);
  });
}
