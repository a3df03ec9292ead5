//! Checks that an invalidation keeps the cached entries that it does not name.

use super::Trial;
use crate::Unit;
use crate::coherence::{
    Incoherent, Manual, Query,
    trace::{Part, Source, Trace},
};
use emmu_core::{Access, Invalidate, TranslationUnit};

/// The number of recent successful accesses that are repeated before and after an invalidation.
const WITNESSES: usize = 6;

impl<A: Manual> Trial<A> {
    /// Records a successful access, so that it can be repeated.
    pub(super) fn witness(&mut self, access: Access) {
        self.witnesses.retain(|other| *other != access);
        self.witnesses.push(access);
        let surplus = self.witnesses.len().saturating_sub(WITNESSES);
        self.witnesses.drain(..surplus);
    }

    /// Checks that a TLB or a walk cache still holds the translation of an access after an invalidation. There is no
    /// check if the invalidation names an entry of the ledger that can explain the answer. `before` is the unit before
    /// the invalidation.
    ///
    /// The stages are compared up to the first that fills a cache, since a fill may evict entries. Units that
    /// invalidate more than they must are not checked.
    pub(super) fn keeps(&mut self, before: &Unit<A>, scope: Invalidate) -> Result<(), Incoherent> {
        let mut witnesses = if self.is_exact { self.witnesses.clone() } else { Vec::new() };
        witnesses.retain(|access| !self.now.leaves_address_space(*access));
        for access in witnesses {
            let traces = [before, &self.unit].map(|unit| self.retraced(unit, access));
            let [Some(was), Some(is)] = traces else { continue };
            // Of a walk that began again, the trace holds the last beginning, which uses no cache.
            if was.whole.restarted || is.whole.restarted {
                continue;
            }
            for ((query, was), (_, is)) in parts(access, &was).zip(parts(access, &is)) {
                self.keeps_part(scope, access, query, [was.source(), is.source()])?;
                let fills = |part: &Part| part.guest.is_some() && !part.fills_nothing();
                if cached_share(&was.source()) != cached_share(&is.source())
                    || fills(was)
                    || fills(is)
                {
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
        query: Query,
        [was, is]: [Source; 2],
    ) -> Result<(), Incoherent> {
        if cached_share(&was) == 0
            || self.ledger.concerns(scope, &self.now, (query, &was), &self.memory)
        {
            return Ok(());
        }
        self.coverage.kept += 1;
        // A cached invalid entry also refuses the access, after a TLB has dropped the translation.
        if cached_share(&is) >= cached_share(&was) || matches!(is, Source::Untranslated) {
            return Ok(());
        }
        let traced =
            format!("{access} in the {:?} stage: {was:?} before, then {is:?}", query.stage());
        Err(self.incoherent(&format!("{scope:x?} drops an entry that it does not name: {traced}")))
    }

    /// Makes the access on a copy of the unit, and returns its trace.
    fn retraced(&self, unit: &Unit<A>, access: Access) -> Option<Trace> {
        let (mut unit, mut memory, mut events) = (unit.clone(), self.memory.clone(), Vec::new());
        // What comes of it is judged elsewhere.
        let _ = unit.translate(access, &mut memory, &mut events);
        Trace::of(&events, self.memory.clone())
    }
}

/// Returns the query and the events of each stage for an access: the first stage, and then the translations of the
/// second in order.
fn parts(access: Access, trace: &Trace) -> impl Iterator<Item = (Query, &Part)> {
    let of_guest = trace.parts.iter().filter_map(move |part| {
        let gpa = part.guest?.addr;
        Some((Query::Second { access, gpa, visit: part.visit() }, part))
    });
    core::iter::once((Query::First(access), &trace.whole)).chain(of_guest)
}

/// Returns the share of the answer that was cached: 0 for nothing, more for a table the lower its level is, and most
/// for a TLB hit.
fn cached_share(source: &Source) -> u8 {
    match source {
        Source::Untranslated | Source::FromRoot { .. } => 0,
        Source::Shortened { level, .. } => u8::MAX - 1 - level,
        Source::Hit => u8::MAX,
    }
}
