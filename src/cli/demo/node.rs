//! A private RabbitMQ node: for the demonstration, the tests and the benchmark; never for production.
//!
//! Always: it listens on 127.0.0.1 only, over mutual TLS 1.3 only; its ports, port mapper, cookie, database, logs and
//! home lie in one folder and touch no other broker of this machine; node and port mapper end with this process, even
//! when it is killed (a guard holds the other end of a pipe). Absent: the management plugin, passwords.

use super::NodeError;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// Where an installed server's scripts lie; the ones on the PATH change user and environment.
const SCRIPTS: [&str; 4] = ["/usr/lib/rabbitmq/bin", "/opt/rabbitmq/sbin", "/usr/local/lib/rabbitmq/bin", "/usr/local/sbin"];
const RELEASES: &str = "/usr/lib/rabbitmq/lib";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/erlang/bin:/opt/erlang/lib/erlang/bin";
const LOOPBACK_ONLY: &str = "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false";
const POLL: Duration = Duration::from_millis(50);

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The certificate of the authority whose clients are let in.
    pub ca: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Users, virtual hosts and permissions (`broker::definitions`).
    pub definitions: String,
    /// How long it may take to get ready.
    pub ready_within: Duration,
}

/// Whether the node says that its memory is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryAlarm {
    /// Publishing connections are blocked.
    Raised,
    /// They are not.
    Cleared,
}

/// A running node. Its functions wait without yielding: call them off the runtime. Dropped, it and its port mapper are killed.
#[derive(Debug)]
pub struct Node {
    scripts: PathBuf,
    folder: PathBuf,
    amqps: u16,
    distribution: u16,
    mapper_port: u16,
    ready_within: Duration,
    /// The first node of a cluster has it.
    mapper: Option<Child>,
    /// Where the cookie lies that the nodes of a cluster share.
    home: PathBuf,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    beam: Child,
    guard: Child,
}

impl Node {
    /// Starts a node in this folder and waits until it takes connections.
    ///
    /// # Errors
    /// No server is installed, a file or port cannot be used, or the node does not get ready.
    pub fn start(folder: &Path, options: &NodeOptions) -> Result<Self, NodeError> {
        Self::start_as(folder, options, None)
    }

    /// Starts another node in a folder of its own and joins it to this one's cluster; what is declared from then on lies on
    /// all of them. It must not outlive this one.
    ///
    /// # Errors
    /// As [`Node::start`]; or it may not join.
    pub fn start_beside(&self, folder: &Path, options: &NodeOptions) -> Result<Self, NodeError> {
        let node = Self::start_as(folder, options, Some(self))?;
        for arguments in [&["stop_app"][..], &["reset"], &["join_cluster", &self.name()], &["start_app"]] {
            node.control(arguments)?;
        }
        Ok(node)
    }

    /// Its name in a cluster.
    #[must_use]
    pub fn name(&self) -> String {
        format!("nakatsugi{}@localhost", self.amqps)
    }

