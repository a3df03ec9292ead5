//! The macro that makes types and functions of the list of policies.

/// Makes `Policy`, the enum of all policies, and `State`, the enum of their states, of a list of
/// `Variant { parameter: type } => policy`.
macro_rules! policies {
    ($(
        $(#[$doc:meta])*
        $variant:ident $({ $($(#[$field_doc:meta])* $field:ident: $value:ty,)+ })? => $rule:ty;
    )+) => {
        /// A replacement policy: the rule by which a way of a set makes room for a new entry.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[non_exhaustive]
        pub enum Policy {
            $(
                $(#[$doc])*
                $variant $({ $($(#[$field_doc])* $field: $value,)+ })?,
            )+
            /// A policy of one's own, made by [`Policy::own`]. It has no serialised form.
            #[cfg_attr(feature = "serde", serde(skip))]
            Own(Own),
        }

        impl Policy {
            /// The built-in policies, each with its parameters as they are if none is given.
            pub const BUILT_IN: &[Self] = &[$(
                Self::$variant $({ $($field: <$value as $crate::policy::built_in::Value>::DEFAULT,)+ })?,
            )+];

            /// The name in machine descriptions.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => <$rule as $crate::policy::rule::BuiltIn>::NAME,)+
                    Self::Own(own) => own.name(),
                }
            }

            /// One sentence on the behaviour of a built-in policy, as the book has it.
            #[must_use]
            pub const fn summary(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant { .. } => Some(<$rule as $crate::policy::rule::BuiltIn>::SUMMARY),)+
                    Self::Own(_) => None,
                }
            }

            /// The numbers of sets that the policy can have.
            #[must_use]
            pub const fn sets(self) -> Limit {
                match self {
                    $(Self::$variant { .. } => <$rule as $crate::policy::rule::BuiltIn>::SETS,)+
                    Self::Own(_) => Limit::ANY,
                }
            }

            /// The numbers of ways that the policy can have.
            #[must_use]
            pub const fn ways(self) -> Limit {
                match self {
                    $(Self::$variant { .. } => <$rule as $crate::policy::rule::BuiltIn>::WAYS,)+
                    Self::Own(_) => Limit::ANY,
                }
            }

            /// The parameters of the policy, with their values.
            #[must_use]
            pub fn parameters(self) -> alloc::vec::Vec<Parameter> {
                match self {
                    $(Self::$variant $({ $($field),+ })? => alloc::vec![$($(Parameter {
                        name: stringify!($field),
                        range: <$value as $crate::policy::built_in::Value>::RANGE,
                        value: $crate::policy::built_in::Value::number($field),
                    },)+)?],)+
                    Self::Own(_) => alloc::vec![],
                }
            }

            /// Sets a parameter, and returns whether there is one of this name that can have this value.
            fn set(&mut self, parameter: &str, number: u64) -> bool {
                match self {
                    $($(Self::$variant { $($field),+ } => {
                        $(if parameter == stringify!($field) {
                            return $crate::policy::built_in::set($field, number);
                        })+
                        false
                    })?)+
                    _ => false,
                }
            }
        }

        /// The state of a policy. With a tag of its own, so that LRU is told by one comparison.
        #[derive(Clone, Debug)]
        #[repr(u8)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub(crate) enum State {
            $($variant($rule),)+
            #[cfg_attr(feature = "serde", serde(skip))]
            Own(alloc::boxed::Box<dyn $crate::own::Erased>),
        }

        impl State {
            fn new(policy: Policy, shape: &Shape) -> Self {
                match policy {
                    $(Policy::$variant $({ $($field),+ })? => {
                        Self::$variant($crate::policy::rule::BuiltIn::new(($($($field,)+)?), shape))
                    })+
                    Policy::Own(own) => Self::Own(own.make(shape.sets, shape.ways)),
                }
            }

            /// Returns whether this is a state of the policy.
            #[cfg(feature = "serde")]
            fn is_sound(&self, policy: Policy, shape: &Shape) -> bool {
                match (self, policy) {
                    $((Self::$variant(state), Policy::$variant $({ $($field),+ })?) => {
                        $crate::policy::rule::BuiltIn::is_sound(state, ($($($field,)+)?), shape)
                    })+
                    _ => false,
                }
            }
        }

        impl Rule for State {
            #[inline(never)]
            fn hit(&mut self, slot: usize, shape: &Shape) {
                match self {
                    $(Self::$variant(rule) => rule.hit(slot, shape),)+
                    Self::Own(own) => own.hit(shape.set_of(slot), shape.way_of(slot)),
                }
            }

            #[inline(never)]
            fn filled(&mut self, slot: usize, shape: &Shape) {
                match self {
                    $(Self::$variant(rule) => rule.filled(slot, shape),)+
                    Self::Own(own) => own.filled(shape.set_of(slot), shape.way_of(slot)),
                }
            }

            #[inline(never)]
            fn victim(&mut self, set: usize, shape: &Shape) -> usize {
                match self {
                    $(Self::$variant(rule) => rule.victim(set, shape),)+
                    Self::Own(own) => own.victim(set) % shape.ways,
                }
            }
        }
    };
}

pub(super) use policies;
