//! AMF0: the small object notation in which RTMP commands and stream metadata are written.
//!
//! Reading is bounded in depth and in number of values, because both are chosen by the peer. Only what encoders send is
//! understood; a value that needs AMF3 is an error, which callers treat as "this message is not for us".
//!
//! # Source
//!
//! Adobe, *Action Message Format – AMF 0* (2007), section 2. Deviations: an object or array that ends with the message
//! instead of its end marker is accepted (some encoders write metadata this way), text that is not UTF-8 is repaired
//! with U+FFFD, and references (2.9) read as [`Value::Undefined`].

use thiserror::Error;

/// Objects inside objects, at most. Encoders use two levels; Enhanced RTMP metadata uses three.
const DEPTH_MAX: u8 = 8;

/// Values in one message, at most. The longest metadata seen from an encoder has about forty.
const VALUES_MAX: u32 = 2_048;

/// One decoded value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A double.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// Short or long text, or an XML document.
    String(String),
    /// An object, a typed object (its class name is dropped) or an ECMA array: names and values in order of arrival.
    Object(Vec<(String, Value)>),
    /// A strict array.
    Array(Vec<Value>),
    /// Milliseconds since 1970, UTC.
    Date(f64),
    /// Null.
    Null,
    /// Undefined, unsupported, or a reference.
    Undefined,
}

impl Value {
    /// The text, if this is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is a number.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The first member called `name`, if this is an object that has one.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// Why bytes are not AMF0 that we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// The message ends inside a value.
    #[error("an AMF0 value is cut short")]
    Truncated,
    /// A type marker we do not know, or AMF3 (0x11).
    #[error("AMF0 type {0:#04x} is not supported")]
    Marker(u8),
    /// Objects nested deeper than 8.
    #[error("AMF0 objects are nested too deep")]
    Depth,
    /// More than 2,048 values in a message.
    #[error("an AMF0 message has too many values")]
    Count,
}

/// Reads values one after the other.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    values_left: u32,
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, values_left: VALUES_MAX }
    }

    /// How many bytes have been read.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// The next value, or `None` at the end of the bytes.
    ///
    /// # Errors
    ///
    /// [`Error`] when what follows is not a complete value within the bounds of this module. The reader is then of no
    /// further use.
    pub fn value(&mut self) -> Result<Option<Value>, Error> {
        if self.position == self.bytes.len() { Ok(None) } else { self.nested(0).map(Some) }
    }

    fn nested(&mut self, depth: u8) -> Result<Value, Error> {
        if depth > DEPTH_MAX {
            return Err(Error::Depth);
        }
        self.values_left = self.values_left.checked_sub(1).ok_or(Error::Count)?;
        match self.byte()? {
            0x00 => Ok(Value::Number(self.number()?)),
            0x01 => Ok(Value::Boolean(self.byte()? != 0)),
            0x02 => Ok(Value::String(self.short_text()?)),
            0x03 => Ok(Value::Object(self.members(depth)?)),
            0x05 => Ok(Value::Null),
            0x06 | 0x0d => Ok(Value::Undefined),
            0x07 => self.take(2).map(|_| Value::Undefined),
            // The count in front of an ECMA array is a hint that writers get wrong; the end marker decides.
            0x08 => self.take(4).and_then(|_| self.members(depth)).map(Value::Object),
            0x0a => Ok(Value::Array(self.elements(depth)?)),
            0x0b => {
                let milliseconds = self.number()?;
                self.take(2)?; // a time zone that the specification says to ignore
                Ok(Value::Date(milliseconds))
            }
            0x0c | 0x0f => Ok(Value::String(self.long_text()?)),
            0x10 => self.short_text().and_then(|_| self.members(depth)).map(Value::Object),
            other => Err(Error::Marker(other)),
        }
    }

    fn members(&mut self, depth: u8) -> Result<Vec<(String, Value)>, Error> {
        let mut members = Vec::new();
        while self.position < self.bytes.len() {
            let name = self.short_text()?;
            if name.is_empty() && self.bytes.get(self.position) == Some(&0x09) {
                self.position += 1;
                break;
            }
            members.push((name, self.nested(depth + 1)?));
        }
        Ok(members)
    }

    fn elements(&mut self, depth: u8) -> Result<Vec<Value>, Error> {
        let count = self.length()?;
        // Nothing is reserved for `count`: the loop ends where the bytes or the budget of values end.
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(self.nested(depth + 1)?);
        }
        Ok(elements)
    }

    fn short_text(&mut self) -> Result<String, Error> {
        let length = self.take(2)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        self.take(length).map(|text| String::from_utf8_lossy(text).into_owned())
    }

    fn long_text(&mut self) -> Result<String, Error> {
        let length = self.length()?;
        self.take(length).map(|text| String::from_utf8_lossy(text).into_owned())
    }

    fn length(&mut self) -> Result<usize, Error> {
        let bytes = self.take(4)?;
        let length = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        usize::try_from(length).map_err(|_| Error::Truncated)
    }

    fn number(&mut self) -> Result<f64, Error> {
        let bytes: [u8; 8] = self.take(8)?.try_into().map_err(|_| Error::Truncated)?;
        Ok(f64::from_be_bytes(bytes))
    }

    fn byte(&mut self) -> Result<u8, Error> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let end = self.position.checked_add(count).ok_or(Error::Truncated)?;
        let taken = self.bytes.get(self.position..end).ok_or(Error::Truncated)?;
        self.position = end;
        Ok(taken)
    }
}

