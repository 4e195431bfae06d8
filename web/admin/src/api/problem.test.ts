import { describe, expect, it } from "vitest";
import { readProblem } from "./problem.ts";

const none = new Headers();

describe("reading a problem", () => {
  it("takes code, sentence and fields", () => {
    const failure = readProblem(
      {
        type: "about:blank",
        title: "Unprocessable",
        status: 422,
        detail: "Some fields are not right.",
        code: "invalid",
        errors: [
          { field: "title", detail: "The title is empty." },
          { pointer: "#/starts_at", detail: "That is not a time." },
          { field: "title", detail: "said twice" },
        ],
      },
      422,
      none,
    );
    expect(failure).toEqual({
      status: 422,
      code: "invalid",
      detail: "Some fields are not right.",
      retryAfter: null,
      fields: { title: "The title is empty.", starts_at: "That is not a time." },
    });
  });

  it("reads how long to wait", () => {
    const failure = readProblem({ code: "too_many_attempts" }, 429, new Headers({ "Retry-After": "42" }));
    expect(failure.retryAfter).toBe(42);
    expect(readProblem({}, 429, new Headers({ "Retry-After": "soon" })).retryAfter).toBeNull();
  });

  it("falls back to the title, and to the status", () => {
    expect(readProblem({ title: "Not found" }, 404, none)).toMatchObject({
      code: "http_404",
      detail: "Not found",
    });
  });

  it.each([undefined, null, "<html>Bad Gateway</html>", 7, [], { errors: "x" }, { errors: [null, 3, {}] }])(
    "survives %j from something in between",
    (body) => {
      expect(readProblem(body, 502, none)).toMatchObject({ status: 502, code: "http_502", fields: {} });
    },
  );

  it("reads a document that came as text", () => {
    expect(readProblem('{"code":"throttled"}', 429, none).code).toBe("throttled");
  });

  it("keeps what the next step of signing in needs", () => {
    const body = { code: "second_factor_required", ticket: "once", methods: ["totp", "passkey", 7] };
    const failure = readProblem(body, 401, new Headers());
    expect(failure.ticket).toBe("once");
    expect(failure.methods).toEqual(["totp", "passkey"]);
    expect(readProblem({ code: "wrong_credentials" }, 401, new Headers())).not.toHaveProperty("methods");
  });
});
