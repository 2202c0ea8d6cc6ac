//! What the campaign is asked for: its own options, and those that `cargo test` passes to every test program.

use crate::profile::{Fault, Profile};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::time::Duration;

/// Options of the standard test harness that take a value.
const FOREIGN: [&str; 7] = ["--test-threads", "--format", "--color", "--logfile", "--skip", "--shuffle-seed", "-Z"];

/// What to run.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) profile: Profile,
    name: String,
    only: Vec<String>,
    times: Option<u32>,
    pub(crate) seed: u64,
}

/// What is asked.
#[derive(Debug)]
pub(crate) enum Asked {
    Run(Arguments),
    List,
    /// Only the tests that are ignored by default: there are none here.
    Nothing,
    Wrong(String),
}

pub(crate) fn read(mut given: impl Iterator<Item = String>) -> Asked {
    let (mut name, mut only, mut seed, mut times) = ("commit".to_owned(), Vec::new(), None, None);
    while let Some(argument) = given.next() {
        let (option, own) =
            argument.split_once('=').map_or((argument.clone(), None), |(option, value)| (option.into(), Some(value.to_owned())));
        let mut value = || own.clone().or_else(|| given.next()).unwrap_or_default();
        match option.as_str() {
            "--profile" => name = value(),
            "--only" => only.push(value()),
            "--seed" => match number(&value()) {
                Some(number) => seed = Some(number),
                None => return Asked::Wrong("--seed takes a number".to_owned()),
            },
            "--times" => times = value().parse().ok(),
            "--list" => return Asked::List,
            "--ignored" => return Asked::Nothing,
            option if FOREIGN.contains(&option) => drop(value()),
            option if option.starts_with('-') => {}
            filter => only.push(filter.to_owned()),
        }
    }
    let Some(profile) = Profile::named(&name) else { return Asked::Wrong(format!("there is no profile {name}: commit, nightly, release")) };
    let seed = seed.unwrap_or_else(|| {
        let mut bytes = [0; 8];
        SystemRandom::new().fill(&mut bytes).unwrap();
        u64::from_be_bytes(bytes)
    });
    Asked::Run(Arguments { profile, name, only, times, seed })
}

fn number(text: &str) -> Option<u64> {
    text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hexadecimal| u64::from_str_radix(hexadecimal, 16).ok())
}

impl Arguments {
    /// How often this fault happens; a fault that is asked for by its whole name happens in every profile.
    pub(crate) fn times(&self, fault: &Fault) -> u32 {
        let full = fault.full_name();
        if !self.only.is_empty() && !self.only.iter().any(|only| full.contains(only.as_str())) {
            return 0;
        }
        let named = self.only.iter().any(|only| *only == full || only == fault.name);
        self.times.unwrap_or_else(|| fault.times(self.profile).max(u32::from(named)))
    }

    /// How long one fault may take.
    pub(crate) fn longest(&self) -> Duration {
        if self.times.is_some() { Profile::Release } else { self.profile }.longest()
    }

    /// How to see this fault again.
    pub(crate) fn again(&self, fault: &Fault) -> String {
        let times = self.times.map_or(String::new(), |times| format!(" --times {times}"));
        format!("tests/faults/run --profile {} --only {} --seed {:#018x}{times}", self.name, fault.full_name(), self.seed)
    }
}
