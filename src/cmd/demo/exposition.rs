//! Owns the reading of `/metrics`, and whether it says what the clients counted. Must never round a
//! disagreement away.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;

use crate::cmd::client::Client;
use crate::cmd::demo::file::MODEL;
use crate::cmd::demo::tally::Tally;

/// The longest wait for the last exchange to be settled.
const SETTLED: Duration = Duration::from_secs(5);

/// The proxy's own counts of one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) answered: u64,
    /// Failed before or after the first word.
    pub(crate) failed: u64,
    pub(crate) recovered: u64,
}

/// One sample of the text format.
#[derive(Debug, PartialEq)]
struct Sample<'a> {
    name: &'a str,
    labels: &'a str,
    value: f64,
}

impl Counts {
    /// What the clients counted, in the proxy's terms.
    pub(crate) fn of(tally: &Tally) -> Self {
        Self {
            answered: tally.answered,
            failed: tally.failed + tally.cut,
            recovered: tally.recovered,
        }
    }

    /// Whether nothing is less than in `other`: somebody else may have called too.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.answered >= other.answered
            && self.failed >= other.failed
            && self.recovered >= other.recovered
    }

    fn read(text: &str) -> Self {
        let model = format!("model=\"{MODEL}\"");
        let mut counts = Self::default();
        for sample in text.lines().filter_map(Sample::parse) {
            let has = |label: &str| sample.labels.split(',').any(|one| one == label);
            if !has(&model) {
                continue;
            }
            match sample.name {
                "mainstay_requests_total" if has("result=\"answered\"") => {
                    counts.answered += sample.count();
                }
                "mainstay_requests_total" => counts.failed += sample.count(),
                "mainstay_recovered_requests_total" => counts.recovered += sample.count(),
                _ => {}
            }
        }
        counts
    }
}

impl<'a> Sample<'a> {
    /// Label values hold no commas or braces here: they are the demo's own names.
    fn parse(line: &'a str) -> Option<Self> {
        if line.starts_with('#') {
            return None;
        }
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}')?),
            None => (series, ""),
        };
        let value = value.parse().ok()?;
        Some(Self {
            name,
            labels,
            value,
        })
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a counter is a whole number, and small here"
    )]
    fn count(&self) -> u64 {
        self.value as u64
    }
}

/// Asks the admin port for the counts once nothing is under way.
///
/// # Errors
/// It cannot be read, or something stays under way.
pub(crate) async fn settled(client: &Client) -> anyhow::Result<Counts> {
    let reading = async {
        loop {
            let text = fetch(client).await?;
            if in_flight(&text) == Some(0.0) {
                return Ok(Counts::read(&text));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let read = tokio::time::timeout(SETTLED, reading).await;
    read.context("exchanges are still under way")?
}

fn in_flight(text: &str) -> Option<f64> {
    let mut samples = text.lines().filter_map(Sample::parse);
    let found = samples.find(|sample| sample.name == "mainstay_exchanges_in_flight")?;
    Some(found.value)
}

async fn fetch(client: &Client) -> anyhow::Result<String> {
    let mut answer = client.send("GET", "/metrics", &[], Bytes::new()).await?;
    if answer.status != 200 {
        bail!("/metrics answered {}", answer.status);
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
    }
    client.release(answer).await;
    Ok(String::from_utf8(body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP mainstay_requests_total Exchanges.
# TYPE mainstay_requests_total counter
mainstay_requests_total{model=\"demo/pilot\",result=\"answered\"} 340
mainstay_requests_total{model=\"demo/pilot\",result=\"broken\"} 3
mainstay_requests_total{model=\"demo/pilot\",result=\"failed\"} 1
mainstay_requests_total{model=\"demo/understudy\",result=\"answered\"} 7
mainstay_recovered_requests_total{model=\"demo/pilot\"} 12
mainstay_exchanges_in_flight 0
";

    #[test]
    fn the_counts_of_the_model_are_read() {
        let counts = Counts::read(TEXT);
        let expected = Counts {
            answered: 340,
            failed: 4,
            recovered: 12,
        };
        assert_eq!(counts, expected);
        assert_eq!(in_flight(TEXT), Some(0.0));
    }

    #[test]
    fn what_is_absent_counts_as_none() {
        assert_eq!(Counts::read(""), Counts::default());
        assert_eq!(in_flight("mainstay_exchanges_in_flight x"), None);
    }
}
