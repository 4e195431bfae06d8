//! Invitees: making them, how they are reached, and what is sealed about them.
//!
//! A telephone number, an address and a note are sealed by a key that this person alone has; the vault seals that key.
//! Whoever takes the key away has forgotten the person, in every copy of the row that is made from then on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stagedoor_domain::Time;
use stagedoor_domain::access::{
    Allowed, Code, Denied, Digest, Facts, InvitationState, Organise, Purpose, Reveal, Sealed, Secret, decide,
};
use stagedoor_domain::fact::Fact;
use stagedoor_domain::id::{EventId, ImportId, InvitationId};
use stagedoor_domain::person::{Email, Phone};

use super::vault::Cipher;
use super::{Access, Seat, Unopenable};
use crate::facts::{self, Actor};
use crate::ports::bus::{Hint, Topic};
use crate::ports::db::invitations::{self, By, Found, Hashes, Invitation, SealedContact};
use crate::ports::db::{DbError, Tx, invitation_tags};

/// A page waits no longer for the number in its mark.
const KNOWN_WITHIN: Duration = Duration::from_millis(500);

/// Who is to be invited.
#[derive(Clone, Debug, Default)]
pub struct NewInvitee {
    /// Who they are.
    pub name: String,
    /// How they are reached.
    pub contact: Contact,
    /// A BCP 47 tag; empty for the event's language.
    pub language: String,
    /// When the invitation ends by itself.
    pub expires_at: Option<Time>,
    /// Sessions that the code may open; without it, any number.
    pub max_uses: Option<u32>,
    /// Guests that they may bring.
    pub plus_ones: u32,
    /// Words to find them by.
    pub tags: Vec<String>,
}

impl NewInvitee {
    /// Somebody of whom only the name is known.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

/// How somebody is reached, and what is noted about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// Their telephone.
    pub phone: Option<Phone>,
    /// Their e-mail address.
    pub email: Option<Email>,
    /// What organisers wrote down.
    pub note: Note,
}

/// What organisers wrote down about somebody. Its `Debug` form shows nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Note(pub String);

impl std::fmt::Debug for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Note(****)")
    }
}

impl Contact {
    /// Whether there is nothing to seal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A fresh invitation with the code that belongs to it.
#[derive(Debug)]
pub struct NewInvitation {
    /// The row.
    pub invitation: Invitation,
    /// For the invitee.
    pub code: Code,
}

/// What a message to somebody is made of.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// The invitation.
    pub invitation: InvitationId,
    /// What they are invited to.
    pub event: EventId,
    /// Who they are.
    pub name: String,
    /// Their telephone, in E.164.
    pub phone: Option<Secret>,
    /// Their e-mail address.
    pub email: Option<Secret>,
    /// A BCP 47 tag; empty for the event's language.
    pub language: String,
    /// Their present code.
    pub code: Secret,
    /// How many codes they have had: a message about an older one is out of date.
    pub code_generation: u32,
}

/// Why something sealed about an invitee cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContactError {
    /// Another master key sealed it.
    #[error(transparent)]
    Unopenable(#[from] Unopenable),
    /// The database did not answer.
    #[error("the invitation cannot be read")]
    Db(#[from] DbError),
    /// The law says no.
    #[error("this may not be opened")]
    Denied(#[from] Denied),
}

/// A [`Contact`] as it is sealed: absent fields take no room.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    note: String,
}

/// What became of people who were taken in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Invited now.
    pub created: u32,
    /// Invited before, or twice in the same batch: what was missing about them was added, and they may bring as many guests
    /// as the larger number says.
    pub merged: u32,
}

/// The people of a batch, each once.
struct Batch {
    people: Vec<Person>,
    twins: u32,
}

/// Somebody who is to be invited, and what they are found by.
struct Person {
    new: NewInvitee,
    phone: Option<[u8; 32]>,
    email: Option<[u8; 32]>,
}

/// Puts into `known` what only `other` says.
fn fill(known: &mut Contact, other: &Contact) {
    if known.phone.is_none() {
        known.phone.clone_from(&other.phone);
    }
    if known.email.is_none() {
        known.email.clone_from(&other.email);
    }
    if known.note.0.is_empty() {
        known.note.0.clone_from(&other.note.0);
    }
}

