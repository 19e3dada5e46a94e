//! `cargo xtask up`: from a clone to a first paid order. Does what is missing and nothing
//! else, so it may be run again at any time.

use std::io::stderr;
use std::process::{Command, ExitCode};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::ports::Ports;
use crate::project::{self, Variables};
use crate::servers::Releases;
use crate::services::{self, CONSOLE, Needs, Service};
use crate::site::{Backing, Purpose, Site, lock, password_of, with_login};
use crate::{down, order, ports, say, sign, signals, staff, token};

/// Starts everything: servers, services, demo catalogue; carries a first order to `paid`
///
/// Stays in the foreground until Ctrl-C, which stops everything; with --detach it returns, and
/// `cargo xtask down` stops everything. Installs PostgreSQL and RabbitMQ if they are missing and
/// that can be done without asking. Uses other servers if DATABASE_URL or AMQP_URL name them.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Return when everything runs
    #[arg(long)]
    detach: bool,

    /// Configure a service by the names of its settings, which the README lists; may be repeated:
    /// --set order-api:orders.times.deadline_ms=5000
    #[arg(long = "set", value_name = "SERVICE:NAME=VALUE", verbatim_doc_comment)]
    settings: Vec<Setting>,

    #[command(flatten)]
    releases: Releases,
}

/// One setting of one service.
#[derive(Clone)]
struct Setting {
    service: String,
    /// As the environment carries it.
    variable: String,
    value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("write SERVICE:NAME=VALUE")?;
        let (service, name) = name.split_once(':').ok_or("write SERVICE:NAME=VALUE")?;
        let known = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        if name.is_empty() || !name.chars().all(known) {
            return Err(format!("{name:?} is not the name of a setting"));
        }
        let variable = format!("CONVEYOR__{}", name.to_uppercase().replace('.', "__"));
        Ok(Self { service: service.to_owned(), variable, value: value.to_owned() })
    }
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let site = Site::open()?;
    let services = services::all(&site);
    let sandbox = services::sandbox(&site);
    if let Some(setting) = arguments.settings.iter().find(|it| services.iter().all(|known| known.name != it.service)) {
        let names: Vec<&str> = services.iter().map(|service| service.name).collect();
        bail!("--set: there is no service {:?}; there are: {}", setting.service, names.join(", "));
    }
    let turn = lock(&site.local)?;
    let runs = |name: &str| services.iter().any(|service| service.name == name && service.process().is_some());
    if let Some(setting) = arguments.settings.iter().find(|setting| runs(&setting.service)) {
        bail!("--set: {} runs already and would not hear of it; `cargo xtask down` first", setting.service);
    }
    let backing = Backing::prepare(&site.local, Purpose::Development, &arguments.releases)?;
    if is_up(&services, &sandbox, &backing) {
        say::step("everything is up already");
        print_urls(&site, &services, &sandbox, &backing);
        say::detail("`cargo xtask down` stops it; do that first to run code that was changed since");
        return Ok(ExitCode::SUCCESS);
    }
    require_ports(&services, &sandbox, site.ports, &backing)?;
    if let Err(error) = bring_up(&site, &services, &sandbox, &backing, &arguments.settings) {
        say::step(format!("{error:#}; stopping what was started"));
        down::stop_everything(&site)?;
        bail!("`up` did not succeed; logs are in {}", site.logs().display());
    }
    drop(turn);
    print_urls(&site, &services, &sandbox, &backing);
    if arguments.detach {
        say::detail("`cargo xtask order` places an order, `cargo xtask down` stops everything");
        return Ok(ExitCode::SUCCESS);
    }
    say::detail("`cargo xtask order` in another terminal places an order; Ctrl-C here stops everything");
    supervise(services.iter().chain([&sandbox]).collect())?;
    let _turn = lock(&site.local)?;
    down::stop_everything(&site)?;
    Ok(ExitCode::SUCCESS)
}

fn is_up(services: &[Service], sandbox: &Service, backing: &Backing) -> bool {
    backing.private().iter().all(|server| server.is_running())
        && services.iter().chain([sandbox]).all(|service| service.process().is_some() && service.is_ready())
}

/// Before anything is built or started: whoever holds one of our ports must go first.
fn require_ports(services: &[Service], sandbox: &Service, ports: Ports, backing: &Backing) -> Result<()> {
    for service in services.iter().chain([sandbox]).filter(|service| service.process().is_none()) {
        ports::require_free(service.port, service.name)?;
    }
    if sandbox.process().is_none() {
        ports::require_free(ports.smtp, "sandbox (mail)")?;
    }
    backing.private().iter().filter(|server| !server.is_running()).try_for_each(|server| server.require_ports())
}

