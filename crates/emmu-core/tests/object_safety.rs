//! Every seam can be a trait object: what the command line chooses at run time is boxed.

use emmu_core::{Bus, Probe, Registers, TranslationUnit};

/// Compiles only if each of them can be.
type Boxed = (
    Box<dyn Bus>,
    Box<dyn Probe>,
    Box<dyn Registers>,
    Box<dyn TranslationUnit<dyn Bus, dyn Probe>>,
    Box<dyn TranslationUnit<u8, ()>>,
);

#[test]
fn every_seam_is_object_safe() {
    assert_eq!(size_of::<Boxed>(), 5 * size_of::<Box<dyn Bus>>());
}
