"""x86: 32-bit, PAE, 4-level and 5-level paging."""

import struct

import unicorn.x86_const as x86
from unicorn import UC_ARCH_X86, UC_MODE_32, UC_MODE_64

from draw import Tables
from guest import CODE, Guest, find_field

MAXPHYADDR = 40  # of the emulator's processors
EFER = 0xC000_0080
SCE, LME, LMA, NXE = 1 << 0, 1 << 8, 1 << 10, 1 << 11
PE_ET, WP, PG = 0x11, 1 << 16, 1 << 31
PSE, PAE, PGE, LA57, PCIDE, SMEP, SMAP, PKE = (1 << bit for bit in (4, 5, 7, 12, 17, 20, 21, 22))
P, RW, US, PWT_PCD, A, D, PS, XD = 1 << 0, 1 << 1, 1 << 2, 3 << 3, 1 << 5, 1 << 6, 1 << 7, 1 << 63

# (lowest index bit, index bits) of each level, the last one's first.
NINE = [(12, 9), (21, 9), (30, 9), (39, 9), (48, 9)]
LEVELS = {
    "x86-32": [(12, 10), (22, 10)],
    "x86-pae": [(12, 9), (21, 9), (30, 2)],
    "x86-64-4level": NINE[:4],
    "x86-64-5level": NINE,
}
FORMATS = list(LEVELS)

# What is done by which instruction, with the address in (R|E)BX.
OPERATIONS = {
    ("load", 1): "8a03",
    ("load", 2): "668b03",
    ("load", 4): "8b03",
    ("load", 8): "488b03",
    ("store", 1): "8803",
    ("store", 2): "668903",
    ("store", 4): "8903",
    ("store", 8): "488903",
    ("sysret", 4): "0f07",
    ("sysret", 8): "480f07",
    ("wrpkru", 4): "0f01ef",
}
SLOT = 16


def slot(access, size):
    return CODE + SLOT * list(OPERATIONS).index((access, size))


