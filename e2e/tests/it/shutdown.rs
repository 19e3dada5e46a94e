//! SIGTERM under load: everything that was begun is finished.

use std::time::Duration;

use e2e::LONG;

use crate::line::{Line, Load, SERVICES};

#[tokio::test]
async fn a_process_told_to_stop_leaves_nothing_unfinished() {
    let mut line = Line::start().await;
    let load = Load::begin(&line, 2_000, 16);
    for (i, (name, _)) in SERVICES.iter().enumerate() {
        load.reaches(300 * (i + 1)).await;
        let began = tokio::time::Instant::now();
        let status = line.processes[i].terminate().await;
        assert!(status.success(), "{name}: {status}");
        assert!(began.elapsed() < Duration::from_secs(20), "{name} took {:?}", began.elapsed());
        line.processes[i].start().await;
    }
    // A client whose connection was closed between two requests tries again; each order is accepted once.
    assert_eq!(load.finish().await, 2_000);
    line.until_through(2_000, LONG).await;
    line.reconcile(2_000).await;
    for process in &line.processes {
        let page = process.http.get("/metrics").await.unwrap().text();
        let redelivered: Vec<&str> = page.lines().filter(|l| l.starts_with("conveyor_redelivered_total")).collect();
        assert!(redelivered.is_empty(), "{redelivered:?}");
        let swept: Vec<&str> = page.lines().filter(|l| l.starts_with("conveyor_outbox_swept_total")).collect();
        assert!(swept.is_empty(), "{swept:?}");
    }
}
