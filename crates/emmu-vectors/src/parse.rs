//! From a line to a vector. Fields that the format does not know are passed over.

use super::field::{Field, Problem};
use super::{
    AArch64Fault, AArch64Registers, Answer, Fault, Format, Op, Operation, PagePiece, Registers,
    RiscVRegisters, Vector, X86Registers,
};
use crate::aarch64::FaultKind;
use crate::memory::Write;
use crate::riscv::{self, Exception};
use emmu_core::{Access, AccessKind, PhysAddr, Privilege, VirtAddr};
use serde_json::Value;

/// The longest access of a vector: it touches two pages at most.
const LONGEST_ACCESS: u32 = 4096;

impl Vector {
    /// Reads one from a line's JSON.
    pub(super) fn parse(line: &Value) -> Result<Self, Problem> {
        let line = Field::document(line);
        let named = line.member("format")?;
        let format = Format::from_name(named.text()?).ok_or_else(|| named.refuse("a format"))?;
        Ok(Self {
            id: line.member("id")?.text()?.to_owned(),
            oracle: line.member("oracle")?.text()?.to_owned(),
            format,
            registers: registers(&line.member("regs")?, format)?,
            frames: optional_list(&line, "frames", frame)?,
            holes: optional_list(&line, "holes", frame)?,
            mem: line.member("mem")?.list(word)?,
            ops: line.member("ops")?.list(|item| op(item, format))?,
            mem_after: line.member("mem_after")?.list(word)?,
        })
    }
}

