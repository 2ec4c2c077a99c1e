//! What a reader of `docs/ci.md` has around them: a directory to work in, `lastref` and `vng` on
//! PATH, a kernel that `vng` boots, a test.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::children::{self, Signal};
use crate::context::{Context, fresh_directory};
use crate::guest::{UNUSED_DEVICES, UNUSED_MODULES};
use crate::kernels::Kernel;
use crate::kvm;
use crate::progress::{SignsOfLife, read_lossy};

const POLL: Duration = Duration::from_millis(100);
/// A recipe that takes longer has failed. Those that boot a guest have time limits of their own,
/// which are to be seen at work: the longest is an hour.
const LIMIT: Duration = Duration::from_mins(62);
/// The end of a recipe that was stopped at the limit, as timeout(1) has it.
const STOPPED: i32 = 124;

/// The directory to work in, and all that is around it.
#[derive(Debug)]
pub struct Surroundings {
    /// The directory that recipes run in.
    pub directory: PathBuf,
    home: PathBuf,
    path: OsString,
    logs: PathBuf,
}

/// What `vng` boots.
#[derive(Debug, Clone, Copy)]
pub enum Boots<'a> {
    /// The kernel of the cache, with this on its command line.
    Cached(&'a [&'a str]),
    /// The kernel that is built in the directory.
    Built,
}

/// What came of a recipe.
#[derive(Debug)]
pub struct Ran {
    /// Its exit status.
    pub status: i32,
    /// What it printed.
    pub output: String,
}

impl Surroundings {
    /// Makes them at `place`, empty; `kernel` is the one of the cache.
    ///
    /// A virtme-ng that can use neither KVM nor virtiofs finds out each time, and where there is no
    /// tree it must be told what to boot; its own configuration file says all of that beforehand,
    /// so that the recipes need not. The program is put where a guest has installed programs. There is one
    /// CPU: emulated with several, a kernel may trip over code that it has just patched, and die.
    pub fn new(
        context: &Context,
        kernel: &Kernel,
        lastref: &Path,
        place: &Path,
        boots: Boots,
    ) -> Result<Self> {
        let place = fresh_directory(place)?;
        let [directory, home, bin, logs] =
            ["tree", "home", "bin", "logs"].map(|name| place.join(name));
        let settings = home.join(".config/virtme-ng");
        for made in [&directory, &settings, &bin, &logs] {
            fs::create_dir_all(made)
                .with_context(|| format!("{} cannot be created", made.display()))?;
        }
        let program = bin.join("lastref");
        fs::copy(lastref, &program)
            .with_context(|| format!("{} cannot be copied", lastref.display()))?;
        let (image, arguments) = match boots {
            Boots::Cached(arguments) => (Some(kernel.image()), arguments.join(" ")),
            Boots::Built => (None, String::new()),
        };
        let mut options = json!({
            "force_9p": true,
            "disable_microvm": true,
            "disable_kvm": !kvm::works(context, kernel)?,
            "cpus": "1",
            "rodir": [format!("/usr/local/bin={}", bin.display())],
            "qemu_opts": [format!("-machine {UNUSED_DEVICES}")],
            "append": [format!("modprobe.blacklist={UNUSED_MODULES} {arguments}")],
        });
        if let Some(image) = image {
            options["run"] = json!(image);
        }
        let file = settings.join("virtme-ng.conf");
        fs::write(&file, json!({ "default_opts": options }).to_string())
            .with_context(|| format!("{} cannot be written", file.display()))?;
        let tools = context.tools().join("virtme-ng/bin");
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let path = [bin, tools]
            .into_iter()
            .chain(std::env::split_paths(&inherited));
        Ok(Self {
            path: std::env::join_paths(path).context("PATH cannot be extended")?,
            directory,
            home,
            logs,
        })
    }

    /// Writes an executable file into the directory.
    pub fn program(&self, name: &str, text: &str) -> Result<()> {
        let path = self.directory.join(name);
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    /// What a file in the directory holds; nothing if there is none.
    pub fn read(&self, name: &str) -> String {
        read_lossy(&self.directory.join(name))
    }

    /// Runs a recipe as a shell does that is fed with it, and says what came of it. `name` is what
    /// its log is called.
    pub fn run(&self, name: &str, recipe: &str) -> Result<Ran> {
        let log = self.logs.join(format!("{name}.log"));
        let output = fs::File::create(&log)
            .with_context(|| format!("{} cannot be created", log.display()))?;
        let errors = output.try_clone().context("a file cannot be shared")?;
        let script = self.logs.join(format!("{name}.sh"));
        fs::write(&script, recipe)
            .with_context(|| format!("{} cannot be written", script.display()))?;
        // timeout(1) makes a process group of its own, so that ours does not have all that it
        // starts; a namespace does.
        let mut shell = Command::new("unshare");
        shell
            .args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh"])
            .arg(&script)
            .current_dir(&self.directory)
            .env("HOME", &self.home)
            .env("PATH", &self.path)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        let mut group =
            children::spawn(&mut shell, Signal::KILL).context("unshare cannot be started")?;
        let start = Instant::now();
        let mut life = SignsOfLife::new(name);
        let status = loop {
            if let Some(status) = group.try_wait().context("unshare cannot be waited for")? {
                break status.code().unwrap_or(STOPPED);
            }
            if start.elapsed() > LIMIT {
                group.kill();
                break STOPPED;
            }
            life.show(&log);
            std::thread::sleep(POLL);
        };
        Ok(Ran {
            status,
            output: read_lossy(&log),
        })
    }
}