/// Writes values one after the other. Used by chaining: `Writer::new().string("_result").number(1.0).null()`.
#[derive(Clone, Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Nothing written yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, number: f64) -> Self {
        self.0.push(0x00);
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Adds a boolean.
    #[must_use]
    pub fn boolean(mut self, value: bool) -> Self {
        self.0.extend_from_slice(&[0x01, u8::from(value)]);
        self
    }

    /// Adds text. What goes beyond 65,535 bytes is cut off: no text of ours is longer than a sentence.
    #[must_use]
    pub fn string(mut self, text: &str) -> Self {
        self.0.push(0x02);
        self.text(text)
    }

    /// Adds null.
    #[must_use]
    pub fn null(mut self) -> Self {
        self.0.push(0x05);
        self
    }

    /// Opens an object; [`Writer::name`] and a value follow for each member, then [`Writer::end`].
    #[must_use]
    pub fn object(mut self) -> Self {
        self.0.push(0x03);
        self
    }

    /// Opens an ECMA array of `count` members, written like an object.
    #[must_use]
    pub fn ecma_array(mut self, count: u32) -> Self {
        self.0.push(0x08);
        self.0.extend_from_slice(&count.to_be_bytes());
        self
    }

    /// Names the member whose value follows.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        self.text(name)
    }

    /// Closes the object or ECMA array that was opened last.
    #[must_use]
    pub fn end(mut self) -> Self {
        self.0.extend_from_slice(&[0x00, 0x00, 0x09]);
        self
    }

    /// Adds a strict array of text.
    #[must_use]
    pub fn strings(mut self, texts: &[&str]) -> Self {
        self.0.push(0x0a);
        self.0.extend_from_slice(&u32::try_from(texts.len()).unwrap_or(0).to_be_bytes());
        texts.iter().fold(self, |writer, text| writer.string(text))
    }

    /// The bytes written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn text(mut self, text: &str) -> Self {
        let text = super::clip(text, usize::from(u16::MAX));
        self.0.extend_from_slice(&u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Value>, Error> {
        let mut reader = Reader::new(bytes);
        let mut values = Vec::new();
        while let Some(value) = reader.value()? {
            values.push(value);
        }
        Ok(values)
    }

    #[test]
    fn what_is_written_can_be_read() {
        let bytes = Writer::new()
            .string("connect")
            .number(1.0)
            .object()
            .name("app")
            .string("live")
            .name("list")
            .strings(&["hvc1", "av01"])
            .end()
            .null()
            .boolean(true)
            .ecma_array(1)
            .name("width")
            .number(1280.0)
            .end()
            .into_bytes();
        let values = all(&bytes).unwrap();
        assert_eq!(values.len(), 6);
        assert_eq!(values[2].member("app").and_then(Value::as_str), Some("live"));
        assert_eq!(
            values[2].member("list"),
            Some(&Value::Array(vec![Value::String("hvc1".into()), Value::String("av01".into())]))
        );
        assert_eq!(values[5].member("width").and_then(Value::as_number), Some(1280.0));
    }

    #[test]
    fn every_truncation_is_an_error_or_a_shorter_message() {
        let bytes = Writer::new().string("onMetaData").object().name("a").number(1.0).end().into_bytes();
        for end in 0..bytes.len() {
            let _ = all(&bytes[..end]);
        }
        assert_eq!(all(&bytes[..5]), Err(Error::Truncated));
    }

    #[test]
    fn an_object_without_its_end_marker_is_accepted() {
        let mut bytes = Writer::new().object().name("a").number(1.0).end().into_bytes();
        bytes.truncate(bytes.len() - 3);
        assert_eq!(all(&bytes).unwrap()[0].member("a"), Some(&Value::Number(1.0)));
    }

    #[test]
    fn nesting_is_bounded() {
        let mut bytes = Vec::new();
        for _ in 0..100 {
            bytes.extend_from_slice(&[0x03, 0x00, 0x01, b'a']);
        }
        assert_eq!(all(&bytes), Err(Error::Depth));
    }

    #[test]
    fn a_strict_array_that_lies_about_its_length_costs_nothing() {
        assert_eq!(all(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x05]), Err(Error::Truncated));
    }

    #[test]
    fn the_number_of_values_is_bounded() {
        assert_eq!(all(&vec![0x05; 5_000]), Err(Error::Count));
    }

    #[test]
    fn amf3_is_refused_by_its_marker() {
        assert_eq!(all(&[0x11, 0x04, 0x01]), Err(Error::Marker(0x11)));
    }

    #[test]
    fn text_that_is_not_utf8_is_repaired() {
        assert_eq!(all(&[0x02, 0, 2, 0xff, b'a']).unwrap(), vec![Value::String("\u{fffd}a".into())]);
    }
}
