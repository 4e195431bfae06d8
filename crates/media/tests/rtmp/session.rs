//! The session: opening, answers, refusals, media, deadlines, bounds, and how little the cutting of the bytes matters.

use std::time::Duration;

use proptest::prelude::*;
use stagedoor_media::container::flv::TagKind;
use stagedoor_media::rtmp::amf0::{Value, Writer};
use stagedoor_media::rtmp::{Event, Limits, Phase, RANDOM_BYTES, Rejection, SessionError, chunk};

use crate::client::*;

// ---- the opening

#[test]
fn the_handshake_answers_with_random_bytes_and_the_echo_of_the_client() {
    let mut server = Server::new();
    let bytes = handshake();
    server.feed(&bytes[..1 + RANDOM_BYTES]).unwrap();
    assert_eq!(server.sent.len(), 1 + 2 * RANDOM_BYTES);
    assert_eq!(server.sent[0], 3);
    assert_eq!(server.sent[1..9], [0; 8]);
    assert_eq!(server.sent[9..1 + RANDOM_BYTES], [0xaa; RANDOM_BYTES - 8]);
    assert_eq!(server.sent[1 + RANDOM_BYTES..], bytes[1..=RANDOM_BYTES]);
}

#[test]
fn what_is_not_rtmp_is_refused_at_the_first_byte() {
    for first in [b'G', 0x16, 6, 0] {
        assert_eq!(Server::new().feed(&[first]), Err(SessionError::NotRtmp { found: first }));
    }
}

#[test]
fn nothing_is_sent_to_what_is_not_rtmp() {
    let mut server = Server::new();
    let _ = server.feed(b"GET / HTTP/1.1\r\nHost: stage\r\n\r\n");
    assert!(server.sent.is_empty() && server.events.is_empty());
}

#[test]
fn connect_is_answered_with_window_bandwidth_chunk_size_and_success() {
    let mut server = Server::new();
    server.feed(&[handshake(), connect("live", "rtmp://host/live")].concat()).unwrap();
    let kinds: Vec<u8> = server.messages().iter().map(|message| message.kind).collect();
    assert_eq!(kinds, [5, 6, 1, COMMAND]);
    let answer = &server.commands()[0];
    assert_eq!((answer[0].as_str(), answer[1].as_number()), (Some("_result"), Some(1.0)));
    assert_eq!(answer[3].member("code").unwrap().as_str(), Some("NetConnection.Connect.Success"));
    assert_eq!(answer[3].member("objectEncoding").unwrap().as_number(), Some(0.0));
}

#[test]
fn the_object_encoding_of_the_client_is_echoed() {
    let object = Writer::new().string("connect").number(1.0).object().name("app").string("live");
    let mut server = Server::new();
    server.feed(&[handshake(), command(0, object.name("objectEncoding").number(3.0).end())].concat()).unwrap();
    assert_eq!(server.commands()[0][3].member("objectEncoding").unwrap().as_number(), Some(3.0));
}

#[test]
fn enhanced_rtmp_is_answered_only_to_those_who_announce_it() {
    let plain = connect("live", "rtmp://host/live");
    let object = Writer::new().string("connect").number(1.0).object().name("app").string("live");
    let enhanced = command(0, object.name("fourCcList").strings(&["hvc1"]).end());
    for (connect, announced) in [(plain, false), (enhanced, true)] {
        let mut server = Server::new();
        server.feed(&[handshake(), connect].concat()).unwrap();
        let properties = &server.commands()[0][2];
        assert_eq!(properties.member("capsEx").is_some(), announced);
        assert_eq!(properties.member("fourCcList").is_some(), announced);
        assert_eq!(properties.member("videoFourCcInfoMap").is_some(), announced);
    }
}

#[test]
fn an_encoder_gets_as_far_as_publish_and_is_asked_about_nothing_else() {
    let mut server = Server::new();
    server.feed(&opening("live", "KEY?angle=2")).unwrap();
    assert_eq!(server.session.phase(), Phase::Decision);
    assert_eq!(server.events.len(), 1);
    let request = server.request();
    assert_eq!((request.app.as_str(), request.name.as_str(), request.key()), ("live", "KEY", Some("KEY")));
    assert_eq!(request.query, [("angle".to_owned(), "2".to_owned())]);
    assert_eq!((request.tc_url.as_str(), request.encoder.as_str()), ("rtmp://host/live", "FMLE/3.0"));
}

