//! Every seam can be a trait object. The command line chooses units at run time, and boxes them.

use emmu_core::{Bus, Probe, Registers, TranslationUnit};

/// This type compiles only if each of the traits is object-safe.
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
