//! `casemate up` from the built program: the venue lives, a stranger trades on it, and it is still there after a stop.

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use support::{NodeProcess, casemate, program, stderr, stdout};

struct Up {
    process: NodeProcess,
    url: String,
    chain_id: Value,
    found_height: u64,
}

fn up(folder: &Path, more: &[&str]) -> Up {
    let mut command = program(&["up", "--listen", "127.0.0.1:0", "--speed", "50"]);
    command.arg("--folder").arg(folder).args(more);
    let process = NodeProcess::spawn(command);
    let opened = process.next().expect("it opens")["opened"].clone();
    let listening = process.next().expect("it listens");
    let url = format!("http://{}", listening["listening"]["address"].as_str().unwrap());
    Up { process, url, chain_id: opened["chain_id"].clone(), found_height: opened["height"].as_u64().unwrap() }
}

impl Up {
    fn read(&self, path: &str) -> String {
        let mut response = ureq::get(format!("{}{path}", self.url)).call().unwrap();
        response.body_mut().read_to_string().unwrap()
    }

    /// The pass that the page is served with.
    fn page_pass(&self) -> String {
        let page = self.read("/");
        let (_, rest) = page.split_once("<meta name=\"read-pass\" content=\"").expect("the page has a place for it");
        rest.split_once('"').expect("it ends").0.to_owned()
    }

    fn ok_with(&self, path: &str, pass: &str) -> Value {
        let asked = ureq::get(format!("{}{path}", self.url)).header("authorization", format!("Casemate {pass}"));
        serde_json::from_str(&asked.call().unwrap().body_mut().read_to_string().unwrap()).unwrap()
    }

    fn ok(&self, path: &str) -> Value {
        serde_json::from_str(&self.read(path)).unwrap()
    }

    /// Looks until something is so; a bound on hanging, not on waiting.
    fn until<T>(&self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(started.elapsed() < Duration::from_secs(120), "{what}");
            std::thread::yield_now();
        }
    }

    fn client(&self, arguments: &[&str]) -> Output {
        casemate(&[arguments, &["--url", &self.url]].concat())
    }

    fn client_ok(&self, arguments: &[&str]) -> String {
        let output = self.client(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    }

    fn client_json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.client_ok(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// Ctrl-C; returns the last line of output.
    fn interrupt(self) -> Value {
        kill_process(Pid::from_child(&self.process.child), Signal::INT).unwrap();
        let (lines, output) = self.process.finish();
        assert!(output.status.success(), "{}", stderr(&output));
        lines.last().unwrap()["closed"].clone()
    }
}

fn number(value: &Value) -> i64 {
    value.as_str().unwrap_or_else(|| panic!("no number: {value}")).parse().unwrap()
}

#[test]
fn slow_a_stranger_trades_on_a_living_venue_that_is_still_there_after_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("venue");
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (root, session) = (file("root.key"), file("session.key"));
    let venue = up(&data, &["--seed", "7"]);

    // Prices move and the crowd trades in every market.
    let marks = |venue: &Up| {
        let markets = venue.ok("/v1/markets");
        let mark = |market: &Value| market["pricing"]["mark_nanos"].clone();
        markets["markets"].as_array().unwrap().iter().map(mark).collect::<Vec<_>>()
    };
    let first =
        venue.until("every market has a mark", |venue| Some(marks(venue)).filter(|all| !all.contains(&"0".into())));
    assert_eq!(first.len(), 3);
    venue.until("every mark moves", |venue| {
        marks(venue).iter().zip(&first).all(|(now, then)| now != then).then_some(())
    });
    venue.until("every market trades", |venue| {
        let markets = venue.ok("/v1/markets");
        markets["markets"].as_array().unwrap().iter().all(|market| market["traded_lots"] != "0").then_some(())
    });
    let near = venue.ok_with("/v1/accounts?near_liquidation=5", &venue.page_pass());
    let distances: Vec<i64> =
        near["accounts"].as_array().unwrap().iter().map(|near| near["distance_ppm"].as_i64().unwrap()).collect();
    assert!(!distances.is_empty() && distances.is_sorted(), "{near}");
    let segments = venue.ok("/v1/segments");
    assert_eq!(segments["segments"].as_array().unwrap().len(), 2);
    assert_eq!(segments["segments"][0]["breaker"]["figures"].as_array().unwrap().len(), 5);

    // A stranger comes in by the front door.
    casemate(&["keys", "new", &root]);
    casemate(&["keys", "new", &session]);
    venue.client_ok(&["deposit", "--root-key", &root, "--amount", "5000"]);
    venue.client_ok(&["account", "open", "--key", &root]);
    let terms = ["--session-key", &session, "--notional", "50000", "--loss", "500"];
    venue.client_ok(&[&["grant", "create", "--key", &root], terms.as_slice()].concat());
    let account = venue.client_json(&["account", "show", "--key", &root])["account"].to_string();
    let signer = ["--key", &session, "--account", &account];
    let order = ["--market", "1", "--side", "bid", "--lots", "500", "--slippage-ppm", "10000"];
    venue.until("the order finds somebody", |venue| {
        // The crowd may have emptied the book for a moment.
        venue.client(&[&["order", "place"], signer.as_slice(), &order].concat()).status.success().then_some(())
    });
    let margin = &venue.client_json(&["margin", "--key", &root])["segments"][0];
    let (equity, initial) = (number(&margin["equity_quote_micros"]), number(&margin["initial_quote_micros"]));
    // The fee is paid whatever the price has done since.
    let cash = number(&margin["cash_quote_micros"]);
    assert!(initial > 0 && initial < equity && cash < 4_990_000_000, "{margin}");
    assert!(number(&margin["maintenance_quote_micros"]) < initial && margin["is_safe"] == true, "{margin}");

    // What would happen is told before it happens, and a session takes nothing out.
    let much = venue.client(&["margin", "--account", &account, "--key", &session, "--withdraw", "1000000"]);
    assert!(!much.status.success() && stderr(&much).contains("420 TransferMarginShort"), "{}", stderr(&much));
    let payout = ["--amount", "10", "--destination", "ab"];
    let refused = venue.client(&[&["withdraw"], signer.as_slice(), &payout].concat());
    assert!(!refused.status.success() && stderr(&refused).contains("evidence `"), "{}", stderr(&refused));
    venue.client_ok(&[&["exit", "--key", &root], payout.as_slice()].concat());
    let pass = venue.client_ok(&["read-pass", "--key", &root]);
    let moves = venue.ok_with(&format!("/v1/accounts/{account}/moves"), pass.trim());
    assert_eq!(moves["withdrawals"][0]["is_principal_exit"], true);
    let status = |path: &str, pass: &str| {
        let asked = ureq::get(format!("{}{path}", venue.url)).config().http_status_as_error(false).build();
        asked.header("authorization", format!("Casemate {pass}")).call().unwrap().status().as_u16()
    };
    // The page's pass is an auditor's, the stranger's is not.
    assert_eq!(status(&format!("/v1/accounts/{account}"), &venue.page_pass()), 200);
    assert_eq!(status("/v1/accounts?near_liquidation=5", pass.trim()), 403);

    let (chain_id, positions) = (venue.chain_id.clone(), venue.client_json(&["positions", "--key", &root]));
    let time_ms = venue.ok("/health")["time_ms"].as_u64().unwrap();
    let closed = venue.interrupt();

    // Without the seed: the folder knows it.
    let venue = up(&data, &[]);
    assert_eq!((&venue.chain_id, venue.found_height), (&chain_id, closed["height"].as_u64().unwrap()));
    let again = venue.client_json(&["positions", "--key", &root]);
    assert_eq!(again["positions"][0]["position_lots"], positions["positions"][0]["position_lots"]);
    venue.until("time goes on", |venue| venue.ok("/health")["time_ms"].as_u64().filter(|now| *now > time_ms + 5_000));
    // Nobody's absence made a price old.
    assert_eq!(venue.ok("/v1/markets/1")["pricing"]["grade"], "valid");
    venue.interrupt();
}

