// expect: E0277 PersonCode` doesn't implement `std::fmt::Display`
// A person code does not print itself.
use nakatsugi::identifier::PersonCode;
pub fn log(code: &PersonCode) -> String {
    format!("{code}")
}
