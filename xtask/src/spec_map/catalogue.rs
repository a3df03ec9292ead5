//! The manuals' steps, as `docs/spec-map.toml` lists them.

use crate::{Error, workspace};
use serde::Deserialize;
use std::path::Path;

/// Where the steps are listed, from the top of the repository.
pub(super) const FILE: &str = "docs/spec-map.toml";

/// All steps, manual by manual.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Catalogue {
    #[serde(rename = "manual")]
    pub(super) manuals: Vec<Manual>,
}

/// One manual.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manual {
    pub(super) name: String,
    /// Which text of it, and what to know of its numbers.
    pub(super) text: String,
    #[serde(rename = "step")]
    pub(super) steps: Vec<Step>,
}

/// One step of a manual.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// What markers call it.
    pub(super) id: String,
    /// Where the manual has it.
    #[serde(rename = "where")]
    pub(super) place: String,
    /// What it says, in short.
    pub(super) says: String,
    /// Why no code follows it.
    pub(super) not_modelled: Option<String>,
}

impl Catalogue {
    pub(super) fn read(root: &Path) -> Result<Self, Error> {
        let path = root.join(FILE);
        let text = workspace::read(&path)?;
        toml::from_str(&text).map_err(|error| Error::Toml { path, error })
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.manuals.iter().flat_map(|manual| &manual.steps)
    }
}
