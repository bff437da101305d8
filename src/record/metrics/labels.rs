//! The label values that this text fixes. A label that takes one of these cannot be misspelt.

/// Declares an enum whose variants are label values.
macro_rules! label {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident => $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $name {
            /// The value of the label.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

label! {
    /// Where a request was when its deadline passed.
    Stage {
        /// It was not started.
        Admission => "admission",
        /// It waited for a permit.
        Queue => "queue",
        /// A call was under way.
        Attempt => "attempt",
        /// It waited for a call that another request had begun.
        Coalesce => "coalesce",
        /// A fallback was under way.
        Fallback => "fallback",
    }
}

label! {
    /// What the cache had.
    CacheResult {
        /// A fresh entry.
        Hit => "hit",
        /// A fresh entry, old enough to be fetched anew behind the reply.
        Refresh => "refresh",
        /// A stale entry, served while it is fetched anew.
        Swr => "swr",
        /// A stale entry in place of a failed call.
        Sie => "sie",
        /// Nothing of use.
        Miss => "miss",
        /// It was not asked.
        Bypass => "bypass",
        /// A definitive refusal that was kept.
        Negative => "negative",
    }
}

label! {
    /// What a request showed where keys are looked at.
    AccessResult {
        /// A key that is known.
        Known => "known",
        /// None, and none was needed.
        Anonymous => "anonymous",
        /// None, and one was needed.
        Missing => "missing",
        /// One that is not known, or several.
        Wrong => "wrong",
    }
}

label! {
    /// What a caller was to a flight.
    Role {
        /// It began it.
        Lead => "lead",
        /// It joined it.
        Join => "join",
    }
}

label! {
    /// How a reload ended.
    ReloadResult {
        /// A new configuration is in force.
        Applied => "applied",
        /// Nothing had changed.
        Unchanged => "unchanged",
        /// Refused; the old one is in force.
        Rejected => "rejected",
        /// Applied but for the broken documents.
        Quarantined => "quarantined",
    }
}
