//! Owns the last minutes of every endpoint, for a status page that was not open then. Must never hold more than
//! [`MOMENTS`], or anything that a metric would not say.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::core::catalog::EndpointIx;
use crate::edge::telemetry::requests::Names;

/// From one moment to the next, and how many are kept: five minutes.
pub(crate) const STEP: Duration = Duration::from_secs(5);
pub(crate) const MOMENTS: usize = 60;

/// Where one endpoint stood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stood {
    /// Expected success of the next attempt, and its part of the first attempts; 0 to 1.
    pub(crate) health: f32,
    pub(crate) share: f32,
    /// To a stream's first content, in milliseconds: median and 95th percentile.
    pub(crate) first_token: Option<(f64, f64)>,
}

/// All endpoints of a generation at a time.
#[derive(Debug)]
pub(crate) struct Moment {
    pub(crate) at: SystemTime,
    pub(crate) names: Arc<Names>,
    /// By their index in the generation.
    pub(crate) stood: Vec<Stood>,
}

/// The last moments.
#[derive(Debug, Default)]
pub(crate) struct History {
    moments: Mutex<VecDeque<Arc<Moment>>>,
}

// === impl Moment ===

impl Moment {
    /// What the endpoints are called, and where they stood.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (&str, Stood)> {
        let stood = self.stood.iter().enumerate();
        stood.map(|(at, stood)| (self.names.endpoint(EndpointIx::new(at)), *stood))
    }
}

// === impl History ===

impl History {
    /// Keeps a moment; the oldest goes.
    pub(crate) fn keep(&self, moment: Moment) {
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        if moments.len() >= MOMENTS {
            moments.pop_front();
        }
        moments.push_back(Arc::new(moment));
    }

    /// All of them, the oldest first.
    pub(crate) fn moments(&self) -> Vec<Arc<Moment>> {
        let moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        moments.iter().cloned().collect()
    }
}
