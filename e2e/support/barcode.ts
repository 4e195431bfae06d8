/**
 * A frame counter that survives the encoder: a row of squares at the top of the picture, one bit each, with a white
 * and a black square in front to tell a barcode from anything else. The publisher draws it, the page's canvas
 * reads it back, so "the picture advances" is what the viewer's eye would say, not what a property claims.
 */

import type { Locator } from "@playwright/test";

const BITS = 16;
const CELLS = BITS + 2;

/** An ffmpeg filter that draws the number of each frame into a picture of this width. */
export function barcodeFilter(width: number): string {
  const size = Math.floor(width / CELLS);
  const box = (cell: number, colour: string, enable?: string) =>
    `drawbox=x=${cell * size}:y=0:w=${size}:h=${size}:color=${colour}:t=fill${enable ? `:enable='${enable}'` : ""}`;
  const strip = `drawbox=x=0:y=0:w=${CELLS * size}:h=${size}:color=black:t=fill`;
  const bits = Array.from({ length: BITS }, (_, bit) =>
    box(bit + 2, "white", `eq(mod(floor(n/${2 ** bit}),2),1)`),
  );
  return [strip, box(0, "white"), ...bits].join(",");
}

export interface Picture {
  /** The publisher's frame number, or null when no barcode is in the picture. */
  frame: number | null;
  width: number;
  height: number;
}

/** What the video element shows right now. */
export function readPicture(video: Locator): Promise<Picture> {
  return video.evaluate(
    (element, { bits, cells }) => {
      const media = element as HTMLVideoElement;
      const { videoWidth: width, videoHeight: height } = media;
      if (width === 0 || media.readyState < 2) return { frame: null, width, height };
      const canvas = document.createElement("canvas");
      canvas.width = width;
      canvas.height = height;
      const context = canvas.getContext("2d", { willReadFrequently: true });
      if (!context) return { frame: null, width, height };
      context.drawImage(media, 0, 0);
      const size = Math.floor(width / cells);
      const bright = (cell: number) => {
        const x = Math.round((cell + 0.5) * size);
        const [r = 0, g = 0, b = 0] = context.getImageData(x, Math.round(size / 2), 1, 1).data;
        return r + g + b > 384;
      };
      if (!bright(0) || bright(1)) return { frame: null, width, height };
      let frame = 0;
      for (let bit = 0; bit < bits; bit += 1) if (bright(bit + 2)) frame += 2 ** bit;
      return { frame, width, height };
    },
    { bits: BITS, cells: CELLS },
  );
}
