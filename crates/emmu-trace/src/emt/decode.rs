//! From the streams of a block to references.

use super::encode::{FROM_BEFORE, FROM_LAST, KNOWN, NEW, OTHER, STREAMS, SUCCESSOR};
use super::model::{MAX_DATA, Model, Shape, ShapeId, Slot};
use super::varint::{Cursor, unfold};
use crate::{Record, RecordKind};
use emmu_core::VirtAddr;

/// Description of the streams that the format allows, for an error.
pub(super) type Unmet = &'static str;

const MORE: Unmet = "a block whose streams hold all its references";

/// Reads surprises, each of which follows a number of met expectations.
#[derive(Debug, Default)]
struct Tokens {
    stream: Cursor,
    run: u64,
    code: u8,
    over: bool,
}

impl Tokens {
    fn new(stream: Cursor, bytes: &[u8]) -> Result<Self, Unmet> {
        let mut tokens = Self { stream, ..Self::default() };
        tokens.advance(bytes)?;
        Ok(tokens)
    }

    /// Returns the next surprise; `None` if the expectation is met.
    #[inline]
    fn next(&mut self, bytes: &[u8]) -> Result<Option<u8>, Unmet> {
        if self.run > 0 {
            self.run -= 1;
            return Ok(None);
        }
        let code = self.code;
        self.advance(bytes)?;
        Ok(Some(code))
    }

    /// Ends the surprises: from now on every expectation is met.
    fn advance(&mut self, bytes: &[u8]) -> Result<(), Unmet> {
        if self.stream.is_empty() {
            (self.run, self.over) = (u64::MAX, true);
            return Ok(());
        }
        let token = self.stream.take(bytes).ok_or(MORE)?;
        (self.run, self.code) = (token >> 2, (token & 3) as u8);
        Ok(())
    }
}

/// Decodes one block after the other.
#[derive(Debug)]
pub(super) struct Decoder {
    model: Model,
    bytes: Vec<u8>,
    next: Tokens,
    numbers: Cursor,
    shapes: Cursor,
    data: Tokens,
    deltas: Cursor,
    remaining: usize,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            model: Model::new(),
            bytes: vec![],
            next: Tokens::default(),
            numbers: Cursor::default(),
            shapes: Cursor::default(),
            data: Tokens::default(),
            deltas: Cursor::default(),
            remaining: 0,
        }
    }

    /// Returns the number of references of the block that are still to come.
    pub(super) const fn remaining(&self) -> usize {
        self.remaining
    }

    /// Lends the buffer that [`Self::begin`] wants back, filled.
    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Begins a block of `records` references whose streams of these lengths are `bytes`.
    pub(super) fn begin(
        &mut self,
        records: usize,
        bytes: Vec<u8>,
        lengths: [usize; STREAMS],
    ) -> Result<(), Unmet> {
        let mut end = 0;
        let [next, numbers, shapes, data, deltas] = lengths.map(|length| {
            end += length;
            Cursor::new(end - length, end)
        });
        self.model.reset();
        self.bytes = bytes;
        self.next = Tokens::new(next, &self.bytes)?;
        self.data = Tokens::new(data, &self.bytes)?;
        (self.numbers, self.shapes, self.deltas) = (numbers, shapes, deltas);
        self.remaining = records;
        Ok(())
    }

    /// Appends references until `out` holds `enough` or the block ends.
    pub(super) fn decode(&mut self, out: &mut Vec<Record>, enough: usize) -> Result<(), Unmet> {
        while out.len() < enough && self.remaining > 0 {
            let id = self.shape()?;
            let shape = *self.model.shapes.get(id as usize).ok_or("the number of a known shape")?;
            self.remaining = self
                .remaining
                .checked_sub(shape.records())
                .ok_or("a block that ends with its last instruction")?;
            self.model.learn(id, &shape);
            self.emit(&shape, out)?;
        }
        if self.remaining == 0 { self.check_spent() } else { Ok(()) }
    }

    /// Reads the number of the next shape.
    #[inline]
    fn shape(&mut self) -> Result<ShapeId, Unmet> {
        match self.next.next(&self.bytes)? {
            None => Ok(self.model.expected()),
            Some(SUCCESSOR) => Ok(self.model.second_guess()),
            Some(KNOWN) => {
                let number = self.numbers.take(&self.bytes).ok_or(MORE)?;
                ShapeId::try_from(number).map_err(|_| "the number of a known shape")
            }
            Some(NEW) => self.define(),
            Some(_) => Err("a code from 0 to 2 in the stream of instructions"),
        }
    }

    fn define(&mut self) -> Result<ShapeId, Unmet> {
        let fetch = self.take_shape()?;
        let fetch = u16::try_from(fetch).map_err(|_| "a fetch of at most 65535 bytes")?;
        let (mut pc, mut data) = (VirtAddr::ZERO, 1);
        if fetch > 0 {
            pc = self.model.fall_through.wrapping_add(unfold(self.take_shape()?));
            data = self.take_shape()?;
        }
        if data > MAX_DATA as u64 {
            return Err("an instruction of at most 62 data references");
        }
        let slots = (0..data).map(|_| self.slot()).collect::<Result<Vec<_>, _>>()?;
        Ok(self.model.define(pc, fetch, &slots))
    }

    fn take_shape(&mut self) -> Result<u64, Unmet> {
        self.shapes.take(&self.bytes).ok_or(MORE)
    }

    fn slot(&mut self) -> Result<Slot, Unmet> {
        let number = self.take_shape()?;
        let kind = RecordKind::from_number(number & 3).filter(|kind| *kind != RecordKind::Fetch);
        let size = u16::try_from(number >> 2).ok().filter(|size| *size > 0);
        let (Some(kind), Some(size)) = (kind, size) else {
            return Err("a data reference of 1 to 65535 bytes");
        };
        Ok(Slot::new(kind, size))
    }

    #[inline]
    fn emit(&mut self, shape: &Shape, out: &mut Vec<Record>) -> Result<(), Unmet> {
        if shape.fetch > 0 {
            out.push(Record::new(RecordKind::Fetch, shape.pc, shape.fetch));
        }
        let Self { model, bytes, data, deltas, .. } = self;
        for slot in model.slots.get_mut(shape.slot_range()).unwrap_or_default() {
            let addr = address(slot, model.before, data, deltas, bytes)?;
            slot.learn(addr, model.before);
            model.before = addr;
            out.push(Record::new(slot.kind, addr, slot.size));
        }
        Ok(())
    }

    /// Returns true if nothing is left over at the end of the block.
    fn check_spent(&self) -> Result<(), Unmet> {
        let rest = [self.numbers, self.shapes, self.deltas].iter().all(Cursor::is_empty);
        let spent = rest && self.next.over && self.data.over;
        spent.then_some(()).ok_or("a block whose streams end with its references")
    }
}

