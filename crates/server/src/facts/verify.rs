//! Whether an exported log is whole and unchanged: offline, in one pass, a line at a time.

use std::io::{BufRead, Read as _};

use ed25519_dalek::VerifyingKey;
use serde_json::{Map, Value};

use super::chain::{self, GENESIS};

/// Bytes of a line at most: an entry is a few hundred.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What a good log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Entries in the file.
    pub entries: u64,
    /// Entries before the first one, which are in other files.
    pub after: u64,
    /// Checkpoints between them.
    pub checkpoints: u64,
    /// When the end was signed.
    pub at: String,
    /// Whose signatures these are.
    pub fingerprint: String,
}

/// The first line that is not as it was written.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Bad {
    /// Counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub what: What,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum What {
    /// The disk does not give it.
    #[error("it cannot be read")]
    Unreadable(#[source] std::io::Error),
    /// It is no line of a log, or was written differently.
    #[error("this is not a line of a log in its canonical form")]
    Malformed,
    /// The first line is not a beginning, or a later one is.
    #[error("a log begins with its signed first line, and only there")]
    Beginning,
    /// The entry's hash is not its own.
    #[error("entry {0} was changed: its hash is not that of its content")]
    Changed(u64),
    /// The number does not follow.
    #[error("entry {found} stands where entry {expected} belongs: entries are missing, repeated or in another order")]
    Order {
        /// The number that belongs here.
        expected: u64,
        /// The one that stands here.
        found: u64,
    },
    /// It does not follow the entry before.
    #[error("entry {0} does not follow the one before it: one of the two was replaced")]
    Chain(u64),
    /// Somebody else signed it.
    #[error("it is signed with another key than {0}")]
    Foreign(&'static str),
    /// The signature is not that of the line.
    #[error("the signature is wrong: the line was changed or forged")]
    Signature,
    /// It signs another chain.
    #[error("the log up to entry {0} is not the one that was signed here")]
    OtherLog(u64),
    /// There is no end.
    #[error("the file ends before its signed last line: entries after {0} may be missing")]
    Truncated(u64),
    /// There is something after the end.
    #[error("there is something after the signed last line")]
    AfterEnd,
}

struct State {
    key: VerifyingKey,
    after: u64,
    seq: u64,
    hash: String,
    checkpoints: u64,
}

/// Reads a whole export. With `expected`, only that key's signatures count; without it, those of the key in the first
/// line, whose fingerprint the caller compares.
///
/// # Errors
///
/// The first [`Bad`] line.
pub fn verify(mut log: impl BufRead, expected: Option<&VerifyingKey>) -> Result<Report, Bad> {
    let mut state: Option<State> = None;
    let mut end: Option<Report> = None;
    let mut text = Vec::new();
    let mut number = 0_u64;
    loop {
        number += 1;
        let bad = |what| Bad { line: number, what };
        text.clear();
        let read = log.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut text);
        if read.map_err(|error| bad(What::Unreadable(error)))? == 0 {
            return end.ok_or_else(|| bad(What::Truncated(state.map_or(0, |state| state.seq))));
        }
        if end.is_some() {
            return Err(bad(What::AfterEnd));
        }
        let mut fields = line(&text).ok_or_else(|| bad(What::Malformed))?;
        match &mut state {
            None => state = Some(beginning(fields, expected).map_err(bad)?),
            Some(state) if fields.contains_key("hash") => entry(fields, state).map_err(bad)?,
            Some(state) => end = statement(&mut fields, state).map_err(bad)?,
        }
    }
}

/// The fields of a line, if it is exactly as we write it.
fn line(bytes: &[u8]) -> Option<Map<String, Value>> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let value: Value = serde_json::from_str(text).ok()?;
    if chain::canonical(&value).ok()? != text {
        return None;
    }
    match value {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}

fn beginning(mut fields: Map<String, Value>, expected: Option<&VerifyingKey>) -> Result<State, What> {
    let signature = take_text(&mut fields, "signature").ok_or(What::Beginning)?;
    let body = fields.get("log").and_then(Value::as_object).ok_or(What::Beginning)?.clone();
    let known = body.get("product").and_then(Value::as_str) == Some("stagedoor")
        && body.get("version").and_then(Value::as_u64) == Some(1)
        && fields.len() == 1;
    let key = body.get("key").and_then(Value::as_str).and_then(chain::read_public);
    let (Some(key), true) = (key, known) else { return Err(What::Malformed) };
    if expected.is_some_and(|expected| *expected != key) {
        return Err(What::Foreign("the one that is expected"));
    }
    if !chain::is_signed(fields, &signature, &key) {
        return Err(What::Signature);
    }
    let after = body.get("after").and_then(Value::as_u64).ok_or(What::Malformed)?;
    let hash = body.get("prev").and_then(Value::as_str).ok_or(What::Malformed)?.to_owned();
    if after == 0 && hash != GENESIS {
        return Err(What::Chain(1));
    }
    Ok(State { key, after, seq: after, hash, checkpoints: 0 })
}

