//! A trace as a program of the operating system.

use emmu_core::AccessKind;
use emmu_os::{Op, Program, Reply};
use emmu_trace::{ContentHash, Record, RecordSource, TraceError};

/// Plays the records of a trace one by one; a modify is a load and then a store.
pub(crate) struct Replay<'a> {
    trace: &'a mut dyn RecordSource,
    chunk: Vec<Record>,
    /// The next record of the chunk, and the next of its accesses.
    next: (usize, usize),
    /// Records in the chunks before this one.
    before: u64,
    vsyscall_fetches: u64,
    error: Option<TraceError>,
    progress: Box<dyn FnMut(u64) + 'a>,
}

/// The part of a trace that was replayed.
pub(crate) struct Replayed {
    /// Records begun: the number, from 1, of the one at which the replay ended.
    pub(crate) records: u64,
    /// Fetches from the vsyscall page among them, which were skipped.
    pub(crate) vsyscall_fetches: u64,
    /// Lines of the trace that were skipped because they are not of its format.
    pub(crate) skipped_lines: u64,
    pub(crate) hash: Option<ContentHash>,
    pub(crate) provenance: Option<String>,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(trace: &'a mut dyn RecordSource, progress: Box<dyn FnMut(u64) + 'a>) -> Self {
        let (chunk, next) = (Vec::new(), (0, 0));
        Self { trace, chunk, next, before: 0, vsyscall_fetches: 0, error: None, progress }
    }

    /// The number of the last record that was begun, from 1; 0 before the first.
    pub(crate) fn position(&self) -> u64 {
        let (records, accesses) = self.next;
        self.before + records as u64 + u64::from(accesses > 0)
    }

    /// Says what was replayed, if the trace was whole.
    pub(crate) fn finish(self) -> Result<Replayed, TraceError> {
        let records = self.position();
        match self.error {
            Some(error) => Err(error),
            None => Ok(Replayed {
                records,
                vsyscall_fetches: self.vsyscall_fetches,
                skipped_lines: self.trace.skipped_lines(),
                hash: self.trace.content_hash(),
                provenance: self.trace.provenance().map(str::to_owned),
            }),
        }
    }

    /// Takes the next chunk; false at the end of the trace, or where it is damaged.
    #[cold]
    fn refill(&mut self) -> bool {
        self.before += self.chunk.len() as u64;
        (self.progress)(self.before);
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

impl Program for Replay<'_> {
    #[inline]
    fn step(&mut self, _: Reply<'_>) -> Op {
        loop {
            let (record, access) = self.next;
            if let Some(&now) = self.chunk.get(record) {
                let accesses = now.kind.accesses();
                let last = access + 1 >= accesses.len();
                self.next = if last { (record + 1, 0) } else { (record, access + 1) };
                if now.is_vsyscall_fetch() {
                    self.vsyscall_fetches += 1;
                    continue;
                }
                return Self::op(now, accesses[access]);
            }
            if !self.refill() {
                return Op::exit(0);
            }
        }
    }
}
