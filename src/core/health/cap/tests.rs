use super::*;

/// An upstream with a limit, and the traffic that meets it.
#[derive(Debug)]
struct Play {
    cap: RateCap,
    /// Requests a second that the upstream lets through, and the seconds of it that it saves up.
    rate: f32,
    saves: f32,
    retry_after: f32,
    /// What it has saved up.
    left: f32,
    turn: Time,
    blocked_until: Time,
    sent: u64,
    taken: u32,
    refused: u32,
    now: Time,
}

impl Play {
    fn of(rate: f32, saves: f32, retry_after: f32) -> Self {
        Self {
            cap: RateCap::default(),
            rate,
            saves,
            retry_after,
            left: rate * saves,
            turn: Time::ZERO,
            blocked_until: Time::ZERO,
            sent: 0,
            taken: 0,
            refused: 0,
            now: Time::ZERO,
        }
    }

    /// Lets so many requests a second come, evenly, for so many seconds. `wait`: those whose turn it is not have
    /// nobody else. Returns how many were taken, and how many refused.
    fn go(&mut self, demand: f32, seconds: f32, wait: bool) -> (u32, u32) {
        let before = (self.taken, self.refused);
        let apart = Duration::from_secs_f32(1.0 / demand);
        let end = self.now + Duration::from_secs_f32(seconds);
        while self.now + apart <= end {
            self.now = self.now + apart;
            let filled = self.left + self.rate * apart.as_secs_f32();
            self.left = filled.min((self.rate * self.saves).max(1.0));
            self.come(wait);
        }
        (self.taken - before.0, self.refused - before.1)
    }

    fn come(&mut self, wait: bool) {
        let free = match self.cap.limit {
            Some(limit) => ready(limit, self.turn).max(self.blocked_until),
            None => self.blocked_until,
        };
        if free > self.now {
            if wait {
                self.cap.asked(self.sent, self.now);
                self.cap.waited(self.now);
            }
            return;
        }
        self.cap.asked(self.sent, self.now);
        self.sent += 1;
        if let Some(limit) = self.cap.limit {
            self.turn = self.turn.max(self.now) + pace(limit);
        }
        match self.left >= 1.0 {
            true => {
                self.left -= 1.0;
                self.taken += 1;
                self.cap.answered(self.now);
            }
            false => self.refuse(),
        }
    }

    fn refuse(&mut self) {
        self.refused += 1;
        self.blocked_until = self.now + Duration::from_secs_f32(self.retry_after);
        self.cap.limited(&Limited {
            sent: self.sent,
            started: self.now,
            blocked_until: self.blocked_until,
            jitter: 0.5,
            now: self.now,
        });
    }
}

fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

/// A 429 to an attempt that began at `started`.
fn limited(cap: &mut RateCap, sent: u64, started: Time, now: Time) {
    cap.limited(&Limited {
        sent,
        started,
        blocked_until: now + Duration::from_secs(1),
        jitter: 0.5,
        now,
    });
}

#[test]
fn the_first_429_cuts_to_four_fifths_of_what_was_measured_and_its_company_cuts_no_more() {
    let mut cap = RateCap::default();
    for nth in 0..200 {
        cap.answered(at(nth * 50));
    }
    limited(&mut cap, 201, at(9_950), at(10_000));
    let first = cap.limit.unwrap();
    assert!((14.0..17.0).contains(&first), "{first}");
    limited(&mut cap, 201, at(9_990), at(10_800));
    assert_eq!(cap.limit, Some(first), "it began before the cut");
}

#[test]
fn an_endpoint_of_which_nothing_is_known_keeps_half_a_request_a_second() {
    let mut cap = RateCap::default();
    limited(&mut cap, 1, at(950), at(1000));
    assert_eq!(cap.limit, Some(LEAST));
}

#[test]
fn a_limit_that_all_wait_for_is_learnt_within_seconds_and_used_nearly_whole() {
    let mut play = Play::of(7.5, 1.0, 2.04);
    play.go(50.0, 20.0, true);
    let learnt = play.cap.plateau;
    assert!((6.75..8.25).contains(&learnt), "{learnt}");
    let (taken, refused) = play.go(50.0, 300.0, true);
    let used = taken as f32 / (7.5 * 300.0);
    assert!(used > 0.93, "{used}");
    assert!(refused <= 15, "{refused} probes in five minutes");
}

#[test]
fn a_limit_that_saves_little_up_is_used_well_too() {
    let mut play = Play::of(7.5, 0.5, 2.04);
    play.go(50.0, 30.0, true);
    let (taken, _) = play.go(50.0, 300.0, true);
    let used = taken as f32 / (7.5 * 300.0);
    assert!(used > 0.75, "{used}");
}

#[test]
fn a_limit_a_minute_is_used_whole() {
    let mut play = Play::of(1.0, 20.0, 20.4);
    play.go(10.0, 60.0, true);
    let (taken, _) = play.go(10.0, 600.0, true);
    assert!(taken > 540, "{taken}");
}

#[test]
fn a_raised_limit_is_found_by_the_next_probe() {
    let mut play = Play::of(7.5, 1.0, 2.04);
    play.go(50.0, 120.0, true);
    play.rate = 1000.0;
    play.go(50.0, 40.0, true);
    let (taken, refused) = play.go(50.0, 10.0, true);
    assert!(taken >= 490, "{taken}");
    assert_eq!(refused, 0);
}

#[test]
fn a_lowered_limit_is_followed_down() {
    let mut play = Play::of(20.0, 1.0, 1.02);
    play.go(50.0, 60.0, true);
    play.rate = 5.0;
    play.go(50.0, 40.0, true);
    let learnt = play.cap.plateau;
    assert!((4.0..6.5).contains(&learnt), "{learnt}");
}

#[test]
fn what_others_take_meanwhile_is_probed_sooner_than_what_all_wait_for() {
    let refused = |wait| {
        let mut play = Play::of(7.5, 1.0, 2.04);
        play.go(50.0, 60.0, wait);
        play.go(50.0, 240.0, wait).1
    };
    let (waited, spared) = (refused(true), refused(false));
    assert!(spared > 2 * waited, "{spared} {waited}");
}

#[test]
fn a_limit_never_grows_far_beyond_the_traffic_and_is_forgotten_once_that_is_long_below_it() {
    let mut play = Play::of(7.5, 1.0, 2.04);
    play.go(50.0, 60.0, true);
    play.rate = 1000.0;
    let mut most = 0.0_f32;
    for _ in 0..50 {
        play.go(2.0, 1.0, false);
        most = most.max(play.cap.limit.unwrap_or_default());
    }
    assert!(most < 20.0, "{most}");
    play.go(2.0, 30.0, false);
    assert_eq!(play.cap.limit, None);
}

#[test]
fn without_traffic_no_limit_is_told_after_a_minute() {
    let mut cap = RateCap::default();
    limited(&mut cap, 1, at(950), at(1000));
    assert_eq!(cap.told(at(30_000)), Some(LEAST));
    assert_eq!(cap.told(at(61_000)), None);
}
