//! The smallest HTTP/1.1 client that is still correct: one keep-alive connection, one request at a time.
//!
//! The generator shares two cores with the server it measures, so a request must cost little more than its system
//! calls. Hence: requests are written from one reused buffer, answers are read into one buffer per thread, only the
//! headers that matter are looked at, and media bodies are thrown away **inside the kernel** (`recv` with `MSG_TRUNC`,
//! see tcp(7)): they are received, acknowledged and counted, but never copied.
//!
//! What it deliberately does not do: TLS, HTTP/2, pipelining, caching, proxies. `https://` is refused with words.
//!
//! # Source
//!
//! RFC 9112 (HTTP/1.1) sections 2 to 7 and 9; RFC 9110 section 15.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// A response head longer than this is refused.
const HEAD_MAX: usize = 16 * 1024;
/// A text body (playlist, JSON) longer than this is refused. A 15 minute window of parts is far below it.
pub const TEXT_MAX: u64 = 4 * 1024 * 1024;
/// A media body longer than this is refused: no part or segment of a sane stream comes near.
const MEDIA_MAX: u64 = 256 * 1024 * 1024;
/// How much of a media answer is copied out of the kernel: the head and the first box header.
const PEEK: usize = 1024;
/// Size of the buffer each thread reads into, and the most one `recv` throws away.
const SCRATCH: usize = 256 * 1024;
/// A connection that is not up after this long is an error.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a request got no usable answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// No TCP connection.
    Connect,
    /// The connection ended or broke before the answer was complete.
    Closed,
    /// Bytes that are not HTTP/1.x.
    Malformed,
    /// A head or body over its bound.
    TooLarge,
}

/// Where a URL points, split into what a connection needs and what a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// `host[:port]` as it goes into the `Host` header and into `lookup_host`.
    pub authority: String,
    /// Absolute path with its query, at least `/`.
    pub path: String,
}

impl Url {
    /// Reads an absolute `http://` URL; a fragment is dropped.
    ///
    /// # Errors
    ///
    /// A sentence for the person who typed it.
    pub fn parse(text: &str) -> Result<Url, String> {
        let text = text.trim();
        let rest = match (text.strip_prefix("http://"), text.starts_with("https://")) {
            (Some(rest), _) => rest,
            (None, true) => {
                return Err(format!(
                    "{text}: the load generator speaks plain http only; point it at the server behind the TLS proxy"
                ));
            }
            (None, false) => return Err(format!("{text}: not an http:// URL")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let cut = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(cut);
        if authority.is_empty() || authority.contains('@') || authority.contains(char::is_whitespace) {
            return Err(format!("{text}: no host that can be used"));
        }
        if path.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err(format!("{text}: spaces and control characters must be percent-encoded"));
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Url { authority: authority.to_owned(), path })
    }

    /// Resolves a reference found inside the document at this URL (RFC 3986 section 5.2, the cases playlists use).
    ///
    /// # Errors
    ///
    /// As [`Url::parse`], for an absolute reference.
    pub fn join(&self, reference: &str) -> Result<Url, String> {
        if reference.contains("://") {
            return Url::parse(reference);
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return Url::parse(&format!("http://{rest}"));
        }
        let joined = if reference.starts_with('/') {
            reference.to_owned()
        } else if reference.starts_with('?') {
            format!("{}{reference}", self.path.split('?').next().unwrap_or("/"))
        } else {
            format!("{}{reference}", self.directory())
        };
        let (path, query) = match joined.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (joined.as_str(), None),
        };
        let mut segments: Vec<&str> = Vec::new();
        let mut pieces = path.split('/').skip(1).peekable();
        while let Some(piece) = pieces.next() {
            let last = pieces.peek().is_none();
            match piece {
                ".." => {
                    segments.pop();
                    if last {
                        segments.push("");
                    }
                }
                "." if last => segments.push(""),
                "." => {}
                other => segments.push(other),
            }
        }
        let mut path = format!("/{}", segments.join("/"));
        if let Some(query) = query {
            path.push('?');
            path.push_str(query);
        }
        Ok(Url { authority: self.authority.clone(), path })
    }

    /// The path up to and with its last slash, without the query.
    pub fn directory(&self) -> &str {
        let path = self.path.split('?').next().unwrap_or("/");
        &path[..=path.rfind('/').unwrap_or(0)]
    }