#[test]
fn create_stream_numbers_streams_from_one() {
    let mut server = Server::new();
    server.feed(&[handshake(), connect("live", ""), create_stream(4.0), create_stream(5.0)].concat()).unwrap();
    let numbers: Vec<_> = server.commands()[1..].iter().map(|answer| answer[3].as_number()).collect();
    assert_eq!(numbers, [Some(1.0), Some(2.0)]);
}

#[test]
fn streams_of_one_connection_are_counted() {
    let mut server = Server::new();
    server.feed(&[handshake(), connect("live", "")].concat()).unwrap();
    server.feed(&create_stream(4.0).repeat(9)).unwrap();
    let last = server.commands().pop().unwrap();
    assert_eq!(last[0].as_str(), Some("_error"));
}

#[test]
fn the_calls_of_old_encoders_are_tolerated() {
    let mut server = Server::new();
    server.feed(&[handshake(), connect("live", "")].concat()).unwrap();
    for (name, transaction) in [("releaseStream", 2.0), ("FCPublish", 3.0), ("getStreamLength", 4.0), ("_checkbw", 5.0)]
    {
        server.feed(&call(name, transaction, "KEY")).unwrap();
        let answer = server.commands().pop().unwrap();
        assert_eq!((answer[0].as_str(), answer[1].as_number()), (Some("_result"), Some(transaction)), "{name}");
    }
}

#[test]
fn a_call_that_wants_no_answer_or_is_unknown_gets_none() {
    let mut server = Server::new();
    server.feed(&[handshake(), connect("live", "")].concat()).unwrap();
    let before = server.sent.len();
    server.feed(&[call("releaseStream", 0.0, "KEY"), call("somethingElse", 9.0, "x")].concat()).unwrap();
    assert_eq!(server.sent.len(), before);
}

#[test]
fn commands_in_the_amf3_wrapper_are_understood() {
    let mut payload = vec![0];
    payload.extend(Writer::new().string("createStream").number(4.0).null().into_bytes());
    let mut server = Server::new();
    server.feed(&[handshake(), connect("live", ""), chunked(3, &message(17, 0, 0, payload))].concat()).unwrap();
    assert_eq!(server.commands().pop().unwrap()[3].as_number(), Some(1.0));
}

// ---- permission

#[test]
fn an_accepted_publisher_hears_stream_begin_on_fc_publish_and_publish_start() {
    let mut server = Server::new();
    server.feed(&opening("live", "KEY")).unwrap();
    let before = server.messages().len();
    server.session.accept_publish(at(0));
    server.drain();
    let messages = server.messages().split_off(before);
    assert_eq!((messages[0].kind, &messages[0].payload[..]), (4, &[0, 0, 0, 0, 0, 1][..]));
    assert_eq!(values(&messages[1].payload)[0].as_str(), Some("onFCPublish"));
    let start = values(&messages[2].payload);
    assert_eq!((messages[2].stream, start[0].as_str()), (1, Some("onStatus")));
    assert_eq!(start[2], Value::Null);
    assert_eq!(start[3].member("code").unwrap().as_str(), Some("NetStream.Publish.Start"));
    assert_eq!(server.session.phase(), Phase::Publishing);
}

#[test]
fn an_encoder_that_did_not_announce_itself_hears_no_on_fc_publish() {
    let mut server = Server::new();
    server.feed(&[handshake(), connect("live", ""), create_stream(2.0), publish(1, "KEY")].concat()).unwrap();
    server.session.accept_publish(at(0));
    server.drain();
    assert!(server.commands().iter().all(|command| command[0].as_str() != Some("onFCPublish")));
}

#[test]
fn media_sent_before_the_decision_arrives_after_it() {
    let mut server = Server::new();
    let early = chunked(6, &message(VIDEO, 1, 40, vec![0x17; 300]));
    server.feed(&[opening("live", "KEY"), early[..200].to_vec()].concat()).unwrap();
    server.feed(&early[200..]).unwrap();
    assert!(server.tags().is_empty());
    assert_eq!(server.session.buffered_bytes(), early.len());
    server.session.accept_publish(at(1));
    server.drain();
    assert_eq!(server.tags().len(), 1);
    assert_eq!(server.tags()[0].payload, vec![0x17; 300]);
}

