//! Lines of hexadecimal digits, read with a bound: no line makes the node hold more than an envelope may have.

use std::io::{self, BufRead};

use casemate_protocol::limits::ENVELOPE_SIZE_BYTES_MAX;

/// A line of the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// The bytes that the digits stand for.
    Bytes(Vec<u8>),
    /// Nothing but white space.
    Blank,
    /// Not an even number of hexadecimal digits.
    NotHex,
    /// More than an envelope may have.
    TooLong { size_bytes: u64, size_bytes_max: u64 },
}

/// Reads lines and counts them.
pub struct HexLines<R> {
    input: R,
    number: u64,
    text: Vec<u8>,
}

const DIGITS_MAX: usize = 2 * ENVELOPE_SIZE_BYTES_MAX;

impl<R: BufRead> HexLines<R> {
    pub fn new(input: R) -> Self {
        Self { input, number: 0, text: Vec::new() }
    }

    /// Number of the line read last, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The next line, or nothing at the end. A last line without its end counts.
    ///
    /// # Errors
    /// The input cannot be read.
    pub fn next(&mut self) -> io::Result<Option<Line>> {
        self.text.clear();
        let mut size = 0u64;
        let mut has_line = false;
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            has_line |= !available.is_empty();
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            size += part.len() as u64;
            // One digit more than allowed, so that a line that is too long is seen to be.
            let kept = part.len().min((DIGITS_MAX + 1).saturating_sub(self.text.len()));
            self.text.extend_from_slice(&part[..kept]);
            let (used, is_over) = (part.len() + usize::from(end.is_some()), end.is_some() || available.is_empty());
            self.input.consume(used);
            if is_over {
                break;
            }
        }
        if !has_line {
            return Ok(None);
        }
        self.number += 1;
        if self.text.len() > DIGITS_MAX {
            let (size_bytes, size_bytes_max) = (size.div_ceil(2), ENVELOPE_SIZE_BYTES_MAX as u64);
            return Ok(Some(Line::TooLong { size_bytes, size_bytes_max }));
        }
        Ok(Some(line_of(self.text.trim_ascii())))
    }
}

fn line_of(text: &[u8]) -> Line {
    if text.is_empty() {
        return Line::Blank;
    }
    let (pairs, rest) = text.as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?)).collect();
    match bytes {
        Some(bytes) if rest.is_empty() => Line::Bytes(bytes),
        _ => Line::NotHex,
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Vec<Line> {
        // A small buffer, so that lines span several of them.
        let mut lines = HexLines::new(io::BufReader::with_capacity(7, input));
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    #[test]
    fn lines_are_read_whatever_their_ends() {
        let read = lines(b"00ff\r\n\n  A0 \nzz\n012\n0102030405060708090a0b");
        let bytes = |bytes: &[u8]| Line::Bytes(bytes.to_vec());
        let last = bytes(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(read, [bytes(&[0, 255]), Line::Blank, bytes(&[0xa0]), Line::NotHex, Line::NotHex, last]);
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"\n"), [Line::Blank]);
    }

    #[test]
    fn a_line_that_is_too_long_is_counted_and_not_kept() {
        let mut input = vec![b'0'; DIGITS_MAX];
        input.push(b'\n');
        input.extend(vec![b'0'; 3 * DIGITS_MAX]);
        input.extend(b"\n01\n");
        let read = lines(&input);
        assert_eq!(read[0], Line::Bytes(vec![0; ENVELOPE_SIZE_BYTES_MAX]));
        let size_bytes_max = ENVELOPE_SIZE_BYTES_MAX as u64;
        assert_eq!(read[1], Line::TooLong { size_bytes: 3 * size_bytes_max, size_bytes_max });
        assert_eq!(read[2], Line::Bytes(vec![1]));
    }
}
