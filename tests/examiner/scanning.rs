//! With a scanner configured nothing unscanned is kept, and one that cannot answer refuses every file.

use crate::{
    Heard,
    clamd::{Clamd, eicar},
    ear, file, judged, reader,
};
use nakatsugi::{
    calendar::Timestamp,
    command::ScannerFault,
    examiner::{Examiner, ExaminerEvent, Scanner, ScannerSettings, ScannerState, SocketPlace},
    record::{FILE_BYTES, FileFormat, FileRefusal, Legibility},
    relay::ports::Clock,
};
use std::{path::PathBuf, sync::Arc, time::Duration};

const NOW: i64 = 1_795_421_711;
const DAY: i64 = 24 * 60 * 60;

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(NOW)
    }
}

fn scanner(socket: SocketPlace) -> (Scanner, Heard) {
    let (listen, heard) = ear();
    let settings = ScannerSettings { socket, signature_days: 7, within: Duration::from_secs(20) };
    (Scanner::new(settings, Arc::new(Stopped), listen), heard)
}

fn text(content: &[u8]) -> nakatsugi::record::File {
    file("a.txt", FileFormat::Text, content)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_clamd_lets_pass_what_it_does_not_know_and_finds_eicar() {
    let clamd = Clamd::start(Some(NOW - 2 * DAY), "2M");
    let loopback = format!("tcp:127.0.0.1:{}", clamd.port).parse().unwrap();
    for socket in [SocketPlace::Unix(clamd.socket()), loopback] {
        let (scanner, heard) = scanner(socket);
        let ScannerState::Good { days: 1..=3 } = scanner.state().await else { panic!("{:?}", scanner.state().await) };
        let examiner = Examiner::new(reader(), Some(scanner));
        assert_eq!(judged(&examiner, text("こんにちは".as_bytes())).await, Ok(Ok(Legibility::Read)));
        assert_eq!(judged(&examiner, text(&vec![b'a'; FILE_BYTES])).await, Ok(Ok(Legibility::Read)));
        assert_eq!(heard.lock().unwrap().len(), 0);
        assert_eq!(judged(&examiner, text(&eicar())).await, Ok(Err(FileRefusal::Infected)));
        let events = heard.lock().unwrap().clone();
        assert!(
            matches!(&events[..], [ExaminerEvent::Infected { signature }] if signature.starts_with("Eicar-Test-Signature")),
            "{events:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_or_undated_signatures_refuse_every_file() {
    for (made, old) in [(None, None), (Some(NOW - 30 * DAY), Some(30))] {
        let clamd = Clamd::start(made, "2M");
        let (scanner, heard) = scanner(SocketPlace::Unix(clamd.socket()));
        let ScannerState::Stale { days } = scanner.state().await else { panic!("{:?}", scanner.state().await) };
        // Its zone is the machine's.
        assert!(days.map_or(old.is_none(), |days| old.is_some_and(|old: u64| days.abs_diff(old) <= 1)), "{days:?}");
        let examiner = Examiner::new(reader(), Some(scanner));
        assert_eq!(judged(&examiner, text(b"a")).await, Err(ScannerFault::Stale));
        assert_eq!(*heard.lock().unwrap(), [ExaminerEvent::ScannerStale { days }]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_that_does_not_answer_or_hears_only_a_part_refuses_every_file() {
    let nobody = SocketPlace::Unix(PathBuf::from("/nowhere/clamd.ctl"));
    let (scanner, heard) = self::scanner(nobody);
    let examiner = Examiner::new(reader(), Some(scanner));
    assert_eq!(judged(&examiner, text(b"a")).await, Err(ScannerFault::Unavailable));
    assert!(matches!(heard.lock().unwrap()[..], [ExaminerEvent::ScannerUnavailable { .. }]));

    let clamd = Clamd::start(Some(NOW - DAY), "64K");
    let (scanner, heard) = self::scanner(SocketPlace::Unix(clamd.socket()));
    let examiner = Examiner::new(reader(), Some(scanner));
    assert_eq!(judged(&examiner, text(b"a")).await, Ok(Ok(Legibility::Read)));
    assert_eq!(judged(&examiner, text(&vec![b'a'; 200_000])).await, Err(ScannerFault::Unavailable));
    assert!(matches!(heard.lock().unwrap()[..], [ExaminerEvent::ScannerUnavailable { .. }]), "{:?}", heard.lock().unwrap());

    let (listen, _) = ear();
    let settings = ScannerSettings { socket: SocketPlace::Unix(clamd.socket()), signature_days: 7, within: Duration::from_millis(300) };
    let examiner = Examiner::new(reader(), Some(Scanner::new(settings, Arc::new(Stopped), listen)));
    clamd.freeze();
    assert_eq!(judged(&examiner, text(b"a")).await, Err(ScannerFault::Unavailable));
}
