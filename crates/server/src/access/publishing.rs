//! Letting publishers in: by a stream key, or by a token that somebody signed whom this installation trusts.
//!
//! What is presented is looked up and judged here; whether the stream's place is free is the live hub's matter. Where a
//! broadcast came from is noted once it is on air, and compared with where the one before it with the same key came from.

use std::net::IpAddr;

use stagedoor_domain::Time;
use stagedoor_domain::access::{Allowed, Denied, Facts, Pass, Publish, Publisher, Purpose, Range, decide};
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{EventId, KeyId};
use stagedoor_domain::incident::Kind;
use stagedoor_domain::network::Network;
use stagedoor_domain::publish::{Limits, Origin, Suspicion};

use super::Access;
use super::geo::UNKNOWN_PLACE;
use super::publish_tokens::PublishTokens;
use crate::facts::incident::{Raise, raise_in};
use crate::facts::{self, Actor};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::{DbError, Tx, stream_keys};

/// Suspicions about one key that are told within [`SUSPECTED_WITHIN`]; more tell nothing new.
pub(super) const SUSPICIONS: u32 = 3;
/// See [`SUSPICIONS`].
pub(super) const SUSPECTED_WITHIN: std::time::Duration = std::time::Duration::from_secs(10 * 60);

/// Somebody who wants to publish.
#[derive(Clone, Copy, Debug)]
pub struct PublishAttempt<'a> {
    /// The key or token as the encoder sent it.
    pub key: &'a str,
    /// Where the encoder is.
    pub address: IpAddr,
}

/// Why somebody may not publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishDenied {
    /// The law says no to a stream key.
    #[error("this stream key may not publish")]
    Denied(#[source] Denied),
    /// What looked like a publish token is none, or not a good one. Which of them is told to nobody.
    #[error("this publish token may not publish")]
    Token,
    /// Too many wrong keys from this address.
    #[error("too many wrong stream keys")]
    TooManyAttempts,
    /// The database is away: fail closed, try again.
    #[error("stream keys cannot be checked at the moment")]
    Unavailable,
}

/// What was presented and found.
struct Presented {
    facts: Facts,
    pass: Pass,
    event: EventId,
    expires_at: Option<Time>,
    /// Instead of the event's.
    limits: Option<Limits>,
}

fn unavailable(error: DbError) -> PublishDenied {
    tracing::error!(error = &error as &dyn std::error::Error, "a stream key cannot be checked");
    PublishDenied::Unavailable
}

impl Access {
    /// Takes the publish tokens of these issuers from now on.
    pub fn use_publish_tokens(&self, tokens: PublishTokens) {
        // The first ones stay; it is their file that changes.
        let _ = self.publish_tokens.set(tokens);
    }

    /// Whose publish tokens are taken; `None` where none are.
    #[must_use]
    pub fn publish_tokens(&self) -> Option<&PublishTokens> {
        self.publish_tokens.get()
    }

    /// Whether an encoder may publish, and where to.
    ///
    /// # Errors
    ///
    /// [`PublishDenied`].
    pub async fn publish(&self, attempt: PublishAttempt<'_>) -> Result<Allowed<Publish>, PublishDenied> {
        let _turn = self.stream_keys.turn(attempt.address).await;
        let elapsed = self.clock.elapsed();
        self.stream_keys.check(attempt.address, elapsed).map_err(|_| PublishDenied::TooManyAttempts)?;
        match self.publish_tokens.get().filter(|_| PublishTokens::is_meant_by(attempt.key)) {
            None => {
                let judged =
                    self.judge_publisher(self.by_key(attempt).await.map_err(unavailable)?, attempt.address).await;
                if judged == Err(PublishDenied::Denied(Denied::Unknown)) {
                    self.stream_keys.wrong(attempt.address, elapsed);
                }
                judged
            }
            Some(tokens) => {
                let presented = tokens.verify(attempt.key).ok().map(|(event, token, signer)| Presented {
                    facts: Facts::PublishToken(token),
                    pass: Pass::Token(signer),
                    event,
                    expires_at: Some(token.expires_at),
                    limits: None,
                });
                self.judge_publisher(presented, attempt.address).await.map_err(|denied| match denied {
                    PublishDenied::Denied(why) => {
                        tracing::debug!(%why, "a publish token was refused");
                        self.stream_keys.wrong(attempt.address, elapsed);
                        PublishDenied::Token
                    }
                    other => other,
                })
            }
        }
    }

    /// The key that was presented, if there is one.
    async fn by_key(&self, attempt: PublishAttempt<'_>) -> Result<Option<Presented>, DbError> {
        let hash = self.keys.hash.digest(Purpose::StreamKey, attempt.key.as_bytes());
        let Some(key) = stream_keys::by_hash(&self.db, hash).await? else { return Ok(None) };
        let inside = key.networks.is_empty() || key.networks.iter().any(|network| network.contains(attempt.address));
        let publisher = Publisher {
            key: key.state(),
            expires_at: key.expires_at,
            network: if inside { Range::Inside } else { Range::Outside },
            used_up: key.used_up,
        };
        Ok(Some(Presented {
            facts: Facts::Publisher(publisher),
            pass: if key.one_time { Pass::OneTimeKey(key.id) } else { Pass::Key(key.id) },
            event: key.event,
            expires_at: key.expires_at,
            limits: key.limits,
        }))
    }

