use super::*;

const LIMITS: Limits = Limits { message_bytes_max: 1 << 20, streams_max: 64 };

fn message(kind: u8, timestamp_ms: u32, payload: &[u8]) -> Message {
    Message { kind, stream: 1, timestamp_ms, payload: Bytes::copy_from_slice(payload) }
}

fn written(chunk_stream: u8, message: &Message, chunk_size: usize) -> Vec<u8> {
    let mut out = BytesMut::new();
    write(&mut out, chunk_stream, message, chunk_size);
    out.to_vec()
}

fn read_all(reader: &mut Reader, mut bytes: &[u8]) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    while let Some(message) = reader.read(&mut bytes)? {
        messages.push(message);
    }
    Ok(messages)
}

fn read(bytes: &[u8]) -> Result<Vec<Message>, Error> {
    read_all(&mut Reader::new(LIMITS), bytes)
}

/// A header of type 1, 2 or 3 on chunk stream 4.
fn header(format: u8, delta: u32, length: usize, kind: u8) -> Vec<u8> {
    let mut bytes = vec![format << 6 | 4];
    if format < 3 {
        bytes.extend_from_slice(&delta.min(0xff_ffff).to_be_bytes()[1..]);
    }
    if format < 2 {
        bytes.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes()[1..]);
        bytes.push(kind);
    }
    if format < 3 && delta >= 0xff_ffff {
        bytes.extend_from_slice(&delta.to_be_bytes());
    }
    bytes
}

#[test]
fn a_message_longer_than_a_chunk_comes_back_whole() {
    let payload: Vec<u8> = (0..1_000_u32).map(|n| n as u8).collect();
    let sent = message(9, 40, &payload);
    assert_eq!(read(&written(4, &sent, 128)).unwrap(), [sent]);
}

#[test]
fn shorter_headers_inherit_what_they_leave_out() {
    let mut bytes = written(4, &message(9, 1_000, b"abc"), 128);
    bytes.extend(header(1, 40, 2, 9));
    bytes.extend(b"de");
    bytes.extend(header(2, 33, 0, 0));
    bytes.extend(b"fg");
    bytes.extend(header(3, 0, 0, 0));
    bytes.extend(b"hi");
    let messages = read(&bytes).unwrap();
    let times: Vec<u32> = messages.iter().map(|message| message.timestamp_ms).collect();
    assert_eq!(times, [1_000, 1_040, 1_073, 1_106]);
    assert_eq!(messages[3], message(9, 1_106, b"hi"));
}

#[test]
fn a_bare_header_after_an_absolute_time_adds_that_time_again() {
    let mut bytes = written(4, &message(8, 23, b"ab"), 128);
    bytes.extend(header(3, 0, 0, 0));
    bytes.extend(b"cd");
    assert_eq!(read(&bytes).unwrap()[1].timestamp_ms, 46);
}

#[test]
fn time_wraps_at_32_bits() {
    let mut bytes = written(4, &message(9, u32::MAX - 9, b"a"), 128);
    bytes.extend(header(1, 40, 1, 9));
    bytes.push(b'b');
    let messages = read(&bytes).unwrap();
    assert_eq!((messages[0].timestamp_ms, messages[1].timestamp_ms), (u32::MAX - 9, 30));
}

#[test]
fn extended_time_is_repeated_in_every_chunk_of_the_message() {
    let payload = vec![7; 300];
    let sent = message(9, 0x0100_0000, &payload);
    let bytes = written(4, &sent, 128);
    assert_eq!(bytes.len(), 12 + 4 + 300 + 2 * 5);
    assert_eq!(read(&bytes).unwrap(), [sent]);
}

#[test]
fn an_extended_difference_is_added_and_inherited() {
    let mut bytes = written(4, &message(9, 10, b"a"), 128);
    bytes.extend(header(1, 0x0100_0000, 1, 9));
    bytes.push(b'b');
    bytes.push(3 << 6 | 4);
    bytes.extend(0x0100_0000_u32.to_be_bytes());
    bytes.push(b'c');
    let times: Vec<u32> = read(&bytes).unwrap().iter().map(|message| message.timestamp_ms).collect();
    assert_eq!(times, [10, 0x0100_000a, 0x0200_000a]);
}

#[test]
fn messages_of_two_chunk_streams_may_be_interleaved() {
    let video = message(9, 40, &[1; 200]);
    let audio = message(8, 41, &[2; 200]);
    let (video_bytes, audio_bytes) = (written(6, &video, 128), written(4, &audio, 128));
    let (video_first, video_rest) = video_bytes.split_at(12 + 128);
    let (audio_first, audio_rest) = audio_bytes.split_at(12 + 128);
    let bytes = [video_first, audio_first, video_rest, audio_rest].concat();
    assert_eq!(read(&bytes).unwrap(), [video, audio]);
}

#[test]
fn a_change_of_chunk_size_holds_from_the_next_chunk_even_inside_a_message() {
    let sent = message(9, 0, &[1; 400]);
    let bytes = written(4, &sent, 128);
    let mut reader = Reader::new(LIMITS);
    assert_eq!(read_all(&mut reader, &bytes[..12 + 128]).unwrap(), []);
    reader.set_chunk_size(4_096).unwrap();
    assert_eq!(read_all(&mut reader, &[3 << 6 | 4]).unwrap(), []);
    assert_eq!(read_all(&mut reader, &[1; 272]).unwrap(), [sent]);
}