#[test]
fn an_error_in_early_bytes_is_reported_by_the_next_call() {
    let mut server = Server::new();
    server.feed(&[opening("live", "KEY"), vec![0xc7]].concat()).unwrap();
    server.session.accept_publish(at(1));
    let error = SessionError::Chunk(chunk::Error::NoHistory(7));
    assert_eq!(server.session.next_wake(), Some(at(1)));
    assert_eq!(server.session.wake(at(1)), Err(error));
    assert_eq!(server.feed(&[]), Err(error));
}

#[test]
fn accepting_or_refusing_without_a_request_does_nothing() {
    let mut server = Server::new();
    server.session.accept_publish(at(0));
    server.session.reject_publish(Rejection::Denied, "no");
    server.session.stop(Rejection::Failed, "no");
    server.drain();
    assert_eq!((server.session.phase(), server.sent.len(), server.closed), (Phase::Handshake, 0, false));
}

// ---- refusal

#[test]
fn a_refused_publisher_is_told_why_and_then_closed() {
    for (rejection, code) in [
        (Rejection::Denied, "NetStream.Publish.Denied"),
        (Rejection::Unsupported, "NetStream.Publish.Rejected"),
        (Rejection::Failed, "NetStream.Failed"),
    ] {
        let mut server = Server::new();
        server.feed(&opening("live", "KEY")).unwrap();
        server.session.reject_publish(rejection, "This stream key has expired.");
        server.drain();
        let status = ("error".to_owned(), code.to_owned(), "This stream key has expired.".to_owned());
        assert_eq!(server.statuses(), [status]);
        assert!(server.closed);
    }
}

#[test]
fn a_bad_name_is_said_twice_because_obs_does_not_hear_it_once() {
    let mut server = Server::new();
    server.feed(&opening("live", "KEY")).unwrap();
    server.session.reject_publish(Rejection::BadName, "Someone is live with this key.");
    server.drain();
    assert_eq!(server.codes(), ["NetStream.Publish.BadName", "NetStream.Publish.Rejected"]);
    assert!(
        server.statuses().iter().all(|(level, _, text)| level == "error" && text == "Someone is live with this key.")
    );
}

#[test]
fn a_long_description_is_cut_at_a_character() {
    let mut server = Server::new();
    server.feed(&opening("live", "KEY")).unwrap();
    server.session.reject_publish(Rejection::Denied, &"é".repeat(300));
    server.drain();
    assert_eq!(server.statuses()[0].2, "é".repeat(127));
}

#[test]
fn a_refused_connection_ignores_what_still_arrives() {
    let mut server = Server::new();
    server.feed(&opening("live", "KEY")).unwrap();
    server.session.reject_publish(Rejection::Denied, "no");
    server.drain();
    let sent = server.sent.len();
    server.feed(&[0xff; 5_000]).unwrap();
    assert_eq!((server.sent.len(), server.session.next_wake()), (sent, None));
}

#[test]
fn a_login_in_the_style_of_adobe_is_refused_at_connect_with_words() {
    for connect in [
        connect("live?authmod=adobe&user=me", "rtmp://host/live"),
        connect("live", "rtmp://host/live?authmod=llnw&user=me"),
    ] {
        let mut server = Server::new();
        server.feed(&[handshake(), connect].concat()).unwrap();
        let answer = server.commands().pop().unwrap();
        assert_eq!((answer[0].as_str(), &answer[2]), (Some("_error"), &Value::Null));
        assert_eq!(answer[3].member("code").unwrap().as_str(), Some("NetConnection.Connect.Rejected"));
        let description = answer[3].member("description").unwrap().as_str().unwrap();
        assert!(description.contains("stream key is enough"));
        // librtmp would take these for the next step of a login.
        assert!(!description.contains("code=403 need auth") && !description.contains("?reason="));
        assert!(server.closed);
    }
}

#[test]
fn a_player_is_told_where_to_watch() {
    let play = command(1, Writer::new().string("play").number(3.0).null().string("KEY"));
    let mut server = Server::new();
    server.feed(&[handshake(), connect("live", ""), create_stream(2.0), play].concat()).unwrap();
    assert_eq!(server.codes(), ["NetStream.Play.Failed"]);
    assert!(server.statuses()[0].2.contains("viewer link"));
    assert!(server.closed);
}

