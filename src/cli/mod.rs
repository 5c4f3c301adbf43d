//! (agreed place)
