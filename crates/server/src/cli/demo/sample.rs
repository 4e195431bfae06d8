//! The sample broadcast: ffmpeg's own test picture and sound with a running clock, published like any other.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

/// A new ffmpeg is started this long after one has ended.
const RESTART_AFTER: Duration = Duration::from_secs(2);

/// Publishes to `url` until `stop`; no child is left then.
pub(super) async fn publish(url: String, stop: CancellationToken) {
    let mut with_clock = true;
    while !stop.is_cancelled() {
        let mut child = match spawn(&url, with_clock) {
            Ok(child) => child,
            Err(error) => {
                tracing::warn!(%error, "ffmpeg cannot be started: no sample broadcast (install ffmpeg, or use OBS)");
                return;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {
                end(&mut child).await;
                return;
            }
            ended = child.wait() => {
                tracing::info!(ended = ?ended.ok(), "the sample broadcast ended and is started again");
                // An ffmpeg without fonts cannot draw text; the picture counts seconds by itself.
                with_clock = !with_clock;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RESTART_AFTER) => {}
        }
    }
}

async fn end(child: &mut Child) {
    let _already_gone = child.start_kill();
    let _reaped = child.wait().await;
}

fn spawn(url: &str, with_clock: bool) -> std::io::Result<Child> {
    let clock = "drawtext=text='%{localtime}':fontsize=56:fontcolor=white:box=1:boxcolor=black@0.6:boxborderw=16\
        :x=(w-text_w)/2:y=h-text_h-48";
    let filter = if with_clock { clock } else { "null" };
    Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-re"])
        .args(["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30"])
        .args(["-re", "-f", "lavfi", "-i", "sine=frequency=220:beep_factor=4:sample_rate=48000"])
        .args(["-vf", filter, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast"])
        .args(["-tune", "zerolatency", "-b:v", "1500k", "-maxrate", "1500k", "-bufsize", "1500k", "-g", "60"])
        .args(["-c:a", "aac", "-b:a", "96k", "-ac", "2", "-af", "volume=0.2", "-f", "flv"])
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}
