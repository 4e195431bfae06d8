//! AMF0: any bytes are read to the end or refused, and never more is read than there is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stagedoor_media::rtmp::amf0::Reader;

fuzz_target!(|data: &[u8]| {
    let mut reader = Reader::new(data);
    let mut before = 0;
    while let Ok(Some(_)) = reader.value() {
        assert!(reader.position() > before && reader.position() <= data.len());
        before = reader.position();
    }
});
