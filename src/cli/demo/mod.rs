//! What a demonstration, the tests and the benchmark stand on: a private broker, its certificates, a whole site.

mod error;
pub mod node;
pub mod pki;
pub mod site;

pub use error::{NodeError, PkiError, SiteError};
pub use node::{Node, NodeOptions};
pub use site::{Site, SiteOptions, SiteTenant};
