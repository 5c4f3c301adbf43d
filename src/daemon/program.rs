//! What the daemon runs: every part built in order from one configuration.

use super::dnssec::Watch;
use super::limits::Lowered;
use super::policies::Witness;
use super::run::{Common, Context, Program, RestartKey, StartError};
use super::serving::Listener;
use super::{Format, Tasks, control, history, page, queue, store_check, tls_failures, tls_hosts};
use crate::clock;
use crate::config::{Config, LogFormat};
use crate::delivery::{Courier, TlsFailureStore, TlsMemory};
use crate::discovery::{Discovery, Sts};
use crate::dns::Dns;
use crate::message::{SpoolLimits, SpoolMemory};
use crate::queue::{Custodian, Queue};
use crate::relay::{Lifetime, Relay, Snapshot};
use crate::server::{Passed, Pulse, ServerContext, ServerSettings};
use crate::socketmap::{self, Socketmap};
use crate::store::Store;
use crate::tls::TlsClient;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

/// The daemon, until a signal ends it.
pub fn run(path: &Path) -> ExitCode {
    let passed = Passed::take();
    super::run::run::<Sealpost>(|| Plan::read(path, &passed))
}

/// A checked configuration and what is built from it that can fail.
#[derive(Debug)]
pub struct Plan {
    common: Common<Listener>,
    pub(super) config: Config,
    tls: TlsClient,
    passed: Passed,
}

impl Plan {
    fn read(path: &Path, passed: &Passed) -> Result<Self, String> {
        let mut config = Config::load(path).map_err(|errors| errors.to_string())?;
        let origin = path.display().to_string();
        config
            .check_files(&origin)
            .map_err(|errors| errors.to_string())?;
        let tls = TlsClient::new(&config.tls).map_err(|error| format!("{origin}: tls: {error}"))?;
        let maps: Vec<_> = config.socketmaps.iter().map(|map| &map.socket).collect();
        let passing = passed.complete(&mut config.listeners, &maps);
        let notices = passing.map_err(|error| format!("{origin}: {error}"))?;
        config.notices.extend(notices);
        Ok(Self {
            common: common(&config),
            config,
            tls,
            passed: passed.clone(),
        })
    }

    fn snapshot(&self) -> Snapshot {
        let config = &self.config;
        Snapshot::new(
            config.policy.clone(),
            config.discovery.clone(),
            config.delivery.clone(),
            self.tls.clone(),
        )
    }

    fn server(&self) -> Arc<ServerSettings> {
        let mut settings = self.config.server.clone();
        settings.max_sessions = self.common.max_sessions;
        Arc::new(settings)
    }
}

fn common(config: &Config) -> Common<Listener> {
    let key = |key, value: String| RestartKey { key, value };
    let names = config
        .policy
        .rules
        .iter()
        .filter_map(|(_, rule)| rule.name.clone());
    Common {
        listeners: Listener::all(config),
        max_sessions: config.server.max_sessions,
        max_connections: config.delivery.max_connections,
        other_clients: match config.socketmaps.as_slice() {
            [] => 0,
            _ => socketmap::MAX_CONNECTIONS,
        },
        admin: config.admin.listen,
        level: config
            .log
            .level
            .as_str()
            .parse()
            .unwrap_or(LevelFilter::INFO),
        format: match config.log.format {
            LogFormat::Auto => Format::Auto,
            LogFormat::Text => Format::Text,
            LogFormat::Json => Format::Json,
        },
        addresses: config.log.addresses,
        rule_names: names.collect(),
        restart_keys: vec![
            key("state_dir", config.state_dir.display().to_string()),
            key("store.url", config.store.display().to_string()),
            key("history", format!("{:?}", config.history)),
            key("dns", format!("{:?}", config.dns)),
            key("admin.socket", config.admin.socket.display().to_string()),
        ],
        notices: config.notices.clone(),
    }
}

/// All parts, connected.
#[derive(Debug)]
pub struct Sealpost {
    relay: Relay,
    queue: Option<Queue>,
    pub(super) server: ServerContext,
    pub(super) map: Socketmap,
    pub(super) passed: Passed,
    settings: watch::Sender<Arc<ServerSettings>>,
    store: Option<Store>,
    dns: Dns,
    sts: Sts,
    pub(super) context: Context,
    background: Background,
}

