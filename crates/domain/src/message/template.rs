//! What messages say: a text with placeholders, `{name}`, and the built-in ones in four languages.
//!
//! A template is filled, never interpreted: what is put in is text and stays text, whatever it contains. A `{` that
//! begins no placeholder is itself.

use super::{Channel, Kind};
use crate::time::Time;

/// Something that is known about each invitee, or about the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// The invitee.
    Name,
    /// Their code.
    Code,
    /// The viewer page with the code in it.
    Link,
    /// The event.
    Title,
    /// When it begins.
    StartsAt,
    /// Who invites.
    Organiser,
}

impl Placeholder {
    /// Every one with its name.
    pub const ALL: [(&str, Self); 6] = [
        ("name", Self::Name),
        ("code", Self::Code),
        ("link", Self::Link),
        ("title", Self::Title),
        ("starts_at", Self::StartsAt),
        ("organiser", Self::Organiser),
    ];
}

/// What the placeholders stand for.
#[derive(Clone, Copy)]
#[expect(missing_docs, reason = "each is named like its placeholder")]
pub struct Filling<'a> {
    pub name: &'a str,
    pub code: &'a str,
    pub link: &'a str,
    pub title: &'a str,
    pub starts_at: &'a str,
    pub organiser: &'a str,
}

/// A text to be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// For letters.
    pub subject: Option<String>,
    /// What is said.
    pub body: String,
}

impl Template {
    /// Characters of a text at most: ten segments, more than anybody wants to pay for and enough for a letter.
    pub const BODY_CHARS_MAX: usize = 1_600;
    /// Characters of a subject at most: what RFC 5322 lets on a line, with room for its name.
    pub const SUBJECT_CHARS_MAX: usize = 200;
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// It says nothing.
    #[error("this is empty")]
    Empty,
    /// It is too long.
    #[error("this is longer than {} characters", Template::BODY_CHARS_MAX)]
    TooLong,
    /// It has placeholders that nothing stands behind.
    #[error("there is no placeholder {}", list(.0))]
    Unknown(Vec<String>),
    /// Whoever gets it could not come in.
    #[error("an invitation needs {{link}} or {{code}}")]
    NoWayIn,
    /// A letter needs a subject of one line; a text message has none.
    #[error("the subject is one line of at most {} characters", Template::SUBJECT_CHARS_MAX)]
    Subject,
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(", ")
}

/// A stretch of a template.
enum Piece<'a> {
    Text(&'a str),
    Known(Placeholder),
    Unknown(&'a str),
}

/// Letters of a placeholder's name at most; longer braces are text.
const NAME_MAX: usize = 32;

fn pieces(mut text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut from = 0;
    while let Some(open) = text[from..].find('{').map(|at| from + at) {
        let name = text[open + 1..].split_once('}').map(|(name, _)| name).filter(|name| {
            !name.is_empty()
                && name.len() <= NAME_MAX
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        });
        let Some(name) = name else {
            from = open + 1;
            continue;
        };
        pieces.push(Piece::Text(&text[..open]));
        pieces.push(match Placeholder::ALL.iter().find(|(known, _)| *known == name) {
            Some((_, placeholder)) => Piece::Known(*placeholder),
            None => Piece::Unknown(name),
        });
        text = &text[open + name.len() + 2..];
        from = 0;
    }
    pieces.push(Piece::Text(text));
    pieces
}

/// The names in braces that no placeholder has, each once.
#[must_use]
pub fn unknown(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for piece in pieces(text) {
        if let Piece::Unknown(name) = piece
            && !names.iter().any(|known| known == name)
        {
            names.push(name.to_owned());
        }
    }
    names
}

impl Template {
    /// The names in braces, of subject and body, that no placeholder has.
    #[must_use]
    pub fn unknown(&self) -> Vec<String> {
        unknown(&format!("{}\n{}", self.subject.as_deref().unwrap_or_default(), self.body))
    }
}

/// Whether a template can be used for messages of this kind.
///
/// # Errors
///
/// [`BadTemplate`], the first thing that is wrong.
pub fn check(template: &Template, channel: Channel, kind: Kind) -> Result<(), BadTemplate> {
    if template.body.trim().is_empty() {
        return Err(BadTemplate::Empty);
    }
    if template.body.chars().count() > Template::BODY_CHARS_MAX {
        return Err(BadTemplate::TooLong);
    }
    let one_line = |subject: &String| {
        let length = subject.chars().count();
        !subject.trim().is_empty() && length <= Template::SUBJECT_CHARS_MAX && !subject.chars().any(char::is_control)
    };
    let subject = match channel {
        Channel::Sms => template.subject.is_none(),
        Channel::Email => template.subject.as_ref().is_some_and(one_line),
    };
    if !subject {
        return Err(BadTemplate::Subject);
    }
    let unknown = template.unknown();
    if !unknown.is_empty() {
        return Err(BadTemplate::Unknown(unknown));
    }
    let leads_in = |piece: &Piece<'_>| matches!(piece, Piece::Known(Placeholder::Code | Placeholder::Link));
    if matches!(kind, Kind::Invitation | Kind::NewCode) && !pieces(&template.body).iter().any(leads_in) {
        return Err(BadTemplate::NoWayIn);
    }
    Ok(())
}

/// The text with its placeholders filled; unknown ones stay as they are.
#[must_use]
pub fn fill(text: &str, with: &Filling<'_>) -> String {
    let mut filled = String::with_capacity(text.len() + 64);
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Known(placeholder) => filled.push_str(match placeholder {
                Placeholder::Name => with.name,
                Placeholder::Code => with.code,
                Placeholder::Link => with.link,
                Placeholder::Title => with.title,
                Placeholder::StartsAt => with.starts_at,
                Placeholder::Organiser => with.organiser,
            }),
            Piece::Unknown(name) => {
                filled.push('{');
                filled.push_str(name);
                filled.push('}');
            }
        }
    }
    filled
}