impl Access {
    /// Invites somebody: a row with a code that nobody else has.
    ///
    /// # Errors
    ///
    /// [`DbError::Exists`] when somebody at this event has the telephone number.
    pub async fn invite(
        &self,
        allowed: &Allowed<Organise>,
        actor: Actor,
        new: &NewInvitee,
    ) -> Result<NewInvitation, DbError> {
        let (event, now) = (allowed.event, self.clock.now());
        let (invitation, code, hashes) = self.prepare(event, new, now);
        let id = invitation.id;
        let mut tx = self.db.write().await?;
        if self.has_twin(&mut tx, event, id, new.contact.phone.as_ref()).await? {
            return Err(DbError::Exists);
        }
        invitations::insert(&mut tx, allowed, &invitation, &hashes).await?;
        invitation_tags::add(&mut tx, allowed, &[id], &new.tags).await?;
        facts::append(&mut tx, &self.random, now, actor, Fact::InvitationCreated { event, invitation: id }).await?;
        tx.commit().await?;
        self.bus.hint(Hint::Event(event, Topic::Invitations));
        Ok(NewInvitation { invitation, code })
    }

    /// Invites the people of a list that an organiser gave, if and when `tx` commits. Somebody who is at this event already
    /// (by telephone number, else by address) is not invited twice: what was missing about them is added, and their own
    /// tags; of two numbers of guests the larger counts. Everybody gets `tags`.
    ///
    /// # Errors
    ///
    /// [`DbError::Exists`] when somebody else invited one of them at the same moment: the same again succeeds.
    pub async fn take_in(
        &self,
        tx: &mut Tx,
        event: EventId,
        people: Vec<NewInvitee>,
        tags: &[String],
    ) -> Result<Taken, ContactError> {
        let now = self.clock.now();
        let allowed = decide(Organise { event }, &Facts::Server, now)?;
        let batch = self.without_twins(people);
        let mut taken = Taken { created: 0, merged: batch.twins };
        let (phones, emails) = self.hashes_of(&batch.people);
        let all = |hashes: &HashMap<Digest, Digest>| hashes.keys().copied().collect::<Vec<_>>();
        let mut rows = HashMap::new();
        let mut by_phone = HashMap::new();
        for Found { invitation, hash, .. } in invitations::of_hashes(tx, event, By::Phone, &all(&phones)).await? {
            let hash = phones.get(&hash).copied().unwrap_or(hash);
            by_phone.entry(hash).or_insert(invitation.id);
            rows.insert(invitation.id, (invitation, true));
        }
        let mut by_email: HashMap<[u8; 32], Vec<InvitationId>> = HashMap::new();
        for Found { invitation, hash, has_phone } in invitations::of_hashes(tx, event, By::Email, &all(&emails)).await?
        {
            let hash = emails.get(&hash).copied().unwrap_or(hash);
            by_email.entry(hash).or_default().push(invitation.id);
            rows.entry(invitation.id).or_insert((invitation, has_phone));
        }
        let (mut new, mut tagged) = (Vec::new(), Vec::new());
        for person in batch.people {
            let own = person.new.tags.clone();
            // Two telephones are two people, also when they share an address.
            let same = person.phone.and_then(|hash| by_phone.get(&hash).copied()).or_else(|| {
                let candidates = person.email.and_then(|hash| by_email.get(&hash))?;
                candidates
                    .iter()
                    .copied()
                    .find(|id| person.phone.is_none() || rows.get(id).is_some_and(|(_, has_phone)| !has_phone))
            });
            match same.and_then(|id| rows.get_mut(&id)) {
                None => {
                    let (invitation, _, hashes) = self.prepare(event, &person.new, now);
                    tagged.push((invitation.id, own));
                    new.push((invitation, hashes));
                    taken.created += 1;
                }
                Some((row, has_phone)) => {
                    self.complete(tx, &allowed, row, &person.new).await?;
                    *has_phone |= person.phone.is_some();
                    tagged.push((row.id, own));
                    taken.merged += 1;
                }
            }
        }
        invitations::insert_all(tx, &allowed, &new).await?;
        invitation_tags::add_each(tx, &allowed, &tagged).await?;
        let everybody: Vec<_> = tagged.into_iter().map(|(id, _)| id).collect();
        invitation_tags::add(tx, &allowed, &everybody, tags).await?;
        Ok(taken)
    }

