#!/usr/bin/env python3
"""Tests of the oracle itself. Needs the package `unicorn`."""

import unittest

import aarch64
import x86
from draw import Draw
from oracle import run_case

LAST_OFFSETS = [0x0, 0xFAC, 0xFF8, 0xFFC]


class FetchFromATable(unittest.TestCase):
    """A page table that is mapped as a page of its own: what is fetched from it are table entries."""

    def test_x86(self):
        for name in x86.FORMATS:
            oracle = x86.Oracle(name, Draw(name))
            table, beside = oracle.roots[:2]
            cr4 = (0 if name == "x86-32" else x86.PAE) | (x86.LA57 if "5level" in name else 0)
            efer = x86.LME | x86.LMA if oracle.long else 0
            regs = {"cr0": x86.PE_ET | x86.PG, "cr3": table, "cr4": cr4, "efer": efer}
            # The second entry maps the page after it: an instruction may run on into that one.
            words = {table: table | x86.P, table + oracle.size: beside | x86.P}
            self.check(oracle, regs, words, table)

    def test_aarch64(self):
        for name in aarch64.FORMATS:
            oracle = aarch64.Oracle(name, Draw(name))
            table, granule = oracle.frames[0], aarch64.GRANULES[oracle.granule]
            regs = {
                "ttbr0_el1": table,
                "ttbr1_el1": 0,
                "tcr_el1": aarch64.IPS_48 | granule[1] << 14 | 16 << 16 | 16,
                "mair_el1": 0,
                "sctlr_el1": aarch64.SCTLR_RES1 | aarch64.SCTLR_M,
            }
            self.check(oracle, regs, {table: table | aarch64.AF | 3}, table)

    def check(self, oracle, regs, words, table):
        for offset in LAST_OFFSETS:
            oracle.guest.write(words, oracle.size)
            op = {"access": "fetch", "priv": "supervisor", "va": hex(offset), "size": 4}
            self.assertEqual(oracle.perform(regs, op), {"pa": hex(table + offset)}, oracle.name)


class Drawn(unittest.TestCase):
    """Cases that the oracle once answered wrongly."""

    def test_fetch_that_ran_on_into_the_next_page(self):
        seed, name, number = 256461379, "x86-32", 860
        oracle = x86.Oracle(name, Draw(f"{seed} {name}"))
        counts = dict.fromkeys(["cases", "operations", "faults", "dropped"], 0)
        vector = run_case(oracle, Draw(f"{seed} {name} {number}"), f"{name}-{seed}-{number}", counts)
        self.assertEqual(vector["ops"][4]["va"], "0x7fdfffaf")
        self.assertEqual(vector["ops"][4]["expect"], {"pa": "0xc9d84faf"})


if __name__ == "__main__":
    unittest.main()
