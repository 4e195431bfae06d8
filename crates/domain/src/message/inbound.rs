//! What people answer to a text message.

/// What an answer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// No more messages.
    Stop,
    /// Messages again.
    Start,
    /// Who is this.
    Help,
    /// Anything else.
    Other,
}

/// What an answer asks for: `opt_out_type` is what the gateway made of it, if it did; else the text is one of the words
/// that carriers prescribe, alone, in any case.
///
/// # Source
///
/// Twilio, "Twilio support for opt-out keywords (SMS STOP filtering)": STOP, STOPALL, UNSUBSCRIBE, CANCEL, END, QUIT, REVOKE, OPTOUT;
/// START, YES, UNSTOP; HELP, INFO. French, German and Spanish words beside them, as the built-in templates speak them.
#[must_use]
pub fn inbound(body: &str, opt_out_type: Option<&str>) -> Inbound {
    match opt_out_type {
        Some("STOP") => return Inbound::Stop,
        Some("START") => return Inbound::Start,
        Some("HELP") => return Inbound::Help,
        _ => {}
    }
    let word = body.trim().trim_end_matches(['.', '!']).to_uppercase();
    match word.as_str() {
        "STOP" | "STOPALL" | "STOP ALL" | "UNSUBSCRIBE" | "CANCEL" | "END" | "QUIT" | "REVOKE" | "OPTOUT" | "ARRET"
        | "ARRÊT" | "STOPP" | "ABMELDEN" | "ALTO" | "BAJA" => Inbound::Stop,
        "START" | "YES" | "UNSTOP" => Inbound::Start,
        "HELP" | "INFO" | "AIDE" | "HILFE" | "AYUDA" => Inbound::Help,
        _ => Inbound::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prescribed_words_count_alone_and_in_any_case() {
        for text in ["STOP", " stop\n", "Stop.", "unsubscribe", "Arrêt", "abmelden!", "optout"] {
            assert_eq!(inbound(text, None), Inbound::Stop, "{text}");
        }
        for text in ["please don't stop", "stopp it", "", "STOP?"] {
            assert_eq!(inbound(text, None), Inbound::Other, "{text}");
        }
        assert_eq!((inbound("Start", None), inbound("hilfe", None)), (Inbound::Start, Inbound::Help));
    }

    #[test]
    fn the_gateways_own_reading_wins() {
        assert_eq!(inbound("genug davon", Some("STOP")), Inbound::Stop);
        assert_eq!(inbound("STOP", Some("START")), Inbound::Start);
        assert_eq!(inbound("STOP", Some("WHAT")), Inbound::Stop);
    }
}