fn entry(mut fields: Map<String, Value>, state: &mut State) -> Result<(), What> {
    let hash = take_text(&mut fields, "hash").ok_or(What::Malformed)?;
    let found = fields.get("seq").and_then(Value::as_u64).ok_or(What::Malformed)?;
    let prev = fields.get("prev").and_then(Value::as_str).ok_or(What::Malformed)?.to_owned();
    let expected = state.seq + 1;
    if chain::hash_of(fields).ok().as_ref() != Some(&hash) {
        return Err(What::Changed(expected));
    }
    if found != expected {
        return Err(What::Order { expected, found });
    }
    if prev != state.hash {
        return Err(What::Chain(expected));
    }
    state.seq = expected;
    state.hash = hash;
    Ok(())
}

/// A checkpoint, or the end and with it the report.
fn statement(fields: &mut Map<String, Value>, state: &mut State) -> Result<Option<Report>, What> {
    let signature = take_text(fields, "signature").ok_or(What::Malformed)?;
    if fields.contains_key("log") {
        return Err(What::Beginning);
    }
    let name = if fields.contains_key("checkpoint") { "checkpoint" } else { "end" };
    let body = fields.get(name).and_then(Value::as_object).ok_or(What::Malformed)?.clone();
    if fields.len() != 1 {
        return Err(What::Malformed);
    }
    if body.get("key").and_then(Value::as_str) != Some(&chain::public(&state.key)) {
        return Err(What::Foreign("the one in the first line"));
    }
    if !chain::is_signed(std::mem::take(fields), &signature, &state.key) {
        return Err(What::Signature);
    }
    let seq = body.get("seq").and_then(Value::as_u64);
    let hash = body.get("hash").and_then(Value::as_str);
    if seq != Some(state.seq) || hash != Some(&state.hash) {
        return Err(What::OtherLog(state.seq));
    }
    if name == "checkpoint" {
        state.checkpoints += 1;
        return Ok(None);
    }
    if body.get("after").and_then(Value::as_u64) != Some(state.after) {
        return Err(What::OtherLog(state.seq));
    }
    Ok(Some(Report {
        entries: state.seq - state.after,
        after: state.after,
        checkpoints: state.checkpoints,
        at: body.get("at").and_then(Value::as_str).unwrap_or_default().to_owned(),
        fingerprint: chain::fingerprint(&state.key),
    }))
}

