//! The machines that come with emmu.

use super::{Machine, MachineError};

/// Name and text of each, the default first.
const PRESETS: [(&str, &str); 6] = [
    ("skylake-sp", include_str!("../../machines/skylake-sp.toml")),
    ("zen-2", include_str!("../../machines/zen-2.toml")),
    ("sifive-u74", include_str!("../../machines/sifive-u74.toml")),
    ("cortex-a53", include_str!("../../machines/cortex-a53.toml")),
    ("textbook-sv39", include_str!("../../machines/textbook-sv39.toml")),
    ("textbook-x86-64", include_str!("../../machines/textbook-x86-64.toml")),
];

impl Machine {
    /// The names of the machines that come with emmu, [`Machine::DEFAULT`] first.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        PRESETS.into_iter().map(|(name, _)| name)
    }

    /// The TOML text of a preset, comments and all.
    #[must_use]
    pub fn preset_text(name: &str) -> Option<&'static str> {
        PRESETS.into_iter().find(|(known, _)| *known == name).map(|(_, text)| text)
    }

    /// The preset of this name.
    ///
    /// # Errors
    /// [`MachineError::UnknownPreset`], naming all that there are.
    pub fn preset(name: &str) -> Result<Self, MachineError> {
        let unknown = || MachineError::UnknownPreset {
            name: name.to_owned(),
            known: Self::presets().collect::<Vec<_>>().join(", "),
        };
        Self::from_toml(name, Self::preset_text(name).ok_or_else(unknown)?)
    }
}
