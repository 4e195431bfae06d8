/** Files that organisers download, read as other programs read them. */

import { inflateRawSync } from "node:zlib";

/** The parts of a ZIP archive, by the directory at its end. */
function parts(archive: Buffer): Map<string, string> {
  const end = archive.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
  const found = new Map<string, string>();
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left -= 1) {
    const packed = archive.readUInt32LE(at + 20);
    const [name, extra, comment] = [28, 30, 32].map((field) => archive.readUInt16LE(at + field)) as [
      number,
      number,
      number,
    ];
    const local = archive.readUInt32LE(at + 42);
    const data = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
    const text = inflateRawSync(archive.subarray(data, data + packed)).toString("utf8");
    found.set(archive.toString("utf8", at + 46, at + 46 + name), text);
    at += 46 + name + extra + comment;
  }
  return found;
}

const ENTITIES: Record<string, string> = {
  "&lt;": "<",
  "&gt;": ">",
  "&amp;": "&",
  "&quot;": '"',
  "&apos;": "'",
};

/** The rows of a workbook's first sheet, by their columns' letters. Every cell has to be text. */
export function workbookRows(workbook: Buffer): Record<string, string>[] {
  const sheet = parts(workbook).get("xl/worksheets/sheet1.xml") ?? "";
  if (/<f[ >]/.test(sheet)) throw new Error("there is a formula in the sheet");
  return [...sheet.matchAll(/<row [^>]*>(.*?)<\/row>/gs)].map(([, row = ""]) =>
    Object.fromEntries(
      [...row.matchAll(/<c r="([A-Z]+)\d+" [^>]*t="inlineStr"><is><t[^>]*>(.*?)<\/t><\/is><\/c>/gs)].map(
        ([, column = "", text = ""]) => [
          column,
          text.replaceAll(/&\w+;/g, (entity) => ENTITIES[entity] ?? entity),
        ],
      ),
    ),
  );
}
