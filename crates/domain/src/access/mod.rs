//! Who may do what, and the proof of it.
//!
//! An invitee types a [`Code`]; the code opens a session; the session is carried by a cookie (for the page) and by a
//! [`token`] in the path of every media URL. Nobody but [`decide`] can make an [`Allowed`], and everything worth
//! protecting asks for one: forgetting the check does not compile.

mod code;
mod decide;
mod secret;
mod session;
pub mod token;

pub use code::{BadCode, Code};
pub use decide::{
    Action, Allowed, Credential, Denied, Facts, Invitee, MintToken, Organise, Organiser, Publish, Publisher, Redeem,
    Reveal, Sealed, Viewer, Watch, decide,
};
pub use secret::{Digest, HashKey, Purpose, Secret};
pub use session::{EndReason, Entry, Holder, InvitationState, KeyState, Role, SessionState};
