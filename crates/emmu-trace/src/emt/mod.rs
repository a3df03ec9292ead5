//! The native format, `.emt`: a real trace in about a tenth of a byte a reference.
//!
//! Numbers are little-endian. Checksums are CRC-32 as in gzip (polynomial `0x04c11db7`, reflected). A file is a
//! header, blocks, a footer, and nothing after it. Every byte is under a checksum.
//!
//! # Header
//!
//! | offset | bytes | contents |
//! |---|---|---|
//! | 0 | 8 | magic: `89 45 4d 54 0d 0a 1a 0a` (`.EMT`, and what a transfer as text would damage) |
//! | 8 | 2 | version: 1 |
//! | 10 | 2 | length *p* of the provenance, at most 4096 |
//! | 12 | 4 | references in a full block, *b*: 1 to 2^20 |
//! | 16 | 8 | references in the trace, or 2^64 − 1: not known when the header was written |
//! | 24 | *p* | provenance: where the trace comes from, UTF-8 |
//! | 24 + *p* | 4 | checksum of all the above |
//!
//! # Block
//!
//! Every block but the last holds exactly *b* references, so reference *r* is in block *r* / *b*; a block is decoded
//! without the others. There is no index: a seeking reader hops from block header to block header.
//!
//! | offset | bytes | contents |
//! |---|---|---|
//! | 0 | 4 | `BLOK` |
//! | 4 | 4 | references in this block, *n*: 1 to *b* |
//! | 8 | 8 | number of its first reference, from 0 |
//! | 16 | 4 | length *c* of the compressed streams |
//! | 20 | 5 × 4 | lengths of the five streams, 32 *n* in all at most |
//! | 40 | 4 | checksum of the compressed streams |
//! | 44 | 4 | checksum of bytes 0 to 43 |
//! | 48 | *c* | the five streams one after the other, as raw DEFLATE (RFC 1951) |
//!
//! # Footer
//!
//! | offset | bytes | contents |
//! |---|---|---|
//! | 0 | 4 | `DONE` |
//! | 4 | 8 | references in the trace |
//! | 12 | 16 | their [`ContentHash`](crate::ContentHash) |
//! | 28 | 4 | checksum of bytes 0 to 27 |
//!
//! # Streams of a block
//!
//! Most references are what anyone would expect, and cost nothing: only surprises are written. A *number* below is
//! seven bits a byte, least significant first, the top bit set on all but the last byte. A *difference* is taken modulo
//! 2^64, folded (0, −1, 1, −2, … become 0, 1, 2, 3, …) and written as a number.
//!
//! References are taken in groups. A group is a fetch with the data references up to the next fetch, 62 of them at
//! most; or one data reference alone, where no group takes it in. Groups of the same fetch address, fetch size and
//! sequence of (kind, size) have the same *shape*. Shapes are numbered from 0 in order of their definition in the block.
//!
//! **Which shape comes.** The *path* is a number of 48 bits, 0 at first; after shape *s* it becomes
//! ((path · 2^12) xor *s*) mod 2^48. A table of 2^16 shape numbers, all 0 at first, is indexed by
//! (path · `9e3779b97f4a7c15` mod 2^64) / 2^48. The shape expected is the entry at the index of the current path; the
//! second guess is the shape that last came after the shape that was last, 0 at first. Whatever comes is then stored as
//! both. Stream 1 holds a number 4 *e* + *code* for each surprise, *e* being the groups since the last surprise that
//! were as expected; after its last number all groups are. *Code* 0: the second guess comes. 1: the shape whose number
//! is next in stream 2. 2: a new shape, defined next in stream 3.
//!
//! **Definition of a shape**, as numbers: the size of the fetch, or 0 for data alone; if there is a fetch, the difference of its
//! address from the end of the last fetch (at first 0), and the count of data references; for each data reference
//! 4 · size + kind (1 load, 2 store, 3 modify).
//!
//! **Data addresses.** For each data reference of each shape four things are kept, all 0 at first: its *last* address;
//! its *stride*, the last address less the one before; its *chain*, the last address less that of the data reference
//! (of any shape) just before it; and which is expected, last + stride (at first) or chain + the address of the data
//! reference just before. The other one is the second guess. Stream 4 is built as stream 1 is. *Code* 0: it is the
//! second guess, and that kind of guess is expected from now on. 1: the difference from *last* is next in stream 5.
//! 2: the difference from the data reference just before is.

mod decode;
mod encode;
mod layout;
mod model;
mod reader;
mod seek;
mod varint;
mod writer;

pub(crate) use layout::format_error;
pub use layout::{Footer, Header, MAGIC};
pub use reader::Reader;
pub use writer::Writer;