    /// Finds an address for the authority; port 80 when none is written.
    ///
    /// # Errors
    ///
    /// A sentence naming the host.
    pub async fn resolve(&self) -> Result<SocketAddr, String> {
        let has_port = match self.authority.rfind(']') {
            Some(end) => self.authority[end..].contains(':'),
            None => self.authority.contains(':'),
        };
        let target = if has_port { self.authority.clone() } else { format!("{}:80", self.authority) };
        let found = tokio::net::lookup_host(&target).await;
        found
            .map_err(|error| format!("cannot find the address of {}: {error}", self.authority))?
            .next()
            .ok_or_else(|| format!("{} has no address", self.authority))
    }
}

/// The headers sent with each request, after the request line: made once, shared by all viewers of a thread.
#[derive(Debug, Clone)]
pub struct HeaderBlock(Rc<[u8]>);

impl HeaderBlock {
    /// What Chromium sends with a same-origin `fetch` of a playlist or part, except that only gzip is offered, so that
    /// the text can be read back. This is what a server has to parse in real life.
    pub fn browser(authority: &str, cookie: Option<&str>) -> HeaderBlock {
        HeaderBlock::build(
            authority,
            cookie,
            &format!(
                "Connection: keep-alive\r\n\
                 sec-ch-ua-platform: \"Android\"\r\n\
                 User-Agent: Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/156.0.0.0 Mobile Safari/537.36\r\n\
                 sec-ch-ua: \"Chromium\";v=\"156\", \"Not.A/Brand\";v=\"99\"\r\n\
                 sec-ch-ua-mobile: ?1\r\n\
                 Accept: */*\r\n\
                 Sec-Fetch-Site: same-origin\r\n\
                 Sec-Fetch-Mode: cors\r\n\
                 Sec-Fetch-Dest: empty\r\n\
                 Referer: http://{authority}/\r\n\
                 Accept-Encoding: gzip\r\n\
                 Accept-Language: en-GB,en;q=0.9\r\n"
            ),
        )
    }

    /// `Host` and `Accept-Encoding` only, as wrk and ab send.
    pub fn minimal(authority: &str, cookie: Option<&str>) -> HeaderBlock {
        HeaderBlock::build(authority, cookie, "Accept-Encoding: gzip\r\n")
    }

    /// As [`minimal`](Self::minimal), for answers that are read as they come.
    pub fn plain(authority: &str) -> HeaderBlock {
        HeaderBlock::build(authority, None, "")
    }

    fn build(authority: &str, cookie: Option<&str>, rest: &str) -> HeaderBlock {
        let mut text = format!(" HTTP/1.1\r\nHost: {authority}\r\n{rest}");
        if let Some(cookie) = cookie {
            text.push_str("Cookie: ");
            text.push_str(cookie);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        HeaderBlock(text.into_bytes().into())
    }
}

/// The read buffer of a thread. Borrowed only between two awaits.
#[derive(Clone)]
pub struct Scratch(Rc<RefCell<Vec<u8>>>);

impl Scratch {
    /// Allocates the buffer.
    pub fn new() -> Scratch {
        Scratch(Rc::new(RefCell::new(vec![0; SCRATCH])))
    }
}

/// What to do with the body of a 2xx answer. Other bodies are always kept, they may explain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// Keep it in [`Connection::body`].
    Text,
    /// Count it and let the kernel drop it.
    Discard,
}

/// The head of an answer whose body has been read to its end.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body is gzip.
    pub gzip: bool,
    /// Body bytes as they came over the wire, transfer coding removed.
    pub bytes: u64,
    /// Bytes 4 to 8 of the body: the type of the first box of an fMP4 part.
    pub box_type: [u8; 4],
    /// `Location`, at most 2 KiB.
    pub location: Option<String>,
    /// The `name=value` of each `Set-Cookie`, joined by `; `, at most 4 KiB.
    pub cookies: Option<String>,
    /// `Retry-After` in seconds.
    pub retry_after_s: Option<u64>,
}

/// Who asks, in a request with a JSON body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// Token of an organiser.
    pub bearer: Option<&'a str>,
    /// What `Set-Cookie` said.
    pub cookie: Option<&'a str>,
}

