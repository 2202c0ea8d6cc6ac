// expect: E0423 cannot initialize a tuple struct which contains private fields
// Only the broker's confirmation makes a published message.
use nakatsugi::broker::Published;
pub fn published() -> Published {
    Published(())
}
