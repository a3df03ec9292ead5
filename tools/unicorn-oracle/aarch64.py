"""AArch64: stage 1 of the EL1&0 regime."""

import struct

import unicorn.arm64_const as arm64
from unicorn import UC_ARCH_ARM64, UC_MODE_ARM

from draw import Tables
from guest import CODE, Guest, find_field

PHYS_BITS = 48
# Frames fit every granule.
FRAME_BITS = 16

# Granule: log2 of its bytes, TCR_EL1.TG0 and TG1, and the levels at which a block may stand (0 is the last).
GRANULES = {"4k": (12, 0b00, 0b10, (1, 2)), "16k": (14, 0b10, 0b01, (1,)), "64k": (16, 0b01, 0b11, (1,))}
FORMATS = [f"aarch64-{name}" for name in GRANULES]

# (op0, op1, CRn, CRm, op2)
REGISTERS = {
    "ttbr0_el1": (3, 0, 2, 0, 0),
    "ttbr1_el1": (3, 0, 2, 0, 1),
    "tcr_el1": (3, 0, 2, 0, 2),
    "mair_el1": (3, 0, 10, 2, 0),
    "sctlr_el1": (3, 0, 1, 0, 0),  # the last: it turns the MMU on
}
SCR_EL3, HCR_EL2, SPSR, ELR = (3, 6, 1, 1, 0), (3, 4, 1, 1, 0), (3, 0, 4, 0, 0), (3, 0, 4, 0, 1)
SCTLR_RES1, SCTLR_M, SCTLR_WXN = 0xC5_0838, 1 << 0, 1 << 19
IPS_48 = 5 << 32
PSTATE = {"user": 0x3C0, "supervisor": 0x3C5}
AF, CONTIGUOUS, PXN, UXN = 1 << 10, 1 << 52, 1 << 53, 1 << 54

# Each access by W0 or X0, with its address in X1.
OPERATIONS = {
    ("load", 1): 0x39400020,
    ("load", 2): 0x79400020,
    ("load", 4): 0xB9400020,
    ("load", 8): 0xF9400020,
    ("store", 1): 0x39000020,
    ("store", 2): 0x79000020,
    ("store", 4): 0xB9000020,
    ("store", 8): 0xF9000020,
    ("load-beside", 4): 0xB8404020,  # at X1 + 4: an address that no register holds
    ("eret", 0): 0xD69F03E0,
}
FAULTS = ["address-size", "translation", "access-flag", "permission"]


def slot(access, size):
    return CODE + 4 * list(OPERATIONS).index((access, size))


class Half:
    """One half of the address space: its number, and what TCR_EL1 says of it."""

    def __init__(self, draw, number, granule):
        self.number, self.granule = number, granule
        self.page_bits, _, _, self.blocks = GRANULES[granule]
        self.txsz = draw.choice([16, 17, 25, 28, draw.randint(16, 39), draw.randint(16, 39)])
        self.top, stride = 64 - self.txsz, self.page_bits - 3
        lows = range(self.page_bits, self.top, stride)
        self.levels = [(low, min(stride, self.top - low)) for low in lows]
        self.walk_disabled = draw.random() < 0.08
        self.ignores_top_byte = draw.random() < 0.4
        self.no_hierarchy = draw.random() < 0.3

    def tcr(self):
        epd, tg, tbi, hpd = ((7, 14, 37, 41), (23, 30, 38, 42))[self.number]
        return (
            self.txsz << 16 * self.number
            | self.walk_disabled << epd
            | GRANULES[self.granule][1 + self.number] << tg
            | self.ignores_top_byte << tbi
            | self.no_hierarchy << hpd
        )


