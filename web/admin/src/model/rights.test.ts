import { describe, expect, it } from "vitest";
import { may, type Right } from "./rights.ts";

const RIGHTS: Right[] = [
  "organise",
  "moderate",
  "broadcast",
  "see_people",
  "export",
  "create_event",
  "administer",
];

const rightsOf = (role: string) => RIGHTS.filter((right) => may(role, right));

describe("what a role is offered", () => {
  it("is everything for owners and administrators", () => {
    expect(rightsOf("owner")).toEqual(RIGHTS);
    expect(rightsOf("admin")).toEqual(RIGHTS);
  });

  it("is no telephone number and no export for a moderator", () => {
    expect(rightsOf("moderator")).toEqual(["moderate"]);
  });

  it("is nothing for those who only look", () => {
    expect(rightsOf("analyst")).toEqual([]);
    expect(rightsOf("a role of a newer server")).toEqual([]);
    expect(may(undefined, "organise")).toBe(false);
  });
});
