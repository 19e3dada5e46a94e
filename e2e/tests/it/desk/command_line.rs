//! The command line: what it prints, and the codes that scripts go by.

use e2e::{Console, Database, Vhost};

#[tokio::test]
async fn accounts_and_tokens_are_made_and_unmade_at_a_shell() {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    let console = Console::start(&database, &vhost, [("CONVEYOR__LOG__FILTER", "debug,lapin=off")]).await;
    let password = "correct horse battery";
    let made = console.tell(&["account", "add", "anna", "--role", "operator"], &format!("{password}\n")).await;
    assert_eq!((made.code, made.out.as_str()), (0, "anna is operator now\n"), "{made:?}");
    for (arguments, code) in [
        (&["account", "add", "anna", "--role", "reader", "--no-password"][..], 1),
        (&["account", "add", "Anna", "--role", "reader", "--no-password"], 2),
        (&["account", "add", "bert", "--role", "king", "--no-password"], 2),
        (&["account", "disable", "nobody"], 3),
        (&["account", "token", "nobody"], 3),
        (&["account", "nonsense"], 2),
    ] {
        let refused = console.tell(arguments, "").await;
        assert_eq!((refused.code, refused.out.as_str()), (code, ""), "{arguments:?}: {refused:?}");
    }
    assert_eq!(console.tell(&["account", "add", "bert", "--role", "reader"], "short").await.code, 1);

    let token = console.tell(&["account", "token", "anna", "--label", "tests"], "").await.out.trim().to_owned();
    let is = console.cli(&token, &["whoami"]).await;
    assert_eq!((is.code, is.out.as_str()), (0, "anna (operator)\n"));
    console.tell(&["account", "role", "anna", "reader"], "").await;
    assert_eq!(console.cli(&token, &["whoami", "--json"]).await.json()["role"], "reader", "at once");
    let tokens = console.tell(&["account", "tokens", "anna", "--json"], "").await.json();
    assert_eq!(tokens["tokens"][0]["label"], "tests", "{tokens}");
    let id = tokens["tokens"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(console.tell(&["account", "revoke", "anna", &id], "").await.code, 0);
    assert_eq!(console.cli(&token, &["whoami"]).await.code, 4, "the token is good for nothing now");
    let other = console.tell(&["account", "token", "anna"], "").await.out.trim().to_owned();
    console.tell(&["account", "disable", "anna"], "").await;
    assert_eq!(console.cli(&other, &["whoami"]).await.code, 4);
    console.tell(&["account", "enable", "anna"], "").await;
    let list = console.tell(&["account", "list"], "").await;
    assert!(list.out.contains("anna") && !list.out.contains(password), "{list:?}");
    assert!(!console.process.said().contains(password) && !console.process.said().contains(&token));
}

#[tokio::test]
async fn a_code_says_what_became_of_it() {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    let nowhere = [("CONVEYOR__SUPPORT__SERVICES__ORDERS", "http://127.0.0.1:9")];
    let mut console = Console::start(&database, &vhost, nowhere).await;
    let token = console.account("rita", "reader").await;
    let nothing = "00000000-0000-7000-8000-000000000000";
    for (arguments, code) in [
        (&["--help"][..], 0),
        (&["retry", "--help"], 0),
        (&["--version"], 0),
        (&["whoami"], 0),
        (&["nonsense"], 2),
        (&["retry"], 2),
        (&["show", "nonsense"], 2),
        (&["order", "list", "--limit", "0"], 2),
        // The services of this test are not there.
        (&["order", "list"], 5),
    ] {
        let said = console.cli(&token, arguments).await;
        assert_eq!(said.code, code, "{arguments:?}: {said:?}");
        assert_eq!(said.err.is_empty(), code == 0, "{arguments:?}: {said:?}");
    }
    let help = console.cli(&token, &["--help"]).await.out;
    for part in ["Exit codes:", "CONVEYOR_SUPPORT_TOKEN", "retry", "discard", "take-back", "account"] {
        assert!(help.contains(part), "{part} is not in {help}");
    }
    let unknown = console.cli("cvt_nobody", &["whoami", "--json"]).await;
    assert_eq!((unknown.code, unknown.json()["errors"][0]["code"].as_str()), (4, Some("invalid_token")));
    assert_eq!(console.cli("", &["whoami"]).await.code, 2, "nobody was named");
    let refused = console.cli(&token, &["order", "cancel", &format!("ORD{}", nothing.replace('-', "")), "--yes"]).await;
    assert_eq!(refused.code, 4, "{refused:?}");

    assert!(console.process.terminate().await.success());
    let away = console.cli(&token, &["whoami"]).await;
    assert_eq!(away.code, 5, "{away:?}");
}
