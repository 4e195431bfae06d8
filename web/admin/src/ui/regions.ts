/** Countries and languages by the names the reader knows. */
import { i18n } from "../text.ts";
import type { Choice } from "./form.tsx";

/** ISO 3166-1, every officially assigned code. */
const COUNTRIES =
  "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/** Languages offered first; a tag of any other can still be typed where one is free. */
const LANGUAGES =
  "ar bg bn ca cs da de el en es et fa fi fr he hi hr hu id is it ja ko lt lv ms nb nl pl pt pt-BR ro ru sk sl sr sv th tr uk ur vi zh";

const countryNames = new Intl.DisplayNames(i18n.locale, { type: "region" });
const languageNames = new Intl.DisplayNames(i18n.locale, { type: "language" });

export function countryName(code: string): string {
  return nameIn(countryNames, code);
}

export function languageName(tag: string): string {
  const name = nameIn(languageNames, tag);
  return name.charAt(0).toLocaleUpperCase(i18n.locale) + name.slice(1);
}

/** Text that is no code at all is shown as it is. */
function nameIn(names: Intl.DisplayNames, code: string): string {
  try {
    return names.of(code) ?? code;
  } catch {
    return code;
  }
}

function byName(a: Choice<string>, b: Choice<string>): number {
  return a.name.localeCompare(b.name, i18n.locale);
}

export const countries: readonly Choice<string>[] = COUNTRIES.split(" ")
  .map((id) => ({ id, name: countryName(id) }))
  .sort(byName);

/** The offered languages, with `also` among them when an event uses one that is not. */
export function languages(also: string): readonly Choice<string>[] {
  const tags = LANGUAGES.split(" ");
  if (also !== "" && !tags.includes(also)) tags.push(also);
  return tags.map((id) => ({ id, name: languageName(id) })).sort(byName);
}
