//! HTTP requests to addresses that people typed in: webhooks, lists, databases to download.
//!
//! Whoever names an address must not reach through us what they could not reach themselves: this machine, its
//! neighbours, the metadata of the cloud. So a name is resolved once, every address it has is checked, and the connection
//! goes to a checked address and nowhere else; a redirect is an answer like any other and is never followed. Operators
//! who want to reach a private network say so in `[outbound]`.
//!
//! Deliberately absent: proxies of the environment, which would resolve names themselves; pools, whose connections were
//! checked for somebody else.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect;
use stagedoor_domain::network::{Network, is_public};

use crate::config;

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(5);
/// Letters of an address at most.
const URL_BYTES_MAX: usize = 2_000;
/// Addresses of a name that are looked at: more is not a web server.
const ADDRESSES_MAX: usize = 32;
/// How this server introduces itself.
const USER_AGENT: &str = concat!("Stagedoor/", env!("CARGO_PKG_VERSION"));

/// Looks up the addresses of a name. The operating system's in production, a table in tests.
pub type Resolver = Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Sends requests to addresses that people typed in; cheap to clone.
#[derive(Clone)]
pub struct Fetch {
    guard: Arc<Guard>,
    client: Arc<OnceLock<reqwest::Client>>,
}

impl std::fmt::Debug for Fetch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetch").field("rules", &self.guard.settings).finish_non_exhaustive()
    }
}

struct Guard {
    settings: config::Outbound,
    resolver: Resolver,
}

/// Why an address is not one that we send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no absolute URL, or too long.
    #[error("this is not an address that can be reached: write it like https://example.org/path")]
    NoUrl,
    /// Neither http nor https.
    #[error("only http and https addresses can be used")]
    Scheme,
    /// It has a user name or a password in it.
    #[error("the address must not hold a user name or a password")]
    Credentials,
    /// The port is not in `outbound.ports`.
    #[error("this port is not allowed: the server's configuration names those that are, in outbound.ports")]
    Port,
    /// It leads to a private network, to this machine, or to nowhere.
    #[error(
        "the address leads to a private network or to this machine: the server's configuration must name that network \
         in outbound.private_networks"
    )]
    Private,
}

/// Why there is no answer. Says nothing about the address, so that it can be shown and logged.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address is not one that we send to.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No complete answer in time.
    #[error("there was no answer in time")]
    Timeout,
    /// Nobody listens there, or the name does not exist, or the certificate is not right.
    #[error("no connection could be made")]
    Connect(#[source] Box<dyn Error + Send + Sync>),
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
}

/// What is sent.
#[derive(Debug)]
pub struct Request<'a> {
    /// How.
    pub method: Method,
    /// Where to.
    pub url: &'a str,
    /// Beside `Host` and `User-Agent`.
    pub headers: HeaderMap,
    /// Empty for a GET.
    pub body: Bytes,
    /// For everything: looking up, connecting, sending, and the whole answer.
    pub timeout: Duration,
    /// Bytes of the answer's body that are read; the rest is left unread.
    pub answer_bytes_max: usize,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status, also of a redirect.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The beginning of the body, at most as much as was asked for.
    pub body: Bytes,
}

impl Fetch {
    /// As the operator configured it.
    #[must_use]
    pub fn new(settings: config::Outbound) -> Self {
        Self::with_resolver(settings, Arc::new(|name| Box::pin(look_up(name))))
    }

    /// With another way to look up names: for tests.
    #[must_use]
    pub fn with_resolver(settings: config::Outbound, resolver: Resolver) -> Self {
        Self { guard: Arc::new(Guard { settings, resolver }), client: Arc::default() }
    }

    /// Whether an address can be used, as far as that shows without looking up its name.
    ///
    /// # Errors
    ///
    /// [`Refused`], in words for whoever typed it.
    pub fn check(&self, url: &str) -> Result<(), Refused> {
        self.guard.check(url).map(|_| ())
    }

