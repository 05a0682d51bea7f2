//! Owns what an incident is once it was checked: where, when, and what is wrong. Must never hold a number that
//! makes no sense, or take one that its kind has no use for.

use anyhow::{anyhow, bail, ensure};

use crate::cmd::simulate::file::{RawIncident, RawKind};
use crate::cmd::simulate::scenario::{Endpoint, in_range};

/// Something that is wrong with an endpoint for a time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Incident {
    /// Position in the fleet.
    pub(super) endpoint: usize,
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) kind: Kind,
    /// Bad during the first `on` seconds of each `period`; always where absent.
    pub(super) rhythm: Option<Rhythm>,
}

/// A repetition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rhythm {
    pub(super) period: f64,
    pub(super) on: f64,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Connections are refused.
    Refuse,
    /// Connections fail after `delay` seconds.
    SynDrop { delay: f64 },
    /// 5xx with a probability that goes linearly from `p` to `p_to`.
    Error {
        p: f64,
        p_to: f64,
        delay: Option<f64>,
    },
    /// The first token takes `factor` times as long.
    SlowFirst { factor: f64 },
    /// Accepts, never answers.
    Hole,
    /// 429 beyond `share` of the scenario's requests a second.
    Rate {
        share: f64,
        retry_after: Option<f64>,
    },
    /// 503 beyond a share that goes linearly from `share` to `share_to`.
    Ramp { share: f64, share_to: f64 },
    /// Tokens a second are divided by `factor`.
    SlowStream { factor: f64 },
    /// Streams break after the first token with probability `p`.
    Cut { p: f64 },
    /// 401.
    Auth,
}

// === impl Incident ===

impl Incident {
    /// One for each endpoint that it is at.
    pub(super) fn all(
        raw: &RawIncident,
        fleet: &[Endpoint],
        duration: f64,
    ) -> anyhow::Result<Vec<Self>> {
        type Field = fn(&Endpoint) -> &String;
        let (what, name, field): (_, _, Field) = match (&raw.ep, &raw.host, &raw.key) {
            (Some(name), None, None) => ("ep", name, |endpoint| &endpoint.id),
            (None, Some(name), None) => ("host", name, |endpoint| &endpoint.host),
            (None, None, Some(name)) => ("key", name, |endpoint| &endpoint.key),
            _ => bail!("ep, host, key: one of them says where it is"),
        };
        let places = (0..fleet.len()).filter(|position| field(&fleet[*position]) == name);
        let built = places.map(|position| Self::of(raw, position, duration));
        let built = built.collect::<Result<Vec<_>, _>>()?;
        ensure!(!built.is_empty(), "{what}: the fleet has no {name}");
        Ok(built)
    }

    fn of(raw: &RawIncident, endpoint: usize, duration: f64) -> anyhow::Result<Self> {
        ensure!(
            0.0 <= raw.from && raw.from < raw.to && raw.to <= duration,
            "from, to: {} to {} is not within 0 to {duration}",
            raw.from,
            raw.to
        );
        let mut fields = Fields::of(raw);
        let kind = fields.kind(raw.kind)?;
        let rhythm = match (fields.take("period"), fields.take("on")) {
            (Some(period), Some(on)) => {
                in_range("period", period, 0.01, 1e6)?;
                in_range("on", on, 0.0, period)?;
                Some(Rhythm { period, on })
            }
            (None, None) => None,
            _ => bail!("period, on: one needs the other"),
        };
        fields.all_taken()?;
        Ok(Self {
            endpoint,
            from: raw.from,
            to: raw.to,
            kind,
            rhythm,
        })
    }

    /// Whether it lasts at `at`, be it in a good moment of its rhythm.
    pub(super) fn lasts(&self, at: f64) -> bool {
        self.from <= at && at < self.to
    }

    /// Whether the endpoint is bad by it at `at`.
    pub(super) fn is_bad(&self, at: f64) -> bool {
        let beats = |rhythm: Rhythm| (at - self.from) % rhythm.period < rhythm.on;
        self.lasts(at) && self.rhythm.is_none_or(beats)
    }

    /// What goes linearly from `first` to `last` over it, at `at`.
    pub(super) fn between(&self, first: f64, last: f64, at: f64) -> f64 {
        let passed = ((at - self.from) / (self.to - self.from)).clamp(0.0, 1.0);
        first + (last - first) * passed
    }
}

/// The optional fields of an incident that nobody has asked for yet.
struct Fields {
    kind: RawKind,
    left: Vec<(&'static str, f64)>,
}

impl Fields {
    fn of(raw: &RawIncident) -> Self {
        let all = [
            ("p", raw.p),
            ("p_to", raw.p_to),
            ("delay", raw.delay),
            ("k", raw.k),
            ("rate_x", raw.rate_x),
            ("rate_to", raw.rate_to),
            ("retry_after", raw.retry_after),
            ("period", raw.period),
            ("on", raw.on),
        ];
        let given = |(name, value): (&'static str, Option<f64>)| Some((name, value?));
        Self {
            kind: raw.kind,
            left: all.into_iter().filter_map(given).collect(),
        }
    }

    fn take(&mut self, name: &str) -> Option<f64> {
        let position = self.left.iter().position(|(given, _)| *given == name)?;
        Some(self.left.swap_remove(position).1)
    }

    /// A field that the kind may have.
    fn may(&mut self, name: &str, low: f64, high: f64) -> anyhow::Result<Option<f64>> {
        let value = self.take(name);
        if let Some(value) = value {
            in_range(name, value, low, high)?;
        }
        Ok(value)
    }

    /// A field that the kind must have.
    fn must(&mut self, name: &str, low: f64, high: f64) -> anyhow::Result<f64> {
        let value = self.may(name, low, high)?;
        value.ok_or_else(|| anyhow!("{name}: kind {:?} needs it", self.kind))
    }

    fn kind(&mut self, kind: RawKind) -> anyhow::Result<Kind> {
        Ok(match kind {
            RawKind::Refuse => Kind::Refuse,
            RawKind::SynDrop => Kind::SynDrop {
                delay: self.must("delay", 0.0, 600.0)?,
            },
            RawKind::Err => {
                let p = self.must("p", 0.0, 1.0)?;
                Kind::Error {
                    p,
                    p_to: self.may("p_to", 0.0, 1.0)?.unwrap_or(p),
                    delay: self.may("delay", 0.0, 600.0)?,
                }
            }
            RawKind::Ttft => Kind::SlowFirst {
                factor: self.must("k", 0.001, 1e6)?,
            },
            RawKind::Hole => Kind::Hole,
            RawKind::Rate => Kind::Rate {
                share: self.must("rate_x", 0.0, 1e3)?,
                retry_after: self
                    .must("retry_after", 0.0, 86_400.0)
                    .map(absent_if_zero)?,
            },
            RawKind::Ramp => Kind::Ramp {
                share: self.must("rate_x", 0.0, 1e3)?,
                share_to: self.must("rate_to", 0.0, 1e3)?,
            },
            RawKind::Tps => Kind::SlowStream {
                factor: self.must("k", 0.001, 1e6)?,
            },
            RawKind::Cut => Kind::Cut {
                p: self.must("p", 0.0, 1.0)?,
            },
            RawKind::Auth => Kind::Auth,
        })
    }

    fn all_taken(&self) -> anyhow::Result<()> {
        match self.left.first() {
            Some((name, _)) => bail!("{name}: means nothing to kind {:?}", self.kind),
            None => Ok(()),
        }
    }
}

fn absent_if_zero(seconds: f64) -> Option<f64> {
    (seconds > 0.0).then_some(seconds)
}
