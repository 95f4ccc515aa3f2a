//! The Rust drivers: one program a driver, run direct and through the proxy; what it prints must be the same.

mod battery;
mod diesel_battery;
mod mysql_async_battery;
mod sqlx_battery;

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some("mysql_async") => mysql_async_battery::play().await,
        Some("sqlx") => sqlx_battery::play().await,
        Some("diesel") => diesel_battery::play(),
        _ => Err("usage: batteries mysql_async|sqlx|diesel".into()),
    };
    if let Err(error) = result {
        println!("battery: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
