//! Quarantine.
