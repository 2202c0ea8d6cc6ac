//! What `broker` promises, against a real RabbitMQ over mutual TLS.

#[path = "../support/mod.rs"]
mod support;
mod waiting;

use futures_util::{StreamExt as _, stream};
use nakatsugi::{
    broker::{
        BrokerError, BrokerEvent, BrokerSettings, Drained, Limits, Partition, Publication, Published, Publisher, PublisherSettings,
        Topology, Unpublished, Unroutable,
        names::{DEAD, IN, OUT, SIEVE, SORT},
    },
    cli::demo::{node::MemoryAlarm, pki::Authority},
};
use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    net::TcpStream,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};
use support::{Broker, FUJISAWA, YOKOHAMA, depth, event, message, next, silent, topology, until, watched};

fn record(id: u32) -> Publication {
    message(IN, &format!("{FUJISAWA}.record.put"), id)
}

/// Where Fujisawa's records come in, and where they come back from waiting.
const RECORD: [&str; 2] = ["nakatsugi.record.0", "nakatsugi.again.record.0"];

fn ok(outcome: &Result<Published, Unpublished>) -> bool {
    outcome.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_publications_gets_its_own_result() {
    let broker = Broker::shared();
    broker.apply("results", &topology()).await;
    broker.control(&["set_policy", "-p", "results", "--apply-to", "queues", "small", r"^nakatsugi\.out\.full$", r#"{"max-length":3}"#]);
    // One lane, so that all kinds of results meet in one round.
    let settings = PublisherSettings {
        broker: broker.settings("results", "relay"),
        user: "relay".into(),
        lanes: 1,
        round: 100,
        confirmed_within: support::PATIENCE,
    };
    let publisher = Arc::new(Publisher::start(settings, silent()));
    let mut filler = 10_000;
    loop {
        filler += 1;
        match publisher.publish(message(OUT, "full.self-info.reply", filler)).await {
            Ok(_) => assert!(filler < 10_100, "the queue never fills"),
            outcome => break assert_eq!(outcome, Err(Unpublished::Nacked)),
        }
    }
    let key = |id: u32| match id % 5 {
        1 => "nobody.self-info.reply",
        2 => "full.self-info.reply",
        _ => "disclosure.self-info.reply",
    };
    let outcomes: Vec<_> = stream::iter(0..800_u32)
        .map(|id| {
            let publisher = Arc::clone(&publisher);
            tokio::spawn(async move { (id, publisher.publish(message(OUT, key(id), id)).await) })
        })
        .buffer_unordered(200)
        .map(Result::unwrap)
        .collect()
        .await;
    assert_eq!(outcomes.len(), 800);
    for (id, outcome) in outcomes {
        match id % 5 {
            1 => assert_eq!(outcome, Err(Unpublished::Returned), "{id}"),
            2 => assert_eq!(outcome, Err(Unpublished::Nacked), "{id}"),
            _ => assert!(ok(&outcome), "{id}: {outcome:?}"),
        }
    }
    let (intake, mut deliveries) = broker.intake("results", "disclosure", &["nakatsugi.out.disclosure"], silent());
    let mut arrived = BTreeSet::new();
    for _ in 0..480 {
        let delivery = next(&mut deliveries).await;
        assert_eq!(delivery.route.user_id.as_deref(), Some("relay"));
        arrived.insert(delivery.route.message_id.clone().unwrap().parse::<u32>().unwrap());
        delivery.ticket.ack();
    }
    assert_eq!(arrived, (0..800).filter(|id| !matches!(id % 5, 1 | 2)).collect());
    assert_eq!(intake.stop(support::PATIENCE).await, Drained::Settled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_publication_spoils_no_other() {
    let broker = Broker::shared();
    broker.apply("spoiled", &topology()).await;
    let publisher = Arc::new(broker.publisher("spoiled", "relay"));
    let outcomes: Vec<_> = stream::iter(0..60_u32)
        .map(|id| {
            let exchange = if id % 20 == 7 { "nakatsugi.in" } else { OUT };
            let publisher = Arc::clone(&publisher);
            tokio::spawn(async move { (id, publisher.publish(message(exchange, "disclosure.self-info.reply", id)).await) })
        })
        .buffer_unordered(60)
        .map(Result::unwrap)
        .collect()
        .await;
    for (id, outcome) in outcomes {
        if id % 20 == 7 {
            assert!(matches!(&outcome, Err(Unpublished::Refused(reason)) if reason.contains("ACCESS_REFUSED")), "{id}: {outcome:?}");
        } else {
            assert!(ok(&outcome), "{id}: {outcome:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_writes_its_own_tenants_and_types_only() {
    let broker = Broker::shared();
    broker.apply("permissions", &topology()).await;
    let municipal = broker.publisher("permissions", "fujisawa");
    assert!(ok(&municipal.publish(record(1)).await));
    let queue = "nakatsugi.record.0";
    for (exchange, key) in [
        (IN, format!("{YOKOHAMA}.record.put")),
        (IN, format!("{FUJISAWA}.self-info.request")),
        (IN, format!("{FUJISAWA}.record.put\n")),
        (IN, format!("x{FUJISAWA}.record.put")),
        ("", queue.to_owned()),
        ("nakatsugi.wait.record.0", format!("{FUJISAWA}.record.put")),
        ("nakatsugi.again.record.0", format!("{FUJISAWA}.record.put")),
        (OUT, "disclosure.self-info.reply".to_owned()),
        (DEAD, format!("{FUJISAWA}.record.put")),
        (SIEVE, format!("{FUJISAWA}.record.put")),
        (SORT, format!("{FUJISAWA}.record.put")),
    ] {
        let outcome = municipal.publish(message(exchange, &key, 2)).await;
        assert!(
            matches!(&outcome, Err(Unpublished::Refused(reason)) if reason.contains("ACCESS_REFUSED")),
            "{exchange} {key}: {outcome:?}"
        );
    }
    let disclosure = broker.publisher("permissions", "disclosure");
    for tenant in [FUJISAWA, YOKOHAMA] {
        assert!(ok(&disclosure.publish(message(IN, &format!("{tenant}.self-info.request"), 3)).await));
    }
    let outcome = disclosure.publish(record(4)).await;
    assert!(matches!(outcome, Err(Unpublished::Refused(_))), "{outcome:?}");
    let operator = broker.publisher("permissions", "operator");
    let outcome = operator.publish(record(5)).await;
    assert!(matches!(outcome, Err(Unpublished::Refused(_))), "{outcome:?}");
    let (_intake, mut deliveries) = broker.intake("permissions", "relay", &[queue], silent());
    assert_eq!(next(&mut deliveries).await.route.message_id.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_user_id_is_refused_and_a_dead_letter_built_anew_is_not() {
    let broker = Broker::shared();
    broker.apply("foreign", &topology()).await;
    let settings = PublisherSettings {
        broker: broker.settings("foreign", "relay"),
        user: "fujisawa".into(),
        lanes: 1,
        round: 8,
        confirmed_within: support::PATIENCE,
    };
    let foreign = Publisher::start(settings, silent());
    let outcome = foreign.publish(message(OUT, "disclosure.self-info.reply", 1)).await;
    assert!(matches!(&outcome, Err(Unpublished::Refused(reason)) if reason.contains("user_id")), "{outcome:?}");
    let relay = broker.publisher("foreign", "relay");
    let headers = vec![("carrier".to_owned(), "fujisawa".to_owned()), ("routing-key".to_owned(), format!("{FUJISAWA}.record.put"))];
    let dead = Publication { headers, ..message(DEAD, "", 2) };
    assert!(ok(&relay.publish(dead).await));
    let (_intake, mut deliveries) = broker.intake("foreign", "relay", &[DEAD], silent());
    assert_eq!(next(&mut deliveries).await.route.user_id.as_deref(), Some("relay"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_out_on_a_lost_connection_comes_again_and_old_tickets_settle_nothing() {
    let broker = Broker::shared();
    broker.apply("redelivery", &topology()).await;
    let publisher = broker.publisher("redelivery", "fujisawa");
    for id in 1..=3 {
        assert!(ok(&publisher.publish(record(id)).await));
    }
    let (observer, mut events) = watched();
    let (intake, mut deliveries) = broker.intake("redelivery", "relay", &["nakatsugi.record.0"], observer);
    let mut old = Vec::new();
    for _ in 1..=3 {
        let delivery = next(&mut deliveries).await;
        assert!(!delivery.route.redelivered);
        old.push(delivery.ticket);
    }
    broker.control(&["close_all_connections", "-p", "redelivery", "test"]);
    event(&mut events, |event| matches!(event, BrokerEvent::Lost { .. })).await;
    let mut new = Vec::new();
    for _ in 1..=3 {
        let delivery = next(&mut deliveries).await;
        assert!(delivery.route.redelivered);
        new.push(delivery);
    }
    for ticket in old {
        ticket.ack();
    }
    drop(intake);
    let (intake, mut deliveries) = broker.intake("redelivery", "relay", &["nakatsugi.record.0"], silent());
    for _ in 1..=3 {
        next(&mut deliveries).await.ticket.ack();
    }
    assert_eq!(intake.stop(support::PATIENCE).await, Drained::Settled);
    until(|| depth(broker, "redelivery", "nakatsugi.record.0") == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_what_is_missing_and_apply_what_differs() {
    let broker = Broker::shared();
    let relay = broker.settings("missing", "relay");
    let BrokerError::Missing(missing) = topology().check(&relay).await.unwrap_err() else { panic!("something else") };
    assert!(
        missing.contains(&"exchange nakatsugi.in".to_owned()) && missing.contains(&"queue nakatsugi.record.1".to_owned()),
        "{missing:?}"
    );
    broker.apply("missing", &topology()).await;
    broker.apply("missing", &topology()).await;
    topology().check(&relay).await.unwrap();
    for queue in ["nakatsugi.wait.record.1", "nakatsugi.again.record.1"] {
        broker.control(&["delete_queue", "-p", "missing", queue]);
        let error = topology().check(&relay).await.unwrap_err();
        assert_eq!(error.to_string(), format!("missing on the broker: queue {queue}; run: nakatsugi topology apply"));
        broker.apply("missing", &topology()).await;
    }
    let error = topology().apply(&relay, |_, _| ()).await.unwrap_err();
    assert!(matches!(&error, BrokerError::NotAllowed { name, .. } if name == "exchange nakatsugi.in"), "{error}");
    assert!(!error.is_transient());
    let other = Topology { limits: Limits { messages: 5, bytes: 500 }, ..topology() };
    let error = other.apply(&broker.settings("missing", "operator"), |_, _| ()).await.unwrap_err();
    assert!(matches!(&error, BrokerError::Different { name, .. } if name == "queue nakatsugi.dead"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_queue_stops_no_other_and_is_consumed_from_again() {
    let broker = Broker::shared();
    broker.apply("gone", &topology()).await;
    let (observer, mut events) = watched();
    let (_intake, mut deliveries) = broker.intake("gone", "relay", &["nakatsugi.record.0", "nakatsugi.self-info.0"], observer);
    for _ in 0..2 {
        event(&mut events, |event| matches!(event, BrokerEvent::Consuming { .. })).await;
    }
    broker.control(&["delete_queue", "-p", "gone", "nakatsugi.record.0"]);
    event(&mut events, |event| matches!(event, BrokerEvent::QueueGone { queue, .. } if &**queue == "nakatsugi.record.0")).await;
    let disclosure = broker.publisher("gone", "disclosure");
    assert!(ok(&disclosure.publish(message(IN, &format!("{FUJISAWA}.self-info.request"), 1)).await));
    next(&mut deliveries).await.ticket.ack();
    broker.apply("gone", &topology()).await;
    let municipal = broker.publisher("gone", "fujisawa");
    assert!(ok(&municipal.publish(record(2)).await));
    assert_eq!(next(&mut deliveries).await.route.message_id.as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_intake_takes_nothing_in_and_still_settles() {
    let broker = Broker::shared();
    broker.apply("pausing", &topology()).await;
    let publisher = broker.publisher("pausing", "fujisawa");
    let (observer, mut events) = watched();
    let (intake, mut deliveries) = broker.intake("pausing", "relay", &["nakatsugi.record.0"], observer);
    event(&mut events, |event| matches!(event, BrokerEvent::Consuming { .. })).await;
    assert!(ok(&publisher.publish(record(1)).await));
    let first = next(&mut deliveries).await;
    intake.pause();
    until(|| broker.control(&["list_consumers", "-p", "pausing"]).lines().count() <= 1).await;
    assert!(ok(&publisher.publish(record(2)).await));
    first.ticket.ack();
    until(|| depth(broker, "pausing", "nakatsugi.record.0") == 1).await;
    assert!(deliveries.try_recv().is_err());
    intake.resume();
    let second = next(&mut deliveries).await;
    assert_eq!((second.route.message_id.as_deref(), second.route.redelivered), (Some("2"), false));
    second.ticket.ack();
    assert_eq!(intake.stop(support::PATIENCE).await, Drained::Settled);
    until(|| depth(broker, "pausing", "nakatsugi.record.0") == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_waits_for_tickets_but_not_for_ever() {
    let broker = Broker::shared();
    broker.apply("draining", &topology()).await;
    let publisher = broker.publisher("draining", "fujisawa");
    for id in 1..=2 {
        assert!(ok(&publisher.publish(record(id)).await));
    }
    publisher.stop(support::PATIENCE).await;
    let (intake, mut deliveries) = broker.intake("draining", "relay", &["nakatsugi.record.0"], silent());
    let (first, second) = (next(&mut deliveries).await, next(&mut deliveries).await);
    let stopping = tokio::spawn(intake.stop(Duration::from_secs(2)));
    second.ticket.ack();
    assert_eq!(stopping.await.unwrap(), Drained::TimedOut);
    drop(first);
    let (intake, mut deliveries) = broker.intake("draining", "relay", &["nakatsugi.record.0"], silent());
    let again = next(&mut deliveries).await;
    assert_eq!((again.route.message_id.as_deref(), again.route.redelivered), (Some("1"), true));
    let stopping = tokio::spawn(intake.stop(support::PATIENCE));
    again.ticket.ack();
    assert_eq!(stopping.await.unwrap(), Drained::Settled);
    until(|| depth(broker, "draining", "nakatsugi.record.0") == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_certificates_of_the_one_authority_connect_and_only_as_known_users() {
    let broker = Broker::shared();
    let topology = Topology { tenants: Vec::new(), partitions: 0, readers: Vec::new(), ..topology() };
    let settings = broker.settings("tls", "operator");
    topology.apply(&settings, |_, _| ()).await.unwrap();
    let other = Authority::create(&broker.folder.join("other-pki")).unwrap();
    let foreign = other.issue_client("operator").unwrap();
    let mut refused = settings.clone();
    (refused.certificate, refused.key) = (foreign.certificate, foreign.key);
    assert!(topology.check(&refused).await.is_err());
    let untrusting = BrokerSettings { ca: other.ca(), ..settings.clone() };
    let error = topology.check(&untrusting).await.unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
    let list = Some(broker.authority.revoke(&[&broker.users["stranger"]]).unwrap());
    topology.check(&BrokerSettings { revocations: list, ..settings.clone() }).await.unwrap();
    let list = Some(broker.authority.revoke(&[&broker.server]).unwrap());
    let error = topology.check(&BrokerSettings { revocations: list, ..settings }).await.unwrap_err();
    assert!(error.to_string().contains("Revoked"), "{error}");
    let stranger = broker.settings("tls", "stranger");
    let error = topology.check(&stranger).await.unwrap_err();
    assert!(matches!(&error, BrokerError::NotAllowed { name, .. } if name == "the virtual host of broker network"), "{error:?}");
    let error = topology.check(&broker.settings("no-such-host", "relay")).await.unwrap_err();
    assert!(matches!(&error, BrokerError::NotAllowed { .. }), "{error:?}");
    assert!(!error.is_transient());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_confirmed_survives_a_killed_broker_and_both_ways_open_again() {
    let broker = Broker::start(&["killed"]);
    broker.apply("killed", &topology()).await;
    let publisher = broker.publisher("killed", "fujisawa");
    let (observer, mut events) = watched();
    let (intake, mut deliveries) = broker.intake("killed", "relay", &["nakatsugi.record.0"], observer);
    for id in 1..=20 {
        assert!(ok(&publisher.publish(record(id)).await));
    }
    let held = next(&mut deliveries).await;
    broker.node.lock().unwrap().kill();
    event(&mut events, |event| matches!(event, BrokerEvent::Lost { .. })).await;
    broker.node.lock().unwrap().restart().unwrap_or_else(|error| panic!("{error}"));
    held.ticket.ack();
    assert!(ok(&publisher.publish(record(21)).await));
    let mut arrived = BTreeSet::new();
    while arrived.len() < 21 {
        let delivery = next(&mut deliveries).await;
        arrived.insert(delivery.route.message_id.clone().unwrap().parse::<u32>().unwrap());
        delivery.ticket.ack();
    }
    assert_eq!(arrived, (1..=21).collect());
    assert_eq!(intake.stop(support::PATIENCE).await, Drained::Settled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_broker_stops_publications_but_no_acknowledgements() {
    let broker = Broker::start(&["blocked"]);
    broker.apply("blocked", &topology()).await;
    let (observer, mut events) = watched();
    let publisher = broker.publisher_with("blocked", "fujisawa", Duration::from_secs(15), observer);
    let (_intake, mut deliveries) = broker.intake("blocked", "relay", &["nakatsugi.record.0"], silent());
    assert!(ok(&publisher.publish(record(1)).await));
    let held = next(&mut deliveries).await;
    broker.node.lock().unwrap().memory_alarm(MemoryAlarm::Raised).unwrap();
    let first = publisher.publish(record(2)).await;
    event(&mut events, |event| matches!(event, BrokerEvent::Blocked { .. })).await;
    assert_eq!(first, Err(Unpublished::TimedOut));
    assert_eq!(publisher.publish(record(3)).await, Err(Unpublished::TimedOut));
    held.ticket.ack();
    until(|| depth(&broker, "blocked", "nakatsugi.record.0") == 0).await;
    broker.node.lock().unwrap().memory_alarm(MemoryAlarm::Cleared).unwrap();
    event(&mut events, |event| matches!(event, BrokerEvent::Unblocked { .. })).await;
    assert!(ok(&publisher.publish(record(4)).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_broker_is_noticed_by_its_missing_heartbeat() {
    let broker = Broker::start(&["frozen"]);
    broker.apply("frozen", &topology()).await;
    let (observer, mut events) = watched();
    let (_intake, _deliveries) = broker.intake("frozen", "relay", &["nakatsugi.record.0"], observer);
    event(&mut events, |event| matches!(event, BrokerEvent::Consuming { .. })).await;
    broker.node.lock().unwrap().pause().unwrap();
    event(&mut events, |event| matches!(event, BrokerEvent::Lost { .. })).await;
    broker.node.lock().unwrap().resume().unwrap();
    event(&mut events, |event| matches!(event, BrokerEvent::Consuming { .. })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unroutable_message_may_be_dropped_when_asked_for() {
    let broker = Broker::shared();
    let topology = Topology { tenants: vec![(FUJISAWA.parse().unwrap(), Partition(0))], ..topology() };
    broker.apply("spoiled", &topology).await;
    let publisher = broker.publisher("spoiled", "relay");
    let head = Publication { unroutable: Unroutable::Dropped, ..message(OUT, "witness.tree.head", 1) };
    assert!(ok(&publisher.publish(head).await));
}

#[test]
fn a_node_ends_with_its_process_even_when_that_is_killed() {
    let mut holder = Command::new(std::env::current_exe().unwrap());
    holder.args(["--ignored", "--exact", "holds_a_node_until_it_is_killed", "--nocapture"]);
    let mut holder = holder.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let port = lines.map(Result::unwrap).find_map(|line| line.split("the node listens on ").nth(1)?.parse::<u16>().ok()).unwrap();
    let open = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(open());
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!((0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        !open()
    }));
}

#[test]
#[ignore = "started by a_node_ends_with_its_process_even_when_that_is_killed"]
fn holds_a_node_until_it_is_killed() {
    let broker = Broker::start(&["held"]);
    println!("\nthe node listens on {}", broker.node.lock().unwrap().port());
    std::thread::sleep(support::PATIENCE);
}
