//! A real clamd with signatures of our own, on a socket of its own.

use ring::digest::{SHA256, digest};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::time::Instant;

/// A running clamd; it ends with this.
pub(crate) struct Clamd {
    child: Child,
    folder: tempfile::TempDir,
    pub(crate) port: u16,
}

/// The test file of the European Institute for Computer Antivirus Research, in two parts, so that this file is none.
pub(crate) fn eicar() -> Vec<u8> {
    [r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-", "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"].concat().into_bytes()
}

impl Clamd {
    /// Starts one that knows EICAR alone since that second, or without saying since when; it hears files up to these many bytes.
    pub(crate) fn start(made: Option<i64>, longest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::create_dir(path.join("signatures")).unwrap();
        sign(path, made);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let signatures = path.join("signatures");
        let settings = format!(
            "Foreground yes\nLocalSocket {}\nTCPSocket {port}\nTCPAddr 127.0.0.1\nDatabaseDirectory {}\nTemporaryDirectory {}\n\
             LogFile {}\nSelfCheck 0\nMaxThreads 2\nStreamMaxLength {longest}\n",
            path.join("clamd.ctl").display(),
            signatures.display(),
            path.display(),
            path.join("clamd.log").display(),
        );
        fs::write(path.join("clamd.conf"), settings).unwrap();
        let program =
            ["/usr/sbin/clamd", "clamd"].into_iter().find(|program| !program.starts_with('/') || Path::new(program).exists()).unwrap();
        let config = format!("--config-file={}", path.join("clamd.conf").display());
        let child = Command::new(program).arg(config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut clamd = Self { child, folder, port };
        let until = Instant::now() + Duration::from_secs(60);
        while !clamd.answers() {
            let ended = clamd.child.try_wait().unwrap();
            let log = || fs::read_to_string(clamd.folder.path().join("clamd.log")).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < until, "{ended:?} {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
        clamd
    }

    fn answers(&self) -> bool {
        let (Ok(mut stream), Ok(_)) = (UnixStream::connect(self.socket()), TcpStream::connect(("127.0.0.1", self.port))) else {
            return false;
        };
        let mut answer = String::new();
        stream.write_all(b"zPING\0").is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("PONG")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("clamd.ctl")
    }

    /// Stops answering, and goes on to exist.
    pub(crate) fn freeze(&self) {
        assert!(Command::new("kill").args(["-STOP", &self.child.id().to_string()]).status().unwrap().success());
    }
}

/// Writes the one signature: alone, or as a daily database that nobody signed (sigtool(1), `.cud`): a head of 512 bytes and an archive.
fn sign(folder: &Path, made: Option<i64>) {
    // MD5, size, name.
    let signature = "44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test-Signature\n";
    let Some(made) = made else { return fs::write(folder.join("signatures/own.hdb"), signature).unwrap() };
    let head = format!("ClamAV-VDB:23 Nov 2026 08-15 +0000:27500:1:90:X:X:nakatsugi:{made}");
    let hash: String = digest(&SHA256, signature.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(folder.join("daily.hdb"), signature).unwrap();
    fs::write(folder.join("daily.info"), format!("{head}\ndaily.hdb:{}:{hash}\n", signature.len())).unwrap();
    let archive = Command::new("tar").args(["--format=ustar", "-c", "daily.info", "daily.hdb"]).current_dir(folder).output().unwrap();
    assert!(archive.status.success());
    let mut bytes = head.into_bytes();
    bytes.resize(512, b' ');
    bytes.extend(archive.stdout);
    fs::write(folder.join("signatures/daily.cud"), bytes).unwrap();
}

impl Drop for Clamd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
