//! Files that somebody else writes while the server runs, taken up again when they change.

use std::error::Error;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How often a file is compared with what is in use.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Has `look` compare a file with what is in use, now and every ten seconds until `stop`, and says in the log when it has
/// taken up another `what`. A file that cannot be used changes nothing; the same complaint about it is made once.
pub async fn follow<E: Error + 'static>(
    what: &str,
    stop: CancellationToken,
    mut look: impl FnMut() -> Result<bool, E>,
) {
    let mut complained = String::new();
    loop {
        match look() {
            Ok(changed) => {
                complained.clear();
                if changed {
                    tracing::info!("{what} changed: the new file is in use");
                }
            }
            Err(error) => {
                let complaint = error.to_string();
                if complaint != complained {
                    tracing::error!(error = &error as &dyn Error, "{what} cannot be taken up: what was in use stays");
                    complained = complaint;
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}
