import { describe, expect, it } from "vitest";
import { PROBLEMS, problemOf } from "./sign-in.ts";

describe("coming back from the identity provider", () => {
  it("knows each problem that the server names", () => {
    for (const problem of PROBLEMS) expect(problemOf(problem)).toBe(problem);
  });

  it("takes what it does not know for a refusal", () => {
    for (const unknown of ["", "nonsense", "__proto__", "toString", "<img src=x>", "no_role "]) {
      expect(problemOf(unknown)).toBe("provider_refused");
    }
  });
});