#[test]
fn a_second_publish_on_one_connection_is_refused_and_the_first_goes_on() {
    let mut server = Server::on_air();
    server.feed(&[create_stream(7.0), publish(2, "OTHER")].concat()).unwrap();
    assert_eq!(server.codes().last().unwrap(), "NetStream.Publish.BadName");
    server.feed(&chunked(6, &message(VIDEO, 2, 0, &b"other"[..]))).unwrap();
    server.feed(&chunked(6, &message(VIDEO, 1, 0, &b"mine"[..]))).unwrap();
    assert_eq!(server.tags().len(), 1);
    assert_eq!(server.tags()[0].payload, &b"mine"[..]);
}

#[test]
fn a_command_before_connect_is_an_error() {
    for bytes in [create_stream(1.0), publish(1, "KEY")] {
        let result = Server::new().feed(&[handshake(), bytes].concat());
        assert_eq!(result, Err(SessionError::Unexpected("command before connect")));
    }
}

#[test]
fn a_second_connect_is_an_error() {
    let result = Server::new().feed(&[handshake(), connect("live", ""), connect("live", "")].concat());
    assert_eq!(result, Err(SessionError::Unexpected("second connect")));
}

// ---- on air

#[test]
fn media_becomes_tags_with_its_own_time() {
    let mut server = Server::on_air();
    server.feed(&chunked(6, &message(VIDEO, 1, 1_000, vec![0x17, 1]))).unwrap();
    server.feed(&chunked(4, &message(AUDIO, 1, 1_003, vec![0xaf, 1]))).unwrap();
    let tags = server.tags();
    assert_eq!((tags[0].kind, tags[0].timestamp_ms, &tags[0].payload[..]), (TagKind::Video, 1_000, &[0x17, 1][..]));
    assert_eq!((tags[1].kind, tags[1].timestamp_ms), (TagKind::Audio, 1_003));
}

#[test]
fn an_encoder_that_numbers_its_stream_otherwise_is_let_through() {
    let mut server = Server::on_air();
    server.feed(&chunked(6, &message(VIDEO, 0, 0, vec![0x17]))).unwrap();
    server.feed(&chunked(6, &message(VIDEO, 77, 0, vec![0x17]))).unwrap();
    assert_eq!(server.tags().len(), 2);
}

#[test]
fn metadata_loses_the_call_around_it() {
    let data = Writer::new().string("@setDataFrame").string("onMetaData").object().end().into_bytes();
    let inner = Writer::new().string("onMetaData").object().end().into_bytes();
    let mut wrapped = vec![0];
    wrapped.extend(&data);
    let mut server = Server::on_air();
    server.feed(&chunked(4, &message(DATA, 1, 0, data))).unwrap();
    server.feed(&chunked(4, &message(15, 1, 0, wrapped))).unwrap();
    server.feed(&chunked(4, &message(DATA, 1, 0, inner.clone()))).unwrap();
    assert_eq!(server.tags().len(), 3);
    assert!(server.tags().iter().all(|tag| tag.kind == TagKind::Script && tag.payload == inner));
}

#[test]
fn empty_media_messages_are_silence_and_not_tags() {
    let mut server = Server::on_air();
    server.feed(&chunked(4, &message(AUDIO, 1, 0, vec![]))).unwrap();
    assert!(server.tags().is_empty());
}

#[test]
fn an_aggregate_message_is_taken_apart_and_its_times_moved() {
    let mut payload = Vec::new();
    for (kind, time, body) in [(VIDEO, 5_000_u32, &b"one"[..]), (AUDIO, 5_010, b"two"), (99, 5_020, b"no")] {
        payload.extend([kind, 0, 0, body.len() as u8]);
        payload.extend(&time.to_be_bytes()[1..]);
        payload.extend([time.to_be_bytes()[0], 0, 0, 0]);
        payload.extend(body);
        payload.extend([0, 0, 0, 11 + body.len() as u8]);
    }
    payload.extend([VIDEO, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1]); // a length that lies
    let mut server = Server::on_air();
    server.feed(&chunked(6, &message(22, 1, 100, payload))).unwrap();
    let tags = server.tags();
    assert_eq!(tags.len(), 2);
    assert_eq!((tags[0].timestamp_ms, &tags[0].payload[..]), (100, &b"one"[..]));
    assert_eq!((tags[1].timestamp_ms, tags[1].kind), (110, TagKind::Audio));
}

