/**
 * The engine: one `<video>`, one stream, kept going whatever happens.
 *
 * hls.js does the protocol; this file decides what to do when something breaks, for ever and with a capped wait:
 * start loading again, recover the media, build everything anew. A watchdog looks at the only thing that counts,
 * whether the picture moves. Nothing here knows words, pages or codes.
 *
 * Three intents are kept apart, because mixing them up is how players go wrong: the reader paused (never start by
 * ourselves), the reader went back in time (never pull them to live), the broadcaster is away (hold the picture).
 */
import Hls, { type ErrorData, type Fragment, type HlsConfig, type Level } from "hls.js";
import { Backoff } from "../backoff.ts";
import type { ServerClock } from "../model/clock.ts";
import { Scope } from "../scope.ts";
import { closeOldKeys } from "./keys.ts";

export type Status = "starting" | "playing" | "paused" | "waiting" | "finished";
/** `sealed`: encrypted in a way that this browser does not open, which no trying again mends. */
export type Trouble = "network" | "busy" | "sealed";

export interface EngineEvents {
  /** Something about `status`, `trouble`, `mutedByBrowser`, `levels` or `behindMs` may have changed. */
  changed(): void;
  /** The server refused a playlist or a part: we may no longer be allowed to watch. */
  refused(): void;
}

/** What there is to know for those who ask. Sizes in pixels, rates in bits per second, times in milliseconds. */
export interface Measure {
  readonly latencyMs: number | null;
  readonly targetMs: number | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly frameRate: number | null;
  readonly bitrateBps: number | null;
  readonly codecs: string | null;
  readonly bufferMs: number;
  readonly bandwidthBps: number | null;
  readonly framesDropped: number | null;
  /** Frames that this source has shown; begins anew when it is built anew. */
  readonly framesShown: number;
  /** How what plays is encrypted, in the playlist's word for it; `unknown` where the browser's own player reads it. */
  readonly encryption: string | null;
  readonly stalls: number;
  readonly positionMs: number | null;
}

export interface Quality {
  readonly index: number;
  readonly height: number;
  readonly bitrateBps: number;
}

const WATCH_MS = 500;
/** The picture stands: jump over a hole in the buffer, then to live, then begin anew. */
const NUDGE_MS = 700;
const SEEK_LIVE_MS = 6_000;
const REBUILD_MS = 12_000;
/** Faster or slower than this would be heard. */
const FASTER_MAX = 0.08;
const SLOWER_MAX = 0.05;
/** So many looks back (half a second each) count for how low the reserve runs: parts arrive in steps. */
const RESERVES = 6;
/** A little behind the target is caught up by playing faster; this much (ms past the target) by a seek. */
const FALLEN_BEHIND_MS = 6_000;
/** Behind the target by more than this after a pause counts as having gone back in time. */
const PAUSED_BEHIND_MS = 3_000;
/** So little (seconds) left of an ended stream that standing still there is the end. */
const END_REST_S = 1;
/** Two failures of the decoder in this time are one that recovering does not cure. */
const MEDIA_RELAPSE_MS = 10_000;

/** hls.js tries a few times at a steady pace (it calls that linear); the long, growing waits after that are ours. */
const retry = (maxNumRetry: number, retryDelayMs: number) => ({
  maxNumRetry,
  retryDelayMs,
  maxRetryDelayMs: retryDelayMs,
  backoff: "linear" as const,
});

/** Encrypted Media Extensions: browsers have them on pages that came by https, and on their own machine. */
const opensSamples = () => typeof navigator.requestMediaKeySystemAccess === "function";

/** ClearKey, for broadcasts that are sealed by samples; a playlist says whether it is needed at all. */
function licences(src: string): Partial<HlsConfig> {
  if (!opensSamples()) return {};
  const scheme = { audioEncryptionScheme: "cbcs", videoEncryptionScheme: "cbcs" };
  return {
    emeEnabled: true,
    drmSystems: {
      "org.w3.clearkey": {
        // Beside the playlists: checked like every other request.
        licenseUrl: new URL("licence", new URL(src, location.href)).href,
        // A key is asked for by the name that its playlist gives it, before its media is there.
        generateRequest(initDataType, initData, context) {
          const name = context.decryptdata.keyId;
          if (name === null) return { initDataType, initData };
          return { initDataType: "keyids", initData: keyIds(name) };
        },
      },
    },
    drmSystemOptions: scheme,
  };
}

