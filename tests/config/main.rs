//! `dazzle.yaml`: wrong files are explained, the example file is complete and true, reloads are noticed.

mod example;
mod folder;
mod reload;
mod valid;
mod wrong;
