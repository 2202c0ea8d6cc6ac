//! What cannot be handled yet waits and comes back, whatever a carrier did to it.

use crate::{
    RECORD, ok, record,
    support::{
        self, Broker, depth,
        hostile::{Hostile, copies, deaths, header},
        next, silent, topology, until,
    },
};
use lapin::types::{AMQPValue, FieldTable};
use nakatsugi::{
    broker::{
        Delivery, Drained, Unpublished,
        names::{DEAD, IN, SORT},
    },
    tenant::Copied,
};
use std::collections::{BTreeMap, BTreeSet};

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_comes_back_with_its_user_key_and_number_of_tries() {
    let broker = Broker::shared();
    broker.apply("waiting", &topology()).await;
    let publisher = broker.publisher("waiting", "fujisawa");
    assert!(ok(&publisher.publish(record(1)).await));
    let (intake, mut deliveries) = broker.intake("waiting", "relay", &RECORD, silent());
    for tries in 0..4 {
        let delivery = next(&mut deliveries).await;
        let route = &delivery.route;
        assert_eq!((&*route.queue, route.tries), (RECORD[usize::from(tries > 0)], tries));
        assert_eq!((route.exchange.as_str(), route.routing_key.as_str()), (IN, "142051.record.put"));
        assert_eq!(route.user_id.as_deref(), Some("fujisawa"));
        assert_eq!((route.kind.as_deref(), route.message_id.as_deref()), (Some("record.put"), Some("1")));
        assert_eq!(route.content_type.as_deref(), Some("application/jose"));
        assert_eq!(delivery.body, b"body 1");
        if tries < 3 { delivery.ticket.wait() } else { delivery.ticket.ack() }
    }
    assert_eq!(intake.stop(support::PATIENCE).await, Drained::Settled);
    for queue in ["nakatsugi.record.0", "nakatsugi.wait.record.0", "nakatsugi.again.record.0"] {
        until(|| depth(broker, "waiting", queue) == 0).await;
    }
}

/// Lets each of these messages wait at least twice, and finds that each comes back.
async fn all_come_back_from_waiting(deliveries: &mut tokio::sync::mpsc::Receiver<Delivery>, ids: &[u32]) {
    let mut missing: BTreeSet<_> = ids.iter().map(u32::to_string).collect();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    while !missing.is_empty() {
        let delivery = next(deliveries).await;
        let id = delivery.route.message_id.clone().unwrap_or_default();
        assert_eq!(delivery.route.exchange, IN);
        let times = seen.entry(id.clone()).or_default();
        *times += 1;
        if &*delivery.route.queue == RECORD[1] && *times > 2 {
            missing.remove(&id);
            delivery.ticket.ack();
        } else {
            delivery.ticket.wait();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_expire_before_they_are_taken_stop_nobodys_waiting() {
    let broker = Broker::shared();
    broker.apply("expiring", &topology()).await;
    let hostile = Hostile::connect(broker, "expiring", "fujisawa").await;
    // More than the 32 that RabbitMQ forwards at once: if they stuck, they would hold up all behind them.
    for id in 1..=40 {
        hostile.publish("142051.record.put", id, FieldTable::default(), Some("1")).await;
    }
    until(|| depth(broker, "expiring", RECORD[1]) == 40).await;
    let publisher = broker.publisher("expiring", "fujisawa");
    assert!(ok(&publisher.publish(record(41)).await));
    let (_intake, mut deliveries) = broker.intake("expiring", "relay", &RECORD, silent());
    all_come_back_from_waiting(&mut deliveries, &(1..=41).collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_deaths_stop_nobodys_waiting() {
    let broker = Broker::shared();
    broker.apply("forging", &topology()).await;
    let hostile = Hostile::connect(broker, "forging", "fujisawa").await;
    let junk = AMQPValue::FieldArray(vec![AMQPValue::Void, AMQPValue::LongString("junk".into())].into());
    for id in (1..=160).step_by(4) {
        hostile.publish("142051.record.put", id, deaths(&["nakatsugi.wait.record.0"]), Some("1")).await;
        hostile.publish("142051.record.put", id + 1, deaths(&["nakatsugi.again.record.0"]), Some("1")).await;
        hostile.publish("142051.record.put", id + 2, header("x-death", junk.clone()), Some("1")).await;
        hostile.publish("142051.record.put", id + 3, header("x-death", AMQPValue::Void), Some("1")).await;
    }
    let publisher = broker.publisher("forging", "fujisawa");
    assert!(ok(&publisher.publish(record(161)).await));
    hostile.publish("142051.record.put", 162, deaths(&["nakatsugi.wait.record.0"]), None).await;
    let (_intake, mut deliveries) = broker.intake("forging", "relay", &RECORD, silent());
    all_come_back_from_waiting(&mut deliveries, &[161]).await;
    // What did not expire there can be looked at.
    let (_intake, mut dead) = broker.intake("forging", "relay", &[DEAD], silent());
    assert_eq!(next(&mut dead).await.route.message_id.as_deref(), Some("162"));
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_told_and_do_not_multiply() {
    let broker = Broker::shared();
    broker.apply("copying", &topology()).await;
    let hostile = Hostile::connect(broker, "copying", "fujisawa").await;
    let keys = ["141003.record.put", "142051.record.delete", "141003.self-info.request"];
    hostile.publish("142051.record.put", 1, copies("CC", &keys), None).await;
    hostile.publish("142051.record.put", 2, copies("BCC", &keys), None).await;
    let queues = ["nakatsugi.record.0", "nakatsugi.record.1", "nakatsugi.self-info.1"];
    let again = queues.map(|queue| queue.replace("nakatsugi.", "nakatsugi.again."));
    let all: Vec<_> = queues.into_iter().chain(again.iter().map(String::as_str)).collect();
    let (_intake, mut deliveries) = broker.intake("copying", "relay", &all, silent());
    for turn in 0..3 {
        let mut seen = BTreeSet::new();
        for _ in 0..6 {
            let delivery = next(&mut deliveries).await;
            let route = &delivery.route;
            assert_eq!(route.routing_key, "142051.record.put");
            // RabbitMQ takes BCC out: such a copy is judged by the guarded key that it still carries.
            assert_eq!(route.copied, if route.message_id.as_deref() == Some("1") { Copied::Yes } else { Copied::No });
            assert!(seen.insert((route.queue.clone(), route.message_id.clone())), "{route:?}");
            assert_eq!(route.queue.starts_with("nakatsugi.again."), turn > 0);
            if turn < 2 { delivery.ticket.wait() } else { delivery.ticket.ack() }
        }
    }
    for queue in all {
        until(|| depth(broker, "copying", queue) == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_comes_back_though_its_tenant_is_no_longer_bound() {
    let broker = Broker::shared();
    broker.apply("unbound", &topology()).await;
    let publisher = broker.publisher("unbound", "fujisawa");
    assert!(ok(&publisher.publish(record(1)).await));
    let operator = Hostile::connect(broker, "unbound", "operator").await;
    let unbind = operator.channel.queue_unbind(RECORD[0].into(), SORT.into(), "142051.record.*".into(), FieldTable::default());
    unbind.await.unwrap();
    assert_eq!(publisher.publish(record(2)).await, Err(Unpublished::Returned));
    let (_intake, mut deliveries) = broker.intake("unbound", "relay", &RECORD, silent());
    all_come_back_from_waiting(&mut deliveries, &[1]).await;
}
