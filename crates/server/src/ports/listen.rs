//! The doors to the network.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Connections at most that wait at a door until they are taken up: a second of everybody coming at once. The usual 128 are
/// full when the processor is busy for an eighth of that, and whoever is turned away tries again after a second or three.
/// The kernel has a bound of its own (`net.core.somaxconn`, 4096 unless somebody changed it).
const WAITING_MAX: u32 = 4_096;

/// Opens `address` for connections.
///
/// # Errors
///
/// What the system says: it is in use, not this machine's, or reserved.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Otherwise a restart would have to wait until the last connection of the one before is forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING_MAX)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::time::Duration;

    use futures_util::future::join_all;
    use tokio::net::TcpStream;

    use super::*;

    /// A second is what the kernel takes until it tries a connection again that found the door full.
    #[tokio::test]
    async fn five_hundred_who_come_while_nobody_opens_are_all_let_to_wait() {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let arrivals = join_all((0..500).map(|_| TcpStream::connect(address)));
        let arrived = tokio::time::timeout(Duration::from_secs(10), arrivals).await.expect("somebody is turned away");
        for stream in &arrived {
            assert!(stream.is_ok(), "{stream:?}");
        }
    }

    #[tokio::test]
    async fn a_door_that_is_open_is_not_opened_twice() {
        let mut families = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
        // Some machines have no IPv6.
        let six = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
        families.extend(std::net::TcpListener::bind(six).is_ok().then_some(six));
        for address in families {
            let first = listen(address).unwrap();
            let second = listen(first.local_addr().unwrap());
            assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
    }
}