/// The template for somebody: in the first of `languages` that anything is written in, by the organiser before built in,
/// in the whole tag before its first part. `None` for kinds that have no template.
#[must_use]
pub fn choose<'a>(
    written: impl IntoIterator<Item = (&'a str, &'a Template)> + Clone,
    channel: Channel,
    kind: Kind,
    languages: [&str; 2],
) -> Option<Template> {
    for language in languages {
        let tag = language.to_ascii_lowercase();
        let primary = tag.split('-').next().unwrap_or_default();
        for wanted in [tag.as_str(), primary] {
            if let Some((_, template)) = written.clone().into_iter().find(|(language, _)| *language == wanted) {
                return Some(template.clone());
            }
        }
        if BUILT_IN.contains(&primary) {
            return built_in(channel, kind, primary);
        }
    }
    built_in(channel, kind, "en")
}

/// The languages that there are built-in templates in.
pub const BUILT_IN: [&str; 4] = ["en", "fr", "de", "es"];

/// When the event begins, as everybody can read it: the date with the year first, the time, and the difference to UTC.
/// A hyphen when nobody knows: a dash would make a text message cost twice as much.
#[must_use]
pub fn starts_at(time: Option<Time>, utc_offset_minutes: i16) -> String {
    let Some(time) = time else { return "-".to_owned() };
    let local = Time::from_millis(time.millis().saturating_add(i64::from(utc_offset_minutes) * 60_000)).to_string();
    let (date, clock) = (local.get(..10).unwrap_or_default(), local.get(11..16).unwrap_or_default());
    match utc_offset_minutes {
        0 => format!("{date} {clock} UTC"),
        offset => {
            let sign = if offset < 0 { '-' } else { '+' };
            let (hours, minutes) = (offset.unsigned_abs() / 60, offset.unsigned_abs() % 60);
            format!(
                "{date} {clock} UTC{sign}{hours}{}",
                if minutes == 0 { String::new() } else { format!(":{minutes:02}") }
            )
        }
    }
}

