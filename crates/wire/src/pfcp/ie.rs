//! IEs