class Oracle:
    """One format's tables, and the machine that walks them."""

    def __init__(self, name, draw):
        self.name, self.levels = name, LEVELS[name]
        self.long = name.startswith("x86-64")
        self.size = 4 if name == "x86-32" else 8
        code = b"".join(bytes.fromhex(code).ljust(SLOT, b"\x90") for code in OPERATIONS.values())
        mode = UC_MODE_64 if self.long else UC_MODE_32
        self.guest = Guest(UC_ARCH_X86, mode, x86.UC_CPU_X86_ICELAKE_SERVER, code)
        self.uc = self.guest.uc
        self.roots = self.guest.map_frames(draw, 12, MAXPHYADDR if self.long else 32)
        self.frames = self.roots if self.size == 4 else self.guest.map_frames(draw, 12, MAXPHYADDR)
        self.contexts = self._contexts()
        self.code_at = self._find_error_code(draw)

    # -- the machine ---------------------------------------------------------------------------------------

    def _contexts(self):
        """The state at CPL 0, paging off, and the same after a return to CPL 3."""
        supervisor = self.uc.context_save()
        efer = self.uc.reg_read(x86.UC_X86_REG_MSR, EFER)
        self.uc.reg_write(x86.UC_X86_REG_MSR, (EFER, efer | SCE))
        self.uc.reg_write(x86.UC_X86_REG_RCX if self.long else x86.UC_X86_REG_ECX, CODE)
        self.guest.step(slot("sysret", 8 if self.long else 4), lambda: None)
        assert self.uc.reg_read(x86.UC_X86_REG_CS) & 3 == 3
        return {"supervisor": supervisor, "user": self.uc.context_save()}

    def _find_error_code(self, draw):
        """Page faults of empty tables, whose error codes are known: bit 1 is a write, bit 2 user mode."""
        faults = [
            ("supervisor", "load", 0),
            ("user", "store", 6),
            ("user", "load", 4),
            ("supervisor", "store", 2),
        ]
        regs = {**self.draw_registers(draw), "cr0": PE_ET | PG}
        states = []
        for priv, access, _ in faults:
            op = {"access": access, "priv": priv, "va": "0x1000", "size": 4}
            states.append(self._step(regs, op)[2])
        return find_field(states, [code for _, _, code in faults], "<I")

    def _step(self, regs, op):
        uc, va = self.uc, int(op["va"], 16)
        uc.context_restore(self.contexts[op["priv"]])
        uc.reg_write(x86.UC_X86_REG_MSR, (EFER, regs["efer"]))
        uc.reg_write(x86.UC_X86_REG_CR4, regs["cr4"] & ~PCIDE)  # which the emulator does not have
        if "pkru" in regs:
            self._write_pkru(regs["pkru"])
        uc.reg_write(x86.UC_X86_REG_EFLAGS, 2 | op.get("ac", 0) << 18)
        uc.reg_write(x86.UC_X86_REG_CR3, regs["cr3"])
        turn_on = lambda: uc.reg_write(x86.UC_X86_REG_CR0, regs["cr0"])
        if op["access"] == "fetch":
            turn_on()
            return self.guest.step(va, None)
        uc.reg_write(x86.UC_X86_REG_RBX if self.long else x86.UC_X86_REG_EBX, va)
        return self.guest.step(slot(op["access"], op["size"]), turn_on)

    def _write_pkru(self, pkru):
        self.uc.reg_write(x86.UC_X86_REG_RAX, pkru)
        self.uc.reg_write(x86.UC_X86_REG_RCX, 0)
        self.uc.reg_write(x86.UC_X86_REG_RDX, 0)
        self.guest.step(slot("wrpkru", 4), lambda: None)

    def perform(self, regs, op):
        """What the operation comes to, as a vector's `expect`; None if the answer cannot be told."""
        match self._step(regs, op):
            case ("pa", addr):
                return {"pa": hex(addr)}
            case ("exception", 14, state):
                (code,) = struct.unpack_from("<I", state, self.code_at)
                return {"fault": "page-fault", "code": hex(code), "addr": hex(self.uc.reg_read(x86.UC_X86_REG_CR2))}
            case ("exception", 13, _):
                return {"fault": "general-protection", "code": "0x0"}
        return None

    # -- the cases -----------------------------------------------------------------------------------------

    def format_of(self, regs):
        return self.name

    def draw_registers(self, draw):
        flag, root = draw.flag, draw.choice(self.roots)
        cr4 = flag(0.5, PGE) | flag(0.4, SMEP) | flag(0.4, SMAP) | flag(0.75, PSE)
        efer = flag(0.75, NXE)
        cr3 = root | draw.getrandbits(2) << 3
        if self.size == 8:
            cr4 |= PAE
        if self.long:
            cr4 |= flag(0.3, PKE) | flag(0.2, PCIDE) | (LA57 if len(self.levels) == 5 else 0)
            efer |= LME | LMA
            cr3 |= flag(0.3, draw.bits(11, 0))
        elif self.size == 8:
            cr3 = root | draw.bits(11, 0)
        regs = {"cr0": PE_ET | PG | flag(0.6, WP), "cr3": cr3, "cr4": cr4, "efer": efer}
        if cr4 & PKE:
            regs["pkru"] = draw.getrandbits(32) & draw.getrandbits(32)
        return {**regs, "maxphyaddr": MAXPHYADDR}

    def draw_case(self, draw):
        """Registers, page-table words, and the virtual addresses that the tables are about."""
        regs, tables, anchors = self.draw_registers(draw), Tables(draw, self.frames, self.size), []
        root = regs["cr3"] & (0xFFFF_FFE0 if self.name == "x86-pae" else ~0xFFF)
        for _ in range(draw.randint(2, 6)):
            va = draw.address(self.levels, anchors)
            tables.plant(root, self.levels, va, lambda level: self._entry(draw, level, regs, tables))
            anchors.append(va)
        return regs, tables.words, anchors

    def _entry(self, draw, level, regs, tables):
        """An entry, and the table that it points to, if it does."""
        largest = {"x86-32": 1 if regs["cr4"] & PSE else 0, "x86-pae": 1}.get(self.name, 2)
        if level == 0 or level <= largest and draw.random() < 0.3:
            bits, _ = self.levels[level]
            page = tables.page(bits, lambda: self._page(draw, bits)) | draw.bits(11, 8)
            size = PS if level > 0 else draw.flag(0.2, PS)  # at the last level it is PAT
            return self._flags(draw, level, True) | page | size, None
        table = tables.table(level)
        if self.name == "x86-pae" and level == 2:
            return draw.flag(0.92, P) | draw.bits(4, 3) | draw.bits(11, 9) | table, table
        return self._flags(draw, level, False) | draw.bits(11, 9) | table, table

    def _page(self, draw, bits):
        if bits == 22:  # of a 4 MiB page, bits 39:32 are in 20:13
            return draw.bits(31, 22) | draw.flag(0.5, draw.bits(20, 13)) | draw.bits(12, 12)
        top = 31 if self.size == 4 else MAXPHYADDR - 1
        return draw.bits(top, bits) | (draw.bits(12, 12) if bits > 12 else 0)

    def _flags(self, draw, level, leaf):
        flag = draw.flag
        raw = flag(0.97, P) | flag(0.85, RW) | flag(0.85, US) | flag(0.5, A) | flag(0.5, D) | flag(0.3, PWT_PCD)
        if self.size == 8:
            raw |= flag(0.15, XD)
        if self.long:
            raw |= draw.bits(62, 52)  # ignored, and of a leaf the protection key
        return raw | flag(0.06 if self.size == 8 else 0.2, self._reserved(draw, level, leaf))

    def _reserved(self, draw, level, leaf):
        """A bit that is reserved in this entry, or one next to it."""
        if self.size == 4:
            return 1 << 21 if leaf and level == 1 else 0
        bits = [40, 51, draw.randint(40, 51), 62 if self.name == "x86-pae" else 52]
        if leaf and level > 0:
            bits += [13, self.levels[level][0] - 1]
        elif level >= 3:
            bits += [7, 7]
        return 1 << draw.choice(bits)

    def draw_op(self, draw, anchors):
        access = draw.choice(["load", "store", "fetch"])
        size = 1 if access == "fetch" else draw.choice([1, 2, 4, 8] if self.long else [1, 2, 4])
        va = draw.choice(anchors) ^ draw.bits(draw.choice([11] * 8 + [20, 29]), 0) & ~(size - 1)
        if self.long:
            top = sum(self.levels[-1])
            va |= (1 << 64) - (1 << top) if va >> (top - 1) & 1 else 0
            va ^= draw.flag(0.04, 1 << draw.choice([63, 62, top, top - 1, draw.randint(top, 63)]))
        op = {"access": access, "priv": draw.choice(["user", "supervisor"]), "va": hex(va), "size": size}
        return {**op, **({"ac": 1} if draw.random() < 0.25 else {})}
