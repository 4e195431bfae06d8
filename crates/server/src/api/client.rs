//! Where a request comes from, and how its sender reaches us.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::HeaderMap;
use http::header::HOST;
use http::request::Parts;

use super::problem::Problem;
use crate::config::{Config, Network};
use crate::ports::tls::Encrypted;

/// Entries of `X-Forwarded-For` that are read; nobody has more proxies.
const HOPS_MAX: usize = 16;
/// A name is at most 253 letters, and a port five.
const HOST_BYTES_MAX: usize = 260;

/// The address that limits count by: the peer, or what trusted proxies say stands behind them.
///
/// `None` only when the server was put together without addresses.
pub(super) fn address(parts: &Parts, config: &Config) -> Option<IpAddr> {
    let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(behind_proxies(peer.ip(), &parts.headers, &config.http.trusted_proxies))
}

fn trusted(address: IpAddr, proxies: &[Network]) -> bool {
    proxies.iter().any(|network| network.contains(address))
}

/// The nearest address that is not a trusted proxy's. Headers of an untrusted peer are not even read.
fn behind_proxies(peer: IpAddr, headers: &HeaderMap, proxies: &[Network]) -> IpAddr {
    let mut nearest = peer.to_canonical();
    let values: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    let hops = values.iter().rev().flat_map(|value| value.rsplit(',')).take(HOPS_MAX);
    for hop in hops {
        if !trusted(nearest, proxies) {
            break;
        }
        let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
        nearest = address.to_canonical();
    }
    nearest
}

/// The beginning of absolute links: `https://stage.example.org`, without a slash at the end.
///
/// # Errors
///
/// A problem for a `Host` that cannot be one: it would end up in links.
pub(super) fn base_url(parts: &Parts, config: &Config) -> Result<String, Problem> {
    if let Some(url) = &config.http.public_url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let host = host(parts).ok_or_else(bad_host)?;
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let forwarded = peer
        .filter(|peer| trusted(*peer, &config.http.trusted_proxies))
        .and_then(|_| parts.headers.get("x-forwarded-proto"))
        .and_then(|value| value.to_str().ok());
    let secure = encrypted(parts) || forwarded == Some("https");
    let scheme = if secure { "https" } else { "http" };
    Ok(format!("{scheme}://{host}"))
}

/// Whether the request came through our own TLS.
pub(super) fn encrypted(parts: &Parts) -> bool {
    parts.extensions.get::<Encrypted>().is_some()
}

/// Where encoders connect: `rtmp://host:1935`, or `rtmps://host:1936` for the encrypted port.
///
/// # Errors
///
/// As [`base_url`].
pub(super) fn rtmp_url(parts: &Parts, config: &Config, port: RtmpPort) -> Result<String, Problem> {
    let base = match (&config.rtmp.public_url, port) {
        (Some(url), RtmpPort::Plain(_)) => return Ok(url.trim_end_matches('/').to_owned()),
        (Some(url), RtmpPort::Tls(_)) => url.trim_end_matches('/').to_owned(),
        (None, _) => base_url(parts, config)?,
    };
    let authority = base.split_once("://").map_or(base.as_str(), |(_, rest)| rest);
    let host = match authority.rsplit_once(':') {
        // The colons of an IPv6 address are inside brackets.
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    };
    Ok(match port {
        RtmpPort::Plain(port) => format!("rtmp://{host}:{port}"),
        RtmpPort::Tls(port) => format!("rtmps://{host}:{port}"),
    })
}

/// A port for encoders.
#[derive(Clone, Copy, Debug)]
pub(super) enum RtmpPort {
    /// RTMP.
    Plain(u16),
    /// RTMP inside TLS.
    Tls(u16),
}

fn bad_host() -> Problem {
    Problem::new(http::StatusCode::BAD_REQUEST, "bad_host", "The Host header is missing or malformed.")
}

/// Who the request says we are, if that can be a host.
pub(super) fn host(parts: &Parts) -> Option<&str> {
    let host = match parts.headers.get(HOST) {
        Some(value) => value.to_str().ok()?,
        None => parts.uri.authority()?.as_str(),
    };
    let fits = !host.is_empty()
        && host.len() <= HOST_BYTES_MAX
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
    fits.then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn seen(peer: &str, forwarded: &[&str], proxies: &[&str]) -> IpAddr {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let proxies: Vec<Network> = proxies.iter().map(|text| text.parse().unwrap()).collect();
        behind_proxies(ip(peer), &headers, &proxies)
    }

    #[test]
    fn a_header_from_an_untrusted_peer_is_ignored() {
        assert_eq!(seen("203.0.113.9", &["10.0.0.1"], &[]), ip("203.0.113.9"));
        assert_eq!(seen("203.0.113.9", &["10.0.0.1"], &["10.0.0.0/8"]), ip("203.0.113.9"));
    }

    #[test]
    fn trusted_proxies_are_walked_from_the_nearest() {
        let proxies = ["10.0.0.0/8"];
        assert_eq!(seen("10.0.0.1", &["203.0.113.9"], &proxies), ip("203.0.113.9"));
        assert_eq!(seen("10.0.0.1", &["1.1.1.1, 203.0.113.9, 10.0.0.2"], &proxies), ip("203.0.113.9"));
        assert_eq!(seen("10.0.0.1", &["1.1.1.1", "203.0.113.9"], &proxies), ip("203.0.113.9"));
        assert_eq!(seen("10.0.0.1", &["nonsense"], &proxies), ip("10.0.0.1"));
        assert_eq!(seen("::ffff:10.0.0.1", &["203.0.113.9"], &proxies), ip("203.0.113.9"));
        assert_eq!(seen("10.0.0.1", &[], &proxies), ip("10.0.0.1"));
    }
}
