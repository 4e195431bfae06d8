//! How many watched, over time.

use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::Look;
use stagedoor_domain::id::EventId;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::extract::{Json, Organiser, Path, Query, room};
use super::problem::{Body, Problem};
use crate::ports::db::concurrency::{self, Sample};

/// A sample is taken this often.
const SAMPLE: Duration = Duration::from_secs(10);
/// Samples in one answer: a chart is not wider.
const SAMPLES_MAX: u32 = 2_400;
/// What is shown when nobody says otherwise: an evening.
const SPAN_MS: i64 = 6 * 3_600 * 1_000;
/// The longest time that can be asked for.
const SPAN_MAX: Duration = Duration::from_secs(400 * 24 * 3_600);

/// Which time.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Span {
    /// The beginning; by default six hours before `to`.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Time>,
    /// The end, which is not included; by default now.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Time>,
}

/// How many watched at once.
#[derive(Serialize, ToSchema)]
pub(super) struct Concurrent {
    /// The end of the time this is about, which is `step_ms` long at most.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// The most at once in that time.
    watching: u64,
}

impl From<Sample> for Concurrent {
    fn from(Sample { at, watching }: Sample) -> Self {
        Self { at, watching }
    }
}

/// How many watched an event, over time.
#[derive(Serialize, ToSchema)]
pub(super) struct Concurrency {
    /// Oldest first. Where samples are missing for longer than two steps, nobody was watching.
    data: Vec<Concurrent>,
    /// How far apart samples are.
    step_ms: u64,
    /// The most who ever watched at once; absent when nobody ever did.
    peak: Option<Concurrent>,
}

/// How many watched, over time: at most 2,400 samples, each the most at once in its time.
#[utoipa::path(get, path = "/api/v1/events/{event}/concurrency", operation_id = "concurrency", tag = "people",
    params(("event" = String, Path), Span), security(("organiser_cookie" = []), ("api_token" = [])),
    responses((status = 200, body = Concurrency), (status = 422, body = Body), (status = "default", body = Body)))]
pub(super) async fn history(
    State(api): State<Api>,
    organiser: Organiser,
    Path(event): Path<EventId>,
    Query(span): Query<Span>,
) -> Result<Json<Concurrency>, Problem> {
    let _allowed = organiser.may(&api, Look { event })?;
    room(&api, event)?;
    let to = span.to.unwrap_or_else(|| api.clock.now());
    let from = span.from.unwrap_or_else(|| Time::from_millis(to.millis().saturating_sub(SPAN_MS)));
    let length = to.since(from);
    if from >= to {
        return Err(Problem::field("/from", "The beginning must be before the end."));
    }
    if length > SPAN_MAX {
        return Err(Problem::field("/from", "This is longer than is kept."));
    }
    let step = step(length);
    let samples = concurrency::history(&api.db, event, from, to, step).await?;
    let peak = concurrency::peak(&api.db, event).await?.filter(|peak| peak.watching > 0);
    Ok(Json(Concurrency {
        data: samples.into_iter().map(Concurrent::from).collect(),
        step_ms: u64::try_from(step.as_millis()).unwrap_or(u64::MAX),
        peak: peak.map(Concurrent::from),
    }))
}

/// A whole number of samples, so large that the answer is not.
fn step(length: Duration) -> Duration {
    let samples = length.as_secs().div_ceil(SAMPLE.as_secs() * u64::from(SAMPLES_MAX));
    SAMPLE * u32::try_from(samples.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_bounded_number_of_samples() {
        assert_eq!(step(Duration::from_secs(1)), SAMPLE);
        assert_eq!(step(Duration::from_secs(24_000)), SAMPLE);
        assert_eq!(step(Duration::from_secs(24_001)), SAMPLE * 2);
        for length in [Duration::from_secs(6 * 3_600), SPAN_MAX] {
            assert!(length.as_secs() / step(length).as_secs() <= u64::from(SAMPLES_MAX), "{length:?}");
        }
    }
}
