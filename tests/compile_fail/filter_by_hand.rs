// expect: E0423 cannot initialize a tuple struct which contains private fields
// No vault opens without the filter that makes its store durable.
use nakatsugi::vault::FilterInstalled;
pub fn installed() -> FilterInstalled {
    FilterInstalled(())
}
