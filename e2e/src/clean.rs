//! Nothing may be left over.

use common::broker::topology::is_signal;
use migrations::SERVICES;

use crate::{Database, Vhost, wait::LONG};

/// Fails if, after a while, an outbox still has a row or a queue a message. What a test expects to find in the dead
/// letters it takes out first.
pub async fn assert_clean(database: &Database, vhost: &Vhost) {
    let client = database.connect().await;
    let began = tokio::time::Instant::now();
    loop {
        let mut left = Vec::new();
        for service in &SERVICES {
            let sql = format!("SELECT count(*) FROM {}.outbox", service.schema);
            let rows: i64 = client.query_one(&sql, &[]).await.expect("counting an outbox").get(0);
            if rows > 0 {
                left.push(format!("{rows} rows in {}.outbox", service.schema));
            }
        }
        let depths = vhost.depths().await.into_iter();
        for (queue, (_, unacknowledged)) in depths.filter(|(queue, _)| !is_signal(queue)) {
            // The figures of the management lag behind; what is ready can be asked exactly.
            let ready = vhost.ready(&queue).await.unwrap_or(0);
            if ready > 0 || unacknowledged > 0 {
                left.push(format!("{ready} messages in {queue}, and {unacknowledged} not acknowledged"));
            }
        }
        if left.is_empty() {
            return;
        }
        assert!(began.elapsed() < LONG, "left over: {}", left.join("; "));
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
