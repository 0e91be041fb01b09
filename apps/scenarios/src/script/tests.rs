use super::*;

fn read(text: &str) -> Result<Vec<Line>, String> {
    let parties = ["alice", "bob"].map(str::to_owned);
    let markets = ["MNGO"].map(str::to_owned);
    let controls = ["open-interest maximum", "price cap"].map(str::to_owned);
    let numbers: Numbers = [("start".to_owned(), Number::parse("0.0382").unwrap())].into();
    let vocabulary =
        Vocabulary { parties: &parties, markets: &markets, segments: 2, numbers: &numbers, controls: &controls };
    parse(text, 10, &vocabulary).map_err(|error| format!("{}: {}", error.line, error.message))
}

#[test]
fn a_script_reads_as_it_is_said() {
    let text = "\n  # first the money\n  at 0:05  bob buys 483_000_000 MNGO at $start\n\
                at 10:00 bob withdraws all from 1   # what there is\n";
    let lines = read(text).unwrap();
    assert_eq!((lines[0].line, lines[0].at_ms), (12, 5_000));
    let price = Price::At(Number::parse("0.0382").unwrap());
    let buys = Act::Take { is_buy: true, quantity: Number::whole(483_000_000), market: "MNGO".into(), price };
    assert_eq!(lines[0].step, Step::Act { who: "bob".into(), act: buys });
    assert_eq!(lines[1].at_ms, 600_000);
    let withdraws = Act::Withdraw { amount: None, segment: 1 };
    assert_eq!(lines[1].step, Step::Act { who: "bob".into(), act: withdraws });
}

#[test]
fn every_sentence_of_the_language_reads() {
    for sentence in [
        "alice deposits 5_000_000 into 1",
        "alice bids 1 MNGO at index - 1 %",
        "alice offers 1 MNGO at index + 0.5%",
        "alice sells 1 MNGO at index",
        "alice closes all MNGO at 0.03",
        "alice quotes 10 MNGO within 1 %",
        "alice stops quoting MNGO",
        "alice cancels orders in 2",
        "alice withdraws 1.5 from 1",
        "alice exits with 1 from 1",
        "session of alice buys 1 MNGO at index + 1 %",
        "alice says MNGO is 100",
        "alice says nothing about MNGO",
        "alice says the truth about MNGO",
        "outside MNGO is 0.9",
        "outside MNGO rises by 2_282 % over 10:00",
        "outside MNGO falls by 5 % over 0:30",
        "risk officers reopen 1",
        "governors reopen 1",
        "check bob is long 483_000_000 MNGO from 0.0382 unless \"open-interest maximum\" or \"price cap\"",
        "check bob is short 1 MNGO",
        "check bob is flat in MNGO",
        "check bob has at least 1 in 1",
        "check bob took at least 1 from 1",
        "check bob was not liquidated",
        "check segment 1 is ReduceOnly",
        "check index of MNGO within 1 % of 0.0382",
        "check bids of MNGO within 2 % never below 1_000",
        "check trades of MNGO within 10 % of index",
    ] {
        let read = read(&format!("at 0:00 {sentence}"));
        assert!(read.is_ok(), "{sentence}: {read:?}");
    }
}

#[test]
fn what_is_no_sentence_is_named_with_its_line() {
    for (text, message) in [
        ("bob buys 1 MNGO at 1", "10: `bob` stands where `at` is missing"),
        ("at 5 bob buys 1 MNGO at 1", "10: `5` is not a time such as 10:05 after `at`: minutes, a colon, seconds"),
        (
            "at 0:75 bob buys 1 MNGO at 1",
            "10: `0:75` is not a time such as 10:05 after `at`: minutes, a colon, seconds",
        ),
        ("at 0:05 carol buys 1 MNGO at 1", "10: `carol` is nobody in [parties] and no office of the venue"),
        ("at 0:05 bob buys 1 MNGX at 1", "10: `MNGX` is no market of the scenario's venue"),
        ("at 0:05 bob buys x MNGO at 1", "10: `x` is not a number"),
        ("at 0:05 bob buys $end MNGO at 1", "10: `$end` is not among the scenario's [numbers]"),
        ("at 0:05 bob steals 1 MNGO", "10: `steals` is nothing that somebody can do; see spec/scenarios/README.md"),
        ("at 0:05 bob withdraws all from 3", "10: `3` is no segment of the venue, which has 2"),
        ("at 0:05 bob buys 1 MNGO at", "10: the line ends where a price or `index` is missing"),
        ("at 0:05 bob buys 1 MNGO at 1 today", "10: `today` is left over"),
        ("at 0:05 check segment 1 is Open", "10: `Open` is no state of a breaker"),
        ("at 0:05 check bob is flat in MNGO unless \"price cup\"", "10: `price cup` is no control of the scenario"),
        (
            "at 0:05 check bob is flat in MNGO unless \"price cap\" or \"luck\"",
            "10: `luck` is no control of the scenario",
        ),
        ("at 0:05 check bob is flat in MNGO or \"price cap\"", "10: `or \"price cap\"` is left over"),
        (
            "at 0:09 risk officers reopen 1\nat 0:05 risk officers reopen 1",
            "11: this line is earlier than the line before it",
        ),
    ] {
        assert_eq!(read(text), Err(message.to_owned()));
    }
}
