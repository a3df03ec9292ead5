//! A trace as a program of the operating system.

use emmu_core::AccessKind;
use emmu_os::{Op, Program, Reply};
use emmu_trace::{ContentHash, Record, RecordSource, Trace, TraceError};
use indicatif::ProgressBar;

/// Plays the records of a trace one by one; a modify is a load and then a store.
pub(crate) struct Replay {
    trace: Trace<'static>,
    chunk: Vec<Record>,
    /// The next record of the chunk, and the next of its accesses.
    next: (usize, usize),
    replayed: u64,
    error: Option<TraceError>,
    bar: ProgressBar,
}

/// What was replayed.
pub(crate) struct Replayed {
    /// Records begun: the number, from 1, of the one at which the replay ended.
    pub(crate) replayed: u64,
    pub(crate) hash: Option<ContentHash>,
    pub(crate) provenance: Option<String>,
}

impl Replay {
    pub(crate) fn new(trace: Trace<'static>, bar: ProgressBar) -> Self {
        Self { trace, chunk: Vec::new(), next: (0, 0), replayed: 0, error: None, bar }
    }

    /// What was replayed, if the trace was whole.
    pub(crate) fn finish(self) -> Result<Replayed, TraceError> {
        self.bar.finish_and_clear();
        let (records, accesses) = self.next;
        match self.error {
            Some(error) => Err(error),
            None => Ok(Replayed {
                replayed: self.replayed + records as u64 + u64::from(accesses > 0),
                hash: self.trace.content_hash(),
                provenance: self.trace.provenance().map(str::to_owned),
            }),
        }
    }

    /// Fetches the next chunk; false at the end of the trace, or where it is damaged.
    #[cold]
    fn refill(&mut self) -> bool {
        self.replayed += self.chunk.len() as u64;
        self.bar.set_position(self.replayed);
        self.chunk.clear();
        self.next = (0, 0);
        match self.trace.next_chunk() {
            Ok(Some(chunk)) => self.chunk.extend_from_slice(chunk),
            Ok(None) => {}
            Err(error) => self.error = Some(error),
        }
        !self.chunk.is_empty()
    }

    fn op(record: Record, kind: AccessKind) -> Op {
        let (addr, size) = (record.addr, u32::from(record.size));
        match kind {
            AccessKind::Fetch => Op::Fetch { addr, size },
            AccessKind::Load => Op::Load { addr, size },
            // Traces carry no values. The address is as good as any, and better than zeros to tell bytes by.
            AccessKind::Store | AccessKind::Amo => Op::Store { addr, size, value: addr.raw() },
        }
    }
}

impl Program for Replay {
    #[inline]
    fn step(&mut self, _: Reply<'_>) -> Op {
        loop {
            let (record, access) = self.next;
            if let Some(&now) = self.chunk.get(record) {
                let accesses = now.kind.accesses();
                let last = access + 1 >= accesses.len();
                self.next = if last { (record + 1, 0) } else { (record, access + 1) };
                return Self::op(now, accesses[access]);
            }
            if !self.refill() {
                return Op::exit(0);
            }
        }
    }
}
