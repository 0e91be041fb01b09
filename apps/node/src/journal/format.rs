//! One record of a segment: 32 bytes of header, then the payload.
//!
//! Little-endian: salt 8, height 8, durable-before 8, payload length 4, CRC32C 4 over the 28 bytes before it and the
//! payload. A mark has the length `u32::MAX`, no payload, and the height of the block that comes next.

use crate::durable_files::{Fields, put};

/// The largest block a record holds. Blocks are a few mebibytes; the bound keeps a damaged length from asking for memory.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(super) const RECORD_HEADER_BYTES: usize = 32;

/// A record's header as read; [`RecordHeader::matches`] says whether it and its payload are whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    salt: u64,
    /// Height of the block, or of the next block in a mark.
    pub(super) height: u64,
    /// All blocks below this height were durable when this record was written.
    pub(super) durable_before: u64,
    length: u32,
    crc: u32,
}

impl RecordHeader {
    /// Reads a header, or nothing if no record of this segment can start with these bytes.
    pub(super) fn parse(bytes: &[u8; RECORD_HEADER_BYTES], salt: u64) -> Option<Self> {
        let mut fields = Fields(bytes);
        let header = Self {
            salt: u64::from_le_bytes(fields.take()),
            height: u64::from_le_bytes(fields.take()),
            durable_before: u64::from_le_bytes(fields.take()),
            length: u32::from_le_bytes(fields.take()),
            crc: u32::from_le_bytes(fields.take()),
        };
        let is_possible = header.is_mark() || header.payload_bytes() <= PAYLOAD_BYTES_MAX;
        (header.salt == salt && is_possible).then_some(header)
    }

    pub(super) fn matches(&self, payload: &[u8]) -> bool {
        self.crc == self.crc_over(payload)
    }

    pub(super) fn is_mark(&self) -> bool {
        self.length == MARK
    }

    pub(super) fn payload_bytes(&self) -> usize {
        if self.is_mark() { 0 } else { self.length as usize }
    }

    /// Header and payload together.
    pub(super) fn record_bytes(&self) -> u64 {
        (RECORD_HEADER_BYTES + self.payload_bytes()) as u64
    }

    fn encode(mut self, payload: &[u8]) -> [u8; RECORD_HEADER_BYTES] {
        self.crc = self.crc_over(payload);
        let mut bytes = self.checked_bytes();
        put(&mut bytes[CHECKED_BYTES..], &self.crc.to_le_bytes());
        bytes
    }

    fn crc_over(&self, payload: &[u8]) -> u32 {
        let crc = crc32c::crc32c(&self.checked_bytes()[..CHECKED_BYTES]);
        crc32c::crc32c_append(crc, payload)
    }

    /// The fields the checksum covers; the checksum's own place stays zero.
    fn checked_bytes(&self) -> [u8; RECORD_HEADER_BYTES] {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        let mut rest = put(&mut bytes, &self.salt.to_le_bytes());
        rest = put(rest, &self.height.to_le_bytes());
        rest = put(rest, &self.durable_before.to_le_bytes());
        put(rest, &self.length.to_le_bytes());
        bytes
    }
}

/// Appends one block to `buffer`. The caller has checked the payload against [`PAYLOAD_BYTES_MAX`].
pub(super) fn put_block(buffer: &mut Vec<u8>, salt: u64, height: u64, durable_before: u64, payload: &[u8]) {
    let length = payload.len() as u32;
    let header = RecordHeader { salt, height, durable_before, length, crc: 0 };
    buffer.extend_from_slice(&header.encode(payload));
    buffer.extend_from_slice(payload);
}

/// A mark that says: all blocks below `durable_before` are durable.
pub(super) fn mark(salt: u64, durable_before: u64) -> [u8; RECORD_HEADER_BYTES] {
    RecordHeader { salt, height: durable_before, durable_before, length: MARK, crc: 0 }.encode(&[])
}

/// Whether any whole record in `bytes` was written after block `height` had become durable.
///
/// Tries every position, as the damage in front may have hidden where records start.
pub(super) fn proves_durable(bytes: &[u8], salt: u64, height: u64) -> bool {
    bytes.windows(RECORD_HEADER_BYTES).enumerate().any(|(start, window)| {
        let header = window.first_chunk().and_then(|window| RecordHeader::parse(window, salt));
        header.filter(|header| header.durable_before > height).is_some_and(|header| {
            let payload_start = start + RECORD_HEADER_BYTES;
            let payload = bytes.get(payload_start..payload_start + header.payload_bytes());
            payload.is_some_and(|payload| header.matches(payload))
        })
    })
}

const MARK: u32 = u32::MAX;
const CHECKED_BYTES: usize = RECORD_HEADER_BYTES - 4;
const _: () = assert!(PAYLOAD_BYTES_MAX < MARK as usize);
