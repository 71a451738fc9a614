//! Exports in an S3-compatible store: read by this process and by a cluster.
//!
//! The store is moto's server, which pip installs into the folder of compiled files where it can.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::fleet::{self, Fleet};
use crate::nodes::{Nodes, PATIENCE, free_port};
use crate::run::{Ran, command, run};
use ctrace_skip::skip;

/// What the tests put into the store.
const UPLOAD: &str = "
import boto3, sys
endpoint, bucket, prefix, root, *files = sys.argv[1:]
s3 = boto3.client('s3', endpoint_url=endpoint, region_name='us-east-1', aws_access_key_id='test', aws_secret_access_key='test')
s3.create_bucket(Bucket=bucket)
for file in files:
    s3.upload_file(file, bucket, prefix + file[len(root):])
";

fn packages() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto")
}

/// Python with what pip put into a folder of its own.
fn python(arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command
        .args(arguments)
        .env("PYTHONPATH", packages())
        .stdin(Stdio::null());
    command
}

/// Whether moto is there. One test installs it, and the others wait: pip puts file after file into the same folder.
fn installed() -> &'static Result<(), String> {
    static INSTALLED: LazyLock<Result<(), String>> = LazyLock::new(install);
    &INSTALLED
}

/// Installs moto unless it is there.
fn install() -> Result<(), String> {
    let succeeds = |arguments: &[&str]| {
        let out = python(arguments).output().map_err(|e| format!("python3: {e}"))?;
        let told = String::from_utf8_lossy(&out.stderr).trim().to_owned();
        if out.status.success() { Ok(()) } else { Err(told) }
    };
    if succeeds(&["-c", "import moto.server, boto3"]).is_ok() {
        return Ok(());
    }
    let target = packages().to_string_lossy().into_owned();
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--target",
        &target,
        "moto[server]",
    ];
    succeeds(&pip).map_err(|e| format!("pip cannot install moto: {}", e.lines().last().unwrap_or_default()))
}

/// An S3 server on loopback.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts it with these variables; `None`, after a report, where it cannot be had.
    fn start(test: &str, variables: &[(&str, &str)]) -> Option<Server> {
        if let Err(reason) = installed() {
            skip(test, reason);
            return None;
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let port = free_port();
            let mut command = python(&["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
            command
                .envs(variables.iter().copied())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let mut server = Server {
                child: command.spawn().expect("python3 starts"),
                port,
            };
            // Another process may have taken the port: then it ends by itself.
            while server.child.try_wait().expect("a child").is_none() && Instant::now() < deadline {
                if TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok() {
                    return Some(server);
                }
                thread::sleep(Duration::from_millis(50));
            }
        }
        panic!("no S3 server listens");
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What tells a program where the store is and who asks.
    fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ]
    }

    fn upload(&self, fleet: &Fleet, bucket: &str, prefix: &str) {
        let files = fleet::files(fleet.path());
        let mut command = python(&["-c", UPLOAD, &self.endpoint(), bucket, prefix, fleet.arg()]);
        let out = command.args(files).output().expect("python3 runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    fn query(&self, arguments: &[&str]) -> Ran {
        let mut command = command(["query", "--format", "csv"].iter().chain(arguments));
        for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"] {
            command.env_remove(name);
        }
        command.envs(self.variables());
        run(command)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

const STATEMENTS: [&str; 4] = [
    "SELECT host, proc_name, count(*) AS n FROM events GROUP BY host, proc_name ORDER BY n DESC, host, proc_name LIMIT 20",
    "SELECT host, date, count(*) FROM processes GROUP BY host, date ORDER BY host, date",
    "SELECT seq, fd_name FROM events WHERE host = 'db-1' AND fd_name LIKE '/etc/%' ORDER BY seq",
    "SELECT e.host, p.name, count(*) AS n FROM events e JOIN processes p ON p.host = e.host AND p.process_key = e.process_key
     GROUP BY e.host, p.name ORDER BY n DESC, e.host, p.name",
];

#[test]
fn a_store_answers_as_a_folder_does_here_and_on_a_cluster() {
    let test = "a_store_answers_as_a_folder_does_here_and_on_a_cluster";
    let Some(server) = Server::start(test, &[]) else { return };
    let fleet = Fleet::new();
    server.upload(&fleet, "traces", "fleet a/2026");
    let nodes = Nodes::start(2, &server.variables());
    let (url, address) = ("s3://traces/fleet%20a/2026", nodes.address());
    for statement in STATEMENTS {
        let folder = server.query(&[fleet.arg(), statement]).code(0).silent();
        assert!(folder.lines().count() > 1, "{statement}");
        assert_eq!(server.query(&[url, statement]).code(0).silent(), folder, "{statement}");
        let cluster = server.query(&["--cluster", &address, url, statement]);
        assert_eq!(cluster.code(0).silent(), folder, "{statement}");
    }
    // A slash behind the prefix names the same, and several exports are one table.
    let slash = format!("{url}/");
    let count = "SELECT count(*) FROM events";
    assert_eq!(
        server.query(&[&slash, count]).code(0).silent(),
        server.query(&[url, count]).silent()
    );
    let twice = "SELECT count(*) / 2 AS n FROM events";
    let once = "SELECT count(*) AS n FROM events";
    assert_eq!(
        server.query(&[url, fleet.arg(), twice]).code(0).silent(),
        server.query(&[url, once]).silent()
    );
}

#[test]
fn what_a_store_lacks_is_told_in_one_line() {
    let Some(server) = Server::start("what_a_store_lacks_is_told_in_one_line", &[]) else {
        return;
    };
    let fleet = Fleet::new();
    server.upload(&fleet, "traces", "fleet");
    for (url, code, told) in [
        ("s3://nothing/fleet", 4, "s3://nothing/fleet: no such bucket"),
        (
            "s3://traces/elsewhere",
            2,
            "s3://traces/elsewhere: neither a case nor an export",
        ),
        ("s3:///fleet", 4, "no bucket; write s3://BUCKET/PREFIX"),
        (
            "gs://traces/fleet",
            2,
            "gs://traces/fleet: data is read from folders, file:// and s3://",
        ),
    ] {
        let said = server.query(&[url, "SELECT count(*) FROM events"]).code(code).nothing();
        assert!(said.contains(told) && said.lines().count() == 1, "{url}: {said}");
    }
}

#[test]
fn credentials_that_a_store_refuses_and_a_store_that_is_not_there() {
    let test = "credentials_that_a_store_refuses_and_a_store_that_is_not_there";
    // Whoever asks anything must be known, and nobody is.
    let Some(server) = Server::start(test, &[("INITIAL_NO_AUTH_ACTION_COUNT", "0")]) else {
        return;
    };
    let ask = || server.query(&["s3://traces/fleet", "SELECT count(*) FROM events"]);
    let said = ask().code(4).nothing();
    assert!(
        said.contains("the store refuses these credentials") && said.lines().count() == 1,
        "{said}"
    );

    let mut gone = server;
    gone.child.kill().expect("a child");
    gone.child.wait().expect("a child");
    let said = gone
        .query(&["s3://traces/fleet", "SELECT count(*) FROM events"])
        .code(4)
        .nothing();
    assert!(
        said.starts_with("ctrace: s3://traces/fleet: ") && said.lines().count() == 1,
        "{said}"
    );
}
