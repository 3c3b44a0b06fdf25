//! Addresses and what is answered.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    extract::{Path, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{
        Html, IntoResponse, Redirect, Response, Sse,
        sse::{Event, KeepAlive},
    },
    routing::get,
};
use futures_util::stream;
use spacewright_spaceevo_page::{list_page, run_page};
use tokio::{sync::mpsc, task::spawn_blocking, time::sleep};

use super::{
    access::{Access, Verdict},
    watch::{ListWatch, RunWatch, Runs, Watch},
};

const PROGRAM: &str = env!("CARGO_PKG_VERSION");
/// A report is a file that anybody may have written: its scripts run for themselves, and reach no other page.
const REPORT_POLICY: &str = "sandbox allow-scripts allow-downloads; default-src 'none'; \
     style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'none'";
/// Besides the policy that stands in each page.
const PAGE_POLICY: &str = "frame-ancestors 'none'";

/// All addresses.
pub fn router(runs: Runs, access: Access) -> Router {
    Router::new()
        .route("/", get(list))
        .route("/events", get(list_events))
        .route("/runs/{name}", get(to_folder))
        .route("/runs/{name}/", get(run))
        .route("/runs/{name}/events", get(run_events))
        .route("/runs/{name}/report.html", get(report))
        .fallback(|| async { missing("there is no such page") })
        .with_state(Arc::new(runs))
        .layer(from_fn_with_state(Arc::new(access), guarded))
}

/// Answers those who may look, and says to browsers what a page may not do.
async fn guarded(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let mut answer = match access.judge(request.headers(), query) {
        Verdict::Granted => next.run(request).await,
        Verdict::Remember(cookie) => {
            // Without the token, which others could see in the address.
            let to = Redirect::to(&own_path(request.uri().path()));
            ([(header::SET_COOKIE, cookie)], to).into_response()
        }
        Verdict::WrongHost => refused(
            StatusCode::FORBIDDEN,
            "this name is not known here: start `spacewright serve` with `--host NAME`",
        ),
        Verdict::NoToken => refused(
            StatusCode::UNAUTHORIZED,
            "open the address that `spacewright serve` has shown: it has the token",
        ),
    };
    let headers = answer.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::CACHE_CONTROL, "no-store");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    answer
}

/// A path of this server: behind two slashes, of which browsers take a `\` for one, is the name of another server.
fn own_path(path: &str) -> String {
    format!("/{}", path.trim_start_matches(['/', '\\']))
}

fn refused(status: StatusCode, why: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], why).into_response()
}

fn missing(why: &'static str) -> Response {
    refused(StatusCode::NOT_FOUND, why)
}

const NO_RUN: &str = "there is no such run";

async fn list(State(runs): State<Arc<Runs>>) -> Response {
    let page = spawn_blocking(move || {
        list_page(&runs.shown().display().to_string(), &runs.list(), PROGRAM)
    });
    shown(page.await.ok())
}

async fn to_folder(Path(_): Path<String>, request: Request) -> Response {
    // As it was written: a name may have letters that have to be escaped.
    Redirect::permanent(&format!("{}/", request.uri().path())).into_response()
}

async fn run(State(runs): State<Arc<Runs>>, Path(name): Path<String>) -> Response {
    let page = spawn_blocking(move || {
        RunWatch::new(&name).look(&runs).map(|data| run_page(&data, PROGRAM))
    });
    page.await.ok().flatten().map_or_else(|| missing(NO_RUN), |page| shown(Some(page)))
}

fn shown(page: Option<String>) -> Response {
    page.map(|page| Html(page).into_response())
        .unwrap_or_else(|| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn report(State(runs): State<Arc<Runs>>, Path(name): Path<String>) -> Response {
    match spawn_blocking(move || runs.report(&name)).await {
        Ok(Some(report)) => {
            ([(header::CONTENT_SECURITY_POLICY, REPORT_POLICY)], Html(report)).into_response()
        }
        _ => missing("this run has no report yet"),
    }
}

async fn list_events(State(runs): State<Arc<Runs>>) -> Response {
    events(runs, ListWatch::default())
}

async fn run_events(State(runs): State<Arc<Runs>>, Path(name): Path<String>) -> Response {
    if runs.find(&name).is_none() {
        return missing(NO_RUN);
    }
    events(runs, RunWatch::new(&name))
}

/// What changes, as long as somebody looks: server-sent events of JSON lists `[within, id, markup]`.
fn events<W: Watch>(runs: Arc<Runs>, watch: W) -> Response {
    let (to, from) = mpsc::channel::<Event>(1);
    tokio::spawn(async move {
        let mut watch = watch;
        while !to.is_closed() {
            let runs = runs.clone();
            let looked = spawn_blocking(move || {
                let changes = watch.changes(&runs);
                (watch, changes)
            });
            let Ok((again, changes)) = looked.await else { return };
            watch = again;
            if !changes.is_empty()
                && let Ok(changes) = serde_json::to_string(&changes)
                && to.send(Event::default().data(changes)).await.is_err()
            {
                return;
            }
            sleep(W::PAUSE).await;
        }
    });
    let next = |mut from: mpsc::Receiver<Event>| async {
        from.recv().await.map(|event| (Ok::<_, Infallible>(event), from))
    };
    Sse::new(stream::unfold(from, next)).keep_alive(KeepAlive::default()).into_response()
}
