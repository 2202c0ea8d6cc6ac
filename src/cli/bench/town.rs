//! The site of the benchmark: its tenants and residents, and who asks for what.
//!
//! Always: nobody real; everything follows from the plan. Two tenants more than asked for stand in the directory: they
//! have no vault, and lead to the queues of echo and floor.

use super::{Plan, Skew, failed};
use crate::{
    broker::Observer,
    calendar::Timestamp,
    cli::{
        CliError, Outside,
        demo::{
            Layout, Municipal, Site, SiteOptions, SiteTenant,
            conversation::{Writer, converse},
            population::{self, Resident, Shown},
        },
    },
    config::{Configuration, read_root_key},
    daemon::SystemEntropy,
    directory::{Catalogue, catalogue},
    identifier::{Category, MessageType, TenantCode, VaultName},
    keyring::RootKey,
    vault::{Outbox, OutboxLimits, Settings, Tuning, Vaults, filter},
};
use serde_json::json;
use std::{path::Path, sync::Arc, time::Duration};

/// The partition of the relay, and those of echo and floor.
pub(super) const PARTITIONS: [u16; 3] = [0, 1, 2];
const PATIENCE: Duration = Duration::from_secs(120);
const ROWS: usize = 100;

/// Who lives where, and who asks.
#[derive(Debug, Clone)]
pub(super) struct Town {
    /// The tenants that the relay serves.
    pub(super) tenants: Vec<TenantCode>,
    /// The tenants whose messages go to echo and floor.
    pub(super) astray: [TenantCode; 2],
    pub(super) categories: Vec<Category>,
    people: u32,
    withheld: f64,
    /// The shares of the tenants, summed up.
    shares: Vec<f64>,
    random: Random,
}

impl Town {
    pub(super) fn of(plan: &Plan) -> Result<Self, CliError> {
        let count = plan.tenants as usize;
        let mut codes = codes();
        let mut next = || codes.next().ok_or_else(|| failed("there are not so many codes"));
        let tenants = (0..count).map(|_| next()).collect::<Result<Vec<_>, _>>()?;
        let astray = [next()?, next()?];
        let known = Catalogue::parse(catalogue::TYPICAL.as_bytes()).map_err(failed)?;
        let categories: Vec<Category> =
            (1..200).filter_map(|number| format!("TM{number:014}").parse().ok()).filter(|category| known.knows(category)).collect();
        let categories: Vec<_> = categories.into_iter().take(plan.records.into()).collect();
        let weight = |rank: usize| match plan.skew {
            Skew::Even => 1.0,
            Skew::Town => (rank as f64 + 1.0).powf(-0.8),
        };
        let shares = (0..count).scan(0.0, |sum, rank| {
            *sum += weight(rank);
            Some(*sum)
        });
        let shares = shares.collect();
        Ok(Self { tenants, astray, categories, people: plan.people(), withheld: plan.withheld, shares, random: Random(plan.seed) })
    }

    /// How the site is made.
    pub(super) fn site(&self, plan: &Plan, now: Timestamp) -> (SiteOptions, Layout) {
        let everyone = self.tenants.iter().chain(&self.astray);
        let tenants = everyone.map(|code| SiteTenant {
            code: *code,
            name: ("某市", "Somewhere"),
            categories: self.categories.iter().cloned().collect(),
            self_info: now.day_in_japan(),
        });
        let [relay, echo, floor] = PARTITIONS;
        let [to_echo, to_floor] = self.astray;
        let placement = self.tenants.iter().map(|code| (*code, relay)).chain([(to_echo, echo), (to_floor, floor)]);
        let options = SiteOptions { tenants: tenants.collect(), partitions: 3, prefetch: plan.prefetch, wait: Duration::from_secs(5), now };
        (options, Layout { municipal: Municipal::Shared, own: vec![relay], placement: placement.collect(), through: None })
    }

