//! The benchmark works: every subject answers, and every figure is there. Its times are never judged.

use serde_json::Value;
use std::process::Command;

#[test]
fn a_short_benchmark_measures_all_three_and_the_steps() {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_nakatsugi"));
    bench.args(["bench", "--tenants", "3", "--skew", "town", "--people", "5", "--records", "2", "--withheld", "0.2"]);
    bench.args(["--seconds", "0.5", "--rounds", "1", "--window", "64", "--json"]);
    let output = bench.output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{err}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["subject"].as_str()).collect::<Vec<_>>(), [Some("echo"), Some("floor"), Some("relay"), None]);
    for line in &lines[..3] {
        assert!(line["rate"].as_f64().unwrap() > 0.0 && line["latency_ms"]["p99"].as_f64().unwrap() > 0.0, "{line}");
        assert!(line["memory_kib"]["peak"].as_u64().unwrap() > 0, "{line}");
    }
    let whole = &lines[3];
    assert!(whole["relay/floor"].as_f64().unwrap() > 0.0, "{whole}");
    assert!(whole["start_ms"].as_f64().unwrap() > 0.0 && whole["idle_percent"].is_number(), "{whole}");
    for step in ["decrypt", "verify", "view", "handle", "sign", "encrypt", "journal"] {
        assert!(whole["steps_micros"][step].is_number(), "{step}: {whole}");
    }
}