    /// Sends one request and reads the beginning of the answer.
    ///
    /// # Errors
    ///
    /// [`FetchError`].
    pub async fn send(&self, request: Request<'_>) -> Result<Answer, FetchError> {
        let url = self.guard.check(request.url)?;
        let client = self.client()?;
        let exchange = async {
            let sent = client.request(request.method, url).headers(request.headers).body(request.body);
            let mut response = sent.send().await.map_err(failure)?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let mut body = Vec::new();
            while body.len() < request.answer_bytes_max {
                let Some(piece) = response.chunk().await.map_err(failure)? else { break };
                body.extend_from_slice(&piece[..piece.len().min(request.answer_bytes_max - body.len())]);
            }
            Ok(Answer { status, headers, body: body.into() })
        };
        tokio::time::timeout(request.timeout, exchange).await.unwrap_or(Err(FetchError::Timeout))
    }

    /// Made when it is first needed: it reads the machine's certificates, which a server without webhooks can do without.
    fn client(&self) -> Result<&reqwest::Client, FetchError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = reqwest::Client::builder()
            .dns_resolver(Checked(self.guard.clone()))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT)
            .user_agent(USER_AGENT)
            .build()
            .map_err(|error| FetchError::Connect(error.into()))?;
        Ok(self.client.get_or_init(|| client))
    }
}

impl Guard {
    fn check(&self, text: &str) -> Result<reqwest::Url, Refused> {
        if text.len() > URL_BYTES_MAX {
            return Err(Refused::NoUrl);
        }
        let url = reqwest::Url::parse(text).map_err(|_| Refused::NoUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Credentials);
        }
        if !url.port_or_known_default().is_some_and(|port| self.settings.ports.contains(&port)) {
            return Err(Refused::Port);
        }
        // An address in numbers is never looked up, so it is checked here: the parser has read `0x7f.1` as what it is.
        let host = url.host_str().ok_or(Refused::NoUrl)?;
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match literal.parse::<IpAddr>() {
            Ok(address) if !self.may_reach(address) => Err(Refused::Private),
            _ => Ok(url),
        }
    }

    fn may_reach(&self, address: IpAddr) -> bool {
        is_public(address) || self.settings.private_networks.iter().any(|network| Network::contains(network, address))
    }

    /// The addresses of a name, all of them checked: one that is private spoils the others, which are there to hide it.
    async fn addresses(&self, name: String) -> Result<Vec<IpAddr>, Box<dyn Error + Send + Sync>> {
        let mut addresses = (self.resolver)(name).await?;
        addresses.truncate(ADDRESSES_MAX);
        if addresses.iter().all(|address| self.may_reach(*address)) {
            Ok(addresses)
        } else {
            Err(Refused::Private.into())
        }
    }
}

async fn look_up(name: String) -> std::io::Result<Vec<IpAddr>> {
    Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.map(|address| address.ip()).collect())
}

