//! The sequence of start, reload and shutdown. The daemon knows the order, the program the parts.

use super::listeners::{Listen, Listeners};
use super::logging::{self, Format, LogHandle};
use super::shutdown::{Ended, Patience, Shutdown};
use super::signals::{Request, Signals};
use super::tasks::Tasks;
use super::{limits, notify};
use crate::admin::{self, Health, Page};
use crate::ledger::{Ledger, LogAddresses};
use crate::server::Pulse;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

/// What the daemon itself needs of a configuration.
#[derive(Debug, Clone)]
pub struct Common<S> {
    pub listeners: Vec<S>,
    /// `client.max_sessions`
    pub max_sessions: usize,
    /// `outbound.max_connections`
    pub max_connections: usize,
    /// Clients that there may be at the same time and that hand in no mail.
    pub other_clients: usize,
    /// `admin.listen`
    pub admin: Option<SocketAddr>,
    pub level: LevelFilter,
    pub format: Format,
    pub addresses: LogAddresses,
    /// The `name`s of rules.
    pub rule_names: Vec<Arc<str>>,
    /// Keys that only a restart can change, beside `admin.listen` and `log.format`.
    pub restart_keys: Vec<RestartKey>,
    /// What the administrator should know of a valid configuration.
    pub notices: Vec<String>,
}

/// A key that only a restart can change, with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartKey {
    pub key: &'static str,
    pub value: String,
}

/// What every part of the program may share.
#[derive(Debug, Clone)]
pub struct Context {
    pub ledger: Ledger,
    pub health: Health,
    pub page: Page,
    pub tasks: Tasks,
    pub shutdown: Shutdown,
}

/// What the daemon runs.
pub trait Program: Listen + Sized {
    /// A checked configuration with everything built from it that can fail.
    type Plan;

    fn common(plan: &Self::Plan) -> &Common<Self::Settings>;

    /// Lowers limits in the plan, since there are not descriptors enough.
    fn lower(plan: &mut Self::Plan, limits: limits::Lowered);

    /// Opens what a reload does not touch (store, DNS, pool), and takes the first plan.
    fn start(plan: &Self::Plan, context: Context)
    -> impl Future<Output = Result<Self, StartError>>;

    /// Puts a plan in force, for what begins from now on; cannot fail.
    fn adopt(&self, plan: Self::Plan);

    /// Whether it serves what it listens to.
    fn pulse(&self) -> Pulse;

    /// The end: pool and store are closed. Bounded in time by itself.
    fn close(self) -> impl Future<Output = ()>;
}

/// Why the daemon does not start; the message is for people, the code for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    pub message: String,
    pub code: u8,
}

impl StartError {
    /// EX_CONFIG of sysexits.h: a restart will not help.
    pub const CONFIGURATION: u8 = 78;
    /// Something in the way that a restart may find gone.
    pub const FAILURE: u8 = 1;

    pub fn configuration(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: Self::CONFIGURATION,
        }
    }

    pub fn failure(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: Self::FAILURE,
        }
    }
}

/// Runs until a signal ends it. `plan` reads the configuration, at start and at each reload; its
/// error says file, line, column and what is wrong.
pub(super) fn run<P: Program>(plan: impl Fn() -> Result<P::Plan, String>) -> ExitCode {
    match try_run::<P>(&plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            // Also without a log, or where it goes elsewhere.
            eprintln!("sealpost: {problem}");
            ExitCode::from(problem.code)
        }
    }
}