#[test]
fn a_ping_is_answered() {
    let mut server = Server::on_air();
    server.feed(&chunked(2, &message(4, 0, 0, vec![0, 6, 1, 2, 3, 4]))).unwrap();
    let answer = server.messages().pop().unwrap();
    assert_eq!((answer.kind, &answer.payload[..]), (4, &[0, 7, 1, 2, 3, 4][..]));
}

#[test]
fn received_bytes_are_acknowledged_as_often_as_the_encoder_asks() {
    let mut server = Server::on_air();
    server.feed(&chunked(2, &message(5, 0, 0, 100_000_u32.to_be_bytes().to_vec()))).unwrap();
    for _ in 0..5 {
        server.feed(&chunked(6, &message(VIDEO, 1, 0, vec![0x17; 50_000]))).unwrap();
    }
    let acknowledged: Vec<u32> = server
        .messages()
        .iter()
        .filter(|message| message.kind == 3)
        .map(|message| u32::from_be_bytes(message.payload[..].try_into().unwrap()))
        .collect();
    assert_eq!(acknowledged.len(), 2);
    assert!(acknowledged[0] >= 100_000 && acknowledged[1] >= acknowledged[0] + 100_000);
}

#[test]
fn a_strange_command_on_air_does_not_end_the_broadcast() {
    let mut server = Server::on_air();
    server.feed(&chunked(3, &message(COMMAND, 1, 0, vec![0x11, 0xff]))).unwrap();
    server.feed(&chunked(3, &message(COMMAND, 1, 0, vec![0x05]))).unwrap();
    assert_eq!(server.session.phase(), Phase::Publishing);
}

#[test]
fn each_way_to_end_a_broadcast_ends_it_once() {
    let close = command(1, Writer::new().string("closeStream").number(0.0).null());
    for bytes in [
        [call("FCUnpublish", 6.0, "KEY"), delete_stream(1)].concat(),
        delete_stream(1),
        close,
        command(0, Writer::new().string("deleteStream").number(6.0).null()),
    ] {
        let mut server = Server::on_air();
        server.feed(&bytes).unwrap();
        assert_eq!(server.events, [Event::Unpublish]);
        assert_eq!(server.codes().last().unwrap(), "NetStream.Unpublish.Success");
        assert_eq!(server.session.phase(), Phase::Publish);
        assert!(!server.closed);
    }
}

#[test]
fn deleting_another_stream_does_not_end_the_broadcast() {
    let mut server = Server::on_air();
    server.feed(&delete_stream(2)).unwrap();
    assert_eq!((server.events.len(), server.session.phase()), (0, Phase::Publishing));
}

#[test]
fn an_encoder_may_publish_again_on_the_same_connection() {
    let mut server = Server::on_air();
    server.feed(&[delete_stream(1), create_stream(8.0), publish(2, "KEY2")].concat()).unwrap();
    assert_eq!(server.request().key(), Some("KEY2"));
    server.session.accept_publish(at(1));
    server.feed(&chunked(6, &message(VIDEO, 2, 0, vec![0x17]))).unwrap();
    assert_eq!(server.tags().len(), 1);
}

#[test]
fn a_stopped_publisher_is_told_why_and_then_closed() {
    let mut server = Server::on_air();
    server.session.stop(Rejection::Unsupported, "VP9 is not supported.");
    server.drain();
    assert_eq!(server.codes().last().unwrap(), "NetStream.Publish.Rejected");
    assert!(server.closed);
    server.feed(&chunked(6, &message(VIDEO, 1, 0, vec![0x17]))).unwrap();
    assert!(server.tags().is_empty());
}

// ---- deadlines

