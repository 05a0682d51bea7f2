//! Owns random incident programs: scenarios that nobody tuned anything for. Must never draw a different program
//! from the same seed.

use fastrand::Rng;

use anyhow::{anyhow, ensure};

use crate::cmd::simulate::chance::{Subject, stream, uniform};
use crate::cmd::simulate::file::{File, RawIncident, RawKind, RawProgram, RawScenario};

/// Nothing happens before, so that speeds are known, and after, so that recovery is seen; in seconds.
const CALM: f64 = 30.0;
/// Lengths of incidents, in seconds.
const SHORTEST: f64 = 5.0;
const LONGEST: f64 = 90.0;
/// At most this many incidents.
const MOST: usize = 4;

/// The scenarios of a file's programs. Each is named after its seed.
pub(super) fn draw(file: &File) -> anyhow::Result<Vec<RawScenario>> {
    let mut drawn = Vec::new();
    for (position, program) in file.programs.iter().enumerate() {
        let fleet = file.fleets.get(&program.fleet);
        let fleet = fleet.filter(|fleet| !fleet.is_empty());
        let fleet = fleet
            .ok_or_else(|| anyhow!("programs[{position}].fleet: there is no {}", program.fleet))?;
        ensure!(
            program.dur >= 2.0 * CALM + LONGEST,
            "programs[{position}].dur: {} is less than {}",
            program.dur,
            2.0 * CALM + LONGEST
        );
        ensure!(
            program.count <= 1000,
            "programs[{position}].count: more than 1000"
        );
        let ids: Vec<&str> = fleet.iter().map(|endpoint| endpoint.id.as_str()).collect();
        let seeds = (0..program.count).map(|nth| program.seed.wrapping_add(nth));
        drawn.extend(seeds.map(|seed| scenario(program, &ids, seed)));
    }
    Ok(drawn)
}

fn scenario(program: &RawProgram, ids: &[&str], seed: u64) -> RawScenario {
    let mut rng = stream(seed, Subject::Program);
    let count = rng.usize(1..=MOST);
    RawScenario {
        id: format!("random_seed_{seed}"),
        fleet: program.fleet.clone(),
        rps: program.rps,
        dur: program.dur,
        incidents: (0..count)
            .map(|_| incident(program, ids, &mut rng))
            .collect(),
        window: Some([CALM, program.dur]),
        closed: None,
        client_err: 0.0,
        json: 0.0,
        reasoning: 0.0,
        prompt: None,
        asks: None,
        chain: Vec::new(),
    }
}

fn incident(program: &RawProgram, ids: &[&str], rng: &mut Rng) -> RawIncident {
    let length = uniform(rng, SHORTEST, LONGEST).round();
    let from = uniform(rng, CALM, program.dur - CALM - length).round();
    let kinds = [
        RawKind::Refuse,
        RawKind::SynDrop,
        RawKind::Err,
        RawKind::Ttft,
        RawKind::Hole,
        RawKind::Rate,
        RawKind::Tps,
        RawKind::Auth,
    ];
    let kind = kinds[rng.usize(..kinds.len())];
    // Every other incident is where most traffic is.
    let place = match rng.bool() {
        true => 0,
        false => rng.usize(..ids.len()),
    };
    let mut incident = RawIncident {
        ep: Some(ids[place].to_owned()),
        host: None,
        key: None,
        from,
        to: from + length,
        kind,
        p: None,
        p_to: None,
        delay: None,
        k: None,
        rate_x: None,
        rate_to: None,
        retry_after: None,
        period: None,
        on: None,
    };
    match kind {
        RawKind::SynDrop => incident.delay = Some(uniform(rng, 0.5, 3.0)),
        RawKind::Err => incident.p = Some(uniform(rng, 0.1, 1.0)),
        RawKind::Ttft | RawKind::Tps => incident.k = Some(uniform(rng, 3.0, 15.0)),
        RawKind::Rate => {
            incident.rate_x = Some(uniform(rng, 0.05, 0.6));
            incident.retry_after = Some(uniform(rng, 0.0, 10.0).round());
        }
        RawKind::Refuse | RawKind::Hole | RawKind::Auth | RawKind::Ramp | RawKind::Cut => {}
    }
    incident
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::simulate::scenario::Scenario;

    fn drawn(seed: u64) -> Vec<Scenario> {
        let text = format!(
            r#"{{"fleets": {{"duo": [{{"id": "A", "price": 1, "ttft": 0.4, "tps": 100}},
                {{"id": "B", "price": 1.5, "ttft": 0.6, "tps": 80}}]}}, "scenarios": [],
                "programs": [{{"fleet": "duo", "rps": 5, "dur": 200, "count": 50, "seed": {seed}}}]}}"#
        );
        Scenario::all(&File::parse(&text).unwrap()).unwrap()
    }

    #[test]
    fn a_program_is_its_seed() {
        let one = drawn(1);
        assert_eq!(one, drawn(1));
        assert_eq!(one[1], drawn(2)[0]);
        assert_eq!(one[0].id, "random_seed_1");
    }

    #[test]
    fn programs_hold_every_number_of_incidents_within_their_time() {
        let all = drawn(1);
        let counts: Vec<usize> = all.iter().map(|one| one.incidents.len()).collect();
        assert!(
            (1..=MOST).all(|count| counts.contains(&count)),
            "{counts:?}"
        );
        let mut incidents = all.iter().flat_map(|one| &one.incidents);
        assert!(incidents.all(|one| one.from >= CALM && one.to <= 200.0 - CALM));
    }
}