/** How the newest of `fragments` is encrypted, in the playlist's word for it. */
function methodOf(fragments: readonly Fragment[] | undefined): string | null {
  const method = Object.values(fragments?.at(-1)?.levelkeys ?? {})[0]?.method;
  return method === undefined || method === "NONE" ? null : method;
}

/** Initialization data of the format "keyids", https://www.w3.org/TR/eme-initdata-keyids/ */
function keyIds(name: Uint8Array): ArrayBuffer {
  const kid = btoa(String.fromCharCode(...name))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
  return new TextEncoder().encode(JSON.stringify({ kids: [kid] })).buffer as ArrayBuffer;
}

const CONFIG: Partial<HlsConfig> = {
  lowLatencyMode: true,
  // Everything is fMP4 and passes through: a worker would only copy it, and cost a second script.
  enableWorker: false,
  liveDurationInfinity: true,
  // The first part is asked for while the media source is still opening: the reader is waiting.
  startFragPrefetch: true,
  testBandwidth: false,
  // Catching up is ours: hls.js does it only with more than a second in reserve, which `ultra` never has.
  maxLiveSyncPlaybackRate: 1,
  // After an interruption a little more is held in reserve; a second more, the default, would double `ultra`.
  liveSyncOnStallIncrease: 0.5,
  backBufferLength: 30,
  maxBufferLength: 20,
  // However little it weighs, no more of the past is fetched ahead than this: what is buffered is decrypted, or keeps its key.
  maxMaxBufferLength: 60,
  // Our watchdog nudges further than hls.js does.
  nudgeMaxRetry: 5,
  manifestLoadPolicy: {
    default: {
      maxTimeToFirstByteMs: 10_000,
      maxLoadTimeMs: 15_000,
      timeoutRetry: retry(1, 0),
      errorRetry: retry(1, 500),
    },
  },
  playlistLoadPolicy: {
    default: {
      // A blocked reload may be held for three target durations before the server says 503.
      maxTimeToFirstByteMs: 15_000,
      maxLoadTimeMs: 20_000,
      timeoutRetry: retry(1, 0),
      // A broadcast that has just begun has an empty playlist for a moment: that is the moment people wait for.
      errorRetry: retry(6, 400),
    },
  },
  fragLoadPolicy: {
    default: {
      maxTimeToFirstByteMs: 8_000,
      maxLoadTimeMs: 30_000,
      timeoutRetry: retry(2, 0),
      errorRetry: retry(4, 400),
    },
  },
};

export class Engine {
  readonly #scope = new Scope();
  readonly #backoff = new Backoff(400, 8_000);
  #hls: Hls | null = null;
  #hlsScope: Scope | null = null;
  #retry: (() => void) | null = null;

  #started = false;
  #finished = false;
  #userPaused = false;
  #inPast = false;
  #holding = false;
  #stopped = false;
  #mutedByBrowser = false;
  #trouble: Trouble | null = null;

