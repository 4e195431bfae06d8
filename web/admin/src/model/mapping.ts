/** Which column of a list is what. Pure. */
import type { ImportField, Mapping } from "../api/types.ts";

export const FIELDS = [
  "name",
  "family",
  "phone",
  "email",
  "language",
  "note",
  "plus_ones",
  "tags",
] as const satisfies readonly ImportField[];

/** What a column is used for, if anything. */
export function fieldOf(mapping: Mapping, column: number): ImportField | null {
  return FIELDS.find((field) => mapping[field] === column) ?? null;
}

/** The mapping with `column` used for `field` (or for nothing): a field comes from one column, a column serves one. */
export function assign(mapping: Mapping, column: number, field: ImportField | null): Mapping {
  const next: Mapping = {};
  for (const other of FIELDS) {
    const from = mapping[other];
    if (from != null && from !== column && other !== field) next[other] = from;
  }
  if (field !== null) next[field] = column;
  return next;
}

export type MappingProblem = "name" | "contact";

/** What keeps an import from starting (`name`), or is worth a warning (`contact`: nobody could be written to). */
export function problemOf(mapping: Mapping): MappingProblem | null {
  if (mapping.name == null) return "name";
  return mapping.phone == null && mapping.email == null ? "contact" : null;
}

/** The first values of a column that are not empty, for a person to recognise it by. */
export function samplesOf(sample: readonly (readonly string[])[], column: number, most = 3): string[] {
  return sample
    .map((row) => row[column]?.trim() ?? "")
    .filter((text) => text !== "")
    .slice(0, most);
}

/** What a browser may call a list we read; the server looks inside in any case. */
export function typeOf(file: { name: string; type: string }): "text/csv" | typeof XLSX {
  return /\.xlsx$/i.test(file.name) || file.type === XLSX ? XLSX : "text/csv";
}

export const XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/** The server's own bound, said before an hour of uploading. */
export const LIST_BYTES_MAX = 1_073_741_824;
