//! Owns what endpoints have in common once a host or key of theirs is back. Must never speak for one's own failures.

use std::sync::Arc;

use crate::core::health::gate::Heard;
use crate::core::health::{Gates, Health, Slot};
use crate::core::time::Time;

impl Health {
    /// What a host or key was to blame for is held against nobody who shares it, once it is back.
    pub(super) fn forgive(&self, by: &Slot, heard: Gates, now: Time) {
        let is_back = |heard: Heard| heard == Heard::Recovered;
        if !is_back(heard.host) && !is_back(heard.key) {
            return;
        }
        for other in &self.slots {
            let host = is_back(heard.host) && Arc::ptr_eq(&other.host, &by.host);
            let key = is_back(heard.key) && Arc::ptr_eq(&other.key, &by.key);
            if host || key {
                other.own.forgive(now);
            }
        }
    }
}
