//! Any access over any pieces gives the same result as its bytes one by one.

use crate::machine::{DEVICE, Doorbell, HANDLER, HOLE, PAGE, RAM, ROM, memory};
use emmu_core::{
    Access, AccessKind, Bus, Cause, Fault, Invalidate, PhysAddr, Privilege, RegisterError,
    RegisterId, RegisterInfo, Registers, Transfer, Translation, TranslationUnit, VirtAddr, Width,
};
use emmu_cpu::{Cpu, Exception, Stop};
use emmu_memory::Memory;
use emmu_property::{Arbitrary, Gen, quickcheck};

/// A run of bytes that is contiguous on the bus.
#[derive(Clone, Copy, Debug)]
struct Patch {
    len: u64,
    /// The physical address; `None` if nothing is mapped.
    addr: Option<u64>,
    writable: bool,
}

impl Arbitrary for Patch {
    fn arbitrary(g: &mut Gen) -> Self {
        let places = [RAM + 8, RAM + 100, RAM + 16 * PAGE - 20, ROM + PAGE - 9, HOLE];
        let place =
            g.choose(&places).copied().map(|place| place + u64::from(u8::arbitrary(g) % 16));
        let mapped = u8::arbitrary(g) % 8 > 0;
        Self {
            len: u64::from(u8::arbitrary(g) % 12) + 1,
            addr: place.filter(|_| mapped),
            writable: u8::arbitrary(g) % 8 > 0,
        }
    }
}

/// Patches from virtual address 0 on. Nothing is mapped behind them.
#[derive(Clone, Debug)]
struct Patchwork {
    patches: Vec<Patch>,
    /// Breaks the contract of units: the unit returns a span of 0 for every byte.
    stingy: bool,
}

impl Arbitrary for Patchwork {
    fn arbitrary(g: &mut Gen) -> Self {
        Self { patches: Arbitrary::arbitrary(g), stingy: u8::arbitrary(g) % 8 == 0 }
    }
    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let stingy = self.stingy;
        Box::new(self.patches.shrink().map(move |patches| Self { patches, stingy }))
    }
}

impl Patchwork {
    /// Returns the physical address of the byte, and the length of the patch from there on.
    fn find(&self, access: Access) -> Result<(u64, u64), Cause> {
        let mut into = access.addr.raw();
        for patch in &self.patches {
            if into < patch.len {
                let start = patch.addr.ok_or(Cause::Absent)?;
                let permitted = patch.writable || !access.kind.writes();
                let found = (start + into, patch.len - into);
                return if permitted { Ok(found) } else { Err(Cause::Permission) };
            }
            into -= patch.len;
        }
        Err(Cause::Bounds)
    }
}

impl Registers for Patchwork {
    fn registers(&self) -> &'static [RegisterInfo] {
        &[]
    }
    fn read_register(&self, id: RegisterId) -> Result<u64, RegisterError> {
        Err(RegisterError::Unknown { id })
    }
}

impl<B: ?Sized, P: ?Sized> TranslationUnit<B, P> for Patchwork {
    fn translate(&mut self, access: Access, bus: &mut B, _: &mut P) -> Result<Translation, Fault> {
        TranslationUnit::<B, P>::peek(self, access, bus)
    }
    fn peek(&self, access: Access, _: &B) -> Result<Translation, Fault> {
        let (addr, span) = self.find(access).map_err(|cause| Fault::new(access, cause))?;
        Ok(Translation::new(PhysAddr::new(addr), if self.stingy { 0 } else { span }))
    }
    fn write_register(
        &mut self,
        id: RegisterId,
        _: u64,
        _: &mut B,
        _: &mut P,
    ) -> Result<(), RegisterError> {
        Err(RegisterError::Unknown { id })
    }
    fn invalidate(&mut self, _: Invalidate) {}
}

/// Performs an access byte by byte: translates all, asks the bus about all, and then moves them with `each`.
fn byte_by_byte(
    unit: &Patchwork,
    memory: &mut Memory,
    access: Access,
    mut each: impl FnMut(&mut Memory, usize, PhysAddr),
) -> Result<(), Fault> {
    let transfer = if access.kind.writes() { Transfer::Write } else { Transfer::Read };
    let bytes = (0..u64::from(access.size)).map(|at| access.at(access.addr.wrapping_add(at), 1));
    let fault = |byte: Access, cause| Fault::new(byte, cause).within(access);
    let places: Vec<_> = bytes
        .map(|byte| match unit.find(byte) {
            Ok((addr, _)) => Ok((byte, PhysAddr::new(addr))),
            Err(cause) => Err(fault(byte, cause)),
        })
        .collect::<Result<_, _>>()?;
    for &(byte, addr) in &places {
        memory.check(addr, 1, transfer).map_err(|error| fault(byte, Cause::Bus(error)))?;
    }
    places.into_iter().enumerate().for_each(|(at, (_, addr))| each(memory, at, addr));
    Ok(())
}

/// Makes a CPU over memory in which neighbouring bytes differ.
fn cpu(unit: Patchwork) -> Cpu<Patchwork, Memory> {
    let mut memory = memory();
    for (start, len) in PLACES {
        let junk: Vec<u8> = (0..=250).cycle().take(len).collect();
        memory.load(PhysAddr::new(start), &junk).expect("there is memory");
    }
    let mut cpu = Cpu::new(unit, memory);
    cpu.install_handler(HANDLER).expect("the CPU boots in supervisor mode");
    cpu
}

