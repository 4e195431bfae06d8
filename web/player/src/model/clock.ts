/**
 * How far the server's clock is from ours, from the `Date` header of ordinary answers.
 *
 * The header has whole seconds, so each answer only says that the offset lies in an interval; the intervals of
 * many answers overlap in a narrow one. A reader whose clock is set right is believed: as long as zero fits,
 * the offset is zero.
 */
export class ServerClock {
  #low = Number.NEGATIVE_INFINITY;
  #high = Number.POSITIVE_INFINITY;

  /**
   * An answer stamped `date_ms` (whole seconds), asked for at `sent_ms` and begun to arrive at `received_ms` on
   * our own clock.
   */
  sample(dateMs: number, sentMs: number, receivedMs: number): void {
    if (!Number.isFinite(dateMs) || receivedMs < sentMs) return;
    // The server wrote the header at some moment in [date, date + 1 s), which was in [sent, received] for us.
    const low = dateMs - receivedMs;
    const high = dateMs + 1000 - sentMs;
    if (low > this.#high || high < this.#low) {
      // Contradiction: one of the two clocks was set. Start again from what is true now.
      this.#low = low;
      this.#high = high;
      return;
    }
    this.#low = Math.max(this.#low, low);
    this.#high = Math.min(this.#high, high);
  }

  /** Milliseconds to add to `Date.now()` to get the server's time. */
  get offsetMs(): number {
    if (this.#low <= 0 && this.#high >= 0) return 0;
    return (this.#low + this.#high) / 2;
  }
}
