//! Snapshots of chains: they hold both units.

use super::Chain;
use crate::Registers;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

#[derive(Serialize)]
#[serde(rename = "Chain")]
struct Shown<'a, A, B> {
    first: &'a A,
    second: &'a B,
}

#[derive(Deserialize)]
#[serde(rename = "Chain")]
struct Read<A, B> {
    first: A,
    second: B,
}

impl<A: Serialize, B: Serialize> Serialize for Chain<A, B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Shown { first: &self.first, second: &self.second }.serialize(serializer)
    }
}

impl<'de, A, B> Deserialize<'de> for Chain<A, B>
where
    A: Registers + Deserialize<'de>,
    B: Registers + Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Read { first, second } = Read::deserialize(deserializer)?;
        Self::new(first, second).map_err(D::Error::custom)
    }
}
