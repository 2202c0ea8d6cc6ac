//! A disk of its own below the daemon's data folder: ext4 on a loop device, whose power can be cut, or a small tmpfs.
//!
//! Always: what lay in the folder moves onto it and back again; dropped, it is unmounted. Absent: doing anything for others
//! than root; whoever asks must be told that nothing was tested.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

/// Takes the disk away without writing what the file system still holds (ext4's shutdown, without flushing its log).
const CUT: &str = "import fcntl,os,struct,sys; fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

/// The disk.
pub(crate) struct Volume {
    folder: PathBuf,
    /// What the folder held before; the file of the loop device, if there is one.
    aside: PathBuf,
    image: Option<PathBuf>,
    options: String,
}

/// Whether this process may mount: says so where it may not.
pub(crate) fn may_mount() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("       NOT TESTED: only root may mount");
    }
    root
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Volume {
    /// A loop device of 8 GiB that takes only what is written; the daemon does not run.
    pub(crate) fn ext4(folder: &Path) -> Self {
        let image = folder.with_extension("image");
        run("truncate", &["-s", "8G", text(&image)]);
        run("mkfs.ext4", &["-q", "-F", text(&image)]);
        Self::lay(folder, Some(image), "loop".to_owned())
    }

    /// So many MiB of memory; the daemon does not run.
    pub(crate) fn tmpfs(folder: &Path, mebibytes: u32) -> Self {
        Self::lay(folder, None, format!("size={mebibytes}m"))
    }

    fn lay(folder: &Path, image: Option<PathBuf>, options: String) -> Self {
        let volume = Self { folder: folder.to_owned(), aside: folder.with_extension("aside"), image, options };
        fs::rename(&volume.folder, &volume.aside).unwrap();
        fs::create_dir(&volume.folder).unwrap();
        volume.mount();
        run("cp", &["-a", &format!("{}/.", text(&volume.aside)), text(&volume.folder)]);
        fs::remove_dir_all(&volume.aside).unwrap();
        run("sync", &["-f", text(&volume.folder)]);
        volume
    }

    fn mount(&self) {
        let (kind, what) = self.image.as_ref().map_or(("tmpfs", "tmpfs"), |image| ("ext4", text(image)));
        run("mount", &["-t", kind, "-o", &self.options, what, text(&self.folder)]);
    }

    fn unmount(&self) {
        for _ in 0..100 {
            if Command::new("umount").arg(&self.folder).output().unwrap().status.success() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("{} is in use", self.folder.display());
    }

    /// The power fails: what was not synced is gone.
    pub(crate) fn cut(&self) {
        run("python3", &["-c", CUT, text(&self.folder)]);
    }

    /// The power is back; nobody uses the disk yet.
    pub(crate) fn mount_again(&self) {
        self.unmount();
        self.mount();
    }

    /// Fills what is left of it, but for so many bytes.
    pub(crate) fn fill_up_to(&self, left: u64) {
        let free = rustix::fs::statvfs(&self.folder).map(|disk| disk.f_bavail * disk.f_frsize).unwrap();
        run("fallocate", &["-l", &free.saturating_sub(left).to_string(), text(&self.filler())]);
    }

    /// Gives the room back.
    pub(crate) fn empty_again(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }

    /// Everything back to where it was before; the daemon does not run.
    pub(crate) fn give_back(self) {
        let _ = fs::remove_file(self.filler());
        run("cp", &["-a", text(&self.folder), text(&self.aside)]);
        drop(self);
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Whoever still holds a file of it keeps it until then.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).output();
        if let Some(image) = &self.image {
            let _ = fs::remove_file(image);
        }
        if self.aside.exists() {
            let _ = fs::remove_dir(&self.folder);
            let _ = fs::rename(&self.aside, &self.folder);
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
