//! AArch64 stage 1 translation (Arm ARM, D8).
