//! The page around a player: a WebSocket over which it reports, and answers when it is asked whether it is there.
//!
//! Without it a viewer is a player alone, which no browser is: the server takes it for silent and releases less to it.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use stagedoor_domain::risk::HeartbeatKey;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::http::Url;

/// Says `answer` and reports, both at once, as the viewer's page does when it is asked whether it is there.
///
/// # Errors
///
/// Any error of the socket.
pub async fn with_report(socket: &mut Socket, answer: Message) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    socket.feed(Message::text(REPORT_TEXT)).await?;
    socket.send(answer).await
}

/// A page reports this often, as the viewer's page does, unless it was asked meanwhile.
pub const REPORT: Duration = Duration::from_secs(5);
/// The report of a page that waits for the broadcast, or whose player says nothing here.
pub const REPORT_TEXT: &str = r#"{"type":"report","visible":true}"#;
/// What a page reads fits many times.
const BUFFER: usize = 1024;
/// A page that has lost its socket opens another one after this long.
const AGAIN: Duration = Duration::from_secs(1);

/// A page's socket.
pub type Socket = WebSocketStream<TcpStream>;

/// What a page holds once its code was redeemed.
#[derive(Debug, Clone)]
pub struct Page {
    cookie: String,
    feed: Url,
    /// What it answers with, where the event asks.
    key: Option<HeartbeatKey>,
}

impl Page {
    /// From the answer to the redemption, `said`, and the cookie that came with it.
    ///
    /// # Errors
    ///
    /// What is missing, as a sentence.
    pub fn of(said: &Value, cookie: String, sessions: &Url) -> Result<Page, String> {
        let text = |pointer| said.pointer(pointer).and_then(Value::as_str);
        let feed = sessions.join(text("/feed").ok_or("a session without feed")?)?;
        let key = text("/guard/heartbeat_key").map(|key| HeartbeatKey::read(key).ok_or("a key that is none"));
        Ok(Page { cookie, feed, key: key.transpose()? })
    }

    /// Opens the socket.
    ///
    /// # Errors
    ///
    /// Why not, as a sentence.
    pub async fn open(&self, address: SocketAddr, timeout: Duration) -> Result<Socket, String> {
        let Url { authority, path } = &self.feed;
        let failed = |error: &dyn std::fmt::Display| format!("socket: {error}");
        let mut request = format!("ws://{authority}{path}").into_client_request().map_err(|error| failed(&error))?;
        for (name, value) in [("cookie", self.cookie.clone()), ("origin", format!("http://{authority}"))] {
            let value = http::HeaderValue::from_str(&value).map_err(|error| failed(&error))?;
            request.headers_mut().insert(http::HeaderName::from_static(name), value);
        }
        let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(0);
        let connected = async {
            let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
            let _ = stream.set_nodelay(true);
            let opened = client_async_with_config(request, stream, Some(config)).await;
            opened.map(|(socket, _)| socket).map_err(|error| failed(&error))
        };
        tokio::time::timeout(timeout, connected).await.map_err(|_| "socket: timeout".to_owned())?
    }

    /// What the page says to `said`, if that is a question.
    pub fn answer(&self, said: &Value) -> Option<Message> {
        let nonce = said["nonce"].as_str().filter(|_| said["type"] == "challenge")?;
        let mac = self.key.as_ref()?.sign(nonce, "1", None, 0);
        let answer = json!({
            "type": "heartbeat", "nonce": nonce, "guard": "1", "position_ms": null, "frames": 0, "mac": mac
        });
        Some(Message::text(answer.to_string()))
    }

    /// Stays until the server says that the session is over. A socket that is lost is opened again.
    pub async fn stay(&self, address: SocketAddr, timeout: Duration) {
        loop {
            if let Ok(mut socket) = self.open(address, timeout).await
                && self.hold(&mut socket).await
            {
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Says whether it was said that the session is over.
    async fn hold(&self, socket: &mut Socket) -> bool {
        let mut report = tokio::time::interval(REPORT);
        loop {
            let message = tokio::select! {
                message = socket.next() => message,
                _ = report.tick() => {
                    if socket.send(Message::text(REPORT_TEXT)).await.is_err() {
                        return false;
                    }
                    continue;
                }
            };
            let Some(Ok(message)) = message else { return false };
            let Message::Text(text) = message else { continue };
            let said: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
            if said["type"] == "bye" {
                return said["reason"] != "stopping";
            }
            if let Some(answer) = self.answer(&said) {
                report.reset();
                if with_report(socket, answer).await.is_err() {
                    return false;
                }
            }
        }
    }
}