#[test]
fn a_connection_that_does_not_publish_within_ten_seconds_is_dropped_wherever_it_stopped() {
    let opening = opening("live", "KEY");
    let publish_at = opening.len() - 1;
    for (bytes, phase) in [
        (0, Phase::Handshake),
        (1, Phase::Handshake),
        (handshake().len(), Phase::Connect),
        (publish_at, Phase::Publish),
    ] {
        let mut server = Server::new();
        server.feed(&opening[..bytes]).unwrap();
        assert_eq!(server.session.next_wake(), Some(at(10)));
        assert_eq!(server.session.wake(at(10) - Duration::from_millis(1)), Ok(()));
        assert_eq!(server.session.wake(at(10)), Err(SessionError::TooSlow { phase, seconds: 10 }));
    }
}

#[test]
fn a_byte_now_and_then_does_not_buy_time() {
    let mut server = Server::new();
    for (second, byte) in handshake().chunks(1).take(9).enumerate() {
        server.feed_at(byte, at(second as u64 + 1)).unwrap();
    }
    assert!(server.session.wake(at(10)).is_err());
}

#[test]
fn the_decision_has_no_deadline_of_its_own_and_the_publisher_gets_its_full_time_after_it() {
    let mut server = Server::new();
    server.feed(&opening("live", "KEY")).unwrap();
    assert_eq!(server.session.next_wake(), None);
    assert_eq!(server.session.wake(at(60)), Ok(()));
    server.session.accept_publish(at(60));
    assert_eq!(server.session.next_wake(), Some(at(70)));
}

#[test]
fn a_publisher_that_falls_silent_is_dropped_after_ten_seconds() {
    let mut server = Server::on_air();
    server.feed_at(&chunked(6, &message(VIDEO, 1, 0, vec![0x17])), at(5)).unwrap();
    server.feed_at(&[], at(14)).unwrap();
    assert_eq!(server.session.wake(at(14)), Ok(()));
    assert_eq!(server.session.wake(at(15)), Err(SessionError::Idle { seconds: 10 }));
}

#[test]
fn an_encoder_that_ended_its_broadcast_has_ten_seconds_for_the_next() {
    let mut server = Server::on_air();
    server.feed_at(&delete_stream(1), at(100)).unwrap();
    assert_eq!(server.session.next_wake(), Some(at(110)));
    assert!(server.session.wake(at(110)).is_err());
}

// ---- bounds

#[test]
fn a_message_that_announces_too_much_is_refused_before_it_arrives() {
    let mut server = Server::new();
    let huge = [3, 0, 0, 0, 0xff, 0xff, 0xff, COMMAND, 0, 0, 0, 0];
    let result = server.feed(&[&handshake()[..], &huge].concat());
    let error = chunk::Error::MessageTooLong { bytes: 0xff_ffff, bytes_max: 256 * 1024 };
    assert_eq!(result, Err(SessionError::Chunk(error)));
}

#[test]
fn before_publishing_no_peer_can_make_us_hold_more_than_its_limit() {
    let limits = Limits::default();
    let mut server = Server::with(limits);
    server.feed(&handshake()).unwrap();
    // Chunk after chunk of messages that are never completed, on one chunk stream after the other.
    let mut result = Ok(());
    for id in (3..64).cycle().take(100_000) {
        let first = [id, 0, 0, 0, 3, 0xff, 0xff, VIDEO, 1, 0, 0, 0];
        let next = [0xc0 | id];
        let header: &[u8] = if server.session.buffered_bytes() < 61 * 128 { &first } else { &next };
        result = server.feed(&[header, &[0; 128]].concat());
        assert!(server.session.buffered_bytes() <= limits.before_publish_bytes_max);
        if result.is_err() {
            break;
        }
    }
    assert!(matches!(result, Err(SessionError::Chunk(chunk::Error::TooMuchUnfinished { .. }))));
}

#[test]
fn a_flood_while_the_decision_is_made_is_cut_off() {
    let mut server = Server::new();
    server.feed(&opening("live", "KEY")).unwrap();
    let mut result = Ok(());
    for _ in 0..1_000 {
        result = server.feed(&[0; 1_000]);
        assert!(server.session.buffered_bytes() <= 256 * 1024);
        if result.is_err() {
            break;
        }
    }
    assert_eq!(result, Err(SessionError::TooEarly { bytes_max: 256 * 1024 }));
}