    /// The hashes under which people may be found, by telephone and by address, each with the present one.
    fn hashes_of(&self, people: &[Person]) -> (HashMap<Digest, Digest>, HashMap<Digest, Digest>) {
        let (mut phones, mut emails) = (HashMap::new(), HashMap::new());
        let note = |hashes: &mut HashMap<_, _>, purpose, text: &str, present: Option<Digest>| {
            let Some(present) = present else { return };
            hashes.extend(self.keys.hash.digests(purpose, text.as_bytes()).into_iter().map(|hash| (hash, present)));
        };
        for Person { new, phone, email } in people {
            note(&mut phones, Purpose::Phone, new.contact.phone.as_ref().map_or("", Phone::expose), *phone);
            note(
                &mut emails,
                Purpose::Email,
                &new.contact.email.as_ref().map(Email::folded).unwrap_or_default(),
                *email,
            );
        }
        (phones, emails)
    }

    /// Whether somebody else than `id` has the telephone number at this event under an older hash, which the database cannot
    /// see.
    pub(super) async fn has_twin(
        &self,
        tx: &mut Tx,
        event: EventId,
        id: InvitationId,
        phone: Option<&Phone>,
    ) -> Result<bool, DbError> {
        let Some(phone) = phone else { return Ok(false) };
        let hashes = self.keys.hash.digests(Purpose::Phone, phone.expose().as_bytes());
        let found = invitations::of_hashes(tx, event, By::Phone, hashes.get(1..).unwrap_or_default()).await?;
        Ok(found.iter().any(|found| found.invitation.id != id))
    }

    /// The people of a batch, each once.
    fn without_twins(&self, people: Vec<NewInvitee>) -> Batch {
        let mut batch = Batch { people: Vec::with_capacity(people.len()), twins: 0 };
        let (mut by_phone, mut by_email) = (HashMap::new(), HashMap::<_, Vec<usize>>::new());
        for new in people {
            let phone = new.contact.phone.as_ref().map(|phone| self.phone_hash(phone));
            let email = new.contact.email.as_ref().map(|email| self.email_hash(email));
            let same = phone.and_then(|hash| by_phone.get(&hash).copied()).or_else(|| {
                let candidates = email.and_then(|hash| by_email.get(&hash))?;
                candidates.iter().copied().find(|at| phone.is_none() || batch.people[*at].phone.is_none())
            });
            let at = match same {
                Some(at) => {
                    let person = &mut batch.people[at];
                    fill(&mut person.new.contact, &new.contact);
                    person.new.tags.extend(new.tags);
                    if person.new.language.is_empty() {
                        person.new.language = new.language;
                    }
                    person.new.plus_ones = person.new.plus_ones.max(new.plus_ones);
                    person.phone = person.phone.or(phone);
                    person.email = person.email.or(email);
                    batch.twins += 1;
                    at
                }
                None => {
                    batch.people.push(Person { new, phone, email });
                    batch.people.len() - 1
                }
            };
            if let Some(hash) = phone {
                by_phone.entry(hash).or_insert(at);
            }
            if let Some(hash) = email {
                let known = by_email.entry(hash).or_default();
                if !known.contains(&at) {
                    known.push(at);
                }
            }
        }
        batch
    }

    /// Adds what was not known about somebody; what was known stays. Of two numbers of guests the larger counts: a list
    /// without such a column says none.
    async fn complete(
        &self,
        tx: &mut Tx,
        allowed: &Allowed<Organise>,
        row: &mut Invitation,
        new: &NewInvitee,
    ) -> Result<(), ContactError> {
        let known = self.contact(&self.own(row.event, Sealed::Contact(row.id))?, row)?;
        let mut contact = known.clone();
        fill(&mut contact, &new.contact);
        if contact != known {
            let sealed = self.reseal(row, &contact)?;
            invitations::set_contact(tx, allowed, row.id, &sealed).await?;
            (row.person_key, row.contact) = (sealed.person_key, sealed.contact);
        }
        if row.language.is_empty() && !new.language.is_empty() {
            invitations::set_language(tx, allowed, row.id, &new.language).await?;
            row.language.clone_from(&new.language);
        }
        if row.plus_ones < new.plus_ones {
            invitations::raise_plus_ones(tx, allowed, row.id, new.plus_ones).await?;
            row.plus_ones = new.plus_ones;
        }
        Ok(())
    }

    /// The key of an uploaded list, sealed for its row: when the row is written, since the list may have taken an hour.
    #[must_use]
    pub fn seal_file_key(&self, import: ImportId, key: &[u8; 32]) -> Vec<u8> {
        self.keys.vault.seal_bytes(Sealed::ImportFile(import), key, &self.random)
    }

    /// The key of an uploaded list out of its row.
    ///
    /// # Errors
    ///
    /// [`ContactError`], when it was sealed by another key.
    pub fn open_file_key(&self, event: EventId, import: ImportId, sealed: &[u8]) -> Result<[u8; 32], ContactError> {
        let allowed = self.own(event, Sealed::ImportFile(import))?;
        let key = self.keys.vault.open_bytes(&allowed, sealed)?;
        Ok(key.try_into().map_err(|_| Unopenable)?)
    }