/// One keep-alive connection to one server; opened on first use and again after it was lost.
pub struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    scratch: Scratch,
    out: Vec<u8>,
    /// The last kept body, still encoded.
    pub body: Vec<u8>,
    /// How often a kept connection turned out to be closed by the server, so that the request was sent again.
    pub reopened: u64,
}

impl Connection {
    /// Prepares a connection; nothing is opened yet.
    pub fn new(address: SocketAddr, scratch: Scratch) -> Connection {
        Connection { address, stream: None, scratch, out: Vec::new(), body: Vec::new(), reopened: 0 }
    }

    /// Sends `GET path` and reads the whole answer.
    ///
    /// `path` comes in pieces so that the caller need not build a string per request.
    ///
    /// # Errors
    ///
    /// [`Failure`]; the connection is closed and the next request opens another.
    pub async fn get(&mut self, path: &[&str], headers: &HeaderBlock, take: Take) -> Result<Answer, Failure> {
        self.out.clear();
        self.out.extend_from_slice(b"GET ");
        for piece in path {
            self.out.extend_from_slice(piece.as_bytes());
        }
        self.out.extend_from_slice(&headers.0);
        self.exchange(take).await
    }

    /// Sends a request with a JSON body and keeps the answer.
    ///
    /// # Errors
    ///
    /// As [`Connection::get`].
    pub async fn send_json(
        &mut self,
        method: &str,
        url: &Url,
        credentials: Credentials<'_>,
        body: Option<&str>,
    ) -> Result<Answer, Failure> {
        use std::io::Write as _;
        self.out.clear();
        let body = body.unwrap_or_default();
        // Writing to a Vec cannot fail.
        let _ = write!(
            self.out,
            "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: stagedoor-load\r\nAccept: application/json\r\n\
             Content-Length: {}\r\n",
            url.path,
            url.authority,
            body.len()
        );
        if !body.is_empty() {
            self.out.extend_from_slice(b"Content-Type: application/json\r\n");
        }
        if let Some(bearer) = credentials.bearer {
            let _ = write!(self.out, "Authorization: Bearer {bearer}\r\n");
        }
        if let Some(cookie) = credentials.cookie {
            // A cookie without the page that it belongs to would be another site's doing.
            let _ = write!(self.out, "Cookie: {cookie}\r\nOrigin: http://{}\r\n", url.authority);
        }
        self.out.extend_from_slice(b"\r\n");
        self.out.extend_from_slice(body.as_bytes());
        self.exchange(Take::Text).await
    }

    /// Sends what is in `out`. A kept connection that the server closed meanwhile is replaced once, as browsers do.
    async fn exchange(&mut self, take: Take) -> Result<Answer, Failure> {
        if self.stream.is_some() {
            match self.attempt(take).await {
                Err((Failure::Closed, Untouched::Yes)) => self.reopened += 1,
                Err((failure, _)) => return Err(failure),
                Ok(answer) => return Ok(answer),
            }
        }
        let connect = TcpStream::connect(self.address);
        let stream = match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(_)) | Err(_) => return Err(Failure::Connect),
        };
        let _ = stream.set_nodelay(true);
        self.stream = Some(stream);
        self.attempt(take).await.map_err(|(failure, _)| failure)
    }

    async fn attempt(&mut self, take: Take) -> Result<Answer, (Failure, Untouched)> {
        let Some(stream) = self.stream.take() else { return Err((Failure::Connect, Untouched::Yes)) };
        if write_all(&stream, &self.out).await.is_err() {
            return Err((Failure::Closed, Untouched::Yes));
        }
        let mut reader = Reader::new(take, &mut self.body);
        loop {
            let outcome = match reader.throw_away() {
                Some(left) => {
                    let read = stream.try_io(Interest::READABLE, || {
                        let mut scratch = self.scratch.0.borrow_mut();
                        let room = scratch.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                        // MSG_TRUNC: the kernel drops these bytes instead of copying them.
                        let (_, dropped) = rustix::net::recv(&stream, &mut scratch[..room], RecvFlags::TRUNC)?;
                        Ok((dropped, room))
                    });
                    read.map(|(dropped, room)| (reader.dropped(dropped), dropped < room))
                }
                None => {
                    let mut scratch = self.scratch.0.borrow_mut();
                    let room = reader.room().min(scratch.len());
                    match stream.try_read(&mut scratch[..room]) {
                        Ok(count) => Ok((reader.feed(&scratch[..count]), count < room)),
                        Err(error) => Err(error),
                    }
                }
            };
            match outcome {
                Ok((Ok(Progress::More), drained)) => {
                    if drained {
                        forget_readiness(&stream);
                    }
                }
                Ok((Ok(Progress::Done(answer)), drained)) => {
                    if drained {
                        forget_readiness(&stream);
                    }
                    if reader.keep_alive {
                        self.stream = Some(stream);
                    }
                    return Ok(answer);
                }
                Ok((Err(failure), _)) => {
                    let untouched = if reader.started { Untouched::No } else { Untouched::Yes };
                    return Err((failure, untouched));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if stream.readable().await.is_err() {
                        return Err((Failure::Closed, Untouched::No));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    let untouched = if reader.started { Untouched::No } else { Untouched::Yes };
                    return Err((Failure::Closed, untouched));
                }
            }
        }
    }
}

