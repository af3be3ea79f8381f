//! What a second worker thread adds: many clients that read, on a runtime of one and of two.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use tokio::runtime::Builder;
use tower::{Service, ServiceExt, service_fn};
use work::{Outcome, Size};

use crate::libraries::Library;
use crate::peers::{ours, tower_sessions as peer};
use crate::request::{Ask, Work};
use crate::server::{Contestant, Http, request};
use crate::site::Site;
use crate::verify::make;

const TASKS: usize = 32;
const SESSIONS: usize = 1_000;

/// Who is measured.
pub const LIBRARIES: [Library; 3] = [Library::Bare, Library::Obsession, Library::Tower14];

/// Requests a second that read, on so many worker threads.
pub fn rate(library: Library, threads: usize, time: Duration) -> Outcome<f64> {
    let site = Site::new(Size::Small);
    match library {
        Library::Bare => with(service_fn(ours::bare), "", threads, time),
        Library::Obsession => with(ours::service(site), ours::COOKIE, threads, time),
        Library::Tower14 => with(peer::v14::service(site), peer::COOKIE, threads, time),
        other => Err(format!("{} is not measured with threads", other.name()).into()),
    }
}

fn with<S, B>(service: S, cookie: &'static str, threads: usize, time: Duration) -> Outcome<f64>
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    Http<S>: Contestant,
{
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_time()
        .build()?;
    runtime.block_on(async move {
        let mut contestant = Http {
            service: service.clone(),
            cookie,
        };
        let mut cookies = Vec::new();
        for _ in 0..SESSIONS {
            cookies.push(match cookie {
                "" => Bytes::from_static(b"id=0123456789012345678901234567890123456789"),
                _ => make(&mut contestant).await?,
            });
        }
        let cookies: Arc<[Bytes]> = cookies.into();
        let began = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let cookies = Arc::clone(&cookies);
                tokio::spawn(client(service.clone(), cookies, task * 31, began + time))
            })
            .collect();
        let mut requests = 0;
        for task in tasks {
            requests += task.await??;
        }
        Ok(f64::from(requests) / began.elapsed().as_secs_f64())
    })
}

/// One request after the other, of one session after the other, until then.
async fn client<S, B>(
    mut service: S,
    cookies: Arc<[Bytes]>,
    first: usize,
    until: Instant,
) -> Outcome<u32>
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    let mut requests = 0;
    for cookie in cookies.iter().cycle().skip(first) {
        if requests % 16 == 0 && Instant::now() >= until {
            break;
        }
        let ask = Ask::new(Work::Read, Some(cookie));
        let response = service.ready().await?.call(request(&ask)?).await?;
        if !response.status().is_success() {
            return Err("a request has failed".into());
        }
        requests += 1;
        // The others have their turn, as they would while it waits for its client.
        if requests % 8 == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(requests)
}
