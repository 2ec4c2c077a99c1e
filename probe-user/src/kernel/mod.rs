//! What the running kernel is: its types, its symbols, what it can do and what it hides.

pub mod btf;
pub mod config;
pub mod evict_callers;
pub mod features;
mod glance;
pub mod inode_state;
pub mod layout;
pub mod lock_fields;
pub mod options;
pub mod preemption;
pub mod privileges;
pub mod symbols;
pub mod text;
mod trail;
