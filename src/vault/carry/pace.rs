//! The pace of a carry-over: it works, and it rests, so that those who wait for an answer have the machine.
//!
//! Always: after each piece of work it rests for a share of the time that the work took, and tells from time to time how far
//! it is. Absent: the end.

use crate::vault::{
    core::Core,
    event::{CarryStep, VaultEvent},
};
use std::{thread, time::Duration};
use tokio::time::Instant;

/// How often it tells how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Works and rests.
pub(super) struct Pace<'a> {
    core: &'a Core,
    epoch: u32,
    step: CarryStep,
    /// When this step began, and how much was done before.
    began: Instant,
    before: u64,
    done: u64,
    told: Instant,
    worked: Instant,
}

impl<'a> Pace<'a> {
    /// Begins a step of which so much was done before.
    pub(super) fn step(core: &'a Core, epoch: u32, step: CarryStep, before: u64) -> Self {
        let now = Instant::now();
        Self { core, epoch, step, began: now, before, done: before, told: now, worked: now }
    }

    /// So much is done of the step. Rests.
    pub(super) fn done(&mut self, done: u64) {
        self.done = done;
        if self.told.elapsed() >= TELL_EVERY {
            self.tell();
        }
        thread::sleep(self.worked.elapsed() * self.core.tuning.carry_rest / 100);
        self.worked = Instant::now();
    }

    /// Tells how far it is.
    pub(super) fn tell(&mut self) {
        self.told = Instant::now();
        let took = self.began.elapsed().as_millis().max(1);
        let rate = u128::from(self.done - self.before) * 1000 / took;
        (self.core.listen)(VaultEvent::CarryingOver {
            vault: self.core.name,
            epoch: self.epoch,
            step: self.step,
            done: self.done,
            a_second: u64::try_from(rate).unwrap_or(u64::MAX),
        });
    }
}
