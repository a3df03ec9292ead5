"""Random page tables, biased to what goes wrong."""

import random


class Draw(random.Random):
    """Random choices, as tables and registers need them."""

    def flag(self, odds, value):
        return value if self.random() < odds else 0

    def bits(self, high, low):
        """Random bits `high` to `low` of a word."""
        return self.getrandbits(high - low + 1) << low

    def index(self, bits):
        """An index into a table of 2^bits entries; its ends and its middle are likely."""
        last = (1 << bits) - 1
        return self.choice([0, last, last // 2, last // 2 + 1, self.randint(0, last), self.randint(0, last)])

    def address(self, levels, anchors):
        """A virtual address: one like no other, or some way down beside an earlier one, to share its tables."""
        va, redrawn = 0, len(levels)
        if anchors and self.random() < 0.6:
            va, redrawn = self.choice(anchors), self.randint(1, len(levels))
        for low, bits in levels[:redrawn]:
            va = va & ~(((1 << bits) - 1) << low) | self.index(bits) << low
        return va


class Tables:
    """The words of page tables, and the frames that they are in."""

    def __init__(self, draw, frames, entry_size):
        self.draw, self.entry_size = draw, entry_size
        self.words = {}
        self._spare = draw.sample(frames, len(frames))
        self._below = {}  # the table that an entry points to, if it does, by the entry's address
        self._known = {}  # tables and pages to be used again, by what they are

    def plant(self, root, levels, va, entry):
        """Walks down for `va` from `root`, and draws each entry that is not there yet.

        `levels` are (lowest index bit, index bits), the last level's first; `entry(level)` gives a word and the
        table that it points to, if it does.
        """
        table = root
        for level in reversed(range(len(levels))):
            low, bits = levels[level]
            at = table + (va >> low & (1 << bits) - 1) * self.entry_size
            if at not in self.words:
                self.words[at], self._below[at] = entry(level)
            table = self._below[at]
            if table is None:
                return

    def table(self, what):
        """A frame for a table; now and then one that is a table of the same kind already."""
        return self._again(what, 0.15, self._spare.pop)

    def page(self, bits, address):
        """The address of a page of 2^bits bytes; now and then one that is mapped already."""
        return self._again(bits, 0.25, address)

    def _again(self, what, odds, new):
        known = self._known.setdefault(what, [])
        if known and self.draw.random() < odds:
            return self.draw.choice(known)
        known.append(new())
        return known[-1]