/// Returns the address of the data reference in `slot`, after one to `before`.
#[inline]
fn address(
    slot: &mut Slot,
    before: VirtAddr,
    data: &mut Tokens,
    deltas: &mut Cursor,
    bytes: &[u8],
) -> Result<VirtAddr, Unmet> {
    let origin = match data.next(bytes)? {
        None => return Ok(slot.expected(before)),
        Some(OTHER) => {
            slot.swap_guesses();
            return Ok(slot.expected(before));
        }
        Some(FROM_LAST) => slot.last,
        Some(FROM_BEFORE) => before,
        Some(_) => return Err("a code from 0 to 2 in the stream of addresses"),
    };
    Ok(origin.wrapping_add(unfold(deltas.take(bytes).ok_or(MORE)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes a block of `records` references from streams that were written by hand.
    fn decode(records: usize, streams: [&[u8]; STREAMS]) -> Result<Vec<Record>, Unmet> {
        let (mut decoder, mut out) = (Decoder::new(), vec![]);
        decoder.begin(records, streams.concat(), streams.map(<[u8]>::len))?;
        decoder.decode(&mut out, usize::MAX)?;
        Ok(out)
    }

    /// A fetch of 3 bytes at 0x10 with a load of 8 bytes.
    const SHAPE: [u8; 4] = [3, 0x20, 1, 8 << 2 | 1];

    #[test]
    fn a_block_written_by_hand_is_read() {
        // New shape, then itself: expected, since nothing else was after the path of no shape.
        let records = decode(4, [&[2], &[], &SHAPE, &[1, 1], &[0x40, 0x10]]).unwrap();
        let text: Vec<_> = records.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["I  00000010,3", " L 00000020,8", "I  00000010,3", " L 00000028,8"]);
    }

    #[test]
    fn data_alone_needs_no_fetch() {
        let records = decode(1, [&[2], &[], &[0, 4 << 2 | 2], &[1], &[1]]).unwrap();
        assert_eq!(records[0].to_string(), " S ffffffffffffffff,4");
    }

    #[test]
    fn what_is_left_over_in_any_stream_is_refused() {
        let streams: [&[u8]; STREAMS] = [&[2], &[], &SHAPE, &[1], &[0x40]];
        assert!(decode(2, streams).is_ok());
        for stream in 0..STREAMS {
            let longer = [streams[stream], &[0]].concat();
            let mut streams = streams;
            streams[stream] = &longer;
            assert!(decode(2, streams).unwrap_err().contains("end with its references"));
        }
    }

    #[test]
    fn what_is_missing_in_any_stream_is_refused() {
        let streams: [&[u8]; STREAMS] = [&[2, 1], &[0], &SHAPE, &[1, 1], &[0x40, 0x10]];
        assert!(decode(4, streams).is_ok());
        for stream in [1, 2, 4] {
            let mut streams = streams;
            streams[stream] = &streams[stream][1..];
            assert!(decode(4, streams).is_err(), "stream {stream}");
        }
    }

    #[test]
    fn an_instruction_longer_than_the_block_is_refused() {
        let streams: [&[u8]; STREAMS] = [&[2], &[], &SHAPE, &[1], &[0x40]];
        assert!(decode(1, streams).unwrap_err().contains("ends with its last instruction"));
    }

    #[test]
    fn impossible_shapes_are_refused() {
        let shapes: [(&[u8], &str); 5] = [
            (&[0x80, 0x80, 4], "a fetch of at most 65535 bytes"),
            (&[1, 0, 63], "at most 62 data references"),
            (&[0, 1], "a data reference of 1 to 65535 bytes"),
            (&[0, 8 << 2], "a data reference of 1 to 65535 bytes"),
            (&[0, 0x81, 0x80, 0x10], "a data reference of 1 to 65535 bytes"),
        ];
        for (shape, expected) in shapes {
            assert!(decode(9, [&[2], &[], shape, &[], &[]]).unwrap_err().contains(expected));
        }
    }

    #[test]
    fn codes_and_numbers_that_mean_nothing_are_refused() {
        assert!(decode(1, [&[3], &[], &[], &[], &[]]).unwrap_err().contains("a code from 0 to 2"));
        assert!(decode(2, [&[2], &[], &SHAPE, &[3], &[]]).unwrap_err().contains("a code"));
        assert!(decode(1, [&[1], &[7], &[], &[], &[]]).unwrap_err().contains("a known shape"));
        assert!(decode(1, [&[], &[], &[], &[], &[]]).unwrap_err().contains("a known shape"));
    }
}
