//! A mail server that takes letters and keeps them, as badly as it is told to.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What becomes of one conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behave {
    /// The letter is taken.
    Take,
    /// The letter is taken, and the connection breaks before that was said.
    TakeAndBreak,
    /// This answer comes to the command that begins with these letters.
    Say(&'static str, &'static str),
}

/// A letter that was taken.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Of the envelope.
    pub from: String,
    /// Of the envelope.
    pub to: String,
    /// Header and text, with the line ends of the wire.
    pub text: String,
}

#[derive(Default)]
struct State {
    script: VecDeque<Behave>,
    taken: Vec<Letter>,
    signed_in: Vec<String>,
}

/// The server; it is gone when this is dropped.
pub struct Smtp {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Smtp {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, shared.clone()));
            }
        });
        Self { address, state, task }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How the next conversations go, in order; after them everything is taken.
    pub fn script(&self, behaviours: impl IntoIterator<Item = Behave>) {
        self.lock().script = behaviours.into_iter().collect();
    }

    /// Everything that was taken, in order.
    #[must_use]
    pub fn taken(&self) -> Vec<Letter> {
        self.lock().taken.clone()
    }

    /// What was said after `AUTH PLAIN`, in order.
    #[must_use]
    pub fn signed_in(&self) -> Vec<String> {
        self.lock().signed_in.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let behave = state.lock().unwrap_or_else(PoisonError::into_inner).script.pop_front().unwrap_or(Behave::Take);
    let mut stream = BufReader::new(stream);
    let mut letter = Letter { from: String::new(), to: String::new(), text: String::new() };
    if say(&mut stream, "220 mail.test ESMTP").await.is_none() {
        return;
    }
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let command = line.trim_end().to_owned();
        let upper = command.to_ascii_uppercase();
        if let Behave::Say(begin, answer) = behave
            && upper.starts_with(begin)
        {
            if answer.is_empty() || say(&mut stream, answer).await.is_none() {
                return;
            }
            continue;
        }
        let answer = if upper.starts_with("EHLO") {
            "250-mail.test\r\n250-8BITMIME\r\n250 AUTH PLAIN"
        } else if let Some(secret) = command.strip_prefix("AUTH PLAIN ") {
            state.lock().unwrap_or_else(PoisonError::into_inner).signed_in.push(secret.to_owned());
            "235 welcome"
        } else if upper.starts_with("MAIL FROM:") {
            command[10..].clone_into(&mut letter.from);
            "250 ok"
        } else if upper.starts_with("RCPT TO:") {
            command[8..].clone_into(&mut letter.to);
            "250 ok"
        } else if upper == "DATA" {
            if say(&mut stream, "354 go on").await.is_none() {
                return;
            }
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return;
                }
                if line == ".\r\n" {
                    break;
                }
                letter.text.push_str(line.strip_prefix('.').unwrap_or(&line));
            }
            let refused = match behave {
                Behave::Say("END", answer) => Some(answer),
                _ => None,
            };
            if refused.is_none() {
                state.lock().unwrap_or_else(PoisonError::into_inner).taken.push(letter.clone());
            }
            if behave == Behave::TakeAndBreak || refused == Some("") {
                return;
            }
            refused.unwrap_or("250 taken")
        } else if upper == "QUIT" {
            "221 bye"
        } else {
            "502 what"
        };
        if say(&mut stream, answer).await.is_none() {
            return;
        }
    }
}

async fn say(stream: &mut BufReader<TcpStream>, text: &str) -> Option<()> {
    stream.get_mut().write_all(format!("{text}\r\n").as_bytes()).await.ok()
}