fn try_run<P: Program>(plan: &impl Fn() -> Result<P::Plan, String>) -> Result<(), StartError> {
    let mut first = plan().map_err(StartError::configuration)?;
    let common = P::common(&first);
    let log = logging::init(common.level, common.format)
        .map_err(|problem| StartError::failure(format!("the log cannot be started: {problem}")))?;
    let fitted = Descriptors::raise();
    fitted.fit::<P>(&mut first);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|problem| StartError::failure(format!("no runtime: {problem}")))?;
    let result = runtime.block_on(async {
        let signals = Signals::listen()
            .map_err(|problem| StartError::failure(format!("no signals: {problem}")))?;
        let (to, mut requests) = mpsc::channel(4);
        let own = Tasks::default();
        own.spawn("signals", signals.forward(to));
        let plan = || {
            let mut next = plan()?;
            fitted.fit::<P>(&mut next);
            Ok(next)
        };
        let daemon = tokio::select! {
            started = Daemon::<P>::start(first, log, own) => started?,
            () = stop_requested(&mut requests) => return Ok(()), // nothing is served yet
        };
        daemon.live(&plan, requests, Patience::DEFAULT).await;
        Ok(())
    });
    // What still runs was named in the log; it is not waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// How many file descriptors this process may have; `None`: it could not be found out.
#[derive(Clone, Copy)]
struct Descriptors(Option<u64>);

impl Descriptors {
    fn raise() -> Self {
        match limits::raise() {
            Ok(limit) => Self(Some(limit)),
            Err(problem) => {
                tracing::warn!(%problem, "the limit of file descriptors cannot be raised");
                Self(None)
            }
        }
    }

    fn fit<P: Program>(self, plan: &mut P::Plan) {
        let Some(limit) = self.0 else { return };
        let common = P::common(plan);
        let (sessions, connections) = (common.max_sessions, common.max_connections);
        match limits::fit(limit, common.other_clients, sessions, connections) {
            limits::Fit::Enough => {}
            limits::Fit::Lowered { lowered, needed } => {
                tracing::warn!(
                    limit,
                    needed,
                    max_sessions = lowered.max_sessions,
                    max_connections = lowered.max_connections,
                    "too few file descriptors: these limits are in force; raise LimitNOFILE",
                );
                P::lower(plan, lowered);
            }
        }
    }
}

/// A daemon that serves.
struct Daemon<P: Program> {
    program: P,
    listeners: Listeners<P>,
    context: Context,
    log: Option<LogHandle>,
    /// The tasks that live as long as the daemon; the program's are in the context.
    own: Tasks,
    /// Ends them.
    end: CancellationToken,
    common: Common<P::Settings>,
}

impl<P: Program> Daemon<P> {
    async fn start(
        plan: P::Plan,
        log: impl Into<Option<LogHandle>>,
        own: Tasks,
    ) -> Result<Self, StartError> {
        let common = P::common(&plan).clone();
        for notice in &common.notices {
            tracing::warn!(target: "sealpost::config", notice = notice.as_str(), "configuration");
        }
        let health = Health::default();
        let context = Context {
            ledger: Ledger::new(common.addresses),
            page: Page::new(health.clone()),
            health,
            tasks: Tasks::default(),
            shutdown: Shutdown::default(),
        };
        let ledger = &context.ledger;
        ledger.announce_rules(common.rule_names.iter().map(|name| &**name));
        let end = CancellationToken::new();
        if let Some(address) = common.admin {
            let listener = bind_admin(address)?;
            let page = context.page.clone();
            let serving = admin::serve(listener, ledger.clone(), page, end.clone());
            own.spawn("admin", serving);
        }
        let program = P::start(&plan, context.clone()).await?;
        let mut listeners = Listeners::none();
        let bound = listeners
            .prepare(&program, &common.listeners)
            .map_err(|problem| StartError::failure(problem.to_string()))?;
        program.adopt(plan);
        listeners.commit(&program, bound);
        own.spawn("watchdog", notify::watchdog(program.pulse(), end.clone()));
        context.health.set_ready();
        notify::ready();
        let addresses: Vec<String> = common.listeners.iter().map(shown::<P>).collect();
        let version = env!("CARGO_PKG_VERSION");
        tracing::info!(version, listen = addresses.join(" "), "ready");
        Ok(Self {
            program,
            listeners,
            context,
            log: log.into(),
            own,
            end,
            common,
        })
    }

    /// Serves requests until the end, and ends.
    async fn live(
        mut self,
        plan: &impl Fn() -> Result<P::Plan, String>,
        mut requests: mpsc::Receiver<Request>,
        patience: Patience,
    ) {
        while let Some(request) = requests.recv().await {
            match request {
                Request::Reload => self.reload(plan),
                Request::Stop => break,
            }
        }
        self.stop(requests, patience).await;
    }