fn take_text(fields: &mut Map<String, Value>, name: &str) -> Option<String> {
    match fields.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;
    use stagedoor_domain::Time;
    use stagedoor_domain::id::FactId;
    use uuid::Uuid;

    use super::*;
    use crate::facts::chain::{Statement, sign};
    use crate::ports::db::facts::Kept;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[1; 32])
    }

    fn kept(number: u64, text: &str) -> Kept {
        Kept {
            id: FactId::new(Uuid::from_u128(u128::from(number))),
            at: Time::from_millis(i64::try_from(number).unwrap() * 1_000),
            actor: "operator".into(),
            kind: "event.created".into(),
            event: None,
            data: serde_json::json!({"type": "event.created", "event": text}).to_string(),
            seq: None,
            hash: None,
        }
    }

    /// A log of `count` entries after `after`, with a checkpoint behind every third, as lines.
    fn log(after: u64, count: u64, key: &SigningKey) -> Vec<String> {
        let mut prev = GENESIS.to_owned();
        let mut lines = Vec::new();
        for seq in 1..=after + count {
            let entry = kept(seq, "evt");
            let hash = chain::seal(&entry, seq, &prev).unwrap();
            if seq == after + 1 {
                lines.push(sign(Statement::Log { after, prev: &prev }, key).unwrap());
            }
            if seq > after {
                lines.push(chain::line(&entry, seq, &prev, &hash).unwrap());
                if seq % 3 == 0 {
                    let at = Time::from_millis(5);
                    lines.push(sign(Statement::Checkpoint { seq, hash: &hash, at }, key).unwrap());
                }
            }
            prev = hash;
        }
        let end = Statement::End { after, seq: after + count, hash: &prev, at: Time::from_millis(9) };
        lines.push(sign(end, key).unwrap());
        lines
    }

    fn text(lines: &[String]) -> String {
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn check(lines: &[String]) -> Result<Report, Bad> {
        verify(text(lines).as_bytes(), None)
    }

    #[track_caller]
    fn bad_at(lines: &[String], line: usize) -> String {
        let bad = check(lines).unwrap_err();
        assert_eq!(bad.line, line as u64, "{bad}");
        bad.what.to_string()
    }

    #[test]
    fn a_log_that_nobody_touched_is_good_whole_or_in_part() {
        let report = check(&log(0, 10, &key())).unwrap();
        assert_eq!((report.entries, report.after, report.checkpoints), (10, 0, 3));
        assert_eq!(report.fingerprint, chain::fingerprint(&key().verifying_key()));
        assert_eq!(report.at, "1970-01-01T00:00:00.009Z");
        let report = check(&log(7, 3, &key())).unwrap();
        assert_eq!((report.entries, report.after), (3, 7));
        assert!(verify(text(&log(0, 4, &key())).as_bytes(), Some(&key().verifying_key())).is_ok());
    }

    #[test]
    fn a_line_that_was_taken_away_repeated_or_moved_is_named() {
        let good = log(0, 10, &key());
        for at in 0..good.len() {
            let mut lines = good.clone();
            let gone = lines.remove(at);
            let harmless = gone.contains("\"checkpoint\"");
            // A checkpoint that is missing takes nothing away from what the others and the end prove.
            assert_eq!(check(&lines).is_ok(), harmless, "line {at}");
            if !harmless {
                bad_at(&lines, at + 1);
            }
            let mut lines = good.clone();
            lines.insert(at, good[at].clone());
            if !harmless {
                bad_at(&lines, at + 2);
            }
            if at + 1 < good.len() && !good[at..=at + 1].iter().any(|line| line.contains("checkpoint")) {
                let mut lines = good.clone();
                lines.swap(at, at + 1);
                bad_at(&lines, at + 1);
            }
        }
    }

    #[test]
    fn a_log_that_was_cut_off_anywhere_is_not_whole() {
        let good = log(0, 10, &key());
        for length in 0..good.len() {
            let what = bad_at(&good[..length], length + 1);
            assert!(what.contains("ends before its signed last line"), "{what}");
        }
        let whole = text(&good);
        for length in 0..whole.len() {
            assert!(verify(&whole.as_bytes()[..length], None).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn an_entry_with_a_fresh_hash_is_found_by_the_next_line_and_a_fresh_chain_by_the_next_checkpoint() {
        let good = log(0, 10, &key());
        let forge = |seq: u64, prev: &str| {
            let entry = kept(seq, "evt_forged");
            let hash = chain::seal(&entry, seq, prev).unwrap();
            (chain::line(&entry, seq, prev, &hash).unwrap(), hash)
        };
        // Line 1 is the beginning; entry 1 is line 2.
        let mut lines = good.clone();
        let (line, hash) = forge(1, GENESIS);
        lines[1] = line;
        assert!(bad_at(&lines, 3).contains("entry 2 does not follow the one before it"));
        let (line, hash) = forge(2, &hash);
        lines[2] = line;
        lines[3] = forge(3, &hash).0;
        assert!(bad_at(&lines, 5).contains("up to entry 3 is not the one that was signed"));
    }

    #[test]
    fn whatever_was_done_to_a_log_is_told_with_its_line_and_its_entry() {
        // Line 1 is the beginning; entries 1, 2, 3, a checkpoint on line 5; entries 4, 5, 6, a checkpoint on line 9; entry 7
        // and the end.
        let good = log(0, 7, &key());
        let stranger = SigningKey::from_bytes(&[2; 32]);
        let without = |at: usize| [&good[..at], &good[at + 1..]].concat();
        let with = |at: usize, line: &str| [&good[..at], &[line.to_owned()], &good[at + 1..]].concat();
        let swapped = |one: usize, other: usize| {
            let mut lines = good.clone();
            lines.swap(one, other);
            lines
        };
        let edited = good[2].replace("evt", "evx");
        for (done, lines, line, entry) in [
            ("an entry edited", with(2, &edited), 3, "entry 2 was changed"),
            ("an entry left out", without(2), 3, "entry 3 stands where entry 2 belongs"),
            ("two entries reordered", swapped(5, 6), 6, "entry 5 stands where entry 4 belongs"),
            ("two checkpoints swapped", swapped(4, 8), 5, "up to entry 3 is not the one that was signed here"),
            ("a checkpoint moved up", [&good[..3], &good[4..5], &good[3..4], &good[5..]].concat(), 4, "up to entry 2"),
            ("the tail cut off", good[..7].to_vec(), 8, "entries after 5 may be missing"),
            ("a tail of before", [&good[..9], &log(0, 5, &key())[7..]].concat(), 10, "up to entry 6 is not the one"),
            ("another key from the start", log(0, 7, &stranger), 1, "another key"),
            ("a checkpoint of another key", with(4, &log(0, 7, &stranger)[4]), 5, "another key"),
        ] {
            let bad = verify(text(&lines).as_bytes(), Some(&key().verifying_key())).unwrap_err();
            let told = bad.to_string();
            assert!(told.starts_with(&format!("line {line}: ")) && told.contains(entry), "{done}: {told}");
        }
    }

    #[test]
    fn a_statement_of_somebody_else_or_of_another_log_is_foreign() {
        let stranger = SigningKey::from_bytes(&[2; 32]);
        let (good, theirs) = (log(0, 10, &key()), log(0, 10, &stranger));
        for at in 1..good.len() {
            if good[at].contains("signature") {
                let mut lines = good.clone();
                lines[at] = theirs[at].clone();
                assert!(bad_at(&lines, at + 1).contains("another key"));
            }
        }
        let bad = verify(text(&theirs).as_bytes(), Some(&key().verifying_key())).unwrap_err();
        assert_eq!(bad.line, 1);
        let mut lines = good.clone();
        let last = lines.len() - 1;
        lines[last] = log(0, 9, &key()).pop().unwrap();
        assert!(bad_at(&lines, lines.len()).contains("not the one that was signed"));
        let mut lines = good.clone();
        lines.push(good[1].clone());
        assert!(bad_at(&lines, lines.len()).contains("after the signed last line"));
    }

    #[test]
    fn a_field_of_a_line_cannot_be_changed_removed_or_added() {
        let good = log(0, 4, &key());
        for (at, line) in good.iter().enumerate() {
            let value: Value = serde_json::from_str(line).unwrap();
            for path in paths(&value, "") {
                for replacement in [Some(Value::from("x")), Some(Value::from(3)), Some(Value::Null), None] {
                    let mut changed = value.clone();
                    if changed.pointer(&path) == replacement.as_ref() {
                        continue;
                    }
                    replace(&mut changed, &path, replacement);
                    let mut lines = good.clone();
                    lines[at] = chain::canonical(&changed).unwrap();
                    bad_at(&lines, at + 1);
                }
            }
            let mut changed = value.clone();
            changed.as_object_mut().unwrap().insert("extra".into(), Value::from(1));
            let mut lines = good.clone();
            lines[at] = chain::canonical(&changed).unwrap();
            bad_at(&lines, at + 1);
        }
    }

    fn paths(value: &Value, prefix: &str) -> Vec<String> {
        let Some(fields) = value.as_object() else { return Vec::new() };
        let inner = |(name, value): (&String, &Value)| {
            let path = format!("{prefix}/{name}");
            let mut all = paths(value, &path);
            all.push(path);
            all
        };
        fields.iter().flat_map(inner).collect()
    }

    fn replace(value: &mut Value, path: &str, replacement: Option<Value>) {
        let (parent, name) = path.rsplit_once('/').unwrap();
        let fields = value.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match replacement {
            Some(new) => fields.insert(name.to_owned(), new),
            None => fields.remove(name),
        };
    }

    proptest! {
        #[test]
        fn any_byte_that_differs_is_found_in_its_line(at in 0.0_f64..1.0, byte in any::<u8>()) {
            let good = text(&log(0, 5, &key())).into_bytes();
            #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a place in the text")]
            let at = (at * good.len() as f64) as usize;
            prop_assume!(good[at] != byte);
            let mut changed = good.clone();
            changed[at] = byte;
            let bad = verify(changed.as_slice(), None).unwrap_err();
            let line = good[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            prop_assert_eq!(bad.line, line, "{}", bad);
        }

        #[test]
        fn no_file_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(verify(bytes.as_slice(), None).is_err());
        }
    }
}
