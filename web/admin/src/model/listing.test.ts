import { describe, expect, it } from "vitest";
import { begin, grow, type Listing, refresh } from "./listing.ts";

const rows = (...ids: string[]) => ids.map((id) => ({ id }));
const ids = (listing: Listing<{ id: string }>) => listing.rows.map(({ id }) => id).join("");
const start = begin({ data: rows("j", "i", "h"), next_cursor: "h" });
const longer = grow(start, "h", { data: rows("g", "f", "e"), next_cursor: "e" });

describe("a long list", () => {
  it("grows page by page until it is whole", () => {
    expect(ids(longer)).toBe("jihgfe");
    const whole = grow(longer, "e", { data: rows("d"), next_cursor: null });
    expect(ids(whole)).toBe("jihgfed");
    expect(whole.cursor).toBeNull();
  });

  it("drops a page that came too late", () => {
    expect(grow(longer, "h", { data: rows("g"), next_cursor: "g" })).toBe(longer);
  });

  it("takes in who came at the top and keeps what is below", () => {
    const now = refresh(longer, null, { data: rows("l", "k", "j"), next_cursor: "j" });
    expect(ids(now)).toBe("lkjihgfe");
    expect(now.cursor).toBe("e");
  });

  it("loses who is gone from the stretch that was read again, and nobody else", () => {
    const now = refresh(longer, "j", { data: rows("h", "g"), next_cursor: "g" });
    expect(ids(now)).toBe("jhgfe");
  });

  it("begins again when nothing joins up", () => {
    const now = refresh(longer, null, { data: rows("z", "y", "x"), next_cursor: "x" });
    expect(ids(now)).toBe("zyx");
    expect(now.cursor).toBe("x");
  });

  it("goes on from the end of a stretch that reaches beyond what is held", () => {
    const now = refresh(start, "j", { data: rows("i", "h", "g", "f"), next_cursor: "f" });
    expect(ids(now)).toBe("jihgf");
    expect(now.cursor).toBe("f");
    const all = refresh(longer, "i", { data: rows("h"), next_cursor: null });
    expect(ids(all)).toBe("jih");
    expect(all.cursor).toBeNull();
  });

  it("goes on when there is more than there was", () => {
    const none = begin<{ id: string }>({ data: [], next_cursor: null });
    const some = refresh(none, null, { data: rows("c", "b"), next_cursor: "b" });
    expect(some).toEqual({ rows: rows("c", "b"), cursor: "b" });
    const whole = begin({ data: rows("c", "b", "a"), next_cursor: null });
    expect(refresh(whole, null, { data: rows("d", "c"), next_cursor: "c" }).cursor).toBeNull();
  });

  it("may be empty and become something", () => {
    const none = begin<{ id: string }>({ data: [], next_cursor: null });
    expect(ids(refresh(none, null, { data: rows("a"), next_cursor: null }))).toBe("a");
    expect(ids(refresh(start, null, { data: [], next_cursor: null }))).toBe("");
  });
});
