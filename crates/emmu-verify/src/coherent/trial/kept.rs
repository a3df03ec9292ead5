//! Whether an invalidation leaves all that it is not for.

use super::Trial;
use crate::Unit;
use crate::coherent::{
    Asked, Incoherent, Manual,
    tale::{Part, Tale, Way},
};
use emmu_core::{Access, Invalidate, TranslationUnit};

/// As many accesses are made again before and after an invalidation: the last ones that came out well.
const WITNESSES: usize = 6;

impl<A: Manual> Trial<A> {
    /// Remembers an access that came out well, so that something is cached for it.
    pub(super) fn witness(&mut self, access: Access) {
        self.witnesses.retain(|other| *other != access);
        self.witnesses.push(access);
        let surplus = self.witnesses.len().saturating_sub(WITNESSES);
        self.witnesses.drain(..surplus);
    }

    /// What a TLB or a walk cache knew of an access, it still knows after an invalidation that is not for any entry of
    /// the ledger by which it can have known. `before` is the unit as it was.
    ///
    /// The stages are compared up to the first that fills something: from then on, what there is may have been evicted.
    /// Of units that forget more, nothing is said.
    pub(super) fn keeps(&mut self, before: &Unit<A>, scope: Invalidate) -> Result<(), Incoherent> {
        let mut witnesses = if self.is_exact { self.witnesses.clone() } else { Vec::new() };
        witnesses.retain(|access| !self.now.leaves_address_space(*access));
        for access in witnesses {
            let tales = [before, &self.unit].map(|unit| self.retold(unit, access));
            let [Some(was), Some(is)] = tales else { continue };
            // Of a walk that began again, the last beginning is told, which knows nothing.
            if was.whole.restarted || is.whole.restarted {
                continue;
            }
            for ((asked, was), (_, is)) in parts(access, &was).zip(parts(access, &is)) {
                self.keeps_part(scope, access, asked, [was.way(), is.way()])?;
                let fills = |part: &Part| part.guest.is_some() && !part.fills_nothing();
                if knows(&was.way()) != knows(&is.way()) || fills(was) || fills(is) {
                    break;
                }
            }
        }
        Ok(())
    }

    fn keeps_part(
        &mut self,
        scope: Invalidate,
        access: Access,
        asked: Asked,
        [was, is]: [Way; 2],
    ) -> Result<(), Incoherent> {
        if knows(&was) == 0 || self.ledger.concerns(scope, &self.now, (asked, &was), &self.memory) {
            return Ok(());
        }
        self.tally.kept += 1;
        // An invalid entry that is remembered too refuses the access where a TLB knows nothing of it any more.
        if knows(&is) >= knows(&was) || matches!(is, Way::Untranslated) {
            return Ok(());
        }
        let told =
            format!("{access} in the {:?} stage: {was:?} before, then {is:?}", asked.stage());
        Err(self.incoherent(&format!("{scope:x?} forgot what it is not for: {told}")))
    }

    /// What a copy of the unit makes of the access.
    fn retold(&self, unit: &Unit<A>, access: Access) -> Option<Tale> {
        let (mut unit, mut memory, mut events) = (unit.clone(), self.memory.clone(), Vec::new());
        // What comes of it is judged elsewhere.
        let _ = unit.translate(access, &mut memory, &mut events);
        Tale::of(&events, self.memory.clone())
    }
}

/// What each stage was asked for an access, and what it did: the first stage, and then the second, one after the other.
fn parts(access: Access, tale: &Tale) -> impl Iterator<Item = (Asked, &Part)> {
    let of_guest = tale.parts.iter().filter_map(move |part| {
        let gpa = part.guest?.addr;
        Some((Asked::Second { access, gpa, visit: part.visit() }, part))
    });
    core::iter::once((Asked::First(access), &tale.whole)).chain(of_guest)
}

/// How much was known: nothing, a table (the lower the more), or everything.
fn knows(way: &Way) -> u8 {
    match way {
        Way::Untranslated | Way::FromRoot { .. } => 0,
        Way::Shortened { level, .. } => u8::MAX - 1 - level,
        Way::Hit => u8::MAX,
    }
}
