//! What a demonstration, the tests and the benchmark stand on: a private broker, its certificates, a whole site.

pub mod conversation;
mod daemon;
mod error;
pub mod node;
mod offer;
pub mod pki;
pub mod population;
mod run;
pub mod site;

pub use daemon::{Daemon, count_events};
pub use error::{NodeError, PkiError, SiteError};
pub use node::{Node, NodeOptions};
pub use run::Arguments;
pub(super) use run::run;
pub use site::{Endpoint, Layout, Municipal, Site, SiteFolder, SiteOptions, SiteTenant, prepare};
