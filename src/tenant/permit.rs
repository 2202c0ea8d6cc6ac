//! Leave to open one vault: the tenant agreed in all four places.
//!
//! Always: routing key, carrier, directory entry and claim name the same tenant, and the type agrees in routing key,
//! property and claim (design §2.4). SECURITY: answers messages brought past the exchange, by a foreign carrier, or for a
//! tenant that the author does not act for.

use super::Verified;
use crate::identifier::VaultName;
use thiserror::Error;

/// Leave to open exactly one vault. Made only by [`Permit::admit`], and by the relay itself
/// for the operator's own vault and for its own records.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    vault: VaultName,
}

/// How a message came: what the broker says about it, none of it proven but `user_id`, which the broker validated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Route {
    /// The upstream broker's name in the configuration.
    pub broker: String,
    /// The exchange it was published to.
    pub exchange: String,
    /// `<tenant>.<type>`.
    pub routing_key: String,
    /// The AMQP user that published it; absent where federation clears it.
    pub user_id: Option<String>,
    /// The AMQP property `type`.
    pub kind: Option<String>,
    /// The AMQP property `message_id`.
    pub message_id: Option<String>,
    /// Whether its carrier asked for copies under further routing keys.
    pub copied: Copied,
}

/// Whether a carrier asked for copies of its message under further routing keys: the header `CC` or `BCC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Copied {
    /// It did not; or by `BCC`, which RabbitMQ takes out before it delivers.
    #[default]
    No,
    /// It did. SECURITY: topic permissions guard the first routing key only.
    Yes,
}

/// The exchange that topic permissions guard.
pub const EXCHANGE_IN: &str = "nakatsugi.in";

/// Which of the places does not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ScopeError {
    /// It asked for copies under routing keys that no permission guards.
    #[error("the message asks for copies under further routing keys")]
    Copied,
    /// It did not come through `nakatsugi.in`.
    #[error("the message came past the exchange that guards tenants")]
    Exchange,
    /// The routing key is not `<tenant>.<type>` of the claims.
    #[error("routing key and claims do not agree")]
    RoutingKey,
    /// The property `type` is not the claim's.
    #[error("the type property and the claim do not agree")]
    TypeProperty,
    /// The property `message_id` is not the claim's.
    #[error("the message_id property and the claim do not agree")]
    IdProperty,
    /// The carrier may not bring messages of this author.
    #[error("this carrier may not bring messages of this author")]
    Carrier,
    /// The author does not act for this tenant.
    #[error("the author does not act for this tenant")]
    Author,
    /// The directory knows no such tenant.
    #[error("the tenant is not in the directory")]
    UnknownTenant,
}

impl Permit {
    /// Gives leave to open the vault of the tenant that a proven message claims, if all four places agree.
    ///
    /// # Errors
    /// [`ScopeError`]: the first place that does not agree.
    pub fn admit(verified: &Verified, route: &Route) -> Result<Self, ScopeError> {
        if route.exchange != EXCHANGE_IN {
            return Err(ScopeError::Exchange);
        }
        let key = route.routing_key.split_once('.');
        if key != Some((verified.tenant().as_str(), verified.kind().as_str())) {
            return Err(ScopeError::RoutingKey);
        }
        if route.kind.as_deref() != Some(verified.kind().as_str()) {
            return Err(ScopeError::TypeProperty);
        }
        if route.message_id.as_deref().map(str::parse) != Some(Ok(verified.id())) {
            return Err(ScopeError::IdProperty);
        }
        if !verified.author().is_carried_by(&route.broker, route.user_id.as_deref()) {
            return Err(ScopeError::Carrier);
        }
        if !verified.author().acts_for(&verified.tenant()) {
            return Err(ScopeError::Author);
        }
        if verified.directory().tenant(&verified.tenant()).is_none() {
            return Err(ScopeError::UnknownTenant);
        }
        Ok(Self { vault: VaultName::Tenant(verified.tenant()) })
    }

    /// Leave to open the platform vault, which holds no tenant's data.
    pub(crate) const fn platform() -> Self {
        Self { vault: VaultName::Platform }
    }

    /// Leave for the relay's own records about a vault, and for nothing that is in it.
    #[cfg(feature = "daemon")]
    pub(crate) const fn own(vault: VaultName) -> Self {
        Self { vault }
    }

    /// Leave without proof, to test what a permit opens.
    #[cfg(test)]
    pub(crate) const fn for_tests(vault: VaultName) -> Self {
        Self { vault }
    }

    /// Which vault.
    #[must_use]
    pub const fn vault(&self) -> VaultName {
        self.vault
    }
}