/// What lives as long as the daemon: not waited for with the sessions.
#[derive(Debug, Default)]
pub(super) struct Background {
    tasks: Tasks,
    end: CancellationToken,
}

impl Background {
    /// Starts a task that is told of the end.
    pub(super) fn spawn<F>(&self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(name, task(self.end.clone()));
    }
}

impl Program for Sealpost {
    type Plan = Plan;

    fn common(plan: &Plan) -> &Common<Listener> {
        &plan.common
    }

    fn lower(plan: &mut Plan, limits: Lowered) {
        plan.common.max_sessions = limits.max_sessions;
        plan.config.delivery.max_connections = limits.max_connections;
    }

    async fn start(plan: &Plan, context: Context) -> Result<Self, StartError> {
        let config = &plan.config;
        let background = Background::default();
        let dns = open_dns(config, &context, &background).await?;
        let store = queue::open_store(&config.store, &context)?;
        // What is known from earlier runs is done without where it cannot be read; what is to be kept is not.
        let known = store.clone().filter(Store::is_readable);
        let memory = remember(known.as_ref(), &context, &background.tasks).await;
        if let Some(store) = &known {
            look_after(store, &context, &background).await;
        }
        history::start(&config.history, store.as_ref(), &context, &background);
        let courier = Courier::new(
            &config.delivery,
            memory,
            Arc::new(context.ledger.clone()),
            background.tasks.tracker().clone(),
        );
        background.spawn("idle connections", |end| courier.clone().reap(end));
        let sts = open_policies(plan, (&dns, known.as_ref()), &context, &background).await;
        let lifetime = Lifetime {
            tasks: context.tasks.tracker().clone(),
            expired: context.shutdown.expired.clone(),
            abandoned: context.shutdown.abandoned.clone(),
        };
        let discovery = Discovery::new(dns.clone());
        let ledger = context.ledger.clone();
        let finding = (discovery.clone(), sts.clone());
        let relay = Relay::new(plan.snapshot(), finding, courier, ledger, lifetime);
        let (settings, watched) = watch::channel(plan.server());
        let spool = SpoolMemory::new(SpoolLimits {
            directory: spool_directory(&config.state_dir),
            ..SpoolLimits::default()
        });
        let parts = (&relay, &spool);
        let queue = queue::start(config, store.as_ref(), parts, &context, &background).await;
        let mail = (store.as_ref(), queue.as_ref());
        operate(plan, (&dns, &sts), mail, &context, &background);
        let submit = Arc::new(custodian(&relay, queue.as_ref(), &context));
        let finding = (&discovery, sts.clone());
        let ledger = context.ledger.clone();
        let server = ServerContext::new(watched.clone(), submit, ledger.clone(), spool);
        let pulse = server.pulse.clone();
        let map = Socketmap::new(relay.clone(), finding, watched, ledger, pulse);
        Ok(Self {
            relay,
            queue,
            server,
            map,
            passed: plan.passed.clone(),
            settings,
            store,
            dns,
            sts,
            context,
            background,
        })
    }

    fn adopt(&self, plan: Plan) {
        self.relay.replace(plan.snapshot());
        if let Some(queue) = &self.queue {
            queue.replace(super::queue::settings(&plan.config));
        }
        self.sts.replace(plan.config.sts(&plan.tls));
        let preloading = self.sts.preload(plan.config.preload.clone());
        self.background.tasks.spawn("preload", preloading);
        self.settings.send_replace(plan.server());
        self.context.page.configure(page::settings(&plan.config));
        self.server.reload_certificates();
    }

    fn pulse(&self) -> Pulse {
        self.server.pulse.clone()
    }

