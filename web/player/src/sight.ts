/**
 * Whether the page is in sight and its picture plays, as the browser says it: through getters taken when the page is
 * loaded. What a script writes onto the document or the video afterwards stands in front of them; it changes nothing
 * here, and `shadows` tells it. Getters that were replaced before are told by the detector of replaced functions.
 */

/** Reads `name` by the getter that `type` has now, whatever objects get of their own later. */
export function reader<T extends object>(
  type: { readonly prototype: T } | undefined,
  name: keyof T & string,
): (of: T) => unknown {
  const get = type && Object.getOwnPropertyDescriptor(type.prototype, name)?.get;
  return (of) => (get === undefined ? of[name] : get.call(of));
}

/** Which of `names` were written onto `of` itself: a browser keeps them on the prototype. */
export function shadows(of: object, names: readonly string[]): readonly string[] {
  return names.filter((name) => Object.hasOwn(of, name));
}

export const IN_SIGHT = ["hidden", "visibilityState"] as const;
export const PLAYS = ["paused", "ended", "readyState"] as const;

// Tests of what is pure here run where there are no documents.
const types = globalThis as {
  readonly Document?: typeof Document;
  readonly HTMLMediaElement?: typeof HTMLMediaElement;
};
const hidden = reader(types.Document, "hidden");
const paused = reader(types.HTMLMediaElement, "paused");
const ended = reader(types.HTMLMediaElement, "ended");
const readyState = reader(types.HTMLMediaElement, "readyState");

export function isHidden(): boolean {
  return hidden(document) === true;
}

export function isPlaying(video: HTMLVideoElement): boolean {
  return paused(video) === false && ended(video) === false && Number(readyState(video)) >= 2;
}