fn trapped(fault: Fault) -> Stop {
    Stop::Trap(Exception::Fault(fault))
}

/// The places where patches can be.
const PLACES: [(u64, usize); 3] = [(RAM, 256), (RAM + 16 * PAGE - 64, 64), (ROM + PAGE - 64, 64)];

fn contents(memory: &Memory) -> Vec<u64> {
    let bytes = PLACES.iter().flat_map(|&(start, len)| (start..).take(len));
    bytes.map(|at| memory.peek(PhysAddr::new(at), Width::B1).expect("there is memory")).collect()
}

quickcheck! {
    fn a_read_is_the_read_of_its_bytes(unit: Patchwork, start: u8, len: u8) -> bool {
        let mut cpu = cpu(unit.clone());
        let access = Access::load(VirtAddr::new(start.into()), u32::from(len) + 1);
        let mut expected = vec![0; usize::from(len) + 1];
        let naive = byte_by_byte(&unit, &mut cpu.bus().clone(), access, |memory, at, addr| {
            let byte = memory.peek(addr, Width::B1).expect("the byte was asked for");
            expected[at] = byte.to_le_bytes()[0];
        });
        let mut read = vec![0; expected.len()];
        let peeked = cpu.peek(access.addr, &mut read);
        let peeks_right = peeked.is_ok() == naive.is_ok() && (peeked.is_err() || read == expected);
        let result = cpu.load_bytes(access.addr, &mut read);
        peeks_right && result == naive.map_err(trapped) && (result.is_err() || read == expected)
    }

    fn a_write_is_the_write_of_its_bytes_or_none(unit: Patchwork, start: u8, len: u8) -> bool {
        let mut cpu = cpu(unit.clone());
        let access = Access::store(VirtAddr::new(start.into()), u32::from(len) + 1);
        let bytes: Vec<u8> = (0..=len).map(|at| at ^ 0xa5).collect();
        let mut memory = cpu.bus().clone();
        let naive = byte_by_byte(&unit, &mut memory, access, |memory, at, addr| {
            memory.write(addr, Width::B1, bytes[at].into()).expect("the byte was asked for");
        });
        cpu.store_bytes(access.addr, &bytes) == naive.map_err(trapped) && contents(cpu.bus()) == contents(&memory)
    }

    fn a_number_is_the_number_of_its_bytes(unit: Patchwork, start: u8, width: u8) -> bool {
        let mut cpu = cpu(unit.clone());
        let width = Width::ALL[usize::from(width % 4)];
        let access = Access::new(AccessKind::Fetch, VirtAddr::new(start.into()), width as u32);
        let mut expected = 0;
        let naive = byte_by_byte(&unit, &mut cpu.bus().clone(), access, |memory, at, addr| {
            expected |= memory.peek(addr, Width::B1).expect("the byte was asked for") << (8 * at);
        });
        cpu.fetch(access.addr, width) == naive.map(|()| expected).map_err(trapped)
    }

    fn an_exchange_in_pieces_is_both_ways_or_none(unit: Patchwork, start: u8, user: bool) -> bool {
        let mut cpu = cpu(unit.clone());
        cpu.set_privilege(if user { Privilege::User } else { Privilege::Supervisor });
        let access = Access::amo(VirtAddr::new(u64::from(start) & !7), 8);
        let access = access.with_privilege(cpu.privilege());
        let mut memory = cpu.bus().clone();
        let mut old = 0;
        let naive = byte_by_byte(&unit, &mut memory.clone(), access, |memory, at, addr| {
            old |= memory.peek(addr, Width::B1).expect("the byte was asked for") << (8 * at);
        });
        let naive = naive.and_then(|()| byte_by_byte(&unit, &mut memory, access, |memory, at, addr| {
            memory.write(addr, Width::B1, !old >> (8 * at)).expect("the byte was asked for");
        }));
        let result = cpu.amo(access.addr, Width::B8, |old| !old);
        match (result, naive) {
            (Ok(value), Ok(())) => value == old && contents(cpu.bus()) == contents(&memory),
            // The test leaves open which of the two transfers the bus refuses first.
            (Err(stop), Err(fault)) => stop.fault().map(|fault| fault.access) == Some(fault.access),
            _ => false,
        }
    }
}

#[test]
fn an_exchange_that_is_refused_elsewhere_does_not_read_a_device() {
    for place in [ROM, HOLE] {
        let patch = |addr| Patch { len: 4, addr: Some(addr), writable: true };
        let patches = vec![patch(DEVICE), patch(place)];
        let mut cpu = cpu(Patchwork { patches, stingy: false });
        let fault = cpu.amo(VirtAddr::new(0), Width::B8, |old| old).unwrap_err().fault().unwrap();
        assert_eq!(fault.addr, VirtAddr::new(4));
        let doorbell: Option<&Doorbell> = cpu.bus().device(PhysAddr::new(DEVICE));
        assert_eq!(doorbell, Some(&Doorbell::default()));
    }
}