    /// Blocks its thread while files are read: it is not one of those that serve.
    fn reload(&mut self, plan: &impl Fn() -> Result<P::Plan, String>) {
        notify::reloading();
        let result = self.try_reload(plan);
        if let Err(problem) = &result {
            self.context.page.reload_failed(problem);
        }
        self.context
            .ledger
            .reload(result.as_ref().copied().map_err(String::as_str));
        notify::ready();
        notify::status(match result {
            Ok(()) => "serving",
            Err(_) => "serving; the last reload failed, see the log",
        });
    }

    fn try_reload(&mut self, plan: &impl Fn() -> Result<P::Plan, String>) -> Result<(), String> {
        let plan = plan()?;
        let common = P::common(&plan).clone();
        let bound = self
            .listeners
            .prepare(&self.program, &common.listeners)
            .map_err(|problem| problem.to_string())?;
        // From here on nothing fails.
        self.program.adopt(plan);
        self.listeners.commit(&self.program, bound);
        if let Some(log) = &self.log {
            log.set_level(common.level);
        }
        self.context.ledger.write_addresses(common.addresses);
        let names = common.rule_names.iter().map(|name| &**name);
        self.context.ledger.announce_rules(names);
        for notice in &common.notices {
            tracing::warn!(target: "sealpost::config", notice = notice.as_str(), "configuration");
        }
        for key in needs_restart(&self.common, &common) {
            tracing::warn!(target: "sealpost::config", key, "changed, but needs a restart");
        }
        // What only a restart changes is compared with what the daemon was started with.
        self.common.listeners = common.listeners;
        Ok(())
    }

    async fn stop(mut self, mut requests: mpsc::Receiver<Request>, patience: Patience) {
        notify::stopping(patience.total() + Duration::from_secs(15));
        tracing::info!("stopping");
        self.context.health.set_draining();
        self.listeners.close();
        let tasks = &self.context.tasks;
        let again = stop_requested(&mut requests);
        let drained = self.context.shutdown.drain(patience, tasks.ended(), again);
        match drained.await {
            Ended::InGrace | Ended::Expired => {}
            Ended::Abandoned | Ended::AtOnce => {
                let left = tasks.running();
                tracing::warn!(
                    left,
                    "did not wait for all replies to final dots: mail may arrive twice"
                );
            }
        }
        self.program.close().await;
        self.end.cancel();
        drop(requests);
        if let Err(left) = self.own.ended_within(Duration::from_secs(2)).await {
            tracing::warn!(left, "tasks have not ended");
        }
        tracing::info!("stopped");
    }
}

/// Returns at the next request to stop; a reload meanwhile would be in vain.
async fn stop_requested(requests: &mut mpsc::Receiver<Request>) {
    loop {
        match requests.recv().await {
            Some(Request::Stop) => return,
            Some(Request::Reload) => tracing::warn!("not reloaded: starting or stopping"),
            None => std::future::pending().await,
        }
    }
}

fn bind_admin(address: SocketAddr) -> Result<TcpListener, StartError> {
    admin::bind(address).map_err(|problem| {
        StartError::failure(format!(
            "cannot listen on {address} (admin.listen): {problem}"
        ))
    })
}

fn shown<P: Program>(settings: &P::Settings) -> String {
    P::address(settings).to_string()
}

/// The keys whose new values wait for a restart.
fn needs_restart<S>(running: &Common<S>, wanted: &Common<S>) -> Vec<&'static str> {
    let mut keys = Vec::new();
    if running.admin != wanted.admin {
        keys.push("admin.listen");
    }
    if running.format != wanted.format {
        keys.push("log.format");
    }
    let changed = wanted
        .restart_keys
        .iter()
        .filter(|key| !running.restart_keys.contains(key));
    keys.extend(changed.map(|key| key.key));
    keys
}

#[cfg(test)]
mod tests;