    async fn judge_publisher(
        &self,
        presented: Option<Presented>,
        address: IpAddr,
    ) -> Result<Allowed<Publish>, PublishDenied> {
        let unknown = PublishDenied::Denied(Denied::Unknown);
        let Presented { facts, pass, event, expires_at, limits } = presented.ok_or(unknown)?;
        let target = stream_keys::target(&self.db, event).await.map_err(unavailable)?.ok_or(unknown)?;
        let action = Publish {
            stream: target.stream,
            event,
            with: pass,
            address,
            expires_at,
            limits: limits.unwrap_or(target.limits),
            latency: target.latency,
            dvr_window: target.dvr_window,
            reconnect_window: target.reconnect_window,
            encryption: target.encryption,
        };
        let now = self.clock.now();
        let allowed = decide(action, &facts, now).map_err(PublishDenied::Denied)?;
        self.note_use(&allowed, now).await.map_err(unavailable)?;
        Ok(allowed)
    }

    async fn note_use(&self, allowed: &Allowed<Publish>, now: Time) -> Result<(), DbError> {
        let mut tx = self.db.write().await?;
        let fact = match allowed.with.key() {
            Some(key) => {
                stream_keys::used(&mut tx, key, now).await?;
                Fact::KeyUsed { event: allowed.event, key }
            }
            None => Fact::PublishTokenUsed { event: allowed.event },
        };
        facts::append(&mut tx, &self.random, now, Actor::Publisher, fact).await?;
        tx.commit().await
    }

    /// Notes where a broadcast that has got its place comes from. When that is odd for its stream key, organisers are
    /// told.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn published(&self, allowed: &Allowed<Publish>) -> Result<(), DbError> {
        let Some(key) = allowed.with.key() else { return Ok(()) };
        let place = self.geo.place(allowed.address);
        let origin = Origin { country: place.country, block: Network::block(allowed.address) };
        let mut tx = self.db.write().await?;
        let before = stream_keys::came_from(&mut tx, key, &origin, &place.to_string()).await?;
        let told = match before {
            Some((before, was, hint)) => match Suspicion::about(&before, &origin) {
                Some(because) => {
                    let was = was.unwrap_or_else(|| "elsewhere".to_owned());
                    let text = elsewhere(because, &hint, &place.to_string(), &was);
                    self.suspect(&mut tx, allowed.event, key, because, text).await?
                }
                None => false,
            },
            None => false,
        };
        tx.commit().await?;
        self.tell_of_keys(allowed.event, told);
        Ok(())
    }

    /// Tells organisers that a key was tried from elsewhere while its broadcast is on air.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn tried_while_live(&self, allowed: &Allowed<Publish>) -> Result<(), DbError> {
        let Some(key) = allowed.with.key() else { return Ok(()) };
        let place = self.geo.place(allowed.address);
        let text = format!(
            "The stream key of the running broadcast was tried from {}, and refused. If that was not you, rotate the key.",
            within(&place.to_string())
        );
        let mut tx = self.db.write().await?;
        let told = self.suspect(&mut tx, allowed.event, key, Suspicion::WhileLive, text).await?;
        tx.commit().await?;
        self.tell_of_keys(allowed.event, told);
        Ok(())
    }

    /// Says whether there is something to tell.
    async fn suspect(
        &self,
        tx: &mut Tx,
        event: EventId,
        key: KeyId,
        because: Suspicion,
        text: String,
    ) -> Result<bool, DbError> {
        let elapsed = self.clock.elapsed();
        if self.suspicions.check(key, elapsed).is_err() {
            return Ok(false);
        }
        self.suspicions.wrong(key, elapsed);
        let now = self.clock.now();
        facts::append(tx, &self.random, now, Actor::System, Fact::KeySuspected { event, key, because }).await?;
        let kind = match because {
            Suspicion::WhileLive => Kind::KeyWhileLive,
            Suspicion::OtherCountry | Suspicion::OtherNetwork => Kind::KeyElsewhere,
        };
        raise_in(tx, &self.random, now, &Raise { text: Some(text), ..Raise::new(kind, Some(event)) }).await?;
        Ok(true)
    }

    fn tell_of_keys(&self, event: EventId, told: bool) {
        if told {
            self.bus.hint(Hint::Facts);
            self.bus.hint(Hint::Event(event, Topic::Incidents));
        }
    }
}

/// Places stand in for addresses, which nobody is told.
fn elsewhere(because: Suspicion, hint: &str, place: &str, was: &str) -> String {
    let (place, was) = (within(place), within(was));
    let how = match because {
        Suspicion::OtherCountry => format!("{place}, and before from {was}"),
        Suspicion::OtherNetwork | Suspicion::WhileLive => format!("another network than before, in {place}"),
    };
    format!("The stream key {hint} was used from {how}. If that was not you, rotate or revoke it.")
}

fn within(place: &str) -> &str {
    if place == UNKNOWN_PLACE { "a place that nobody knows" } else { place }
}
