// expect: E0451 of struct `Authentic`
// What was signed cannot be exchanged for what was not.
use nakatsugi::envelope::Authentic;
pub fn authentic(signed: Authentic, digest: [u8; 32]) -> Authentic {
    Authentic { digest, ..signed }
}
