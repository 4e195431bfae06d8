/**
 * Text that becomes markup or a script's address, under a policy that requires Trusted Types.
 *
 * Two policies exist and no third can be made (`trusted-types stagedoor default`). `stagedoor` takes any markup, and only
 * code that imports `markup` can reach it: our own templates and those of the player's controls. `default` is what text
 * meets that nobody vouched for: as markup only nothing at all passes, as a worker's address only a file of ours. An
 * injected `innerHTML` therefore throws instead of being drawn. A browser that does not know Trusted Types is not stopped
 * by them: there the policy without inline script is what holds.
 *
 * Import this before anything that writes markup.
 */

/** As much of the standard as is used here: https://www.w3.org/TR/trusted-types/ */
interface Rules {
  createHTML(text: string): string | null;
  createScriptURL(url: string): string | null;
}
interface Policy {
  createHTML(text: string): string;
}
interface Factory {
  createPolicy(name: string, rules: Partial<Rules>): Policy;
}

/** What text may be that nobody vouched for. `null` makes the browser throw. */
export function unvouched(origin: string): Rules {
  return {
    // Libraries empty an element that way.
    createHTML: (text) => (text === "" ? text : null),
    createScriptURL: (url) => {
      const { origin: from, pathname } = new URL(url, `${origin}/`);
      return from === origin && pathname.startsWith("/assets/") ? url : null;
    },
  };
}

const factory = (globalThis as { trustedTypes?: Factory }).trustedTypes;
const policy = factory?.createPolicy("stagedoor", { createHTML: (text) => text });
if (factory !== undefined) factory.createPolicy("default", unvouched(globalThis.location.origin));

/** Vouches for a template of ours. Its type is a lie that `innerHTML` needs: in a browser with Trusted Types it is one. */
export function markup(text: string): string {
  return policy === undefined ? text : policy.createHTML(text);
}
