//! Owns the reading of `/metrics`.

/// The text of `/metrics`.
#[derive(Debug)]
pub(crate) struct Metrics(pub(crate) String);

impl Metrics {
    /// The sum of a family's series that carry these labels.
    pub(crate) fn sum(&self, family: &str, labels: &[(&str, &str)]) -> f64 {
        let series = self.0.lines().filter(|line| {
            let rest = line.strip_prefix(family);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let carries = |line: &&str| {
            labels
                .iter()
                .all(|(name, value)| line.contains(&format!("{name}=\"{value}\"")))
        };
        let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
        series.filter(carries).filter_map(value).sum()
    }
}
