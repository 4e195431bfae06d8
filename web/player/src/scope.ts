/**
 * Teardown, registered where a thing is acquired. Whoever starts something in a scope never has to remember
 * how to stop it: closing the scope undoes everything, newest first, once.
 */
export class Scope {
  #undo: (() => void)[] = [];
  #closed = false;

  get closed(): boolean {
    return this.#closed;
  }

  /** Runs `undo` when the scope closes; at once if it is closed already. */
  defer(undo: () => void): void {
    if (this.#closed) undo();
    else this.#undo.push(undo);
  }

  listen<K extends string>(
    target: EventTarget,
    type: K,
    handler: (event: K extends keyof HTMLElementEventMap ? HTMLElementEventMap[K] : Event) => void,
    options?: AddEventListenerOptions,
  ): void {
    const listener = handler as EventListener;
    target.addEventListener(type, listener, options);
    this.defer(() => target.removeEventListener(type, listener, options));
  }

  every(ms: number, run: () => void): void {
    const id = setInterval(run, ms);
    this.defer(() => clearInterval(id));
  }

  /** Runs once after `ms`; the returned function cancels it. */
  after(ms: number, run: () => void): () => void {
    const id = setTimeout(run, ms);
    const cancel = () => clearTimeout(id);
    this.defer(cancel);
    return cancel;
  }

  /** An abort signal that fires when the scope closes, for `fetch`. */
  signal(): AbortSignal {
    const controller = new AbortController();
    this.defer(() => controller.abort());
    return controller.signal;
  }

  /** A scope that closes with this one at the latest. */
  child(): Scope {
    const scope = new Scope();
    this.defer(() => scope.close());
    return scope;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const undo of this.#undo.splice(0).reverse()) undo();
  }
}
