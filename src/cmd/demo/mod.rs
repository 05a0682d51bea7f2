//! Owns `mainstay demo`: the proxy, three fake providers of different speed and price, steady traffic and an
//! incident that walks through them, live in the terminal; no key, no network. In reading order: `schedule`
//! (the incident), `proxy` and `stage` (who plays), `file` (the proxy's configuration), `call` and `transcript` (one
//! client), `tally` and `incident` (what is counted), `recent`, `text`, `view`, `screen` (what is shown),
//! `show` (the run), `exposition` and `summary` (the end); `dialects` is a show of its own. Must never show a number that was not measured.

mod schedule;
mod proxy;
mod stage;
mod file;
mod call;
mod transcript;
mod tally;
mod incident;
mod recent;
mod text;
mod view;
mod screen;
mod show;
mod exposition;
mod summary;
mod dialects;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Runtime;

use crate::cmd::client::Client;
use crate::cmd::demo::file::{MODEL, TRIP_AFTER, Timings};
use crate::cmd::demo::schedule::{Schedule, USUAL_LENGTH};
use crate::cmd::demo::screen::Screen;
use crate::cmd::demo::show::{Interrupts, Show};
use crate::cmd::demo::stage::Stage;
use crate::cmd::demo::summary::Agreement;
use crate::cmd::demo::text::{Line, Style, duration};

/// Shorter runs leave an incident no time to be seen.
const SHORTEST: Duration = Duration::from_secs(4);
const LONGEST: Duration = Duration::from_secs(3600);

/// How long the demo runs.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// How long the incident takes, from 4s to 1h.
    #[arg(long = "for", value_name = "DURATION", default_value = "30s", value_parser = length)]
    length: Duration,
    /// Repeat the incident until Ctrl-C, and take requests of your own.
    #[arg(long, conflicts_with = "length")]
    serve: bool,
    /// Show, instead of the incident, what providers of every dialect understand of clients of every dialect while
    /// the first provider of each model is overloaded.
    #[arg(long, conflicts_with_all = ["length", "serve"])]
    dialects: bool,
}

fn length(text: &str) -> Result<Duration, String> {
    let length = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match (SHORTEST..=LONGEST).contains(&length) {
        true => Ok(length),
        false => Err("must be from 4s to 1h".to_owned()),
    }
}

/// Runs the demo. Exits with 0 when no request failed and the proxy counted what its clients did.
pub(crate) fn demo(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let schedule = Schedule {
        length: if args.serve {
            USUAL_LENGTH
        } else {
            args.length
        },
        repeats: args.serve,
    };
    let out = io::stdout();
    let terminal = out.is_terminal() && variable("TERM").is_none_or(|term| term != "dumb");
    // https://no-color.org: any value but an empty one.
    let colour = variable("NO_COLOR").is_none();
    let mut screen = Screen::new(out, terminal, colour);
    let good = match args.dialects {
        true => dialects::perform(&runtime()?, &mut screen)?,
        false => perform(schedule, &mut screen)?,
    };
    Ok(match good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("demo")
        .enable_all()
        .build()
        .context("no runtime for the demo")
}

/// Runs to the end. Returns whether the run was good.
fn perform<W: Write>(schedule: Schedule, screen: &mut Screen<W>) -> anyhow::Result<bool> {
    let runtime = runtime()?;
    let timings = Timings::of(&schedule);
    let stage = Stage::set(&runtime, &timings)?;
    let played = play(&runtime, &stage, schedule, &timings, screen);
    stage.strike(&runtime);
    played
}

fn play<W: Write>(
    runtime: &Runtime,
    stage: &Stage,
    schedule: Schedule,
    timings: &Timings,
    screen: &mut Screen<W>,
) -> anyhow::Result<bool> {
    for line in introduction(stage, &schedule, timings) {
        screen.line(&line)?;
    }
    runtime.block_on(async {
        let mut interrupts = Interrupts::arm()?;
        let show = Show::new(stage, schedule, screen);
        let seen = show.run(&mut interrupts).await?;
        let read = exposition::settled(&Client::of(stage.proxy.admin)).await;
        let agreement = Agreement::of(read, &seen.book.all, schedule.repeats);
        for line in summary::lines(&seen.book, &seen.incidents, &agreement) {
            screen.line(&line)?;
        }
        Ok(summary::is_good(&seen.book.all, &agreement))
    })
}

fn introduction(stage: &Stage, schedule: &Schedule, timings: &Timings) -> Vec<Line> {
    let scaled = format!(
        "Shortened for the demo: first token within {}, whole answers within {}; breakers trip after \
         {TRIP_AFTER} failures, rest {}, ramp up in {}.",
        duration(timings.first_token),
        duration(timings.answer),
        duration(timings.rest),
        duration(timings.ramp),
    );
    let mut lines = vec![
        Line::default().with(
            Style::Bold,
            "Mainstay in front of three providers, with one incident after another.",
        ),
        Line::default().with(
            Style::Dim,
            "Everything runs in this process: no key, no network. Every answer is checked word by word.",
        ),
        Line::default().with(Style::Dim, scaled),
    ];
    let (proxy, admin) = (stage.proxy.address, stage.proxy.admin);
    lines.push(format!("proxy http://{proxy}   admin http://{admin}/metrics").into());
    if schedule.repeats {
        lines.push(
            format!(
                "try: curl -N http://{proxy}/v1/chat/completions -H 'content-type: application/json' \
                 -d '{{\"model\":\"{MODEL}\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"hello\"}}]}}'"
            )
            .into(),
        );
    }
    lines.push(Line::default());
    lines
}
