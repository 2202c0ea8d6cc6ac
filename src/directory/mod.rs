//! The directory: which principals exist and what each may say.
