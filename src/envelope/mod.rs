//! Envelopes: a nested JWT, a compact JWE around a compact JWS.
