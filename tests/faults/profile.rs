//! Which faults there are, and how often each happens in which profile.

use crate::{broker, dice::Dice, disk, ground::Ground, hostile, load, messages, process};
use std::{pin::Pin, time::Duration};

/// How long one may wait for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Three minutes: with every change.
    Commit,
    /// Two hours.
    Nightly,
    /// As long as it takes.
    Release,
}

impl Profile {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "commit" => Some(Self::Commit),
            "nightly" => Some(Self::Nightly),
            "release" => Some(Self::Release),
            _ => None,
        }
    }

    /// No fault may hang the campaign.
    pub(crate) const fn longest(self) -> Duration {
        Duration::from_secs(match self {
            Self::Commit => 3 * 60,
            Self::Nightly => 60 * 60,
            Self::Release => 3 * 60 * 60,
        })
    }
}

type Way = for<'a> fn(&'a mut Ground, &'a mut Dice, u32) -> Pin<Box<dyn Future<Output = u32> + 'a>>;

/// A fault: it happens to a whole ground so many times, and leaves it whole. It says how often it happened.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) family: &'static str,
    pub(crate) name: &'static str,
    pub(crate) way: Way,
    /// In `commit`, `nightly` and `release`.
    times: [u32; 3],
}

impl Fault {
    pub(crate) const fn times(&self, profile: Profile) -> u32 {
        let [commit, nightly, release] = self.times;
        match profile {
            Profile::Commit => commit,
            Profile::Nightly => nightly,
            Profile::Release => release,
        }
    }

    /// `family::name`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}::{}", self.family, self.name)
    }
}

macro_rules! faults {
    ($($(#[$attribute:meta])* $family:ident :: $name:ident $times:expr),* $(,)?) => {
        &[$($(#[$attribute])* Fault {
            family: stringify!($family),
            name: stringify!($name),
            way: |ground, dice, times| Box::pin($family::$name(ground, dice, times)),
            times: $times,
        }),*]
    };
}

/// All of them.
pub(crate) const FAULTS: &[Fault] = faults![
    process::killed_under_load [6, 400, 1_200],
    process::stopped_under_load [1, 30, 100],
    process::stopped_twice [1, 20, 60],
    process::stopped_without_broker [1, 10, 30],
    process::killed_at_a_call [6, 300, 900],
    process::crash_loop [1, 20, 60],
    process::stalled [0, 6, 20],
    process::poison_kills [0, 6, 20],
    disk::sync_fails [2, 40, 120],
    disk::sync_is_slow [1, 20, 60],
    disk::two_daemons [1, 10, 30],
    disk::full_while_running [1, 10, 30],
    disk::full_at_start [1, 6, 20],
    disk::write_cut_short [1, 10, 30],
    disk::file_damaged [5, 100, 300],
    disk::folders_swapped [2, 20, 60],
    disk::vault_rolled_back [1, 2, 6],
    disk::power_fails [0, 10, 50],
    broker::killed_and_restarted [1, 20, 60],
    broker::cut_before_the_confirm [4, 100, 300],
    broker::cut_and_slow [3, 60, 200],
    broker::half_open [0, 6, 20],
    broker::out_of_memory [1, 10, 30],
    broker::reply_queue_deleted [1, 10, 30],
    broker::reader_missing_at_start [1, 10, 30],
    broker::reply_queue_full [1, 10, 30],
    broker::somebody_else_answers [0, 4, 12],
    broker::three_nodes [0, 6, 20],
    broker::own_queue_deleted [1, 6, 20],
    messages::repeated [1, 10, 30],
    messages::same_id_other_body [1, 20, 60],
    messages::one_person [2, 60, 200],
    messages::clock_jumps [1, 10, 30],
    messages::expired_while_down [1, 20, 60],
    messages::repeated_after_its_time [0, 4, 12],
    hostile::envelopes [1, 6, 20],
    hostile::across_tenants [1, 10, 30],
    hostile::headers_without_end [1, 6, 20],
    hostile::beyond_the_limits [1, 10, 30],
    hostile::withheld_looks_like_nothing [1, 10, 30],
    load::one_tenant_floods [0, 1, 3],
    load::stopped_beside_busy [0, 3, 60],
    #[cfg(feature = "sabotage")]
    messages::poison_panics [1, 6, 20],
];
