//! A Twilio for tests that start the real server: it says where it listens, takes messages and reports what became of them,
//! by the end of their number:
//!
//! | number | |
//! |---|---|
//! | …01 | the carrier loses the first message; the next one arrives |
//! | …02 | refused: the number cannot be |
//! | any other | arrives |
#![allow(clippy::unwrap_used)]
#![expect(clippy::print_stdout, reason = "the one line that says where it listens")]

use std::collections::HashSet;

use stagedoor_testkit::twilio::{self, Behave, Twilio};

/// "The destination handset you are trying to reach is switched off or otherwise unavailable."
const UNREACHABLE: u32 = 30_003;
/// "The 'To' number is not a valid phone number."
const NO_NUMBER: u32 = 21_211;

#[tokio::main]
async fn main() {
    let server = Twilio::start().await;
    server.temper(|to, _| if to.ends_with("02") { Behave::Refuse(400, NO_NUMBER, None) } else { Behave::Take });
    let (account, token) = (twilio::ACCOUNT, twilio::TOKEN);
    println!(r#"{{"url":"{}","account_sid":"{account}","auth_token":"{token}"}}"#, server.url());
    let mut reported = 0;
    let mut lost = HashSet::new();
    loop {
        server.until(|server| server.taken().len() > reported).await;
        for taken in &server.taken()[reported..] {
            reported += 1;
            // To nobody, when the server has no address of its own.
            if taken.callback.is_empty() {
                continue;
            }
            twilio::report(taken, "sent", None).await;
            if taken.to.ends_with("01") && lost.insert(taken.to.clone()) {
                twilio::report(taken, "undelivered", Some(UNREACHABLE)).await;
            } else {
                twilio::report(taken, "delivered", None).await;
            }
        }
    }
}