/// The built-in template in `language` (its first part counts), in English when there is none; `None` for kinds that
/// have no template.
///
/// The short ones are written in the letters of the 7-bit alphabet, so that an ordinary name costs one segment.
#[must_use]
pub fn built_in(channel: Channel, kind: Kind, language: &str) -> Option<Template> {
    use Channel::{Email, Sms};
    use Kind::{Direct, Invitation, NewCode, Reminder, Test};
    let primary = language.split('-').next().unwrap_or_default().to_ascii_lowercase();
    let (subject, body) = match (channel, kind, primary.as_str()) {
        (_, Direct | Test, _) => return None,

        (Sms, Invitation, "fr") => (None, "{name}, une invitation pour vous : {title}. Entrez ici : {link}"),
        (Sms, Invitation, "de") => (None, "{name}, Sie sind eingeladen: {title}. Hier geht es hinein: {link}"),
        (Sms, Invitation, "es") => (None, "{name}, le invitamos a {title}. Entre por: {link}"),
        (Sms, Invitation, _) => (None, "{name}, you are invited to {title}. Come in here: {link}"),

        (Sms, Reminder, "fr") => (None, "{name}, {title} commence le {starts_at}. Entrez ici : {link}"),
        (Sms, Reminder, "de") => (None, "{name}, {title} beginnt am {starts_at}. Hier geht es hinein: {link}"),
        (Sms, Reminder, "es") => (None, "{name}, {title} empieza el {starts_at}. Entre por: {link}"),
        (Sms, Reminder, _) => (None, "{name}, {title} begins {starts_at}. Come in here: {link}"),

        (Sms, NewCode, "fr") => {
            (None, "{name}, voici votre nouveau code pour {title}, l'ancien ne marche plus : {link}")
        }
        (Sms, NewCode, "de") => (None, "{name}, Ihr neuer Code für {title}, der alte gilt nicht mehr: {link}"),
        (Sms, NewCode, "es") => (None, "{name}, su nueva clave para {title}; la anterior ya no vale: {link}"),
        (Sms, NewCode, _) => (None, "{name}, your new code for {title}, the old one no longer works: {link}"),

        (Email, Invitation, "fr") => (
            Some("Votre invitation : {title}"),
            "Bonjour {name},\n\nvous êtes invité à {title}. Début : {starts_at}.\n\nEntrez ici :\n{link}\n\nOu avec votre \
             code : {code}\n\nCe code est à vous seul : un écran à la fois.\n",
        ),
        (Email, Invitation, "de") => (
            Some("Ihre Einladung: {title}"),
            "Guten Tag {name},\n\nSie sind eingeladen: {title}. Beginn: {starts_at}.\n\nHier geht es hinein:\n{link}\n\nOder \
             mit Ihrem Code: {code}\n\nDer Code gehört Ihnen allein: ein Bildschirm zur gleichen Zeit.\n",
        ),
        (Email, Invitation, "es") => (
            Some("Su invitación: {title}"),
            "Hola, {name}:\n\ntiene una invitación para {title}. Comienzo: {starts_at}.\n\nEntre aquí:\n{link}\n\nO con su \
             código: {code}\n\nEl código es solo suyo: una pantalla a la vez.\n",
        ),
        (Email, Invitation, _) => (
            Some("Your invitation: {title}"),
            "Hello {name},\n\nyou are invited to {title}. It begins: {starts_at}.\n\nCome in here:\n{link}\n\nOr with your \
             code: {code}\n\nThe code is yours alone: one screen at a time.\n",
        ),

        (Email, Reminder, "fr") => (
            Some("Bientôt : {title}"),
            "Bonjour {name},\n\n{title} commence : {starts_at}.\n\nEntrez ici :\n{link}\n\nVotre code : {code}\n",
        ),
        (Email, Reminder, "de") => (
            Some("Bald: {title}"),
            "Guten Tag {name},\n\n{title} beginnt: {starts_at}.\n\nHier geht es hinein:\n{link}\n\nIhr Code: {code}\n",
        ),
        (Email, Reminder, "es") => (
            Some("Pronto: {title}"),
            "Hola, {name}:\n\n{title} empieza: {starts_at}.\n\nEntre aquí:\n{link}\n\nSu código: {code}\n",
        ),
        (Email, Reminder, _) => (
            Some("Soon: {title}"),
            "Hello {name},\n\n{title} begins: {starts_at}.\n\nCome in here:\n{link}\n\nYour code: {code}\n",
        ),

        (Email, NewCode, "fr") => (
            Some("Votre nouveau code : {title}"),
            "Bonjour {name},\n\nvotre code pour {title} a été remplacé ; l'ancien ne marche plus.\n\nEntrez \
             ici :\n{link}\n\nVotre nouveau code : {code}\n",
        ),
        (Email, NewCode, "de") => (
            Some("Ihr neuer Code: {title}"),
            "Guten Tag {name},\n\nIhr Code für {title} wurde ersetzt; der alte gilt nicht mehr.\n\nHier geht es \
             hinein:\n{link}\n\nIhr neuer Code: {code}\n",
        ),
        (Email, NewCode, "es") => (
            Some("Su nuevo código: {title}"),
            "Hola, {name}:\n\nsu código para {title} ha cambiado; el anterior ya no vale.\n\nEntre aquí:\n{link}\n\nSu nuevo \
             código: {code}\n",
        ),
        (Email, NewCode, _) => (
            Some("Your new code: {title}"),
            "Hello {name},\n\nyour code for {title} was replaced; the old one no longer works.\n\nCome in \
             here:\n{link}\n\nYour new code: {code}\n",
        ),
    };
    Some(Template { subject: subject.map(str::to_owned), body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Encoding, Segments};
    use super::*;

    fn filling() -> Filling<'static> {
        Filling {
            name: "Ada {code}",
            code: "ABCD-EFGH-JKLM",
            link: "https://stage.example.org/e/x#ABCD",
            title: "Evening",
            starts_at: "-",
            organiser: "House",
        }
    }

    fn sms(body: &str) -> Template {
        Template { subject: None, body: body.into() }
    }

    #[test]
    fn placeholders_are_filled_once_and_everything_else_is_text() {
        let text = "{name}: {title} {organiser} {starts_at} {nobody} {} { x} {{code}} {unclosed";
        assert_eq!(fill(text, &filling()), "Ada {code}: Evening House - {nobody} {} { x} {ABCD-EFGH-JKLM} {unclosed");
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        use BadTemplate::{Empty, NoWayIn, Subject, TooLong, Unknown};
        let invitation = |template: Template| check(&template, Channel::Sms, Kind::Invitation);
        assert_eq!(invitation(sms(" \n")), Err(Empty));
        assert_eq!(invitation(sms(&format!("{{link}}{}", "x".repeat(1_600)))), Err(TooLong));
        assert_eq!(invitation(sms("{link} {nom} {nom} {x1}")), Err(Unknown(vec!["nom".into(), "x1".into()])));
        assert_eq!(invitation(sms("Come, {name}!")), Err(NoWayIn));
        assert_eq!(invitation(sms("Come: {code}")), Ok(()));
        assert_eq!(check(&sms("Soon!"), Channel::Sms, Kind::Reminder), Ok(()));
        assert_eq!(check(&sms("{link}"), Channel::Email, Kind::Invitation), Err(Subject));
        let letter = |subject: &str| Template { subject: Some(subject.into()), body: "{link}".into() };
        assert_eq!(check(&letter("Hello\nBcc: all"), Channel::Email, Kind::Invitation), Err(Subject));
        assert_eq!(check(&letter("{title}"), Channel::Email, Kind::Invitation), Ok(()));
        assert_eq!(check(&letter("{title}"), Channel::Sms, Kind::Invitation), Err(Subject));
        assert_eq!(check(&letter("{titel}"), Channel::Email, Kind::Invitation), Err(Unknown(vec!["titel".into()])));
        assert_eq!(Unknown(vec!["nom".into()]).to_string(), "there is no placeholder {nom}");
        assert_eq!(NoWayIn.to_string(), "an invitation needs {link} or {code}");
    }

    #[test]
    fn the_built_in_ones_can_be_sent_and_an_ordinary_text_is_one_segment() {
        let mut texts = std::collections::HashSet::new();
        for kind in Kind::WITH_TEMPLATE {
            for language in ["en", "fr", "de", "es"] {
                for channel in Channel::ALL {
                    let template = built_in(*channel, kind, language).unwrap();
                    assert_eq!(check(&template, *channel, kind), Ok(()), "{channel:?} {kind:?} {language}");
                    assert!(texts.insert(template.body), "{channel:?} {kind:?} {language} is another's");
                }
                let body = built_in(Channel::Sms, kind, language).unwrap().body;
                assert_eq!(Segments::of(&body).encoding, Encoding::Gsm7, "{body}");
            }
            assert_eq!(built_in(Channel::Sms, kind, "de-CH"), built_in(Channel::Sms, kind, "de"));
            assert_eq!(built_in(Channel::Sms, kind, "tlh"), built_in(Channel::Sms, kind, "en"));
        }
        assert_eq!(built_in(Channel::Sms, Kind::Direct, "en"), None);
    }

    #[test]
    fn everybody_is_written_to_in_the_nearest_language() {
        let (swiss, portuguese) = (sms("{link} grüezi"), sms("{link} olá"));
        let written = [("de-ch", &swiss), ("pt", &portuguese)];
        let body = |languages| choose(written, Channel::Sms, Kind::Invitation, languages).unwrap().body;
        let built_in = |language| built_in(Channel::Sms, Kind::Invitation, language).unwrap().body;
        assert_eq!(body(["de-CH", "en"]), swiss.body);
        assert_eq!(body(["de-AT", "en"]), built_in("de"));
        assert_eq!(body(["pt-BR", "en"]), portuguese.body);
        assert_eq!(body(["", "fr"]), built_in("fr"));
        assert_eq!(body(["ja", "pt"]), portuguese.body);
        assert_eq!(body(["ja", "tlh"]), built_in("en"));
        assert_eq!(choose(written, Channel::Sms, Kind::Test, ["en", "en"]), None);
    }

    #[test]
    fn a_beginning_is_written_in_the_events_own_time() {
        let time = Some(Time::from_millis(1_795_203_000_123));
        assert_eq!(starts_at(time, 0), "2026-11-20 19:30 UTC");
        assert_eq!(starts_at(time, 60), "2026-11-20 20:30 UTC+1");
        assert_eq!(starts_at(time, -210), "2026-11-20 16:00 UTC-3:30");
        assert_eq!(starts_at(None, 60), "-");
        assert_eq!(Segments::of(&starts_at(None, 0)).encoding, Encoding::Gsm7);
    }

    proptest! {
        #[test]
        fn a_text_without_braces_is_itself(text in "[^{}]{0,80}") {
            prop_assert_eq!(fill(&text, &filling()), text);
        }

        #[test]
        fn no_text_panics(text in ".{0,80}|[{}a-z_é]{0,60}") {
            let _ = (fill(&text, &filling()), unknown(&text));
        }
    }
}
