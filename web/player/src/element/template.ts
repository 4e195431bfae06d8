/** The player's markup. Names of controls are words and are set later; this is only what stands where. */
import { type IconName, icon } from "@stagedoor/kit/icons";
import { markup } from "@stagedoor/kit/trusted";

const MARKUP = `
<div class="stage" part="stage">
  <media-controller nohotkeys autohide="3" keyboardcontrol="false">
    <video slot="media" playsinline disableremoteplayback preload="auto"></video>
    <media-loading-indicator slot="centered-chrome" noautohide></media-loading-indicator>
    <button type="button" class="unmute" slot="top-chrome" noautohide hidden></button>
    <div class="bar">
      <input class="scrub" type="range" min="0" max="1000" step="1" hidden />
      <div class="row">
        <media-play-button notooltip></media-play-button>
        <media-mute-button notooltip></media-mute-button>
        <media-volume-range></media-volume-range>
        <button type="button" class="live"></button>
        <span class="gap"></span>
        <div class="menu-box" hidden>
          <button type="button" class="b quality" aria-haspopup="true" aria-expanded="false"></button>
          <fieldset class="menu" hidden><legend></legend></fieldset>
        </div>
        <button type="button" class="b info" aria-expanded="false"></button>
        <button type="button" class="b full"></button>
      </div>
    </div>
  </media-controller>
  <div class="veil"><slot name="veil"></slot></div>
</div>
<section class="details" hidden><dl></dl></section>
`;

/** Makes the tree, with media-chrome's elements alive in it, not yet in any page. */
export function makeTree(): DocumentFragment {
  const template = document.createElement("template");
  template.innerHTML = markup(MARKUP);
  const tree = document.importNode(template.content, true);
  const slotted = (into: string, slot: string, name: IconName) => {
    const drawing = icon(name);
    drawing.setAttribute("slot", slot);
    tree.querySelector(into)?.append(drawing);
  };
  slotted("media-play-button", "play", "play");
  slotted("media-play-button", "pause", "pause");
  slotted("media-mute-button", "off", "muted");
  slotted("media-mute-button", "low", "volumeLow");
  slotted("media-mute-button", "medium", "volume");
  slotted("media-mute-button", "high", "volume");
  return tree;
}