/// Whether the server had begun to answer when a connection broke: if not, sending again is safe for GET.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Untouched {
    Yes,
    No,
}

/// A read that returned less than asked for has emptied the socket: telling tokio so spares the read that would only
/// say "would block". Nothing can be missed: new bytes raise a new edge.
fn forget_readiness(stream: &TcpStream) {
    let _ = stream.try_io(Interest::READABLE, || -> io::Result<()> { Err(io::ErrorKind::WouldBlock.into()) });
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

enum Progress {
    More,
    Done(Answer),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Fixed(u64),
    /// Reading a chunk-size line; the value so far and whether a digit was seen and the extension began.
    ChunkSize {
        size: u64,
        digits: u8,
        extension: bool,
    },
    ChunkData(u64),
    /// The CR LF after a chunk's data.
    ChunkEnd,
    /// Trailer lines until an empty one; the length of the current line.
    Trailer(u32),
    UntilClose,
}

/// Reads one answer from pieces of any size.
struct Reader<'a> {
    take: Take,
    state: State,
    answer: Answer,
    body: &'a mut Vec<u8>,
    /// The head, or the start of the body when it is discarded, as far as it has come.
    carry: Vec<u8>,
    keep: bool,
    keep_alive: bool,
    started: bool,
}

impl<'a> Reader<'a> {
    fn new(take: Take, body: &'a mut Vec<u8>) -> Reader<'a> {
        body.clear();
        Reader {
            take,
            state: State::Head,
            answer: Answer::default(),
            body,
            carry: Vec::new(),
            keep: true,
            keep_alive: true,
            started: false,
        }
    }

    /// How many bytes may be dropped unseen now, if any.
    fn throw_away(&self) -> Option<u64> {
        match self.state {
            State::Fixed(left) if !self.keep && self.answer.bytes >= 8 => Some(left),
            _ => None,
        }
    }

    /// How many bytes are worth copying at once.
    fn room(&self) -> usize {
        if self.take == Take::Discard { PEEK } else { SCRATCH }
    }

    fn dropped(&mut self, count: usize) -> Result<Progress, Failure> {
        if count == 0 {
            return Err(Failure::Closed);
        }
        let State::Fixed(left) = self.state else { return Err(Failure::Malformed) };
        let count = count as u64;
        self.answer.bytes += count;
        let left = left.saturating_sub(count);
        self.state = State::Fixed(left);
        Ok(if left == 0 { self.done() } else { Progress::More })
    }

    /// Takes the next bytes; an empty slice means that the server closed the connection.
    fn feed(&mut self, input: &[u8]) -> Result<Progress, Failure> {
        if input.is_empty() {
            return match self.state {
                State::UntilClose => Ok(self.done()),
                _ => Err(Failure::Closed),
            };
        }
        self.started = true;
        if self.state != State::Head {
            return self.body(input);
        }
        // The whole head in one read is the rule; only a split head is gathered.
        if self.carry.is_empty() {
            match find_head_end(input) {
                Some(end) => self.head_then_body(&input[..end], &input[end..]),
                None => self.gather(input),
            }
        } else {
            let before = self.carry.len();
            self.carry.extend_from_slice(input);
            let carry = std::mem::take(&mut self.carry);
            match find_head_end(&carry) {
                Some(end) => self.head_then_body(&carry[..end], &carry[end..]),
                None if before + input.len() > HEAD_MAX => Err(Failure::TooLarge),
                None => {
                    self.carry = carry;
                    Ok(Progress::More)
                }
            }
        }
    }

    fn gather(&mut self, input: &[u8]) -> Result<Progress, Failure> {
        if input.len() > HEAD_MAX {
            return Err(Failure::TooLarge);
        }
        self.carry.extend_from_slice(input);
        Ok(Progress::More)
    }

    fn head_then_body(&mut self, head: &[u8], rest: &[u8]) -> Result<Progress, Failure> {
        if head.len() > HEAD_MAX {
            return Err(Failure::TooLarge);
        }
        self.head(head)?;
        if (100..200).contains(&self.answer.status) {
            // An interim answer: the real one follows.
            self.answer = Answer::default();
            return if rest.is_empty() { Ok(Progress::More) } else { self.feed(rest) };
        }
        self.keep = self.take == Take::Text || !(200..300).contains(&self.answer.status);
        let limit = if self.keep { TEXT_MAX } else { MEDIA_MAX };
        match self.state {
            State::Fixed(length) if length > limit => Err(Failure::TooLarge),
            State::Fixed(0) if rest.is_empty() => Ok(self.done()),
            // Bytes nobody asked for: what follows cannot be trusted.
            State::Fixed(0) => Err(Failure::Malformed),
            _ if rest.is_empty() => Ok(Progress::More),
            _ => self.body(rest),
        }
    }

    /// Reads status line and headers; sets the state for the body.
    fn head(&mut self, head: &[u8]) -> Result<(), Failure> {
        let mut lines = head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let status_line = lines.next().unwrap_or_default();
        let (&version, status) = match status_line {
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', version @ (b'0' | b'1'), b' ', status @ ..] => (version, status),
            _ => return Err(Failure::Malformed),
        };
        let digits = status.get(..3).ok_or(Failure::Malformed)?;
        let status = decimal(digits).and_then(|number| u16::try_from(number).ok()).ok_or(Failure::Malformed)?;
        self.answer.status = status;
        self.keep_alive = version == b'1';
        let mut length = None;
        let mut chunked = false;
        for line in lines {
            let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
            let name = &line[..colon];
            let value = line[colon + 1..].trim_ascii();
            // The length tells nearly all names apart, so that most headers cost one comparison.
            match name.len() {
                14 if name.eq_ignore_ascii_case(b"content-length") => {
                    let value = decimal(value).ok_or(Failure::Malformed)?;
                    if length.is_some_and(|other| other != value) {
                        return Err(Failure::Malformed);
                    }
                    length = Some(value);
                }
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                    chunked = value.eq_ignore_ascii_case(b"chunked");
                    if !chunked {
                        return Err(Failure::Malformed);
                    }
                }
                16 if name.eq_ignore_ascii_case(b"content-encoding") => {
                    self.answer.gzip = value.eq_ignore_ascii_case(b"gzip");
                }
                10 if name.eq_ignore_ascii_case(b"connection") => {
                    if value.eq_ignore_ascii_case(b"close") {
                        self.keep_alive = false;
                    } else if value.eq_ignore_ascii_case(b"keep-alive") {
                        self.keep_alive = true;
                    }
                }
                8 if name.eq_ignore_ascii_case(b"location") => {
                    self.answer.location =
                        std::str::from_utf8(value).ok().filter(|v| v.len() <= 2048).map(str::to_owned);
                }
                10 if name.eq_ignore_ascii_case(b"set-cookie") => {
                    let pair = value.split(|&byte| byte == b';').next().unwrap_or_default();
                    let jar = self.answer.cookies.get_or_insert_default();
                    if let Ok(pair) = std::str::from_utf8(pair)
                        && jar.len() + pair.len() < 4096
                    {
                        if !jar.is_empty() {
                            jar.push_str("; ");
                        }
                        jar.push_str(pair);
                    }
                }
                11 if name.eq_ignore_ascii_case(b"retry-after") => self.answer.retry_after_s = decimal(value),
                _ => {}
            }
        }
        self.state = match (status, chunked, length) {
            (100..=199 | 204 | 304, _, _) => State::Fixed(0),
            (_, true, _) => State::ChunkSize { size: 0, digits: 0, extension: false },
            (_, false, Some(length)) => State::Fixed(length),
            (_, false, None) => {
                self.keep_alive = false;
                State::UntilClose
            }
        };
        if (100..200).contains(&status) {
            self.state = State::Head;
        }
        Ok(())
    }

