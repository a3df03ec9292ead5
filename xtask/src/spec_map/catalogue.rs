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
    /// The edition of the manual, with a note on its numbers.
    pub(super) text: String,
    #[serde(rename = "step")]
    pub(super) steps: Vec<Step>,
}

/// One step of a manual.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// The name of the step in markers.
    pub(super) id: String,
    /// The place in the manual.
    #[serde(rename = "where")]
    pub(super) place: String,
    /// A summary of the step.
    pub(super) says: String,
    /// The reason why no code follows the step.
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