#[test]
fn slow_the_page_says_what_it_is_and_asks_nobody_but_its_own_server() {
    let folder = tempfile::tempdir().unwrap();
    let venue = up(folder.path(), &[]);
    let page = venue.read("/");
    assert!(page.contains("Development chain") && page.contains("Solo: one machine orders the commands"));
    for foreign in ["http:", "https:/", "//cdn", "src=", "@import", "integrity="] {
        let found = page.match_indices(foreign).map(|(at, _)| &page[at..page.len().min(at + 60)]).next();
        assert_eq!(found, None, "{foreign}");
    }
    for path in ["/v1/markets", "/v1/segments", "/v1/breakers", "/health", "/v1/chain"] {
        assert!(page.contains(path), "{path}");
        venue.ok(path);
    }
    assert!(page.contains("/v1/accounts?near_liquidation="));
    venue.ok_with("/v1/accounts?near_liquidation=3", &venue.page_pass());
    let response = ureq::get(format!("{}/", venue.url)).call().unwrap();
    let policy = response.headers().get("content-security-policy").unwrap().to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
    venue.interrupt();
}

fn refused(arguments: &[&str]) -> String {
    let output = casemate(&[&["up"], arguments].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let told = stderr(&output);
    assert!(told.contains("hint: "), "{told}");
    told
}

#[test]
fn slow_bad_beginnings_are_told_with_a_hint_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("venue");
    let named = data.to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert!(refused(&["--folder", named, "--listen", &address]).contains("another program listens there"));
    assert!(!data.exists(), "nothing was made for a venue that could not start");
    let missing = folder.path().join("missing.csv");
    let told = refused(&["--folder", named, "--listen", "127.0.0.1:0", "--prices", missing.to_str().unwrap()]);
    assert!(told.contains("missing.csv") && !data.exists(), "{told}");

    let venue = up(&data, &["--seed", "3"]);
    let second = refused(&["--folder", named, "--listen", "127.0.0.1:0"]);
    assert!(second.contains("another"), "{second}");
    venue.ok("/health");
    let closed = venue.interrupt();
    let other = refused(&["--folder", named, "--listen", "127.0.0.1:0", "--seed", "4"]);
    assert!(other.contains("holds another chain: `casemate up, seed 3`"), "{other}");
    let venue = up(&data, &[]);
    assert_eq!(Some(venue.found_height), closed["height"].as_u64());
    venue.interrupt();
}
