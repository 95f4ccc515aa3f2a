//! The planner's tests: golden plans, and properties of plans.

mod fixture;
mod golden;
mod sound;
