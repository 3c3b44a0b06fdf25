//! `spacewright serve`: runs in a browser, while they go on.
//!
//! Nothing is written, and no address leads to a file but `/` and what is below `/runs/`: a run's name is one
//! of a folder within the folder of runs, and the only file that is handed out is its report. Nothing is opened
//! through a link among a run's files.

mod access;
mod pages;
mod routes;
mod watch;

use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};

use serde_json::json;
use tokio::{net::TcpListener, runtime::Builder, time::sleep};

use crate::{
    catalog,
    cli::{Global, ServeArgs},
    commands::page,
    process,
    render::{Failure, Output, announce},
};
use access::Access;
use routes::router;
use watch::Runs;

/// Pages are made one after the other, more or less: they are to cost the runs nothing.
const WORKERS: usize = 4;
/// How often it is looked whether the user wants to end.
const LOOK: Duration = Duration::from_millis(100);

/// Serves until the user ends it.
pub fn run(args: &ServeArgs, global: &Global) -> Result<Output, Failure> {
    let runs = Runs::new(&args.runs, &catalog::registry()?)?;
    let access = Access::new(args.listen.ip(), &args.hosts)?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(WORKERS)
        .build()
        .map_err(Failure::failed)?;
    let served = async {
        let listener = TcpListener::bind(args.listen).await.map_err(|error| {
            Failure::failed(format!("cannot listen at {}: {error}", args.listen))
                .hint("`--listen 127.0.0.1:0` takes any port that is free")
        })?;
        // The first who looks is not to wait until all runs are read.
        runs.list();
        let at = listener.local_addr().map_err(Failure::failed)?;
        let address = address(at, access.token());
        let text = format!("{}: {address}\nCtrl-C ends it", args.runs.display());
        announce(Output::new(text, &json!({ "address": address }))?, global.json);
        if args.open {
            page::open_address(&address)?;
        }
        let served = axum::serve(listener, router(runs, access));
        tokio::select! {
            ended = served => ended.map_err(Failure::failed),
            () = asked_to_end() => Ok(()),
        }
    };
    runtime.block_on(served)?;
    // Whoever still looks is not waited for.
    runtime.shutdown_background();
    Ok(Output::said())
}

/// Where a browser finds the list of runs.
fn address(at: SocketAddr, token: Option<&str>) -> String {
    // All addresses of the machine: this one is right from within it.
    let ip = match at.ip() {
        ip if ip.is_unspecified() && ip.is_ipv4() => "127.0.0.1".to_owned(),
        ip if ip.is_unspecified() => "[::1]".to_owned(),
        ip if ip.is_ipv6() => format!("[{ip}]"),
        ip => ip.to_string(),
    };
    let token = token.map(|token| format!("?token={token}")).unwrap_or_default();
    format!("http://{ip}:{}/{token}", at.port())
}

async fn asked_to_end() {
    let flag = process::ended_by_signal();
    while !flag.load(Ordering::Relaxed) {
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_can_be_opened() {
        let of = |at: &str| address(at.parse().unwrap(), None);
        assert_eq!(of("127.0.0.1:80"), "http://127.0.0.1:80/");
        assert_eq!(of("0.0.0.0:80"), "http://127.0.0.1:80/");
        assert_eq!(of("[::]:80"), "http://[::1]:80/");
        let token = address("[::1]:8".parse().unwrap(), Some("abc"));
        assert_eq!(token, "http://[::1]:8/?token=abc");
    }
}
