//! PostgreSQL's programs, and the account that runs them. PostgreSQL refuses to run as root, so
//! root runs it as the user `postgres`, in a folder which that user can reach.

use std::env;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::unistd::{User, geteuid};

use super::programs::{self, Programs};

const OLDEST: u32 = 15;

/// The folder of the newest PostgreSQL that will do.
pub fn find_tools() -> Option<PathBuf> {
    let mut places: Vec<PathBuf> = ["/usr/lib/postgresql", "/usr/local/opt", "/opt/homebrew/opt", "/usr"]
        .iter()
        .filter_map(|parent| fs::read_dir(parent).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().contains("postgresql") || path.to_string_lossy().contains("/pgsql-"))
        .map(|path| path.join("bin"))
        .collect();
    places.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let usable = |bin: &Path| ["initdb", "pg_ctl", "postgres", "psql"].iter().all(|name| bin.join(name).exists());
    let (version, bin) =
        places.into_iter().filter(|bin| usable(bin)).filter_map(|bin| Some((version_of(&bin)?, bin))).max()?;
    (version >= OLDEST).then_some(bin)
}

fn version_of(bin: &Path) -> Option<u32> {
    let output = Command::new(bin.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().nth(2)?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Whom root runs it as; nobody else needs to become anyone.
fn account() -> Result<Option<User>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let user = User::from_name("postgres").context("cannot look up the user `postgres`")?;
    Ok(Some(user.context("PostgreSQL refuses to run as root, and there is no user `postgres` to run it as")?))
}

pub fn give_to_account(path: &Path) -> Result<()> {
    let Some(user) = account()? else {
        return Ok(());
    };
    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
        .with_context(|| format!("cannot give {} to `postgres`", path.display()))
}

/// Where the programs are, and whose they are.
pub struct Tools {
    programs: Programs,
    bin: PathBuf,
}

impl Tools {
    pub fn find(programs: Programs) -> Result<Self> {
        let bin = match programs {
            Programs::System => find_tools().context("PostgreSQL's tools cannot be found")?,
            Programs::Debian13 => PathBuf::from(format!("/usr/lib/postgresql/{}/bin", programs::POSTGRES)),
        };
        Ok(Self { programs, bin })
    }

    /// One of them, to be run as the right user, undisturbed by the caller's environment or Ctrl-C.
    pub fn command(&self, name: &str) -> Result<Command> {
        let mut command = self.programs.command(&self.bin.join(name), account()?.as_ref())?;
        for (key, _) in env::vars().filter(|(key, _)| key.starts_with("PG")) {
            command.env_remove(key);
        }
        command.env("LC_ALL", "C").current_dir("/").stdin(Stdio::null()).process_group(0);
        Ok(command)
    }
}

pub fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

pub fn home_for(dir: &Path) -> Result<PathBuf> {
    let Some(user) = account()? else {
        return Ok(dir.to_owned());
    };
    let reaches = Command::new("test")
        .arg("-x")
        .arg(dir.parent().unwrap_or(dir))
        .uid(user.uid.as_raw())
        .gid(user.gid.as_raw())
        .status()
        .is_ok_and(|status| status.success());
    // The same place for the same folder every time (FNV-1a).
    let hash = dir
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    Ok(if reaches { dir.to_owned() } else { PathBuf::from(format!("/var/tmp/conveyor-{hash:016x}")) })
}

/// Makes the folder for data and log. Where everyone may write, somebody else's folder
/// could be waiting under that name: only one's own will do.
pub fn prepare_home(home: &Path) -> Result<()> {
    if fs::symlink_metadata(home).is_err() {
        fs::DirBuilder::new().mode(0o700).create(home).with_context(|| format!("cannot make {}", home.display()))?;
    }
    let found = fs::symlink_metadata(home)?;
    let owners = [Some(geteuid().as_raw()), account()?.map(|user| user.uid.as_raw())];
    if !found.is_dir() || !owners.contains(&Some(found.uid())) {
        bail!("{} exists and belongs to somebody else: remove it first", home.display());
    }
    fs::set_permissions(home, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    give_to_account(home)
}
