//! Memory traces: the fetches, loads and stores of a real program, as a stream of references.
//!
//! Models: a reference ([`Record`]); the text of valgrind's lackey ([`LackeyReader`]), of Dinero ([`DineroReader`]) and
//! comma-separated values ([`CsvReader`]), which share one reader of lines ([`TextReader`]); the binary traces of
//! ChampSim ([`ChampSimReader`]); a compact, checksummed native format, both ways ([`emt`]); inputs compressed by gzip,
//! xz or zstd; a hash of the references, which is the same in every format ([`ContentHash`]); one real trace that the
//! crate contains ([`bundled`]).
//!
//! Does not model: costs of references, threads, or the values that were read and written. Synthetic workloads are
//! not here yet; a generator of them implements [`RecordSource`].
//!
//! Types to begin with: to read a trace of any format, [`open`] it, or say more with [`OpenOptions`]; to write one,
//! [`emt::Writer`] or [`TextWriter`]. A text format of your own is a [`LineFormat`].
//!
//! Every reader takes memory that does not grow with the trace, and says of a malformed, damaged or truncated one
//! what is wrong and where ([`TraceError`]).
//!
//! Features, all on by default: `xz` and `zstd` read inputs compressed in these ways.
//!
//! Lackey's text becomes a native trace, and is still the same trace:
//!
//! ```
//! use emmu_trace::{RecordSource, emt, open};
//!
//! let text = "I  04016b30,3\n L 1ffeffe7e0,8\nI  04016b33,2\n M 1ffeffe7e0,8\n";
//! let mut from_text = open(text.as_bytes())?;
//! let mut writer = emt::Writer::new(Vec::new(), "four references")?;
//! writer.import(&mut from_text)?;
//! let (bytes, footer) = writer.finish()?;
//!
//! let mut native = open(&bytes[..])?;
//! while let Some(chunk) = native.next_chunk()? {
//!     assert_eq!(chunk.len(), 4);
//! }
//! assert_eq!(footer.records, 4);
//! assert_eq!(native.content_hash(), from_text.content_hash());
//! # Ok::<(), emmu_trace::TraceError>(())
//! ```

mod bundled;
pub mod champsim;
#[doc(hidden)]
pub mod check;
mod compression;
pub mod csv;
pub mod dinero;
pub mod emt;
mod error;
mod format;
mod hash;
pub mod lackey;
mod open;
mod record;
mod source;
mod text;

pub use bundled::{BUNDLED_NAME, bundled};
pub use champsim::ChampSimReader;
pub use compression::Compression;
pub use csv::CsvReader;
pub use dinero::DineroReader;
pub use error::{Position, TraceError};
pub use format::{TraceFormat, UnknownFormat};
pub use hash::{ContentHash, ContentHasher};
pub use lackey::LackeyReader;
pub use open::{OpenOptions, Trace, open};
pub use record::{Record, RecordKind};
pub use source::{RecordSource, Records};
pub use text::{LineFormat, TextFormat, TextReader, TextWriter};
