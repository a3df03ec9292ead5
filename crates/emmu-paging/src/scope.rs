//! Which cached entries an address space may see, and how whole address spaces are forgotten at once.

use crate::{Live, Scope};
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
    /// Changes whenever a scope ends.
    era: u64,
    global: Scope,
    /// The scope of each ASID, or of an older time.
    of: Vec<Scope>,
    /// What the last access saw, until a scope ends.
    last: Option<(Asid, Visible)>,
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
        let mut scopes =
            Self { next: 1, floor: 1, era: 1, global: Scope::NONE, of: Vec::new(), last: None };
        scopes.global = scopes.fresh(Asid(0));
        scopes
    }

    /// What accesses of this address space see.
    #[inline]
    pub(crate) fn visible(&mut self, asid: Asid) -> Visible {
        match self.last {
            Some((last, visible)) if last == asid => visible,
            _ => self.look_up(asid),
        }
    }

    #[inline(never)]
    fn look_up(&mut self, asid: Asid) -> Visible {
        let known = self.of.get(usize::from(asid.0)).copied();
        let own = known.filter(|&scope| number(scope) >= self.floor);
        let own = own.unwrap_or_else(|| self.begin(asid));
        let visible = Visible { own, global: self.global };
        self.last = Some((asid, visible));
        visible
    }

    pub(crate) fn end(&mut self, asid: Asid) {
        self.era += 1;
        self.last = None;
        if let Some(scope) = self.of.get_mut(usize::from(asid.0)) {
            *scope = Scope::NONE;
        }
    }

    pub(crate) fn end_all_but_global(&mut self) {
        self.era += 1;
        self.last = None;
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

impl Live for Scopes {
    /// Whether entries of this scope can still be seen by some access.
    #[inline]
    fn is_live(&self, scope: Scope) -> bool {
        let current = || self.of.get(usize::from(asid(scope))) == Some(&scope);
        scope == self.global || (number(scope) >= self.floor && current())
    }

    #[inline]
    fn era(&self) -> u64 {
        self.era
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
        assert!(!scopes.is_live(first));
        assert_ne!(scopes.visible(Asid(3)).own, first);
    }

    #[test]
    fn ending_one_address_space_leaves_the_others() {
        let mut scopes = Scopes::new();
        let other = scopes.visible(Asid(1)).own;
        scopes.visible(Asid(2));
        scopes.end(Asid(2));
        assert!(scopes.is_live(other));
    }

    #[test]
    fn global_entries_outlive_all_but_the_end_of_everything() {
        let mut scopes = Scopes::new();
        let Visible { own, global } = scopes.visible(Asid(1));
        scopes.end_all_but_global();
        assert!(scopes.is_live(global) && !scopes.is_live(own));
        scopes.end_all();
        assert!(!scopes.is_live(global));
    }
}
