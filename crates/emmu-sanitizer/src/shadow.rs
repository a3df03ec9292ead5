//! The bytes that every process should find in its memory.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use core::fmt;
use emmu_core::{Bus, Probe, TranslationUnit, VirtAddr};
use emmu_cpu::{Cpu, Stop};
use thiserror::Error;

const PAGE_BITS: u32 = 12;

/// Flat memory of each process, apart from all translation: the bytes that the process stored, and the bytes that the
/// kernel gave it. [`Shadow::check`] compares every byte that a process reads with this memory.
///
/// The comparison finds defects that the tables do not show: a frame given to two processes, bytes that came back from
/// the wrong place, a page that was not zeroed, a refused store of which a part was made.
///
/// ```
/// use emmu_core::{PhysAddr, VirtAddr};
/// use emmu_sanitizer::Shadow;
/// let mut shadow = Shadow::new();
/// shadow.expect(1, VirtAddr::new(0x5000), &[0; 4]);       // process 1 is owed zeros
/// shadow.expect(2, VirtAddr::new(0x7000), b"secret");
/// let leak = shadow.check(1, VirtAddr::new(0x5000), b"secr").unwrap_err();
/// assert_eq!(
///     leak.to_string(),
///     "process 1 finds [73, 65, 63, 72] at 0x5000 and should find [0, 0, 0, 0]: \
///      these are bytes of process 2, at 0x7000"
/// );
/// ```
#[derive(Clone, Debug, Default)]
pub struct Shadow(BTreeMap<u32, Pages>);

/// The expected bytes of a process, by page; `None` for bytes without an expectation.
type Pages = BTreeMap<u64, Box<[Option<u8>]>>;

impl Shadow {
    /// Makes a shadow without any process.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Expects these bytes of the process from this address on: a file's, or zeros.
    pub fn expect(&mut self, process: u32, addr: VirtAddr, bytes: &[u8]) {
        self.put(process, addr, bytes.iter().map(|byte| Some(*byte)));
    }

    /// Drops the expected bytes of the process in this range, because the range is no longer mapped.
    pub fn unmap(&mut self, process: u32, addr: VirtAddr, len: usize) {
        self.put(process, addr, core::iter::repeat_n(None, len));
    }

    /// Copies the expected bytes of the parent to the child, as a fork does.
    pub fn fork(&mut self, parent: u32, child: u32) {
        let pages = self.0.get(&parent).cloned().unwrap_or_default();
        self.0.insert(child, pages);
    }

    /// Compares the bytes that the process reads with the expected bytes.
    ///
    /// # Errors
    /// The first run of bytes that differ. Bytes without an expectation are not compared.
    pub fn check(&self, process: u32, addr: VirtAddr, bytes: &[u8]) -> Result<(), Box<Mismatch>> {
        let expected = |at: u64| self.byte(process, addr.wrapping_add(at));
        let differs = |(at, byte): &(u64, &u8)| expected(*at).is_some_and(|owed| owed != **byte);
        let Some((start, _)) = (0..).zip(bytes).find(differs) else { return Ok(()) };
        let rest = (start..).zip(bytes.iter().skip(usize::try_from(start).unwrap_or(usize::MAX)));
        let known = rest.map_while(|(at, byte)| Some((*byte, expected(at)?)));
        let (found, expected): (Vec<u8>, Vec<u8>) = known.unzip();
        let addr = addr.wrapping_add(start);
        let owner = self.owner(process, addr, &found);
        Err(Box::new(Mismatch { process, addr, found, expected, owner }))
    }

    /// Makes a store of the process on the CPU. Only one that succeeds counts.
    ///
    /// # Errors
    /// [`Stop`] of the CPU.
    pub fn store<U, B, P>(
        &mut self,
        process: u32,
        cpu: &mut Cpu<U, B, P>,
        addr: VirtAddr,
        bytes: &[u8],
    ) -> Result<(), Stop>
    where
        U: TranslationUnit<B, P>,
        B: Bus,
        P: Probe,
    {
        cpu.store_bytes(addr, bytes)?;
        self.expect(process, addr, bytes);
        Ok(())
    }

    /// Makes a load of the process on the CPU, and compares.
    ///
    /// # Errors
    /// [`ShadowError::Stop`] of the CPU, or [`ShadowError::Mismatch`].
    pub fn load<U, B, P>(
        &self,
        process: u32,
        cpu: &mut Cpu<U, B, P>,
        addr: VirtAddr,
        bytes: &mut [u8],
    ) -> Result<(), ShadowError>
    where
        U: TranslationUnit<B, P>,
        B: Bus,
        P: Probe,
    {
        cpu.load_bytes(addr, bytes).map_err(ShadowError::Stop)?;
        self.check(process, addr, bytes).map_err(ShadowError::Mismatch)
    }

    fn put(&mut self, process: u32, addr: VirtAddr, bytes: impl Iterator<Item = Option<u8>>) {
        let pages = self.0.entry(process).or_default();
        for (at, byte) in (0..).zip(bytes) {
            let at = addr.wrapping_add(at);
            let number = at.block(PAGE_BITS);
            // Nothing is known of a page that is not there.
            let page = match byte {
                Some(_) => Some(pages.entry(number).or_insert_with(unknown)),
                None => pages.get_mut(&number),
            };
            if let Some(held) = page.and_then(|page| page.get_mut(offset(at))) {
                *held = byte;
            }
        }
    }

    fn byte(&self, process: u32, addr: VirtAddr) -> Option<u8> {
        let page = self.0.get(&process)?.get(&addr.block(PAGE_BITS))?;
        page.get(offset(addr)).copied().flatten()
    }

    /// Another process that has these bytes at this place of some page, if they are worth telling.
    fn owner(&self, process: u32, addr: VirtAddr, bytes: &[u8]) -> Option<(u32, VirtAddr)> {
        if bytes.iter().all(|byte| *byte == 0) {
            return None;
        }
        let others = self.0.iter().filter(|(other, _)| **other != process);
        let pages = others.flat_map(|(other, pages)| pages.keys().map(move |page| (*other, *page)));
        let mut places = pages.map(|(other, page)| {
            (other, VirtAddr::new(page << PAGE_BITS | addr.offset(PAGE_BITS)))
        });
        places.find(|(other, at)| {
            (0..).zip(bytes).all(|(n, byte)| self.byte(*other, at.wrapping_add(n)) == Some(*byte))
        })
    }
}

fn unknown() -> Box<[Option<u8>]> {
    alloc::vec![None; 1 << PAGE_BITS].into_boxed_slice()
}

fn offset(addr: VirtAddr) -> usize {
    usize::try_from(addr.offset(PAGE_BITS)).unwrap_or(0)
}

/// Bytes that are not what a process should find.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// The process.
    pub process: u32,
    /// The first byte that differs.
    pub addr: VirtAddr,
    /// The bytes that it finds from there on.
    pub found: Vec<u8>,
    /// The bytes that it should find.
    pub expected: Vec<u8>,
    /// Another process, and where that has just these bytes.
    pub owner: Option<(u32, VirtAddr)>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, addr, found, expected, owner } = self;
        write!(f, "process {process} finds {found:x?} at {addr} and should find {expected:x?}")?;
        match owner {
            Some((other, at)) => write!(f, ": these are bytes of process {other}, at {at}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for Mismatch {}

/// Why a load of a process was not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ShadowError {
    /// The CPU stopped it.
    #[error("{0}")]
    Stop(Stop),
    /// It read other bytes than it should.
    #[error(transparent)]
    Mismatch(#[from] Box<Mismatch>),
}