#[test]
fn an_aborted_message_is_forgotten_and_the_next_one_is_not() {
    let bytes = written(4, &message(9, 0, &[1; 400]), 128);
    let mut reader = Reader::new(LIMITS);
    read_all(&mut reader, &bytes[..12 + 128]).unwrap();
    assert_eq!(reader.unfinished_bytes(), 128);
    reader.abort(4);
    assert_eq!(reader.unfinished_bytes(), 0);
    let next = message(9, 5, b"next");
    assert_eq!(read_all(&mut reader, &written(4, &next, 128)).unwrap(), [next]);
}

#[test]
fn aborting_a_stream_that_does_not_exist_is_harmless() {
    Reader::new(LIMITS).abort(77);
}

#[test]
fn chunk_stream_ids_come_in_three_lengths() {
    let mut bytes = Vec::new();
    for basic in [vec![63], vec![0, 0], vec![0, 255], vec![1, 0, 1], vec![1, 255, 255]] {
        bytes.extend(basic);
        bytes.extend([0, 0, 0, 0, 0, 1, 9, 1, 0, 0, 0, 42]);
    }
    let mut reader = Reader::new(LIMITS);
    assert_eq!(read_all(&mut reader, &bytes).unwrap().len(), 5);
    let ids: Vec<u32> = reader.streams.iter().map(|stream| stream.id).collect();
    assert_eq!(ids, [63, 64, 319, 320, 65_599]);
}

#[test]
fn a_message_without_content_is_a_message() {
    let sent = message(9, 7, b"");
    assert_eq!(read(&written(4, &sent, 128)).unwrap(), [sent]);
}

#[test]
fn a_first_chunk_of_type_1_counts_from_zero() {
    let mut bytes = header(1, 40, 1, 4);
    bytes.push(b'a');
    assert_eq!(read(&bytes).unwrap()[0].timestamp_ms, 40);
}

#[test]
fn a_first_chunk_without_a_length_is_refused() {
    assert_eq!(read(&header(2, 0, 0, 0)), Err(Error::NoHistory(4)));
    assert_eq!(read(&header(3, 0, 0, 0)), Err(Error::NoHistory(4)));
}

#[test]
fn a_message_inside_a_message_is_refused() {
    let bytes = written(4, &message(9, 0, &[1; 400]), 128);
    let overlapping = [&bytes[..12 + 128], &bytes[..12]].concat();
    assert_eq!(read(&overlapping), Err(Error::Overlap(4)));
}

#[test]
fn a_length_beyond_the_limit_is_refused_at_the_header() {
    let bytes = [4, 0, 0, 0, 0xff, 0xff, 0xff, 9, 1, 0, 0, 0];
    assert_eq!(read(&bytes), Err(Error::MessageTooLong { bytes: 0xff_ffff, bytes_max: 1 << 20 }));
}

#[test]
fn a_length_that_lies_costs_only_what_arrives() {
    let mut bytes = vec![4, 0, 0, 0, 0x10, 0, 0, 9, 1, 0, 0, 0];
    bytes.extend([1; 10]);
    let mut reader = Reader::new(LIMITS);
    read_all(&mut reader, &bytes).unwrap();
    assert!(reader.streams[0].body.capacity() <= FIRST_RESERVE);
}

#[test]
fn unfinished_messages_share_one_limit() {
    let limits = Limits { message_bytes_max: 300, streams_max: 64 };
    let mut reader = Reader::new(limits);
    let mut result = Ok(Vec::new());
    for id in 4..10 {
        let bytes = written(id, &message(9, 0, &[1; 200]), 128);
        result = read_all(&mut reader, &bytes[..12 + 128]);
        if result.is_err() {
            break;
        }
    }
    assert_eq!(result, Err(Error::TooMuchUnfinished { bytes_max: 300 }));
}

#[test]
fn chunk_streams_are_counted() {
    let mut reader = Reader::new(Limits { message_bytes_max: 1_000, streams_max: 2 });
    for (id, good) in [(4, true), (5, true), (4, true), (6, false)] {
        assert_eq!(read_all(&mut reader, &written(id, &message(9, 0, b"a"), 128)).is_ok(), good);
    }
}

#[test]
fn impossible_chunk_sizes_are_refused() {
    let mut reader = Reader::new(LIMITS);
    assert_eq!(reader.set_chunk_size(0), Err(Error::ChunkSize(0)));
    assert_eq!(reader.set_chunk_size(0x8000_0000), Err(Error::ChunkSize(0x8000_0000)));
    assert_eq!(reader.set_chunk_size(0x7fff_ffff), Ok(()));
}

#[test]
fn a_stream_that_delivered_a_large_message_gets_room_for_the_next_at_once() {
    let large = message(9, 0, &[1; 100_000]);
    let mut reader = Reader::new(LIMITS);
    read_all(&mut reader, &written(4, &large, 128)).unwrap();
    read_all(&mut reader, &written(4, &large, 128)[..100]).unwrap();
    assert_eq!(reader.streams[0].body.capacity(), 100_000);
}