#[test]
fn the_limit_on_chunk_streams_holds() {
    let mut server = Server::new();
    server.feed(&handshake()).unwrap();
    let mut result = Ok(());
    for id in 0..=255 {
        result = server.feed(&[0, id, 0, 0, 0, 0, 0, 0, 99, 0, 0, 0, 0]);
        if result.is_err() {
            assert_eq!(id, 64);
            break;
        }
    }
    assert_eq!(result, Err(SessionError::Chunk(chunk::Error::TooManyStreams { streams_max: 64 })));
}

#[test]
fn control_messages_that_are_too_short_are_errors_or_ignored_but_never_more() {
    for kind in [1, 2] {
        assert!(Server::on_air().feed(&chunked(2, &message(kind, 0, 0, vec![0, 0]))).is_err());
    }
    for kind in [3, 4, 5, 6] {
        Server::on_air().feed(&chunked(2, &message(kind, 0, 0, vec![0]))).unwrap();
    }
    let zero = chunked(2, &message(1, 0, 0, vec![0, 0, 0, 0]));
    assert_eq!(Server::on_air().feed(&zero), Err(SessionError::Chunk(chunk::Error::ChunkSize(0))));
}

#[test]
fn a_dead_session_stays_dead() {
    let mut server = Server::new();
    let error = server.feed(b"G").unwrap_err();
    assert_eq!(server.feed(&handshake()), Err(error));
    assert_eq!(server.session.wake(at(1)), Err(error));
}

// ---- the same bytes, cut differently

/// A broadcast with everything that is special about chunking: interleaving, a new chunk size inside a message,
/// extended time, acknowledgements, an aborted message, pings, and an orderly end.
fn broadcast() -> Vec<u8> {
    let video = chunked(6, &message(VIDEO, 1, 0x0123_4567, vec![0x17; 700]));
    let (first, rest) = video.split_at(16 + 128);
    let mut bytes = opening("live", "KEY");
    bytes.extend(chunked(2, &message(5, 0, 0, 65_536_u32.to_be_bytes().to_vec())));
    bytes.extend(first);
    bytes.extend(chunked(4, &message(AUDIO, 1, 10, vec![0xaf; 100])));
    bytes.extend(rest);
    bytes.extend(&chunked(7, &message(VIDEO, 1, 0, vec![0x27; 500]))[..12 + 128]);
    bytes.extend(chunked(2, &message(2, 0, 0, vec![0, 0, 0, 7])));
    bytes.extend(chunked(2, &message(4, 0, 0, vec![0, 6, 0, 0, 0, 9])));
    for time in 0..20 {
        bytes.extend(chunked(6, &message(VIDEO, 1, time * 40, vec![0x27; 5_000])));
        bytes.extend(chunked(4, &message(AUDIO, 1, time * 40, vec![0xaf; 90])));
    }
    bytes.extend(delete_stream(1));
    bytes
}

fn outcome(pieces: &[&[u8]]) -> (Vec<u8>, Vec<Event>) {
    let mut server = Server::new();
    for piece in pieces {
        server.feed(piece).unwrap();
        if server.session.phase() == Phase::Decision {
            server.session.accept_publish(at(0));
            server.drain();
        }
    }
    (server.sent, server.events)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_the_same_bytes_gives_the_same_events(
        cuts in prop::collection::btree_set(0..broadcast().len(), 0..200)
    ) {
        let bytes = broadcast();
        let mut pieces = Vec::new();
        let mut from = 0;
        for to in cuts.into_iter().chain([bytes.len()]) {
            pieces.push(&bytes[from..to]);
            from = to;
        }
        // The whole in two pieces, so that the decision falls at the same place.
        let opening = opening("live", "KEY").len();
        let whole = outcome(&[&bytes[..opening], &bytes[opening..]]);
        prop_assert_eq!(outcome(&pieces), whole);
    }

    #[test]
    fn garbage_after_the_opening_never_panics_and_stays_bounded(garbage in prop::collection::vec(any::<u8>(), 0..4_000)) {
        let mut server = Server::on_air();
        let _ = server.feed(&garbage);
        prop_assert!(server.session.buffered_bytes() <= garbage.len());
    }
}

#[test]
fn byte_by_byte_gives_the_same_events() {
    let bytes = broadcast();
    let opening = opening("live", "KEY").len();
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    let (sent, events) = outcome(&single);
    assert_eq!((sent, events.len()), (outcome(&[&bytes[..opening], &bytes[opening..]]).0, 44));
}
