// expect: E0451 of struct `Verified`
// A proven message for another tenant cannot be made of one that was proven.
use nakatsugi::{identifier::TenantCode, tenant::Verified};
pub fn verified(proven: Verified, tenant: TenantCode) -> Verified {
    Verified { tenant, ..proven }
}
