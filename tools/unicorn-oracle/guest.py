"""A Unicorn machine that performs one instruction at a time, and tells how it ended."""

import struct

from unicorn import (
    UC_CTL_IO_WRITE,
    UC_CTL_TLB_FLUSH,
    UC_HOOK_CODE,
    UC_HOOK_INTR,
    UC_HOOK_MEM_FETCH_PROT,
    UC_HOOK_MEM_UNMAPPED,
    UC_PROT_READ,
    UC_PROT_WRITE,
    Uc,
    UcError,
)

# The page that the instructions under test are in. Translation is off when they are fetched.
CODE = 0x5A5A_0000
TABLE_FRAMES = 48


class Guest:
    """Physical memory is mapped only where page tables are (and the code), so an access that gets through the
    tables runs into nothing, and the emulator reports the physical address that it came to. Nothing can be fetched
    from the frames of page tables, whose words are no instructions: the emulator reports a fetch from them, too."""

    def __init__(self, arch, mode, model, code):
        self.uc = Uc(arch, mode)
        self.uc.ctl_set_cpu_model(model)
        self.uc.ctl_exits_enabled(True)  # run until told to stop, not up to an address
        self.uc.mem_map(CODE, 0x1000)
        self.uc.mem_write(CODE, code)
        self.uc.hook_add(UC_HOOK_CODE, self._on_instruction)
        self.uc.hook_add(UC_HOOK_INTR, self._on_exception)
        self.uc.hook_add(UC_HOOK_MEM_UNMAPPED | UC_HOOK_MEM_FETCH_PROT, self._on_refused)
        self.before = None
        self.outcome = None

    def map_frames(self, draw, frame_bits, phys_bits):
        """Frames for page tables, anywhere in physical memory."""
        numbers = {draw.randrange(1, 1 << (phys_bits - frame_bits)) for _ in range(TABLE_FRAMES)}
        frames = sorted(number << frame_bits for number in numbers - {CODE >> frame_bits})
        for frame in frames:
            self.uc.mem_map(frame, 1 << frame_bits, UC_PROT_READ | UC_PROT_WRITE)
        return frames

    def write(self, words, size):
        for addr, word in words.items():
            self.uc.mem_write(addr, word.to_bytes(size, "little"))

    def read(self, addrs, size):
        return {addr: int.from_bytes(self.uc.mem_read(addr, size), "little") for addr in addrs}

    def step(self, pc, before):
        """Performs the instruction at `pc`; `before` is called when it has been fetched. With None in its place
        the fetch itself is the point: the instruction is not performed.

        ("pa", address) if it got through to memory, ("exception", number, CPU state), or None if it came to
        memory that is mapped.
        """
        self.before, self.outcome = before, None
        self.uc.ctl(UC_CTL_TLB_FLUSH, UC_CTL_IO_WRITE)
        try:
            self.uc.emu_start(pc, 0, count=1)
        except UcError:
            pass  # the hooks know why
        return self.outcome

    def _on_instruction(self, uc, addr, size, data):
        if self.before is None:
            uc.emu_stop()
        else:
            self.before()

    def _on_exception(self, uc, number, data):
        if self.outcome is None:
            self.outcome = ("exception", number, bytes(uc.context_save()))
        uc.emu_stop()

    def _on_refused(self, uc, kind, addr, size, value, data):
        if self.outcome is None:
            self.outcome = ("pa", addr)
        return False


def find_field(states, values, layout):
    """Where, in saved CPU states, a field is that held these values: no register gives it."""
    found = [
        at
        for at in range(0, len(states[0]) - struct.calcsize(layout), 4)
        if [struct.unpack_from(layout, state, at)[0] for state in states] == values
    ]
    if len(found) != 1:
        raise SystemExit(f"this version of unicorn does not show what an exception tells: {found}")
    return found[0]