    /// A row to insert: a new id, a new code, everything sealed.
    pub(super) fn prepare(&self, event: EventId, new: &NewInvitee, now: Time) -> (Invitation, Code, Hashes) {
        let id = InvitationId::new(self.random.uuid(now));
        let code = Code::from_random(self.random.bytes());
        let sealed = self.keys.vault.seal(Sealed::Code(id), &code.to_string(), &self.random);
        let contact = self.seal_contact(id, &new.contact);
        let invitation = Invitation {
            expires_at: new.expires_at,
            max_uses: new.max_uses,
            plus_ones: new.plus_ones,
            language: new.language.clone(),
            person_key: contact.person_key,
            contact: contact.contact,
            ..Invitation::new(id, event, &new.name, sealed, now)
        };
        // A code of 60 random bits that exists already is not worth a loop: the caller's second try succeeds.
        let code_hash = self.keys.hash.digest(Purpose::Code, code.as_bytes());
        (invitation, code, Hashes { code: code_hash, phone: contact.phone, email: contact.email })
    }

    /// Seals how somebody is reached with a new key of their own.
    fn seal_contact(&self, id: InvitationId, contact: &Contact) -> SealedContact {
        let key: [u8; 32] = self.random.bytes();
        let person_key =
            (!contact.is_empty()).then(|| self.keys.vault.seal_bytes(Sealed::Contact(id), &key, &self.random));
        self.seal_contact_with(id, &key, person_key, contact)
    }

    /// Seals how the invitee of this row is reached with the key that they have: messages to them hang on it as well.
    pub(super) fn reseal(&self, row: &Invitation, contact: &Contact) -> Result<SealedContact, ContactError> {
        let Some(person_key) = &row.person_key else { return Ok(self.seal_contact(row.id, contact)) };
        let allowed = self.own(row.event, Sealed::Contact(row.id))?;
        let key: [u8; 32] = self.keys.vault.open_bytes(&allowed, person_key)?.try_into().map_err(|_| Unopenable)?;
        Ok(self.seal_contact_with(row.id, &key, Some(person_key.clone()), contact))
    }

    fn seal_contact_with(
        &self,
        id: InvitationId,
        key: &[u8; 32],
        person_key: Option<Vec<u8>>,
        contact: &Contact,
    ) -> SealedContact {
        let written = Written {
            phone: contact.phone.as_ref().map(|phone| phone.expose().to_owned()),
            email: contact.email.as_ref().map(|email| email.expose().to_owned()),
            note: contact.note.0.clone(),
        };
        // Three texts: it cannot fail.
        let text = serde_json::to_string(&written).unwrap_or_default();
        let sealed =
            (!contact.is_empty()).then(|| Cipher::new(*key).seal(Sealed::Contact(id), text.as_bytes(), &self.random));
        SealedContact {
            person_key,
            contact: sealed,
            phone: contact.phone.as_ref().map(|phone| self.phone_hash(phone)),
            email: contact.email.as_ref().map(|email| self.email_hash(email)),
        }
    }

    /// Under which hash a telephone number is looked up.
    #[must_use]
    pub fn phone_hash(&self, phone: &Phone) -> [u8; 32] {
        self.keys.hash.digest(Purpose::Phone, phone.expose().as_bytes())
    }

    /// Under which hashes a telephone number may ever have been kept, the present one first.
    #[must_use]
    pub fn phone_hashes(&self, phone: &Phone) -> Vec<Digest> {
        self.keys.hash.every_digest(Purpose::Phone, phone.expose().as_bytes())
    }

    /// Under which hashes somebody's row may be found by their telephone number: the present one, and older ones while
    /// rows move.
    #[must_use]
    pub fn phone_hashes_of_rows(&self, phone: &Phone) -> Vec<Digest> {
        self.keys.hash.digests(Purpose::Phone, phone.expose().as_bytes())
    }

    /// The same for an e-mail address.
    #[must_use]
    pub fn email_hashes(&self, email: &Email) -> Vec<Digest> {
        self.keys.hash.digests(Purpose::Email, email.folded().as_bytes())
    }

    /// Under which hash an e-mail address is looked up.
    #[must_use]
    pub fn email_hash(&self, email: &Email) -> [u8; 32] {
        self.keys.hash.digest(Purpose::Email, email.folded().as_bytes())
    }

