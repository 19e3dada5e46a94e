//! Everything dies once in the middle of its work, and nothing is lost or doubled.

use e2e::{Database, Server, Vhost};

use crate::line::{AFTER_A_CRASH, Line, Load};

#[tokio::test]
async fn two_thousand_orders_survive_the_death_of_every_process_and_server() {
    let (mut postgres, mut rabbitmq) = tokio::join!(Server::postgres(), Server::rabbitmq());
    let database = Database::create_at(postgres.url()).await;
    let vhost = Vhost::create_at(rabbitmq.url(), rabbitmq.management_url()).await;
    let mut line = Line::start_on(database, vhost).await;

    let load = Load::begin(&line, 2_000, 16);
    // Each dies when the line has been busy for a while since the last death.
    for (i, at) in [250, 500, 750, 1_000].into_iter().enumerate() {
        load.reaches(at).await;
        line.processes[i].restart().await;
    }
    load.reaches(1_250).await;
    postgres.kill().await;
    postgres.start().await;
    load.reaches(1_500).await;
    rabbitmq.kill().await;
    rabbitmq.start().await;
    let promised = load.promised().await;
    assert_eq!(promised.len(), 2_000);
    line.keeps(&promised).await;

    // An order whose answer was lost with its process or its database exists as well: it was not promised, but once it
    // exists it is carried through like the others.
    let written = usize::try_from(line.database.count("SELECT count(*) FROM orders.orders").await).unwrap();
    line.until_through(written, AFTER_A_CRASH).await;
    line.reconcile(written).await;
}