  #lastTime = -1;
  /** Since when the picture has stood, and since when that has been ours to cure. */
  #stillSince: number | null = null;
  #cureSince = 0;
  #nudged = false;
  #soughtLive = false;
  readonly #reserves: number[] = [];
  #lastMediaError = Number.NEGATIVE_INFINITY;
  #stalls = 0;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly src: string,
    private readonly clock: ServerClock,
    private readonly events: EngineEvents,
  ) {
    const { listen } = this.#scope;
    const on = listen.bind(this.#scope, video);
    on("pause", () => this.#paused());
    on("play", () => this.#played());
    on("playing", () => this.#progress());
    on("waiting", () => this.events.changed());
    on("seeked", () => this.events.changed());
    on("volumechange", () => {
      if (!video.muted) this.#mutedByBrowser = false;
      this.events.changed();
    });
    on("ended", () => {
      this.#finished = true;
      this.events.changed();
    });
    this.#scope.listen(document, "visibilitychange", () => {
      // A phone stops the picture when its screen goes dark; that was not the reader's wish.
      if (!document.hidden && !this.#userPaused && video.paused && !this.#finished) this.play();
    });
    this.#scope.listen(window, "online", () => {
      if (this.#retry === null) return;
      this.#backoff.reset();
      this.#again(() => this.#revive());
    });
    this.#scope.every(WATCH_MS, () => this.#watch());
    this.#scope.defer(() => this.#tearDown());
    this.#build();
    this.play();
  }

  close(): void {
    this.#scope.close();
  }

  // ---- what others may know

  get status(): Status {
    if (this.#finished) return "finished";
    if (this.#userPaused) return "paused";
    if (!this.#started) return "starting";
    return this.#stillSince === null ? "playing" : "waiting";
  }

  get trouble(): Trouble | null {
    return this.#trouble;
  }

  get mutedByBrowser(): boolean {
    return this.#mutedByBrowser;
  }

  /** True when the reader is in the past and could go live. */
  get inPast(): boolean {
    return this.#inPast || (this.#userPaused && this.#behindMs() > PAUSED_BEHIND_MS);
  }

  get qualities(): Quality[] {
    return (this.#hls?.levels ?? []).map((level, index) => ({
      index,
      height: level.height,
      bitrateBps: level.bitrate,
    }));
  }

  /** Index of the quality the reader chose, −1 for automatic. */
  get quality(): number {
    return this.#hls?.autoLevelEnabled === false ? this.#hls.loadLevel : -1;
  }

  set quality(index: number) {
    if (this.#hls !== null) this.#hls.nextLevel = index;
    this.events.changed();
  }

  /** What can be seen again: from the oldest moment kept to now, in seconds of the media's own time. */
  get window(): { start: number; live: number } | null {
    const { seekable } = this.video;
    if (seekable.length === 0) return null;
    const start = seekable.start(0);
    const end = seekable.end(seekable.length - 1);
    const live = this.#hls?.liveSyncPosition ?? end;
    return live > start ? { start, live: Math.min(live, end) } : null;
  }

  measure(): Measure {
    const { video } = this;
    const hls = this.#hls;
    const level = this.#level();
    const frames = video.getVideoPlaybackQuality?.();
    const target = hls?.targetLatency ?? null;
    const estimate = hls?.bandwidthEstimate ?? Number.NaN;
    const codecs = [level?.videoCodec, level?.audioCodec].filter(Boolean).join(", ");
    return {
      latencyMs: this.latencyMs,
      targetMs: target === null ? null : Math.round(target * 1000),
      width: video.videoWidth || null,
      height: video.videoHeight || null,
      frameRate: level?.frameRate || null,
      bitrateBps: level ? level.averageBitrate || level.bitrate || null : null,
      codecs: codecs || null,
      bufferMs: Math.round(this.#ahead() * 1000),
      bandwidthBps: Number.isFinite(estimate) ? estimate : null,
      framesDropped: frames?.droppedVideoFrames ?? null,
      framesShown: Math.max(0, (frames?.totalVideoFrames ?? 0) - (frames?.droppedVideoFrames ?? 0)),
      encryption: hls === null ? "unknown" : methodOf(hls.latestLevelDetails?.fragments),
      stalls: this.#stalls,
      positionMs: this.#started ? Math.round(video.currentTime * 1000) : null,
    };
  }

  /** From the broadcaster's clock in the playlist to the picture, or an estimate from the playlist's edge. */
  get latencyMs(): number | null {
    if (!this.#started) return null;
    const shown = this.#hls?.playingDate?.getTime();
    if (shown !== undefined) return Math.round(Date.now() + this.clock.offsetMs - shown);
    const estimate = this.#hls?.latency ?? 0;
    return estimate > 0 ? Math.round(estimate * 1000) : null;
  }

  // ---- what others may ask for

  /** Plays with sound if the browser lets us, else without. */
  play(): void {
    this.#userPaused = this.#stopped;
    if (this.#stopped) return;
    this.video.play().catch((error: unknown) => {
      if (!(error instanceof DOMException) || error.name !== "NotAllowedError" || this.#scope.closed) return;
      if (this.video.muted) {
        // Not even in silence: leave it to the reader's own tap on the play button.
        this.#userPaused = true;
      } else {
        this.video.muted = true;
        this.#mutedByBrowser = true;
        this.play();
      }
      this.events.changed();
    });
  }

  unmute(): void {
    this.video.muted = false;
    if (this.video.volume === 0) this.video.volume = 1;
    this.#mutedByBrowser = false;
    this.play();
    this.events.changed();
  }

  togglePlay(): void {
    if (this.video.paused) this.play();
    else this.video.pause();
  }

  goLive(): void {
    this.#inPast = false;
    this.#seekLive();
    this.play();
    this.events.changed();
  }

  /** Goes to `seconds` of the media's time; near the live point that means live. */
  seekTo(seconds: number): void {
    const range = this.window;
    if (range === null) return;
    if (seconds >= range.live - 1.5) {
      this.goLive();
      return;
    }
    this.#inPast = true;
    this.video.currentTime = Math.max(range.start + 0.5, seconds);
    this.events.changed();
  }

  seekBy(seconds: number): void {
    this.seekTo(this.video.currentTime + seconds);
  }

  /** The broadcaster is away: hold the picture instead of curing what is not ill. */
  set holding(holding: boolean) {
    const back = this.#holding && !holding;
    this.#holding = holding;
    if (!back) return;
    this.#startCure();
    // Begun over a hole, hls.js may wait for ever for what was never sent; without a picture a new beginning costs nothing.
    if (!this.#started && this.#retry === null) this.#rebuild();
  }

  /** Stops the picture until it is let go again; nothing else starts it meanwhile. */
  set stopped(stopped: boolean) {
    if (stopped === this.#stopped) return;
    this.#stopped = stopped;
    if (!stopped) this.play();
    else if (!this.video.paused) this.video.pause();
    this.events.changed();
  }

  // ---- building and breaking

  #build(): void {
    this.#tearDown();
    const { video, src } = this;
    if (!Hls.isSupported()) {
      this.#buildNative();
      return;
    }
    const scope = new Scope();
    this.#hlsScope = scope;
    const hls = new Hls({ ...CONFIG, ...licences(src) });
    this.#hls = hls;
    scope.defer(() => {
      this.#hls = null;
      hls.destroy();
    });
    hls.on(Hls.Events.ERROR, (_, data) => this.#failed(data));
    hls.on(Hls.Events.FRAG_BUFFERED, () => this.#healthy());
    hls.on(Hls.Events.LEVELS_UPDATED, () => this.events.changed());
    hls.on(Hls.Events.MANIFEST_PARSED, () => this.events.changed());
    hls.on(Hls.Events.LEVEL_LOADED, (_, data) => {
      this.#sampleClock(data.networkDetails, data.stats.loading);
      const method = methodOf(data.details.fragments);
      if (method?.startsWith("SAMPLE-AES") === true && !opensSamples()) this.#sealed();
    });
    closeOldKeys(hls, video);
    hls.loadSource(src);
    hls.attachMedia(video);
  }

  /** The last resort: the browser's own player, which can only be started again. */
  #buildNative(): void {
    const { video, src } = this;
    const scope = new Scope();
    this.#hlsScope = scope;
    video.src = src;
    scope.listen(video, "error", () => {
      this.#trouble = "network";
      // The element does not say what was refused; whoever knows is asked.
      this.events.refused();
      this.events.changed();
      this.#again(() => this.#rebuild());
    });
    scope.defer(() => {
      video.removeAttribute("src");
      video.load();
    });
  }

  #tearDown(): void {
    this.#retry?.();
    this.#retry = null;
    this.#hlsScope?.close();
    this.#hlsScope = null;
  }

  /** Nothing that is tried here opens it: gives up, and says so. */
  #sealed(): void {
    this.#trouble = "sealed";
    // Not inside its own event.
    this.#scope.after(0, () => this.#tearDown());
    this.events.changed();
  }

  #rebuild(): void {
    if (this.#trouble === "sealed") return;
    this.#build();
    this.#startCure();
    if (!this.#userPaused) this.play();
  }

  /**
   * Loading stopped for good: take it up where it was. Now and then from nothing, but late while there is a picture
   * to hold, because a new beginning is black.
   */
  #revive(): void {
    const hls = this.#hls;
    if (hls === null || this.#backoff.tries % (this.#started ? 8 : 3) === 0) {
      this.#rebuild();
    } else if (hls.levels.length === 0) {
      hls.loadSource(this.src);
    } else {
      hls.startLoad();
    }
  }

  #failed(data: ErrorData): void {
    if (this.#trouble === "sealed") return;
    const code = data.response?.code ?? 0;
    if (code === 401 || code === 403 || code === 410) this.events.refused();
    if (data.details === Hls.ErrorDetails.KEY_SYSTEM_NO_ACCESS) {
      this.#sealed();
      return;
    }
    if (data.type === Hls.ErrorTypes.NETWORK_ERROR && data.details !== Hls.ErrorDetails.FRAG_GAP) {
      this.#trouble = code === 429 || code >= 500 ? "busy" : "network";
      this.events.changed();
    }
    if (!data.fatal) return;
    switch (data.type) {
      case Hls.ErrorTypes.NETWORK_ERROR:
        this.#again(() => this.#revive());
        break;
      case Hls.ErrorTypes.MEDIA_ERROR: {
        const now = performance.now();
        const relapse = now - this.#lastMediaError < MEDIA_RELAPSE_MS;
        this.#lastMediaError = now;
        if (relapse) this.#again(() => this.#rebuild());
        else {
          this.#hls?.recoverMediaError();
          if (!this.#userPaused) this.play();
        }
        break;
      }
      default:
        this.#again(() => this.#rebuild());
    }
  }

  #again(run: () => void): void {
    this.#retry?.();
    this.#retry = this.#scope.after(this.#backoff.next(), () => {
      this.#retry = null;
      run();
    });
  }

  #healthy(): void {
    this.#backoff.reset();
    if (this.#trouble === null || this.#trouble === "sealed") return;
    this.#trouble = null;
    this.events.changed();
  }

  #sampleClock(details: unknown, loading: { start: number; first: number }): void {
    if (!(details instanceof XMLHttpRequest)) return;
    const date = Date.parse(details.getResponseHeader("date") ?? "");
    const wall = Date.now() - performance.now();
    if (loading.first > 0) this.clock.sample(date, wall + loading.start, wall + loading.first);
  }

  // ---- watching over the picture

  #played(): void {
    if (this.#stopped) {
      this.video.pause();
      return;
    }
    this.#userPaused = false;
    if (this.#behindMs() > PAUSED_BEHIND_MS && this.#started) this.#inPast = true;
    this.#startCure();
    this.events.changed();
  }

  #paused(): void {
    if (this.video.ended || document.hidden || this.#scope.closed) return;
    this.#userPaused = true;
    this.events.changed();
  }

  #progress(): void {
    this.#started = true;
    this.#finished = false;
    this.#stillSince = null;
    this.events.changed();
  }

  /** Gives what was just done, or what just changed, the time to show an effect. */
  #startCure(): void {
    this.#cureSince = performance.now();
    this.#nudged = false;
    this.#soughtLive = false;
  }

  #watch(): void {
    const { video } = this;
    const now = performance.now();
    if (this.#userPaused || this.#finished || this.#trouble === "sealed") {
      this.#stillSince = null;
      return;
    }
    const moved =
      video.currentTime !== this.#lastTime && !video.paused && video.readyState >= 2 && !video.seeking;
    this.#lastTime = video.currentTime;
    if (moved) {
      if (this.#stillSince !== null || !this.#started) this.#progress();
      this.#keepUp();
      this.#tempo();
      this.events.changed();
      return;
    }
    if (this.#atTheEnd()) {
      this.#finished = true;
      this.events.changed();
      return;
    }
    if (this.#stillSince === null) {
      this.#stillSince = now;
      this.#startCure();
      if (this.#started && !this.#holding) this.#stalls += 1;
    }
    this.events.changed();
    // A hidden page may stand as long as it likes.
    if (document.hidden) return;
    // What comes after a hole is played whatever we were told: the broadcaster may be back before the news of it.
    const still = now - this.#cureSince;
    if (still >= NUDGE_MS && this.#overHole()) return;
    // A broadcaster who is away is waited for.
    if (this.#holding) return;
    // What went wrong once may be cured long ago: only an attempt that is under way is waited for.
    if (still >= REBUILD_MS && this.#retry === null) {
      this.#rebuild();
    } else if (still >= SEEK_LIVE_MS && !this.#soughtLive && !this.#inPast) {
      this.#soughtLive = true;
      this.#seekLive();
    } else if (still >= NUDGE_MS && !this.#nudged) {
      this.#nudged = true;
      this.#nudge();
    }
    if (video.paused) this.play();
  }

  /**
   * The playlist has ended and next to nothing is left. hls.js does not always say so itself: it may leave out the
   * last, short part of a stream that ends between two segments.
   */
  #atTheEnd(): boolean {
    const details = this.#hls?.latestLevelDetails;
    return details?.live === false && this.#started && details.edge - this.video.currentTime < END_REST_S;
  }

  /** Over a hole in the buffer, if there is something behind it. */
  #overHole(): boolean {
    const { video } = this;
    const { buffered, currentTime } = video;
    if (this.#ahead() > 0.2) return false;
    for (let i = 0; i < buffered.length; i += 1) {
      const start = buffered.start(i);
      if (start > currentTime && buffered.end(i) - start > 0.2) {
        video.currentTime = start + 0.05;
        return true;
      }
    }
    return false;
  }

  /** A hair forward, for a decoder that sulks though it has something to show. */
  #nudge(): void {
    if (this.#ahead() > 0.5) this.video.currentTime += 0.1;
  }

  /**
   * Plays a little faster until the latency is what the server advises, a little slower when the reserve ran nearly dry
   * in the last seconds; voices keep their pitch. Standing further back is wasted time, standing closer is an
   * interruption waiting to happen.
   */
  #tempo(): void {
    const { video } = this;
    const target = this.#hls?.targetLatency ?? null;
    const latency = this.#hls?.latency ?? 0;
    let rate = 1;
    if (target === null || latency <= 0 || this.inPast || this.#holding) {
      this.#reserves.length = 0;
    } else {
      this.#reserves.push(this.#ahead());
      if (this.#reserves.length > RESERVES) this.#reserves.shift();
      const lowest = Math.min(...this.#reserves);
      const enough = Math.min(1, Math.max(0.2, target / 4));
      const excess = latency - target;
      if (excess > 0.08 && lowest > enough) rate = 1 + Math.min(FASTER_MAX, excess / 5);
      else if (excess < 1 && lowest < enough / 2) rate = 1 - SLOWER_MAX;
    }
    rate = Math.round(rate * 100) / 100;
    if (video.playbackRate !== rate) video.playbackRate = rate;
  }

  /** Live means live: who fell behind without wishing it is brought back, and nobody is left before the window. */
  #keepUp(): void {
    const range = this.window;
    if (range !== null && this.video.currentTime < range.start) {
      this.video.currentTime = range.start + 1;
    } else if (!this.#inPast && !this.#holding && this.#behindMs() > FALLEN_BEHIND_MS) {
      this.#seekLive();
    } else if (this.#inPast && this.#behindMs() < 500) {
      this.#inPast = false;
    }
  }

  #seekLive(): void {
    const live = this.window?.live;
    if (live !== undefined && Math.abs(live - this.video.currentTime) > 0.5) this.video.currentTime = live;
  }

  /** Milliseconds behind where a live viewer should be. */
  #behindMs(): number {
    const range = this.window;
    return range === null ? 0 : (range.live - this.video.currentTime) * 1000;
  }

  #ahead(): number {
    const { buffered, currentTime } = this.video;
    for (let i = 0; i < buffered.length; i += 1) {
      if (buffered.start(i) <= currentTime + 0.1 && buffered.end(i) > currentTime)
        return buffered.end(i) - currentTime;
    }
    return 0;
  }

  #level(): Level | null {
    const hls = this.#hls;
    if (hls === null) return null;
    return hls.levels[hls.currentLevel >= 0 ? hls.currentLevel : hls.loadLevel] ?? hls.levels[0] ?? null;
  }
}
