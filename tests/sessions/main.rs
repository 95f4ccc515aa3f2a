//! Random sessions of two clients, direct and through a proxy with one server connection: everything a client can
//! see must be the same.
//!
//! Without arguments, a short run before both servers. `scripts/fuzz-sessions` starts it. A difference is made as small
//! as it gets and printed as a script; the last line is JSON.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod generate;
mod pair;
mod player;
mod seen;
mod shrink;
mod step;
#[path = "../it/support/mod.rs"]
#[allow(dead_code, unused_imports, unused_macros, reason = "shared with tests/it, which uses all of it")]
mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use dazzle::lab::Flavor;
use tokio::time::Instant;

use crate::generate::{Area, Generator};
use crate::pair::{Ground, Pair, Verdict};
use crate::shrink::shrink;
use crate::step::Step;

/// Steps of one episode: from empty schemas and new clients on.
const EPISODE: usize = 400;

/// Steps that are shown of a script before it has been made shorter.
const SHOWN: usize = 12;

/// Steps before each server in the short run.
const SHORT: usize = 600;

/// What to play.
struct Options {
    seed: u64,
    steps: usize,
    flavors: Vec<Flavor>,
    areas: Vec<Area>,
    /// Differences after which the run ends.
    stop: usize,
}

/// What a run came to.
#[derive(Default)]
struct Tally {
    steps: usize,
    different: usize,
    blocked: usize,
    refused: BTreeMap<String, usize>,
}

fn options() -> Result<Options, String> {
    let areas = Area::ALL.into_iter().filter(|area| !Area::APART.contains(area)).collect();
    let mut options = Options { seed: 1, steps: 0, flavors: Vec::new(), areas, stop: 1 };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{name} needs a value"));
        match name.as_str() {
            "--seed" => options.seed = value()?.parse().map_err(|error| format!("--seed: {error}"))?,
            "--steps" => options.steps = value()?.parse().map_err(|error| format!("--steps: {error}"))?,
            "--stop" => options.stop = value()?.parse().map_err(|error| format!("--stop: {error}"))?,
            "--server" => options.flavors.push(match value()?.as_str() {
                "mariadb" => Flavor::MariaDb,
                "mysql" => Flavor::MySql,
                other => return Err(format!("--server: {other}: neither mariadb nor mysql")),
            }),
            "--with" | "--without" | "--only" => {
                let named: Option<Vec<Area>> = value()?.split(',').map(Area::named).collect();
                let named = named.ok_or_else(|| format!("{name}: the areas are {:?}", Area::ALL))?;
                match name.as_str() {
                    "--without" => options.areas.retain(|area| !named.contains(area)),
                    "--with" => options.areas.extend(named),
                    _ => options.areas = named,
                }
            }
            // What the test runner hands to every test.
            _ => {}
        }
    }
    if options.flavors.is_empty() {
        options.flavors = vec![Flavor::MariaDb, Flavor::MySql];
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tally = runtime.block_on(async {
        let mut tally = Tally::default();
        for &flavor in &options.flavors {
            if !flavor.available() {
                assert!(std::env::var("CI").is_err(), "{flavor} is missing: run scripts/servers");
                eprintln!("NOT TESTED: {flavor} is missing on this machine: run scripts/servers");
                continue;
            }
            run(flavor, &options, &mut tally).await;
        }
        tally
    });
    let refused: usize = tally.refused.values().sum();
    println!("blocked {} refused {:?}", tally.blocked, tally.refused);
    println!("{{\"steps\":{},\"different\":{},\"refused\":{refused}}}", tally.steps, tally.different);
    ExitCode::from(u8::from(tally.different > 0))
}

async fn run(flavor: Flavor, options: &Options, tally: &mut Tally) {
    let started = Instant::now();
    let ground = Ground::prepare(flavor).await.unwrap();
    let mut proxy = ground.proxy().await;
    let wanted = if options.steps == 0 { SHORT } else { options.steps };
    let (mut steps, mut episode, mut playing) = (0, 0, Duration::ZERO);
    while steps < wanted && tally.different < options.stop {
        let seed = options.seed.wrapping_mul(0x9E37_79B9).wrapping_add(episode);
        episode += 1;
        ground.reset().await.unwrap();
        let mut pair = Pair::new(&ground, &proxy);
        let mut generator = Generator::new(seed, flavor, &options.areas);
        let length = EPISODE.min(wanted - steps);
        let begun = Instant::now();
        let (script, found) = play(&mut generator, &mut pair, length, tally).await;
        playing += begun.elapsed();
        steps += script.len();
        if let Some(found) = found {
            tally.different += 1;
            drop(pair);
            drop(proxy);
            println!(
                "{flavor}: seed {} episode {}: difference {}",
                options.seed,
                episode - 1,
                tally.different
            );
            // A run that is ended while it looks for a shorter script has told what there is to tell.
            let last = script.len().saturating_sub(SHOWN);
            show(&format!("the last of {} steps", script.len()), &script[last..], &found);
            match shrink(&ground, &script).await {
                Some((script, found)) => show(&format!("{} steps", script.len()), &script, &found),
                None => println!("  not when played again"),
            }
            proxy = ground.proxy().await;
        }
    }
    tally.steps += steps;
    println!(
        "{flavor}: seed {}, {steps} steps in {:.1} s, {:.1} s of it playing",
        options.seed,
        started.elapsed().as_secs_f64(),
        playing.as_secs_f64()
    );
}

fn show(title: &str, script: &[Step], found: &str) {
    println!("  {title}:");
    for step in script {
        println!("    {step:?}");
    }
    println!("{found}");
    let _ = std::io::stdout().flush();
}

/// Plays an episode up to its first difference.
async fn play(
    generator: &mut Generator,
    pair: &mut Pair,
    length: usize,
    tally: &mut Tally,
) -> (Vec<Step>, Option<String>) {
    let mut script = Vec::new();
    while script.len() < length {
        let step = generator.next();
        let (verdict, seen) = pair.play(&step).await;
        generator.observe(&step, &verdict, &seen, pair.alive());
        script.push(step);
        match verdict {
            Verdict::Same | Verdict::Nothing => {}
            Verdict::Blocked => tally.blocked += 1,
            Verdict::Refused(code) => *tally.refused.entry(code).or_default() += 1,
            Verdict::Astray => return (script, None),
            Verdict::Different(text) => return (script, Some(text)),
        }
    }
    (script, None)
}
