//! Takes one RTMP publisher and writes what it sends to a file, byte for byte: this is how `fixtures/rtmp` was made.
//!
//! ```text
//! cargo run -p stagedoor-media --example rtmp_record -- 127.0.0.1:1935 capture.rtmp
//! cargo run -p stagedoor-media --example rtmp_record -- 127.0.0.1:1935 --refuse "This stream key has expired."
//! ```
//!
//! With `--refuse` nothing is written: it shows what an encoder makes of a refusal. It is also the smallest complete
//! shell around a session: read, feed, poll, write.
#![allow(clippy::disallowed_methods, reason = "an example is a shell: it has the socket, the file and the clock")]
#![allow(clippy::print_stdout, reason = "it is a command-line program")]

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use stagedoor_media::container::flv;
use stagedoor_media::rtmp::{Event, Limits, Output, RANDOM_BYTES, Rejection, Session};

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, rest @ ..] = arguments.as_slice() else { return Err(usage()) };
    let (file, refusal) = match rest {
        [flag, text] if flag == "--refuse" => (None, Some(text.as_str())),
        [file] => (Some(file), None),
        _ => return Err(usage()),
    };
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    let (socket, peer) = listener.accept()?;
    println!("{peer} connected");
    let received = serve(socket, refusal)?;
    if let Some(file) = file {
        std::fs::write(file, &received)?;
        println!("{} bytes written to {file}", received.len());
    }
    Ok(())
}

fn usage() -> Error {
    Error::new(ErrorKind::InvalidInput, "usage: rtmp_record ADDRESS (FILE | --refuse TEXT)")
}

/// Runs one connection to its end and gives back what it sent.
fn serve(mut socket: TcpStream, refusal: Option<&str>) -> Result<Vec<u8>, Error> {
    let start = Instant::now();
    let mut session = Session::new(Limits::default(), [0x5d; RANDOM_BYTES], Duration::ZERO);
    let mut demuxer = flv::Demuxer::new();
    let mut received = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut frames = [0_u64; 2];
    'connection: loop {
        let now = start.elapsed();
        let wait = session.next_wake().map(|at| at.saturating_sub(now).max(Duration::from_millis(1)));
        socket.set_read_timeout(wait)?;
        let fed = match socket.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                received.extend_from_slice(&buffer[..count]);
                session.feed(&buffer[..count], start.elapsed())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                session.wake(start.elapsed())
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error),
        };
        while let Some(output) = session.poll() {
            match output {
                Output::Send(bytes) => socket.write_all(&bytes)?,
                Output::Event(Event::Publish(request)) => {
                    println!("publish: app {:?}, name {:?}, encoder {:?}", request.app, request.name, request.encoder);
                    match refusal {
                        Some(text) => session.reject_publish(Rejection::BadName, text),
                        None => session.accept_publish(start.elapsed()),
                    }
                }
                Output::Event(Event::Tag(tag)) => match demuxer.feed(tag) {
                    Ok(()) => {}
                    Err(error) => println!("{error}"),
                },
                Output::Event(Event::Unpublish) => println!("unpublish"),
                Output::Close => {
                    socket.shutdown(Shutdown::Write)?;
                    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
                    while socket.read(&mut buffer).is_ok_and(|count| count > 0) {}
                    break 'connection;
                }
            }
            while let Some(output) = demuxer.poll() {
                match output {
                    flv::Output::Frame(frame) => {
                        let count = &mut frames[frame.track.kind() as usize];
                        if *count == 0 {
                            println!("{} {}", frame.track.kind().as_str(), frame.track.codec.codec_string());
                        }
                        *count += 1;
                    }
                    other => println!("{other:?}"),
                }
            }
        }
        if let Err(error) = fed {
            println!("dropped: {error}");
            break;
        }
    }
    println!("{} video frames, {} audio frames, {:?}", frames[0], frames[1], demuxer.counters());
    Ok(received)
}
