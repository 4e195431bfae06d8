//! Who may do what, and the proof of it.
//!
//! An invitee types a [`Code`]; the code opens a session; the session is carried by a cookie (for the page) and by a
//! [`token`] in the path of every media URL. Nobody but [`decide`] can make an [`Allowed`], and everything worth
//! protecting asks for one: forgetting the check does not compile.

pub mod admission;
mod code;
mod decide;
mod heartbeat;
mod role;
mod secret;
mod session;
pub mod takeover;
pub mod token;
mod visit;

pub use code::{BadCode, Code};
pub use decide::{
    Action, Administer, Allowed, Approach, Audit, Bring, Broadcast, Browse, CONFIRMED_FOR, CONFIRMED_JUST_NOW,
    CreateEvent, Credential, Denied, EndAll, Export, Facts, Govern, Guest, Host, Invitee, Look, MintToken, Moderate,
    Organise, Organiser, Pass, Player, Profile, Provenance, Publish, PublishToken, Publisher, Range, Reach, ReadKey,
    Redeem, Reveal, Sealed, Secure, SeePeople, Signer, Stay, Viewer, Visitor, Watch, decide, rights,
};
pub use heartbeat::Heartbeat;
pub use role::{Role, Scope, Scopes};
pub use secret::{Digest, HashKey, Purpose, Secret};
pub use session::{EndReason, Entry, Holder, InvitationState, KeyState, SessionState, Standing};
pub use takeover::{TakeoverInput, TakeoverState};
pub use visit::Visit;
