//! The food-delivery data set.