/// The items of the array `name`; none if it is not there.
fn optional_list<T>(
    parent: &Field<'_>,
    name: &str,
    parse: impl Fn(&Field<'_>) -> Result<T, Problem>,
) -> Result<Vec<T>, Problem> {
    parent.optional(name)?.map_or(Ok(Vec::new()), |array| array.list(parse))
}

fn registers(regs: &Field<'_>, format: Format) -> Result<Registers, Problem> {
    match format {
        Format::Sv32 | Format::Sv39 | Format::Sv48 | Format::Sv57 => riscv_registers(regs),
        Format::AArch64 { .. } => aarch64_registers(regs),
        _ => x86_registers(regs),
    }
}

fn riscv_registers(regs: &Field<'_>) -> Result<Registers, Problem> {
    Ok(Registers::RiscV(RiscVRegisters {
        satp: regs.member("satp")?.hex()?,
        mstatus: regs.member("mstatus")?.hex()?,
        menvcfg: regs.member("menvcfg")?.hex()?,
        isa: regs.member("isa")?.text()?.to_owned(),
    }))
}

fn x86_registers(regs: &Field<'_>) -> Result<Registers, Problem> {
    let cr4 = regs.member("cr4")?.hex()?;
    // PKRU has to be told only where CR4.PKE (bit 22) lets it matter.
    let pkru = match regs.optional("pkru")? {
        None if cr4 >> 22 & 1 == 0 => 0,
        _ => regs.member("pkru").and_then(|pkru| hex32(&pkru))?,
    };
    Ok(Registers::X86(X86Registers {
        cr0: regs.member("cr0")?.hex()?,
        cr3: regs.member("cr3")?.hex()?,
        cr4,
        efer: regs.member("efer")?.hex()?,
        pkru,
        maxphyaddr: regs.member("maxphyaddr")?.integer(32, 52)?,
    }))
}

fn aarch64_registers(regs: &Field<'_>) -> Result<Registers, Problem> {
    Ok(Registers::AArch64(AArch64Registers {
        ttbr0_el1: regs.member("ttbr0_el1")?.hex()?,
        ttbr1_el1: regs.member("ttbr1_el1")?.hex()?,
        tcr_el1: regs.member("tcr_el1")?.hex()?,
        sctlr_el1: regs.member("sctlr_el1")?.hex()?,
        mair_el1: regs.member("mair_el1")?.hex()?,
    }))
}

fn hex32(field: &Field<'_>) -> Result<u32, Problem> {
    u32::try_from(field.hex()?).map_err(|_| field.refuse("a hexadecimal string of 32 bits"))
}

/// The address of a 4 KiB frame.
fn frame(field: &Field<'_>) -> Result<PhysAddr, Problem> {
    match field.hex()? {
        addr if addr % 4096 == 0 => Ok(PhysAddr::new(addr)),
        _ => Err(field.refuse("an address aligned to 4096")),
    }
}

/// `["0xADDR", "0xWORD"]` for 8 bytes, `["0xADDR", "0xWORD", "4"]` for 4.
fn word(field: &Field<'_>) -> Result<Write, Problem> {
    let expected = "[address, 64-bit word], or [address, 32-bit word, \"4\"], aligned";
    let items = field.items()?;
    let (addr, value, size) = match items.as_slice() {
        [addr, value] => (addr.hex()?, value.hex()?, 8),
        [addr, value, four] if four.text()? == "4" => (addr.hex()?, hex32(value)?.into(), 4),
        _ => return Err(field.refuse(expected)),
    };
    if addr % u64::from(size) != 0 {
        return Err(field.refuse(expected));
    }
    Ok(Write { addr: PhysAddr::new(addr), size, value })
}

fn op(field: &Field<'_>, format: Format) -> Result<Op, Problem> {
    let operation = operation(field)?;
    let expect = field.member("expect")?;
    Ok(Op {
        operation,
        expect: answer(&expect, format)?,
        writes: optional_list(field, "writes", word)?,
    })
}

fn operation(field: &Field<'_>) -> Result<Operation, Problem> {
    let named = field.member("access")?;
    let kind = match named.text()? {
        "load-cr3" => return Ok(Operation::LoadCr3),
        "load" => AccessKind::Load,
        "store" => AccessKind::Store,
        "fetch" => AccessKind::Fetch,
        "amo" => AccessKind::Amo,
        _ => return Err(named.refuse("load, store, fetch, amo or load-cr3")),
    };
    let addr = VirtAddr::new(field.member("va")?.hex()?);
    let size = field.member("size")?.integer(1, LONGEST_ACCESS)?;
    Ok(Operation::Access {
        access: Access::new(kind, addr, size).with_privilege(privilege(field)?),
        ac: flag(field, "ac")?,
        pan: flag(field, "pan")?,
    })
}

fn privilege(op: &Field<'_>) -> Result<Privilege, Problem> {
    let named = op.member("priv")?;
    match named.text()? {
        "user" => Ok(Privilege::User),
        "supervisor" => Ok(Privilege::Supervisor),
        _ => Err(named.refuse("user or supervisor")),
    }
}

/// 0 or 1; 0 if it is not there.
fn flag(op: &Field<'_>, name: &str) -> Result<bool, Problem> {
    op.optional(name)?.map_or(Ok(false), |flag| Ok(flag.integer(0, 1)? == 1))
}

fn answer(expect: &Field<'_>, format: Format) -> Result<Answer, Problem> {
    let (pa, pas) = (expect.optional("pa")?, expect.optional("pas")?);
    match (pa, pas, expect.optional("fault")?) {
        (Some(pa), None, None) => Ok(Answer::Pa(PhysAddr::new(pa.hex()?))),
        (None, Some(pas), None) => Ok(Answer::Pas(pas.list(piece)?)),
        (None, None, Some(name)) => Ok(Answer::Fault(fault(expect, &name, format)?)),
        _ => Err(expect.refuse("one of pa, pas and fault")),
    }
}

/// `["0xPA", nbytes]`.
fn piece(field: &Field<'_>) -> Result<PagePiece, Problem> {
    match field.items()?.as_slice() {
        [pa, bytes] => Ok(PagePiece {
            pa: PhysAddr::new(pa.hex()?),
            bytes: bytes.integer(1, LONGEST_ACCESS)?.into(),
        }),
        _ => Err(field.refuse("[address, number of bytes]")),
    }
}

fn fault(expect: &Field<'_>, name: &Field<'_>, format: Format) -> Result<Fault, Problem> {
    match format {
        Format::Sv32 | Format::Sv39 | Format::Sv48 | Format::Sv57 => riscv_fault(expect, name),
        Format::AArch64 { .. } => aarch64_fault(expect, name),
        _ => x86_fault(expect, name),
    }
}

fn riscv_fault(expect: &Field<'_>, name: &Field<'_>) -> Result<Fault, Problem> {
    let text = name.text()?;
    let known = Exception::ALL.into_iter().find(|exception| exception.to_string() == text);
    let exception = known.ok_or_else(|| name.refuse("a RISC-V page fault or access fault"))?;
    let cause = expect.member("cause")?;
    if u64::from(cause.integer(0, u32::MAX)?) != exception.code() {
        return Err(cause.refuse(&format!("{}, the code of {exception}", exception.code())));
    }
    Ok(Fault::RiscV(riscv::Fault { exception, tval: expect.member("tval")?.hex()? }))
}

fn x86_fault(expect: &Field<'_>, name: &Field<'_>) -> Result<Fault, Problem> {
    let code = expect.member("code")?.hex()?;
    match name.text()? {
        "page-fault" => Ok(Fault::PageFault { code, addr: expect.member("addr")?.hex()? }),
        "general-protection" => Ok(Fault::GeneralProtection { code }),
        _ => Err(name.refuse("page-fault or general-protection")),
    }
}

fn aarch64_fault(expect: &Field<'_>, name: &Field<'_>) -> Result<Fault, Problem> {
    let kind = match name.text()? {
        "translation" => FaultKind::Translation,
        "access-flag" => FaultKind::AccessFlag,
        "permission" => FaultKind::Permission,
        "address-size" => FaultKind::AddressSize,
        _ => return Err(name.refuse("translation, access-flag, permission or address-size")),
    };
    let level = expect.member("level")?.integer(0, 3)?;
    let fsc = expect.member("fsc")?;
    if fsc.hex()? != kind.status_code(level) {
        return Err(fsc.refuse("the status code of this fault and level"));
    }
    let esr = Some(expect.member("esr")?.hex()?);
    Ok(Fault::AArch64(AArch64Fault { kind, level, esr, far: expect.member("far")?.hex()? }))
}