    async fn close(self) {
        self.background.end.cancel();
        self.context.page.close();
        self.sts.stop();
        drop((self.relay, self.queue, self.server, self.map));
        if let Err(left) = self
            .background
            .tasks
            .ended_within(Duration::from_secs(7))
            .await
        {
            tracing::warn!(left, "connections were not closed politely");
        }
        if let Some(store) = self.store {
            let closing = tokio::time::timeout(Duration::from_secs(5), store.close());
            if closing.await.is_err() {
                tracing::warn!("the store was not closed in time");
            }
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), self.dns.finish()).await;
    }
}

/// The page and the socket of the administrator.
fn operate(
    plan: &Plan,
    (dns, sts): (&Dns, &Sts),
    (store, queue): (Option<&Store>, Option<&Queue>),
    context: &Context,
    background: &Background,
) {
    let desk = queue.map(Queue::desk);
    page::open(plan, (dns, sts), (store, desk.as_ref()), context);
    if let Some(socket) = control::bind(&plan.config.admin.socket) {
        let (sts, ledger) = (sts.clone(), context.ledger.clone());
        background.spawn("admin socket", |end| socket.serve(sts, desk, ledger, end));
    }
}

fn custodian(relay: &Relay, queue: Option<&Queue>, context: &Context) -> Custodian {
    Custodian {
        relay: relay.clone(),
        queue: queue.cloned(),
        ledger: context.ledger.clone(),
        tasks: context.tasks.tracker().clone(),
    }
}

async fn open_dns(
    config: &Config,
    context: &Context,
    background: &Background,
) -> Result<Dns, StartError> {
    let ledger = context.ledger.clone();
    let observer = Arc::new(move |kind, result| ledger.dns_query(kind, result));
    let dns = Dns::new(&config.dns, observer)
        .map_err(|error| StartError::configuration(format!("dns: {error}")))?;
    let mut watch = Watch::new(
        dns.clone(),
        config.dns.unavailable,
        context.ledger.clone(),
        context.health.clone(),
    );
    watch.first().await?;
    background.spawn("DNSSEC probe", |end| watch.run(end));
    Ok(dns)
}

async fn open_policies(
    plan: &Plan,
    (dns, store): (&Dns, Option<&Store>),
    context: &Context,
    background: &Background,
) -> Sts {
    let sts = Sts::new(
        dns.clone(),
        store.cloned(),
        plan.config.sts(&plan.tls),
        Arc::new(Witness::new(context.ledger.clone(), context.health.clone())),
        background.tasks.tracker().clone(),
    );
    sts.preload(plan.config.preload.clone()).await;
    background.spawn("MTA-STS policies", |end| sts.clone().refresh_all(end));
    sts
}

/// Where large messages are kept on their way: the temporary directory may well be memory.
fn spool_directory(state_dir: &Path) -> PathBuf {
    let tried = tempfile::tempfile_in(state_dir).and_then(|mut file| file.write_all(b"."));
    let Err(error) = tried else {
        return state_dir.to_owned();
    };
    let instead = std::env::temp_dir();
    tracing::warn!(
        %error,
        state_dir = %state_dir.display(),
        instead = %instead.display(),
        "state_dir cannot be written to: large messages go elsewhere on their way",
    );
    instead
}

/// What is to be done with a store that can be read.
async fn look_after(store: &Store, context: &Context, background: &Background) {
    let (health, ledger) = (&context.health, &context.ledger);
    tls_hosts::restore(store, ledger).await;
    let keeping = (store.clone(), health.clone());
    background.spawn("hosts with TLS", |end| {
        tls_hosts::keep(keeping, ledger.clone(), end)
    });
    background.spawn("store check", |end| {
        store_check::run(store.clone(), health.clone(), end)
    });
}

async fn remember(store: Option<&Store>, context: &Context, background: &Tasks) -> TlsMemory {
    let Some(store) = store else {
        return TlsMemory::new([], None);
    };
    let known = tls_failures::load(store, clock::now()).await;
    tls_failures::note(&context.health, known.as_ref().err());
    let (journal, writer) = tls_failures::journal(store.clone(), context.health.clone());
    background.spawn("TLS failures", writer.run());
    let journal: Arc<dyn TlsFailureStore> = Arc::new(journal);
    TlsMemory::new(known.unwrap_or_default(), Some(journal))
}
