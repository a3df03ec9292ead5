//! Which cached entries an address space may see, and how whole address spaces are forgotten at once.

use crate::Scope;
use alloc::vec::Vec;
use emmu_core::Asid;

/// Hands every address space a [`Scope`] of its own and takes it back: entries of a scope that was taken
/// back match nothing any more and count as vacant, so invalidating an address space, or everything, takes
/// constant time however large the tables are.
///
/// A scope is a number that is never used twice, shifted left by 16, and the ASID.
#[derive(Clone, Debug)]
pub(crate) struct Scopes {
    next: u64,
    /// Scopes older than this have ended.
    floor: u64,
    global: Scope,
    /// The scope of each ASID, or of an older time.
    of: Vec<Scope>,
}

/// The scopes whose entries one access may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visible {
    pub(crate) own: Scope,
    pub(crate) global: Scope,
}

impl Visible {
    #[inline]
    pub(crate) fn sees(self, scope: Scope) -> bool {
        scope == self.own || scope == self.global
    }
}

impl Scopes {
    pub(crate) fn new() -> Self {
        let mut scopes = Self { next: 1, floor: 1, global: Scope::NONE, of: Vec::new() };
        scopes.global = scopes.fresh(Asid(0));
        scopes
    }

    /// What accesses of this address space see.
    #[inline]
    pub(crate) fn visible(&mut self, asid: Asid) -> Visible {
        let known = self.of.get(usize::from(asid.0)).copied();
        let own = known.filter(|&scope| number(scope) >= self.floor);
        Visible { own: own.unwrap_or_else(|| self.begin(asid)), global: self.global }
    }

    /// Whether entries of this scope can still be seen by some access.
    pub(crate) fn live(&self, scope: Scope) -> bool {
        let current = || self.of.get(usize::from(asid(scope))) == Some(&scope);
        scope == self.global || (number(scope) >= self.floor && current())
    }

    pub(crate) fn end(&mut self, asid: Asid) {
        if let Some(scope) = self.of.get_mut(usize::from(asid.0)) {
            *scope = Scope::NONE;
        }
    }

    pub(crate) fn end_all_but_global(&mut self) {
        self.floor = self.next;
    }

    pub(crate) fn end_all(&mut self) {
        self.end_all_but_global();
        self.global = self.fresh(Asid(0));
    }

    #[cold]
    fn begin(&mut self, asid: Asid) -> Scope {
        let scope = self.fresh(asid);
        let index = usize::from(asid.0);
        if index >= self.of.len() {
            self.of.resize(index + 1, Scope::NONE);
        }
        self.of[index] = scope;
        scope
    }

    fn fresh(&mut self, asid: Asid) -> Scope {
        let scope = Scope(self.next << 16 | u64::from(asid.0));
        self.next += 1;
        scope
    }
}

fn number(scope: Scope) -> u64 {
    scope.0 >> 16
}

#[expect(clippy::cast_possible_truncation, reason = "the low 16 bits are the ASID")]
fn asid(scope: Scope) -> u16 {
    scope.0 as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_space_keeps_its_scope_until_it_ends() {
        let mut scopes = Scopes::new();
        let first = scopes.visible(Asid(3)).own;
        assert_eq!(scopes.visible(Asid(3)).own, first);
        scopes.end(Asid(3));
        assert!(!scopes.live(first));
        assert_ne!(scopes.visible(Asid(3)).own, first);
    }

    #[test]
    fn ending_one_address_space_leaves_the_others() {
        let mut scopes = Scopes::new();
        let other = scopes.visible(Asid(1)).own;
        scopes.visible(Asid(2));
        scopes.end(Asid(2));
        assert!(scopes.live(other));
    }

    #[test]
    fn global_entries_outlive_all_but_the_end_of_everything() {
        let mut scopes = Scopes::new();
        let Visible { own, global } = scopes.visible(Asid(1));
        scopes.end_all_but_global();
        assert!(scopes.live(global) && !scopes.live(own));
        scopes.end_all();
        assert!(!scopes.live(global));
    }
}
