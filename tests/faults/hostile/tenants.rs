//! One tenant's people act for another: in the routing key, the carrier, the directory and the claims; past the exchange, too.

use super::BATCH;
use crate::{
    dice::Dice,
    facts::{Asks, Due},
    graveyard,
    ground::Ground,
    stage::{PATIENCE, now},
};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable},
};
use nakatsugi::{
    cli::peer::{Letter, PeerSettings},
    identifier::MessageType,
};
use serde_json::json;
use std::fs;

/// A connection to the node as one of its users, past everything that ours would do.
struct Smuggler {
    connection: Connection,
    user: String,
}

impl Smuggler {
    async fn connect(ground: &Ground, user: &str) -> Self {
        let folder = ground.stage.site.folder();
        let uri = PeerSettings::read(&folder.join("peers/disclosure")).unwrap().broker.uri;
        Self { connection: graveyard::connect_as(&uri, &folder.join("broker"), user).await, user: user.to_owned() }
    }

    async fn channel(&self) -> Channel {
        let channel = self.connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        channel
    }

    /// Whether the broker took it, and somebody will get it.
    async fn publish(&self, exchange: &str, key: &str, letter: &Letter, headers: FieldTable) -> bool {
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/jose".into())
            .with_type(letter.kind.to_string().into())
            .with_message_id(letter.id.to_string().into())
            .with_user_id(self.user.as_str().into())
            .with_headers(headers);
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let channel = self.channel().await;
        let Ok(confirm) = channel.basic_publish(exchange.into(), key.into(), options, &letter.body, properties).await else { return false };
        matches!(confirm.await, Ok(Confirmation::Ack(None)))
    }

    async fn leave(self) {
        // A channel that the broker closed may still be on its way out.
        let _ = self.connection.close(200, "".into()).await;
    }
}

/// Every author, claimed tenant, routing key and carrier with every other: what does not agree in all four has no effect.
pub(crate) async fn across_tenants(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    const USERS: [&str; 4] = ["municipal-142051", "municipal-141003", "disclosure", "operator"];
    for _ in 0..times {
        let sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        let (mut refused, mut taken) = (0, 0);
        for carrier in USERS {
            let smuggler = Smuggler::connect(ground, carrier).await;
            for (author, principal) in USERS.into_iter().enumerate().take(2) {
                for (claimed, routed) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    let [claim, route] = [claimed, routed].map(|town: usize| Ground::tenants()[town]);
                    if author == claimed && claimed == routed && carrier == principal {
                        continue;
                    }
                    let body = json!({ "person": "000000000000077", "code": code(), "revision": 1_u64 << 40 });
                    let valid = (now(), now().plus_seconds(900));
                    let peer = &ground.traffic.towns[author].speaker.peer;
                    let letter = peer.write(ground.stage.id(), claim, MessageType::PersonLink, valid, &body).unwrap();
                    let asks = Asks::Delete { person: 0, category: 0, revision: 0 };
                    ground.traffic.facts.note(&letter, asks, Due::Nothing);
                    // In its way, and past it: straight into queues and inner exchanges.
                    let key = format!("{route}.{}", letter.kind);
                    let queues = (0..2).map(|partition| ("", format!("nakatsugi.record.{partition}")));
                    let inner = ["nakatsugi.sieve", "nakatsugi.sort", "nakatsugi.out", "nakatsugi.dead"].map(|inner| (inner, key.clone()));
                    for (exchange, key) in [("nakatsugi.in", key.clone())].into_iter().chain(queues).chain(inner) {
                        if carrier == "operator" && matches!(exchange, "nakatsugi.out" | "nakatsugi.dead") {
                            continue;
                        }
                        let took = smuggler.publish(exchange, &key, &letter, FieldTable::default()).await;
                        if took {
                            taken += 1
                        } else {
                            refused += 1
                        }
                        let inward = exchange == "nakatsugi.in" || carrier == "operator";
                        assert!(!took || inward, "{carrier} may write to {exchange:?}");
                    }
                }
            }
            smuggler.leave().await;
        }
        println!("       {refused} refused by the broker, {taken} taken and put aside");
        ground.running.until(|running| running.count("message.dead-lettered") >= taken).await;
        sending.confirmed().await;
        let left = ground.traffic.facts.settled(PATIENCE).await;
        assert!(left.is_empty(), "{left:?} are not answered");
        let dead = ground.stage.bury_the_dead().await;
        let ids: std::collections::BTreeSet<_> = dead.iter().map(|dead| &dead.message_id).collect();
        assert!(!ids.is_empty() && dead.len() >= taken, "{} of {taken} put aside", dead.len());
        ground.stop().await;
        ground.start().await;
    }
    times
}

fn code() -> String {
    nakatsugi::cli::demo::population::Resident { tenant: Ground::tenants()[0], index: 77 }.code()
}

/// A good letter with 10,000 headers is a good letter, also when it has to wait.
pub(crate) async fn headers_without_end(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    ground.meant.push("vault.stopped");
    for _ in 0..times {
        let sending = ground.traffic.burst(&ground.stage, dice, BATCH);
        sending.confirmed().await;
        let left = ground.traffic.facts.settled(PATIENCE).await;
        assert!(left.is_empty(), "{left:?} are not answered");
        ground.stop().await;
        let keyring = ground.stage.vault_folder(Ground::tenants()[0]).join("keyring.json");
        let kept = keyring.with_extension("kept");
        fs::rename(&keyring, &kept).unwrap();
        ground.start().await;
        let smuggler = Smuggler::connect(ground, "disclosure").await;
        let mut headers = FieldTable::default();
        for number in 0..10_000 {
            headers.insert(format!("h{number}").into(), AMQPValue::Boolean(true));
        }
        for place in [0, 1] {
            let asks = Asks::Request { code: 0 };
            let letter = ground.traffic.write(ground.stage.id(), place, &asks);
            ground.traffic.facts.note(&letter, asks, Due::Answer);
            let key = format!("{}.{}", letter.tenant, letter.kind);
            assert!(smuggler.publish("nakatsugi.in", &key, &letter, headers.clone()).await, "the broker does not take so many headers");
            ground.traffic.facts.confirm(letter.id);
        }
        smuggler.leave().await;
        ground.running.event("message.waiting").await;
        fs::rename(&kept, &keyring).unwrap();
        let left = ground.traffic.facts.settled(PATIENCE).await;
        assert!(left.is_empty(), "{left:?} are not answered");
    }
    times
}
