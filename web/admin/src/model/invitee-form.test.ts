import { describe, expect, it } from "vitest";
import { anInvitation } from "../testing.ts";
import { changeBody, check, draftOf, newBody, newDraft } from "./invitee-form.ts";

describe("somebody new", () => {
  it("needs a name, and numbers that are numbers", () => {
    expect(check(newDraft)).toEqual({ name: "name" });
    expect(check({ ...newDraft, name: "Ada" })).toEqual({});
    expect(
      check({ ...newDraft, name: "x".repeat(201), maxUses: "0", plusOnes: "-1", expires: "soon" }),
    ).toEqual({ name: "name", maxUses: "uses", plusOnes: "count", expires: "time" });
    expect(check({ ...newDraft, name: "Ada", plusOnes: "" })).toEqual({ plusOnes: "count" });
  });

  it("says nothing of what was left empty", () => {
    expect(newBody({ ...newDraft, name: " Ada ", phone: "06 12 34 56 78", maxUses: "3" })).toEqual({
      name: "Ada",
      phone: "06 12 34 56 78",
      email: null,
      language: null,
      note: null,
      tags: [],
      expires_at: null,
      max_uses: 3,
      plus_ones: 0,
    });
  });
});

describe("a change", () => {
  const before = draftOf(anInvitation({ name: "Ada", tags: ["press", "vip"], max_uses: 3 }), {
    phone: "+33612345678",
    email: null,
    note: "front row",
  });

  it("names only what differs", () => {
    expect(changeBody(before, before)).toEqual({});
    expect(changeBody(before, { ...before, tags: ["vip", "press"] })).toEqual({});
    expect(changeBody(before, { ...before, phone: "", maxUses: "", tags: ["vip"], plusOnes: "2" })).toEqual({
      phone: null,
      max_uses: null,
      tags: ["vip"],
      plus_ones: 2,
    });
  });

  it("does not touch what could not be seen", () => {
    const hidden = draftOf(anInvitation({ name: "Ada" }), null);
    expect(changeBody(hidden, { ...hidden, name: "Ada King" })).toEqual({ name: "Ada King" });
  });
});
