//! The `dazzle` binary: hands its arguments to [`dazzle::cli`].

fn main() -> std::process::ExitCode {
    dazzle::cli::run()
}
