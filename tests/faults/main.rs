//! The fault campaign: nothing acknowledged is lost, nothing happens twice, whatever breaks.
//!
//! Always: the real daemon, a real RabbitMQ node over mutual TLS, a real disk; what is known is kept outside of them. One
//! line for each fault, one JSON line at the end; the exit code says whether every promise held. `README.md` lists the faults.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a fault that cannot go on says where")]
#![expect(clippy::print_stdout, reason = "this program's output is its report")]

mod arguments;
mod broker;
mod checker;
mod dice;
mod disk;
mod facts;
#[expect(dead_code, reason = "the tests of the way use the rest")]
#[path = "../support/graveyard.rs"]
mod graveyard;
mod ground;
mod hostile;
#[expect(dead_code, reason = "the tests of the way use the rest")]
#[path = "../support/ledger.rs"]
mod ledger;
mod load;
mod messages;
mod process;
mod profile;
#[expect(dead_code, reason = "the tests of the way use the rest")]
#[path = "../support/search.rs"]
mod search;
#[expect(dead_code, reason = "the tests of the way use the rest")]
#[path = "../support/stage.rs"]
mod stage;
mod traffic;
mod wire;

use arguments::{Arguments, Asked};
use checker::Verdict;
use dice::Dice;
use futures_util::FutureExt as _;
use ground::Ground;
use profile::Fault;
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// Complaints that are printed of one fault.
const PRINTED: usize = 12;

/// The sum of a campaign.
#[derive(Debug, Default)]
struct Sum {
    faults: u32,
    acknowledged: usize,
    lost: usize,
    twice: usize,
    leaked: usize,
    failed: usize,
}

impl Sum {
    fn add(&mut self, verdict: &Verdict) {
        self.lost += verdict.lost;
        self.twice += verdict.twice;
        self.leaked += verdict.leaked;
        self.failed += usize::from(!verdict.complaints.is_empty());
    }

    fn is_clean(&self) -> bool {
        (self.lost, self.twice, self.leaked, self.failed) == (0, 0, 0, 0)
    }
}

fn main() -> ExitCode {
    let arguments = match arguments::read(std::env::args().skip(1)) {
        Asked::Run(arguments) => arguments,
        Asked::List => {
            profile::FAULTS.iter().for_each(|fault| println!("{}: test", fault.full_name()));
            return ExitCode::SUCCESS;
        }
        Asked::Nothing => return ExitCode::SUCCESS,
        Asked::Wrong(what) => {
            println!("{what}");
            return ExitCode::from(64);
        }
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sum = runtime.block_on(campaign(&arguments));
    runtime.shutdown_timeout(Duration::from_secs(1));
    let Sum { faults, acknowledged, lost, twice, leaked, failed } = sum;
    println!(r#"{{"faults":{faults},"acknowledged":{acknowledged},"lost":{lost},"twice":{twice},"leaked":{leaked},"failed":{failed}}}"#);
    if sum.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn campaign(arguments: &Arguments) -> Sum {
    let mut sum = Sum::default();
    let mut ground: Option<Ground> = None;
    for fault in profile::FAULTS {
        let times = arguments.times(fault);
        if times == 0 {
            continue;
        }
        let from = Instant::now();
        let before = ground.as_ref().map_or(0, |ground| ground.traffic.facts.confirmed());
        let (mut verdict, happened) = suffer(&mut ground, fault, times, arguments).await;
        let acknowledged = ground.as_ref().map_or(0, |ground| ground.traffic.facts.confirmed() - before);
        let whole = verdict.complaints.is_empty();
        if !whole && let Some(ground) = ground.take() {
            // What leaked before it is left is searched for, too.
            verdict.join(searched(&ground));
            ground.leave(fault.name);
        }
        if let Some(worn) = ground.take_if(|ground| ground.worn) {
            verdict.join(searched(&worn));
        }
        sum.faults += happened;
        sum.acknowledged += acknowledged;
        sum.add(&verdict);
        println!(
            "{} {} · {happened} × · {acknowledged} acknowledged, {} lost, {} twice, {} leaked · {:.1} s",
            if whole { "ok    " } else { "FAILED" },
            fault.full_name(),
            verdict.lost,
            verdict.twice,
            verdict.leaked,
            from.elapsed().as_secs_f32(),
        );
        print(&verdict);
        if !whole {
            println!("       again: {}", arguments.again(fault));
        }
    }
    if let Some(ground) = ground {
        let verdict = searched(&ground);
        print(&verdict);
        sum.add(&verdict);
    }
    sum
}

fn print(verdict: &Verdict) {
    let shortened = verdict.complaints.iter().map(|complaint| complaint.chars().take(600).collect::<String>());
    shortened.take(PRINTED).for_each(|complaint| println!("       {complaint}"));
}

fn searched(ground: &Ground) -> Verdict {
    catch_unwind(AssertUnwindSafe(|| ground.search())).unwrap_or_else(|panic| failed(panic.as_ref()))
}

/// Lets a fault happen on the ground, which is made where there is none; heals, and checks. A panic is a failure like any other.
async fn suffer(ground: &mut Option<Ground>, fault: &Fault, times: u32, arguments: &Arguments) -> (Verdict, u32) {
    let mut dice = Dice::of(arguments.seed, &fault.full_name());
    let whole = async {
        let ground = match ground {
            Some(ground) => ground,
            None => ground.insert(Ground::build(arguments.profile).await),
        };
        let happened = (fault.way)(ground, &mut dice, times).await;
        let verdict = ground.heal().await;
        if verdict.complaints.is_empty() && !ground.worn {
            ground.start().await;
        }
        (verdict, happened)
    };
    match timeout(arguments.longest(), AssertUnwindSafe(whole).catch_unwind()).await {
        Ok(Ok(done)) => done,
        Ok(Err(panic)) => (failed(panic.as_ref()), 0),
        Err(_) => {
            let mut verdict = Verdict::default();
            verdict.wrong("it takes too long".to_owned());
            (verdict, 0)
        }
    }
}

fn failed(panic: &(dyn Any + Send)) -> Verdict {
    let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    let mut verdict = Verdict::default();
    verdict.wrong(text.unwrap_or_else(|| "it panicked".to_owned()));
    verdict
}
