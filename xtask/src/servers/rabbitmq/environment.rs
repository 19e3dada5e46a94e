//! What makes a node a private one: its configuration, its environment, and what corrects an old release.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Programs, RabbitMq, Settings, node_name};
use crate::project;

/// So long after a queue handed a message over to another one, and nothing was heard of it, it does so again.
const HANDED_OVER_AGAIN: Duration = Duration::from_secs(10);

/// A queue of RabbitMQ 3.x that was declared under it, and runs empty, forgets what was acknowledged after so many entries of
/// its log: deliveries, acknowledgements and the like. 4.x has a measure of its own.
const FORGETS_AFTER: u32 = 512;

/// What nodes of one cluster know each other by.
const COOKIE: &str = ".erlang.cookie";

impl RabbitMq {
    pub(super) fn configure(&self) -> Result<()> {
        let Settings { user, password, vhost, eager_statistics, .. } = &self.settings;
        let (prometheus, interval) = (self.port + 3, if *eager_statistics { 500 } else { 5000 });
        let mut conf = format!(
            "default_user = {user}\ndefault_pass = {password}\ndefault_vhost = {vhost}\n\
             management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {}\n\
             prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {prometheus}\n\
             # A developer's machine is full and busy; that is no reason to block publishers.\n\
             vm_memory_high_watermark.relative = 0.6\ndisk_free_limit.absolute = 64MB\n\
             collect_statistics_interval = {interval}\n",
            self.management
        );
        if self.has_joined() {
            // Only a node's first start looks at this.
            let (other, own) = (node_name(self.founder.port), node_name(self.port));
            conf += &format!(
                "cluster_formation.peer_discovery_backend = classic_config\n\
                 cluster_formation.classic_config.nodes.1 = {other}\ncluster_formation.classic_config.nodes.2 = {own}\n"
            );
        }
        project::write_private(&self.dir.join("rabbitmq.conf"), &conf)?;
        // What a queue has not forgotten when the log that it shares with all others is full is written once more, to a
        // file of its own. With parcels, the usual 8,192 entries are minutes: nearly all of it was, in one go.
        let forgets = format!("{{quorum_snapshot_interval, {FORGETS_AFTER}}}");
        // What a queue hands over to another, and a node takes to its grave, it hands over again: after three minutes
        // unless told otherwise, which a delayed message is not to wait.
        let again = format!("{{dead_letter_worker_publisher_confirm_timeout, {}}}", HANDED_OVER_AGAIN.as_millis());
        let advanced = format!("[{{rabbit, [{{quorum_tick_interval, {interval}}}, {forgets}, {again}]}}].\n");
        project::write_private(&self.dir.join("advanced.config"), &advanced)?;
        project::write_private(&self.dir.join("enabled_plugins"), "[rabbitmq_management,rabbitmq_prometheus].\n")?;
        let cookie = self.dir.join(COOKIE);
        if !cookie.exists() {
            let secret = if self.has_joined() {
                fs::read_to_string(self.founder.dir.join(COOKIE)).context("cannot read the cluster's cookie")?
            } else {
                project::password()?
            };
            project::write_private(&cookie, &secret)?;
            fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400))?;
        }
        Ok(())
    }

    /// A command in the environment that makes the node a private one.
    pub(super) fn command(&self, program: &Path) -> Result<Command> {
        let mut command = self.settings.programs.command(program, None)?;
        for (key, _) in env::vars().filter(|(key, _)| key.starts_with("RABBITMQ_") || key.starts_with("ERL_")) {
            command.env_remove(key);
        }
        let at = |name: &str| self.dir.join(name);
        command
            .env("HOME", &self.dir)
            .env("LC_ALL", "C.UTF-8")
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_NODENAME", node_name(self.port))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", (self.port + 1).to_string())
            .env("ERL_EPMD_PORT", self.epmd().port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_MNESIA_BASE", at("data"))
            .env("RABBITMQ_LOG_BASE", at("log"))
            .env("RABBITMQ_PID_FILE", at("rabbitmq.pid"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("enabled_plugins"))
            .env("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", at("advanced.config"))
            // Schedulers stay where they are put, which is bad company on shared cores: let them move.
            .env("RABBITMQ_SCHEDULER_BIND_TYPE", "u")
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none +Q 65536",
            )
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .process_group(0);
        Ok(command)
    }

    /// Has a release that needs it start with the module that `rabbit_fifo_dlx_sup.erl` tells of.
    pub(super) fn correct(&self, program: &Path, node: &mut Command) -> Result<()> {
        if self.settings.programs == Programs::System {
            // `…/rabbitmq_server-3.10.8/sbin/rabbitmq-server`
            let place = program.canonicalize()?;
            let is_of = |release| place.to_string_lossy().contains(&format!("/rabbitmq_server-{release}."));
            if !["3.10", "3.11", "4.0"].into_iter().any(is_of) {
                return Ok(());
            }
        }
        let source = self.dir.join("rabbit_fifo_dlx_sup.erl");
        fs::write(&source, include_str!("../rabbit_fifo_dlx_sup.erl"))?;
        let compiled = self.command(Path::new("erlc"))?.arg(&source).output().context("cannot run erlc")?;
        if !compiled.status.success() {
            bail!("erlc refuses {}: {}", source.display(), String::from_utf8_lossy(&compiled.stdout));
        }
        node.env("RABBITMQ_SERVER_CODE_PATH", &self.dir).env("RABBITMQ_BOOT_MODULE", "rabbit_fifo_dlx_sup");
        Ok(())
    }
}
