//! A private temporary folder whose servers die and whose files go when its owner does, however it ends.
//!
//! Three things together leave nothing behind. Every server registers its process id in the folder before
//! it becomes the server. A guard, a small shell, reads a pipe that only the owner holds: when the owner
//! ends, even by SIGKILL, the pipe closes, and the guard kills what is registered and removes the folder.
//! And the owner holds a lock on a file in the folder, so that the next lab sweeps what a killed guard left.

use std::env;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::lab::error::LabError;

/// Folder names are this, the owner's process id and a number.
const PREFIX: &str = "dazzle-lab-";

/// The longest path of a unix socket is 107 bytes; what follows the folder's path needs up to 40.
const PATH_BYTES_MAX: usize = 60;

/// Waits for the end of its standard input, then kills and removes.
///
/// Renaming `pids` first closes a race: a server that is just being started either has registered before,
/// and is found, or cannot register any more and ends by itself. A process id that was used again since is
/// recognised by a command line that does not name the folder.
const GUARD: &str = r#"
trap '' INT TERM HUP
dir=$1
while read -r _; do :; done
mv "$dir/pids" "$dir/closed" 2>/dev/null
for file in "$dir"/closed/*; do
  pid=${file##*/}
  case "$(tr '\0' ' ' <"/proc/$pid/cmdline")" in
    *"$dir/"*) kill -9 "$pid" ;;
  esac
done 2>/dev/null
# A dying server may still make a file between the listing and the removal of its folder.
tries=0
while [ -e "$dir" ] && [ "$tries" -lt 100 ]; do
  rm -rf "$dir" 2>/dev/null || sleep 0.05
  tries=$((tries + 1))
done
"#;

/// Registers its own process id, then becomes the server.
const REGISTER: &str = r#": >"$1/$$" || exit 1; shift; exec "$@""#;

/// See the module.
#[derive(Debug)]
pub(crate) struct Workspace {
    path: PathBuf,
    guard: Child,
    /// Its lock says that the owner lives; the system frees it when the process ends.
    _owner: File,
}

impl Workspace {
    /// Makes a folder and its guard, after sweeping what owners that are gone left behind.
    pub(crate) fn create() -> Result<Self, LabError> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let parent = parent_dir();
        sweep(&parent);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
        let mut private = DirBuilder::new();
        private.mode(0o700).create(&path).map_err(LabError::io("making a folder", &path.display()))?;
        let owner = lock_owner(&path).map_err(LabError::io("locking", &path.display()))?;
        fs::create_dir(path.join("pids")).map_err(LabError::io("making a folder", &path.display()))?;
        let guard = spawn_guard(&path, Stdio::piped()).map_err(LabError::io("starting", &"/bin/sh"))?;
        Ok(Self { path, guard, _owner: owner })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A command that registers itself here before it becomes `program`, in a process group of its own: a
    /// Ctrl-C at the terminal reaches the owner alone, which ends its servers in its own order.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", REGISTER, "sh"]).arg(self.path.join("pids")).arg(program);
        command.process_group(0);
        command
    }

    /// Takes a process that ended and was waited for off the register.
    pub(crate) fn forget(&self, pid: u32) {
        // Its absence is what is wanted, so a failure to remove it says nothing.
        let _ = fs::remove_file(self.path.join("pids").join(pid.to_string()));
    }
}

impl Drop for Workspace {
    /// Kills every server and removes the folder. Blocks for a moment, some tens of milliseconds.
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
        if self.path.exists() {
            clean(&self.path);
        }
    }
}

/// The system's temporary folder, unless its path is too long for sockets beneath it.
fn parent_dir() -> PathBuf {
    let system = env::temp_dir();
    if system.as_os_str().len() > PATH_BYTES_MAX { PathBuf::from("/tmp") } else { system }
}

/// The lock is taken before the file gets its name, so a sweep never sees it free while the owner lives.
fn lock_owner(path: &Path) -> io::Result<File> {
    let unnamed = path.join("owner.new");
    let file = File::create(&unnamed)?;
    file.lock()?;
    fs::rename(unnamed, path.join("owner"))?;
    Ok(file)
}

fn spawn_guard(path: &Path, stdin: Stdio) -> io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", GUARD, "dazzle-lab-guard"])
        .arg(path)
        .current_dir("/")
        .stdin(stdin)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

/// Runs a guard that finds its input closed at once, and waits for it.
fn clean(path: &Path) {
    if let Ok(mut guard) = spawn_guard(path, Stdio::null()) {
        let _ = guard.wait();
    }
}

/// Removes the folders, and ends the servers, of owners that are gone together with their guards.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        let pid = rest.split('-').next().unwrap_or_default();
        let path = entry.path();
        let abandoned = match File::open(path.join("owner")) {
            Ok(owner) => owner.try_lock().is_ok().then_some(Some(owner)),
            // Its owner is either just making it, or was killed while it did.
            Err(_) => (!Path::new("/proc").join(pid).exists()).then_some(None),
        };
        if let Some(_lock) = abandoned {
            clean(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_workspace_leaves_no_process_and_no_folder() {
        let workspace = Workspace::create().unwrap();
        let path = workspace.path().to_owned();
        let inside = path.join("x");
        let mut child = workspace
            .command(Path::new("/bin/sh"))
            .args(["-c", "read _", "-"])
            .arg(inside)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let register = path.join("pids").join(child.id().to_string());
        while !register.exists() {
            assert!(child.try_wait().unwrap().is_none(), "the process registers before it runs");
            std::thread::yield_now();
        }
        drop(workspace);
        assert!(!path.exists());
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn a_folder_without_an_owner_is_swept_and_one_with_an_owner_stays() {
        let living = Workspace::create().unwrap();
        let parent = parent_dir();
        let abandoned = parent.join(format!("{PREFIX}{}-abandoned", std::process::id()));
        fs::create_dir_all(abandoned.join("pids")).unwrap();
        File::create(abandoned.join("owner")).unwrap();
        sweep(&parent);
        assert!(!abandoned.exists());
        assert!(living.path().exists());
    }
}
