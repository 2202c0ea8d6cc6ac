//! The README's own lines, from nothing to an answered request: "Run it for real" as a new user pastes it.
//!
//! Always: the commands are the README's; what a person does beside them (starting the broker, the editor, the safe place) is all
//! that is added.

#![cfg(feature = "daemon")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, net::TcpListener, path::Path, process::Command};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// What is typed under this heading: the lines behind `$`, and those that a `\` draws on.
fn typed(heading: &str) -> Vec<String> {
    let readme = fs::read_to_string(Path::new(REPOSITORY).join("README.md")).unwrap();
    let section = readme.split_once(&format!("\n## {heading}\n")).unwrap().1;
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let (mut lines, mut drawn_on) = (Vec::<String>::new(), false);
    for line in section.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => lines.push(command.to_owned()),
            None if drawn_on => lines.last_mut().unwrap().push_str(&format!("\n{line}")),
            None => continue,
        }
        drawn_on = line.ends_with('\\');
    }
    lines
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Starts the broker with what was prepared, on a port that is free, and waits for it.
fn broker(port: u16, dist: u16) -> String {
    format!(
        r#"sed -i 's/^listeners.ssl.1 = .*/listeners.ssl.1 = 127.0.0.1:{port}/' trial/rabbitmq.conf
mkdir -p node/mnesia node/log
server=$(dpkg -L rabbitmq-server | grep lib/rabbitmq/bin/rabbitmq-server$)
RABBITMQ_NODENAME=readme-$$@localhost RABBITMQ_NODE_PORT={port} RABBITMQ_DIST_PORT={dist} RABBITMQ_MNESIA_BASE=$PWD/node/mnesia \
  RABBITMQ_LOG_BASE=$PWD/node/log RABBITMQ_ENABLED_PLUGINS_FILE=$PWD/trial/enabled_plugins RABBITMQ_CONFIG_FILE=$PWD/trial/rabbitmq.conf \
  RABBITMQ_PID_FILE=$PWD/node/pid HOME=$PWD/node RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+sbwt none" "$server" > node/out 2>&1 &
broker=$!
for try in $(seq 600); do (: < /dev/tcp/127.0.0.1/{port}) 2> /dev/null && break; sleep 0.2; done"#
    )
}

const SERVE: &str = r#"nakatsugi serve > ../serve.log &
served=$!
for try in $(seq 600); do grep -q '"daemon.ready"' ../serve.log && break; sleep 0.2; done"#;

#[test]
fn the_readme_leads_from_nothing_to_an_answered_request() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let lines: Vec<_> = typed("Run it for real")
        .into_iter()
        .map(|line| match line.split(" #").next().unwrap().trim() {
            "nakatsugi demo --prepare trial" => format!("{line}\n{}", broker(port, free_port())),
            "nakatsugi serve" => SERVE.to_owned(),
            _ => line.replace("/media/safe/", "\"$safe\"/").replace("…/schemas", &format!("{REPOSITORY}/schemas")),
        })
        .collect();
    assert!(lines.len() >= 20, "{lines:#?}");
    let binaries = Path::new(env!("CARGO_BIN_EXE_nakatsugi")).parent().unwrap();
    let script = format!(
        "set -eux\nexport PATH={}:$PATH\nEDITOR='sed -i s|amqps://broker.example:5671/%2f|amqps://localhost:{port}/network|'\n\
         safe=$PWD/safe; mkdir safe; served=; broker=\n\
         trap 'for process in $served $broker; do kill $process || true; wait $process || true; done' EXIT\n{}\n",
        binaries.display(),
        lines.join("\n")
    );
    let done = Command::new("bash").arg("-c").arg(&script).current_dir(folder.path()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{out}\n{err}");
    assert!(out.contains("2 put in effect"), "{out}");
    let answer = out.rsplit_once("2 lines answered.").unwrap().1;
    assert_eq!(answer.matches("\"outcome\": \"provided\"").count(), 1, "{answer}");
    assert_eq!(answer.matches("\"record_key\"").count(), 2, "{answer}");
}
