/**
 * How long to wait before trying again: doubling from `first_ms` to `cap_ms`, with up to a quarter less so that
 * a thousand viewers who were cut at the same moment do not come back at the same moment. There is no last try.
 */
export class Backoff {
  #tries = 0;

  constructor(
    private readonly firstMs: number,
    private readonly capMs: number,
    private readonly random: () => number = Math.random,
  ) {}

  get tries(): number {
    return this.#tries;
  }

  next(): number {
    // 2^20 is past any cap; stopping there keeps the arithmetic finite however long the outage lasts.
    const full = Math.min(this.capMs, this.firstMs * 2 ** Math.min(this.#tries, 20));
    this.#tries += 1;
    return Math.round(full * (1 - this.random() / 4));
  }

  reset(): void {
    this.#tries = 0;
  }
}
