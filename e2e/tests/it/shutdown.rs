//! SIGTERM under load: everything that was begun is finished.

use std::time::Duration;

use e2e::{Database, LONG, Process, Vhost, service_settings};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

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
    let (mut redelivered, mut which) = (0.0, Vec::new());
    for process in &line.processes {
        let page = process.http.get("/metrics").await.unwrap().text();
        let lines =
            |name: &str| page.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect::<Vec<_>>();
        let value = |line: &String| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).unwrap();
        redelivered += lines("conveyor_redelivered_total").iter().map(value).sum::<f64>();
        which.extend(lines("conveyor_redelivered_total"));
        assert_eq!(lines("conveyor_outbox_swept_total"), Vec::<String>::new());
    }
    // What had reached a process was finished by it. A quorum queue may besides count a return for a message that was
    // on its way to a consumer in the moment of its cancellation and never arrived (rabbitmq-server #3729, #3746): not
    // once in fifty runs, but it is the broker's to give.
    assert!(redelivered <= 1.0, "{redelivered} parcels came back: {which:?}");
}

#[tokio::test]
async fn half_a_request_does_not_hold_up_a_stop() {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    let mut settings = service_settings("orders", &database, &vhost);
    settings.insert("CONVEYOR__HTTP__REQUEST_TIMEOUT_MS".to_owned(), "500".to_owned());
    let mut api = Process::spawn("order-api", settings).await;
    api.wait_ready().await;
    let mut connection = TcpStream::connect(("127.0.0.1", api.port)).await.unwrap();
    connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: ").await.unwrap();
    // An idle connection is there too.
    api.http.get("/healthz").await.unwrap();
    let began = tokio::time::Instant::now();
    let status = api.terminate().await;
    assert!(status.success(), "{status}");
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
}
