//! Reads a journal folder at open and decides what stands. Changes nothing: the writer does, from what this returns.

use std::path::Path;

use super::format;
use super::segment_reader::{Found, SegmentReader};
use super::{OpenReport, SEGMENTS};
use crate::Fault;

/// What a journal folder holds.
#[derive(Debug)]
pub(super) struct Recovered {
    /// First heights of the segments, ascending.
    pub(super) segments: Vec<u64>,
    /// The end of the last segment; nothing if there is no segment.
    pub(super) tail: Option<Tail>,
}

/// The end of the last segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tail {
    pub(super) segment_first_height: u64,
    pub(super) salt: u64,
    pub(super) next_height: u64,
    /// Behind the last mark: from here to the end, the page cache may know more than the disk does.
    pub(super) unmarked_from_bytes: u64,
    /// Behind the last whole record.
    pub(super) end_bytes: u64,
    /// Bytes behind the end that are not zero and belong to no acknowledged block.
    pub(super) torn_bytes: u64,
}

impl Recovered {
    pub(super) fn report(&self, dir: &Path) -> OpenReport {
        let first = self.segments.first().copied();
        let next = self.tail.map(|tail| tail.next_height);
        let blocks = next.unwrap_or(0) - first.unwrap_or(0);
        OpenReport {
            path: dir.to_path_buf(),
            blocks,
            first_height: first.filter(|_| blocks > 0),
            last_height: next.filter(|_| blocks > 0).map(|next| next - 1),
            torn_bytes_dropped: self.tail.map_or(0, |tail| tail.torn_bytes),
        }
    }
}

/// Checks all segments in order. Bodies of segments wholly below `verify_from_height` are not read.
pub(super) fn scan(dir: &Path, chain_id: &[u8; 32], verify_from_height: u64) -> Result<Recovered, Fault> {
    let segments = SEGMENTS.heights(dir)?;
    let mut tail: Option<Tail> = None;
    for (index, &first_height) in segments.iter().enumerate() {
        let mut reader = SegmentReader::open(dir, first_height, chain_id)?;
        let expected_height = tail.map_or(first_height, |tail| tail.next_height);
        if first_height != expected_height {
            let path = reader.path().to_path_buf();
            return Err(Fault::SegmentGap { path, expected_height, found_height: first_height });
        }
        tail = Some(match segments.get(index + 1) {
            Some(&successor) if successor <= verify_from_height => skip(&reader, successor),
            Some(_) => scan_segment(&mut reader, Place::Sealed)?,
            None => scan_segment(&mut reader, Place::Last)?,
        });
    }
    Ok(Recovered { segments, tail })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Sealed,
    Last,
}

fn scan_segment(reader: &mut SegmentReader, place: Place) -> Result<Tail, Fault> {
    let mut unmarked_from_bytes = reader.location().offset_bytes;
    let torn_bytes = loop {
        match reader.next()? {
            Found::Block(_) => {}
            Found::Mark => unmarked_from_bytes = reader.location().offset_bytes,
            Found::End => break 0,
            Found::Damage(found) if place == Place::Sealed => return Err(reader.corrupt(found)),
            Found::Damage(found) => break require_torn(reader, found)?,
        }
    };
    Ok(Tail { unmarked_from_bytes, torn_bytes, ..skip(reader, reader.next_height()) })
}

/// The rule of the module documentation: damage is a torn tail unless a record behind it proves otherwise.
fn require_torn(reader: &mut SegmentReader, found: &'static str) -> Result<u64, Fault> {
    let damaged_from_bytes = reader.location().offset_bytes;
    let height = reader.next_height();
    let rest = reader.rest_from(damaged_from_bytes)?;
    if format::proves_durable(&rest, reader.salt(), height) {
        return Err(reader.corrupt(found));
    }
    reader.trailing_bytes_used()
}

fn skip(reader: &SegmentReader, next_height: u64) -> Tail {
    let location = reader.location();
    Tail {
        segment_first_height: location.segment_first_height,
        salt: reader.salt(),
        next_height,
        unmarked_from_bytes: location.offset_bytes,
        end_bytes: location.offset_bytes,
        torn_bytes: 0,
    }
}