    /// Registers everybody's records through the relay. Returns how many.
    pub(super) async fn register(&self, site: &Site, outside: &Outside<'_>, progress: impl FnMut(u64, u64)) -> Result<u64, CliError> {
        let mut progress = progress;
        let peer = site.peer("municipal")?;
        let writer = Writer { peer: &peer, entropy: outside.entropy, now: outside.clock.now() };
        let quiet: Observer = Arc::new(|_| {});
        let publisher = Arc::new(peer.publisher(Arc::clone(&quiet)));
        let (_intake, mut replies) = peer.intake(512, quiet);
        let all = self.tenants.len() as u64 * u64::from(self.people) * (1 + self.categories.len() as u64);
        let (mut done, mut stored) = (0, 0);
        // As many tenants at once as are worth a conversation.
        let together = (2_000 / self.people.max(1) as usize).max(1);
        for tenants in self.tenants.chunks(together) {
            let (mut links, mut puts) = (Vec::new(), Vec::new());
            for tenant in tenants.iter().copied() {
                let everyone = (0..self.people).map(|index| Resident { tenant, index });
                for resident in everyone.clone() {
                    links.push(writer.write(tenant, MessageType::PersonLink, &resident.link()).map_err(failed)?);
                }
                let rows = everyone.flat_map(|resident| self.categories.iter().map(move |category| (resident, category)));
                let rows: Vec<_> = rows.map(|(resident, category)| resident.row(category, Shown::Now, writer.now)).collect();
                for some in rows.chunks(ROWS) {
                    puts.push(writer.write(tenant, MessageType::RecordPut, &json!({ "rows": some })).map_err(failed)?);
                }
            }
            for (letters, each) in [(links, 1), (puts, ROWS as u64)] {
                let count = letters.len() as u64;
                let tally = converse(&peer, &publisher, &mut replies, letters, PATIENCE, |answered| {
                    progress((done + answered * each).min(all), all);
                });
                let tally = tally.await.map_err(failed)?;
                if tally.answered < count {
                    return Err(failed(format!("{} of {count} messages of the municipal system were answered", tally.answered)));
                }
                let refused: Vec<_> = tally.outcomes.keys().filter(|outcome| !matches!(outcome.as_str(), "linked" | "stored")).collect();
                if !refused.is_empty() {
                    return Err(failed(format!("the municipal system was answered: {refused:?}")));
                }
                stored += tally.outcomes.get("stored").copied().unwrap_or_default();
                done = (done + count * each).min(all);
            }
        }
        Ok(stored)
    }

    /// The next request: of whom, and what it says.
    pub(super) fn draw(&mut self, now: Timestamp) -> (TenantCode, serde_json::Value) {
        let whole = self.shares.last().copied().unwrap_or(1.0);
        let at = self.random.share() * whole;
        let place = self.shares.partition_point(|sum| *sum <= at).min(self.tenants.len().saturating_sub(1));
        let tenant = self.tenants.get(place).copied().unwrap_or(self.astray[0]);
        let known = self.random.share() >= self.withheld;
        let index = self.random.below(self.people) + if known { 0 } else { self.people };
        let all: Vec<_> = self.categories.iter().collect();
        (tenant, population::request(&Resident { tenant, index }.code(), &all, now))
    }
}

/// Numbers that follow from a seed (SplitMix64).
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.next() % u64::from(bound.max(1))).unwrap_or_default()
    }
}

/// Codes that a local government could have, in order: prefectures 01 to 47, municipalities from 100 on.
fn codes() -> impl Iterator<Item = TenantCode> {
    let bodies = (100..700).step_by(7).flat_map(|town| (1..=47).map(move |prefecture| prefecture * 1000 + town));
    bodies.filter_map(|body: u32| (0..10).find_map(|check| format!("{body:05}{check}").parse().ok()))
}

/// Makes a vault for each tenant that the daemon of this configuration serves.
pub(super) fn make_vaults(config: &Path) -> Result<(), CliError> {
    // First of all, as long as there is one thread.
    let filter = filter::install()?;
    let configuration = Configuration::load(config)?;
    let directory = configuration.open_directory()?;
    let settings = Settings {
        data: configuration.data.clone(),
        root_key: RootKey::from_bytes(*read_root_key(&configuration.keys.root)?),
        environment: configuration.env.to_string(),
        entropy: Arc::new(SystemEntropy::open().map_err(|_| failed("no random bytes"))?),
        outbox: Outbox::new(OutboxLimits::default()),
        listen: Arc::new(|_| {}),
        anchors: None,
        tuning: Tuning::default(),
    };
    let vaults = Vaults::new(filter, settings).map_err(failed)?;
    for tenant in directory.tenants().filter(|tenant| configuration.partitions.serves(tenant)) {
        vaults.create(VaultName::Tenant(tenant.code)).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_codes_for_all_of_japan_and_two_more() {
        let codes: std::collections::BTreeSet<_> = codes().collect();
        assert!(codes.len() >= 1790, "{}", codes.len());
    }
}