    fn start_as(folder: &Path, options: &NodeOptions, first: Option<&Self>) -> Result<Self, NodeError> {
        let scripts = scripts().ok_or(NodeError::NotInstalled)?;
        let folder = std::path::absolute(folder).map_err(|source| NodeError::File { path: folder.to_owned(), source })?;
        if folder.to_string_lossy().contains(['\'', '"', '`', '$', '\\']) {
            return Err(NodeError::Quoted(folder));
        }
        let [amqps, distribution, free] = free_ports().map_err(NodeError::Port)?;
        for name in ["etc", "log", "home", "mnesia", "schema", "generated"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).map_err(|source| NodeError::File { path, source })?;
        }
        let files = [
            ("etc/rabbitmq.conf", configuration(&format!("127.0.0.1:{amqps}"), &folder.join("etc/definitions.json"), options)),
            ("etc/advanced.config", "[].\n".to_owned()),
            ("etc/enabled_plugins", "[rabbitmq_auth_mechanism_ssl].\n".to_owned()),
            ("etc/definitions.json", options.definitions.clone()),
        ];
        for (name, text) in files {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|source| NodeError::File { path, source })?;
        }
        let (mapper, mapper_port, home) = match first {
            Some(first) => (None, first.mapper_port, first.home.clone()),
            None => {
                let mut mapper = Command::new("epmd");
                mapper.args(["-port", &free.to_string(), "-address", "127.0.0.1"]).env_clear().env("PATH", PATH);
                let mapper = spawn(mapper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?;
                (Some(mapper), free, folder.join("home"))
            }
        };
        let ready_within = options.ready_within;
        let mut node = Self { scripts, folder, amqps, distribution, mapper_port, ready_within, mapper, home, running: None };
        node.run()?;
        Ok(node)
    }

    /// The port that takes AMQP over TLS.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.amqps
    }

    /// The broker's address for clients: `amqps://localhost:<port>/<virtual host>`.
    #[must_use]
    pub fn uri(&self, vhost: &str) -> String {
        format!("amqps://localhost:{}/{vhost}", self.amqps)
    }

    /// The virtual machine's process, while the node runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.beam.id())
    }

    /// The node's log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("log/node.log")
    }

    /// Stops the node in good order, so that it can be restarted.
    ///
    /// # Errors
    /// When it is not running or a signal does not reach it.
    pub fn stop(&mut self) -> Result<(), NodeError> {
        self.signal(Signal::TERM)?;
        let patience = self.ready_within;
        let running = self.running.as_mut().ok_or(NodeError::NotRunning)?;
        for _ in polls(patience) {
            if running.beam.try_wait().map_err(NodeError::Signal)?.is_some() {
                break;
            }
            thread::sleep(POLL);
        }
        self.end();
        Ok(())
    }

    /// Kills the node as a crash would (SIGKILL).
    pub fn kill(&mut self) {
        self.end();
    }

    /// Starts the node again, killing it first when it still runs, and waits until it takes connections.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn restart(&mut self) -> Result<(), NodeError> {
        self.end();
        self.run()
    }

    /// Freezes the node (SIGSTOP): connections stay open and nothing answers.
    ///
    /// # Errors
    /// When it is not running.
    pub fn pause(&self) -> Result<(), NodeError> {
        self.signal(Signal::STOP)
    }

    /// Lets a frozen node go on (SIGCONT).
    ///
    /// # Errors
    /// When it is not running.
    pub fn resume(&self) -> Result<(), NodeError> {
        self.signal(Signal::CONT)
    }

    /// Runs an administration command (`rabbitmqctl`) on this node and returns what it printed.
    ///
    /// # Errors
    /// When it fails.
    pub fn control(&self, arguments: &[&str]) -> Result<String, NodeError> {
        let program = self.scripts.join("rabbitmqctl");
        let output = self.command("rabbitmqctl").arg("--quiet").args(arguments).stdin(Stdio::null()).output();
        let output = output.map_err(|source| NodeError::Spawn { program: program.display().to_string(), source })?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(printed);
        }
        let output = printed + &String::from_utf8_lossy(&output.stderr);
        Err(NodeError::Command { command: arguments.first().copied().unwrap_or_default().to_owned(), output })
    }

    /// Adds users, virtual hosts and permissions to the running node.
    ///
    /// # Errors
    /// When they are refused.
    pub fn import(&self, name: &str, definitions: &str) -> Result<(), NodeError> {
        let path = self.folder.join(format!("etc/{name}.json"));
        fs::write(&path, definitions).map_err(|source| NodeError::File { path: path.clone(), source })?;
        self.control(&["import_definitions", &path.to_string_lossy()]).map(drop)
    }

    /// Raises or clears the memory alarm.
    ///
    /// # Errors
    /// When the node refuses.
    pub fn memory_alarm(&self, alarm: MemoryAlarm) -> Result<(), NodeError> {
        let watermark = match alarm {
            MemoryAlarm::Raised => "0.000001",
            MemoryAlarm::Cleared => "0.6",
        };
        self.control(&["set_vm_memory_high_watermark", watermark]).map(drop)
    }

    fn run(&mut self) -> Result<(), NodeError> {
        let path = self.log();
        let failed = |source| NodeError::File { path: path.clone(), source };
        let log = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        let from = log.metadata().map_err(failed)?.len();
        let errors = log.try_clone().map_err(failed)?;
        let beam = spawn(self.command("rabbitmq-server").stdin(Stdio::null()).stdout(log).stderr(errors))?;
        // SECURITY: the guard's read ends when this process does, however it ends; then it kills what we started.
        let mut guard = Command::new("/bin/sh");
        guard.args(["-c", "cat >/dev/null; kill -9 \"$@\"", "guard"]).arg(beam.id().to_string());
        guard.args(self.mapper.iter().map(|mapper| mapper.id().to_string()));
        let guard = spawn(guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()));
        let mut beam = beam;
        let guard = match guard {
            Ok(guard) => guard,
            Err(error) => {
                reap(&mut beam);
                return Err(error);
            }
        };
        let running = self.running.insert(Running { beam, guard });
        for _ in polls(self.ready_within) {
            let text = read_from(&path, from).map_err(failed)?;
            if text.contains("Server startup complete") {
                return Ok(());
            }
            if running.beam.try_wait().map_err(NodeError::Signal)?.is_some() {
                self.end();
                return Err(NodeError::Ended { log: last_lines(&text) });
            }
            thread::sleep(POLL);
        }
        self.end();
        Err(NodeError::NotReady { log: last_lines(&read_from(&path, from).map_err(failed)?) })
    }

    /// A script of the server with this node's environment and no other.
    fn command(&self, script: &str) -> Command {
        let at = |name: &str| self.folder.join(name);
        let mut command = Command::new(self.scripts.join(script));
        command
            .env_clear()
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8")
            .env("HOME", &self.home)
            // The script then replaces itself by the virtual machine, so that our child is the node and not its shell.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("ERL_EPMD_PORT", self.mapper_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", self.name())
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", at("etc/rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", at("etc/advanced.config"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("etc/enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", at("mnesia"))
            .env("RABBITMQ_LOG_BASE", at("log"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_GENERATED_CONFIG_DIR", at("generated"))
            .env("RABBITMQ_SCHEMA_DIR", at("schema"))
            .env("RABBITMQ_PID_FILE", at("node.pid"))
            .env("RABBITMQ_DIST_PORT", self.distribution.to_string())
            .env("RABBITMQ_CTL_ERL_ARGS", LOOPBACK_ONLY)
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", format!("+sbwt none +sbwtdcpu none +sbwtdio none {LOOPBACK_ONLY}"));
        command
    }

    fn signal(&self, signal: Signal) -> Result<(), NodeError> {
        let running = self.running.as_ref().ok_or(NodeError::NotRunning)?;
        kill_process(Pid::from_child(&running.beam), signal).map_err(|errno| NodeError::Signal(errno.into()))
    }

    /// Kills what still runs. The guard goes first: it must not signal ids that are no longer ours.
    fn end(&mut self) {
        if let Some(mut running) = self.running.take() {
            reap(&mut running.guard);
            reap(&mut running.beam);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
        self.mapper.iter_mut().for_each(reap);
    }
}

/// What a server needs in its `rabbitmq.conf`, besides the plugin `rabbitmq_auth_mechanism_ssl`.
#[must_use]
pub fn configuration(listen: &str, definitions: &Path, options: &NodeOptions) -> String {
    let (ca, certificate, key) = (options.ca.display(), options.certificate.display(), options.key.display());
    format!(
        "listeners.tcp = none\n\
         listeners.ssl.1 = {listen}\n\
         ssl_options.cacertfile = {ca}\n\
         ssl_options.certfile = {certificate}\n\
         ssl_options.keyfile = {key}\n\
         ssl_options.verify = verify_peer\n\
         ssl_options.fail_if_no_peer_cert = true\n\
         ssl_options.versions.1 = tlsv1.3\n\
         auth_mechanisms.1 = EXTERNAL\n\
         ssl_cert_login_from = common_name\n\
         load_definitions = {}\n\
         max_message_size = 16777216\n\
         disk_free_limit.absolute = 64MB\n\
         vm_memory_high_watermark.relative = 0.6\n\
         raft.wal_max_size_bytes = 67108864\n\
         log.console.level = info\n",
        definitions.display()
    )
}

/// The folder with the server's own scripts: the newest release of the Debian package, or a well-known place.
fn scripts() -> Option<PathBuf> {
    let mut releases: Vec<_> = fs::read_dir(RELEASES).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    releases.sort();
    let releases = releases.into_iter().rev().map(|path| path.join("sbin"));
    releases.chain(SCRIPTS.map(PathBuf::from)).find(|path| path.join("rabbitmq-server").is_file() && path.join("rabbitmq-env").is_file())
}

/// Three ports that nobody listens on; held together while asked for, so that they differ.
fn free_ports() -> io::Result<[u16; 3]> {
    let bind = || TcpListener::bind(("127.0.0.1", 0));
    let held = [bind()?, bind()?, bind()?];
    let [first, second, third] = &held;
    Ok([first.local_addr()?.port(), second.local_addr()?.port(), third.local_addr()?.port()])
}

/// Starts a program in a process group of its own, so that Ctrl-C reaches us first and we stop it in good order.
fn spawn(command: &mut Command) -> Result<Child, NodeError> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.process_group(0).spawn().map_err(|source| NodeError::Spawn { program, source })
}

fn reap(child: &mut Child) {
    // Both fail only when the child is gone already.
    let _ = child.kill();
    let _ = child.wait();
}

fn polls(patience: Duration) -> std::ops::Range<u128> {
    0..patience.as_millis() / POLL.as_millis()
}

fn read_from(path: &Path, from: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
}
