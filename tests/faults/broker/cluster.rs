//! A broker of three nodes: one dies, or the network between them is cut; what it confirmed stays, and service comes back.

use crate::{dice::Dice, ground::Ground, stage::PATIENCE};
use nakatsugi::cli::demo::Node;
use std::time::Duration;
use tokio::time::sleep;

const BATCH: usize = 40;

/// On a ground of its own.
pub(crate) async fn three_nodes(ground: &mut Ground, dice: &mut Dice, times: u32) -> u32 {
    let mut own = Ground::build_on(ground.profile, 3).await;
    assert_eq!(own.others.len(), 2);
    for round in 0..times {
        // Leaders on all of them, so that whichever fails leads some.
        let names: Vec<_> = own.nodes().map(|node| node.name()).collect();
        tokio::task::block_in_place(|| rebalance(own.stage.site.node()));
        let mut sending = own.traffic.burst(&own.stage, dice, BATCH);
        sleep(dice.pause(Duration::from_millis(600))).await;
        let which = dice.below(2) as usize;
        if round % 2 == 0 {
            own.others[which].kill();
            sending.join(own.traffic.burst(&own.stage, dice, BATCH));
            sleep(Duration::from_secs(2)).await;
            if dice.below(2) == 0 {
                own.kill();
                own.start().await;
            }
            // Two of three are enough: everything is answered before it is back.
            sending.confirmed().await;
            let left = own.traffic.facts.settled(PATIENCE).await;
            assert!(left.is_empty(), "{left:?} are not answered without {}", names[which + 1]);
            tokio::task::block_in_place(|| own.others[which].restart()).unwrap_or_else(|error| panic!("{error}"));
        } else {
            // The daemon is on the side of the few, and can do nothing there.
            own.wire.lead_to(own.others[which].port());
            own.wire.cut();
            sleep(dice.pause(Duration::from_millis(600))).await;
            let lonely = &own.others[which];
            let others: Vec<_> = names.iter().filter(|name| **name != lonely.name()).cloned().collect();
            tokio::task::block_in_place(|| part(lonely, &others, "cut"));
            sending.join(own.traffic.burst(&own.stage, dice, BATCH));
            sleep(Duration::from_secs(3)).await;
            tokio::task::block_in_place(|| part(lonely, &others, "whole"));
            // What the few thought meanwhile is thrown away with them, as an operator would after a partition.
            tokio::task::block_in_place(|| own.others[which].restart()).unwrap_or_else(|error| panic!("{error}"));
            let port = own.stage.site.node().port();
            own.wire.lead_to(port);
            own.wire.cut();
            sending.confirmed().await;
        }
    }
    let verdict = own.heal().await;
    assert!(verdict.complaints.is_empty(), "{:#?}", verdict.complaints);
    let search = own.search();
    assert!(search.complaints.is_empty(), "{:#?}", search.complaints);
    println!("       {} acknowledged there", own.traffic.facts.confirmed());
    times
}

fn rebalance(node: &Node) {
    node.control(&["eval", "rabbit_amqqueue:rebalance(quorum, <<\".*\">>, <<\".*\">>)."]).unwrap_or_else(|error| panic!("{error}"));
}

/// Cuts a node's connections to the others, and keeps them from being made again; or lets them be made.
fn part(node: &Node, others: &[String], how: &str) {
    for other in others {
        let cookie = if how == "cut" { "cut" } else { "erlang:get_cookie()" };
        let eval = format!("erlang:set_cookie('{other}', {cookie}), erlang:disconnect_node('{other}').");
        node.control(&["eval", &eval]).unwrap_or_else(|error| panic!("{error}"));
    }
}