    /// Takes body bytes in any framing.
    fn body(&mut self, mut input: &[u8]) -> Result<Progress, Failure> {
        while let Some(&byte) = input.first() {
            match self.state {
                State::Head => return Err(Failure::Malformed),
                State::Fixed(left) => {
                    let count = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    self.content(&input[..count])?;
                    input = &input[count..];
                    let left = left - count as u64;
                    self.state = State::Fixed(left);
                    if left == 0 {
                        return if input.is_empty() { Ok(self.done()) } else { Err(Failure::Malformed) };
                    }
                }
                State::UntilClose => {
                    self.content(input)?;
                    input = &[];
                }
                State::ChunkSize { size, digits, extension } => {
                    input = &input[1..];
                    self.state = match (byte, char::from(byte).to_digit(16)) {
                        (b'\n', _) if digits == 0 => return Err(Failure::Malformed),
                        (b'\n', _) if size == 0 => State::Trailer(0),
                        (b'\n', _) => State::ChunkData(size),
                        (_, Some(digit)) if !extension => {
                            if digits >= 8 {
                                return Err(Failure::TooLarge);
                            }
                            State::ChunkSize { size: size * 16 + u64::from(digit), digits: digits + 1, extension }
                        }
                        _ => State::ChunkSize { size, digits, extension: true },
                    };
                }
                State::ChunkData(left) => {
                    let count = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    self.content(&input[..count])?;
                    input = &input[count..];
                    let left = left - count as u64;
                    self.state = if left == 0 { State::ChunkEnd } else { State::ChunkData(left) };
                }
                State::ChunkEnd => {
                    input = &input[1..];
                    match byte {
                        b'\r' => {}
                        b'\n' => self.state = State::ChunkSize { size: 0, digits: 0, extension: false },
                        _ => return Err(Failure::Malformed),
                    }
                }
                State::Trailer(length) => {
                    input = &input[1..];
                    self.state = match byte {
                        b'\n' if length == 0 => {
                            return if input.is_empty() { Ok(self.done()) } else { Err(Failure::Malformed) };
                        }
                        b'\n' => State::Trailer(0),
                        b'\r' => State::Trailer(length),
                        _ if length as usize > HEAD_MAX => return Err(Failure::TooLarge),
                        _ => State::Trailer(length + 1),
                    };
                }
            }
        }
        Ok(Progress::More)
    }

