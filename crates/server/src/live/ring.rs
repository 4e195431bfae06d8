//! Frames from one publisher to many readers; the publisher never waits.
//!
//! A reader that falls behind by more than [`FRAMES_MAX`] frames loses them, is counted, and goes on at the next
//! keyframe: what it would have decoded before that is of no use to it.

use stagedoor_media::{Frame, Kind};
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};

/// About three seconds of 30 pictures and 47 sound packets a second.
const FRAMES_MAX: usize = 256;

/// The publisher's end.
#[derive(Clone)]
pub struct Ring(broadcast::Sender<Frame>);

impl Ring {
    /// An empty ring.
    #[must_use]
    pub fn new() -> Self {
        Self(broadcast::Sender::new(FRAMES_MAX))
    }

    /// Hands `frame` to every reader; without readers it is dropped.
    pub fn push(&self, frame: Frame) {
        let _nobody_listens = self.0.send(frame);
    }

    /// A reader of everything pushed from now on.
    #[must_use]
    pub fn subscribe(&self) -> Subscriber {
        Subscriber { frames: self.0.subscribe(), waits_for_keyframe: false, skipped: 0 }
    }
}

/// A reader's end.
pub struct Subscriber {
    frames: broadcast::Receiver<Frame>,
    waits_for_keyframe: bool,
    skipped: u64,
}

impl Subscriber {
    /// The next frame; `None` when the ring is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            match self.frames.recv().await {
                Ok(frame) => {
                    if let Some(frame) = self.admit(frame) {
                        return Some(frame);
                    }
                }
                Err(RecvError::Lagged(lost)) => self.lagged(lost),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The next frame if one is there already.
    pub fn try_next(&mut self) -> Option<Frame> {
        loop {
            match self.frames.try_recv() {
                Ok(frame) => {
                    if let Some(frame) = self.admit(frame) {
                        return Some(frame);
                    }
                }
                Err(TryRecvError::Lagged(lost)) => self.lagged(lost),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }

    /// How many frames this reader has lost so far.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn lagged(&mut self, lost: u64) {
        self.skipped += lost;
        self.waits_for_keyframe = true;
    }

    /// After a loss pictures wait for a keyframe; sound goes on at once.
    fn admit(&mut self, frame: Frame) -> Option<Frame> {
        if self.waits_for_keyframe && frame.track.kind() == Kind::Video {
            if !frame.keyframe {
                self.skipped += 1;
                return None;
            }
            self.waits_for_keyframe = false;
        }
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::testing::{audio_frame, video_frame};

    #[tokio::test]
    async fn a_slow_reader_goes_on_at_a_keyframe_and_its_loss_is_counted() {
        let ring = Ring::new();
        let mut slow = ring.subscribe();
        for index in 0..i64::try_from(FRAMES_MAX).unwrap() + 10 {
            ring.push(video_frame(index * 33, index % 30 == 0));
        }
        let first = slow.next().await.unwrap();
        assert!(first.keyframe);
        assert_eq!(first.dts, 30 * 33, "ten frames are gone, the next keyframe is the thirtieth");
        assert_eq!(slow.skipped(), 30);
    }

    #[tokio::test]
    async fn a_slow_reader_of_sound_alone_goes_on_at_once() {
        let ring = Ring::new();
        let mut slow = ring.subscribe();
        for index in 0..i64::try_from(FRAMES_MAX).unwrap() + 10 {
            ring.push(audio_frame(index * 21));
        }
        assert_eq!(slow.next().await.unwrap().dts, 10 * 21);
    }

    #[tokio::test]
    async fn a_publisher_without_readers_does_not_wait() {
        let ring = Ring::new();
        for index in 0..10_000 {
            ring.push(audio_frame(index));
        }
        assert!(ring.subscribe().try_next().is_none());
    }
}
