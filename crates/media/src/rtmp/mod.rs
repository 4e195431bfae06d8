//! The server side of an RTMP session, without sockets.
