//! The store contract as tests.