fn bring_up(
    site: &Site,
    services: &[Service],
    sandbox: &Service,
    backing: &Backing,
    settings: &[Setting],
) -> Result<()> {
    let mut build = vec!["--release", "--package", "migrations", "--package", sandbox.name];
    build.extend(services.iter().flat_map(|service| ["--package", service.name]));
    backing.start_while_building(&build)?;
    let binaries = project::target()?.join("release");
    let variables = write_variables(site, services, sandbox, backing)?;
    if sandbox.process().is_none() {
        sandbox.start_sandbox(&binaries, site.ports)?;
    }
    sandbox.await_ready()?;

    say::step("migrating the database and loading the demo catalogue");
    let mut migrate = Command::new(binaries.join("migrate"));
    migrate.arg("--demo").env("CONVEYOR__DATABASE__URL", &backing.database_url).stdout(stderr());
    for service in services {
        let password = password_of(database_url(&variables, service)?).context("a URL without password")?;
        migrate.env(format!("CONVEYOR__ROLES__{}", service.schema.to_uppercase()), password);
    }
    if !signals::run(&mut migrate)?.success() {
        bail!("`migrate` failed");
    }
    let token_secret = variables.get(token::SECRET).context("the secret of the tokens is missing")?;
    let needs = |service: &Service| {
        let database_url = database_url(&variables, service)?;
        let own = settings.iter().filter(|setting| setting.service == service.name);
        let settings = own.map(|setting| (&*setting.variable, &*setting.value)).collect();
        Ok::<_, anyhow::Error>(Needs { database_url, backing, token_secret, ports: site.ports, settings })
    };
    for service in services.iter().filter(|service| service.process().is_none()) {
        service.start(&binaries, &needs(service)?)?;
    }
    services.iter().try_for_each(Service::await_ready)?;
    let console = console(services)?;
    staff::engage(site, &binaries, console, &needs(console)?)?;
    say::step("all services are ready");
    let api = services[0].url();
    sign::register(site, &api)?;
    let first = order::place(site, &api)?;
    say::step(format!("a first order was accepted: {}", first.id));
    let story = order::await_paid(&first)?;
    say::step(format!("and paid, {story}"));
    Ok(())
}

fn console(services: &[Service]) -> Result<&Service> {
    services.iter().find(|service| service.name == CONSOLE).context("there is no console")
}

fn database_key(service: &Service) -> String {
    format!("CONVEYOR_{}_DATABASE_URL", service.schema.to_uppercase())
}

fn database_url<'a>(variables: &'a Variables, service: &Service) -> Result<&'a str> {
    variables.get(&database_key(service)).map(String::as_str).context("a service's database URL is missing")
}

/// Passwords once given are kept: a service that runs already knows no others.
fn write_variables(site: &Site, services: &[Service], sandbox: &Service, backing: &Backing) -> Result<Variables> {
    let known = site.variables();
    let mut variables = Variables::new();
    for service in services {
        let key = database_key(service);
        let password = known.get(&key).and_then(|url| password_of(url)).map_or_else(project::password, Ok)?;
        let login = format!("conveyor_{}", service.schema);
        variables.insert(key, with_login(&backing.database_url, &login, &password)?);
        let name = service.name.replace('-', "_").to_uppercase();
        variables.insert(format!("CONVEYOR_{name}_URL"), service.url());
    }
    let token_secret = known.get(token::SECRET).cloned().map_or_else(project::password, Ok)?;
    variables.insert(token::SECRET.to_owned(), token_secret);
    variables.extend(staff::variables(&known, console(services)?)?);
    variables.insert(services::SANDBOX_URL.to_owned(), sandbox.url());
    variables.insert("CONVEYOR_DATABASE_URL".to_owned(), backing.database_url.clone());
    variables.insert("CONVEYOR_AMQP_URL".to_owned(), backing.amqp_url.clone());
    if let Some(url) = &backing.management_url {
        variables.insert("CONVEYOR_MANAGEMENT_URL".to_owned(), url.clone());
    }
    project::write_private(&site.variables_file(), &project::lines(&variables))?;
    Ok(variables)
}

fn print_urls(site: &Site, services: &[Service], sandbox: &Service, backing: &Backing) {
    for service in services.iter().chain([sandbox]) {
        say::detail(format!("{:<20} {}", service.name, service.url()));
    }
    say::detail(format!("{:<20} {}/", "mails and SMS", sandbox.url()));
    say::detail(format!("{:<20} {}/ledger", "what was charged", sandbox.url()));
    if backing.management_url.is_some() {
        say::detail(format!("{:<20} http://127.0.0.1:{}", "RabbitMQ management", site.ports.management));
    }
    staff::print(&site.variables());
    say::detail(format!("{:<20} {}", "URLs and passwords", site.variables_file().display()));
    say::detail(format!("{:<20} {}", "logs", site.logs().display()));
}

/// Until Ctrl-C, or until nothing is left to watch: says at once when a service dies.
fn supervise(services: Vec<&Service>) -> Result<()> {
    let mut watched = services.clone();
    while signals::pause(Duration::from_millis(500)).is_ok() {
        watched.retain(|service| {
            let lives = service.process().is_some();
            if !lives && !service.is_dismissed() {
                say::step(format!("{} died; `cargo xtask up` elsewhere starts it again", service.name));
                service.show_log();
            }
            lives
        });
        if services.iter().all(|service| service.is_dismissed()) {
            say::step("stopped by `cargo xtask down`");
            return Ok(());
        }
    }
    say::step("stopping everything");
    Ok(())
}
