/** Texts that would be code if any page ever drew them as markup, as an address or as a template. */

/** What they would do: it is seen from outside, whatever page and frame it happens in. */
const ACT = "alert(document.domain)";

/** Ways out of wherever a text might have been put. */
const WAYS_OUT = ["", '">', "'>", "</title>", "</textarea>", "</script>", "-->", "`;"];

/** Ways to run. */
const WAYS_IN = [
  `<script>${ACT}</script>`,
  `<ScRiPt >${ACT}</sCrIpT>`,
  `<script src=data:,${ACT}></script>`,
  `<img src=x onerror=${ACT}>`,
  `<img/src=x/onerror=${ACT}>`,
  `<img src="x\` \`<script>${ACT}</script>"\` \`>`,
  `<svg onload=${ACT}>`,
  `<svg><script>${ACT}</script></svg>`,
  `<svg><animate onbegin=${ACT} attributeName=x dur=1s>`,
  `<iframe srcdoc="<script>parent.${ACT}</script>">`,
  `<iframe src="javascript:${ACT}">`,
  `<a href="javascript:${ACT}" autofocus>x</a>`,
  `<a href="jAvAsCrIpT&colon;${ACT}">x</a>`,
  `<body onload=${ACT}>`,
  `<input autofocus onfocus=${ACT}>`,
  `<details open ontoggle=${ACT}>`,
  `<video><source onerror=${ACT}></video>`,
  `<audio src=x onerror=${ACT}>`,
  `<object data="javascript:${ACT}">`,
  `<embed src="javascript:${ACT}">`,
  `<math><mtext><mglyph><style><img src=x onerror=${ACT}>`,
  `<meta http-equiv=refresh content="0;url=javascript:${ACT}">`,
  `<style>@import"data:text/css,*{color:red}"</style>`,
  `{{constructor.constructor('${ACT}')()}}\${${ACT}}`,
  `javascript:${ACT}//" onmouseover=${ACT} x="`,
];

/** Two hundred of them, each as long as a name may be. */
export const PAYLOADS = WAYS_OUT.flatMap((out) => WAYS_IN.map((way) => `${out}${way}`));

/** Runs in a page before all of its own: writes down what its policy stops. */
export function watch(): void {
  const stopped: string[] = [];
  Object.assign(window, { stopped });
  document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
    stopped.push(`${violatedDirective} ${blockedURI}`);
  });
}

/** Runs in a page: what its policy has stopped, and elements that nobody of us makes. */
export function found(): { stopped: string[]; made: string[] } {
  return {
    stopped: (window as unknown as { stopped?: string[] }).stopped ?? ["the page was not watched"],
    made: [...document.querySelectorAll("*")]
      .filter(
        (one) =>
          one.matches("iframe, object, embed, math, meta[http-equiv=refresh], script:not([src]), [src=x]") ||
          one.getAttributeNames().some((name) => name.startsWith("on")) ||
          /^\s*javascript/i.test(one.getAttribute("href") ?? ""),
      )
      .map((one) => one.outerHTML.slice(0, 80)),
  };
}
