//! The floor's tests: golden statements, cases that lexers get wrong, and properties of random texts.

mod digests;
mod facts;
mod golden;
mod properties;
mod trees;
mod values;
