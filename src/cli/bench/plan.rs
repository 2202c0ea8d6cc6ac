//! What is measured: how many tenants, people and records, and for how long.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What is measured.
#[derive(Debug, Clone, Args)]
pub struct Plan {
    /// Tenants, each with a vault of its own; 1,788 is all of Japan.
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1788))]
    pub tenants: u32,
    /// How the requests spread over the tenants.
    #[arg(long, value_enum, default_value_t = Skew::Even)]
    pub skew: Skew,
    /// Residents of each tenant; by default as many as make a thousand in all, and at least two.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub people: Option<u32>,
    /// Categories that each resident has a record in and each request asks for; decides how large a reply is.
    #[arg(long, default_value_t = 5, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub records: u8,
    /// The share of requests about people whom the tenant does not know, from 0 to 1.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub withheld: f64,
    /// Seconds of one round.
    #[arg(long, default_value_t = 3.0, value_name = "SECONDS")]
    pub seconds: f64,
    /// Rounds of each of the three; the figures are medians.
    #[arg(long, default_value_t = 5, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Requests under way at once.
    #[arg(long, default_value_t = 1024, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=8192))]
    pub window: u32,
    /// Messages in hand, for echo, floor and relay alike.
    #[arg(long, default_value_t = 256, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=8192))]
    pub prefetch: u16,
    /// Who asks for what follows from this number.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub seed: u64,
    /// Write JSON lines instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Keep the benchmark's folder, and make it here instead of in a temporary place.
    #[arg(long, value_name = "FOLDER")]
    pub keep: Option<PathBuf>,
}

/// How the requests spread over the tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Skew {
    /// All tenants alike.
    Even,
    /// By rank to the power of −0.8: a few cities and many villages, as in Japan.
    Town,
}

impl Plan {
    /// As arguments for a part of the benchmark.
    pub(super) fn arguments(&self) -> Vec<String> {
        let skew = match self.skew {
            Skew::Even => "even",
            Skew::Town => "town",
        };
        let values = [
            ("--tenants", self.tenants.to_string()),
            ("--skew", skew.to_owned()),
            ("--people", self.people().to_string()),
            ("--records", self.records.to_string()),
            ("--withheld", self.withheld.to_string()),
            ("--seed", self.seed.to_string()),
        ];
        values.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }

    /// Residents of each tenant.
    pub(super) fn people(&self) -> u32 {
        self.people.unwrap_or_else(|| (1000 / self.tenants).max(2))
    }
}
