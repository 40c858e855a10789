//! One unary gRPC call over a Unix socket to another process, timed: what a driver outside the host pays for one
//! operation. `peer CALLS` prints the median in nanoseconds.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, ready};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tonic::codec::ProstCodec;
use tonic::codegen::{BoxFuture, Service};
use tonic::transport::{Channel, Endpoint, Server, Uri};
use tonic::{Request, Response, Status, body::Body};

/// What a driver is told of a task: as much as the contract's `recover` carries.
#[derive(Clone, PartialEq, prost::Message)]
struct Task {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    config: String,
    #[prost(map = "string, string", tag = "3")]
    env: std::collections::HashMap<String, String>,
    #[prost(bytes = "vec", tag = "4")]
    handle: Vec<u8>,
}

/// What it answers.
#[derive(Clone, PartialEq, prost::Message)]
struct Started {
    #[prost(bytes = "vec", tag = "1")]
    handle: Vec<u8>,
    #[prost(string, tag = "2")]
    watch: String,
}

const SERVICE: &str = "longshore.bench.Driver";
const METHOD: &str = "/longshore.bench.Driver/Recover";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", socket] => serve(Path::new(socket)).await,
        [calls] => {
            println!("{}", measure(calls.parse()?).await?);
            Ok(())
        }
        _ => Err("usage: peer CALLS".into()),
    }
}

/// The other process, ended with this guard.
struct Plugin {
    child: Child,
    socket: PathBuf,
}

impl Plugin {
    fn start() -> Result<Self, Box<dyn Error>> {
        let socket = std::env::temp_dir().join(format!("longshore-peer-{}.sock", std::process::id()));
        let child = Command::new(std::env::current_exe()?).arg("serve").arg(&socket).spawn()?;
        Ok(Self { child, socket })
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

async fn measure(calls: usize) -> Result<u128, Box<dyn Error>> {
    let plugin = Plugin::start()?;
    let mut client = tonic::client::Grpc::new(connect(plugin.socket.clone()).await?);
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls + calls / 10 {
        let begun = Instant::now();
        client.ready().await?;
        let codec: ProstCodec<Task, Started> = ProstCodec::default();
        let answer = client.unary(Request::new(task()), METHOD.parse()?, codec).await?;
        if answer.into_inner().handle.len() != task().handle.len() {
            return Err("the peer answered something else".into());
        }
        times.push(begun.elapsed().as_nanos());
    }
    // The first calls warm both processes up.
    let mut times = times.split_off(calls / 10);
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

async fn connect(socket: PathBuf) -> Result<Channel, Box<dyn Error>> {
    for _ in 0..200 {
        if socket.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let connector = Connector(socket);
    Ok(Endpoint::from_static("http://unix").connect_with_connector(connector).await?)
}

struct Connector(PathBuf);

impl Service<Uri> for Connector {
    type Response = TokioIo<UnixStream>;
    type Error = std::io::Error;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let socket = self.0.clone();
        Box::pin(async move { Ok(TokioIo::new(UnixStream::connect(socket).await?)) })
    }
}

fn task() -> Task {
    let pair = |n: u32| (format!("NOMAD_VARIABLE_{n}"), format!("the value of variable {n}"));
    Task {
        id: "2f1cbd4e-9d6b-4cf4-8a2e-0c5f4f2f7a10/web".into(),
        config: r#"{"command":"/bin/busybox","args":["httpd","-f","-p","20000"]}"#.into(),
        env: (0..20).map(pair).collect(),
        handle: vec![7; 64],
    }
}

async fn serve(socket: &Path) -> Result<(), Box<dyn Error>> {
    let connections = tokio_stream::wrappers::UnixListenerStream::new(UnixListener::bind(socket)?);
    Ok(Server::builder().add_service(Driver).serve_with_incoming(connections).await?)
}

#[derive(Clone)]
struct Driver;

impl tonic::server::NamedService for Driver {
    const NAME: &'static str = SERVICE;
}

impl Service<http::Request<Body>> for Driver {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            if request.uri().path() != METHOD {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            let codec: ProstCodec<Started, Task> = ProstCodec::default();
            Ok(tonic::server::Grpc::new(codec).unary(Recover, request).await)
        })
    }
}

struct Recover;

impl tonic::server::UnaryService<Task> for Recover {
    type Response = Started;
    type Future = Ready<Result<Response<Started>, Status>>;

    fn call(&mut self, request: Request<Task>) -> Self::Future {
        let task = request.into_inner();
        ready(Ok(Response::new(Started { handle: task.handle, watch: task.id })))
    }
}
