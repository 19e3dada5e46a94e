use super::*;

fn sample(variables: &[(&str, &str)]) -> Result<Common, ConfigError> {
    let needed = [("CONVEYOR__DATABASE__URL", "postgres://h/d"), ("CONVEYOR__BROKER__URL", "amqp://h")];
    let variables = needed.iter().chain(variables).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    load_from::<NoSection>(None, None, variables).map(|settings| settings.common)
}

#[test]
fn the_environment_overrides_the_defaults() {
    let sample = sample(&[
        ("CONVEYOR__CONSUMER__MAX_EVENTS", "1"),
        ("CONVEYOR__CONSUMER__RETRY_DELAYS_MS", "10, 20"),
        ("CONVEYOR__PARTS", "http,inventory.lock"),
    ])
    .unwrap();
    assert_eq!(sample.consumer.max_events, 1);
    assert_eq!(sample.consumer.retry_delays_ms, [10, 20]);
    assert!(sample.parts.runs("http") && !sample.parts.runs("inventory.settle"));
    assert!(sample.parts.check(&["http"]).unwrap_err().to_string().contains("inventory.lock"));
}

#[test]
fn a_batch_that_calls_the_outside_world_does_so_in_a_few_rounds() {
    let most = |max_events, effects| {
        let settings = Consumer { max_events, effects, ..Consumer::default() };
        [false, true].map(|outside| settings.most_events(outside))
    };
    assert_eq!(most(1_024, 64), [1_024, 256]);
    assert_eq!(most(1, 64), [1, 1]);
    assert_eq!(most(10_000, 1), [10_000, 4]);
}

#[test]
fn an_unknown_or_bad_value_is_named() {
    for (name, value, named) in [
        ("CONVEYOR__CONSUMER__MAX_EVENT", "1", "max_event"),
        ("CONVEYOR__CONSUMER__MAX_EVENTS", "many", "max_events"),
        ("CONVEYOR__CONSUMER__MAX_EVENTS", "0", "max_events"),
        ("CONVEYOR__CONSUMER__RETRY_DELAYS_MS", "1,x", "whole numbers"),
        ("CONVEYOR__HTTP__TRUSTED_PROXIES", "10.0.0.1,10.0.0.0/8", "10.0.0.0/8"),
        ("CONVEYOR__HTTP__BURST_PER_USER", "0", "http.burst_per_user"),
        ("CONVEYOR__BANANA", "1", "banana"),
    ] {
        let error = sample(&[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
        assert!(!error.contains('\n'));
    }
}

#[test]
fn a_bad_value_in_a_services_own_section_is_named_with_the_section() {
    #[derive(Debug, Default, Deserialize)]
    struct Own {
        #[serde(rename = "times")]
        _times: Times,
    }
    #[derive(Debug, Default, Deserialize)]
    struct Times {
        #[serde(rename = "deadline_ms")]
        _deadline_ms: u32,
    }
    let variables = [("CONVEYOR__ORDERS__TIMES__DEADLINE_MS", "banana")];
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let error = load_from::<Own>(Some("orders"), None, variables).unwrap_err().to_string();
    assert!(error.contains("`orders.times.deadline_ms`"), "{error}");
}

#[test]
fn a_secret_under_a_name_cut_short_is_not_shown() {
    for name in ["CONVEYOR__AUTH__KEYS__MAIN", "CONVEYOR__AUTH__KEYS", "CONVEYOR__AUTH__KEYS__MAIN__SECERT"] {
        let error = sample(&[(name, "hush-hush")]).unwrap_err().to_string();
        assert!(error.contains("auth.keys") && !error.contains("hush"), "{name}: {error}");
    }
}

#[test]
fn what_stands_where_something_is_wrong_is_not_shown() {
    for name in ["CONVEYOR__DATABASE", "CONVEYOR__BROKER", "CONVEYOR__AUTH", "CONVEYOR__CONSUMER__PREFETCH"] {
        let error = sample(&[(name, "postgres://role:hush-hush@h/d")]).unwrap_err().to_string();
        let key = name.trim_start_matches("CONVEYOR__").to_lowercase().replace("__", ".");
        assert!(error.contains(&key) && !error.contains("hush"), "{name}: {error}");
    }
    let file = config::File::from_str("threads = 1\n[auth.keys.main]\nsecret = hush-hush\n", config::FileFormat::Toml);
    let builder = config::Config::builder().add_source(file);
    let error = read::<NoSection>(None, builder, HashMap::new()).unwrap_err().to_string();
    assert!(error.contains("line 3") && !error.contains("hush"), "{error}");
}
