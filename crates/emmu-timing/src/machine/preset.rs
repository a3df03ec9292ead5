//! The presets: machine descriptions that come with emmu.

use super::{Machine, MachineError};

/// The name and the text of each preset, the default first.
const PRESETS: [(&str, &str); 6] = [
    ("skylake-sp", include_str!("../../machines/skylake-sp.toml")),
    ("zen-2", include_str!("../../machines/zen-2.toml")),
    ("sifive-u74", include_str!("../../machines/sifive-u74.toml")),
    ("cortex-a53", include_str!("../../machines/cortex-a53.toml")),
    ("textbook-sv39", include_str!("../../machines/textbook-sv39.toml")),
    ("textbook-x86-64", include_str!("../../machines/textbook-x86-64.toml")),
];

impl Machine {
    /// Returns the names of the machines that come with emmu, [`Machine::DEFAULT`] first.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        PRESETS.into_iter().map(|(name, _)| name)
    }

    /// Returns the TOML text of a preset, with its comments.
    #[must_use]
    pub fn preset_text(name: &str) -> Option<&'static str> {
        PRESETS.into_iter().find(|(known, _)| *known == name).map(|(_, text)| text)
    }

    /// Returns the preset with this name.
    ///
    /// # Errors
    /// [`MachineError::UnknownPreset`], which names all presets.
    pub fn preset(name: &str) -> Result<Self, MachineError> {
        let unknown = || MachineError::UnknownPreset {
            name: name.to_owned(),
            known: Self::presets().collect::<Vec<_>>().join(", "),
        };
        Self::from_toml(name, Self::preset_text(name).ok_or_else(unknown)?)
    }
}
