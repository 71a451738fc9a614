//! Nodes of a Ballista cluster on loopback: what the published programs `ballista-scheduler` and `ballista-executor` run,
//! with their handling of shared folders and S3, and time limits that a test can wait for.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use ballista_core::object_store::{
    runtime_env_with_s3_support, session_config_with_s3_support, session_state_with_s3_support,
};
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::start_server;

/// Why a node ended.
pub type NodeError = Box<dyn Error + Send + Sync>;

/// An executor tells every second that it lives, and is lost when it has not for this long: a busy machine is slow.
const EXECUTOR_TIMEOUT_S: u64 = 30;

/// A job waits this long for an executor where there is none.
const GRACE_S: u64 = 10;

/// Runs a scheduler until the process is killed.
///
/// # Errors
/// Where the port is taken.
pub fn scheduler(port: u16) -> Result<(), NodeError> {
    let config = SchedulerConfig {
        bind_port: port,
        executor_timeout_seconds: EXECUTOR_TIMEOUT_S,
        expire_dead_executor_interval_seconds: 1,
        no_executors_grace_period_seconds: GRACE_S,
        override_config_producer: Some(Arc::new(session_config_with_s3_support)),
        override_session_builder: Some(Arc::new(session_state_with_s3_support)),
        ..SchedulerConfig::default()
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    block_on(async {
        let cluster = BallistaCluster::new_from_config(&config).await?;
        Ok(start_server(cluster, address, Arc::new(config)).await?)
    })
}

/// Runs an executor until the process is killed. What stages hand to each other goes below `folder`.
///
/// # Errors
/// Where a port is taken or the scheduler cannot be reached.
pub fn executor(scheduler: u16, ports: [u16; 2], vcores: usize, folder: &Path) -> Result<(), NodeError> {
    let [port, grpc_port] = ports;
    let config = ExecutorProcessConfig {
        port,
        grpc_port,
        vcores,
        external_host: Some(Ipv4Addr::LOCALHOST.to_string()),
        scheduler_host: Ipv4Addr::LOCALHOST.to_string(),
        scheduler_port: scheduler,
        scheduler_connect_timeout_seconds: 60,
        executor_heartbeat_interval_seconds: 1,
        work_dir: folder.to_str().map(str::to_owned),
        override_config_producer: Some(Arc::new(session_config_with_s3_support)),
        override_runtime_producer: Some(Arc::new(runtime_env_with_s3_support)),
        ..ExecutorProcessConfig::default()
    };
    block_on(async { Ok(start_executor_process(Arc::new(config)).await?) })
}

/// Writes what nodes warn of to standard error.
struct Warnings;

impl log::Log for Warnings {
    fn enabled(&self, about: &log::Metadata<'_>) -> bool {
        about.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("{} {}: {}", record.level(), record.target(), record.args());
        }
    }

    fn flush(&self) {}
}

fn block_on(node: impl Future<Output = Result<(), NodeError>>) -> Result<(), NodeError> {
    if log::set_logger(&Warnings).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
    tokio::runtime::Builder::new_multi_thread()
        // As the published scheduler: plans are walked recursively.
        .thread_stack_size(32 << 20)
        .enable_all()
        .build()?
        .block_on(node)
}
