//! Accounts: counts and cycles belong to the program or to the kernel.

use emmu_core::Privilege;
use serde::Serialize;
use std::ops::{Index, IndexMut};

/// The account of an event: the program's or the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// The program: accesses made with [`Privilege::User`], and all that they cause.
    User,
    /// The kernel: everything else.
    Supervisor,
}

impl Account {
    /// Both accounts.
    pub const ALL: [Self; 2] = [Self::User, Self::Supervisor];

    /// Returns the account of accesses made with this privilege.
    #[must_use]
    #[inline]
    pub const fn of(privilege: Privilege) -> Self {
        match privilege {
            Privilege::User => Self::User,
            Privilege::Supervisor | Privilege::Machine => Self::Supervisor,
        }
    }
}

/// One value for each account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(into = "Named<T>")]
#[serde(bound(serialize = "T: Serialize + Clone"))]
pub struct ByAccount<T>([T; 2]);

impl<T> ByAccount<T> {
    /// Makes a pair of these two values.
    #[must_use]
    pub const fn new(user: T, supervisor: T) -> Self {
        Self([user, supervisor])
    }

    /// Applies `f` to both values.
    pub fn map<U>(&self, mut f: impl FnMut(&T) -> U) -> ByAccount<U> {
        ByAccount([f(&self.0[0]), f(&self.0[1])])
    }
}

impl ByAccount<u64> {
    /// Returns the sum of both values.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.0[0] + self.0[1]
    }
}

impl<T> Index<Account> for ByAccount<T> {
    type Output = T;

    #[inline]
    fn index(&self, account: Account) -> &T {
        &self.0[account as usize]
    }
}

impl<T> IndexMut<Account> for ByAccount<T> {
    #[inline]
    fn index_mut(&mut self, account: Account) -> &mut T {
        &mut self.0[account as usize]
    }
}

#[derive(Serialize)]
struct Named<T> {
    user: T,
    supervisor: T,
}

impl<T> From<ByAccount<T>> for Named<T> {
    fn from(both: ByAccount<T>) -> Self {
        let [user, supervisor] = both.0;
        Self { user, supervisor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_mode_is_on_the_kernels_account() {
        assert_eq!(Account::of(Privilege::Machine), Account::Supervisor);
        assert_eq!(Account::of(Privilege::User), Account::User);
    }

    #[test]
    fn both_accounts_are_named_in_json() {
        let json = serde_json::to_string(&ByAccount::new(1, 2)).unwrap();
        assert_eq!(json, r#"{"user":1,"supervisor":2}"#);
    }
}
