/** What went wrong, read from an RFC 9457 answer (or from the lack of any answer). Pure. */

export interface Failure {
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** The server's stable code; `network` when there was no answer. */
  readonly code: string;
  /** A sentence of the server for the person, when it has one. */
  readonly detail: string | null;
  /** Seconds until it is worth trying again, when the server says so. */
  readonly retryAfter: number | null;
  /** What is wrong with single fields, by the field's name. */
  readonly fields: Readonly<Record<string, string>>;
  /** Stands for what was right so far, when there is another step. */
  readonly ticket?: string;
  /** The ways in which the next step can be taken. */
  readonly methods?: readonly string[];
}

export class ApiError extends Error {
  readonly failure: Failure;
  constructor(failure: Failure, options?: ErrorOptions) {
    super(failure.detail ?? failure.code, options);
    this.name = "ApiError";
    this.failure = failure;
  }
}

export function networkError(cause: unknown): ApiError {
  return new ApiError({ status: 0, code: "network", detail: null, retryAfter: null, fields: {} }, { cause });
}

/** Reads a problem document leniently: a proxy in between may have answered with anything. */
export function readProblem(body: unknown, status: number, headers: Headers): Failure {
  const problem = parse(body);
  const ticket = text(problem.ticket);
  return {
    ...(ticket === null ? {} : { ticket, methods: texts(problem.methods) }),
    status,
    code: text(problem.code) ?? `http_${status}`,
    detail: text(problem.detail) ?? text(problem.title),
    retryAfter: seconds(headers.get("Retry-After")),
    fields: fieldErrors(problem.errors),
  };
}

function parse(body: unknown): Record<string, unknown> {
  let value = body;
  if (typeof value === "string") {
    try {
      value = JSON.parse(value);
    } catch {
      return {};
    }
  }
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

/** Seconds only: the date form of `Retry-After` is not used by our server. */
function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === "string") : [];
}

function seconds(value: string | null): number | null {
  if (value === null || !/^\d+$/.test(value.trim())) return null;
  return Number(value);
}

function fieldErrors(value: unknown): Record<string, string> {
  const fields: Record<string, string> = {};
  if (!Array.isArray(value)) return fields;
  for (const entry of value) {
    const { field, pointer, detail } = parse(entry);
    const name = text(field) ?? text(pointer)?.replace(/^#?\//, "") ?? null;
    const sentence = text(detail);
    if (name !== null && sentence !== null && !(name in fields)) fields[name] = sentence;
  }
  return fields;
}