    /// How the invitee of this row is reached; empty for those who were forgotten.
    ///
    /// # Errors
    ///
    /// [`Unopenable`] when another key sealed it.
    pub fn contact(&self, allowed: &Allowed<Reveal>, row: &Invitation) -> Result<Contact, Unopenable> {
        let (Some(key), Some(sealed)) = (&row.person_key, &row.contact) else { return Ok(Contact::default()) };
        let key: [u8; 32] = self.keys.vault.open_bytes(allowed, key)?.try_into().map_err(|_| Unopenable)?;
        let text = Cipher::new(key).open(allowed, sealed)?;
        let written: Written = serde_json::from_str(text.expose()).map_err(|_| Unopenable)?;
        Ok(Contact {
            phone: written.phone.as_deref().map(str::parse).transpose().map_err(|_| Unopenable)?,
            email: written.email.as_deref().map(str::parse).transpose().map_err(|_| Unopenable)?,
            note: Note(written.note),
        })
    }

    /// The permission of the server itself to use what is sealed about an invitee: to send, to mask.
    pub(super) fn own(&self, event: EventId, sealed: Sealed) -> Result<Allowed<Reveal>, Denied> {
        decide(Reveal { event: Some(event), sealed }, &Facts::Server, self.clock.now())
    }

    /// Telephone number and address of this row as everybody who may see the list sees them.
    ///
    /// # Errors
    ///
    /// [`ContactError`], when it was sealed by another key.
    pub fn masked(&self, row: &Invitation) -> Result<(Option<String>, Option<String>), ContactError> {
        let contact = self.contact(&self.own(row.event, Sealed::Contact(row.id))?, row)?;
        Ok((contact.phone.map(|phone| phone.masked()), contact.email.map(|email| email.masked())))
    }

    /// Looks up how those in these seats are reached, masked, and tells the seats. Who was erased, or was
    /// sealed by another key, is somebody without a number.
    ///
    /// # Errors
    ///
    /// Any [`DbError`] of a statement.
    pub async fn look_up_phones(&self, seats: &[Arc<Seat>]) -> Result<(), DbError> {
        let ids: Vec<_> = seats.iter().map(|seat| seat.invitation).collect();
        let rows = invitations::of_ids(&self.db, &ids).await?;
        let phones: HashMap<_, _> =
            rows.iter().map(|row| (row.id, self.masked(row).ok().and_then(|(phone, _)| phone))).collect();
        for seat in seats {
            seat.details.is_reached_at(phones.get(&seat.invitation).cloned().flatten());
        }
        Ok(())
    }

    /// Looks the number of somebody up whose mark shows it, unless it is known. A database that is away leaves the mark
    /// without a number.
    pub async fn know_number(&self, seat: &Arc<Seat>) {
        let wanted = self.rooms.room(seat.event).is_some_and(|room| {
            let policy = room.policy().protection;
            policy.guard && policy.watermark
        });
        if wanted && seat.details().phone.is_none() {
            let looked_up = tokio::time::timeout(KNOWN_WITHIN, self.look_up_phones(std::slice::from_ref(seat))).await;
            if let Ok(Err(error)) = looked_up {
                tracing::debug!(error = &error as &dyn std::error::Error, "a number cannot be looked up");
            }
        }
    }

    /// What a message to an invitee is made of; `None` for those who are gone, withdrawn, expired, blocked or forgotten,
    /// to whom nothing is sent.
    ///
    /// # Errors
    ///
    /// [`ContactError`].
    pub async fn contact_for_sending(&self, invitation: InvitationId) -> Result<Option<Recipient>, ContactError> {
        let Some(row) = invitations::by_id(&self.db, invitation).await? else { return Ok(None) };
        let over = matches!(row.state, InvitationState::Revoked | InvitationState::Expired)
            || row.expires_at.is_some_and(|end| end <= self.clock.now());
        if over || row.blocked_at.is_some() || row.erased_at.is_some() {
            return Ok(None);
        }
        let contact = self.contact(&self.own(row.event, Sealed::Contact(row.id))?, &row)?;
        let code = self.keys.vault.open(&self.own(row.event, Sealed::Code(row.id))?, &row.sealed)?;
        Ok(Some(Recipient {
            invitation: row.id,
            event: row.event,
            name: row.name,
            phone: contact.phone.map(|phone| Secret::new(phone.expose().to_owned())),
            email: contact.email.map(|email| Secret::new(email.expose().to_owned())),
            language: row.language,
            code,
            code_generation: row.code_generation,
        }))
    }
}
