//! Memory traces: what a real program fetched, loaded and stored, as a stream of references.
//!
//! Models: a reference ([`Record`]); the text of valgrind's lackey ([`LackeyReader`]); a compact, checksummed native
//! format, both ways ([`emt`]); the identity of a trace whatever file it is in ([`ContentHash`]); one real trace
//! that is always there ([`bundled`]).
//!
//! Does not model: what a reference costs, threads, or the values that were read and written. Synthetic
//! workloads and the formats of other simulators are not here yet; a reader of one implements [`RecordSource`].
//!
//! Which type you want: to run a trace of any format, [`open`] it; to write one, [`emt::Writer`]; to read one format
//! only, [`LackeyReader`] or [`emt::Reader`].
//!
//! Every reader takes memory that does not grow with the trace, and says of a malformed, damaged or truncated one
//! what is wrong and where ([`TraceError`]).
//!
//! Lackey's text becomes a native trace, and is the same trace still:
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
#[doc(hidden)]
pub mod check;
pub mod emt;
mod error;
mod hash;
pub mod lackey;
mod open;
mod record;
mod source;

pub use bundled::{BUNDLED_NAME, bundled};
pub use error::{Position, TraceError};
pub use hash::{ContentHash, ContentHasher};
pub use lackey::LackeyReader;
pub use open::{Trace, open};
pub use record::{Record, RecordKind};
pub use source::{RecordSource, Records};