class Oracle:
    """One granule's tables, and the machine that walks them."""

    def __init__(self, name, draw):
        self.name, self.size = name, 8
        self.granule = name.removeprefix("aarch64-")
        code = b"".join(struct.pack("<I", word) for word in OPERATIONS.values())
        self.guest = Guest(UC_ARCH_ARM64, UC_MODE_ARM, arm64.UC_CPU_ARM64_MAX, code)
        self.uc = self.guest.uc
        self.frames = self.guest.map_frames(draw, FRAME_BITS, PHYS_BITS)
        self._write(SCR_EL3, 0x401)  # EL2 is AArch64, and not secure
        self._write(HCR_EL2, 1 << 31)  # EL1 is AArch64
        self.contexts = {(priv, pan): self._context(priv, pan) for priv in PSTATE for pan in (0, 1)}
        self.far_at, self.syndrome_at = self._find_syndrome()

    # -- the machine ---------------------------------------------------------------------------------------

    def _write(self, register, value):
        op0, op1, crn, crm, op2 = register
        self.uc.reg_write(arm64.UC_ARM64_REG_CP_REG, (crn, crm, op0, op1, op2, value))

    def _context(self, priv, pan):
        """The state after an exception return, MMU off: writing PSTATE alone leaves the emulator behind."""
        self.uc.reg_write(arm64.UC_ARM64_REG_PSTATE, PSTATE["supervisor"])
        self._write(SPSR, PSTATE[priv] | pan << 22)
        self._write(ELR, CODE)
        self.guest.step(slot("eret", 0), lambda: None)
        return self.uc.context_save()

    def _find_syndrome(self):
        """Two aborts of empty tables, whose ESR is known: EC, IL, and a translation fault at level 0."""
        tcr = IPS_48 | 25 << 16 | 16
        regs = {"ttbr0_el1": self.frames[0], "ttbr1_el1": 0, "tcr_el1": tcr, "mair_el1": 0}
        regs["sctlr_el1"] = SCTLR_RES1 | SCTLR_M
        faults = [("supervisor", 0x1234_5678, 0x9600_0004), ("user", 0x8765_4320, 0x9200_0004)]
        states = []
        for priv, va, _ in faults:
            op = {"access": "load-beside", "priv": priv, "va": hex(va), "size": 4}
            states.append(self._step(regs, op)[2])
        far = find_field(states, [va + 4 for _, va, _ in faults], "<Q")
        return far, find_field(states, [esr for _, _, esr in faults], "<I")

    def _step(self, regs, op):
        uc = self.uc
        uc.context_restore(self.contexts[op["priv"], op.get("pan", 0)])
        va = int(op["va"], 16)

        def turn_on():
            for name, register in REGISTERS.items():
                self._write(register, regs[name])

        if op["access"] == "fetch":
            turn_on()
            return self.guest.step(va, None)
        uc.reg_write(arm64.UC_ARM64_REG_X1, va)
        return self.guest.step(slot(op["access"], op["size"]), turn_on)

    def perform(self, regs, op):
        """What the operation comes to, as a vector's `expect`; None if the answer cannot be told."""
        match self._step(regs, op):
            case ("pa", addr):
                return {"pa": hex(addr)}
            case ("exception", 3 | 4, state):
                (far,) = struct.unpack_from("<Q", state, self.far_at)
                (esr,) = struct.unpack_from("<I", state, self.syndrome_at)
                fsc = esr & 0x3F
                if fsc >> 2 >= len(FAULTS):
                    return None
                fault = {"fault": FAULTS[fsc >> 2], "level": fsc & 3, "fsc": hex(fsc)}
                return {**fault, "esr": hex(esr), "far": hex(far)}
        return None

    # -- the cases -----------------------------------------------------------------------------------------

    def format_of(self, regs):
        return f"{self.name}-{64 - (regs['tcr_el1'] & 0x3F)}"

    def draw_case(self, draw):
        """Registers, page-table words, and the virtual addresses that the tables are about."""
        upper = self.granule if draw.random() < 0.7 else draw.choice(list(GRANULES))
        halves = [Half(draw, 0, self.granule), Half(draw, 1, upper)]
        tables, anchors = Tables(draw, self.frames, self.size), []
        roots = [tables.table("ttbr0"), tables.table("ttbr1")]
        regs = {
            "ttbr0_el1": roots[0] | draw.bits(63, 48),
            "ttbr1_el1": roots[1] | draw.bits(63, 48),
            "tcr_el1": halves[0].tcr() | halves[1].tcr() | IPS_48 | draw.bits(36, 36) | draw.bits(22, 22),
            "mair_el1": 0xFF44_0C04_00BB_04FF,
            "sctlr_el1": SCTLR_RES1 | SCTLR_M | draw.flag(0.3, SCTLR_WXN),
        }
        for _ in range(draw.randint(2, 6)):
            half = draw.choice(halves)
            va = draw.address(half.levels, [va for at, va in anchors if at is half])
            entry = lambda level: self._descriptor(draw, half, level, tables)
            tables.plant(roots[half.number], half.levels, va, entry)
            anchors.append((half, va))
        return regs, tables.words, anchors

    def _descriptor(self, draw, half, level, tables):
        """A descriptor, and the table that it points to, if it does."""
        if level > 0 and not (level in half.blocks and draw.random() < 0.3):
            table = tables.table((half.granule, level))
            kind = draw.choice([3] * 30 + [0, 2])
            ignored = draw.bits(58, 51) | draw.bits(half.page_bits - 1, 2)
            return table | kind | ignored | draw.flag(0.2, 1 << draw.randint(59, 63)), table
        low = half.levels[level][0]
        page = tables.page(low, lambda: draw.bits(PHYS_BITS - 1, low))
        kind = draw.choice([3] * 30 + [0, 1, 2] if level == 0 else [1] * 30 + [0])
        low_bits = draw.bits(11, 11) | draw.flag(0.93, AF) | draw.bits(9, 2)  # nG, SH, AP, NS, AttrIndx
        high_bits = draw.bits(58, 55) | draw.flag(0.2, UXN) | draw.flag(0.2, PXN) | draw.bits(51, 51)
        return page | kind | low_bits | high_bits | draw.flag(0.1, CONTIGUOUS), None

    def draw_op(self, draw, anchors):
        half, va = draw.choice(anchors)
        access = draw.choice(["load", "store", "fetch"])
        size = 4 if access == "fetch" else draw.choice([1, 2, 4, 8])
        va ^= draw.bits(draw.choice([half.page_bits - 1] * 8 + [20, 29]), 0)
        va = va & (1 << half.top) - 1 & ~(size - 1)
        if half.number == 1:
            va |= (1 << 64) - (1 << half.top)
        if half.ignores_top_byte and access != "fetch":  # a program counter never holds a tag
            va ^= draw.bits(63, 56)
        else:
            va ^= draw.flag(0.04, 1 << draw.choice([63, half.top, draw.randint(half.top, 63)]))
        op = {"access": access, "priv": draw.choice(["user", "supervisor"]), "va": hex(va), "size": size}
        return {**op, **({"pan": 1} if draw.random() < 0.25 else {})}
