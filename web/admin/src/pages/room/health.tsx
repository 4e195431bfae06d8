import type { Advice, StreamStatus } from "../../api/types.ts";
import { byGravity, encoderName, frameRate, type Verdict, verdict } from "../../model/health.ts";
import { say, t } from "../../text.ts";
import { useNow } from "../../ui/clock.ts";
import { Icon, type IconName } from "../../ui/icon.tsx";

/** What arrives from the encoder, in words first and numbers second. */
export function Health({ stream, reconnectWindowMs }: { stream: StreamStatus; reconnectWindowMs: number }) {
  const now = useNow();
  const judged = verdict(stream, reconnectWindowMs, now);
  return (
    <section className="card stack health appear" aria-labelledby="health-title">
      <h2 id="health-title" tabIndex={-1}>
        {t("health.title")}
      </h2>
      <div className="verdict" data-tone={judged.tone}>
        <Icon name={VERDICT_ICON[judged.tone]} />
        <div>
          <p className="verdict-title" role="status">
            {verdictTitle(judged)}
          </p>
          <VerdictText judged={judged} stream={stream} now={now} />
        </div>
      </div>
      <AdviceList advice={stream.advice} />
      {stream.state === "live" && (
        <div className="tracks">
          <VideoTrack video={stream.video} />
          <AudioTrack audio={stream.audio} />
        </div>
      )}
    </section>
  );
}

const VERDICT_ICON: Record<Verdict["tone"], IconName> = {
  good: "check",
  warning: "warning",
  bad: "warning",
  quiet: "info",
};

/** The state of the stream in a few words. */
export function verdictTitle(judged: Verdict): string {
  switch (judged.kind) {
    case "hints":
    case "improve":
    case "trouble":
      return t(`health.${judged.kind}`, { n: judged.count });
    default:
      return t(`health.${judged.kind}`);
  }
}

function VerdictText({ judged, stream, now }: { judged: Verdict; stream: StreamStatus; now: number }) {
  if (judged.kind === "away") {
    return (
      <p className="small">
        {judged.resumesFor > 0
          ? t("health.away_text", { time: say.clock(judged.resumesFor) })
          : t("health.away_over")}
      </p>
    );
  }
  if (judged.kind === "ended") return <p className="small">{t("health.ended_text")}</p>;
  if (!stream.publisher) return null;
  const { connected_at } = stream.publisher;
  const encoder = encoderName(stream.publisher.encoder);
  const when = say.relative(connected_at, now);
  return (
    <p className="small">
      {encoder ? t("health.encoder", { encoder, when }) : t("health.encoder_unknown", { when })}
    </p>
  );
}

function AdviceList({ advice }: { advice: readonly Advice[] }) {
  if (advice.length === 0) return null;
  return (
    <ul className="advice" aria-label={t("health.advice")}>
      {byGravity(advice).map(({ code, severity, text }) => (
        <li key={code} data-severity={severity}>
          <span className="tag">{t(`health.severity.${severity}`)}</span>
          <span>{text}</span>
        </li>
      ))}
    </ul>
  );
}

function VideoTrack({ video }: { video: StreamStatus["video"] }) {
  if (!video) return <Absent title={t("health.video")} text={t("health.no_video")} />;
  const fps = frameRate(video.fps);
  return (
    <div className="track">
      <h3>{t("health.video")}</h3>
      <dl className="facts">
        <Fact
          label={t("health.resolution")}
          value={video.width > 0 ? `${video.width} × ${video.height}` : t("health.unknown")}
        />
        <Fact
          label={t("health.fps")}
          value={fps === null ? t("health.unknown") : t("health.fps_value", { fps: say.frameRate(fps) })}
        />
        <Fact label={t("health.bitrate")} value={say.bitrate(video.bitrate_bps)} />
        <Fact
          label={t("health.keyframes")}
          value={video.keyframe_interval_ms ? say.seconds(video.keyframe_interval_ms) : t("room.none")}
        />
        <Fact label={t("health.codec")} value={video.name} detail={video.codec} />
      </dl>
    </div>
  );
}

function AudioTrack({ audio }: { audio: StreamStatus["audio"] }) {
  if (!audio) return <Absent title={t("health.audio")} text={t("health.no_audio")} />;
  return (
    <div className="track">
      <h3>{t("health.audio")}</h3>
      <dl className="facts">
        <Fact label={t("health.channels")} value={channelWords(audio.channels)} />
        <Fact
          label={t("health.sample_rate")}
          value={t("health.khz", { value: say.frameRate(audio.sample_rate / 1_000) })}
        />
        <Fact label={t("health.bitrate")} value={say.bitrate(audio.bitrate_bps)} />
        <Fact label={t("health.codec")} value={audio.name} detail={audio.codec} />
      </dl>
    </div>
  );
}

/** 0 when the codec's configuration does not say. */
function channelWords(channels: number): string {
  switch (channels) {
    case 0:
      return t("health.unknown");
    case 1:
      return t("health.mono");
    case 2:
      return t("health.stereo");
    default:
      return t("health.channels_n", { n: channels });
  }
}

function Fact({ label, value, detail }: { label: string; value: string; detail?: string }) {
  return (
    <div className="fact">
      <dt>{label}</dt>
      <dd className="tabular">
        {value}
        {detail !== undefined && <code className="fact-detail">{detail}</code>}
      </dd>
    </div>
  );
}

function Absent({ title, text }: { title: string; text: string }) {
  return (
    <div className="track">
      <h3>{title}</h3>
      <p className="muted small">{text}</p>
    </div>
  );
}