/// The only way in which the client below learns addresses.
struct Checked(Arc<Guard>);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, name) = (self.0.clone(), name.as_str().to_owned());
        Box::pin(async move {
            let addresses = guard.addresses(name).await?;
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

/// The URL stays out of it: it may hold the receiver's secret.
fn failure(error: reqwest::Error) -> FetchError {
    let error = error.without_url();
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<Refused>() {
            return FetchError::Refused(*refused);
        }
        cause = inner.source();
    }
    match () {
        () if error.is_timeout() => FetchError::Timeout,
        () if error.is_connect() => FetchError::Connect(error.into()),
        () => FetchError::Broken(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Somebody on this machine who counts who comes, and answers with `answer`.
    struct Canary {
        port: u16,
        connects: Arc<AtomicUsize>,
        heard: Arc<Mutex<Vec<String>>>,
        task: tokio::task::JoinHandle<()>,
    }

    impl Drop for Canary {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    impl Canary {
        async fn sing(answer: &'static str) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let (connects, heard) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<String>>>::default());
            let (counter, words) = (connects.clone(), heard.clone());
            let task = tokio::spawn(async move {
                loop {
                    let (mut socket, _) = listener.accept().await.unwrap();
                    counter.fetch_add(1, Ordering::SeqCst);
                    let mut request = vec![0; 4_096];
                    let read = socket.read(&mut request).await.unwrap_or(0);
                    words.lock().unwrap().push(String::from_utf8_lossy(&request[..read]).into_owned());
                    let _ = socket.write_all(answer.as_bytes()).await;
                    let _ = socket.shutdown().await;
                }
            });
            Self { port, connects, heard, task }
        }

        fn connects(&self) -> usize {
            self.connects.load(Ordering::SeqCst)
        }
    }

    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";

    fn settings(ports: &[u16], private: &[&str]) -> config::Outbound {
        config::Outbound {
            ports: ports.to_vec(),
            private_networks: private.iter().map(|network| network.parse().unwrap()).collect(),
        }
    }

    fn table(answers: Vec<Vec<&'static str>>) -> (Resolver, Arc<AtomicUsize>) {
        let asked = Arc::<AtomicUsize>::default();
        let counter = asked.clone();
        let resolver: Resolver = Arc::new(move |_name| {
            let turn = counter.fetch_add(1, Ordering::SeqCst);
            let addresses = answers[turn.min(answers.len() - 1)].iter().map(|text| text.parse().unwrap()).collect();
            Box::pin(async move { Ok(addresses) })
        });
        (resolver, asked)
    }

    fn get(url: &str) -> Request<'_> {
        Request {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: Duration::from_secs(3),
            answer_bytes_max: 100,
        }
    }

    /// Ways to write addresses that lead inside, `PORT` being the canary's.
    const LITERALS: &[&str] = &[
        "http://127.0.0.1:PORT/",
        "http://127.1:PORT/",
        "http://127.0.1:PORT/",
        "http://127.255.255.254:PORT/",
        "http://0x7f000001:PORT/",
        "http://0x7f.0.0.1:PORT/",
        "http://0x7f.1:PORT/",
        "http://0177.0.0.1:PORT/",
        "http://0177.1:PORT/",
        "http://017700000001:PORT/",
        "http://2130706433:PORT/",
        "http://127.0.0.1.:PORT/",
        "http://①②⑦.⓪.⓪.①:PORT/",
        "http://127。0。0。1:PORT/",
        "http://%31%32%37.0.0.1:PORT/",
        "http://0:PORT/",
        "http://0.0.0.0:PORT/",
        "http://[::]:PORT/",
        "http://[::1]:PORT/",
        "http://[0:0:0:0:0:0:0:1]:PORT/",
        "http://[::ffff:127.0.0.1]:PORT/",
        "http://[::ffff:7f00:1]:PORT/",
        "http://[::127.0.0.1]:PORT/",
        "http://[::ffff:10.0.0.1]:PORT/",
        "http://[64:ff9b::127.0.0.1]:PORT/",
        "http://[64:ff9b::a9fe:a9fe]:PORT/",
        "http://[64:ff9b:1::1]:PORT/",
        "http://[2002:7f00:1::]:PORT/",
        "http://[2002:a9fe:a9fe::]:PORT/",
        "http://[2001:0:7f00:1::]:PORT/",
        "http://[fd00:ec2::254]:PORT/",
        "http://[fc00::1]:PORT/",
        "http://[fe80::1]:PORT/",
        "http://[fe80::1%25lo]:PORT/",
        "http://[fe80::1%lo]:PORT/",
        "http://[fec0::1]:PORT/",
        "http://[ff02::1]:PORT/",
        "http://[100::1]:PORT/",
        "http://[2001:db8::1]:PORT/",
        "http://169.254.169.254:PORT/latest/meta-data/",
        "http://0xa9fea9fe:PORT/",
        "http://2852039166:PORT/",
        "http://169.254.43518:PORT/",
        "http://168.63.129.16:PORT/",
        "http://100.100.100.200:PORT/",
        "http://192.0.0.192:PORT/",
        "http://10.0.0.1:PORT/",
        "http://10.1:PORT/",
        "http://172.16.0.1:PORT/",
        "http://172.31.255.255:PORT/",
        "http://192.168.1.1:PORT/",
        "http://100.64.0.1:PORT/",
        "http://192.0.2.1:PORT/",
        "http://198.18.0.1:PORT/",
        "http://198.51.100.7:PORT/",
        "http://203.0.113.9:PORT/",
        "http://224.0.0.1:PORT/",
        "http://255.255.255.255:PORT/",
        "http://user@127.0.0.1:PORT/",
        "http://example.org:80@127.0.0.1:PORT/",
        "http://example.org\\@127.0.0.1:PORT/",
        "http://127.0.0.1:PORT#@example.org/",
        "https://127.0.0.1:PORT/",
        "//127.0.0.1:PORT/",
        "127.0.0.1:PORT",
        "ftp://127.0.0.1:PORT/",
        "gopher://127.0.0.1:PORT/_x",
        "file:///etc/passwd",
        "file://127.0.0.1/etc/passwd",
        "dict://127.0.0.1:PORT/",
        "unix:/var/run/docker.sock",
        "data:text/plain,x",
        "javascript:alert(1)",
        "http://",
        "http:///",
        "",
    ];

    /// Names, all of which lead inside one way or another.
    const NAMES: &[(&str, &str)] = &[
        ("localhost", "127.0.0.1"),
        ("localhost.", "127.0.0.1"),
        ("LOCALHOST", "::1"),
        ("x.localhost", "127.0.0.1"),
        ("127.0.0.1.nip.io", "127.0.0.1"),
        ("7f000001.nip.io", "127.0.0.1"),
        ("localtest.me", "127.0.0.1"),
        ("metadata.google.internal", "169.254.169.254"),
        ("instance-data", "169.254.169.254"),
        ("ip6-localhost", "::1"),
        ("mapped.example", "::ffff:127.0.0.1"),
        ("nat64.example", "64:ff9b::127.0.0.1"),
        ("sixtofour.example", "2002:7f00:1::"),
        ("ula.example", "fd00::1"),
        ("neighbour.example", "192.168.1.1"),
        ("carrier.example", "100.64.3.4"),
    ];

    #[tokio::test]
    async fn nothing_that_leads_inside_is_ever_connected_to() {
        let canary = Canary::sing(OK).await;
        let mut tried = 0;
        for literal in LITERALS {
            let url = literal.replace("PORT", &canary.port.to_string());
            // Even when the name is looked up, it leads to the canary.
            let (resolver, _) = table(vec![vec!["127.0.0.1"]]);
            let fetch = Fetch::with_resolver(settings(&[canary.port, 80, 443], &[]), resolver);
            let error = fetch.send(get(&url)).await.unwrap_err();
            assert!(matches!(error, FetchError::Refused(_)), "{url}: {error:?}");
            tried += 1;
        }
        for (name, address) in NAMES {
            let (resolver, asked) = table(vec![vec![address]]);
            let fetch = Fetch::with_resolver(settings(&[canary.port], &[]), resolver);
            let url = format!("http://{name}:{}/", canary.port);
            fetch.check(&url).unwrap();
            let error = fetch.send(get(&url)).await.unwrap_err();
            assert!(matches!(error, FetchError::Refused(Refused::Private)), "{name}: {error:?}");
            assert_eq!(asked.load(Ordering::SeqCst), 1);
            tried += 1;
        }
        assert!(tried >= 60, "{tried}");
        assert_eq!(canary.connects(), 0);
    }

    #[tokio::test]
    async fn one_private_address_spoils_the_others_and_a_second_look_is_never_taken() {
        let canary = Canary::sing(OK).await;
        let url = format!("http://rebind.example:{}/", canary.port);
        for answers in [vec!["8.8.8.8", "127.0.0.1"], vec!["127.0.0.1", "8.8.8.8"], vec!["2606:4700::1", "::1"]] {
            let (resolver, _) = table(vec![answers]);
            let fetch = Fetch::with_resolver(settings(&[canary.port], &[]), resolver);
            let error = fetch.send(get(&url)).await.unwrap_err();
            assert!(matches!(error, FetchError::Refused(Refused::Private)), "{error:?}");
        }
        // Good while it is checked, and this machine from then on. Only what was checked is connected to, so the request
        // goes to an address that is not ours to reach from here, and fails there.
        let (resolver, asked) = table(vec![vec!["240.0.0.1"], vec!["127.0.0.1"]]);
        let fetch = Fetch::with_resolver(settings(&[canary.port], &["240.0.0.0/4"]), resolver);
        let request = Request { timeout: Duration::from_millis(300), ..get(&url) };
        fetch.send(request).await.unwrap_err();
        assert_eq!(asked.load(Ordering::SeqCst), 1, "resolved once");
        let error = fetch.send(get(&url)).await.unwrap_err();
        assert!(matches!(error, FetchError::Refused(Refused::Private)), "{error:?}");
        assert_eq!(canary.connects(), 0);
    }

    #[tokio::test]
    async fn ports_of_other_services_are_refused() {
        let fetch = Fetch::new(config::Outbound::default());
        for port in [0, 21, 22, 23, 25, 53, 110, 2375, 3306, 5432, 5900, 6379, 9200, 11_211, 27_017] {
            assert_eq!(fetch.check(&format!("https://example.org:{port}/")), Err(Refused::Port), "{port}");
        }
        for url in ["https://example.org/", "http://example.org/", "https://example.org:8443/a?b=c"] {
            assert_eq!(fetch.check(url), Ok(()), "{url}");
        }
        let long = format!("https://example.org/{}", "a".repeat(3_000));
        assert_eq!(fetch.check(&long), Err(Refused::NoUrl));
        assert_eq!(fetch.check("https://me:secret@example.org/"), Err(Refused::Credentials));
    }

    #[tokio::test]
    async fn a_network_that_the_operator_named_is_reached_under_its_own_name() {
        let canary = Canary::sing(OK).await;
        let (resolver, _) = table(vec![vec!["127.0.0.1"]]);
        let fetch = Fetch::with_resolver(settings(&[canary.port], &["127.0.0.0/8"]), resolver);
        let url = format!("http://hooks.internal:{}/a?b=c", canary.port);
        let answer = fetch.send(get(&url)).await.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (200, &b"hello"[..]));
        let heard = canary.heard.lock().unwrap().concat().to_lowercase();
        assert!(heard.starts_with("get /a?b=c http/1.1"), "{heard}");
        assert!(heard.contains(&format!("host: hooks.internal:{}", canary.port)), "{heard}");
        assert!(heard.contains("user-agent: stagedoor/"), "{heard}");
        assert_eq!(canary.connects(), 1);
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_is_not_followed() {
        let canary = Canary::sing(OK).await;
        let elsewhere: &'static str = Box::leak(
            format!("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{}/\r\ncontent-length: 0\r\n\r\n", canary.port)
                .into_boxed_str(),
        );
        let mover = Canary::sing(elsewhere).await;
        let fetch = Fetch::new(settings(&[mover.port, canary.port], &["127.0.0.0/8"]));
        let answer = fetch.send(get(&format!("http://127.0.0.1:{}/", mover.port))).await.unwrap();
        assert_eq!(answer.status, 302);
        assert_eq!((mover.connects(), canary.connects()), (1, 0));
    }

    #[tokio::test]
    async fn an_answer_without_end_is_read_to_the_bound_and_a_silent_one_to_the_limit() {
        let long: &'static str = Box::leak(
            format!("HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n{}", "x".repeat(200_000)).into_boxed_str(),
        );
        let canary = Canary::sing(long).await;
        let fetch = Fetch::new(settings(&[canary.port], &["127.0.0.0/8"]));
        let answer = fetch.send(get(&format!("http://127.0.0.1:{}/", canary.port))).await.unwrap();
        assert_eq!(answer.body.len(), 100);
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        let fetch = Fetch::new(settings(&[port], &["127.0.0.0/8"]));
        let url = format!("http://127.0.0.1:{port}/secret");
        let request = Request { timeout: Duration::from_millis(100), ..get(&url) };
        assert!(matches!(fetch.send(request).await, Err(FetchError::Timeout)));
        drop(silent);
        let error = fetch.send(get(&url)).await.unwrap_err();
        assert!(matches!(error, FetchError::Connect(_)), "{error:?}");
        assert!(!format!("{error:?}").contains("secret"), "the address stays out of it: {error:?}");
    }
}
