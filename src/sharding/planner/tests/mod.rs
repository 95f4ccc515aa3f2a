//! The planner's tests: golden plans, properties of plans, recipes.

mod fixture;
mod generate;
mod golden;
mod recipes;
mod sound;