    fn content(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        for (place, &byte) in (self.answer.bytes..8).zip(bytes) {
            if place >= 4 {
                self.answer.box_type[place as usize - 4] = byte;
            }
        }
        self.answer.bytes += bytes.len() as u64;
        if self.keep {
            if self.answer.bytes > TEXT_MAX {
                return Err(Failure::TooLarge);
            }
            self.body.extend_from_slice(bytes);
        } else if self.answer.bytes > MEDIA_MAX {
            return Err(Failure::TooLarge);
        }
        Ok(())
    }

    fn done(&mut self) -> Progress {
        Progress::Done(std::mem::take(&mut self.answer))
    }
}

/// The index just after the empty line, if it is there.
fn find_head_end(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0u64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(take: Take, bytes: &[u8], piece: usize) -> (Result<Option<Answer>, Failure>, Vec<u8>) {
        let mut body = Vec::new();
        let mut reader = Reader::new(take, &mut body);
        for part in bytes.chunks(piece) {
            match reader.feed(part) {
                Ok(Progress::More) => {}
                Ok(Progress::Done(answer)) => return (Ok(Some(answer)), body),
                Err(failure) => return (Err(failure), body),
            }
        }
        match reader.feed(&[]) {
            Ok(Progress::Done(answer)) => (Ok(Some(answer)), body),
            Ok(Progress::More) => (Ok(None), body),
            Err(failure) => (Err(failure), body),
        }
    }

    #[test]
    fn an_answer_is_read_the_same_in_pieces_of_any_size() {
        let fixed = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\ncontent-encoding: gzip\r\n\r\n\0\0\0\x0cmoofabcd";
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=1\r\n\0\0\0\x0c\r\n8\r\nmoofabcd\r\n0\r\nA: b\r\n\r\n";
        let until_close = b"HTTP/1.0 200 OK\r\n\r\n\0\0\0\x0cmoofabcd";
        for bytes in [&fixed[..], &chunked[..], &until_close[..]] {
            for piece in 1..bytes.len() {
                let (answer, body) = read(Take::Text, bytes, piece);
                let answer = answer.unwrap().unwrap();
                assert_eq!((answer.status, answer.bytes, &answer.box_type), (200, 12, b"moof"));
                assert_eq!(body, b"\0\0\0\x0cmoofabcd");
            }
        }
    }

    #[test]
    fn a_discarded_body_is_counted_and_not_kept() {
        let (answer, body) = read(Take::Discard, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\0\0\0\x0cstypX", 7);
        let answer = answer.unwrap().unwrap();
        assert_eq!((answer.bytes, &answer.box_type, body.len()), (9, b"styp", 0));
    }

    #[test]
    fn the_body_of_a_refusal_is_kept_even_when_media_was_asked_for() {
        let (answer, body) = read(Take::Discard, b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", 64);
        assert_eq!(answer.unwrap().unwrap().status, 403);
        assert_eq!(body, b"no");
    }

    #[test]
    fn an_interim_answer_is_passed_over() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        for piece in 1..bytes.len() {
            assert_eq!(read(Take::Text, bytes, piece).0.unwrap().unwrap().status, 204);
        }
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for bad in [
            &b"SSH-2.0-OpenSSH\r\n\r\n"[..],
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        ] {
            assert_eq!(read(Take::Text, bad, 1000).0, Err(Failure::Malformed), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn endless_heads_and_bodies_are_refused() {
        let head = [b"HTTP/1.1 200 OK\r\n".to_vec(), vec![b'a'; HEAD_MAX * 2]].concat();
        assert_eq!(read(Take::Text, &head, 1000).0, Err(Failure::TooLarge));
        let long = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
        assert_eq!(read(Take::Discard, long, 1000).0, Err(Failure::TooLarge));
        let chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n";
        assert_eq!(read(Take::Text, chunk, 1000).0, Err(Failure::TooLarge));
    }

    #[test]
    fn an_answer_cut_short_is_an_error() {
        assert_eq!(read(Take::Text, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", 9).0, Err(Failure::Closed));
        assert_eq!(read(Take::Text, b"HTTP/1.1 200", 9).0, Err(Failure::Closed));
    }

    #[test]
    fn cookies_location_and_retry_after_are_found() {
        let head = b"HTTP/1.1 302 Found\r\nLocation: /x?y\r\nSet-Cookie: a=1; Path=/\r\nset-cookie: b=2\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
        let answer = read(Take::Text, head, 500).0.unwrap().unwrap();
        assert_eq!(answer.location.as_deref(), Some("/x?y"));
        assert_eq!(answer.cookies.as_deref(), Some("a=1; b=2"));
        assert_eq!(answer.retry_after_s, Some(7));
    }

    #[test]
    fn references_resolve_as_in_playlists() {
        let base = Url::parse("http://h:8080/live/t/s/index.m3u8?q=1").unwrap();
        let path = |reference: &str| base.join(reference).unwrap().path;
        assert_eq!(path("video/index.m3u8"), "/live/t/s/video/index.m3u8");
        assert_eq!(path("../audio/index.m3u8?a=b/c"), "/live/t/audio/index.m3u8?a=b/c");
        assert_eq!(path("/x/./y"), "/x/y");
        assert_eq!(path("../../../../z"), "/z");
        assert_eq!(path("?r"), "/live/t/s/index.m3u8?r");
        assert_eq!(base.join("http://other/p").unwrap(), Url::parse("http://other/p").unwrap());
        assert_eq!(base.directory(), "/live/t/s/");
    }

    #[test]
    fn unusable_urls_are_explained() {
        for bad in ["https://h/x", "ftp://h", "h:80/x", "http://", "http:///x", "http://u@h/x", "http://h/a b"] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Url::parse("http://h").unwrap().path, "/");
    }
}
